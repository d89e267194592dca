"""Comparisons behind two-way fixed effects, and weights of effects, against literal regressions on pair-years."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
import reference
from strategies import run_panel

from engine.errors import InputError
from engine.estimate.effect_weights import least_heterogeneity
from engine.estimate.goodman_bacon import two_by_twos

MATH_REFORM = Path(__file__).parents[3] / "shared" / "data" / "oracles" / "math_reform.parquet"
PAIR = ["city_i", "city_j"]
SUM = 1e-12
"""Of a coefficient: sums of some hundred products in double precision."""
LITERAL = 1e-9
EITHER: dict[str, Any] = {
    "pairs": {"exclude": "none"},
    "treatment": {"adoption": "pilot_year", "rule": "either"},
}


def model(*diagnostics: str, **keys: Any) -> dict[str, Any]:
    return {"controls": [], "errors": ["pair"], "diagnostics": list(diagnostics), **keys}


def panel(*, everyone: bool = False, always: bool = False) -> pd.DataFrame:
    """Years 2010 to 2017, cohorts of 2012, 2015 and 2016; with ``always`` some cities that adopted in 2009."""
    frame, years = worlds.panel(5), [2012, 2015, 2016, 2015, *([2009] if always else [])]
    n_adopters = worlds.N_CITIES if everyone else 9
    codes = np.full(worlds.N_CITIES, np.nan)
    codes[:n_adopters] = np.resize(years, n_adopters)
    codes = np.random.default_rng(2).permutation(codes)
    return frame.assign(pilot_year=np.repeat(codes, frame["year"].nunique()))


def pair_years(frame: pd.DataFrame, *, rule: str = "exactly_one", exclude: bool = True) -> pd.DataFrame:
    grid = worlds.oracle_grid(frame, gravity=False)
    long, _ = oracle.relabelled(grid, worlds.observed_adoption(frame), rule=rule, exclude=exclude)
    return long.assign(start=long[["adoption_i", "adoption_j"]].min(axis=1))


def literal_two_by_twos(long: pd.DataFrame) -> dict[tuple[str, str], tuple[float, float]]:
    """Weight and effect by (treated, control): least squares with pair and year effects on each comparison's rows.

    A comparison weighs (its rows) x (squares that effects leave of the treatment), over those of all rows.
    """
    first, last = long["year"].min(), long["year"].max()
    start = long["start"].where(long["start"] > first, -np.inf)
    long = long.assign(start=start.where(start <= last, np.inf))

    def squares(rows: pd.DataFrame) -> float:
        return len(rows) * float((reference.residuals(rows, ["policy", "y"])["policy"] ** 2).sum())

    comparisons = {}
    for earlier, later in combinations(sorted(long["start"].unique()), 2):
        both = long[long["start"].isin([earlier, later])]
        samples = {
            (earlier, later): both[both["year"] < later],
            (later, earlier): both[both["year"] >= earlier],
        }
        for (treated, control), rows in samples.items():
            if not np.isfinite(treated):
                continue
            effect = reference.estimate(rows, ["policy"]).coefficients[0]
            comparisons[name(treated), name(control)] = (squares(rows) / squares(long), effect)
    return comparisons


def name(year: float) -> str:
    return f"{year:.0f}" if np.isfinite(year) else "never" if year > 0 else "always"


WORLDS = {
    "never treated": (panel, {}, {"pairs": {"exclude": "both_treated"}}),
    "everyone": (lambda: panel(everyone=True), {"rule": "either", "exclude": False}, EITHER),
    "always treated": (lambda: panel(always=True), {"rule": "either", "exclude": False}, EITHER),
}


@pytest.mark.parametrize("world", WORLDS)
def test_comparisons_against_regressions_of_each(world: str) -> None:
    make, options, blocks = WORLDS[world]
    frame = make()
    results = run_panel(frame, model=model("goodman_bacon"), **blocks)
    rows = results.frames["goodman_bacon"]
    expected = literal_two_by_twos(pair_years(frame, **options))
    assert set(zip(rows["treated"], rows["control"], strict=True)) == set(expected)
    for row in rows.itertuples():
        weight, effect = expected[row.treated, row.control]
        np.testing.assert_allclose([row.weight, row.effect], [weight, effect], rtol=LITERAL)
    coefficient = results.estimates["estimate"].iloc[0]
    np.testing.assert_allclose((rows["weight"] * rows["effect"]).sum(), coefficient, rtol=SUM)
    np.testing.assert_allclose(rows["weight"].sum(), 1.0, rtol=SUM)


@pytest.mark.realdata
@pytest.mark.skipif(not MATH_REFORM.exists(), reason=f"no public example: {MATH_REFORM.name} is not there")
def test_published_comparisons_of_mathematics_reforms() -> None:
    """Weights and effects of Goodman's state reforms, as the package bacondecomp prints them."""
    frame = pd.read_parquet(MATH_REFORM)
    wide = frame.pivot(index="state", columns="class", values="incearn_ln")
    years = wide.columns.to_numpy(dtype=float)
    reform = frame.groupby("state")["reformyr_math"].first().reindex(wide.index).to_numpy(dtype=float)
    starts, group = np.unique(np.where(reform <= years[-1], reform, np.inf), return_inverse=True)
    sums = np.stack([wide.to_numpy()[group == number].sum(axis=0) for number in range(len(starts))])
    rows = pd.DataFrame(two_by_twos(starts, np.bincount(group).astype(float), sums, years))
    weight = rows.groupby("kind")["weight"].sum()
    effect = (rows["weight"] * rows["effect"]).groupby(rows["kind"]).sum() / weight
    published = {
        "earlier and later treated": (0.06353, 0.02868),
        "later and earlier treated": (0.05265, 0.03375),
        "treated and never treated": (0.88382, -0.00129),
    }
    for kind, numbers in published.items():
        np.testing.assert_allclose([weight[kind], effect[kind]], numbers, rtol=0, atol=6e-6, err_msg=kind)


