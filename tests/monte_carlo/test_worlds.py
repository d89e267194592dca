"""The simulated worlds are what their page says, and a trial reads off the engine what its literal oracle does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import jax
import numpy as np
import oracle_draws as oracle
import pandas as pd
import processes_of_panels
import pytest
import reference
import simulate
import trial
import worlds
from simulate import Simulated
from tolerances import BRUTE

from engine.infer.draws import permuted_classes, resampled_counts
from engine.infer.permutation import OBSERVED

NAMES = np.array([f"c{k:02d}" for k in range(worlds.N_CITIES)])
FIVE_ERRORS = 5.0  # standard errors: a moment of a million draws strays so far once in two million times
Y = len(worlds.YEARS)


@cache
def grid(design: str, number: int, effect: float) -> oracle.Grid:
    """The long frame of every pair of a panel."""
    outcome = worlds.panel(design, number, effect=effect).outcome
    return oracle.Grid(
        pd.DataFrame(
            {
                "city_i": np.repeat(NAMES[worlds.FIRST], Y),
                "city_j": np.repeat(NAMES[worlds.SECOND], Y),
                "year": np.tile(worlds.YEARS, len(worlds.FIRST)),
                "y": outcome.ravel(),
            }
        ),
        None,
    )


def adopted(classes: np.ndarray) -> dict[str, float]:
    return dict(zip(NAMES, worlds.ADOPTED[classes], strict=True))


def long_of(design: str, number: int, effect: float) -> pd.DataFrame:
    """The sample's long frame by the oracle, with column ``policy``."""
    classes = worlds.panel(design, number, effect=effect).classes
    return oracle.relabelled(grid(design, number, effect), adopted(classes))[0]


# -- worlds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", worlds.DESIGNS)
def test_a_panel_is_a_function_of_its_number(design: str) -> None:
    one, again, other = (worlds.panel(design, number) for number in (3, 3, 4))
    np.testing.assert_array_equal(one.outcome, again.outcome)
    np.testing.assert_array_equal(one.classes, again.classes)
    assert np.isfinite(one.outcome).all()
    assert not np.isclose(one.outcome, other.outcome).any(axis=1).all()
    assert (one.classes != other.classes).any()


def test_designs_do_not_share_random_numbers() -> None:
    assert not np.allclose(worlds.panel("V1", 0).outcome, worlds.panel("V4", 0).outcome)


def test_adoption_is_dealt_at_random() -> None:
    """Every panel has the same cohorts; over 400 panels every city adopts about as often as any other."""
    classes = np.stack([worlds.panel("V3", number).classes for number in range(400)])
    sizes = np.stack([np.bincount(row, minlength=5) for row in classes])
    np.testing.assert_array_equal(sizes, np.tile([1, 2, 4, 4, 39], (400, 1)))
    share = (classes < 4).mean(axis=0)
    assert np.abs(share - 11 / 50).max() < FIVE_ERRORS * np.sqrt(0.22 * 0.78 / 400)


@pytest.mark.parametrize("design", worlds.DESIGNS)
def test_the_effect_is_added_where_one_city_has_adopted(design: str) -> None:
    plain, moved = worlds.panel(design, 5), worlds.panel(design, 5, effect=0.5)
    year = worlds.ADOPTED[plain.classes]
    eligible = []
    for p, (i, j) in enumerate(zip(worlds.FIRST, worlds.SECOND, strict=True)):
        treated = [(year[i] <= t) != (year[j] <= t) for t in worlds.YEARS]
        np.testing.assert_array_equal(plain.treated[p], treated)
        eligible.append(np.isinf(max(year[i], year[j])))
    np.testing.assert_array_equal(plain.eligible, eligible)
    np.testing.assert_allclose(moved.outcome, plain.outcome + 0.5 * plain.treated, rtol=1e-15)
    assert plain.eligible.sum() == 50 * 49 // 2 - 11 * 10 // 2


def test_the_outcome_of_a_series_is_the_textbooks() -> None:
    rng = np.random.default_rng(1)
    series = worlds.city_series(rng, louder=np.zeros(worlds.N_CITIES, dtype=bool))
    expected = np.stack(
        [
            reference.synchronization(series[i], series[j])[0]
            for i, j in zip(worlds.FIRST, worlds.SECOND, strict=True)
        ]
    )
    # rho' moves by the rounding of z over the gap, and the narrowest of 12,250 gaps is some 1e-5.
    np.testing.assert_allclose(worlds.synchronized(series), expected.astype(float), rtol=0, atol=1e-9)


