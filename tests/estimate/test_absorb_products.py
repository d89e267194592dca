"""Products of absorption: on an incomplete grid and on an accelerator, against those of the rows themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from absorb_designs import (
    N_COLUMNS,
    N_ROWS,
    N_YEARS,
    TOLERANCE,
    balanced,
    columns,
    distance,
    effects,
    oracle,
    thinned,
)

from engine.errors import InputError
from engine.estimate.absorb import Effect, absorb, prepare
from engine.estimate.absorb import device as absorb_device
from engine.estimate.absorb.incomplete import GridOperator
from engine.estimate.absorb.row_kernels import Operator, full_product

METHODS = ("auto", "direct", "conjugate_gradient", "alternating")

Codes = dict[str, np.ndarray]

EXACT = 1e-13
"""Sums of at most a hundred numbers of the size of one: rounding leaves a hundred times 1e-16 or so."""


# -- grids with cells missing ------------------------------------------------------------------------------


def at_random(codes: Codes) -> np.ndarray:
    return np.sort(np.random.default_rng(30).permutation(len(codes["pair"]))[:120])


def in_any_order(codes: Codes) -> np.ndarray:
    return np.random.default_rng(31).permutation(len(codes["pair"]))[:120]


def levels_without_a_row(codes: Codes) -> np.ndarray:
    """City 7, the last, has no last two years, nor has the last group; city 3 has no second year."""
    lacking = (codes["city x year"] >= 7 * N_YEARS + 3) | (codes["city x year"] == 3 * N_YEARS + 1)
    return np.flatnonzero(~lacking.any(axis=1) & (codes["group x year"] < 3 * N_YEARS + 3))


def pairs_without_a_row(codes: Codes) -> np.ndarray:
    keep = (codes["pair"] % 9 != 4) & (codes["pair"] < 26)
    keep[[0, 8, 11, 12]] = False
    return np.flatnonzero(keep)


def nothing_missing_but_the_order(codes: Codes) -> np.ndarray:
    return np.random.default_rng(32).permutation(len(codes["pair"]))


MISSING = (
    at_random,
    in_any_order,
    levels_without_a_row,
    pairs_without_a_row,
    nothing_missing_but_the_order,
)


def incomplete(missing: Callable[[Codes], np.ndarray], other: str) -> list[Effect]:
    codes = balanced()
    keep = missing(codes)
    return effects({name: values[keep] for name, values in codes.items()}, ("pair", other))


@pytest.mark.parametrize(
    ("other", "small"), [("year", 4), ("group x year", 4), ("group x year", 5), ("city x year", 4)]
)
@pytest.mark.parametrize("missing", MISSING)
def test_products_on_an_incomplete_grid(
    missing: Callable[[Codes], np.ndarray], other: str, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole grid less missing cells = rows, for every pair of effects; and residuals = least squares."""
    monkeypatch.setattr(
        "engine.estimate.absorb.row_kernels.SMALL", small
    )  # 5: blocks of equations are counted
    found = incomplete(missing, other)
    plan = prepare(found, singletons="keep")
    own = plan.operator
    assert isinstance(own, GridOperator)
    plain = Operator(own.effects, own.weights, own.inverses)
    rng = np.random.default_rng(33)
    for source in (0, 1):
        b = rng.normal(size=(own.effects[source].size, N_COLUMNS))
        for target in (0, 1):
            result, expected = (which.couple({source: b}, [target])[target] for which in (own, plain))
            np.testing.assert_allclose(result, expected, rtol=0, atol=EXACT)
            brute = np.zeros_like(expected)
            for row, level in zip(own.effects[target].codes, own.effects[source].codes, strict=True):
                for to in row:
                    brute[to] += b[level].sum(axis=0)
            np.testing.assert_allclose(expected, brute, rtol=0, atol=EXACT)
    for n_columns in (3, 7):  # seven are worth a matrix of their own
        x = columns(34, len(found[0].codes), n_columns)
        expected, rank = oracle(x, found)
        for method in METHODS:
            done = absorb(x, plan, method=method)
            assert done.converged
            assert done.rank in (None, rank)
            assert distance(done.residuals, expected, x) < TOLERANCE


