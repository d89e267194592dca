"""Effects of treatments that switch off or have doses, against the definition on the pair-year table."""

from __future__ import annotations

from functools import cache
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from literal_switchers import Switches
from strategies import run_panel
from tolerances import BRUTE

from engine.errors import InputError
from engine.estimate.cohort_effects import cohort_effects
from engine.estimate.estimators import ESTIMATORS
from engine.estimate.gradient import differentiate_sums
from engine.infer.draws import resampled_counts
from engine.infer.permutation import drawn_classes, permutation_draws
from engine.stages.inference.permutation_draws import permutation_test

Array = np.ndarray[Any, np.dtype[Any]]

ERRORS = ["pair", "dyadic_cr2", "dyadic", "jackknife"]
WINDOW = (-3, 2)
N_CITIES = 14
N_DRAWS = 12
ADOPTERS = {
    "reversed": [2009] + [2010] * 2 + [2013] * 2 + [2014] * 2 + [2015] * 2 + [np.nan] * 5,
    "absorbing": [2013] * 2 + [2014] * 2 + [2015] * 2 + [np.nan] * 8,
}
RULES = {"exactly_one": "reversed", "count": "reversed", "either": "absorbing", "both": "absorbing"}


@cache
def panel(world: str, seed: int = 0) -> pd.DataFrame:
    """Years 2010 to 2017; in one world some cities adopt before the second year, so that pairs switch off too."""
    frame = worlds.panel(seed, n_cities=N_CITIES)
    codes = np.random.default_rng(seed + 5).permutation(ADOPTERS[world])
    return frame.assign(pilot_year=np.repeat(codes, frame["year"].nunique()))


def job(rule: str, model: dict[str, Any] | None = None, **blocks: Any) -> dict[str, Any]:
    base = {"estimator": "de_chaisemartin", "errors": ERRORS, "window": list(WINDOW), "controls": []}
    return {
        "controls": {},
        "pairs": {"exclude": "none"},
        "treatment": {"adoption": "pilot_year", "rule": rule},
        "model": {**base, **(model or {})},
        **blocks,
    }


def long_frame(frame: pd.DataFrame, rule: str, adopted: dict[str, float] | None = None) -> pd.DataFrame:
    grid = worlds.oracle_grid(frame, gravity=False)
    adopted = worlds.observed_adoption(frame) if adopted is None else adopted
    return oracle.relabelled(grid, adopted, rule=rule, exclude=False)[0]


@cache
def estimated(rule: str, control: str = "not_yet") -> tuple[Switches, Any]:
    frame = panel(RULES[rule])
    done = worlds.first_pass(frame, **job(rule, {"options": {"control": control}}))
    return Switches(long_frame(frame, rule)), done


def close(actual: Array, expected: Array, tolerance: float = BRUTE) -> None:
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.nanmax(np.abs(expected)))


CASES = [("exactly_one", "not_yet"), ("exactly_one", "never"), ("count", "not_yet"), ("either", "not_yet")]


@pytest.mark.parametrize(("rule", "control"), CASES)
def test_values_and_influences_are_those_of_the_definition(rule: str, control: str) -> None:
    table, done = estimated(rule, control)
    fit = done.results[0].fit
    expected = table.effects(WINDOW, control=control)
    events = [f"policy[{time:+d}]" for time in (-3, -2, 0, 1, 2)]
    assert list(fit.names) == [
        "average_total_effect",
        *events,
        *(f"normalised[+{time}]" for time in range(3)),
    ]
    assert list(expected) == list(fit.names)
    close(fit.values, np.array(list(expected.values())))
    psi = table.influences(list(fit.names), WINDOW, control=control)
    for side, sums in enumerate((fit.city_first, fit.city_second)):
        by_city = [psi[table.ends[:, side] == unit].sum(axis=0) for unit in done.units]
        close(sums, np.array(by_city))
    close(fit.pair_meat, psi.T @ psi)
    assert (fit.n_obs, fit.n_pairs) == (table.y.size, len(table.y))
    assert fit.n_parameters == table.n_parameters(WINDOW)


@pytest.mark.parametrize(("rule", "control"), CASES[::2])
def test_errors_are_literal_sums_and_refits(rule: str, control: str) -> None:
    table, done = estimated(rule, control)
    result = done.results[0]
    names, n_cities = list(result.fit.names), len(table.cities)
    psi = table.influences(names, WINDOW, control=control)
    by_kind = {covariance.kind: covariance.matrix for covariance in result.covariances}
    close(by_kind["pair"], psi.T @ psi * table.factor(WINDOW, len(psi)))
    variance, node = table.dyadic(psi)
    is_positive = variance > 1e-12 * node
    assert is_positive.sum() > len(names) / 2
    variance = np.where(is_positive, variance, node) * table.factor(WINDOW, n_cities)
    close(np.diag(by_kind["dyadic"]), variance)
    refits = [
        table.rows((table.ends != city).all(axis=1)).vector(names, WINDOW, control=control)
        for city in table.cities
    ]
    steps = np.array(refits) - result.fit.values
    close(by_kind["jackknife"], (n_cities - 1) / n_cities * steps.T @ steps)


