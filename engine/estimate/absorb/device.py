"""The products of absorption on an accelerator, in JAX: coefficients stay there while conjugate gradient runs.

Rows are visited a chunk at a time, so that no array of rows x columns is made. Columns are the last axis: adding to
a level adds contiguous numbers. The last chunk is padded with a level that there is not, which XLA drops.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import AnyArray
from engine.estimate.absorb.row_kernels import Blocks, Coefficients, Operator

_CHUNK = 1 << 16  # rows in flight: 5 MB of ten columns

_Chunks = tuple[tuple[tuple[jax.Array, ...], ...], jax.Array | None]
"""Codes by effect and member, and weights: each ``[n_chunks, chunk]``, or ``[chunk]`` of one chunk."""

_DeviceInverse = jax.Array | tuple[tuple[jax.Array, jax.Array], ...]
"""Of the levels ``[n_levels, 1]``, or positions and matrices of blocks by size."""


@dataclass(frozen=True)
class DeviceOperator(Operator):
    """An operator whose products are done by the default device of JAX, on its arrays."""

    @cached_property
    def _rows(self) -> _Chunks:
        """The rows by chunks ``[n_chunks, chunk]``."""
        codes = tuple(tuple(_chunks(code, effect.size) for code in effect.codes.T) for effect in self.effects)
        return codes, None if self.weights is None else _chunks(self.weights, 0)

    @cached_property
    def _inverses(self) -> tuple[_DeviceInverse, ...]:
        return tuple(
            tuple(
                (jnp.asarray(p), jnp.asarray(m))
                for p, m in zip(inverse.positions, inverse.matrices, strict=True)
            )
            if isinstance(inverse, Blocks)
            else jnp.asarray(inverse)[:, None]
            for inverse in self.inverses
        )

    def load(self, g: Coefficients) -> Coefficients:
        return tuple(jnp.asarray(part) for part in g)

    def solve(self, k: int, g: jax.Array) -> jax.Array:
        inverse = self._inverses[k]
        return _solve(inverse, g) if isinstance(inverse, tuple) else inverse * g

    def couple(self, sources: Mapping[int, jax.Array], targets: Iterable[int]) -> dict[int, jax.Array]:
        shapes = {k: (self.effects[k].size, next(iter(sources.values())).shape[1]) for k in targets}
        return _couple(self._rows, dict(sources), {k: jnp.zeros(shape) for k, shape in shapes.items()})


def _chunks(values: AnyArray, padding: int) -> jax.Array:
    width = min(_CHUNK, len(values))
    missing = -len(values) % width
    return jnp.asarray(np.pad(values, (0, missing), constant_values=padding).reshape(-1, width))


@jax.jit
def _couple(rows: _Chunks, sources: dict[int, jax.Array], sums: dict[int, jax.Array]) -> dict[int, jax.Array]:
    def body(sums: dict[int, jax.Array], part: _Chunks) -> tuple[dict[int, jax.Array], None]:
        codes, weights = part
        fitted = [
            b.at[code].get(mode="fill", fill_value=0.0) for k, b in sources.items() for code in codes[k]
        ]
        v = sum(fitted[1:], fitted[0])
        u = v if weights is None else v * weights[:, None]
        for k in sums:
            for code in codes[k]:
                sums = {**sums, k: sums[k].at[code].add(u, mode="drop")}
        return sums, None

    return jax.lax.scan(body, sums, rows)[0]


@jax.jit
def _solve(blocks: tuple[tuple[jax.Array, jax.Array], ...], g: jax.Array) -> jax.Array:
    solution = jnp.zeros_like(g)
    for positions, matrices in blocks:
        right = g.at[positions].get(mode="fill", fill_value=0.0)
        solution = solution.at[positions].set(jnp.matmul(matrices, right), mode="drop")
    return solution