@pytest.mark.parametrize("what", ["a cell twice", "a pair in two groups", "half missing", "weights"])
def test_what_is_no_incomplete_grid(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = balanced()
    keep, weights = np.arange(len(codes["pair"]))[3:], None
    if what == "a cell twice":
        keep = np.append(keep, keep[-1])
    elif what == "half missing":
        keep = keep[np.random.default_rng(35).random(len(keep)) < 0.5]
    elif what == "weights":
        weights = np.random.default_rng(36).uniform(0.5, 2, len(keep))
    codes = {name: values[keep] for name, values in codes.items()}
    if what == "a pair in two groups":
        codes["group x year"][40] = (codes["group x year"][40] + N_YEARS) % (4 * N_YEARS)
    monkeypatch.setattr("engine.estimate.absorb.row_kernels.SMALL", 4)
    found = effects(codes, ("pair", "group x year"))
    plan = prepare(found, weights=weights, singletons="keep")
    assert plan.cells is None
    x = columns(37, len(keep))
    assert distance(absorb(x, plan).residuals, oracle(x, found, weights)[0], x) < TOLERANCE


@pytest.mark.parametrize(
    "shape", [(90, 7, 5), (7, 90, 5), (5, 7, 90), (90, 90, 5), (9, 9, 9), (5, 90, 1), (0, 3, 3)]
)
def test_full_products_by_parts(shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """In one part, in several, and where parts would be too thin."""
    rng = np.random.default_rng(41)
    n_rows, n_inner, n_columns = shape
    one, other = rng.normal(size=(n_rows, n_inner)), rng.normal(size=(n_inner, n_columns))
    expected = np.einsum("ij,jk->ik", one, other)
    for single in (1 << 18, 800, 4):
        monkeypatch.setattr("engine.estimate.absorb.row_kernels._SINGLE", single)
        np.testing.assert_allclose(full_product(one, other), expected, rtol=0, atol=EXACT)


# -- an accelerator ----------------------------------------------------------------------------------------


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products by JAX, as on an accelerator; here its device is the processor."""
    monkeypatch.setattr("engine.estimate.absorb.plan.jax.default_backend", lambda: "gpu")


@pytest.mark.usefixtures("on_device")
@pytest.mark.parametrize("names", [("pair", "city x year"), ("pair", "year", "seven"), ("city x year",)])
@pytest.mark.parametrize("has_weights", [False, True])
def test_products_of_an_accelerator(
    names: tuple[str, ...], has_weights: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absorb_device, "_CHUNK", 32)  # the last chunk is padded
    codes = balanced() if names == ("city x year",) else thinned(38)
    found, n_rows = effects(codes, names), len(codes["pair"])
    weights = np.random.default_rng(39).uniform(0.2, 5, n_rows) if has_weights else None
    plan = prepare(found, weights=weights, singletons="keep")
    assert isinstance(plan.operator, absorb_device.DeviceOperator)
    x = columns(40, n_rows)
    expected, _ = oracle(x, found, weights)
    for method in METHODS:
        own = absorb(x, plan, method=method)
        assert own.converged
        assert distance(own.residuals, expected, x) < TOLERANCE


@pytest.mark.usefixtures("on_device")
def test_products_are_compiled_once_a_shape() -> None:
    def run(seed: int) -> None:
        plan = prepare(effects(thinned(seed), ("pair", "year", "four")), singletons="keep")
        absorb(columns(seed, N_ROWS), plan, method="conjugate_gradient")

    run(20)
    before = absorb_device._couple._cache_size()
    for seed in range(21, 25):
        run(seed)
    assert absorb_device._couple._cache_size() == before > 0


# -- small and degenerate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_one_row_and_one_level(method: str) -> None:
    one = [Effect("pair", np.zeros(1, np.int32)), Effect("year", np.zeros(1, np.int32))]
    own = absorb(np.array([[3.0, 1e9]]), prepare(one, singletons="keep"), method=method)
    np.testing.assert_array_equal(own.residuals, 0)
    with pytest.raises(InputError, match="no row is left"):
        prepare(one)
    x = columns(41, 7)
    flat = [Effect("pair", np.zeros(7, np.int32)), Effect("year", np.full(7, 3, np.int32))]
    own = absorb(x, flat, method=method)
    assert (own.converged, own.n_levels) == (True, (1, 1))
    np.testing.assert_allclose(own.residuals, x - x.mean(axis=0), rtol=0, atol=EXACT)


@pytest.mark.parametrize("method", METHODS)
def test_disconnected_designs(method: str) -> None:
    """Two sets of pairs that share neither city nor year, and a city x year met by one pair alone."""
    i, j = np.array([0, 0, 1, 4, 4, 5, 2]), np.array([1, 2, 2, 5, 6, 6, 3])
    pair, year = np.repeat(np.arange(7), 4), np.tile(np.arange(4), 7)
    year = np.where((pair >= 3) & (pair < 6), year + 4, year)
    both = np.stack([i[pair] * 8 + year, j[pair] * 8 + year], axis=1)
    for other in (year, both):
        found = [Effect("pair", pair), Effect("other", other)]
        plan = prepare(found, singletons="keep")
        x = columns(42, len(pair))
        expected, rank = oracle(x, found)
        own = absorb(x, plan, method=method)
        assert own.converged
        assert own.rank in (None, rank)
        assert distance(own.residuals, expected, x) < TOLERANCE


def test_weights_that_are_all_the_same_are_none() -> None:
    found = effects(thinned(43), ("pair", "year"))
    x = columns(43, N_ROWS)
    plans = [prepare(found, weights=weights, singletons="keep") for weights in (None, np.full(N_ROWS, 0.3))]
    one, other = (absorb(x, plan) for plan in plans)
    assert plans[1].design.weights is None
    np.testing.assert_array_equal(one.residuals, other.residuals)
