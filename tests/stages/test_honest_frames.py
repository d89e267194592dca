"""``inference.honest`` of jobs: which coefficients and errors go into the sets, what is refused, what is said."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import numpy as np
import pytest
from scipy import stats
from strategies import run_panel

import engine
from engine.infer.honest.moment_inequalities import Coefficients
from engine.infer.honest.restrictions import EventTimes, Restriction
from engine.infer.honest.sensitivity import sensitivity
from engine.report.language.wording import words_of
from engine.report.outputs.honest_trends import honest_figure, honest_sentences, honest_table
from engine.report.outputs.output import JobReport

EVENT: dict[str, Any] = {"estimator": "event_study", "base": -1, "window": [-3, 2], "ends": "drop"}


def sets_of(model: dict[str, Any], **block: object) -> engine.Results:
    return run_panel(worlds.panel(n_cities=40), model=model, inference={"honest": block})


def test_a_singular_covariance_has_no_sets_and_is_told() -> None:
    """Of twelve cities too few adopt for the dyadic errors of five event years."""
    results = run_panel(worlds.panel(), model={**EVENT, "errors": ["dyadic"]}, inference={"honest": {}})
    assert "honest" not in results.frames
    (note,) = (each["values"]["note"] for each in results.manifest["warning_codes"])
    assert note["code"] == "honest_with_singular_covariance"


def by_hand(
    results: engine.Results, times: tuple[int, ...], errors: str, sizes: list[float], weights: list[float]
) -> Any:
    """From the frames that the job leaves."""
    rows = results.estimates[results.estimates["errors"] == errors].set_index("term")
    names = [next(name for name in rows.index if name.endswith(f"[{time:+d}]")) for time in times]
    matrix = results.frames["covariance"]
    matrix = matrix[matrix["errors"] == errors].pivot(index="term", columns="other", values="covariance")
    dof = rows.loc[names, "dof"].min()
    inflated = matrix.loc[names, names].to_numpy() * (stats.t.ppf(0.975, dof) / stats.norm.ppf(0.975)) ** 2
    years = EventTimes(times, -1)
    values = rows.loc[names, "estimate"].to_numpy(float)
    coefficients = Coefficients(values, inflated, years.after, np.array(weights))
    return sensitivity(coefficients, years, Restriction("relative_magnitudes"), np.array(sizes), 0.95)


def test_sets_are_of_the_job_s_coefficients_and_errors() -> None:
    results = sets_of({**EVENT, "errors": ["pair", "dyadic_cr2"]}, sizes=[0, 1])
    frame = results.frames["honest"]
    expected = by_hand(results, (-3, -2, 0, 1, 2), "dyadic_cr2", [0.0, 1.0], [1 / 3] * 3)
    assert frame["kind"].tolist() == ["parallel_trends", "relative_magnitudes", "relative_magnitudes"]
    assert frame["errors"].unique().tolist() == ["dyadic_cr2"]
    np.testing.assert_allclose(frame["conf_low"][1:], expected.low, rtol=1e-9)
    np.testing.assert_allclose(frame["conf_high"][1:], expected.high, rtol=1e-9)
    np.testing.assert_allclose(frame["breakdown"][1:], expected.breakdown, rtol=1e-9)


def test_pooled_years_are_left_out_and_one_effect_may_be_chosen() -> None:
    results = sets_of({**EVENT, "ends": "bin", "errors": ["pair"]}, sizes=[0.5], effect=1)
    frame = results.frames["honest"]
    expected = by_hand(results, (-2, 0, 1), "pair", [0.5], [0.0, 1.0])
    np.testing.assert_allclose(
        frame[["conf_low", "conf_high"]].iloc[1], [expected.low[0], expected.high[0]], rtol=1e-9
    )
    assert frame["effect"].unique().tolist() == ["1"]


@pytest.mark.parametrize(
    ("model", "block", "message"),
    [
        ({"window": [-2, 2], "ends": "bin"}, {}, "no event year before adoption but the reference period"),
        ({"window": [-3, 2]}, {"effect": 3}, "no effect of event year 3 is estimated"),
        ({"window": [-3, 2]}, {"effect": -2}, "no effect of event year -2 is estimated"),
        ({"window": [-3, -1]}, {}, "no effect is estimated"),
    ],
)
def test_what_is_refused(model: dict[str, Any], block: dict[str, Any], message: str) -> None:
    with pytest.raises(engine.InputError, match=message):
        sets_of({**EVENT, **model}, **block)


def test_an_estimator_without_a_reference_period_has_none() -> None:
    with pytest.raises(engine.InputError, match="event studies with a reference period"):
        sets_of({"estimator": "twfe"})


@pytest.mark.parametrize("estimator", ["sun_abraham", "callaway_santanna"])
def test_staggered_estimators_have_sets(estimator: str) -> None:
    universal = {"options": {"base_period": "universal"}, "controls": []}
    options = universal if estimator == "callaway_santanna" else {"window": [-3, 2]}
    results = sets_of({"estimator": estimator, "errors": ["pair"], **options}, sizes=[1])
    assert np.isfinite(results.frames["honest"]["conf_low"]).all()


def test_sets_without_an_end_and_empty_ones_are_told() -> None:
    results = sets_of({**EVENT, "errors": ["pair"]}, sizes=[0, 1])
    frame = results.frames["honest"].copy()
    frame.loc[1, ["conf_low", "conf_high"]] = [-np.inf, np.inf]
    frame.loc[2, ["conf_low", "conf_high"]] = np.nan
    report = JobReport({**results.frames, "honest": frame}, results.manifest)
    cell = results.manifest["cells"][0]["cell"]
    shown = [[entry.text for entry in row.entries] for row in honest_table(report, cell).rows[1:]]
    assert shown == [["-∞", "∞"], ["none", "none"]]
    honest_figure(report, cell)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("kind", ["relative_magnitudes", "smoothness"])
def test_table_figure_and_sentence(kind: str, lang: str) -> None:
    results = sets_of({**EVENT, "errors": ["pair"]}, kind=kind, direction="positive")
    report = JobReport(results.frames, results.manifest, words_of(lang))
    cell = results.manifest["cells"][0]["cell"]
    table = honest_table(report, cell)
    assert len(table.rows) == 6
    axes = honest_figure(report, cell).axes[0]
    assert len(axes.get_xticklabels()) == 6
    (sentence,) = honest_sentences(report)
    assert ("average effect" in sentence.lower()) == (lang == "en")
    assert ("平均效应" in sentence) == (lang == "zh")
