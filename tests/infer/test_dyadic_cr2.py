"""The leave-one-city-out error less the interaction, against literal arithmetic on the rows of the pairs."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from strategies import pair_table, run_panel, run_table

from engine.estimate import city_years
from engine.estimate.city_years import CityYears
from engine.pairs.map_reduce import PairGraph
from engine.stages import estimation

Arrays = dict[str, Any]
EXACT = 1e-9


def literal(
    long: pd.DataFrame,
    names: list[str],
    cities: tuple[str, str],
    *,
    effects: tuple[str, ...] = ("year",),
    directed: bool = False,
    weight: str | None = None,
    instrument: str | None = None,
    one_step: bool = False,
    takes_both: bool = False,
) -> Arrays:
    """Coefficients, variances and degrees of freedom by dense least squares, refits without each city included.

    With ``one_step`` those refits are of columns from which the effects of all rows were taken; with ``takes_both``
    parts of cities and of pairs are added, see `Interaction.city_parts`.

    ``long`` has a row for each pair and year, ``y`` and regressors; those with a missing value do not count. Effects
    beside that of the pair are columns of it, or ``city x year``; the instrument stands for the last regressor. In
    directed tables a city has one effect a year as first and another as second, and a dyad is one.
    """
    long = long.dropna(subset=[*names, "y"])
    long = long[long.groupby(list(cities))["year"].transform("size") > 1]
    rows_weight = np.ones(len(long)) if weight is None else long[weight].to_numpy(dtype=float)
    units = sorted({*long[cities[0]], *long[cities[1]]})
    first, second = (long[side].map(units.index).to_numpy() for side in cities)
    pair = np.unique(first * len(units) + second, return_inverse=True)[1]
    year = np.unique(long["year"], return_inverse=True)[1]
    n_years, n_units = year.max() + 1, len(units)

    def city_year_dummies(offset: int) -> np.ndarray:
        dummies = np.zeros((len(long), (n_units + offset) * n_years))
        for side, start in ((first, 0), (second, offset)):
            dummies[np.arange(len(long)), (side + start) * n_years + year] += 1.0
        return dummies

    everything = [np.eye(pair.max() + 1)[pair]]
    for effect in effects:
        if effect == "city x year":
            everything.append(city_year_dummies(0))
        else:
            code = np.unique(long[effect], return_inverse=True)[1]
            everything.append(np.eye(code.max() + 1)[code])
    dummies_of_rows = np.concatenate(everything, axis=1)

    def without_effects(kept: np.ndarray) -> np.ndarray:
        dummies = dummies_of_rows[kept]
        columns = long[[*names, *([instrument] if instrument else []), "y"]].to_numpy(dtype=float)[kept]
        columns, root = columns - columns.mean(axis=0), np.sqrt(rows_weight[kept])[:, None]
        return columns - dummies @ np.linalg.lstsq(root * dummies, root * columns, rcond=None)[0]

    every_row = np.ones(len(long), dtype=bool)
    of_all_rows = without_effects(every_row)

    def regression(kept: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coefficients, residuals and the weights of the rows in them."""
        left, root = (
            of_all_rows[kept] if one_step else without_effects(kept),
            np.sqrt(rows_weight[kept])[:, None],
        )
        x, y = left[:, : len(names)], left[:, -1]
        z = x if instrument is None else np.concatenate([x[:, :-1], left[:, [-2]]], axis=1)
        z = z * root**2
        b = np.linalg.solve(z.T @ x, z.T @ y)
        return b, y - x @ b, z @ np.linalg.inv(x.T @ z)

    b, residual, weight = regression(every_row)
    in_city = np.array([(first == unit) | (second == unit) for unit in range(n_units)])
    steps = np.array([b - regression(~rows)[0] for rows in in_city])
    city_year = city_year_dummies(n_units if directed else 0)
    root = np.sqrt(rows_weight)
    alpha = np.linalg.lstsq(root[:, None] * city_year, root * residual, rcond=None)[0]
    left = residual - city_year @ alpha
    dyad = np.unique(np.minimum(first, second) * n_units + np.maximum(first, second), return_inverse=True)[1]
    by_dyad = np.eye(dyad.max() + 1)[dyad].T
    phi, kappa = by_dyad @ (weight * left[:, None]), by_dyad @ weight**2
    factor = len(long) / (len(long) - np.linalg.matrix_rank(city_year))
    interaction = factor * (phi**2).sum(axis=0)
    influence = in_city @ (weight * residual[:, None])
    gamma = np.array([
        sum(weight[rows & (year == t)].sum(axis=0) ** 2 for t in np.unique(year)) for rows in in_city
    ])  # fmt: skip
    of_city = in_city @ weight**2
    adopting = gamma.sum(axis=0) ** 2 / (gamma**2).sum(axis=0) if "city x year" not in effects else np.inf
    weighted = kappa.sum(axis=0) ** 2 / ((of_city**2).sum(axis=0) - (kappa**2).sum(axis=0))
    if instrument:
        steps = influence
    products = (influence * steps).sum(axis=0) - interaction
    if takes_both:
        a, n_rows = city_year.T @ weight, np.maximum(city_year.sum(axis=0), 1)
        a *= "city x year" not in effects
        spread = (kappa**2).sum(axis=0) / kappa.sum(axis=0) ** 2
        noise = (a**2 / n_rows[:, None]).sum(axis=0) / kappa.sum(axis=0)
        of_cities = (a * alpha[:, None]).reshape(n_units, n_years, -1).sum(axis=1)
        interaction = interaction / (1 - spread)
        products = (of_cities * steps).sum(axis=0) + (1 - noise) * interaction
        weighted = 1 / ((noise / 2) ** 2 * (1 / weighted - spread) + (1 - noise) ** 2 * spread)
    variance = np.maximum(products, interaction / 4)
    return {
        "estimate": b, "std_error": np.sqrt(variance),
        "dof": np.maximum(1.0, np.minimum(adopting, weighted) - 0.5),
    }  # fmt: skip


