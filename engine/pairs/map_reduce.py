"""The two passes over the pair grid, as map and merge: `city_moments` first, `score_sums` once coefficients are known.

Each pass is two plain functions: one of (design, task), one of two partial results. Who runs them where is
not known here (``engine.runtime``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.arrays import AnyArray, Array, Integers
from engine.float64 import double_precision
from engine.pairs import kernels
from engine.pairs.design import Chunk, PairDesign
from engine.pairs.moments import CityMoments, Layout, added, type_of
from engine.pairs.pair_rows import PairRows, concatenated, no_rows

_BLOCK = 128  # pairs of one type whose statistics are multiplied at a time


@dataclass(frozen=True)
class MomentPass:
    """First pass: what every task gets.

    Attributes
    ----------
    design : PairDesign
    balanced : bool
        Take the compact layout; only where no pair-year is missing and no outcome infinite.
    products : bool
        Sum the products of the pairs' statistics too, from which the influence products of any number of cells
        follow without another pass; not for directed tables.
    """

    design: PairDesign
    balanced: bool
    products: bool = False

    @property
    def layout(self) -> Layout:
        return Layout(self.design.n_years, self.design.n_columns, self.balanced)


@dataclass(frozen=True)
class CellBlock:
    """Coefficients of a block of cells, as `kernels.score_products` takes them (see there)."""

    terms: Array
    residual: Array
    influence: Array


@dataclass(frozen=True)
class ScorePass:
    """Second pass: the first one's setting and the cells' coefficients."""

    setting: MomentPass
    cells: CellBlock


@dataclass(frozen=True)
class ScoreSums:
    """Sums over pairs of influence products; ``own``, ``reverse``: float64 ``[n_cells, K, K]``."""

    own: Array
    reverse: Array


def kernel_rule(setting: MomentPass) -> kernels.Rule:
    design = setting.design
    return kernels.Rule(
        layout=setting.layout,
        n_classes=design.n_classes,
        edge=design.edge,
        look_ahead=design.look_ahead,
        clip=design.clip,
        directed=design.directed,
        outcome=design.outcome,
        kinds=design.kinds,
        lag=design.lag,
    )


def city_arrays(setting: MomentPass) -> dict[str, AnyArray]:
    """Arrays that the kernels of a pass read beside the pairs."""
    return setting.design.city_arrays(balanced=setting.balanced)


def city_moments(setting: MomentPass, task: Any) -> CityMoments:
    """First pass over one task: pair statistics summed by city and partner class."""
    design, layout, rule = setting.design, setting.layout, kernel_rule(setting)
    top, left = design.span(task)
    first, second = (np.zeros((b - a, design.n_classes, layout.size)) for a, b in (top, left))
    counts = np.zeros(3 + design.n_years)
    n_types = design.n_classes * (design.n_classes + 1) // 2
    products = np.zeros((n_types, layout.size, layout.size)) if setting.products else None
    with double_precision():
        arrays = kernels.to_device(city_arrays(setting))
        for chunk in design.chunks(task):
            offset = np.array([chunk.rows[0], chunk.cols[0]], dtype=np.int32)
            blocks = None if products is None else _type_blocks(chunk, design)
            *result, crossed = kernels.moments(
                rule, arrays, chunk.i, chunk.j, chunk.n, offset, chunk.values, chunk.weights, blocks
            )
            rows, cols, more = (np.asarray(part) for part in result)
            first[chunk.rows[0] - top[0] : chunk.rows[1] - top[0]] += rows[: chunk.rows[1] - chunk.rows[0]]
            second[chunk.cols[0] - left[0] : chunk.cols[1] - left[0]] += cols[: chunk.cols[1] - chunk.cols[0]]
            counts += more
            if products is not None:
                products += np.asarray(crossed)
    return CityMoments(
        layout=layout,
        first=first,
        second=second,
        infinite=int(counts[0]),
        singletons=int(counts[1]),
        weight=float(counts[2]),
        products=products,
        first_at=top[0],
        second_at=left[0],
        profile=design.profile,
        rows_by_year=counts[3:],
    )


def _type_blocks(chunk: Chunk, design: PairDesign) -> tuple[Integers, Integers]:
    """The pairs of a chunk in blocks of one type each, see `kernels.moments`; as many blocks for every chunk."""
    classes, n, h = design.classes, chunk.n, design.n_classes
    n_types = h * (h + 1) // 2
    kind = type_of(classes[chunk.i[:n]], classes[chunk.j[:n]], h)
    order, size = np.argsort(kind, kind="stable"), np.bincount(kind, minlength=n_types)
    needed = -(-size // _BLOCK)
    members = np.full((-(-len(chunk.i) // _BLOCK) + n_types, _BLOCK), len(chunk.i), dtype=np.int32)
    start, before = (np.concatenate([[0], np.cumsum(count)[:-1]]) for count in (needed, size))
    ranked = kind[order]
    members.ravel()[start[ranked] * _BLOCK + np.arange(n) - before[ranked]] = order
    types = np.zeros(len(members), dtype=np.int32)
    types[: needed.sum()] = np.repeat(np.arange(n_types), needed)
    return members, types


def pair_rows(setting: MomentPass, task: Any) -> PairRows:
    """The observed pair-years of one task, for effects that moments by year cannot take out."""
    design, rule = setting.design, kernel_rule(setting)
    parts = [no_rows(design.n_columns)]
    with double_precision():
        arrays = kernels.to_device(city_arrays(setting))
        for chunk in design.chunks(task):
            result = kernels.rows(rule, arrays, chunk.i, chunk.j, chunk.n, chunk.values, chunk.weights)
            columns, weights, counts = (np.asarray(part) for part in result)
            pair, year = np.nonzero(weights)
            parts.append(
                PairRows(
                    i=chunk.i[: chunk.n],
                    j=chunk.j[: chunk.n],
                    pair=pair.astype(np.int32),
                    year=year.astype(np.int32),
                    values=columns[pair, year],
                    weights=weights[pair, year],
                    infinite=int(counts[0]),
                    singletons=int(counts[1]),
                )
            )
    return concatenated(parts)


def merge_moments(one: CityMoments, other: CityMoments) -> CityMoments:
    """Sum of two partial results; neither is changed."""
    first, first_at = added(one.first, one.first_at, other.first, other.first_at)
    second, second_at = added(one.second, one.second_at, other.second, other.second_at)
    return replace(
        one,
        first=first,
        second=second,
        first_at=first_at,
        second_at=second_at,
        infinite=one.infinite + other.infinite,
        singletons=one.singletons + other.singletons,
        weight=one.weight + other.weight,
        products=_both(one.products, other.products),
        rows_by_year=_both(one.rows_by_year, other.rows_by_year),
    )


def _both(one: Array | None, other: Array | None) -> Array | None:
    """Sum of what both parts have."""
    return None if one is None or other is None else one + other


def score_sums(setting: ScorePass, task: Any) -> ScoreSums:
    """Second pass over one task: products of pair influences, summed."""
    first, cells = setting.setting, setting.cells
    rule = kernel_rule(first)
    n_cells = cells.residual.shape[1]
    n_terms = cells.influence.shape[1] // n_cells
    own, reverse = np.zeros((2, n_cells, n_terms, n_terms))
    with double_precision():
        arrays = kernels.to_device(city_arrays(first))
        block = kernels.to_device(vars(cells))
        for chunk in first.design.chunks(task):
            result = kernels.score_products(
                rule, arrays, chunk.i, chunk.j, chunk.n, block, chunk.values, chunk.weights
            )
            own += np.asarray(result[0])
            reverse += np.asarray(result[1])
    return ScoreSums(own, reverse)


def merge_scores(one: ScoreSums, other: ScoreSums) -> ScoreSums:
    """Sum of two partial results; neither is changed."""
    return ScoreSums(one.own + other.own, one.reverse + other.reverse)
