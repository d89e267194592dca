"""Conjugate gradient on the coefficients of levels, with an estimate of its own error.

`equations`: the largest effect A eliminated, S b = g, S = G_BB - G_BA G_AA^-1 G_AB, each effect's own G_kk^-1 as
preconditioner. `sweeps`: G b = g with a sweep through all effects and back as preconditioner, which is
alternating projection made symmetric and accelerated (Gaure 2013; Correia 2016, the default of reghdfe).

A small gradient is not a small error where a design is nearly disconnected. The steps of the iteration give the
smallest eigenvalue lambda of the preconditioned matrix (Lanczos), and with it the error of the residuals:
|e - e_k| = |gradient|_{S^-1} <= |gradient|_{P^-1} / sqrt(lambda), P the preconditioner.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.linalg import eigh_tridiagonal

from engine.estimate import absorb_kernels as kernels
from engine.estimate.absorb_kernels import Coefficients, Operator

Kind = Literal["equations", "sweeps"]
Floats = np.ndarray[Any, np.dtype[np.float64]]

DEEPEST = 1e-13  # reduction of the gradient in one run: rounding spoils the directions below it


class State(NamedTuple):
    """A conjugate gradient run: coefficients so far, and what its next step needs."""

    solution: Coefficients
    gradient: Coefficients
    direction: Coefficients
    product: Array  # [columns] gradient times preconditioned gradient
    alphas: Array  # [most, columns] step lengths, 0 where a column was done
    betas: Array
    steps: Array


def effects_of(operator: Operator, kind: Kind) -> range:
    """Effects whose coefficients are iterated."""
    return operator.rest if kind == "equations" else range(len(operator.codes))


@partial(jax.jit, static_argnums=(2, 3))
def start(operator: Operator, g: Coefficients, kind: Kind, most: int) -> State:
    """The iteration at its first direction, from the sums of columns over the levels of all effects."""
    if kind == "equations":
        g = tuple(g[k] for k in operator.rest) if not operator.eliminated else _eliminate(operator, g)
    direction = _precondition(operator, kind, g)
    product = jnp.maximum(_inner(g, direction), 0.0)
    record = jnp.zeros((most, g[0].shape[1]))
    solution = jax.tree.map(jnp.zeros_like, g)
    return State(solution, g, direction, product, record, record, jnp.zeros((), jnp.int32))


def _eliminate(operator: Operator, g: Coefficients) -> Coefficients:
    """Sums over the other effects once the first is taken out: g_B - G_BA G_AA^-1 g_A."""
    first = {0: kernels.solve(operator.inverses[0], g[0])}
    taken = kernels.couple(operator, first, operator.rest)
    return tuple(g[k] - taken[k] for k in operator.rest)


def recover(operator: Operator, g: Coefficients, rest: Coefficients) -> Coefficients:
    """Coefficients of all effects from those of the others than the first: b_A = G_AA^-1 (g_A - G_AB b_B)."""
    if not operator.eliminated:
        return rest
    taken = kernels.couple(operator, dict(zip(operator.rest, rest, strict=True)), [0])[0]
    return (kernels.solve(operator.inverses[0], g[0] - taken), *rest)


eliminate = jax.jit(_eliminate)
recovered = jax.jit(recover)


@partial(jax.jit, static_argnums=3, donate_argnums=1)
def run(operator: Operator, state: State, target: Array, kind: Kind, limit: Array) -> State:
    """Iterate until the gradient of every column is below its target, or the limit is reached."""

    def is_open(state: State) -> Array:
        return jnp.sqrt(state.product) > target

    def goes_on(state: State) -> Array:
        return (state.steps < limit) & is_open(state).any()

    def body(state: State) -> State:
        applied = _apply(operator, kind, state.direction)
        curvature = _inner(state.direction, applied)
        on = is_open(state) & (curvature > 0)
        alpha = jnp.where(on, state.product / jnp.where(on, curvature, 1.0), 0.0)
        solution = jax.tree.map(lambda b, p: b + alpha * p, state.solution, state.direction)
        gradient = jax.tree.map(lambda g, a: g - alpha * a, state.gradient, applied)
        z = _precondition(operator, kind, gradient)
        product = jnp.where(on, jnp.maximum(_inner(gradient, z), 0.0), state.product)
        # A direction without curvature lies in the null space: the column can go no further.
        product = jnp.where(is_open(state) & (curvature <= 0), 0.0, product)
        beta = jnp.where(on, product / jnp.where(on, state.product, 1.0), 0.0)
        direction = jax.tree.map(lambda z, p: jnp.where(on, z + beta * p, p), z, state.direction)
        alphas, betas = state.alphas.at[state.steps].set(alpha), state.betas.at[state.steps].set(beta)
        return State(solution, gradient, direction, product, alphas, betas, state.steps + 1)

    return jax.lax.while_loop(goes_on, body, state)


def smallest_eigenvalue(state: State) -> float:
    """Smallest Ritz value over the columns of a run.

    The tridiagonal matrix has diagonal 1/alpha_j + beta_{j-1}/alpha_{j-1} and off-diagonal sqrt(beta_j)/alpha_j.
    """
    count, found = int(state.steps), np.inf
    alphas, betas = np.asarray(state.alphas)[:count], np.asarray(state.betas)[:count]
    for alpha, beta in zip(alphas.T, betas.T, strict=True):
        taken = alpha > 0  # a column rests while others go on
        if not taken.any():
            continue
        length, ratio = alpha[taken], beta[taken][:-1]
        diagonal = 1 / length
        diagonal[1:] += ratio / length[:-1]
        off = np.sqrt(ratio) / length[:-1]
        value = eigh_tridiagonal(diagonal, off, eigvals_only=True, select="i", select_range=(0, 0))[0]
        found = min(found, max(float(value), float(np.finfo(float).eps)))
    return found


def _apply(operator: Operator, kind: Kind, p: Coefficients) -> Coefficients:
    """S p or G p."""
    which = effects_of(operator, kind)
    sources = dict(zip(which, p, strict=True))
    if kind == "equations" and operator.eliminated:
        sources[0] = -kernels.solve(operator.inverses[0], kernels.couple(operator, sources, [0])[0])
    found = kernels.couple(operator, sources, which)
    return tuple(found[k] for k in which)


def _precondition(operator: Operator, kind: Kind, g: Coefficients) -> Coefficients:
    if kind == "sweeps":
        return kernels.sweep_back(operator, g, kernels.sweep(operator, g))
    return tuple(kernels.solve(operator.inverses[k], part) for k, part in zip(operator.rest, g, strict=True))


def _inner(a: Coefficients, b: Coefficients) -> Array:
    return sum((jnp.sum(p * q, axis=0) for p, q in zip(a, b, strict=True)), start=jnp.zeros(a[0].shape[1]))