def test_interaction_is_of_residuals_around_the_means_of_paths() -> None:
    """What dyadic CR2 subtracts: weights of outcomes times what city-year effects leave of those residuals."""
    table, done = estimated("exactly_one")
    fit = done.results[0].fit
    within = table.y - table.y.mean(axis=1, keepdims=True)
    paths = np.array([str(path) for path in table.paths(WINDOW)])
    residual = within.copy()
    for path in np.unique(paths):
        residual[paths == path] -= within[paths == path].mean(axis=0)
    ends = np.array([[city in pair for city in table.cities] for pair in table.ends], dtype=float)
    residual -= ends @ np.linalg.lstsq(ends, residual, rcond=None)[0]
    weights = np.zeros((*table.y.shape, len(fit.names)))
    for path in np.unique(paths):  # pairs of a path have the same weights
        pair = int(np.flatnonzero(paths == path)[0])
        for year in range(table.y.shape[1]):
            unit = table.rows(np.ones(len(table.y), dtype=bool))
            unit.y = np.zeros_like(table.y)
            unit.y[pair, year] = 1.0
            weights[paths == path, year] = unit.vector(list(fit.names), WINDOW)
    phi = np.einsum("pt,ptk->pk", residual, weights)
    free = table.y.size - np.linalg.matrix_rank(ends) * table.y.shape[1]
    assert fit.interaction is not None
    close(fit.interaction.matrix, phi.T @ phi * table.y.size / free, 1e-9)


@pytest.mark.parametrize("rule", ["either", "both"])
def test_an_absorbing_treatment_has_the_effects_of_cohorts(rule: str) -> None:
    """Event years from adoption on, with their errors, are those of callaway_santanna with not-yet controls."""
    frame = panel("absorbing")
    options = {"control": "not_yet", "base_period": "universal"}
    cohorts = {"estimator": "callaway_santanna", "window": None, "options": options}
    columns = ["estimate", "std_error", "dof"]
    ours, theirs = (
        run_panel(frame, **job(rule, model)).estimates.set_index(["term", "errors"])[columns]
        for model in (None, cohorts)
    )
    events = [f"policy[+{time}]" for time in range(3)]
    expected = theirs.loc[events]
    pd.testing.assert_frame_equal(ours.loc[events], expected, rtol=BRUTE, atol=BRUTE)
    dose = ours.loc[[f"normalised[+{time}]" for time in range(3)], "estimate"].to_numpy()
    np.testing.assert_allclose(dose * np.repeat([1, 2, 3], len(ERRORS)), expected["estimate"], rtol=1e-12)


STORED = {
    "exactly_one": (
        *(-0.3960185019248314, -0.13833738771274418, -0.08407862514279055),
        *(-0.11629774244318627, -0.5648221179904804, -0.37492947803255),
        *(-0.11629774244318612, -0.30258327749489977, -0.1405985542622063),
    ),
    "count": (
        *(-0.26495652387511004, -0.18736489557619787, -0.09232751591656702),
        *(-0.033224121020564344, -0.5329002688402523, -0.35070929592924566),
        *(-0.03171393370144783, -0.23980512097811382, -0.10135176900707564),
    ),
}
"""moderndid 0.2.0, ``did_multiplegt(effects=3, placebo=2, normalized=...)`` on the pair-years of the world "absorbing"
with the treatment of the rule: average total effect, event years -3, -2, 0, 1, 2, and those from 0 on normalised."""


@pytest.mark.parametrize("rule", STORED)
def test_stored_output_of_a_package(rule: str) -> None:
    done = worlds.first_pass(panel("absorbing"), **job(rule))
    np.testing.assert_allclose(done.results[0].fit.values, STORED[rule], rtol=1e-9)


