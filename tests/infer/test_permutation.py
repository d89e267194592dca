"""Every permutation draw against the literal one: relabel the cities, rebuild the sample, refit with dummies."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
import reference
from tolerances import BRUTE

from engine.infer import permutation
from engine.infer import permuted_sums as cubes
from engine.infer.errors.dyadic import drawn_variances
from engine.infer.permutation import OBSERVED, Draws, Permutation, drawn_classes, permutation_draws
from engine.pairs import pair_statistics
from engine.pairs.process_cache import forget_all
from engine.spec.inference import PermutationTest
from engine.stages.inference import pass_inputs
from engine.stages.inference.permutation_draws import draws_at_once, permutation_test

DRAWS = np.arange(OBSERVED, 20, dtype=np.int32)
"""What happened, and twenty draws."""

EVENTS = {"estimator": "event_study", "base": -1, "window": [-3, 2]}
NO_SCREEN = {"exclude": "both_treated"}
KEPT = {"exclude": "none", "gravity": {"mass": ["population"], "keep": "above_median"}}

CASES: dict[str, dict[str, Any]] = {
    "balanced": {},
    "missing": {"holes": True},
    "infinite": {"frame": worlds.twins},
    "ties": {"frame": worlds.tied},
    "fixed": {"test": {"screen": "fixed"}},
    "fixed, missing": {"test": {"screen": "fixed"}, "holes": True},
    "fixed, ties": {"frame": worlds.tied, "test": {"screen": "fixed"}},
    "no screen": {"pairs": NO_SCREEN},
    "province": {"test": {"strata": ["province"]}},
    "rank and size": {"test": {"strata": ["admin_rank", "size:3"]}, "holes": True},
    "both": {"pairs": KEPT, "rule": "both"},
    "either, missing": {"pairs": KEPT, "rule": "either", "holes": True},
    "count, no screen": {"pairs": {"exclude": "none"}, "rule": "count", "holes": True},
    "exactly one, kept": {"pairs": KEPT, "rule": "exactly_one"},
    "event study": {"model": EVENTS},
    "event study, missing": {"model": EVENTS, "holes": True},
    "event study, both": {"model": EVENTS, "pairs": KEPT, "rule": "both"},
    "window": {"treatment": {"around": 2}},
    "window, missing": {"treatment": {"around": 1}, "holes": True},
    "window, either": {"pairs": KEPT, "treatment": {"rule": "either", "around": 2}},
    "window, fixed": {"treatment": {"around": 3}, "test": {"screen": "fixed"}},
    "window, no screen": {"pairs": NO_SCREEN, "treatment": {"around": 3}},
    "false timing": {"treatment": {"shift": -2, "drop_treated": True}},
    "false timing, missing": {"treatment": {"shift": -1, "drop_treated": True}, "holes": True},
    "event study, ends dropped": {"model": {**EVENTS, "ends": "drop"}},
    "event study, ends dropped, both": {"model": {**EVENTS, "ends": "drop"}, "pairs": KEPT, "rule": "both"},
}


@cache
def world(name: str) -> tuple[pd.DataFrame, worlds.Pass, Permutation]:
    case = CASES[name]
    frame = case["frame"]() if "frame" in case else worlds.panel(holes=case.get("holes", False))
    blocks: dict[str, Any] = {"inference": {"permutation": {"reps": 20, **case.get("test", {})}}}
    blocks |= {key: case[key] for key in ("pairs", "model") if key in case}
    if "rule" in case or "treatment" in case:
        own = {"rule": case["rule"]} if "rule" in case else case["treatment"]
        blocks["treatment"] = {"adoption": "pilot_year", "rule": "exactly_one", **own}
    done = worlds.first_pass(frame, **blocks)
    wanted = done.results[0].cell.job.inference.permutation
    assert wanted is not None
    return frame, done, permutation_test(done.prepared, done.results, wanted)


@cache
def engine_draws(name: str) -> Draws:
    return permutation_draws(world(name)[2], DRAWS)


def oracle_draws(
    name: str, frame: pd.DataFrame, done: worlds.Pass, setting: Permutation
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, t ratios and errors ``[draw, tested]`` by `oracle_draws`."""
    case = CASES[name]
    pairs = case.get("pairs", worlds.PANEL_JOB["pairs"])
    everything = worlds.oracle_grid(frame, gravity="gravity" in pairs)
    options: dict[str, Any] = {"rule": case.get("rule", "exactly_one"), "exclude": pairs["exclude"] != "none"}
    options |= case.get("treatment", {})
    if "model" in case:
        options["event"] = (EVENTS["base"], tuple(EVENTS["window"]))
        options["ends"] = case["model"].get("ends", "bin")
    if case.get("test", {}).get("screen") == "fixed":
        every = everything.long[oracle.PAIR].drop_duplicates()
        mine = every[oracle.eligible(every, worlds.observed_adoption(frame), exclude=True)]
        forces = everything.force[list(mine.itertuples(index=False, name=None))]
        options["threshold"] = oracle.lower_middle(forces.to_numpy())
    found = []
    for classes in drawn_classes(setting, DRAWS):
        long, terms = oracle.relabelled(everything, done.adopted(classes), **options)
        found.append(
            oracle.studentised(long, ["edu", "dense", *terms], case.get("test", {}).get("terms", terms))
        )
    estimate, statistic, error = (np.stack(part) for part in zip(*found, strict=True))
    return estimate, statistic, error


