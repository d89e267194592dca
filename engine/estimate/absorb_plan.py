"""Effects laid out for the kernels, with what each method needs of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from engine.estimate import absorb_direct as direct
from engine.estimate.absorb_direct import Inverse
from engine.estimate.absorb_grid import Grid, recognise
from engine.estimate.absorb_kernels import Blocks, Operator
from engine.estimate.absorb_levels import SAMPLE, Array, Design, Integers, Levels, spans

_CHUNK, _GROUP = 1 << 14, 1 << 17  # rows that stay in cache; rows that one call reads or writes
_CHEAP_PRODUCTS, _CHEAP_FLOPS = 4e7, 1e9  # equations that are formed and solved in less than a second
_MANY_COLUMNS, _FEW = 4, 200  # columns, or equations, for which forming equations pays


@dataclass(frozen=True)
class Plan:
    """Effects on their rows, and what the methods need of them, each computed when first needed."""

    design: Design

    @cached_property
    def effects(self) -> list[Levels]:
        """Those that are worked with, in the order of a sweep."""
        return [self.design.effects[k] for k in self.design.active]

    @property
    def names(self) -> list[str]:
        return [effect.name for effect in self.effects]

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Groups, chunks of a group, rows of a chunk; the last group is padded if need be."""
        n = self.design.n_rows
        n_groups = -(-n // _GROUP)
        fewest = max(1, -(-n // (n_groups * 2 * _CHUNK)))
        counts = range(fewest, 4 * fewest + 1)
        n_chunks = next((count for count in counts if n % (n_groups * count) == 0), 2 * fewest)
        return n_groups, n_chunks, -(-n // (n_groups * n_chunks))

    @cached_property
    def grid(self) -> Grid | None:
        """Closed form, if the rows form a grid."""
        return recognise(self.effects, self.design.weights)

    @cached_property
    def operator(self) -> Operator:
        """Each effect with its own inverse; of two levels a row only the diagonal, unless all blocks are alike."""
        return self._operator(self._alike)

    @cached_property
    def exact_operator(self) -> Operator:
        """Each effect with its own inverse, however long that takes to find."""
        return self._operator([None if own is None else own.blocks for own in self.own])

    def _operator(self, blocks: Sequence[Blocks | None]) -> Operator:
        weights, inverses = self.design.weights, []
        for effect, own in zip(self.effects, blocks, strict=True):
            weight = direct.level_weights(effect, weights)
            diagonal = np.divide(1.0, weight, out=np.zeros_like(weight), where=weight > 0)
            inverses.append(jnp.asarray(np.append(diagonal, 0.0)) if own is None else own)
        return Operator(
            codes=tuple(
                tuple(self._grouped(code, effect.size) for code in effect.codes.T) for effect in self.effects
            ),
            inverses=tuple(inverses),
            weights=None if weights is None else self._grouped(weights, 0),
            sizes=tuple(effect.size + 1 for effect in self.effects),
        )

    def _grouped(self, values: Integers | Array, padding: int) -> jax.Array:
        missing = math.prod(self.shape) - len(values)
        padded = np.pad(values, (0, missing), constant_values=padding) if missing else values
        return jnp.asarray(padded.reshape(self.shape))

    @cached_property
    def _alike(self) -> list[Blocks | None]:
        """Of effects with two levels a row, the inverse if its blocks are alike; None for others."""
        weights = self.design.weights
        return [
            direct.alike_blocks(effect, weights) if effect.members == 2 else None for effect in self.effects
        ]

    @cached_property
    def own(self) -> list[Inverse | None]:
        """Of effects with two levels a row, their own equations; None for others, and where there are too many."""
        weights = self.design.weights
        return [
            direct.invert(direct.own_equations(effect, weights)) if effect.members == 2 else None
            for effect in self.effects
        ]

    @cached_property
    def may_commute(self) -> bool:
        """One sweep may be the whole projection.

        Where two projections commute, levels that meet do so in proportion to their sizes; where rows are not
        repeated, all levels of the first effect that meet a level of another are then of one size.
        """
        first, *rest = self.effects
        if any(
            effect.members > 1 and own is None for effect, own in zip(self.effects, self._alike, strict=True)
        ):
            return False
        if first.members > 1:
            return not rest
        return all(
            spans(effect.codes[:rows], first.counts[first.codes[:rows]], effect.size)
            for rows in (SAMPLE, None)  # a few rows mostly show that they do not
            for effect in rest
        )

    def forming_pays(self, n_columns: int) -> bool:
        """The equations are few, or there are many columns and one other effect, whose levels may fall into
        small blocks; those of several effects hardly do.
        """
        rest = self.effects[1:]
        few = sum(effect.size for effect in rest) <= _FEW
        return few or (len(rest) == 1 and rest[0].members == 1 and n_columns >= _MANY_COLUMNS)

    @cached_property
    def cheap_equations(self) -> Inverse | None:
        return self._equations(_CHEAP_PRODUCTS, _CHEAP_FLOPS)

    @cached_property
    def any_equations(self) -> Inverse | None:
        return self._equations(direct.MOST_PRODUCTS, direct.MOST_FLOPS)

    def _equations(self, most_products: float, most_flops: float) -> Inverse | None:
        """Inverse of the equations that are left once the first effect is eliminated."""
        if not self.operator.eliminated:
            return self.own[0] if len(self.effects) == 1 else None
        if direct.products(self.effects) > most_products:
            return None
        equations = direct.schur_complement(self.effects, self.design.weights)
        return direct.invert(equations, most_flops=most_flops)
