"""Sets that allow for violations of parallel trends, against linear programmes, brute force and published software."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import optimize, stats

from engine.arrays import Array
from engine.infer.honest.fixed_length import fixed_length_interval, folded_quantile
from engine.infer.honest.moment_inequalities import Coefficients, HybridTest, extreme_rays, truncated_quantile
from engine.infer.honest.restrictions import EventTimes, Restriction
from engine.infer.honest.sensitivity import sensitivity

YEARS = EventTimes((-5, -4, -3, -2, 0, 1, 2, 3), -1)
AVERAGE, FIRST = np.full(4, 0.25), np.eye(4)[0]
RESTRICTIONS = [
    Restriction("relative_magnitudes"),
    Restriction("relative_magnitudes", "positive"),
    Restriction("relative_magnitudes", None, "increasing"),
    Restriction("smoothness", "negative"),
    Restriction("smoothness", None, "decreasing"),
]


def estimates(weights: Array = AVERAGE, seed: int = 1) -> Coefficients:
    random = np.random.default_rng(seed)
    root = random.standard_normal((8, 13)) * 0.3
    matrix = root @ root.T / 10 + 0.02 * np.eye(8)
    values = np.concatenate([0.05 * random.standard_normal(4), [0.6, 0.7, 0.8, 0.9]])
    return Coefficients(values, matrix, YEARS.after, weights)


def test_differences_go_through_the_reference_period() -> None:
    years = EventTimes((-3, -2, 0, 1), -1)
    first, with_effect = years.differences(1)
    assert first.tolist() == [[-1, 1, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, -1, 1]]
    assert with_effect.tolist() == [False, False, True, True]
    second, _ = years.differences(2)
    np.testing.assert_array_equal(second, np.diff(first, axis=0))
    assert not EventTimes((-3, 0, 1), -1).consecutive


@pytest.mark.parametrize("restriction", RESTRICTIONS)
def test_polyhedra_hold_what_is_assumed_and_nothing_else(restriction: Restriction) -> None:
    """Random differences in trends are in some polyhedron where loops over years find no violation."""
    random, size, inside = np.random.default_rng(3), 1.2, 0
    for _ in range(2000):
        steps = random.standard_normal(8) * random.choice([0.05, 1.0])
        steps[4:] *= 0.4
        if restriction.course is not None:
            steps = (
                np.abs(steps) * (1 if restriction.course == "increasing" else -1)
                + 0.05 * random.standard_normal()
            )
        path = np.concatenate([[0.0], np.cumsum(steps)])
        path -= path[4]
        changes, slopes = np.diff(path), np.diff(path, 2)
        allowed = (
            bool((np.abs(changes[4:]) <= size * np.abs(changes[:4]).max()).all())
            if restriction.kind == "relative_magnitudes"
            else bool((np.abs(slopes) <= size).all())
        )
        after = path[5:]
        if restriction.direction is not None:
            allowed &= bool((after >= 0).all() if restriction.direction == "positive" else (after <= 0).all())
        if restriction.course is not None:
            allowed &= bool(
                (changes >= 0).all() if restriction.course == "increasing" else (changes <= 0).all()
            )
        delta = np.delete(path, 4)
        found = any(
            (each.rows @ delta <= each.bounds + 1e-12).all() for each in restriction.polyhedra(YEARS, size)
        )
        assert found == allowed
        inside += allowed
    assert 20 < inside < 1980


@pytest.mark.parametrize("seed", range(5))
def test_extreme_rays_are_those_of_every_smallest_support(seed: int) -> None:
    random = np.random.default_rng(seed)
    columns = random.integers(-2, 3, (7, 3)).astype(float)
    found = {tuple(np.round(ray / ray.sum(), 9)) for ray in extreme_rays(columns)}
    supports: list[set[int]] = []
    expected = set()
    for length in range(1, 8):
        for some in itertools.combinations(range(7), length):
            if any(smaller <= set(some) for smaller in supports):
                continue
            _, values, vectors = np.linalg.svd(columns[list(some)].T)
            rank = int((values > 1e-9).sum())
            if length - rank != 1:
                continue
            ray = vectors[-1] / vectors[-1].sum() if abs(vectors[-1].sum()) > 1e-9 else vectors[-1]
            if (ray > 1e-9).all():
                supports.append(set(some))
                whole = np.zeros(7)
                whole[list(some)] = ray
                expected.add(tuple(np.round(whole, 9)))
    assert found == expected


def programme(test: HybridTest, value: float) -> tuple[Array, Array, Array, Array]:
    """Y(theta), X, sigma and the covariance of Y, as the head of the module has them."""
    coefficients, polyhedron = test.coefficients, test.polyhedron
    after, weights = coefficients.after, coefficients.weights
    rows = np.abs(polyhedron.rows[:, after]).max(axis=1) > 0
    a = polyhedron.rows[rows]
    complement = np.linalg.svd(weights[None])[2][1:].T
    y = (
        a @ coefficients.values
        - polyhedron.bounds[rows]
        - a[:, after] @ weights * value / (weights @ weights)
    )
    covariance = a @ coefficients.matrix @ a.T
    return y, a[:, after] @ complement, np.sqrt(np.diag(covariance)), covariance


def least_eta(y: Array, x: Array, sigma: Array) -> float:
    bounds = [(None, None)] * (1 + x.shape[1])
    found = optimize.linprog(
        np.eye(1 + x.shape[1])[0], -np.column_stack([sigma, x]), -y, bounds=bounds, method="highs"
    )
    return float(found.fun)


def decided_by_programmes(test: HybridTest, value: float, critical: float) -> bool:
    """The test by linear programmes: eta, its dual, and by bisection how far the same dual stays the best."""
    y, x, sigma, covariance = programme(test, value)
    eta = least_eta(y, x, sigma)
    if eta > critical:
        return False
    dual = optimize.linprog(
        -y, A_eq=np.column_stack([x, sigma]).T, b_eq=np.eye(1 + x.shape[1])[-1], method="highs"
    ).x
    variance = float(dual @ covariance @ dual)
    along = covariance @ dual / variance
    rest = y - along * eta

    def beyond(far: float) -> float:
        inside, outside = eta, far
        if abs(least_eta(rest + along * far, x, sigma) - far) < 1e-7:
            return far
        for _ in range(45):
            middle = (inside + outside) / 2
            best = abs(least_eta(rest + along * middle, x, sigma) - middle) < 1e-9
            inside, outside = (middle, outside) if best else (inside, middle)
        return inside

    deviation = float(np.sqrt(variance))
    low, high = beyond(eta - 40 * deviation), min(beyond(eta + 40 * deviation), critical)
    second = (test.size - 0.1 * test.size) / (1 - 0.1 * test.size)
    below, above = stats.norm.cdf(low / deviation), stats.norm.cdf(high / deviation)
    quantile = deviation * float(stats.norm.ppf(below + (1 - second) * (above - below)))
    return eta <= max(quantile, 0.0)


@pytest.mark.parametrize("restriction", RESTRICTIONS)
@pytest.mark.parametrize("weights", [AVERAGE, FIRST], ids=["average", "first"])
def test_values_are_decided_as_by_linear_programmes(restriction: Restriction, weights: Array) -> None:
    coefficients = estimates(weights)
    for polyhedron in restriction.polyhedra(YEARS, 0.5 if restriction.kind == "relative_magnitudes" else 0.1)[
        :3
    ]:
        test = HybridTest(coefficients, polyhedron, 0.05)
        values = coefficients.estimate + np.array([-1.3, -0.7, -0.3, 0.0, 0.4, 1.0])
        critical = test._least_favourable
        expected = [decided_by_programmes(test, value, critical) for value in values.tolist()]
        assert test.accepts(values).tolist() == expected


def test_least_favourable_values_are_exceeded_as_often_as_they_say() -> None:
    """By 1,500 draws in which all inequalities hold with equality; with size 1 the first stage takes a tenth."""
    (polyhedron,) = Restriction("smoothness", "negative").polyhedra(YEARS, 0.1)
    test = HybridTest(estimates(), polyhedron, 1.0)
    _, x, sigma, covariance = programme(test, 0.0)
    draws = np.random.default_rng(8).multivariate_normal(np.zeros(len(sigma)), covariance, 1500)
    share = np.mean([least_eta(draw, x, sigma) > test._least_favourable for draw in draws])
    assert abs(share - 0.1) < 3 * np.sqrt(0.09 / 1500)


def test_truncated_quantiles_keep_their_digits_in_either_tail() -> None:
    low, high = np.array([-np.inf, 9.0, -12.0, 1.0]), np.array([0.0, np.inf, -11.0, 1.5])
    expected = [
        stats.norm.ppf(0.95 / 2), stats.norm.isf(0.05 * stats.norm.sf(9.0)),
        stats.truncnorm.ppf(0.95, -12, -11), stats.truncnorm.ppf(0.95, 1, 1.5),
    ]  # fmt: skip
    np.testing.assert_allclose(truncated_quantile(0.95, low, high), expected, rtol=1e-9)


@pytest.mark.parametrize("weights", [AVERAGE, FIRST], ids=["average", "first"])
@pytest.mark.parametrize("size", [0.0, 0.025, 0.1])
def test_fixed_length_intervals_are_the_shortest(weights: Array, size: float) -> None:
    """No interval of a search over all linear estimates, begun in many places, is shorter; this one is found."""
    coefficients = estimates(weights)
    second, _ = YEARS.differences(2)
    wanted = second[:, YEARS.after].T
    particular = np.linalg.pinv(wanted) @ weights
    free = np.linalg.svd(wanted)[2][len(wanted) :].T

    def half_length(at: Array) -> float:
        u = particular + free @ at
        deviation = float(np.sqrt(u @ second @ coefficients.matrix @ second.T @ u))
        return deviation * folded_quantile(0.95, size * float(np.abs(u).sum()) / deviation)

    random = np.random.default_rng(0)
    options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 20000, "maxfev": 20000}
    shortest = np.inf
    for _ in range(6):
        at = 3 * random.standard_normal(free.shape[1])
        for _ in range(3):
            at = optimize.minimize(half_length, at, method="Nelder-Mead", options=options).x
        shortest = min(shortest, half_length(at))
    low, high = fixed_length_interval(coefficients, YEARS, size, 0.95)
    assert (high - low) / 2 == pytest.approx(shortest, rel=2e-5)
    assert (high - low) / 2 < shortest * (1 + 1e-7)


@pytest.mark.parametrize(
    ("weights", "size", "ends"),
    [
        (FIRST, 0.025, (-0.00209774, 1.16763143)), (FIRST, 0.05, (-0.03634019, 1.17949139)),
        (FIRST, 0.1, (-0.11789074, 1.20591925)), (AVERAGE, 0.025, (0.25422445, 1.23831111)),
        (AVERAGE, 0.05, (0.04920186, 1.42337488)), (AVERAGE, 0.1, (-0.34937354, 1.77436726)),
    ],
)  # fmt: skip
def test_fixed_length_intervals_are_those_of_published_software(
    weights: Array, size: float, ends: tuple[float, float]
) -> None:
    """``compute_flci`` of moderndid 0.2.0 on the same numbers, by convex programmes to six digits."""
    np.testing.assert_allclose(fixed_length_interval(estimates(weights), YEARS, size, 0.95), ends, atol=3e-6)


def test_estimates_that_contradict_the_assumption_have_no_set() -> None:
    """Leads and lags that rise by twenty errors a year, where the difference in trends never rises."""
    values = np.array([-8.0, -6.0, -4.0, -2.0, 2.0, 4.0, 6.0, 8.0])
    sure = Coefficients(values, 1e-4 * np.eye(8), YEARS.after, AVERAGE)
    sets = sensitivity(
        sure, YEARS, Restriction("smoothness", "negative", "increasing"), np.array([0.01]), 0.95
    )
    assert np.isnan(sets.low).all()
    assert np.isnan(sets.high).all()


def test_no_violation_of_relative_magnitudes_is_parallel_trends() -> None:
    coefficients = estimates()
    sets = sensitivity(coefficients, YEARS, Restriction("relative_magnitudes"), np.zeros(1), 0.95)
    margin = stats.norm.ppf(0.975) * coefficients.std_error
    np.testing.assert_allclose(
        [sets.low[0], sets.high[0]], coefficients.estimate + np.array([-margin, margin]), rtol=1e-2
    )


@pytest.mark.parametrize("kind", ["relative_magnitudes", "smoothness"])
def test_at_the_breakdown_value_the_set_reaches_zero(kind: str) -> None:
    coefficients, restriction = estimates(), Restriction(kind)  # type: ignore[arg-type]
    breakdown = sensitivity(coefficients, YEARS, restriction, np.zeros(1), 0.95).breakdown
    assert breakdown > 0
    around = sensitivity(coefficients, YEARS, restriction, breakdown * np.array([0.98, 1.02]), 0.95)
    assert around.low[0] > 0 > around.low[1]


def test_the_unit_of_the_outcome_does_not_matter() -> None:
    plain = estimates()
    scaled = Coefficients(1e6 * plain.values, 1e12 * plain.matrix, plain.after, plain.weights)
    for kind, unit in (("relative_magnitudes", 1.0), ("smoothness", 1e6)):
        restriction, sizes = Restriction(kind), np.array([0.0, 0.1])  # type: ignore[arg-type]
        small = sensitivity(plain, YEARS, restriction, sizes, 0.95)
        large = sensitivity(scaled, YEARS, restriction, unit * sizes, 0.95)
        np.testing.assert_allclose(large.low, 1e6 * small.low, rtol=1e-5)
        np.testing.assert_allclose(large.high, 1e6 * small.high, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "restriction", [Restriction("relative_magnitudes"), Restriction("smoothness", "positive")]
)
def test_sets_cover_the_truth(restriction: Restriction) -> None:
    """400 samples at the edge of what is assumed: changes after adoption as large as the largest before."""
    coefficients, random = estimates(), np.random.default_rng(5)
    delta = np.array([-0.8, -0.6, -0.4, -0.2, 0.2, 0.4, 0.6, 0.8])
    root = np.linalg.cholesky(coefficients.matrix / 25)
    size, effect = (1.0, 0.5) if restriction.kind == "relative_magnitudes" else (0.05, 0.5)
    covered = 0
    for _ in range(400):
        values = delta + effect * YEARS.after + root @ random.standard_normal(8)
        sample = Coefficients(values, coefficients.matrix / 25, YEARS.after, AVERAGE)
        tests = [HybridTest(sample, each, 0.05) for each in restriction.polyhedra(YEARS, size)]
        covered += any(test.accepts(np.array([effect]))[0] for test in tests)
    assert covered >= 400 * 0.95 - 3 * np.sqrt(400 * 0.0475)