@pytest.mark.parametrize("name", CASES)
def test_each_draw_is_a_refit(name: str) -> None:
    frame, done, setting = world(name)
    draws = engine_draws(name)
    estimate, statistic, error = oracle_draws(name, frame, done, setting)
    known = np.isfinite(estimate)
    np.testing.assert_array_equal(np.isfinite(draws.estimate[0]), known)
    assert known.mean() > 0.7  # the comparison is of numbers
    # A coefficient is known to a share of its error; so is its t ratio, absolutely.
    off = np.abs(draws.estimate[0] - estimate)[known] / error[known]
    np.testing.assert_array_less(off, BRUTE)
    np.testing.assert_allclose(draws.statistic[0][known], statistic[known], rtol=BRUTE, atol=BRUTE)


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("ties", "fixed, ties")])
def test_the_observed_assignment_gives_the_table(name: str) -> None:
    """Where no covariance of the table had a negative eigenvalue set to zero."""
    _, done, setting = world(name)
    draws, result = engine_draws(name), done.results[0]
    tested = list(setting.cells[0].tested)
    np.testing.assert_array_equal(drawn_classes(setting, DRAWS)[0], done.prepared.adoption.classes)
    error = result.studentising.std_error[tested]
    np.testing.assert_allclose(
        draws.estimate[0][0], result.fit.values[tested], rtol=0, atol=BRUTE * error.min()
    )
    if not result.studentising.notes:
        t = result.fit.values[tested] / error
        np.testing.assert_allclose(draws.statistic[0][0], t, rtol=BRUTE, atol=BRUTE)


def test_most_tables_of_these_worlds_have_positive_covariances() -> None:
    """The comparison above is not an empty one."""
    clean = [name for name in CASES if not world(name)[1].results[0].studentising.notes]
    assert len(clean) >= len(CASES) // 2


def test_the_ties_cut_through_the_middle() -> None:
    """In the tied world the middle force is shared in most draws, and the strict screen leaves all of its pairs out."""
    _, done, setting = world("ties")
    table = setting.sample.pairs
    assert (np.diff(table.tie_start) == 0).sum() > len(table.i) / 2
    everything = worlds.oracle_grid(worlds.tied())
    kept = []
    for classes in drawn_classes(setting, DRAWS):
        long, _ = oracle.relabelled(everything, done.adopted(classes))
        kept.append(long.groupby(oracle.PAIR).ngroups)
    below = setting.sample.n_ranked // 2
    assert np.mean(np.array(kept) < below) > 0.5


def test_fixed_and_recomputed_screens_are_two_tests() -> None:
    one, other = engine_draws("balanced"), engine_draws("fixed")
    np.testing.assert_allclose(one.estimate[0][0], other.estimate[0][0], rtol=BRUTE)  # what happened
    moved = np.abs(one.estimate[0] - other.estimate[0])[1:] > 1e-6  # of coefficients near 0.2
    assert moved.mean() > 0.7


# -- cells, blocks and what is not identified ---------------------------------------------------------------


@cache
def swept() -> worlds.Pass:
    return worlds.first_pass(
        worlds.panel(),
        sweep={"model.controls": [[], ["edu"], ["dense", "edu"]]},
        inference={"permutation": {"reps": 20}},
    )


def test_cells_of_a_sweep_share_draws_and_have_their_own_regressions() -> None:
    done = swept()
    setting = permutation_test(done.prepared, done.results, PermutationTest(reps=20))
    draws = permutation_draws(setting, DRAWS)
    everything = worlds.oracle_grid(worlds.panel())
    for number, controls in enumerate([[], ["edu"], ["dense", "edu"]]):
        found = []
        for classes in drawn_classes(setting, DRAWS):
            long, terms = oracle.relabelled(everything, done.adopted(classes))
            # One sample for all cells: rows must have every control, used or not.
            found.append(oracle.studentised(long, [*controls, *terms], terms))
        estimate, statistic, error = (np.stack(part) for part in zip(*found, strict=True))
        np.testing.assert_array_less(np.abs(draws.estimate[number] - estimate) / error, BRUTE)
        np.testing.assert_allclose(draws.statistic[number], statistic, rtol=BRUTE, atol=BRUTE)
        alone = permutation_draws(replace(setting, cells=(setting.cells[number],)), DRAWS)
        np.testing.assert_allclose(alone.statistic[0], draws.statistic[number], rtol=1e-13)


