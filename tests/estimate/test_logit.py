"""The logit against statsmodels; separation against linear programmes, which decide it without any iteration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import assume, given, settings
from scipy.optimize import linprog
from scipy.special import expit
from strategies import seeds
from tolerances import PEER

from engine.errors import InputError
from engine.estimate import logit as module
from engine.estimate.logit import Logit, logit

NAMES = ("edu", "open", "tech", "loans", "dense")
SCALES = np.array([1.0, 10.0, 0.01, 3.0, 1e3])
CENTRES = np.array([5.0, 100.0, 0.0, -3.0, 2e4])
ROUNDING = 1e-11
"""Relative, of the same rows summed in another order or told in other units. Newton stops with a step of at most
1e-8, after which the error is its square; what is left is the rounding of sums over rows."""


def world(seed: int, n: int, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Columns of very different units, and a treatment that depends on them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, k))
    index = -0.5 + x @ np.array([0.5, -0.3, 0.2, 0.0, 1.0])[:k]
    treated = rng.random(n) < 1 / (1 + np.exp(-index))
    return x * SCALES[:k] + CENTRES[:k], treated


def peer(x: np.ndarray, treated: np.ndarray):
    model = sm.Logit(treated.astype(float), sm.add_constant(x, has_constant="add"))
    # A Newton that stops at a gain of 1e-8 is 1e-4 away; two more steps from there are at rounding.
    return model.fit(disp=0, method="newton", tol=1e-12, maxiter=100, warn_convergence=False)


def assert_equals_peer(own: Logit, other, x: np.ndarray) -> None:
    np.testing.assert_allclose(own.coefficients, other.params, rtol=PEER)
    np.testing.assert_allclose(own.std_errors, other.bse, rtol=PEER)
    np.testing.assert_allclose(own.probability, other.predict(), rtol=PEER)
    np.testing.assert_allclose(
        own.index, sm.add_constant(x, has_constant="add") @ other.params, rtol=PEER, atol=PEER
    )
    np.testing.assert_allclose(own.log_likelihood, other.llf, rtol=PEER)
    assert (own.converged, own.separated) == (True, None)


# -- against statsmodels -----------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seeds)
def test_equals_statsmodels(seed: int) -> None:
    x, treated = world(seed, 400)
    own = logit(x, treated, names=NAMES)
    assert own.names == ("intercept", *NAMES)
    assert_equals_peer(own, peer(x, treated), x)


@pytest.mark.parametrize("n", [module._BLOCK - 1, module._BLOCK, 2 * module._BLOCK + 7])
def test_rows_in_any_number_of_blocks(n: int) -> None:
    x, treated = world(1, n)
    assert_equals_peer(logit(x, treated, names=NAMES), peer(x, treated), x)


def test_rare_treatment() -> None:
    x, _ = world(2, 20_000, 2)
    treated = np.random.default_rng(2).random(len(x)) < 2e-3 * np.exp((x[:, 0] - 5) / 2)
    assert 10 < treated.sum() < 100
    assert_equals_peer(logit(x, treated, names=NAMES[:2]), peer(x, treated), x)


@settings(max_examples=10)
@given(seeds)
def test_weights_are_frequencies(seed: int) -> None:
    x, treated = world(seed, 300)
    weights = np.random.default_rng(seed).integers(0, 4, len(x)).astype(float)
    own = logit(x, treated, names=NAMES, weights=weights)
    times = weights.astype(int)
    repeated = logit(np.repeat(x, times, axis=0), np.repeat(treated, times), names=NAMES)
    for name in ("coefficients", "std_errors", "log_likelihood"):
        np.testing.assert_allclose(getattr(own, name), getattr(repeated, name), rtol=ROUNDING)
    np.testing.assert_allclose(
        own.probability[times > 0], repeated.probability[np.cumsum(times)[times > 0] - 1]
    )

    model = sm.GLM(
        treated.astype(float), sm.add_constant(x), family=sm.families.Binomial(), freq_weights=weights
    )
    other = model.fit(tol=1e-14, tol_criterion="params", maxiter=100)
    np.testing.assert_allclose(own.coefficients, other.params, rtol=PEER)
    np.testing.assert_allclose(own.std_errors, other.bse, rtol=PEER)


def test_one_dummy_is_a_table_of_four_counts() -> None:
    """b_0 = log odds without the dummy, b_1 = log odds ratio, its variance the sum of one over the counts."""
    counts = {(0, 0): 70, (0, 1): 20, (1, 0): 33, (1, 1): 57}
    x = np.concatenate([np.full(n, float(dummy)) for (dummy, _), n in counts.items()])
    treated = np.concatenate([np.full(n, bool(yes)) for (_, yes), n in counts.items()])
    own = logit(x[:, None], treated, names=["coastal"])
    expected = [np.log(20 / 70), np.log(57 / 33) - np.log(20 / 70)]
    np.testing.assert_allclose(own.coefficients, expected, rtol=ROUNDING)
    errors = [np.sqrt(1 / 20 + 1 / 70), np.sqrt(sum(1 / n for n in counts.values()))]
    np.testing.assert_allclose(own.std_errors, errors, rtol=ROUNDING)


@settings(max_examples=10)
@given(seeds)
def test_units_and_the_order_of_rows_do_not_matter(seed: int) -> None:
    x, treated = world(seed, 300)
    rng = np.random.default_rng(seed)
    own, order = logit(x, treated, names=NAMES), rng.permutation(300)
    factor = rng.choice([-1.0, 1.0], 5) * 10 ** rng.uniform(-6, 6, 5)
    shift = (
        100 * factor * rng.normal(size=5)
    )  # a shift far beyond the spread would take the data's own digits
    other = logit(((x - CENTRES) * factor + shift)[order], treated[order], names=NAMES)
    np.testing.assert_allclose(
        other.coefficients[1:] * factor, own.coefficients[1:], rtol=1e3 * ROUNDING, atol=0
    )
    np.testing.assert_allclose(other.probability, own.probability[order], rtol=1e3 * ROUNDING)


def test_a_newton_step_too_long_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far outliers make full steps overshoot. A gradient of zero proves a maximum: the likelihood is concave."""
    calls = []
    sums = module._Blocks.sums
    monkeypatch.setattr(module._Blocks, "sums", lambda *args: calls.append(args) or sums(*args))
    halved = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x, treated = rng.standard_t(0.5, size=(100, 2)), rng.random(100) < 0.05
        x[:, 0] = np.where(treated, np.abs(x[:, 0]), x[:, 0])
        if not treated.any():
            continue
        calls.clear()
        own = logit(x, treated, names=["a", "b"])
        halved += len(calls) > own.iterations + 1
        assert own.converged == (programme(x / np.abs(x).max(axis=0), treated) is None)
        if own.converged:
            with_one = sm.add_constant(x)
            gradient = with_one.T @ (treated - expit(with_one @ own.coefficients))
            # A share of each column's length: the rounding of a hundred probabilities, and of far indices.
            np.testing.assert_allclose(gradient / np.linalg.norm(with_one, axis=0), 0, atol=1e-9)
    assert halved >= 3


