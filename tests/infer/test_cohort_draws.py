"""Draws of averages over cohorts: each is the estimator on a pair-year table that is built anew, and its own error."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import literal_cohorts as literal
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from strategies import run_panel

from engine.errors import InputError
from engine.infer.draws import resampled_counts
from engine.infer.permutation import drawn_classes, permutation_draws
from engine.stages.inference.permutation_draws import permutation_test

Array = np.ndarray[Any, np.dtype[Any]]

EITHER: dict[str, Any] = {
    "pairs": {"exclude": "none"},
    "treatment": {"adoption": "pilot_year", "rule": "either"},
}
N_DRAWS = 20
CASES = {
    "paper": ("never", "varying", 0),
    "either": ("not_yet", "universal", 1),
    "everyone": ("not_yet", "varying", 0),
}


def panel(world: str) -> pd.DataFrame:
    frame = worlds.panel(3)
    cohorts = {
        "paper": [2012] + [2013] * 3 + [2014] * 2 + [2016] * 2 + [np.nan] * 8,
        "either": [2013] * 2 + [2014] * 2 + [2016] * 2 + [np.nan] * 10,
        "everyone": [2012] * 2 + [2013] * 4 + [2014] * 4 + [2016] * 6,
    }[world]
    codes = np.random.default_rng(8).permutation(cohorts)
    return frame.assign(pilot_year=np.repeat(codes, frame["year"].nunique()))


def job_of(world: str, **inference: Any) -> dict[str, Any]:
    control, base_period, anticipation = CASES[world]
    options = {"control": control, "base_period": base_period, "anticipation": anticipation}
    model = {"estimator": "callaway_santanna", "errors": ["dyadic"], "options": options}
    blocks: dict[str, Any] = {} if world == "paper" else EITHER
    return {"controls": {}, "model": model, "inference": inference, **blocks}


def wide_table(long: pd.DataFrame, anticipation: int) -> tuple[Array, Array, Array, Array]:
    """Years, cohorts, outcomes and ends of the pairs, the last cohort as the reference."""
    long = long.assign(adopted=long[["adoption_i", "adoption_j"]].min(axis=1))
    wide = long.pivot(index=["city_i", "city_j", "adopted"], columns="year", values="y").reset_index()
    last = long["adopted"].max()
    years = np.array([year for year in range(2010, 2018) if year < last - anticipation])
    adopted = wide["adopted"].where(wide["adopted"] < last, np.inf).to_numpy()
    return years, adopted, wide[years.tolist()].to_numpy(), wide[["city_i", "city_j"]].to_numpy()


def literal_draw(names: list[str], long: pd.DataFrame, world: str) -> tuple[Array, Array]:
    """Averages, and their t ratios with literal dyadic sums (city sums where these are not positive)."""
    control, base_period, anticipation = CASES[world]
    options = {"control": control, "base_period": base_period, "anticipation": anticipation}
    years, adopted, y, ends = wide_table(long, anticipation)
    ones = np.ones(len(y))
    values = literal.vectors((names, []), years, adopted, y, ones, **options)[0]
    psi = literal.influences((names, []), years, adopted, y, **options)[0]
    cities = np.unique(ends)
    n_parameters = len(set(adopted[np.isfinite(adopted)])) * (len(years) - 1) + len(years)
    factor = len(cities) / (len(cities) - 1) * (y.size - 1) / (y.size - n_parameters)
    error = np.sqrt(oracle.dyadic_variances(psi, ends) * factor)
    return values, values / error


@pytest.mark.parametrize("world", ["paper", "everyone", pytest.param("either", marks=pytest.mark.slow)])
def test_permutations_are_rebuilt_tables(world: str) -> None:
    frame = panel(world)
    done = worlds.first_pass(frame, **job_of(world, permutation={"reps": N_DRAWS, "seed": 5}))
    (result,) = done.results
    names = list(result.fit.names)
    block = result.cell.job.inference.permutation
    assert block is not None
    test = permutation_test(done.prepared, done.results, block)
    replicates = np.arange(-1, N_DRAWS, dtype=np.int32)
    draws = permutation_draws(test, replicates)
    np.testing.assert_allclose(draws.estimate[0][0], result.fit.values, rtol=0, atol=1e-11)
    t_ratio = result.fit.values / result.studentising.std_error
    np.testing.assert_allclose(draws.statistic[0][0], t_ratio, rtol=1e-7)
    grid = worlds.oracle_grid(frame, gravity=world == "paper")
    options: dict[str, Any] = {} if world == "paper" else {"rule": "either", "exclude": False}
    for row, classes in enumerate(drawn_classes(test, replicates)):
        long, _ = oracle.relabelled(grid, done.adopted(classes), **options)
        values, statistic = literal_draw(names, long, world)
        np.testing.assert_allclose(draws.estimate[0][row], values, rtol=0, atol=1e-10)
        np.testing.assert_allclose(draws.statistic[0][row], statistic, rtol=1e-6)


def test_node_draws_and_groups_left_out() -> None:
    """A resample of cities is the estimator on the literal table of copies; a group left out, on the table without."""
    frame = panel("either")
    inference = {"bootstrap": {"kind": "node", "reps": N_DRAWS, "seed": 2}, "jackknife": {"by": "province"}}
    results = run_panel(frame, **job_of("either", **inference))
    wide = results.draws.pivot(index="replicate", columns="term", values="estimate")
    names = list(dict.fromkeys(results.estimates["term"]))
    grid = worlds.oracle_grid(frame, gravity=False)
    long, _ = oracle.relabelled(grid, worlds.observed_adoption(frame), rule="either", exclude=False)
    groups = frame.groupby("city")["province"].first()
    influence = results.influence
    for group in groups.unique():
        rows = ~(long["city_i"].map(groups) == group) & ~(long["city_j"].map(groups) == group)
        values, _ = literal_draw(names, long[rows], "either")
        of_group = influence[influence["left_out"] == group].set_index("term")["estimate"]
        np.testing.assert_allclose(of_group[names], values, rtol=0, atol=1e-10)
    cities = sorted(groups.index)
    counts = resampled_counts(2, np.arange(N_DRAWS, dtype=np.int32), len(cities))
    for replicate, count in enumerate(counts):
        copies = oracle.resampled(long, dict(zip(cities, count.astype(int), strict=True)))
        values, _ = literal_draw(names, copies, "either")
        np.testing.assert_allclose(wide.loc[replicate, names], values, rtol=0, atol=1e-10)


def test_frames_of_a_permuted_job() -> None:
    terms = ["simple", "dynamic"]
    job = job_of("paper", permutation={"reps": N_DRAWS, "seed": 5, "terms": terms})
    results = run_panel(panel("paper"), **job)
    rows = results.inference[results.inference["method"] == "permutation"].set_index("term")
    assert rows.index.tolist() == terms
    assert rows["p_value"].between(0.04, 1).all()
    assert (results.inference["method"] == "permutation_max_t").sum() == 1


@pytest.mark.parametrize(
    ("inference", "message"),
    [
        ({"bootstrap": {"kind": "wild", "reps": 9}}, "inference.bootstrap is not defined for estimator"),
        ({"bootstrap": {"kind": "pipeline", "reps": 9}}, "inference.bootstrap is not defined for estimator"),
        ({"permutation": {"reps": 9, "terms": ["policy"]}}, "'policy' is no term of cell"),
    ],
)
def test_what_no_draw_can_run_again_is_refused(inference: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_panel(panel("paper"), **job_of("paper", **inference))


@pytest.mark.slow
def test_pairs_without_any_outcome_are_in_no_draw() -> None:
    """Two pairs of cities have equal series, so that their index is infinite; the layout of statistics is another."""
    frame = worlds.twins(3)
    done = worlds.first_pass(frame, **job_of("paper", permutation={"reps": 4, "seed": 1}))
    (result,) = done.results
    assert result.sample.infinite or result.normal is not None
    block = result.cell.job.inference.permutation
    assert block is not None
    test = permutation_test(done.prepared, done.results, block)
    replicates = np.arange(-1, 4, dtype=np.int32)
    draws = permutation_draws(test, replicates)
    grid = worlds.oracle_grid(frame)
    for row, classes in enumerate(drawn_classes(test, replicates)):
        long, _ = oracle.relabelled(grid, done.adopted(classes))
        values, _ = literal_draw(list(result.fit.names), long[np.isfinite(long["y"])], "paper")
        np.testing.assert_allclose(draws.estimate[0][row], values, rtol=0, atol=1e-10)