def close(one: Draws, other: Draws) -> None:
    """The same draws up to the order of sums: issue 3 allows 1e-11."""
    np.testing.assert_array_equal(one.replicates, other.replicates)
    for mine, its in zip((*one.estimate, *one.statistic), (*other.estimate, *other.statistic), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["balanced", "event study, missing", "window, missing"])
def test_any_blocks_give_the_same_draws(name: str) -> None:
    setting, whole = world(name)[2], engine_draws(name)
    cuts = [0, 1, 8, 9, 21]
    parts = [permutation_draws(setting, DRAWS[a:b]) for a, b in pairwise(cuts)]
    merged = parts[0]
    for part in parts[1:]:
        merged = permutation.merge_draws(merged, part)
    close(merged, whole)
    backwards = permutation_draws(setting, DRAWS[::-1])
    np.testing.assert_array_equal(backwards.replicates[::-1], whole.replicates)
    np.testing.assert_allclose(backwards.statistic[0][::-1], whole.statistic[0], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["balanced", "event study, missing", "either, missing", "window, either"])
def test_any_tiles_of_the_table_give_the_same_statistics(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_statistics, "TILE", 17)  # neither divides the table: the last tile overlaps
    monkeypatch.setattr(cubes, "_TILE", 23)
    forget_all()
    close(permutation_draws(world(name)[2], DRAWS), engine_draws(name))


