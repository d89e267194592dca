"""Absorption of fixed effects against explicit dummies, pyfixest, and designs on which plain projection stalls.

Designs of one kind have the same shapes, so that each kernel is compiled once a kind.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyfixest
import pytest
from absorb_designs import (
    N_COLUMNS,
    N_ROWS,
    N_YEARS,
    ROUNDING,
    TOLERANCE,
    balanced,
    columns,
    distance,
    effects,
    oracle,
    thinned,
    units,
)
from hypothesis import given
from pyfixest.core.demean import demean_within
from pyfixest.core.detect_singletons import detect_singletons
from strategies import compiled, seeds

from engine.estimate.absorb import Effect, absorb, degrees_absorbed, nested_in, prepare
from engine.estimate.absorb import column_rows as absorb_rows

KINDS = {
    "one": (("seven",), False),
    "pair + year": (("pair", "year"), False),
    "weighted": (("seven", "four"), True),
    "nested": (("year", "pair", "group x year"), True),
    "city x year": (("pair", "city x year", "year"), False),
    "city x year alone": (("city x year",), True),
    "city x year without pair": (("city x year", "seven"), False),
    "four": (("pair", "year", "seven", "four"), True),
}
METHODS = ("auto", "direct", "conjugate_gradient", "alternating")


# -- against dummies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_equals_least_squares_on_dummies(kind: str) -> None:
    names, has_weights = KINDS[kind]

    @compiled
    @given(seeds)
    def check(seed: int) -> None:
        found, x = effects(thinned(seed), names), columns(seed, N_ROWS)
        weights = np.random.default_rng(seed).uniform(0.2, 5, N_ROWS) if has_weights else None
        expected, rank = oracle(x, found, weights)
        # No row is dropped: shapes stay, and the residuals of a singleton must come out as zero.
        plan = prepare(found, weights=weights, singletons="keep")
        for method in METHODS:
            own = absorb(x, plan, method=method)
            assert own.converged
            assert own.kept.all()
            assert own.rank in (None, rank)
            exact = "conjugate gradient" not in own.method
            assert distance(own.residuals, expected, x) < (ROUNDING if exact else TOLERANCE)

    check()


@pytest.mark.parametrize("other", ["year", "group x year", "city x year"])
@pytest.mark.parametrize("has_weights", [False, True])
def test_closed_form_on_a_grid(other: str, has_weights: bool) -> None:
    """Rows of a pair together: closed form. The same rows in any other order: one sweep."""
    found = effects(balanced(), ("pair", other))
    x, rng = columns(0, len(found[0].codes), 20), np.random.default_rng(0)
    n_pairs = len(units()[0])
    weights = np.repeat(rng.uniform(0.2, 5, n_pairs), N_YEARS) if has_weights else None
    expected, rank = oracle(x, found, weights)
    own = absorb(x, found, weights=weights)
    assert own.method == f"closed form of pair and {other} on a grid"
    assert (own.converged, own.rank) == (True, rank)
    assert distance(own.residuals, expected, x) < ROUNDING

    order = rng.permutation(len(x))
    shuffled = [Effect(effect.name, effect.codes[order]) for effect in found]
    again = absorb(x[order], shuffled, weights=None if weights is None else weights[order])
    assert again.converged
    assert distance(again.residuals, expected[order], x) < (ROUNDING if not has_weights else TOLERANCE)
    if not has_weights:
        assert again.method == f"one sweep through pair and {other}, whose projections commute"


@pytest.mark.parametrize("break_it", ["a row moved", "a code exchanged", "weights that vary"])
def test_what_is_almost_a_grid_is_none(break_it: str) -> None:
    codes = {name: values.copy() for name, values in balanced().items()}
    n = len(codes["pair"])
    weights = None
    if break_it == "a row moved":
        codes = {name: np.roll(values, 1, axis=0) for name, values in codes.items()}
    elif break_it == "a code exchanged":
        codes["year"][[0, 1]] = codes["year"][[1, 0]]
    else:
        weights = np.random.default_rng(1).uniform(0.5, 2, n)
    found, x = effects(codes, ("pair", "year")), columns(2, n)
    own = absorb(x, found, weights=weights)
    assert "grid" not in own.method
    assert distance(own.residuals, oracle(x, found, weights)[0], x) < ROUNDING


@pytest.mark.parametrize("ordered", [True, False])
def test_rows_in_blocks_and_few_columns_at_a_time(ordered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same residuals, whatever is worked on together."""
    codes = thinned(3)
    if ordered:
        order = np.argsort(codes["pair"], kind="stable")
        codes = {name: values[order] for name, values in codes.items()}
    found, x = effects(codes, ("pair", "year", "seven")), columns(3, N_ROWS, 7)
    whole = absorb(x, prepare(found, singletons="keep"), method="conjugate_gradient", tolerance=1e-13)
    monkeypatch.setattr(absorb_rows, "_BLOCK", 12)
    monkeypatch.setattr("engine.estimate.absorb.method._BLOCK_BYTES", 8 * 3 * 40)
    plan = prepare(found, singletons="keep")
    lengths = [len(range(N_ROWS)[block.rows]) for block in plan.dummies.blocks]
    assert sum(lengths) == N_ROWS
    assert len(lengths) == (8 if ordered else 1)
    parts = absorb(x, plan, method="conjugate_gradient", tolerance=1e-13)
    assert distance(parts.residuals, whole.residuals, x) < ROUNDING