def test_any_number_of_rows_is_compiled_once() -> None:
    logit(*world(0, 50, 4), names=NAMES[:4])
    before = module._add._cache_size()
    for n in (51, 700, 20_000):
        logit(*world(0, n, 4), names=NAMES[:4])
    assert module._add._cache_size() == before


# -- separation --------------------------------------------------------------------------------------------


def programme(x: np.ndarray, treated: np.ndarray) -> str | None:
    """Konis (2007): maximise the sum of (2y - 1) x'd over the d that separate; then the least of them."""
    z = sm.add_constant(x, has_constant="add") * np.where(treated, 1.0, -1.0)[:, None]
    n, k = z.shape
    total = linprog(-z.sum(axis=0), A_ub=-z, b_ub=np.zeros(n), bounds=[(-1, 1)] * k)
    if -total.fun < 1e-7:
        return None
    margin = linprog(
        np.r_[np.zeros(k), -1.0],
        A_ub=np.c_[-z, np.ones(n)],
        b_ub=np.zeros(n),
        bounds=[(-1, 1)] * k + [(None, 1)],
    )
    return "complete" if -margin.fun > 1e-9 else "quasi-complete"


def continuous(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return rng.normal(size=(n, k))


def discrete(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return rng.integers(0, 3, (n, k)).astype(float)


def mixed(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return np.where(rng.random(k) < 0.5, rng.normal(size=(n, k)), rng.integers(0, 2, (n, k)))


def skewed(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    return np.exp(2 * rng.normal(size=(n, k)))


@pytest.mark.parametrize("kind", [continuous, discrete, mixed, skewed])
def test_separation_is_what_a_linear_programme_says(kind: Callable[..., np.ndarray]) -> None:
    seen = set()

    @settings(max_examples=40, derandomize=True)
    @given(seeds)
    def check(seed: int) -> None:
        rng = np.random.default_rng(seed)
        n, k = int(rng.integers(8, 50)), int(rng.integers(1, 4))
        x = kind(rng, n, k)
        slope = rng.normal(size=k) * rng.choice([1, 5, 30])
        treated = (x - x.mean(axis=0)) @ slope + rng.logistic(size=n) * rng.choice([0, 0.3, 3]) > 0
        with_one = sm.add_constant(x, has_constant="add")
        assume(0 < treated.sum() < n and np.linalg.matrix_rank(with_one) == k + 1)
        own, expected = logit(x, treated, names=[f"x{place}" for place in range(k)]), programme(x, treated)
        seen.add(expected)
        assert own.converged == (expected is None)
        assert np.isfinite(own.std_errors).all() == own.converged
        if expected is None:
            assert own.separated is None
        else:
            assert own.separated is not None
            assert own.separated.endswith(f"({expected} separation)")

    check()
    assert seen >= {None, "complete"}


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_column_that_separates_alone_is_named(sign: float) -> None:
    x, treated = world(3, 200)
    x[:, 3] = sign * np.where(treated, 1.0, -1.0) * np.random.default_rng(3).uniform(0.1, 1, 200)
    said = "'loans' tells treated from controls without error in all rows (complete separation)"
    assert logit(x, treated, names=NAMES).separated == said
    # Some rows on the other side, and there is a maximum again.
    x[:20, 3] *= -1
    assert_equals_peer(logit(x, treated, names=NAMES), peer(x, treated), x)


def test_a_dummy_of_treated_rows_only_is_named() -> None:
    x, treated = world(4, 300)
    x[:, 1] = treated & (np.random.default_rng(4).random(300) < 0.2)
    said = "'open' tells treated from controls without error in part of the rows (quasi-complete separation)"
    assert logit(x, treated, names=NAMES).separated == said
    x[:, 4] = treated | (np.random.default_rng(5).random(300) < 0.8)
    said = "open, dense each tell treated from controls without error in part of the rows (quasi-complete separation)"
    assert logit(x, treated, names=NAMES).separated == said


def test_columns_that_separate_together_are_named_without_the_others() -> None:
    x, treated = world(5, 400)
    x = (x - CENTRES) / SCALES
    # Treated where edu + dense > 0 in a group that a value of both marks; elsewhere edu + dense is zero.
    group = np.random.default_rng(5).random(400) < 0.3
    x[:, 4] = -x[:, 0] + np.where(group, np.where(treated, 1.0, -1.0), 0.0)
    own = logit(x, treated, names=NAMES)
    assert own.separated is not None
    assert own.separated.startswith("edu, dense together tell treated from controls without error in part of")


def test_rows_of_weight_zero_neither_separate_nor_overlap() -> None:
    x, treated = world(6, 200)
    x[:, 0] = np.where(treated, 1.0, -1.0)
    weights = np.ones(200)
    x[:5, 0] *= -1
    assert logit(x, treated, names=NAMES, weights=weights).separated is None
    weights[:5] = 0
    found = logit(x, treated, names=NAMES, weights=weights).separated
    assert found == "'edu' tells treated from controls without error in all rows (complete separation)"


def test_fitted_probabilities_of_one_are_no_separation() -> None:
    """Far rows have a probability of 1 to all digits while near ones overlap."""
    rng = np.random.default_rng(7)
    x = np.concatenate([rng.normal(size=300), [60.0, 80.0]])
    treated = np.concatenate([rng.random(300) < 1 / (1 + np.exp(-3 * x[:300])), [True, True]])
    own = logit(x[:, None], treated, names=["x"])
    assert own.probability[-1] == 1.0
    assert_equals_peer(own, peer(x, treated), x)


# -- refusals ----------------------------------------------------------------------------------------------


def test_collinear_columns_are_named() -> None:
    x, treated = world(8, 200)
    x[:, 4] = 2 * x[:, 1] - 1e3 * x[:, 2] + 7
    with pytest.raises(
        InputError, match="logit: the column 'dense' is collinear with open, tech\n  hint: leave out"
    ):
        logit(x, treated, names=NAMES)
    x[:, 2] = 0.1
    with pytest.raises(InputError, match="the column 'tech' does not vary"):
        logit(x, treated, names=NAMES)


def test_what_varies_only_in_rows_of_weight_zero_does_not_vary() -> None:
    x, treated = world(8, 200)
    x[:, 0] = np.arange(200) < 3
    with pytest.raises(InputError, match="the column 'edu' does not vary"):
        logit(x, treated, names=NAMES, weights=(np.arange(200) >= 3).astype(float))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda x, t, w: x.__setitem__((slice(4), 2), np.nan),
            "the column 'tech' is missing or infinite in 4 rows",
        ),
        (lambda x, t, w: x.__setitem__((0, 0), np.inf), "the column 'edu' is missing or infinite in 1 rows"),
        (lambda x, t, w: t.fill(False), "there are no treated among 100 rows"),
        (lambda x, t, w: t.fill(True), "there are no controls among 100 rows"),
        (lambda x, t, w: w.__setitem__(t, 0.0), "there are no treated among 100 rows"),
        (lambda x, t, w: w.__setitem__(3, -1.0), "a weight is negative, infinite or missing"),
        (lambda x, t, w: w.__setitem__(3, np.nan), "a weight is negative, infinite or missing"),
    ],
)
def test_bad_input_is_refused(change: Callable[..., None], said: str) -> None:
    x, treated = world(9, 100)
    weights = np.ones(100)
    change(x, treated, weights)
    with pytest.raises(InputError, match=said) as error:
        logit(x, treated, names=NAMES, weights=weights)
    assert error.value.remedy


@pytest.mark.parametrize("names", [NAMES[:4], ()])
def test_shapes_are_checked(names: tuple[str, ...]) -> None:
    x, treated = world(9, 100)
    with pytest.raises(ValueError, match="expected columns"):
        logit(x, treated, names=names)
    with pytest.raises(ValueError, match="expected 100 rows"):
        logit(x, treated[1:], names=NAMES)
