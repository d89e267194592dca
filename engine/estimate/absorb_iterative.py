"""Conjugate gradient, on the equations of the effects or on symmetric sweeps, with an estimate of its own error.

`equations`: S b = B'W M_A x with the largest effect eliminated, preconditioned by (B'WB)^- of each effect.
`sweeps`: (I - T) d = (I - T) x, T = M_1 M_2 .. M_K .. M_2 M_1, alternating projections made symmetric and
accelerated (Gaure 2013; Correia 2016, the default of reghdfe).

A small gradient is not a small error where the design is nearly disconnected. The coefficients of the iteration
give the smallest eigenvalue of the preconditioned operator (Lanczos), and with it the error of the residuals:
|e - e_k| <= |gradient| / sqrt(lambda) for the equations, |gradient| / lambda for the sweeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.linalg import eigh_tridiagonal

from engine.estimate import absorb_kernels as kernels
from engine.estimate.absorb_kernels import Operator

Kind = Literal["equations", "sweeps"]

_POWER: dict[Kind, float] = {"equations": 0.5, "sweeps": 1.0}
_DEEPEST = 1e-13  # reduction of the gradient in one run: rounding spoils the directions below it


@dataclass(frozen=True)
class Iterated:
    """What the iteration ended with.

    Attributes
    ----------
    residuals : float64 ``[n_rows, n_columns]``
    error : float64 ``[n_columns]``
        Estimated length of what is left of the effects, relative to ``scale``.
    iterations : int
    converged : bool
    """

    residuals: Array
    error: np.ndarray[Any, np.dtype[np.float64]]
    iterations: int
    converged: bool


class _State(NamedTuple):
    solution: Array
    gradient: Array
    direction: Array
    product: Array  # [columns] gradient times preconditioned gradient
    alphas: Array  # [most, columns] step lengths, 0 where a column was done
    betas: Array
    count: Array


def iterate(
    operator: Operator, x: Array, *, kind: Kind, scale: Array, tolerance: float, most: int
) -> Iterated:
    """Residuals of columns, to an estimated error of ``tolerance`` times ``scale``.

    Parameters
    ----------
    operator : Operator
    x : float64 ``[n_rows, n_columns]``
    kind : ``equations`` or ``sweeps``
    scale : float64 ``[n_columns]``
    tolerance : float
    most : int
        Iterations.
    """
    power = _POWER[kind]
    e, used, smallest = x, 0, np.inf
    error = np.full(x.shape[1], np.inf)
    while True:
        e, state = _start(operator, e, kind, most)
        gradient = np.sqrt(np.asarray(state.product)) / np.asarray(scale)
        if not gradient.any():
            return Iterated(e, np.zeros_like(gradient), used, True)
        if np.isfinite(smallest):
            before, error = error, gradient / smallest**power
            done = bool((error <= tolerance).all())
            if done or used >= most or not (error.max() < before.max() / 2):
                return Iterated(e, error, used, done)
        elif used >= most:
            return Iterated(e, error, used, False)
        # The first target knows nothing of the design; the second knows its smallest eigenvalue.
        goal = tolerance if not np.isfinite(smallest) else tolerance * smallest**power / 2
        for _ in range(4):
            target = jnp.asarray(np.maximum(goal, _DEEPEST * gradient) * np.asarray(scale))
            state = _run(operator, state, target, kind, most - used)
            smallest = min(smallest, smallest_eigenvalue(np.asarray(state.alphas), np.asarray(state.betas)))
            needed = tolerance * smallest**power / 2
            if needed >= goal / 2 or int(state.count) >= most - used:
                break
            goal = needed
        used += int(state.count)
        e = _finish(operator, e, state.solution, kind)


def smallest_eigenvalue(
    alphas: np.ndarray[Any, np.dtype[np.float64]], betas: np.ndarray[Any, np.dtype[np.float64]]
) -> float:
    """Smallest Ritz value over the columns of a conjugate gradient run.

    The tridiagonal matrix has diagonal 1/alpha_j + beta_{j-1}/alpha_{j-1} and off-diagonal sqrt(beta_j)/alpha_j.
    """
    found = np.inf
    for alpha, beta in zip(alphas.T, betas.T, strict=True):
        steps = alpha > 0  # a column rests while others go on
        if not steps.any():
            continue
        length, ratio = alpha[steps], beta[steps][:-1]
        diagonal = 1 / length
        diagonal[1:] += ratio / length[:-1]
        off = np.sqrt(ratio) / length[:-1]
        value = eigh_tridiagonal(diagonal, off, eigvals_only=True, select="i", select_range=(0, 0))[0]
        found = min(found, max(float(value), float(np.finfo(float).eps)))
    return found


def _apply(operator: Operator, kind: Kind, p: Array) -> Array:
    if kind == "equations":
        return kernels.equations(operator, kernels.fitted(operator, p))
    v, last = p, len(operator.codes) - 1
    for k in [*range(last), last, *reversed(range(last))]:
        v = kernels.centre(operator, k, v)
    return p - v


def _precondition(operator: Operator, kind: Kind, gradient: Array) -> Array:
    if kind == "sweeps":
        return gradient
    out, start = [], 0
    for k in operator.rest:
        out.append(kernels.solve(operator.inverses[k], gradient[start : start + operator.sizes[k]]))
        start += operator.sizes[k]
    return jnp.concatenate(out)


def _inner(operator: Operator, kind: Kind, a: Array, b: Array) -> Array:
    return jnp.sum((kernels.weighted(operator, a) if kind == "sweeps" else a) * b, axis=0)


@partial(jax.jit, static_argnums=(2, 3))
def _start(operator: Operator, e: Array, kind: Kind, most: int) -> tuple[Array, _State]:
    """The first effect taken out, and the iteration at its first direction."""
    e = kernels.centre(operator, 0, e) if operator.eliminated or kind == "sweeps" else e
    gradient = kernels.equations(operator, e) if kind == "equations" else _apply(operator, kind, e)
    direction = _precondition(operator, kind, gradient)
    product = jnp.maximum(_inner(operator, kind, gradient, direction), 0.0)
    record = jnp.zeros((most, e.shape[1]))
    return e, _State(
        jnp.zeros_like(gradient), gradient, direction, product, record, record, jnp.zeros((), jnp.int32)
    )


@partial(jax.jit, static_argnums=3, donate_argnums=1)
def _run(operator: Operator, state: _State, target: Array, kind: Kind, limit: Array) -> _State:
    """Iterate until the gradient of every column is below its target, or the limit is reached."""

    def open_columns(state: _State) -> Array:
        return jnp.sqrt(state.product) > target

    def goes_on(state: _State) -> Array:
        return (state.count < limit) & open_columns(state).any()

    def body(state: _State) -> _State:
        applied = _apply(operator, kind, state.direction)
        curvature = _inner(operator, kind, state.direction, applied)
        on = open_columns(state) & (curvature > 0)
        alpha = jnp.where(on, state.product / jnp.where(on, curvature, 1.0), 0.0)
        gradient = state.gradient - alpha * applied
        z = _precondition(operator, kind, gradient)
        product = jnp.where(on, jnp.maximum(_inner(operator, kind, gradient, z), 0.0), state.product)
        # A direction without curvature lies in the null space: the column can go no further.
        product = jnp.where(open_columns(state) & (curvature <= 0), 0.0, product)
        beta = jnp.where(on, product / jnp.where(on, state.product, 1.0), 0.0)
        return _State(
            state.solution + alpha * state.direction,
            gradient,
            jnp.where(on, z + beta * state.direction, state.direction),
            product,
            state.alphas.at[state.count].set(alpha),
            state.betas.at[state.count].set(beta),
            state.count + 1,
        )

    return jax.lax.while_loop(goes_on, body, state)


@partial(jax.jit, static_argnums=3)
def _finish(operator: Operator, e: Array, solution: Array, kind: Kind) -> Array:
    return e - (kernels.fitted(operator, solution) if kind == "equations" else solution)
