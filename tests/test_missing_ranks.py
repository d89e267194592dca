"""Cities whose gravity mass is missing have no place in the median, and none among those that adoption is dealt to."""

from __future__ import annotations

import draw_worlds as worlds
import numpy as np
import pandas as pd
import pytest
from strategies import KINDS, run_panel

import engine
from engine.errors import InputError
from engine.pairs.gravity import GravityModel, PairSample, unit_vectors

KEEP = {"source": "cities.parquet", "balance": "keep"}


def panel() -> pd.DataFrame:
    return worlds.panel(3, n_cities=10)


def without_mass(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The panel with the masses of two cities that never adopt emptied, and their names."""
    lost = list(frame.loc[frame["pilot_year"].isna(), "city"].unique()[:2])
    population = frame["population"].where(~frame["city"].isin(lost))
    return frame.assign(population=population), lost


@pytest.mark.parametrize("screen", ["recomputed", "fixed"])
def test_cities_without_mass_are_as_if_absent(screen: str) -> None:
    """All 8! / (3! 2! 3!) assignments are enumerated, so that the draws are those of the eight cities, in any order."""
    frame, lost = without_mass(panel())
    inference = {"permutation": {"reps": 600, "screen": screen}}
    model = {"errors": list(KINDS)}
    found, right = (
        run_panel(one, panel=KEEP, model=model, inference=inference)
        for one in (frame, frame[~frame["city"].isin(lost)])
    )
    numbers = ["estimate", "std_error", "n_obs", "n_pairs", "r2"]
    np.testing.assert_allclose(found.estimates[numbers], right.estimates[numbers], rtol=1e-12)
    _same_draws(found, right)


def _same_draws(found: engine.Results, right: engine.Results) -> None:
    assert len(found.draws) == len(right.draws) >= 560
    for number in ("estimate", "statistic"):
        drawn, expected = (np.sort(one.draws[number].to_numpy(float)) for one in (found, right))
        np.testing.assert_allclose(drawn, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("at_once", [4_000_000, 50])
def test_the_median_is_over_the_forces_there_are(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Both ways to find it: all values at once, and by counts in bins."""
    monkeypatch.setattr("engine.pairs.gravity._COLLECT", at_once)
    rng = np.random.default_rng(1)
    mass = rng.normal(size=30)
    mass[rng.choice(30, 8, replace=False)] = np.nan
    gravity = GravityModel(mass, unit_vectors(rng.uniform(20, 45, 30), rng.uniform(90, 125, 30)))
    sample = PairSample(np.arange(30, dtype=np.int32) % 2, np.array([[False, True], [True, True]]), gravity)
    i, j = np.triu_indices(30, 1)
    force = gravity.ln_force(i, j)[(i % 2) + (j % 2) > 0]
    known = force[np.isfinite(force)]
    assert sample.n_ranked == len(known) < sample.n_eligible == len(force)
    screened = sample.screened()
    assert screened.n_kept == (known > np.median(known)).sum()
    kept = screened.all_pairs()
    assert len(kept[0]) == screened.n_kept
    assert np.isfinite(mass[np.concatenate(kept)]).all()


def test_a_year_in_which_no_city_has_a_mass() -> None:
    frame = panel()
    frame["population"] = frame["population"].where(frame["year"] > frame["year"].min())
    pairs = {"exclude": "both_treated", "gravity": {"mass": ["population"], "year": "first"}}
    with pytest.raises(InputError, match="no pair has a gravity force"):
        run_panel(frame, panel=KEEP, pairs=pairs)