@pytest.mark.parametrize("name", ["balanced", "event study, missing", "no screen", "window, missing"])
def test_a_table_that_memory_does_not_hold_is_computed_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same statistics, whatever the tiles, and so the same draws."""
    done, kept = world(name)[1:]
    wanted = done.results[0].cell.job.inference.permutation
    assert wanted is not None
    monkeypatch.setattr(pass_inputs, "memory_of", lambda _: 1e4)
    setting = permutation_test(done.prepared, done.results, wanted)
    assert setting.sample.pairs.table is None
    assert kept.sample.pairs.table is not None
    n_pairs = len(kept.sample.pairs.i)
    for length in (7, 64, n_pairs):
        for tile in setting.sample.pairs.tiles(n_pairs, length=length):
            own = kept.sample.pairs.table[tile.start : tile.start + length]
            # A logarithm's last bit depends on its place in a vector: some units of rounding of sums below 100.
            np.testing.assert_allclose(tile.statistics, own, rtol=1e-13, atol=1e-13)
    close(permutation_draws(setting, DRAWS), engine_draws(name))


def test_blocks_of_draws_fit_the_memory() -> None:
    """Powers of two, fewer with less memory; longer where the table has to be computed for each."""
    setting = world("balanced")[2]
    sizes = [draws_at_once(setting, memory) for memory in (1e6, 1e8, 3e8, 1e12)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (8, pass_inputs.BLOCK)
    assert all(size.bit_count() == 1 for size in sizes)
    recomputed = replace(
        setting, sample=replace(setting.sample, pairs=replace(setting.sample.pairs, in_memory=False))
    )
    assert draws_at_once(recomputed, 1e12) == 4 * pass_inputs.BLOCK
    assert draws_at_once(replace(setting, studentise=False), 1e8) >= draws_at_once(setting, 1e8)


def test_coefficients_alone_are_the_same_coefficients() -> None:
    setting, whole = world("missing")[2], engine_draws("missing")
    alone = permutation_draws(replace(setting, studentise=False), DRAWS)
    # The same operations on arrays at other addresses: linear algebra may round the last bit differently.
    np.testing.assert_allclose(alone.estimate[0], whole.estimate[0], rtol=1e-13)
    assert np.isnan(alone.statistic[0]).all()
    assert alone.fallback == (0,)


def test_draws_without_variation_are_missing_and_say_so() -> None:
    """Two pilots, one of which the exclusion never meets: where the screen leaves none, nothing is identified."""
    frame = worlds.panel(3)
    pilots = frame["city"].isin(["city00"])
    frame = frame.assign(pilot_year=np.where(pilots, 2013.0, np.nan))
    far = frame["city"].isin([f"city{k:02d}" for k in (3, 5, 7)])  # tiny and remote: in no screened pair
    frame = frame.assign(
        population=np.where(far, 1e-9, frame["population"]),
        latitude=np.where(far, -frame["latitude"], frame["latitude"]),
    )
    done = worlds.first_pass(frame)
    setting = permutation_test(done.prepared, done.results, PermutationTest(reps=40, seed=4))
    replicates = np.arange(40, dtype=np.int32)
    draws = permutation_draws(setting, replicates)
    remote = [done.units.index(f"city{k:02d}") for k in (3, 5, 7)]
    lost = (drawn_classes(setting, replicates)[:, remote] == 0).any(axis=1)
    assert 0 < lost.sum() < 20
    np.testing.assert_array_equal(np.isnan(draws.estimate[0][:, 0]), lost)
    np.testing.assert_array_equal(np.isnan(draws.statistic[0][:, 0]), lost)
    everything = worlds.oracle_grid(frame)
    for row, classes in enumerate(drawn_classes(setting, replicates)[:20]):
        long, terms = oracle.relabelled(everything, done.adopted(classes))
        estimate, statistic, error = oracle.studentised(long, ["edu", "dense", *terms], terms)
        if lost[row]:
            assert long["policy"].nunique() == 1
            continue
        np.testing.assert_array_less(np.abs(draws.estimate[0][row] - estimate) / error, BRUTE)
        np.testing.assert_allclose(draws.statistic[0][row], statistic, rtol=BRUTE, atol=BRUTE)


def test_a_year_that_some_draws_lose_altogether() -> None:
    """Only pairs of three cities have the last year; where two of them are pilots, it may have no row left to count."""
    frame = worlds.panel(5, holes=True)
    keepers = frame["city"].isin(["city00", "city01", "city02"])
    frame.loc[(frame["year"] == 2017) & ~keepers, "output"] = np.nan
    done = worlds.first_pass(frame)
    setting = permutation_test(done.prepared, done.results, PermutationTest(reps=60))
    replicates = np.arange(60, dtype=np.int32)
    draws = permutation_draws(setting, replicates)
    everything, gone = worlds.oracle_grid(frame), 0
    for row, classes in enumerate(drawn_classes(setting, replicates)):
        long, terms = oracle.relabelled(everything, done.adopted(classes))
        seen = long[np.isfinite(long["y"])]["year"].nunique()
        gone += seen < 8
        if seen == 8 and row > 5:
            continue
        estimate, statistic, error = oracle.studentised(long, ["edu", "dense", *terms], terms)
        np.testing.assert_array_less(np.abs(draws.estimate[0][row] - estimate) / error, BRUTE)
        np.testing.assert_allclose(draws.statistic[0][row], statistic, rtol=BRUTE, atol=BRUTE)
    assert gone > 0


@pytest.mark.parametrize(
    "name", ["balanced", "missing", "either, missing", "window, missing", "window, either"]
)
def test_hypothesised_effects_are_refits_too(name: str) -> None:
    """Under an effect b0 the outcome is y - b0 times the treatment that happened, on whatever pairs a draw has."""
    frame, done, setting = world(name)
    case, draws = CASES[name], engine_draws(name)
    pairs = case.get("pairs", worlds.PANEL_JOB["pairs"])
    options = {"rule": case.get("rule", "exactly_one"), "exclude": pairs["exclude"] != "none"}
    options |= case.get("treatment", {})
    everything = worlds.oracle_grid(frame)
    adopted = worlds.observed_adoption(frame)
    every = everything.long
    on_i, on_j = (every["year"] >= every[side].map(adopted) for side in oracle.PAIR)
    happened = (on_i | on_j if options["rule"] == "either" else on_i ^ on_j).astype(float)
    replaced = 0
    for row, classes in list(enumerate(drawn_classes(setting, DRAWS)))[:8]:
        slope, *sums = draws.inversion[0][row]
        for effect in (0.0, -1.5, 0.4):
            moved = oracle.Grid(every.assign(y=every["y"] - effect * happened), everything.force)
            long, terms = oracle.relabelled(moved, done.adopted(classes), **options)
            regressors = ["edu", "dense", *terms]
            variance = np.diag(reference.estimate(long, regressors).dyadic())[-1]
            replaced += variance <= 0  # at this effect, whatever it is at another
            _, expected, _ = oracle.studentised(long, regressors, terms, city_sums=variance <= 0)
            city, pair = (yy - 2 * effect * yd + effect**2 * dd for yy, yd, dd in (sums[:3], sums[3:]))
            found = (draws.estimate[0][row] - effect * slope) / np.sqrt(drawn_variances(city, pair))
            np.testing.assert_allclose(found, expected, rtol=BRUTE, atol=BRUTE)
    assert replaced < 8
