"""Permutation tests: adoption is dealt anew to the cities, and everything that follows from it is rebuilt.

Pair treatment, the exclusion of both-treated pairs, the gravity screen and the year effects are those of
each draw; the controls are partialled out in each. Statistics are the coefficient and the t ratio with the
draw's own dyadic-robust standard error. Pairs are never shuffled: a pair has no treatment of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from engine.estimate.batch import BatchFit, Tested, batch_fit, feature_weights, split_weights
from engine.infer.cubes import Assignments, Prepared, prepare, type_sums
from engine.infer.draws import permuted_classes
from engine.pairs.moments import Layout

Array = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int32]]

OBSERVED = -1
"""Replicate number of the assignment that happened."""

_PAIRS = 1024  # pairs of one step of the second pass


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
    with jax.enable_x64(True):
        return draws_of(setting, prepare(setting.given), classes, replicates)


def draws_of(setting: Permutation, ready: Prepared, classes: Integers, replicates: Integers) -> Draws:
    """As `permutation_draws`, for given classes ``[n_draws, n_units]``."""
    layout = setting.given.pairs.layout
    sums, screens = type_sums(ready, classes)
    estimate, statistic, fallback, inversion = [], [], [], []
    for cell in setting.cells:
        invert = setting.studentise and cell.observed is not None and len(cell.tested) == 1
        targets = (-1, cell.observed) if invert and cell.observed is not None else (-1,)
        fit = batch_fit(
            layout, sums, cell.paths, regressors=cell.regressors, tested=cell.tested, targets=targets
        )
        found = fit.estimate[:, :, list(cell.tested)]
        statistic.append(np.full_like(found[:, 0], np.nan))
        inversion.append(np.full((len(classes), 4), np.nan))
        estimate.append(found[:, 0])
        fallback.append(0)
        if not setting.studentise:
            continue
        variance, fallback[-1] = _dyadic_variance(setting.given, fit, cell, classes, screens)
        with np.errstate(invalid="ignore", divide="ignore"):
            statistic[-1] = estimate[-1] / np.sqrt(variance[:, :, 0, 0])
        if invert:
            moments = variance[:, 0]
            inversion[-1] = np.stack(
                [found[:, 1, 0], moments[:, 0, 0], moments[:, 0, 1], moments[:, 1, 1]], axis=1
            )
    return Draws(replicates, tuple(estimate), tuple(statistic), tuple(fallback), tuple(inversion))


def merge_draws(one: Draws, other: Draws) -> Draws:
    """Draws of two blocks, in order."""
    return Draws(
        np.concatenate([one.replicates, other.replicates]),
        tuple(np.concatenate(pair) for pair in zip(one.estimate, other.estimate, strict=True)),
        tuple(np.concatenate(pair) for pair in zip(one.statistic, other.statistic, strict=True)),
        tuple(a + b for a, b in zip(one.fallback, other.fallback, strict=True)),
        tuple(np.concatenate(pair) for pair in zip(one.inversion, other.inversion, strict=True)),
    )


def _dyadic_variance(
    given: Assignments, fit: BatchFit, cell: Tested, classes: Integers, screens: Integers
) -> tuple[Array, int]:
    """Dyadic-robust (co)variances ``[n_draws, n_tested, n_targets, n_targets]`` with the factors of the tables.

    Also the number of draws where the outcome's is not positive, and city sums stand in.
    """
    pairs, n_draws = given.pairs, len(classes)
    layout, n_targets = pairs.layout, fit.residual.shape[1]
    if layout.balanced:
        shared, by_type = split_weights(layout, fit, cell.paths)
        paths = jnp.asarray(cell.paths)
    else:
        by_type, paths = feature_weights(layout, fit, cell.paths), None
        shared = np.zeros((*by_type.shape[:3], 0))
    moving = tuple(bool(weights.any()) for weights in np.moveaxis(by_type, 3, 0))
    kinds = Kinds(tuple(given.types), given.n_classes, moving, layout)
    city, limits = jnp.asarray(np.ascontiguousarray(classes.T)), jnp.asarray(screens)
    out, replaced = np.empty((n_draws, len(cell.tested), n_targets, n_targets)), 0
    for term in range(len(cell.tested)):
        weights = (_draws_last(shared[:, term], (2, 1, 0)), _draws_last(by_type[:, term], (2, 3, 1, 0)))
        state = (
            jnp.zeros((pairs.n_units, n_targets, n_draws)),
            jnp.zeros((pairs.n_units, n_draws), dtype=jnp.int32),
            jnp.zeros((n_targets, n_targets, n_draws)),
        )
        for step in _steps(int(screens.max()), pairs.features, pairs.i, pairs.j):
            state = _add_influences(state, *step, city, limits, weights, paths, kinds)
        sums, degree, products = (np.asarray(part) for part in state)
        node = np.einsum("nad,nbd->dab", sums, sums)
        dyadic = node - products.transpose(2, 0, 1)
        bad = dyadic[:, 0, 0] <= 1e-12 * node[:, 0, 0]
        n_units = (degree > 0).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = fit.factor * n_units / (n_units - 1)
        out[:, term] = np.where(bad[:, None, None], node, dyadic) * factor[:, None, None]
        replaced += int((bad & fit.identified).sum())
    return out, replaced


def _steps(needed: int, features: Array, i: Integers, j: Integers) -> Iterator[tuple[Any, ...]]:
    """The first pairs of the table in steps of one length; the table's last step overlaps the one before."""
    length = min(_PAIRS, len(i))  # ``needed`` differs from block to block; this compiles one shape
    for start in range(0, needed, length):
        at = min(start, len(i) - length)
        part = slice(at, at + length)
        yield jnp.asarray(features[part]), jnp.asarray(i[part]), jnp.asarray(j[part]), at, start


