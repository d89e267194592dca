"""Table 1 and Figure 1 against pyfixest, literal sums and literal refits, on a panel the reference builds itself.

The reference starts from the raw table of cities, so index, gravity, screen, outcome and controls are checked
with the estimates: nothing of the engine is used on its side.
"""

from __future__ import annotations

import numpy as np
import pytest
import reference
from designs import COLUMNS, CONTROLS, FIGURE_1, SMALL, TABLE_1, design
from peers import against_brute_force, against_pyfixest, against_refits, cell
from tolerances import Z_ROUNDING

import engine
from engine.pipeline import check


@pytest.fixture(scope="module")
def table_1() -> reference.Sample:
    return design()


@pytest.fixture(scope="module")
def table_1_results() -> engine.Results:
    return engine.run(TABLE_1)


@pytest.fixture(scope="module")
def small_results() -> engine.Results:
    return engine.run(TABLE_1, overrides=[f"panel.options.cities={SMALL}"])


@pytest.fixture(scope="module")
def small() -> reference.Sample:
    return design(SMALL)


def test_counts_at_every_filter(table_1: reference.Sample, table_1_results: engine.Results) -> None:
    assert (table_1.n_all, table_1.n_eligible, table_1.n_kept) == (32_131, 30_646, 15_323)
    for entry in table_1_results.manifest["counts"]:
        pairs = [step["pairs"] for step in entry["steps"]]
        rows = [step["rows"] for step in entry["steps"]]
        assert pairs == [32_131, 30_646, 15_323, 15_323]
        assert rows == [321_310, 306_460, 153_230, len(table_1.long)]


def test_pairs_outcome_and_columns_row_by_row(table_1: reference.Sample) -> None:
    """The engine's pairs, outcome, controls and treatment, before any moment is taken of them."""
    import jax

    from engine.pairs.centre import standardise
    from engine.pairs.outcomes.synchronization import synchronization

    _, prepared = check(TABLE_1)
    design, units = prepared[0].design, np.array(prepared[0].pass_cells.data.panel.units)
    chunks = [chunk for task in design.tasks() for chunk in design.chunks(task)]
    i, j = (np.concatenate([getattr(chunk, side)[: chunk.n] for chunk in chunks]) for side in "ij")
    order = np.lexsort((j, i))
    i, j = i[order], j[order]
    z = standardise(design.series, design.window)
    with jax.enable_x64(True):
        y = np.asarray(synchronization(z[i], z[j], design.n_years, look_ahead=True, clip=0.0))
    path = prepared[0].terms[0].table[design.classes[i], design.classes[j], :, 0]

    long = table_1.long.sort_values(["city_i", "city_j", "year"])
    first = long.iloc[:: design.n_years]
    np.testing.assert_array_equal(units[i], first["city_i"])
    np.testing.assert_array_equal(units[j], first["city_j"])
    np.testing.assert_array_equal(path.ravel(), long["policy"])
    off = np.abs(y.ravel() - long["y"].to_numpy(dtype=float))
    np.testing.assert_array_less(off * long["gap"].to_numpy(dtype=float), Z_ROUNDING)
    for k, name in enumerate(CONTROLS):
        ours = -np.abs(design.levels[i, :, k] - design.levels[j, :, k])
        np.testing.assert_array_equal(ours.ravel(), long[name], err_msg=name)


@pytest.mark.parametrize("column", range(6))
def test_six_columns_against_pyfixest(
    column: int, table_1: reference.Sample, table_1_results: engine.Results
) -> None:
    against_pyfixest(cell(table_1_results, column), table_1.long, COLUMNS[column])


@pytest.mark.parametrize("column", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in range(1, 5)), 5])
def test_six_columns_dyadic_by_literal_sums(
    column: int, table_1: reference.Sample, table_1_results: engine.Results
) -> None:
    against_brute_force(cell(table_1_results, column), table_1.long, COLUMNS[column], kinds=["dyadic"])


@pytest.mark.parametrize("column", range(6))
def test_six_columns_of_forty_cities(
    column: int, small: reference.Sample, small_results: engine.Results
) -> None:
    against_pyfixest(cell(small_results, column), small.long, COLUMNS[column])
    against_brute_force(cell(small_results, column), small.long, COLUMNS[column], kinds=["dyadic"])


def test_jackknife_of_six_columns_refits_forty_times(
    small: reference.Sample, small_results: engine.Results
) -> None:
    against_refits(small_results, small.long, COLUMNS)


@pytest.mark.slow
def test_jackknife_of_six_columns_refits_254_times(
    table_1: reference.Sample, table_1_results: engine.Results
) -> None:
    against_refits(table_1_results, table_1.long, COLUMNS)


def test_event_study_of_figure_1(table_1: reference.Sample) -> None:
    results = engine.run(FIGURE_1)
    long, dummies = reference.event_dummies(
        table_1.long, rule="exactly_one", base=-1, window=(-5, 3), ends="bin"
    )
    against_pyfixest(cell(results), long, [*CONTROLS, *dummies])
    against_brute_force(cell(results), long, [*CONTROLS, *dummies], kinds=["dyadic"])
    events = results.event_study
    assert events is not None
    shown = events[events["errors"] == "pair"].set_index("event_time")
    assert list(shown.index) == list(range(-5, 4))
    assert (shown.loc[-1, ["estimate", "std_error", "conf_low", "conf_high"]] == 0).all()
    own = cell(results)["pair"].loc[dummies, ["estimate", "std_error"]]
    np.testing.assert_array_equal(shown.drop(index=-1)[["estimate", "std_error"]], own)


@pytest.mark.parametrize("ends", ["bin", "drop"])
def test_event_study_of_forty_cities(ends: str, small: reference.Sample) -> None:
    results = engine.run(FIGURE_1, overrides=[f"model.ends={ends}", f"panel.options.cities={SMALL}"])
    long, dummies = reference.event_dummies(
        small.long, rule="exactly_one", base=-1, window=(-5, 3), ends=ends
    )
    against_pyfixest(cell(results), long, [*CONTROLS, *dummies])
    against_brute_force(cell(results), long, [*CONTROLS, *dummies])


@pytest.mark.parametrize("rule", ["exactly_one", "either", "both", "count"])
def test_treatment_rules_with_pairs_of_two_pilots(rule: str) -> None:
    overrides = ["pairs.exclude=none", f"treatment.rule={rule}", f"panel.options.cities={SMALL}"]
    results = engine.run(TABLE_1, overrides=overrides)
    long = design(SMALL, rule=rule, exclude_both_treated=False).long
    against_pyfixest(cell(results, 5), long, COLUMNS[5])
    against_brute_force(cell(results, 5), long, COLUMNS[5])


def test_outcome_standardised_by_the_years_before_the_policy() -> None:
    results = engine.run(TABLE_1, overrides=["outcome.window=pre", f"panel.options.cities={SMALL}"])
    long = design(SMALL, window="pre").long
    against_pyfixest(cell(results, 5), long, COLUMNS[5])
    against_brute_force(cell(results, 5), long, COLUMNS[5])