PANELS: dict[str, dict[str, Any]] = {
    "whole": {},
    "holes": {"holes": True},
    "tiles": {"runtime": {"tile": 8}},
    "holes and tiles": {"holes": True, "runtime": {"tile": 8}},
    "no screen": {"pairs": {"exclude": "both_treated"}},
    "event study": {"model": {"estimator": "event_study", "base": -1, "window": [-2, 1]}},
    "event study with holes": {
        "holes": True, "model": {"estimator": "event_study", "base": -1, "window": [-2, 1]}
    },
}  # fmt: skip


@pytest.mark.parametrize("many_cells", [False, True])
@pytest.mark.parametrize("name", PANELS)
def test_panels(name: str, many_cells: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a second pass of the cells' own, and from products that serve any number of cells."""
    if many_cells:
        monkeypatch.setattr(estimation, "CELLS", 0)
    blocks = dict(PANELS[name])
    frame = worlds.panel(holes=blocks.pop("holes", False))
    model = blocks.pop("model", {})
    estimates = run_panel(frame, model={**model, "errors": ["dyadic_cr2", "dyadic"]}, **blocks).estimates
    estimates = estimates[estimates["errors"] == "dyadic_cr2"]
    event = {"event": (-1, (-2, 1))} if model else {}
    grid = worlds.oracle_grid(frame, gravity="pairs" not in blocks)
    long, terms = oracle.relabelled(grid, worlds.observed_adoption(frame), rule="exactly_one", **event)
    expected = literal(long, ["edu", "dense", *terms], ("city_i", "city_j"))
    for column, values in expected.items():
        np.testing.assert_allclose(
            estimates[column].to_numpy(), values, rtol=EXACT, atol=EXACT, err_msg=column
        )


BOTH: dict[str, dict[str, Any]] = {
    **{name: blocks for name, blocks in PANELS.items() if name != "no screen"},
    "provinces by year": {"effects": "province x year"},
    "provinces by year with holes": {"holes": True, "effects": "province x year"},
    "cities by year": {"effects": "city x year"},
    "cities by year with holes": {"holes": True, "effects": "city x year"},
}


@pytest.mark.parametrize("many_cells", [False, True])
@pytest.mark.parametrize("name", BOTH)
def test_treatments_that_take_both_cities(
    name: str, many_cells: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of cities and of pairs, each counted once; controls and absorbed effects beside them."""
    if many_cells:
        monkeypatch.setattr(estimation, "CELLS", 0)
    blocks = {"pairs": {"exclude": "none"}, **BOTH[name]}
    frame = worlds.panel(7, holes=blocks.pop("holes", False))
    frame["pilot_year"] = frame["pilot_year"].where(frame["city"] < "city12")
    model, effects = blocks.pop("model", {}), blocks.pop("effects", "year")
    model = {**model, "fixed_effects": ["pair", effects], "errors": ["dyadic_cr2", "dyadic"]}
    treatment = {"adoption": "pilot_year", "rule": "both"}
    estimates = run_panel(frame, model=model, treatment=treatment, **blocks).estimates
    estimates = estimates[estimates["errors"] == "dyadic_cr2"]
    event = {"event": (-1, (-2, 1))} if "event" in name else {}
    adopted = worlds.observed_adoption(frame)
    long, terms = oracle.relabelled(
        worlds.oracle_grid(frame, gravity=False), adopted, rule="both", exclude=False, **event
    )
    province = frame.groupby("city")["province"].first()
    ends = np.sort([long[side].map(province) for side in ("city_i", "city_j")], axis=0)
    long["province x year"] = [
        " ".join(of_pair) for of_pair in zip(*ends, long["year"].astype(str), strict=True)
    ]
    expected = literal(
        long, ["edu", "dense", *terms], ("city_i", "city_j"), effects=(effects,), takes_both=True
    )
    for column, values in expected.items():
        np.testing.assert_allclose(
            estimates[column].to_numpy(), values, rtol=1e-8, atol=EXACT, err_msg=column
        )


@pytest.mark.parametrize("missing", [0.0, 0.15])
def test_pair_tables(missing: float) -> None:
    table = pair_table(3, missing=missing)
    results = run_table(table, model={"regressors": ["x", "w"], "errors": ["dyadic_cr2"]})
    expected = literal(table, ["x", "w"], ("one", "other"))
    for column, values in expected.items():
        np.testing.assert_allclose(results.estimates[column].to_numpy(), values, rtol=EXACT, atol=EXACT)


def test_matched_samples_do_not_depend_on_tiles() -> None:
    """Rows of matched pairs have weights, and cities stand in several tiles."""
    matching = {"covariates": ["edu", "dense"], "unit": "pair", "year": "mean"}
    first, second = (
        run_panel(
            worlds.panel(n_cities=24), pairs={"exclude": "both_treated"}, matching=matching,
            model={"errors": ["dyadic_cr2"]}, runtime={"tile": tile},
        ).estimates
        for tile in (8, 24)
    )  # fmt: skip
    for column in ("std_error", "dof"):
        np.testing.assert_allclose(first[column], second[column], rtol=1e-10)
    assert (first["std_error"] > 0).all()


def test_tasks_without_a_matched_pair() -> None:
    """One city adopts, so most tiles have no pair with a weight: their sums are zero, not missing."""
    frame = worlds.panel(n_cities=64)
    frame["pilot_year"] = np.where(frame["city"] == frame["city"].unique()[-1], 2013.0, np.nan)
    matching = {"covariates": ["edu", "dense"], "unit": "pair", "year": "mean", "caliper": 0.05}
    first, second = (
        run_panel(
            frame, pairs={"exclude": "both_treated"}, matching=matching,
            model={"errors": ["dyadic_cr2"]}, runtime={"tile": tile},
        ).estimates
        for tile in (8, 64)
    )  # fmt: skip
    np.testing.assert_allclose(first["dof"], second["dof"], rtol=1e-9)


def test_an_instrument() -> None:
    """Two-stage least squares by the linear form; the coefficients behind the instrument by their refits."""
    frame = worlds.panel()
    rng = np.random.default_rng(4)
    frame["shifter"] = rng.normal(size=len(frame)) + 2 * (frame["year"] >= frame["pilot_year"])
    results = run_panel(
        frame, model={"estimator": "iv", "errors": ["dyadic_cr2"]}, instrument={"sum": "shifter"}
    )
    long, terms = oracle.relabelled(
        worlds.oracle_grid(frame), worlds.observed_adoption(frame), rule="exactly_one"
    )
    shifter = frame.set_index(["city", "year"])["shifter"]
    ends = [
        shifter.reindex(pd.MultiIndex.from_frame(long[[side, "year"]])).to_numpy()
        for side in ("city_i", "city_j")
    ]
    long = long.assign(instrument=ends[0] + ends[1])
    names = ["edu", "dense"]
    expected = literal(long, [*names, *terms], ("city_i", "city_j"), instrument="instrument")
    for column, values in expected.items():
        np.testing.assert_allclose(results.estimates[column].to_numpy(), values, rtol=1e-8, atol=EXACT)
    reduced = literal(long, [*names, "instrument"], ("city_i", "city_j"))
    first = literal(long.assign(y=long[terms[0]]), [*names, "instrument"], ("city_i", "city_j"))
    strength = results.frames["instrument"].iloc[0]
    f = (first["estimate"][-1] / first["std_error"][-1]) ** 2
    assert strength["reduced_form"] == pytest.approx(reduced["estimate"][-1], rel=1e-8)
    assert strength["f_statistic"] == pytest.approx(f, rel=1e-8)


ROWS: dict[str, dict[str, Any]] = {
    "directed": {"directed": True},
    "directed and whole": {"directed": True, "missing": 0.0},
    "block x year": {"effects": ("block_year",)},
    "directed, block x year": {"directed": True, "effects": ("block_year",)},
    "city x year": {"effects": ("city x year",)},
    "weights": {"weight": "w8"},
    "directed, weights": {"directed": True, "weight": "w8"},
    "block x year, weights": {"effects": ("block_year",), "weight": "w8"},
}


@pytest.mark.parametrize(
    ("name", "leave_outs"),
    [
        (name, leave_outs)
        for name, case in ROWS.items()
        for leave_outs in (("one_step", "refits") if "effects" in case else ("",))
    ],
)
def test_directed_and_weighted_tables_and_absorbed_effects(name: str, leave_outs: str) -> None:
    case = {"directed": False, "missing": 0.1, "effects": ("year",), **ROWS[name]}
    directed, effects, weight = case["directed"], case["effects"], case.get("weight")
    table = pair_table(5, n_units=8, missing=case["missing"], directed=directed)
    table["w8"] = np.random.default_rng(8).integers(1, 5, len(table)) / 3
    table["block"] = table["one"].str[1:].astype(int) % 2 + table["other"].str[1:].astype(int) % 2
    table["block_year"] = table["block"] * 10_000 + table["year"]
    listed = ["pair", *("block x year" if effect == "block_year" else effect for effect in effects)]
    results = run_table(
        table,
        pair_table={
            "source": "pairs.parquet",
            "unit_i": "one",
            "unit_j": "other",
            "year": "year",
            "directed": directed,
            **({"weight": weight} if weight else {}),
        },
        model={
            "regressors": ["x", "w"],
            "fixed_effects": listed,
            "errors": ["dyadic_cr2"],
            **({"leave_outs": leave_outs} if leave_outs else {}),
        },
    )
    expected = literal(
        table,
        ["x", "w"],
        ("one", "other"),
        effects=effects,
        directed=directed,
        weight=weight,
        one_step=leave_outs == "one_step",
    )
    for column, values in expected.items():
        np.testing.assert_allclose(results.estimates[column].to_numpy(), values, rtol=1e-8, atol=EXACT)


@pytest.mark.parametrize(
    ("edges", "rank"),
    [
        ([(0, 1), (1, 2), (0, 2)], 3),  # a triangle
        ([(0, 1), (0, 2), (0, 3)], 3),  # a star is bipartite
        ([(0, 1), (1, 2), (2, 3), (0, 3)], 3),  # a square too
        ([(0, 1), (2, 3), (3, 4), (2, 4)], 4),  # an edge and a triangle
    ],
)
def test_what_is_free_in_a_bipartite_graph(edges: list[tuple[int, int]], rank: int) -> None:
    """Fitted values are those of least squares, whatever is set to zero."""
    i, j = np.array(edges, dtype=np.int32).T
    years = CityYears(PairGraph(i, j, None), n_units=6, n_years=2)
    residuals = np.random.default_rng(1).normal(size=(len(edges), 2))
    dummies = np.eye(6)[i] + np.eye(6)[j]
    effects = years.solve((dummies.T @ residuals)[:, :, None])[:, :, 0]
    fitted = dummies @ np.linalg.lstsq(dummies, residuals, rcond=None)[0]
    assert years.rank == 2 * rank == 2 * np.linalg.matrix_rank(dummies)
    np.testing.assert_allclose(dummies @ effects, fitted, atol=1e-12)


def test_a_graph_on_which_conjugate_gradients_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring of an odd number of cities is bipartite but for one pair; the same effects by either way."""
    n_units = 401
    i = np.arange(n_units, dtype=np.int32)
    years = CityYears(PairGraph(i, np.roll(i, -1), None), n_units=n_units, n_years=1)
    residuals = np.random.default_rng(2).normal(size=(n_units, 3))
    dummies = np.eye(n_units)[i] + np.eye(n_units)[np.roll(i, -1)]
    expected = np.linalg.solve(dummies, residuals)  # as many pairs as cities: nothing is left
    for rounds in (3, 10_000):
        monkeypatch.setattr(city_years, "_ROUNDS", rounds)
        city_years.conjugate_gradients.clear_cache()
        effects = years.solve((dummies.T @ residuals)[:, None])[:, 0]
        np.testing.assert_allclose(effects, expected, atol=1e-7 * np.abs(expected).max())
    city_years.conjugate_gradients.clear_cache()