def test_shocks_are_stationary_with_the_persistence_that_is_stated() -> None:
    """20,000 cities: in every year a standard deviation of 0.5 / 0.8, and autocorrelations .6, .36, ..."""
    rng = np.random.default_rng(2)
    shocks = np.concatenate([worlds.autoregressive(rng) for _ in range(400)])
    expected = 0.625**2 * 0.6 ** np.abs(np.subtract.outer(range(Y), range(Y)))
    error = 0.625**2 * np.sqrt((1 + 0.6 ** (2 * np.abs(np.subtract.outer(range(Y), range(Y))))) / len(shocks))
    assert (np.abs(shocks.T @ shocks / len(shocks) - expected) < FIVE_ERRORS * error).all()


def test_pilots_of_v4_are_three_times_as_volatile_around_the_same_trend() -> None:
    louder = np.arange(worlds.N_CITIES) < 11
    here, there = (worlds.city_series(np.random.default_rng(3), louder=who) for who in (louder, ~louder))
    trend = np.arange(Y)
    np.testing.assert_allclose((here - trend)[louder], 3 * (there - trend)[louder], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(3 * (here - trend)[~louder], (there - trend)[~louder], rtol=1e-13, atol=1e-13)


def test_pilots_are_the_volatile_ones_and_in_v4_alone() -> None:
    """rho' is minus the log of the distance of two series, of variance 1 + 9 with a pilot of V4, else 1 + 1."""
    gap = {}
    for design in ("V1", "V4"):
        some = [worlds.panel(design, number) for number in range(30)]
        never = [one.classes[worlds.FIRST] + one.classes[worlds.SECOND] == 8 for one in some]
        gap[design] = np.mean(
            [one.outcome[own].mean() - one.outcome[~own].mean() for one, own in zip(some, never, strict=True)]
        )
    # A panel's gap has a standard deviation of 0.05 in V1 and 0.11 in V4 (200 panels).
    assert abs(gap["V1"]) < FIVE_ERRORS * 0.05 / np.sqrt(30)
    assert abs(gap["V4"] - np.log(5) / 2) < FIVE_ERRORS * 0.11 / np.sqrt(30)


@pytest.mark.parametrize(("design", "shared"), [("V2", 0.625**2), ("V3", 0.0)])
def test_covariance_of_pairs(design: str, shared: float) -> None:
    """Of a pair with itself, of pairs that share a city, of pairs that do not: over 2,000 panels."""
    cities = [(0, 1), (0, 2), (3, 4)]
    place = [np.flatnonzero((i == worlds.FIRST) & (j == worlds.SECOND))[0] for i, j in cities]
    drawn = np.stack([worlds.panel(design, number).outcome[place, 0] for number in range(2000)])
    own = 1 + 2 * shared
    expected = np.array([[own, shared, 0.0], [shared, own, 0.0], [0.0, 0.0, own]])
    error = np.sqrt((expected**2 + own**2) / len(drawn))
    assert (np.abs(drawn.T @ drawn / len(drawn) - expected) < FIVE_ERRORS * error).all()


# -- trials ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", worlds.DESIGNS)
def test_coefficient_and_errors_are_the_references(design: str) -> None:
    found, errors = trial.estimated(worlds.panel(design, 7, effect=0.07))
    expected = reference.estimate(long_of(design, 7, 0.07), ["policy"])
    literal = {"pair": expected.pair(), "city": expected.two_way(), "dyadic": expected.dyadic()}
    se = np.sqrt([covariance[0, 0] for covariance in literal.values()])
    np.testing.assert_allclose(found.values, expected.coefficients, rtol=0, atol=BRUTE * se.min())
    by_kind = {covariance.kind: covariance for covariance in errors}
    np.testing.assert_allclose([by_kind[kind].std_error[0] for kind in literal], se, rtol=BRUTE)


def test_the_jackknife_is_the_references() -> None:
    _, errors = trial.estimated(worlds.panel("V1", 7))
    (expected,) = reference.jackknife(long_of("V1", 7, 0.0), [["policy"]])
    np.testing.assert_allclose(errors[trial.KINDS.index("jackknife")].matrix, expected, rtol=BRUTE)


def test_draws_are_literal_permutations_and_resamples() -> None:
    panel = worlds.panel("V2", 8, effect=0.07)
    found, errors = trial.estimated(panel)
    draws = trial.permuted(panel, 8, invert=True)
    assert draws.replicates[0] == OBSERVED
    np.testing.assert_allclose(draws.estimate[0][0], found.values, rtol=BRUTE)
    dyadic = errors[trial.KINDS.index("dyadic")]
    np.testing.assert_allclose(draws.statistic[0][0], found.values / dyadic.std_error, rtol=BRUTE)
    np.testing.assert_allclose(
        draws.estimate[0], trial.permuted(panel, 8, invert=False).estimate[0], rtol=1e-11
    )
    first = np.zeros(1, dtype=np.int32)
    (dealt,) = permuted_classes(8, first, panel.classes)
    long, _ = oracle.relabelled(grid("V2", 8, 0.07), adopted(dealt))
    b, t, error = oracle.studentised(long, ["policy"], ["policy"])
    np.testing.assert_allclose(draws.estimate[0][1], b, rtol=0, atol=BRUTE * error[0])
    np.testing.assert_allclose(draws.statistic[0][1], t, rtol=BRUTE)
    drawn, statistic = trial.bootstrapped(panel, 8, float(found.values[0]))
    (counts,) = resampled_counts(8, first, worlds.N_CITIES).astype(int)
    long = oracle.resampled(long_of("V2", 8, 0.07), dict(zip(NAMES, counts, strict=True)))
    b, _, error = oracle.studentised(long, ["policy"], ["policy"])
    np.testing.assert_allclose(drawn[0], b[0], rtol=0, atol=BRUTE * error[0])
    np.testing.assert_allclose(statistic[0], (b[0] - found.values[0]) / error[0], rtol=BRUTE)


@pytest.mark.parametrize("design", worlds.DESIGNS)
def test_an_effect_moves_the_coefficient_and_leaves_the_errors(design: str) -> None:
    plain, moved = (trial.estimated(worlds.panel(design, 9, effect=effect)) for effect in (0.0, 0.07))
    size = plain[1][0].std_error[0]
    np.testing.assert_allclose(moved[0].values, plain[0].values + 0.07, rtol=0, atol=BRUTE * size)
    for one, other in zip(plain[1], moved[1], strict=True):
        np.testing.assert_allclose(one.matrix, other.matrix, rtol=BRUTE)


def test_intervals_of_an_inverted_test_end_where_the_test_rejects() -> None:
    """The permutation interval holds the effect where the test of the panel without it does not reject."""
    rejected = []
    for number in (0, 1, 2, 29, 45, 58):
        low, high = trial.confidence_intervals("V1", number)[trial.INTERVALS.index("permutation")]
        p = trial.p_values("V1", number)[trial.P_VALUES.index("permutation")]
        assert (low <= worlds.EFFECT <= high) == (p > 0.05)
        rejected.append(bool(p <= 0.05))
    assert set(rejected) == {True, False}


def test_later_panels_compile_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def compiled(work: Callable[[], object]) -> int:
        caplog.clear()
        with jax.log_compiles():
            work()
        return sum("XLA compilation" in record.getMessage() for record in caplog.records)

    def run(design: str, number: int) -> None:
        trial.p_values(design, number)
        trial.confidence_intervals(design, number)

    assert compiled(lambda: jax.jit(lambda x: x + 1)(1.0)) > 0  # that is how it would show
    run("V1", 0)
    for design in worlds.DESIGNS:
        assert compiled(partial(run, design, 1)) == 0


# -- the page ----------------------------------------------------------------------------------------------


def made_up() -> Simulated:
    """Four panels a design; of each kind of inference the first panels reject, or fail to cover."""
    p = np.full((4, len(trial.P_VALUES)), 0.05000001)
    p[0] = 0.05
    ends = np.tile([0.07, 0.09], (4, len(trial.INTERVALS), 1))
    ends[:3, 0] = [[-1.0, 0.0699], [0.0701, np.inf], [-np.inf, np.inf]]
    return Simulated(dict.fromkeys(worlds.DESIGNS, p), dict.fromkeys(worlds.DESIGNS, ends))


def test_rejection_and_coverage_count_their_edges() -> None:
    found = made_up()
    assert found.rejected("V2") == dict.fromkeys(trial.P_VALUES, 0.25)
    assert found.covered("V2") == {**dict.fromkeys(trial.INTERVALS, 1.0), "pair": 0.5}
    assert found.length("V3")["jackknife"] == pytest.approx(0.02, rel=1e-12)


def test_the_page_shows_the_shares_and_marks_those_within_the_band() -> None:
    page = simulate.text(made_up())
    rejected, covered = "| 25.0 " * len(trial.P_VALUES), "| 100.0 " * (len(trial.INTERVALS) - 1)
    assert f"\n| V1 {rejected}|\n" in page
    assert f"\n| V4 | 50.0 {covered}|\n" in page
    assert simulate._percent(0.065, 5.0) == "**6.5**"
    assert simulate._percent(0.066, 5.0) == "6.6"


def test_shares_give_the_panels_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a thread: what processes add is tested by the whole run."""
    monkeypatch.setattr(simulate, "SHARE", 2)
    monkeypatch.setattr(
        processes_of_panels, "ProcessPoolExecutor", lambda workers, mp_context: ThreadPoolExecutor(1)
    )
    found = simulate.simulate(3)
    for design in worlds.DESIGNS:
        np.testing.assert_array_equal(
            found.p_values[design], [trial.p_values(design, number) for number in range(3)]
        )
        np.testing.assert_array_equal(
            found.intervals[design], [trial.confidence_intervals(design, number) for number in range(3, 6)]
        )
