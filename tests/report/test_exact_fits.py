"""Outcomes that leave nothing to estimate: notes and zero errors, never a warning of numpy, a star or a traceback."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from adopter_panels import BLOCKS, panel
from strategies import pair_table, run_panel, run_table

from engine.estimate.fit import exactness, explained
from engine.infer.intervals import student
from engine.report.outputs.regression_table import regression_table

KINDS = ["pair", "city", "dyadic", "jackknife"]
OUTCOMES = {
    "constant": lambda d: d.assign(y=5.0),
    "constant by pair": lambda d: d.assign(y=d.groupby(["one", "other"]).ngroup() * 1e6),
    "pair and year": lambda d: d.assign(y=d.groupby(["one", "other"]).ngroup() * 7.7 + np.sqrt(d["year"])),
    "regressors": lambda d: d.assign(y=2 * d["x"] - d["w"] + 0.1 * d["year"]),
}


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


@pytest.mark.parametrize("effects", [["pair", "year"], ["pair", "year", "group"]])
@pytest.mark.parametrize("name", OUTCOMES)
def test_nothing_left_is_a_note(name: str, effects: list[str]) -> None:
    frame = OUTCOMES[name](pair_table(1)).assign(group="all")
    found = run_table(frame, model={"regressors": ["x", "w"], "fixed_effects": effects, "errors": KINDS})
    rows = found.estimates
    assert (rows["std_error"] == 0).all()
    assert rows[["statistic", "p_value"]].isna().all().all()
    if name == "regressors":
        np.testing.assert_allclose(rows.groupby("term", sort=False)["estimate"].first(), [2, -1], rtol=1e-10)
        note = "regressors and fixed effects explain the outcome entirely"
    else:
        assert (rows["estimate"] == 0).all()
        assert rows["r2_within"].isna().all()
        note = "fixed effects explain the outcome entirely"
    assert any(text.startswith(f"dyads: {note}") for text in found.manifest["warnings"])
    text = regression_table(rows, title="t").to_text()
    assert "(0.0000)" in text
    assert "***" not in text.replace("*** p<0.01", "")
    assert "A standard error of zero has neither a t ratio nor stars" in text


@pytest.mark.parametrize("block", ["multiplier", "node", "wild", "two_way_wild", "jackknife"])
@pytest.mark.parametrize("name", ["constant", "regressors"])
def test_no_draws_are_made_of_it(name: str, block: str) -> None:
    wanted: dict[str, Any] = {"jackknife": {"by": "city"}}
    if block != "jackknife":
        wanted = {"bootstrap": {"kind": block, "reps": 20}}
    found = run_table(OUTCOMES[name](pair_table(2)), inference=wanted)
    assert found.inference.empty
    assert any("no draws: the fit is exact" in text for text in found.manifest["warnings"])


def test_a_close_fit_is_a_fit() -> None:
    """Noise a hundred-thousandth the size of what regressors explain has errors, t ratios and stars."""
    frame = pair_table(3)
    noise = np.random.default_rng(3).normal(size=len(frame)) * 1e-5
    for effects in (["pair", "year"], ["pair", "year", "group"]):
        frame = frame.assign(y=2 * frame["x"] - frame["w"] + noise, group="all")
        found = run_table(frame, model={"regressors": ["x", "w"], "fixed_effects": effects, "errors": KINDS})
        assert (found.estimates["std_error"] > 1e-8).all()
        assert found.estimates["p_value"].notna().all()
        assert not any("entirely" in text for text in found.manifest["warnings"])


def test_shares_of_nothing_and_of_what_overflowed() -> None:
    assert np.isnan(explained(0.0, 0.0))
    assert explained(1.0, 4.0) == 0.75
    assert exactness(np.inf, np.inf, np.inf, 1e-13) == ""
    assert exactness(np.nan, np.nan, 0.0, 1e-13) == ""


def test_a_zero_error_has_no_ratio() -> None:
    found = student(np.array([0.0, 2.0, 2.0, 2.0]), np.array([0.0, 0.0, np.nan, 1.0]), 9, 0.95)
    np.testing.assert_array_equal(np.isnan(found.statistic), [True, True, True, False])
    np.testing.assert_array_equal(np.isnan(found.p_value), [True, True, True, False])
    assert found.low[1] == found.high[1] == 2.0


def test_figures_and_tables_label_the_outcome_that_was_explained(tmp_path: Any) -> None:
    """Not every outcome is a synchronization: axis and tables say which it is, in both languages."""
    from report_frames import event_study

    from engine.report.language.wording import words_of
    from engine.report.outputs.event_study_plot import event_study_figure

    for outcome, lang, expected in (
        ("variation of gdp", "en", "Effect on variation of gdp"),
        ("synchronization of gdp", "en", "Effect on synchronization of gdp"),
        ("trade", "en", "Effect on trade"),
        ("", "en", "Effect"),
        ("variation of gdp", "zh", "效应：gdp 的变异系数"),
    ):
        figure = event_study_figure(event_study(), title="t", outcome=outcome, words=words_of(lang))
        assert " ".join(figure.axes[0].get_ylabel().split()) == expected


def test_an_event_study_of_variation_is_drawn_as_one(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.report.outputs import event_study_plot
    from engine.report.outputs.output import JobReport

    frame = panel({0: 2013, 1: 2014, 2: 2015, 3: 2014}).assign(gdp=lambda d: np.exp(d["output"] / 10))
    model = {"estimator": "event_study", "window": [-2, 2], "errors": ["pair", "dyadic"]}
    outcome = {"variation": "gdp", "weight": "schools"}
    found = run_panel(frame, **{**BLOCKS, "outcome": outcome, "model": model})
    asked: list[str] = []

    def drawn(rows: pd.DataFrame, **given: Any) -> Any:
        asked.append(given["outcome"])
        return SimpleNamespace()

    monkeypatch.setattr(event_study_plot, "event_study_figure", drawn)
    list(event_study_plot.EVENT_STUDY_PLOT.figures(JobReport(found.frames, found.manifest)))
    assert asked == ["variation of gdp"]


def test_a_two_way_variance_that_is_negative_is_no_exact_fit() -> None:
    """Its error is zero as well, for another reason, and the note says which."""
    rows = run_table(pair_table(1)).estimates
    clipped = rows.assign(std_error=rows["std_error"].mask(rows["errors"] == "city", 0.0))
    text = " ".join(regression_table(clipped, title="t").to_text().split())
    assert "the fit is exact" not in text
    assert "A two-way city error of zero stands for a negative variance" in text


def test_without_a_share_explained_all_errors_of_the_term_say_whether_the_fit_is_exact() -> None:
    """Poisson has no R2 within: an exact fit leaves no kind of error, a negative variance one."""
    rows = run_table(pair_table(1)).estimates.assign(r2_within=np.nan)
    for kinds, said in (
        (["city"], "stands for a negative variance"),
        (list(set(rows["errors"])), "is exact"),
    ):
        zeros = rows.assign(std_error=rows["std_error"].mask(rows["errors"].isin(kinds), 0.0))
        text = " ".join(regression_table(zeros, title="t").to_text().split())
        assert said in text
        assert ("the fit is exact" in text) != ("negative variance" in text)


@pytest.mark.parametrize("effects", [["pair", "year"], ["pair", "year", "group"]])
def test_influences_that_cancel_have_no_error(effects: list[str]) -> None:
    """Two pairs with effects of pair and year: what rounding left had three stars."""
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(
        {"one": np.repeat(["a", "b"], 12), "other": "c", "year": np.tile(np.arange(2000, 2012), 2)}
    )
    frame = frame.assign(x=rng.normal(size=24), w=rng.normal(size=24), y=rng.normal(size=24), group="all")
    results = run_table(frame, model={"regressors": ["x"], "fixed_effects": effects, "errors": KINDS})
    rows = results.estimates
    assert rows["r2_within"].between(1e-6, 0.99).all()
    assert rows[["std_error", "statistic", "p_value"]].isna().all().all()
    notes = [
        text for text in results.manifest["warnings"] if "the influences of the 2 pairs on x add up" in text
    ]
    assert len(notes) == 2  # pair and dyadic; the others have notes of their own
    text = regression_table(rows, title="t").to_text()
    assert "(n/a)" in text
    assert "***" not in text.replace("*** p<0.01", "")
