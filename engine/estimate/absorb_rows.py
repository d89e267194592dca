"""Columns row by row: read into sums over levels, written as residuals, a group of rows at a time."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from engine.estimate import absorb_kernels as kernels
from engine.estimate.absorb_kernels import Coefficients
from engine.estimate.absorb_levels import Array
from engine.estimate.absorb_plan import Plan


@dataclass
class Rows:
    """Columns on their way: rows so far, their sums over all levels, and the length they are measured by."""

    plan: Plan
    values: Array
    out: Array
    sums: Coefficients
    scale: Array

    def residuals(self, b: Coefficients) -> Coefficients:
        """Write rows less those that coefficients make; return their sums."""
        operator, sums = self.plan.operator, _no_sums(self.plan, self.values.shape[1])
        for number, begin, end in _groups(self.plan):
            x = _padded(self.plan, self.values[begin:end])
            e, sums = kernels.write_group(operator, number, x, b, sums)
            self.out[begin:end] = np.asarray(e)[: end - begin]
        return sums

    def subtract(self, b: Coefficients) -> None:
        """Take out coefficients for good."""
        self.sums = self.residuals(b)
        self.values = self.out


def read(plan: Plan, values: Array) -> tuple[Coefficients, Array]:
    """Sums of columns over the levels of all effects, and their sums of squares."""
    sums, squares = _no_sums(plan, values.shape[1]), jnp.zeros(values.shape[1])
    for number, begin, end in _groups(plan):
        x = _padded(plan, values[begin:end])
        sums, squares = kernels.read_group(plan.operator, number, x, sums, squares)
    return sums, np.asarray(squares)


def _no_sums(plan: Plan, n_columns: int) -> Coefficients:
    every = range(len(plan.operator.sizes))
    return tuple(kernels.zeros(plan.operator, every, n_columns).values())


def _groups(plan: Plan) -> list[tuple[int, int, int]]:
    """Number, first and last row of each group."""
    n_groups, n_chunks, chunk = plan.shape
    starts = range(0, n_groups * n_chunks * chunk, n_chunks * chunk)
    return [(k, begin, min(begin + n_chunks * chunk, plan.design.n_rows)) for k, begin in enumerate(starts)]


def _padded(plan: Plan, rows: Array) -> Array:
    missing = plan.shape[1] * plan.shape[2] - len(rows)
    return np.pad(rows, ((0, missing), (0, 0))) if missing else rows