def _draws_last(weights: Array, order: tuple[int, ...]) -> Any:
    return jnp.asarray(np.ascontiguousarray(weights.transpose(order)))


@dataclass(frozen=True)
class Kinds:
    """What is fixed when `_add_influences` is compiled: the types of pairs, and which have weights of their own."""

    types: tuple[tuple[int, int], ...]
    n_classes: int
    moving: tuple[bool, ...]
    layout: Layout


@partial(jax.jit, static_argnames="kinds", donate_argnums=0)
def _add_influences(
    state: Any, features: Any, i: Any, j: Any, first: Any, start: Any, classes: Any, screens: Any,
    weights: tuple[Any, Any], paths: Any, kinds: Kinds,
) -> Any:  # fmt: skip
    """Add the influences of some pairs in every draw to city sums, city degrees and sums of products.

    ``weights``: of all types ``[size, n_targets, n_draws]`` and of each ``[n_types, columns, n_targets,
    n_draws]``, see `split_weights`; pairs before ``start`` were counted already. The draws are the last axis
    throughout, so every step is a matrix product or runs along contiguous draws.
    """
    sums, degree, products = state
    shared, by_type = weights
    n_targets, n_draws = by_type.shape[2:]
    one, other = classes[i], classes[j]
    code = jnp.minimum(one, other) * kinds.n_classes + jnp.maximum(one, other)

    def influences(columns: Any, own: Any) -> Any:
        return (columns @ own.reshape(len(own), -1)).reshape(len(i), n_targets, n_draws)

    psi = influences(features, shared) if len(shared) else jnp.zeros((len(i), n_targets, n_draws))
    allowed = jnp.zeros((len(i), n_draws), dtype=bool)
    for number, (g, h) in enumerate(kinds.types):
        mine = code == g * kinds.n_classes + h
        allowed |= mine
        if kinds.moving[number]:
            columns = _path_columns(features, paths[number], kinds.layout) if paths is not None else features
            psi = psi + jnp.where(mine[:, None], influences(columns, by_type[number]), 0.0)
    rank = first + jnp.arange(len(i))[:, None]
    inside = allowed & (rank >= start) & (rank < screens[None, :]) & (features[:, :1] > 0)
    psi = jnp.where(inside[:, None], psi, 0.0)
    sums = sums.at[i].add(psi).at[j].add(psi)
    counted = inside.astype(degree.dtype)
    degree = degree.at[i].add(counted).at[j].add(counted)
    return sums, degree, products + (psi[:, :, None] * psi[:, None]).sum(0)


def _path_columns(features: Any, path: Any, layout: Layout) -> Any:
    """[pairs, d'EV] of each pair for a treatment path d ``[T, r]``."""
    ev = features[:, 4 : 4 + layout.n_ev].reshape(-1, layout.n_years, layout.n_columns)
    moved = jnp.einsum("tr,ptm->prm", path, ev).reshape(len(features), -1)
    return jnp.concatenate([features[:, :1], moved], axis=1)