@pytest.mark.parametrize("part", [1, 2, 7, 64])
def test_a_grid_in_any_parts(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer rows a part than a pair has, too."""
    monkeypatch.setattr(absorb_rows, "_BLOCK", part)
    found, x = effects(balanced(), ("pair", "city x year")), columns(5, len(balanced()["pair"]))
    done = absorb(x, prepare(found, singletons="keep"))
    assert "grid" in done.method
    assert distance(done.residuals, oracle(x, found)[0], x) < ROUNDING


@pytest.mark.parametrize("other", ["year", "group x year", "city x year"])
@pytest.mark.parametrize("rows", ["all", "most", "weighted"])
def test_any_number_of_threads_gives_the_same_bits(
    rows: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absorb_rows, "_BLOCK", 12)
    monkeypatch.setattr(absorb_rows, "_WORTH", 1)
    codes = balanced()
    if rows != "all":
        keep = np.sort(np.random.default_rng(5).permutation(len(codes["pair"]))[:120])
        codes = {name: values[keep] for name, values in codes.items()}
    n_rows = len(codes["pair"])
    weights = np.random.default_rng(6).uniform(0.5, 2, n_rows) if rows == "weighted" else None
    found, x = effects(codes, ("pair", other)), columns(5, n_rows)
    one, *more = (
        absorb(x, prepare(found, weights=weights, singletons="keep", threads=threads))
        for threads in (1, 2, 3)
    )
    assert distance(one.residuals, oracle(x, found, weights)[0], x) < TOLERANCE
    for done in more:
        np.testing.assert_array_equal(done.residuals, one.residuals)
        assert (done.method, done.iterations, done.error.tolist()) == (
            one.method,
            one.iterations,
            one.error.tolist(),
        )


def test_batched_columns_are_those_done_alone() -> None:
    plan = prepare(effects(thinned(4), ("pair", "year", "seven")), singletons="keep")
    x = columns(4, N_ROWS)
    together = absorb(x, plan).residuals
    alone = np.hstack([absorb(x[:, [k]], plan).residuals for k in range(N_COLUMNS)])
    # Each run stops by itself, within the tolerance of either.
    assert distance(together, alone, x) < 2 * TOLERANCE


@pytest.mark.parametrize("method", METHODS)
def test_columns_far_from_zero_and_columns_that_an_effect_explains(method: str) -> None:
    codes = thinned(5)
    found = effects(codes, ("pair", "year"))
    plan = prepare(found, singletons="keep")
    x = columns(5, N_ROWS)
    moved = absorb(x + np.array([1e6, -1e5, 0]), plan, method=method).residuals
    # Adding 1e6 rounds the column itself to 1e-10.
    assert distance(moved, absorb(x, plan, method=method).residuals, x) < 2 * TOLERANCE
    explained = np.stack([1e3 + codes["pair"] ** 1.5, 5.0 * codes["year"], np.full(N_ROWS, 7.0)], axis=1)
    left = absorb(explained, plan, method=method).residuals
    # Sixteen digits of a value.
    assert np.abs(left).max() < 1e-14 * explained.max()


# -- against pyfixest --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long() -> dict[str, np.ndarray]:
    """40 cities, 9 years, three rows in ten missing; a few pairs are left with one row."""
    rng = np.random.default_rng(6)
    i, j = np.triu_indices(40, 1)
    pair, year = np.repeat(np.arange(len(i)), 9), np.tile(np.arange(9), len(i))
    keep = (rng.random(len(pair)) > 0.3) & (rng.random(len(i))[pair] > 0.05 * year)
    pair, year = pair[keep], year[keep]
    group = (i // 8) * 5 + j // 8
    return {
        "pair": np.unique(pair, return_inverse=True)[1],
        "year": year,
        "group x year": group[pair] * 9 + year,
        "first": i[pair] * 9 + year,
        "second": j[pair] * 9 + year,
    }


@pytest.mark.parametrize(
    "names", [("pair", "year"), ("pair", "year", "group x year"), ("pair", "first", "second")]
)
def test_against_pyfixest(long: dict[str, np.ndarray], names: tuple[str, ...]) -> None:
    found, x = effects(long, names), columns(7, len(long["pair"]))
    own = absorb(x, found)
    flat = np.stack([effect.codes for effect in found], axis=1)
    np.testing.assert_array_equal(~own.kept, detect_singletons(flat))
    assert own.singletons == (~own.kept).sum() > 0
    compact = np.stack([np.unique(c, return_inverse=True)[1] for c in flat[own.kept].T], axis=1)
    theirs, success, _ = demean_within(x[own.kept], compact.astype(np.uint32), tol=1e-13, maxiter=10_000)
    assert success
    assert own.converged
    assert own.n_levels == tuple(len(np.unique(c)) for c in compact.T)
    assert distance(own.residuals, theirs, x[own.kept]) < TOLERANCE


@pytest.mark.parametrize("cluster", ["pair", "year", "first"])
def test_degrees_of_freedom_are_those_of_pyfixest(long: dict[str, np.ndarray], cluster: str) -> None:
    names = ("pair", "year", "group x year")
    frame = pd.DataFrame({name.replace(" ", "_"): codes for name, codes in long.items()})
    x = columns(8, len(frame), 2)
    frame["x"], frame["y"] = x.T
    with pytest.warns(UserWarning, match="singleton"):
        theirs = pyfixest.feols("y ~ x | pair + year + group_x_year", frame, vcov={"CRV1": cluster})
    own = absorb(x, effects(long, names))
    nested = [nested_in(long[name][own.kept], long[cluster][own.kept]) for name in names]
    assert 1 + degrees_absorbed(own.n_levels, nested) == theirs._df_k
    assert own.degrees_of_freedom == sum(own.n_levels) - 2


# -- hard designs ------------------------------------------------------------------------------------------


def bridge(n: int = 60) -> list[Effect]:
    """Two blocks of workers and firms, dense inside, joined by one worker who was in both."""
    rng = np.random.default_rng(9)
    worker, firm = np.repeat(np.arange(2 * n), 10), rng.integers(0, n // 4, 20 * n)
    firm += np.where(worker >= n, n // 4, 0)
    return [
        Effect("worker", np.append(worker, [0, 0]).astype(np.int32)),
        Effect("firm", np.append(firm, [0, n // 2 - 1]).astype(np.int32)),
    ]


def path(n: int = 300) -> list[Effect]:
    """Worker k was in firms k and k + 1, two years in each: a chain as long as there are workers."""
    worker = np.repeat(np.arange(n), 4)
    firm = worker + np.tile([0, 0, 1, 1], n)
    return [Effect("worker", worker.astype(np.int32)), Effect("firm", firm.astype(np.int32))]


def plain_projection(x: np.ndarray, found: list[Effect], cycles: int) -> np.ndarray:
    """Alternating projections without acceleration."""
    e = x.copy()
    for _ in range(cycles):
        for effect in found:
            count = np.bincount(effect.codes)
            for k in range(e.shape[1]):
                e[:, k] -= (np.bincount(effect.codes, e[:, k]) / count)[effect.codes]
    return e


@pytest.mark.parametrize(("design", "cycles"), [(bridge, 1_000), (path, 10_000)])
def test_hard_designs_converge_where_plain_projection_stalls(design, cycles: int) -> None:  # type: ignore[no-untyped-def]
    """10,000 cycles are what packages allow; by then a step on the chain is 3e-6, the distance 4e-2."""
    found = design()
    n = len(found[0].codes)
    # A trend along the design is what the weak link carries.
    x = columns(10, n, 2) + 3 * np.arange(n)[:, None] / n
    expected, rank = oracle(x, found)
    within = plain_projection(x, found[:1], 1)
    stalled = plain_projection(x, found, cycles)
    another = plain_projection(stalled, found, 1)
    assert distance(stalled, expected, within) > 1e7 * TOLERANCE
    assert distance(another, stalled, within) < 0.01 * distance(stalled, expected, within)
    for method in METHODS:
        own = absorb(x, found, method=method)
        assert own.converged
        assert own.error.max() <= TOLERANCE
        assert distance(own.residuals, expected, within) < TOLERANCE
        assert own.rank in (None, rank)
    assert own.iterations < 2_000


@pytest.mark.parametrize("method", ["conjugate_gradient", "alternating"])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
def test_the_error_is_not_understated(method: str, tolerance: float) -> None:
    """Stopping early on a chain: the true distance is below the error given, and that below what was asked."""
    found = path()
    x = columns(11, len(found[0].codes), 4)
    expected, _ = oracle(x, found)
    own = absorb(x, found, method=method, tolerance=tolerance)
    within = plain_projection(x, found[:1], 1)
    true = np.linalg.norm(own.residuals - expected, axis=0) / np.linalg.norm(within, axis=0)
    assert own.converged
    assert (own.error <= tolerance).all()
    # A smallest eigenvalue of the iteration is never below the true one, and here within a fifth of it.
    assert (true <= 1.2 * own.error).all()


@pytest.mark.parametrize("method", ["conjugate_gradient", "alternating"])
def test_an_iteration_cut_short_says_so(method: str) -> None:
    own = absorb(columns(12, 1200), path(), method=method, max_iterations=1)
    assert not own.converged
    assert own.iterations == 1
    assert (own.error > TOLERANCE).all()


def test_auto_solves_what_iteration_does_not() -> None:
    """Cut short, `auto` goes on to the equations, and says so."""
    worker, firm = path()
    third = Effect("third", np.random.default_rng(13).integers(0, 9, 1200).astype(np.int32))
    x = columns(13, 1200)
    own = absorb(x, [worker, firm, third], max_iterations=1)
    assert own.converged
    assert own.method == "309 equations of worker and third with firm eliminated solved"
    assert distance(own.residuals, oracle(x, [worker, firm, third])[0], x) < ROUNDING
