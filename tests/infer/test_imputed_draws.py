"""Draws of imputed effects and leads: each is both stages on a pair-year table built anew, and its own error."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from literal_imputation import literal_imputation, usable
from strategies import run_panel

from engine.infer.draws import resampled_counts
from engine.infer.permutation import drawn_classes, permutation_draws
from engine.stages.inference.permutation_draws import permutation_test

Array = np.ndarray[Any, np.dtype[Any]]

N_DRAWS = 20
LEADS, LAST = [-2, -1], 2
EITHER: dict[str, Any] = {
    "pairs": {"exclude": "none"},
    "treatment": {"adoption": "pilot_year", "rule": "either"},
}


def panel(*, holes: bool = False) -> pd.DataFrame:
    """Sixteen cities, nine of which adopt in 2013, 2014 or 2016."""
    frame = worlds.panel(3, holes=holes)
    codes = np.random.default_rng(8).permutation([2013.0] * 3 + [2014] * 3 + [2016] * 3 + [np.nan] * 7)
    return frame.assign(pilot_year=np.repeat(codes, frame["year"].nunique()))


def job_of(controls: list[str], blocks: dict[str, Any], **inference: Any) -> dict[str, Any]:
    model = {
        "estimator": "imputation",
        "window": [LEADS[0], LAST],
        "errors": ["dyadic"],
        "controls": controls,
    }
    return {"model": model, "inference": inference, **blocks}


def literal_draw(long: pd.DataFrame, controls: list[str]) -> tuple[pd.Series, Array]:
    """Coefficients, and t ratios with literal dyadic sums, city sums where these are not positive."""
    long = usable(long.assign(adopted=long[["adoption_i", "adoption_j"]].min(axis=1)), controls)
    literal = literal_imputation(long, controls, LEADS, LAST)
    variances = oracle.dyadic_variances(literal.influences.to_numpy(), literal.ends)
    squares = variances * literal.factor(len(literal.cities))
    return literal.coefficients, literal.coefficients.to_numpy() / np.sqrt(squares)


@pytest.mark.parametrize(
    ("controls", "blocks", "holes"),
    [([], {}, False), (["edu", "dense"], {}, True), (["edu"], EITHER, False), ([], EITHER, True)],
)
def test_permutations_are_rebuilt_tables(controls: list[str], blocks: dict[str, Any], holes: bool) -> None:
    frame = panel(holes=holes)
    done = worlds.first_pass(frame, **job_of(controls, blocks, permutation={"reps": N_DRAWS, "seed": 5}))
    (result,) = done.results
    names = list(result.fit.names)
    block = result.cell.job.inference.permutation
    assert block is not None
    test = permutation_test(done.prepared, done.results, block)
    replicates = np.arange(-1, N_DRAWS, dtype=np.int32)
    draws = permutation_draws(test, replicates)
    tested = list(test.cells[0].tested)
    np.testing.assert_allclose(draws.estimate[0][0], result.fit.values[tested], rtol=0, atol=1e-11)
    t_ratio = result.fit.values / result.studentising.std_error
    np.testing.assert_allclose(draws.statistic[0][0], t_ratio[tested], rtol=1e-7)
    grid = worlds.oracle_grid(frame, gravity=not blocks)
    options: dict[str, Any] = {"rule": "either", "exclude": False} if blocks else {}
    for row, classes in enumerate(drawn_classes(test, replicates)):
        long, _ = oracle.relabelled(grid, done.adopted(classes), **options)
        values, statistic = literal_draw(long, controls)
        assert list(values.index) == names
        np.testing.assert_allclose(draws.estimate[0][row], values.to_numpy()[tested], rtol=0, atol=1e-10)
        np.testing.assert_allclose(draws.statistic[0][row], statistic[tested], rtol=1e-6)


def test_node_draws_and_groups_left_out() -> None:
    """A resample of cities is the estimator on the literal table of copies; a group left out, on the table without."""
    frame, controls = panel(), ["edu"]
    inference = {"bootstrap": {"kind": "node", "reps": N_DRAWS, "seed": 2}, "jackknife": {"by": "province"}}
    results = run_panel(frame, **job_of(controls, EITHER, **inference))
    wide = results.draws.pivot(index="replicate", columns="term", values="estimate")
    grid = worlds.oracle_grid(frame, gravity=False)
    long, _ = oracle.relabelled(grid, worlds.observed_adoption(frame), rule="either", exclude=False)
    groups = frame.groupby("city")["province"].first()
    for group in groups.unique():
        rows = ~(long["city_i"].map(groups) == group) & ~(long["city_j"].map(groups) == group)
        values, _ = literal_draw(long[rows], controls)
        influence = results.influence
        of_group = influence[influence["left_out"] == group].set_index("term")["estimate"]
        np.testing.assert_allclose(of_group, values[of_group.index], rtol=0, atol=1e-10)
    cities = sorted(groups.index)
    counts = resampled_counts(2, np.arange(N_DRAWS, dtype=np.int32), len(cities))
    for replicate, count in enumerate(counts):
        copies = oracle.resampled(long, dict(zip(cities, count.astype(int), strict=True)))
        values, _ = literal_draw(copies, controls)
        drawn = wide.loc[replicate].dropna()
        np.testing.assert_allclose(drawn, values[drawn.index], rtol=0, atol=1e-10)
