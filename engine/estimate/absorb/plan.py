"""Effects laid out for the kernels, with what each method needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import jax
import numpy as np

from engine.arrays import Array
from engine.estimate.absorb import direct
from engine.estimate.absorb import row_kernels as kernels
from engine.estimate.absorb.column_rows import Dummies
from engine.estimate.absorb.device import DeviceOperator
from engine.estimate.absorb.direct import Inverse
from engine.estimate.absorb.incomplete import GridCells, GridOperator, find_cells, whole_groups
from engine.estimate.absorb.levels import SAMPLE, Design, Levels, spans
from engine.estimate.absorb.pair_year_grid import PairYearGrid, recognise
from engine.estimate.absorb.row_kernels import Blocks, Operator, diagonal_block, level_weights

_CHEAP_PRODUCTS, _CHEAP_FLOPS = 4e7, 1e9  # equations that are formed and solved in less than a second
_MANY_COLUMNS, _FEW = 12, 200  # columns, or equations, for which forming equations pays


@dataclass(frozen=True)
class AbsorptionPlan:
    """Effects on their rows, and what the methods need of them, each computed when first needed.

    Attributes
    ----------
    design : Design
    threads : int
        That work on rows at once.
    """

    design: Design
    threads: int = 1

    def reweighted(self, weights: Array) -> AbsorptionPlan:
        """The same effects and rows with other weights ``[n_kept]``, positive and finite; nothing is examined anew."""
        return AbsorptionPlan(replace(self.design, weights=weights), self.threads)

    @cached_property
    def effects(self) -> list[Levels]:
        """Effects that no other effect spans, in the order of a sweep."""
        return whole_groups([self.design.effects[k] for k in self.design.active])

    @property
    def names(self) -> list[str]:
        return [effect.name for effect in self.effects]

    @cached_property
    def dummies(self) -> Dummies:
        """Of the effects, by row."""
        return Dummies(tuple(self.effects), self.design.weights, self.threads)

    @cached_property
    def grid(self) -> PairYearGrid | None:
        """Closed form, if the rows form a grid."""
        return recognise(self.effects, self.design.weights, self.threads)

    @cached_property
    def cells(self) -> GridCells | None:
        """Where rows stand on a grid, if some of it is missing."""
        if self.grid is not None or (len(self.effects) == 2 and self.effects[1].size <= kernels.SMALL):
            return None  # of few levels each meeting is counted
        return find_cells(self.effects, self.design.weights)

    @cached_property
    def operator(self) -> Operator:
        """Effects with the inverse of each G_kk; of its diagonal where two levels apply to a row and blocks differ."""
        return self._operator(self._alike)

    @cached_property
    def exact_operator(self) -> Operator:
        """Effects with the inverse of each G_kk, however long that takes to find."""
        return self._operator(
            [None if inverse is None else inverse.blocks for inverse in self.block_inverses]
        )

    def _operator(self, blocks: Sequence[Blocks | None]) -> Operator:
        weights = self.design.weights
        inverses = [
            _reciprocal(level_weights(effect, weights)) if inverse is None else inverse
            for effect, inverse in zip(self.effects, blocks, strict=True)
        ]
        parts = tuple(self.effects), weights, tuple(inverses)
        if jax.default_backend() != "cpu":
            return DeviceOperator(*parts)
        return Operator(*parts) if self.cells is None else GridOperator(*parts, self.cells)

    @cached_property
    def _alike(self) -> list[Blocks | None]:
        """Of effects with two levels a row, the inverse if its blocks are alike, or would be on the whole grid; None
        for others.
        """
        if self.cells is not None:
            return [None, self.cells.inverse()]
        return [
            direct.alike_blocks(effect, self.design.weights) if effect.members == 2 else None
            for effect in self.effects
        ]

    @cached_property
    def block_inverses(self) -> list[Inverse | None]:
        """Of effects with two levels a row, the inverse of G_kk; None for others, and where it would be too large."""
        weights = self.design.weights
        return [
            direct.invert(diagonal_block(effect, weights)) if effect.members == 2 else None
            for effect in self.effects
        ]

    @cached_property
    def may_commute(self) -> bool:
        """One sweep may be the whole projection.

        Where two projections commute, levels that meet do so in proportion to their sizes; where rows are not
        repeated, all levels of the first effect that meet a level of another are then of one size.
        """
        first, *remaining = self.effects
        if any(
            effect.members > 1 and inverse is None
            for effect, inverse in zip(self.effects, self._alike, strict=True)
        ):
            return False
        if first.members > 1:
            return not remaining
        return all(
            spans(effect.codes[:rows], first.counts[first.codes[:rows]], effect.size)
            for rows in (SAMPLE, None)  # a few rows mostly show that they do not
            for effect in remaining
        )

    def forming_pays(self, n_columns: int) -> bool:
        """The equations are few, or in blocks that a grid shows, or there are many columns and one other effect, whose
        levels may fall into small blocks; those of several effects hardly do.
        """
        remaining = self.effects[1:]
        if self.cells is not None and remaining[0].members == 1:
            return True
        few = sum(effect.size for effect in remaining) <= _FEW
        return few or (len(remaining) == 1 and remaining[0].members == 1 and n_columns >= _MANY_COLUMNS)

    @cached_property
    def cheap_equations(self) -> Inverse | None:
        return self._equations(_CHEAP_PRODUCTS, _CHEAP_FLOPS)

    @cached_property
    def any_equations(self) -> Inverse | None:
        return self._equations(direct.MOST_PRODUCTS, direct.MOST_FLOPS)

    def _equations(self, most_products: float, most_flops: float) -> Inverse | None:
        """Inverse of the equations that are left once the first effect is eliminated."""
        if not self.operator.eliminated:
            return self.block_inverses[0] if len(self.effects) == 1 else None
        if self.cells is not None and self.effects[1].members == 1 and self.cells.n_years <= kernels.SMALL:
            first, second = self.effects
            return direct.in_blocks(self.cells.equations(first.counts), second.counts.astype(np.float64))
        size = sum(effect.size for effect in self.effects[1:])
        if 0 < size <= kernels.SMALL:
            return direct.unit_columns(self.operator)
        if direct.products(self.effects) > most_products:
            return None
        equations = direct.schur_complement(self.effects, self.design.weights)
        return direct.invert(equations, most_flops=most_flops)


def _reciprocal(weight: Array) -> Array:
    """Zero for levels without a row."""
    return np.divide(1.0, weight, out=np.zeros_like(weight), where=weight > 0)