def test_effects_of_a_treatment_that_switches_off_are_exact_without_noise() -> None:
    """A unit of treatment adds 2 in its year and 1 in the next; a share q of the switchers has it in both."""
    table, done = estimated("exactly_one")
    (timing,), functions = done.prepared.timings, ESTIMATORS["de_chaisemartin"].functions
    dose = table.treatment - table.treatment[:, :1]
    y = 2 * dose + np.pad(dose, ((0, 0), (1, 0)))[:, :-1]
    y += np.sin(np.arange(len(y)))[:, None] + np.cos(table.years)
    y += table.treatment[:, :1] * np.sqrt(table.years - 2000)  # a trend of those that are treated at first
    classes = dict(zip(done.units, done.prepared.adoption.classes, strict=True))
    number = np.array([functions.cohorts(timing).of_classes[classes[i], classes[j]] for i, j in table.ends])
    rows = done.results[0].cohort_cells.sums.rows
    of_pairs = np.zeros((2, len(y), len(rows.changed), 1 + y.shape[1]))
    within = y - y.mean(axis=1, keepdims=True)
    of_pairs[0, np.arange(len(y)), number.astype(int)] = np.column_stack([np.ones(len(y)), within])
    comparisons = functions.comparisons(timing, rows)
    effects = differentiate_sums(cohort_effects, comparisons.arrays(), of_pairs)
    values = dict(zip([term.name for term in comparisons.terms], effects.values, strict=True))
    np.testing.assert_allclose([values["policy[-3]"], values["policy[-2]"]], 0.0, atol=1e-12)
    compared = [(pair, at) for pair, at, *_ in table.switchers(1, "not_yet")]
    q = np.mean([abs(dose[pair, at]) for pair, at in compared])
    assert 0.2 < q < 0.9
    expected = [2.0, 2 * q + 1, 2.0, (2 * q + 1) / (q + 1)]
    names = ["policy[+0]", "policy[+1]", "normalised[+0]", "normalised[+1]"]
    np.testing.assert_allclose([values[name] for name in names], expected, rtol=1e-12)


def literal_draw(names: list[str], long: pd.DataFrame) -> tuple[Array, Array]:
    """Terms of a literal table, and their t ratios with literal dyadic sums (city sums where none is positive)."""
    table = Switches(long)
    psi = table.influences(names, WINDOW)
    variance, node = table.dyadic(psi)
    error = np.sqrt(
        np.where(variance > 1e-12 * node, variance, node) * table.factor(WINDOW, len(table.cities))
    )
    values = table.vector(names, WINDOW)
    return values, values / error


def test_permutations_are_rebuilt_tables() -> None:
    frame = panel("reversed")
    done = worlds.first_pass(
        frame, **job("exactly_one", inference={"permutation": {"reps": N_DRAWS, "seed": 5}})
    )
    (result,) = done.results
    names, block = list(result.fit.names), result.cell.job.inference.permutation
    assert block is not None
    test = permutation_test(done.prepared, done.results, block)
    replicates = np.arange(-1, N_DRAWS, dtype=np.int32)
    draws = permutation_draws(test, replicates)
    np.testing.assert_allclose(draws.estimate[0][0], result.fit.values, rtol=0, atol=1e-11)
    for row, classes in enumerate(drawn_classes(test, replicates)):
        values, statistic = literal_draw(names, long_frame(frame, "exactly_one", done.adopted(classes)))
        np.testing.assert_allclose(draws.estimate[0][row], values, rtol=0, atol=1e-10)
        np.testing.assert_allclose(draws.statistic[0][row], statistic, rtol=1e-6)


def test_node_draws_and_groups_left_out() -> None:
    frame = panel("reversed")
    inference = {"bootstrap": {"kind": "node", "reps": N_DRAWS, "seed": 2}, "jackknife": {"by": "province"}}
    results = run_panel(frame, **job("count", {"errors": ["dyadic"]}, inference=inference))
    names = list(dict.fromkeys(results.estimates["term"]))
    long = long_frame(frame, "count")
    groups = frame.groupby("city")["province"].first()
    assert results.influence is not None
    assert results.draws is not None
    for group in groups.unique():
        outside = [long[f"city_{side}"].map(groups) != group for side in ("i", "j")]
        values = Switches(long[outside[0] & outside[1]]).vector(names, WINDOW)
        of_group = results.influence[results.influence["left_out"] == group].set_index("term")["estimate"]
        np.testing.assert_allclose(of_group[names], values, rtol=0, atol=1e-10)
    wide = results.draws.pivot(index="replicate", columns="term", values="estimate")
    cities = sorted(groups.index)
    counts = resampled_counts(2, np.arange(N_DRAWS, dtype=np.int32), len(cities))
    for replicate, count in enumerate(counts):
        copies = oracle.resampled(long, dict(zip(cities, count.astype(int), strict=True)))
        values = Switches(copies).vector(names, WINDOW)
        np.testing.assert_allclose(wide.loc[replicate, names], values, rtol=0, atol=1e-10)


