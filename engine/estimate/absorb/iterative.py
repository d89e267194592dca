"""Conjugate gradient on the coefficients of levels, with an estimate of its own error.

`equations`: the largest effect A eliminated, S b = g, S = G_BB - G_BA G_AA^-1 G_AB, each effect's own G_kk^-1 as
preconditioner. `sweeps`: G b = g with a sweep through all effects and back as preconditioner, which is
alternating projection made symmetric and accelerated (Gaure 2013; Correia 2016, the default of reghdfe).

A small gradient is not a small error where a design is nearly disconnected. The steps of the iteration give the
smallest eigenvalue lambda of the preconditioned matrix (Lanczos), and with it the error of the residuals:
|e - e_k| = |gradient|_{S^-1} <= |gradient|_{P^-1} / sqrt(lambda), P the preconditioner.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.linalg import eigh_tridiagonal

from engine.arrays import Array, Flags
from engine.estimate.absorb import row_kernels as kernels
from engine.estimate.absorb.row_kernels import Coefficients, Operator

Kind = Literal["equations", "sweeps"]

DEEPEST = 1e-13  # reduction of the gradient in one run: rounding spoils the directions below it


@dataclass
class Run:
    """A conjugate gradient run: coefficients so far, and what its next step needs.

    Attributes
    ----------
    solution, gradient, direction : tuple of float64 ``[n_levels, n_columns]``
    image : the same
        What the preconditioner makes the direction of.
    product : float64 ``[n_columns]``
        Gradient times preconditioned gradient.
    alphas, betas : list of float64 ``[n_columns]``
        Step lengths, 0 where a column was done, and what each direction kept of the one before.
    """

    operator: Operator
    kind: Kind
    solution: Coefficients
    gradient: Coefficients
    direction: Coefficients
    image: Coefficients
    product: Array
    alphas: list[Array] = field(default_factory=list)
    betas: list[Array] = field(default_factory=list)

    def until(self, target: Array, limit: int) -> None:
        """Iterate until the gradient of every column is below its target, or the limit is reached."""
        while len(self.alphas) < limit and (np.sqrt(self.product) > target).any():
            self._step(np.sqrt(self.product) > target)

    def _step(self, is_open: Flags) -> None:
        applied = product(self.operator, self.kind, self.direction, self.image)
        curvature = kernels.inner(self.direction, applied)
        moves = is_open & (curvature > 0)
        alpha = np.divide(self.product, curvature, out=np.zeros_like(curvature), where=moves)
        self.solution = tuple(b + alpha[None] * p for b, p in zip(self.solution, self.direction, strict=True))
        self.gradient = tuple(g - alpha[None] * a for g, a in zip(self.gradient, applied, strict=True))
        z = _precondition(self.operator, self.kind, self.gradient)
        fresh = np.where(moves, np.maximum(kernels.inner(self.gradient, z), 0.0), self.product)
        beta = np.divide(fresh, self.product, out=np.zeros_like(fresh), where=moves)
        # A column that is done keeps its own, should a lower target open it again.
        retained_share, moved = np.where(moves, beta, 1.0)[None], moves.astype(np.float64)[None]
        self.direction = tuple(
            moved * part + retained_share * p for part, p in zip(z, self.direction, strict=True)
        )
        self.image = tuple(
            moved * g + retained_share * p for g, p in zip(self.gradient, self.image, strict=True)
        )
        # A direction without curvature lies in the null space: the column can go no further.
        self.product = np.where(is_open & ~moves, 0.0, fresh)
        self.alphas.append(alpha)
        self.betas.append(beta)

    def smallest_eigenvalue(self) -> float:
        """Smallest Ritz value over the columns.

        The tridiagonal matrix has diagonal 1/alpha_j + beta_{j-1}/alpha_{j-1} and off-diagonal sqrt(beta_j)/alpha_j.
        """
        alpha, beta = np.array(self.alphas).T, np.array(self.betas).T
        stepped = alpha > 0  # a column rests while others go on
        if not stepped.any():
            return np.inf
        column, length, ratio = np.nonzero(stepped)[0], alpha[stepped], beta[stepped]
        ratio[:-1][column[1:] != column[:-1]] = 0  # the columns' matrices, one after another
        diagonal, off = 1 / length, np.sqrt(ratio[:-1]) / length[:-1]
        diagonal[1:] += ratio[:-1] / length[:-1]
        value = eigh_tridiagonal(diagonal, off, eigvals_only=True, select="i", select_range=(0, 0))[0]
        return max(float(value), float(np.finfo(float).eps))


def right_side(operator: Operator, g: Coefficients, kind: Kind) -> Coefficients:
    """Of the equations, from the sums of columns over the levels of all effects."""
    g = operator.load(g)
    return kernels.eliminate(operator, g) if kind == "equations" else g


def start(operator: Operator, right: Coefficients, kind: Kind) -> Run:
    """The iteration at its first direction."""
    direction = _precondition(operator, kind, right)
    product = np.maximum(kernels.inner(right, direction), 0.0)
    return Run(operator, kind, tuple(0.0 * part for part in right), right, direction, right, product)


def product(
    operator: Operator, kind: Kind, p: Coefficients, image: Coefficients | None = None
) -> Coefficients:
    """S p or G p."""
    if kind == "equations":
        return operator.reduced(p, image)
    return tuple(operator.couple(dict(enumerate(p)), range(len(p))).values())


def _precondition(operator: Operator, kind: Kind, g: Coefficients) -> Coefficients:
    if kind == "sweeps":
        return kernels.sweep_back(operator, g, kernels.sweep(operator, g))
    return tuple(operator.solve(k, part) for k, part in zip(operator.in_equations, g, strict=True))
