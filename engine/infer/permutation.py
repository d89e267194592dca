"""Permutation tests: adoption is dealt anew to the cities, and everything that follows from it is rebuilt.

Pair treatment, the exclusion of both-treated pairs, the gravity screen and the year effects are those of
each draw; the controls are partialled out in each. Statistics are the coefficient and the t ratio with the
draw's own dyadic-robust standard error. Pairs are never shuffled: a pair has no treatment of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import combinations_with_replacement
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array, Integers, check_shape
from engine.estimate.many_samples import (
    BatchFit,
    Tested,
    batch_fit,
    feature_weights,
    path_statistics,
    split_weights,
)
from engine.float64 import double_precision
from engine.infer.devices import across_devices, on_all_devices, sum_in_order
from engine.infer.draws import permuted_classes
from engine.infer.guard import guarded_variances
from engine.infer.permuted_sums import Assignments, Prepared, prepare, type_sums
from engine.infer.summary import t_ratio
from engine.pairs.moments import Layout

OBSERVED = -1
"""Replicate number of the assignment that happened."""


@dataclass(frozen=True)
class Permutation:
    """A permutation test of some regressions that share their pairs.

    Attributes
    ----------
    given : Assignments
    strata : int32 ``[n_units]`` or None
    seed : int
    cells : tuple of Tested
    studentise : bool
        Compute t ratios too.
    """

    given: Assignments
    strata: Integers | None
    seed: int
    cells: tuple[Tested, ...]
    studentise: bool = True

    def __post_init__(self) -> None:
        if self.strata is not None:
            check_shape("strata", self.strata, self.given.classes.shape)


@dataclass(frozen=True)
class Draws:
    """Draws of every cell; one entry a cell.

    Attributes
    ----------
    replicates : int32 ``[n_draws]``
    estimate, statistic : tuple of float64 ``[n_draws, n_tested]``
        NaN where a draw does not identify the regression.
    fallback : tuple of int
        Draws whose dyadic variance was not positive, so that city sums without the subtraction were used.
    inversion : tuple of float64 ``[n_draws, 4]``
        Slope on the treatment that happened, and the variances yy, yd, dd with which a draw's t ratio at any
        hypothesised effect b0 is (b - b0 slope) / sqrt(yy - 2 b0 yd + b0^2 dd); NaN where not asked for.
    """

    replicates: Integers
    estimate: tuple[Array, ...]
    statistic: tuple[Array, ...]
    fallback: tuple[int, ...]
    inversion: tuple[Array, ...]


def assignments(setting: Permutation, replicates: Integers) -> Integers:
    """Classes of the units ``[n_draws, n_units]`` in given replicates; replicate -1 is what happened."""
    drawn = permuted_classes(setting.seed, np.maximum(replicates, 0), setting.given.classes, setting.strata)
    return np.where(replicates[:, None] == OBSERVED, setting.given.classes, drawn)


def permutation_draws(setting: Permutation, replicates: Integers) -> Draws:
    """Coefficients and t ratios of a block of replicates; a pure function of setting and replicate numbers."""
    classes = assignments(setting, replicates)  # outside float64, as everywhere: one shape, one compilation
    with double_precision():
        return draws_of(setting, prepare(setting.given), classes, replicates)


def draws_of(setting: Permutation, ready: Prepared, classes: Integers, replicates: Integers) -> Draws:
    """As `permutation_draws`, for given classes ``[n_draws, n_units]``."""
    layout = setting.given.pairs.layout
    sums, screens = type_sums(ready, classes)
    inverted = [
        setting.studentise and cell.observed is not None and len(cell.tested) == 1 for cell in setting.cells
    ]
    fits = [
        batch_fit(
            layout, sums, cell.paths, regressors=cell.regressors, tested=cell.tested,
            targets=(-1, cell.observed) if invert and cell.observed is not None else (-1,),
        )
        for cell, invert in zip(setting.cells, inverted, strict=True)
    ]  # fmt: skip
    found = [fit.estimate[:, :, list(cell.tested)] for fit, cell in zip(fits, setting.cells, strict=True)]
    estimate = tuple(one[:, 0] for one in found)
    nothing = tuple(np.full((len(classes), 4), np.nan) for _ in fits)
    if not setting.studentise:
        missing = tuple(np.full_like(one, np.nan) for one in estimate)
        return Draws(replicates, estimate, missing, (0,) * len(fits), nothing)
    variances = _dyadic_variances(setting, fits, classes, screens)
    statistic, inversion = [], list(nothing)
    for number, (one, (variance, _)) in enumerate(zip(found, variances, strict=True)):
        statistic.append(t_ratio(one[:, 0], np.sqrt(variance[:, :, 0, 0])))
        if inverted[number]:
            moments = (one[:, 1, 0], variance[:, 0, 0, 0], variance[:, 0, 0, 1], variance[:, 0, 1, 1])
            inversion[number] = np.stack(moments, axis=1)
    return Draws(
        replicates, estimate, tuple(statistic), tuple(count for _, count in variances), tuple(inversion)
    )


def merge_draws(one: Draws, other: Draws) -> Draws:
    """Draws of two blocks, in order."""
    return Draws(
        np.concatenate([one.replicates, other.replicates]),
        tuple(np.concatenate(pair) for pair in zip(one.estimate, other.estimate, strict=True)),
        tuple(np.concatenate(pair) for pair in zip(one.statistic, other.statistic, strict=True)),
        tuple(a + b for a, b in zip(one.fallback, other.fallback, strict=True)),
        tuple(np.concatenate(pair) for pair in zip(one.inversion, other.inversion, strict=True)),
    )


def _dyadic_variances(
    setting: Permutation, fits: list[BatchFit], classes: Integers, screens: Integers
) -> list[tuple[Array, int]]:
    """Dyadic-robust (co)variances ``[n_draws, n_tested, n_targets, n_targets]`` of each cell, with its factors.

    Also the number of draws where the outcome's is not positive, and city sums stand in. The table is read once
    for all cells.
    """
    given, city = setting.given, across_devices(np.ascontiguousarray(classes.T.astype(np.int8)))
    limits = across_devices(screens)
    terms = [
        _term(given, fit, cell, number)
        for fit, cell in zip(fits, setting.cells, strict=True)
        for number in range(len(cell.tested))
    ]
    states = [_empty(given.pairs.n_units, len(classes), term.kinds.n_targets) for term in terms]
    for tile in given.pairs.tiles(int(screens.max())):
        pairs = tuple(on_all_devices(part) for part in (tile.features, tile.i, tile.j))
        for number, term in enumerate(terms):
            states[number] = _add_influences(
                states[number], *pairs, tile.at, tile.fresh, city, limits, term.shared, term.own, term.turn,
                kinds=term.kinds,
            )  # fmt: skip
    out, rest = [], iter(states)
    for fit, cell in zip(fits, setting.cells, strict=True):
        found = [_variance(fit, next(rest)) for _ in cell.tested]
        out.append((np.stack([one for one, _ in found], axis=1), sum(count for _, count in found)))
    return out


def _variance(fit: BatchFit, state: Any) -> tuple[Array, int]:
    """Dyadic (co)variances ``[n_draws, n_targets, n_targets]`` from a term's sums; draws that took city sums."""
    cities, degree, products = np.stack(state[0]), np.asarray(state[1]), np.asarray(state[2])
    node = np.einsum("and,bnd->dab", cities, cities)
    subtracted = products.transpose(2, 0, 1)
    # One coefficient at every hypothesised effect: the guard of a draw is that of its own variance, for all effects.
    replaced = guarded_variances(node[:, 0, 0], subtracted[:, 0, 0])[1]
    matrix = np.where(replaced[:, None, None], node, node - subtracted)
    n_units = (degree > 0).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = fit.factor * n_units / (n_units - 1)
    return matrix * factor[:, None, None], int((replaced & fit.identified).sum())