def test_frames_and_notes_of_a_job() -> None:
    """Pairs that switch off without a control are told; event years have their base at zero, and no cells a file."""
    frame = panel("reversed")
    frame = frame.assign(pilot_year=frame["pilot_year"].fillna(2015))
    results = run_panel(frame, **job("exactly_one", {"window": [-2, 1]}))
    warnings = "\n".join(results.manifest["warnings"])
    assert "pairs whose treatment first changes in 2015 (1 -> 0) are compared at no event" in warnings
    assert results.event_study is not None
    base = results.event_study[results.event_study["event_time"] == -1]
    assert (base[["estimate", "std_error"]] == 0).all(axis=None)
    assert sorted(set(results.event_study["event_time"])) == [-2, -1, 0, 1]
    assert "group_time" not in results.frames
    assert set(results.estimates["n_adopters"]) == {N_CITIES - 3}
    expected = Switches(long_frame(frame, "exactly_one")).effects((-2, 1))
    values = results.estimates.drop_duplicates("term").set_index("term")["estimate"]
    np.testing.assert_allclose(values[list(expected)], list(expected.values()), rtol=0, atol=1e-10)


def test_a_year_in_which_one_city_adopts_is_told() -> None:
    frame = panel("absorbing")
    first = frame.loc[frame["pilot_year"] == 2013, "city"].unique()[0]
    frame = frame.assign(pilot_year=frame["pilot_year"].mask(frame["city"] == first, 2012))
    results = run_panel(frame, **job("exactly_one", {"errors": ["jackknife"], "window": [-2, 1]}))
    warnings = "\n".join(results.manifest["warnings"])
    assert "every pair of the cohorts 2012, 2013 has one city in common" in warnings


def together() -> pd.DataFrame:
    return panel("absorbing").assign(pilot_year=2014.0)


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "nobody changes": (
        together,
        job("exactly_one"),
        "the treatment of no pair of the sample changes after 2010",
    ),
    "no controls": (
        together,
        job("either"),
        "is beside one with the same treatment in 2010 that changes later",
    ),
    "never-switching controls": (
        lambda: panel("absorbing").assign(pilot_year=lambda table: table["pilot_year"].fillna(2016)),
        job("either", {"options": {"control": "never"}, "window": [-2, 0]}),
        "model.options.control: no pair whose treatment changes is beside one .* never changes",
    ),
    "a window that nobody reaches": (
        None,
        job("exactly_one", {"window": [-2, 6]}),
        r"model.window: no pair is observed at policy\[\+5\], policy\[\+6\] and at policy\[-1\]",
    ),
    "a placebo without its effect": (
        None,
        job("exactly_one", {"window": [-7, 0]}),
        r"no pair is observed at policy\[-7\], policy\[-6\]",
    ),
    "a window without the change": (None, job("exactly_one", {"window": [1, 3]}), "leaves out event year 0"),
    "a base": (None, job("count", {"base": -2}), "model.base: has no meaning in this job"),
    "ends": (None, job("count", {"ends": "drop"}), "model.ends: has no meaning in this job"),
    "anticipation": (
        None,
        job("count", {"options": {"anticipation": 1}}),
        "model.options.anticipation: has no",
    ),
    "a lag": (None, job("exactly_one", {"lag": 1}), "has no lag; treatment.shift moves"),
    "years around": (
        None,
        job("exactly_one", treatment={"adoption": "pilot_year", "rule": "exactly_one", "around": 2}),
        "takes no treatment.around",
    ),
    "effects": (
        None,
        job("exactly_one", {"fixed_effects": ["pair", "year", "province x year"]}),
        r"has the effects \[pair, year\] only",
    ),
    "spatial errors": (
        None,
        job("exactly_one", {"errors": [{"spatial": {"distance": 500}}]}),
        "spatial errors are not defined for estimator de_chaisemartin",
    ),
    "block jackknives": (
        None,
        job("exactly_one", {"errors": [{"block_jackknife": {"by": "province"}}]}),
        "block jackknives are not defined for estimator de_chaisemartin",
    ),
    "wild bootstraps": (
        None,
        job("exactly_one", inference={"bootstrap": {"kind": "wild", "reps": 9}}),
        "inference.bootstrap is not defined for estimator de_chaisemartin",
    ),
    "absorbing estimators": (
        None,
        job("exactly_one", {"estimator": "callaway_santanna", "window": None}),
        "rule exactly_one has no single adoption year for pairs that adopt twice",
    ),
    "absorbing event studies": (
        None,
        job("count", {"estimator": "event_study"}),
        "rule count has no single adoption year for pairs that adopt twice",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_estimated_is_refused(name: str) -> None:
    frame, blocks, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        run_panel(panel("reversed") if frame is None else frame(), **blocks)


def test_missing_years_are_refused_before_the_pass() -> None:
    with pytest.raises(InputError, match="estimator de_chaisemartin compares pairs that have all years"):
        run_panel(worlds.panel(holes=True), **job("exactly_one"))
