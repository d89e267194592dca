"""Permutations with an instrument: each draw is the reduced form of a panel whose cities have swapped its series."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import engine
from engine import pipeline
from engine.errors import InputError
from engine.estimate.instrument import joint_estimate
from engine.infer.anderson_rubin import variance_at
from engine.infer.draws import permuted_classes
from engine.runtime.execute import Machine
from engine.stages.estimate_pass import estimate_pass
from engine.stages.inference.instrument_draws import (
    accepted_effects,
    instrument_draws,
    instrument_test,
    observed_instrument,
)

INSTRUMENT: dict[str, Any] = {"instrument": {"sum": "shifter"}, "model": {"estimator": "iv"}}
REPS = {"permutation": {"reps": 39, "seed": 5}}


def panel(seed: int = 4, *, holes: bool = False, n_cities: int = worlds.N_CITIES) -> pd.DataFrame:
    """A city column that moves with adoption, so that it explains the treatment of pairs."""
    frame = worlds.panel(seed, holes=holes, n_cities=n_cities)
    rng = np.random.default_rng(seed)
    since = (frame["year"] >= frame["pilot_year"]).astype(float)
    frame["shifter"] = since + rng.normal(size=len(frame)) + 0.1 * frame["year"]
    if holes:
        frame.loc[rng.random(len(frame)) < 0.05, "shifter"] = np.nan
    return frame


def written(folder: Path, frame: pd.DataFrame, **blocks: Any) -> Path:
    folder.mkdir(exist_ok=True)
    return worlds.write(folder, frame, worlds.job_of(frame, **{**INSTRUMENT, **blocks}))


@pytest.mark.parametrize("holes", [False, True], ids=["complete", "gaps"])
def test_a_draw_is_the_reduced_form_of_a_panel_with_reassigned_series(tmp_path: Path, holes: bool) -> None:
    frame = panel(holes=holes)
    path = written(
        tmp_path, frame, inference={"permutation": {**REPS["permutation"], "strata": ["province"]}}
    )
    found = engine.run(path)
    drawn = found.draws.set_index("replicate")
    assert set(found.draws["method"]) == {"permutation_instrument"}
    province = frame.groupby("city")["province"].first()
    series = frame.set_index(["city", "year"])["shifter"]
    for replicate in range(4):
        of_city = pipeline.draw(path, replicate=replicate)
        source = of_city.cities.set_index("city")["instrument_of"]
        assert sorted(source) == sorted(source.index)
        assert (province[source].to_numpy() == province[source.index].to_numpy()).all()
        assert (source != source.index).sum() > 4
        keys = zip(frame["city"].map(source), frame["year"], strict=True)
        reassigned = frame.assign(shifter=series.loc[list(keys)].to_numpy())
        blocks = {"model": {"estimator": "reduced_form", "errors": ["dyadic"]}}
        row = engine.run(written(tmp_path / str(replicate), reassigned, **blocks)).estimates.iloc[-1]
        here = drawn.loc[replicate]
        assert row["term"] == "instrument"
        assert_allclose(here["estimate"], row["estimate"], rtol=1e-9)
        assert_allclose(here["statistic"], row["statistic"], rtol=1e-8)
        assert_allclose(of_city.terms["estimate"], here["estimate"], rtol=1e-12)
    row = found.inference.set_index("method").loc["permutation_instrument"]
    blocks = {"model": {"estimator": "reduced_form", "errors": ["dyadic"]}}
    reduced = engine.run(written(tmp_path / "truth", frame, **blocks)).estimates.iloc[-1]
    assert_allclose(row["statistic"], reduced["statistic"], rtol=1e-9)
    as_far = (found.draws["statistic"].abs() >= abs(row["statistic"])).sum()
    assert_allclose(row["p_value"], (1 + as_far) / (1 + len(found.draws)))
    assert list(found.inference["method"]) == ["permutation_instrument"]


@pytest.mark.parametrize("seed", [4, 6, 9])
def test_the_interval_has_the_effects_that_are_not_rejected(seed: int) -> None:
    """Each effect by the regressions of y - b D in each draw, whose variances the Anderson-Rubin test has."""
    done = worlds.first_pass(panel(seed, n_cities=12), inference=REPS, **INSTRUMENT)
    test = instrument_test(done.prepared, done.results[0])
    replicates = np.arange(39, dtype=np.int32)
    found = accepted_effects(
        observed_instrument(test), instrument_draws(test, replicates), confidence=0.9, exact=False
    )
    cities = np.vstack([test.cities, permuted_classes(5, replicates, test.cities)])
    joint = []
    for of_draw in cities:
        design = test.prepared.design.with_level_of(test.column, of_draw)  # type: ignore[attr-defined]
        (estimated,) = estimate_pass(Machine(), replace(test.prepared, design=design))
        assert estimated.instrument is not None
        joint.append(joint_estimate(estimated.instrument[0]))

    def ratio(number: int, effect: float) -> float:
        y, d = joint[number].values
        return float(abs(y - effect * d) / variance_at(joint[number], (1.0, -effect), "dyadic").std_error[0])

    inside = []
    for effect in np.sinh(np.linspace(-7, 7, 61)):
        draws = sum(ratio(number, effect) >= ratio(0, effect) * (1 - 1e-9) for number in range(1, 40))
        inside.append((1 + draws) / 40 > 0.1)
        assert inside[-1] == any(low < effect < high for low, high in found.pieces), effect
    assert any(inside)


def test_few_cities_are_enumerated(tmp_path: Path) -> None:
    """Six cities have 720 arrangements, one of which is what happened."""
    frame = panel(2, n_cities=6)
    blocks = {"pairs": {"exclude": "none"}, "controls": {}}
    found = engine.run(written(tmp_path, frame, inference={"permutation": {"reps": 800}}, **blocks))
    row = found.inference.iloc[0]
    assert len(found.draws) == 720
    assert row["mc_error"] == 0
    values = found.draws["statistic"].abs()
    assert_allclose(row["p_value"], (values >= abs(row["statistic"]) * (1 - 1e-9)).mean())
    assert_allclose(values.iloc[0], abs(row["statistic"]), rtol=1e-9)


def test_workers_make_the_same_draws(tmp_path: Path) -> None:
    path = written(tmp_path, panel(), inference=REPS)
    here, there = engine.run(path), engine.run(path, workers=2)
    pd.testing.assert_frame_equal(here.draws, there.draws, check_exact=True)
    pd.testing.assert_frame_equal(here.inference, there.inference, check_exact=True)


def test_cells_that_share_a_pass_have_the_draws_of_each_alone(tmp_path: Path) -> None:
    """Their columns differ: with both controls, with one, and with none."""
    frame = panel()
    names = sorted(worlds.job_of(frame)["controls"])
    sets: list[list[str]] = [[], names[:1], names[1:], names]
    found = engine.run(written(tmp_path, frame, inference=REPS, sweep={"model.controls": sets}))
    rows = found.inference.set_index("cell")
    for number, (cell, controls) in enumerate(zip(rows.index, sets, strict=True)):
        blocks = {"model": {"estimator": "iv", "controls": controls}, "inference": REPS}
        alone = engine.run(written(tmp_path / str(number), frame, **blocks)).inference.iloc[0]
        for name in ("statistic", "p_value", "conf_low", "conf_high"):
            assert_allclose(rows.loc[cell, name], alone[name], rtol=1e-9)


@pytest.mark.parametrize("estimator", ["first_stage", "reduced_form"])
def test_the_regressions_behind_an_instrument_have_no_permutation_of_their_own(
    estimator: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"inference\.permutation is not defined for estimator {estimator}"):
        engine.run(written(tmp_path, panel(), model={"estimator": estimator}, inference=REPS))