@dataclass(frozen=True)
class Kinds:
    """What is fixed when `_add_influences` is compiled.

    Attributes
    ----------
    types : tuple of (int, int)
        Types of pairs in the sample.
    moving : tuple of int
        Positions of the types that have weights of their own.
    n_classes, n_targets : int
    layout : Layout
    spans : tuple of int
        Of each type, the span of years whose statistics are its own.
    """

    types: tuple[tuple[int, int], ...]
    moving: tuple[int, ...]
    n_classes: int
    n_targets: int
    layout: Layout
    spans: tuple[int, ...]

    def in_span(self, features: Any, span: int) -> Any:
        """Statistics ``[pairs, size]`` in one of the spans of years."""
        return features[:, span * self.layout.size : (span + 1) * self.layout.size]

    def moved(self, features: Any, turn: Any) -> Any:
        """Statistics of the moving types' own years, as those of their paths where ``turn`` is given."""
        if self.layout.balanced and turn is not None:
            return jax.vmap(lambda path: _path_columns(features, path, self.layout))(turn)
        found = [self.in_span(features, self.spans[kind]) for kind in self.moving]
        return found if turn is None else jnp.stack(found) @ turn

    def choose(self, mine: Any, of_span: dict[int, Any]) -> Any:
        """What belongs to the span of each pair's type; ``mine``: which pairs are of each type, in every draw."""
        found = None
        for span, values in of_span.items():
            theirs = [own for own, its in zip(mine, self.spans, strict=True) if its == span]
            found = values if found is None else jnp.where(reduce(jnp.logical_or, theirs), values, found)
        return found


@dataclass(frozen=True)
class _Term:
    """Weights of one tested coefficient of a cell in all draws, on the devices; see `_add_influences`."""

    kinds: Kinds
    shared: Any
    own: Any
    turn: Any


