"""Permutation tests: adoption is dealt anew to the cities, and everything that follows from it is rebuilt.

Pair treatment, the exclusion of both-treated pairs, the gravity screen and the year effects are those of
each draw; the controls are partialled out in each. Statistics are the coefficient and the t ratio with the
draw's own dyadic-robust standard error. Pairs are never shuffled: a pair has no treatment of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from engine.estimate.batch import BatchFit, batch_fit, feature_weights
from engine.infer.cubes import Assignments, Prepared, prepare, type_sums
from engine.infer.draws import permuted_classes

Array = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int32]]

OBSERVED = -1
"""Replicate number of the assignment that happened."""

_PAIRS = 1024  # pairs of one step of the second pass


@dataclass(frozen=True)
class Tested:
    """One regression whose coefficients are tested.

    Attributes
    ----------
    regressors : tuple of int
        Positions in [columns | terms].
    tested : tuple of int
        Positions in ``regressors``.
    paths : float64 ``[n_types, T, r]``
        Treatment path of each type of pair, in the order of ``Assignments.types``.
    """

    regressors: tuple[int, ...]
    tested: tuple[int, ...]
    paths: Array


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
    """

    replicates: Integers
    estimate: tuple[Array, ...]
    statistic: tuple[Array, ...]
    fallback: tuple[int, ...]


def assignments(setting: Permutation, replicates: Integers) -> Integers:
    """Classes of the units ``[n_draws, n_units]`` in given replicates; replicate -1 is what happened."""
    drawn = permuted_classes(setting.seed, np.maximum(replicates, 0), setting.given.classes, setting.strata)
    return np.where(replicates[:, None] == OBSERVED, setting.given.classes, drawn)


def permutation_draws(setting: Permutation, replicates: Integers) -> Draws:
    """Coefficients and t ratios of a block of replicates; a pure function of setting and replicate numbers."""
    with jax.enable_x64(True):
        ready = prepare(setting.given)
        return draws_of(setting, ready, assignments(setting, replicates), replicates)


def draws_of(setting: Permutation, ready: Prepared, classes: Integers, replicates: Integers) -> Draws:
    """As `permutation_draws`, for given classes ``[n_draws, n_units]``."""
    layout = setting.given.pairs.layout
    sums, screens = type_sums(ready, classes)
    estimate, statistic, fallback = [], [], []
    for cell in setting.cells:
        fit = batch_fit(layout, sums, cell.paths, regressors=cell.regressors, tested=cell.tested)
        estimate.append(fit.estimate[:, list(cell.tested)])
        if not setting.studentise:
            statistic.append(np.full_like(estimate[-1], np.nan))
            fallback.append(0)
            continue
        variance, replaced = _dyadic_variance(setting.given, fit, cell, classes, screens)
        with np.errstate(invalid="ignore", divide="ignore"):
            statistic.append(estimate[-1] / np.sqrt(variance))
        fallback.append(replaced)
    return Draws(replicates, tuple(estimate), tuple(statistic), tuple(fallback))


def merge_draws(one: Draws, other: Draws) -> Draws:
    """Draws of two blocks, in order."""
    return Draws(
        np.concatenate([one.replicates, other.replicates]),
        tuple(np.concatenate(pair) for pair in zip(one.estimate, other.estimate, strict=True)),
        tuple(np.concatenate(pair) for pair in zip(one.statistic, other.statistic, strict=True)),
        tuple(a + b for a, b in zip(one.fallback, other.fallback, strict=True)),
    )


def _dyadic_variance(
    given: Assignments, fit: BatchFit, cell: Tested, classes: Integers, screens: Integers
) -> tuple[Array, int]:
    """Dyadic-robust variances ``[n_draws, n_tested]`` with the finite-sample factors of the tables."""
    pairs = given.pairs
    safe = BatchFit(fit.estimate, np.nan_to_num(fit.residual), fit.influence, fit.factor, fit.identified)
    weights = feature_weights(pairs.layout, safe, cell.paths)  # [draws, tested, types, size]
    needed = int(screens.max())
    length = min(_PAIRS, needed)
    city = jnp.asarray(np.ascontiguousarray(classes.T))
    limits = jnp.asarray(screens)
    out, replaced = np.empty((len(classes), len(cell.tested))), 0
    for term in range(len(cell.tested)):
        own = jnp.asarray(np.ascontiguousarray(weights[:, term].transpose(1, 2, 0)))  # [types, size, draws]
        state = (
            jnp.zeros((pairs.n_units, len(classes))),
            jnp.zeros((pairs.n_units, len(classes)), dtype=jnp.int32),
            jnp.zeros(len(classes)),
        )
        for start in range(0, needed, length):
            at = max(0, min(start, needed - length))
            part = slice(at, at + length)
            state = _add_influences(
                state,
                jnp.asarray(pairs.features[part]),
                jnp.asarray(pairs.i[part]),
                jnp.asarray(pairs.j[part]),
                at,
                start,
                city,
                limits,
                own,
                tuple(given.types),
                given.n_classes,
            )
        sums, degree, squares = (np.asarray(part) for part in state)
        node = (sums**2).sum(axis=0)
        dyadic = node - squares
        bad = dyadic <= 1e-12 * node
        n_units = (degree > 0).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            out[:, term] = np.where(bad, node, dyadic) * fit.factor * n_units / (n_units - 1)
        replaced += int((bad & fit.identified).sum())
    return out, replaced


@partial(jax.jit, static_argnames=("types", "n_classes"), donate_argnums=0)
def _add_influences(
    state: Any, features: Any, i: Any, j: Any, first: Any, start: Any, classes: Any, screens: Any, weights: Any,
    types: tuple[tuple[int, int], ...], n_classes: int,
) -> Any:  # fmt: skip
    """Add the influences of some pairs in every draw to city sums, city degrees and the sum of squares.

    ``weights`` ``[n_types, size, n_draws]``; pairs before ``start`` were counted already. The draws are the
    last axis throughout, so every step is a matrix product or runs along contiguous draws.
    """
    sums, degree, squares = state
    one, other = classes[i], classes[j]
    code = jnp.minimum(one, other) * n_classes + jnp.maximum(one, other)
    psi = jnp.zeros((len(i), classes.shape[1]))
    allowed = jnp.zeros(psi.shape, dtype=bool)
    for number, (g, h) in enumerate(types):
        mine = code == g * n_classes + h
        psi = jnp.where(mine, features @ weights[number], psi)
        allowed |= mine
    rank = first + jnp.arange(len(i))[:, None]
    inside = allowed & (rank >= start) & (rank < screens[None, :]) & (features[:, :1] > 0)
    psi = jnp.where(inside, psi, 0.0)
    sums = sums.at[i].add(psi).at[j].add(psi)
    counted = inside.astype(degree.dtype)
    degree = degree.at[i].add(counted).at[j].add(counted)
    return sums, degree, squares + (psi * psi).sum(0)