@pytest.mark.parametrize("controls", [[], ["edu", "dense"]])
@pytest.mark.parametrize("world", WORLDS)
def test_weights_against_a_residual_regression(world: str, controls: list[str]) -> None:
    make, options, blocks = WORLDS[world]
    frame = make()
    results = run_panel(frame, model=model("effect_weights", controls=controls), **blocks)
    rows = results.frames["effect_weights"].set_index(["adopted", "year"])
    long = pair_years(frame, **options)
    residual = policy_residual(long, controls)
    cells = [long["start"].where(long["start"] > long["year"].min(), -np.inf).map(name), long["year"]]
    is_treated = long["policy"] != 0
    total = (residual * long["policy"]).sum()
    expected = (residual[is_treated] / total).groupby([part[is_treated] for part in cells]).sum()
    assert len(rows) == len(expected)
    np.testing.assert_allclose(rows["weight"], expected.loc[rows.index], rtol=0, atol=LITERAL)
    np.testing.assert_allclose(rows["weight"].sum(), 1.0, rtol=SUM)
    sizes = is_treated.groupby(cells).sum()
    np.testing.assert_array_equal(rows["rows"], sizes.loc[rows.index])
    (summary,) = results.frames["effect_weight_summary"].itertuples()
    assert summary.cells == len(expected)
    assert summary.negative_cells == (expected < -1e-12).sum()
    np.testing.assert_allclose(summary.negative_weight, expected[expected < -1e-12].sum(), atol=LITERAL)
    if world == "everyone":
        assert summary.negative_cells > 0
        assert np.isfinite(summary.sigma_reversed)


def policy_residual(long: pd.DataFrame, controls: list[str]) -> pd.Series:
    """The treatment less its projection on pair and year effects and controls."""
    rows = reference.residuals(long, [*controls, "policy", "y"])
    if controls:
        x = rows[controls].to_numpy()
        slopes = np.linalg.lstsq(x, rows["policy"].to_numpy(), rcond=None)[0]
        return rows["policy"] - x @ slopes
    return rows["policy"]


def test_weights_of_pairs_that_adopt_twice() -> None:
    """Rule exactly_one switches off: cells of each path, treated years alone."""
    frame = panel()
    results = run_panel(frame, model=model("effect_weights"), pairs={"exclude": "none"})
    rows = results.frames["effect_weights"]
    long = pair_years(frame, exclude=False)
    residual = policy_residual(long, [])
    expected = residual[long["policy"] == 1].sum() / (residual * long["policy"]).sum()
    np.testing.assert_allclose([rows["weight"].sum(), 1.0], expected, rtol=SUM)
    assert "2012, 2015" in set(rows["adopted"])
    switched = rows[rows["adopted"] == "2012, 2015"]
    assert switched["year"].tolist() == [2012, 2013, 2014]