def _term(given: Assignments, fit: BatchFit, cell: Tested, number: int) -> _Term:
    layout, n_targets = given.pairs.layout, fit.residual.shape[1]
    one = replace(fit, influence=fit.influence[:, :, number : number + 1])
    # A constant path is nothing once pairs are demeaned.
    moving, (t, r) = np.flatnonzero(np.ptp(cell.paths, axis=1).any(axis=1)), cell.paths.shape[1:]
    turned = len(moving) * r * (t + layout.n_columns + r)
    if layout.balanced or len(set(given.spans)) * layout.size + turned < len(given.types) * layout.size:
        for_all, by_type = split_weights(layout, one, cell.paths)
        shared: Any = _draws_last(for_all[:, 0], (1, 2, 0))
        turn = cell.paths[moving] if layout.balanced else path_statistics(layout, cell.paths[moving])
    else:  # so many terms that each type has its own weights of all statistics
        moving = np.arange(len(given.types))
        by_type, shared, turn = feature_weights(layout, one, cell.paths), None, np.zeros((len(moving), 0, 0))
    own = _draws_last(by_type[:, 0][:, :, moving], (1, 3, 2, 0))
    kinds = Kinds(tuple(given.types), tuple(moving.tolist()), given.n_classes, n_targets, layout, given.spans)
    return _Term(kinds, shared, own, on_all_devices(turn))


def _draws_last(weights: Array, order: tuple[int, ...]) -> Any:
    return across_devices(np.ascontiguousarray(weights.transpose(order)))


def _empty(n_units: int, n_draws: int, n_targets: int) -> Any:
    """City sums by target, city degrees and sums of products before any pair."""
    return (
        tuple(across_devices(np.zeros((n_units, n_draws))) for _ in range(n_targets)),
        across_devices(np.zeros((n_units, n_draws), dtype=np.int32)),
        across_devices(np.zeros((n_targets, n_targets, n_draws))),
    )


@partial(jax.jit, static_argnames="kinds", donate_argnums=0)
def _add_influences(
    state: Any, features: Any, i: Any, j: Any, first: Any, fresh: Any, classes: Any, screens: Any,
    shared: Any, own: Any, turn: Any, *, kinds: Kinds,
) -> Any:  # fmt: skip
    """Add the influences of a tile's pairs in every draw to city sums, city degrees and sums of products.

    The tile's pairs stand at ``first`` and on; those before ``fresh`` were counted already. Weights: ``shared``
    by all types ``[n_targets, size, n_draws]`` (None where no type shares any), and of the moving types' ``own``
    ``[n_targets, columns, n_moving, n_draws]`` on what ``turn`` makes of their statistics (their paths in balanced
    layouts, else `path_statistics`), see `split_weights`. The draws are the last axis throughout, so
    every step is a matrix product or runs along contiguous draws, and no draw meets another.
    """
    cities, degree, products = state
    one, other = classes[i], classes[j]
    code = jnp.minimum(one, other) * kinds.n_classes + jnp.maximum(one, other)
    mine = [code == g * kinds.n_classes + h for g, h in kinds.types]
    rank = first + jnp.arange(len(i), dtype=screens.dtype)[:, None]
    inside = (rank >= fresh) & (rank < screens[None, :])
    used = {span: kinds.in_span(features, span)[:, :1] > 0 for span in set(kinds.spans)}
    inside &= reduce(jnp.logical_or, mine) & kinds.choose(mine, used)
    own_columns = kinds.moved(features, turn if shared is not None else None)
    influences = []
    for target in range(kinds.n_targets):
        psi: Any = 0.0
        if shared is None:
            each: Any = [columns @ own[target][:, number] for number, columns in enumerate(own_columns)]
        else:
            each = jnp.einsum("zpc,czb->zpb", own_columns, own[target])
            common = {span: kinds.in_span(features, span) @ shared[target] for span in set(kinds.spans)}
            psi = kinds.choose(mine, common)
        for number, kind in enumerate(kinds.moving):
            psi = psi + jnp.where(mine[kind], each[number], 0.0)
        influences.append(jnp.where(inside, psi, 0.0))
    cities = tuple(sums.at[i].add(psi).at[j].add(psi) for sums, psi in zip(cities, influences, strict=True))
    counted = inside.astype(degree.dtype)
    degree = degree.at[i].add(counted).at[j].add(counted)
    for one, other in combinations_with_replacement(range(kinds.n_targets), 2):
        more = sum_in_order(influences[one] * influences[other])
        for place in {(one, other), (other, one)}:
            products = products.at[place].add(more)
    return cities, degree, products


def _path_columns(features: Any, path: Any, layout: Layout) -> Any:
    """[pairs, d'EV] of each pair for a treatment path d ``[T, r]``."""
    ev = features[:, 4 : 4 + layout.n_ev].reshape(-1, layout.n_years, layout.n_columns)
    moved = jnp.einsum("tr,ptm->prm", path, ev).reshape(len(features), -1)
    return jnp.concatenate([features[:, :1], moved], axis=1)