@pytest.mark.parametrize("seed", range(20))
def test_least_heterogeneity_against_a_search(seed: int) -> None:
    """The least standard deviations, by quadratic programmes on every set of cells that may have an effect."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(6))
    weights = shares * (1 + rng.normal(size=6) * 0.8)
    weights[0] = -0.1
    weights[1:] *= 1.1 / weights[1:].sum()
    least = least_heterogeneity(0.3, weights, shares)
    searched = [least_spread(weights, shares, list(cells), mean_zero=False) for cells in subsets(6)]
    np.testing.assert_allclose(least.reversed, 0.3 * min(searched), rtol=LITERAL)
    everything = least_spread(weights, shares, list(range(6)), mean_zero=True)
    np.testing.assert_allclose(least.zero, 0.3 * everything, rtol=LITERAL)


def subsets(size: int) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(range(size), count) for count in range(1, size + 1))


def least_spread(weights: np.ndarray, shares: np.ndarray, cells: list[int], *, mean_zero: bool) -> float:
    """Least standard deviation of effects that give a coefficient of one, and are zero outside some cells.

    With ``mean_zero`` their mean is zero; else those with an effect above zero do not count.
    """
    part, size = shares[cells], len(cells)
    constraints = np.stack([weights[cells], *([part] if mean_zero else [])])
    n_equal = len(constraints)
    system = np.zeros((size + n_equal,) * 2)
    system[:size, :size] = np.diag(part) - np.outer(part, part)
    system[:size, size:], system[size:, :size] = constraints.T, constraints
    solution = np.linalg.lstsq(system, np.eye(size + n_equal)[size], rcond=None)[0][:size]
    if abs(weights[cells] @ solution - 1) > LITERAL or (not mean_zero and (solution > LITERAL).any()):
        return np.inf
    return float(np.sqrt(part @ solution**2 - (part @ solution) ** 2))


def test_weights_without_negative_ones_allow_no_reversal() -> None:
    least = least_heterogeneity(0.2, np.array([0.25, 0.75]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(least.zero, 0.2 / 0.5)
    assert np.isnan(least.reversed)


def test_tables_and_figure_are_written(tmp_path: Path) -> None:
    both = model("goodman_bacon", "effect_weights")
    for lang in ("en", "zh"):
        out = tmp_path / lang
        run_panel(panel(), {"out": out, "lang": lang}, model=both, pairs={"exclude": "both_treated"})
        (folder,) = (path for path in out.iterdir() if path.is_dir())
        files = {path.name for path in folder.iterdir()}
        assert {
            "goodman_bacon.parquet", "goodman_bacon.pdf", "goodman_bacon.png", "table_goodman_bacon.txt",
            "effect_weights.parquet", "effect_weight_summary.parquet", "table_effect_weights.txt",
        } <= files  # fmt: skip
        text = (folder / "table_goodman_bacon.txt").read_text("utf-8")
        assert ("treated and never treated" in text) == (lang == "en")


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"model": model("goodman_bacon", controls=["edu"])}, "not defined for regressions with controls"),
        ({"model": model("goodman_bacon"), "pairs": {"exclude": "none"}}, "under which pairs adopt twice"),
        ({"model": model("goodman_bacon", estimator="event_study")}, "model.diagnostics: has no meaning"),
        (
            {"model": model("effect_weights", fixed_effects=["pair", "year", "province x year"])},
            "model.diagnostics: has no meaning",
        ),
        ({"model": model("effect_weights", lag=1)}, "effect_weights is of pairs that have all years"),
    ],
)
def test_what_has_no_diagnostics_is_refused(blocks: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_panel(panel(), **{"pairs": {"exclude": "both_treated"}, **blocks})


def test_infinite_outcomes_have_no_diagnostics() -> None:
    with pytest.raises(InputError, match="rows with an infinite outcome are left out"):
        run_panel(worlds.twins(), model=model("effect_weights"), pairs={"exclude": "both_treated"})
