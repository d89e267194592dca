"""The two passes over the pair grid, as map and merge: `city_moments` first, `score_sums` once coefficients are known.

Each pass is two plain functions: one of (design, task), one of two partial results. Who runs them where is
not known here (``engine.runtime``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from engine.pairs import kernels
from engine.pairs.design import Design, PanelDesign
from engine.pairs.moments import CityMoments, Layout

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class MomentPass:
    """First pass: what every task gets.

    Attributes
    ----------
    design : PanelDesign or TableDesign
    balanced : bool
        Take the compact layout; only where no pair-year is missing and no outcome infinite.
    """

    design: Design
    balanced: bool

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
        look_ahead=bool(design.window.all()) if isinstance(design, PanelDesign) else True,
        clip=design.clip if isinstance(design, PanelDesign) else 0.0,
        directed=design.directed,
    )


def city_arrays(setting: MomentPass) -> dict[str, Array]:
    design = setting.design
    arrays: dict[str, Any] = {"classes": design.classes}
    if isinstance(design, PanelDesign):
        series = standardise(design.series, design.window) if setting.balanced else design.series
        arrays |= {"series": series, "levels": design.levels, "window": design.window}
        if design.kept_rows is not None:
            arrays["kept_rows"] = design.kept_rows
    return arrays


def standardise(series: Array, window: np.ndarray[Any, np.dtype[np.bool_]]) -> Array:
    """z = (x - mean) / sd over the window's years, with the population sd; ``[n_units, n_years]``."""
    inside = series[:, window]
    mean = inside.mean(axis=1, keepdims=True)
    return np.asarray((series - mean) / inside.std(axis=1, keepdims=True), dtype=np.float64)


def city_moments(setting: MomentPass, task: Any) -> CityMoments:
    """First pass over one task: pair statistics summed by city and partner class."""
    design, layout, rule = setting.design, setting.layout, kernel_rule(setting)
    shape = (design.n_units, design.n_classes, layout.size)
    first, second, counts = np.zeros(shape), np.zeros(shape), np.zeros(2, dtype=np.int64)
    with jax.enable_x64(True):
        arrays = kernels.to_device(city_arrays(setting))
        for chunk in design.chunks(task):
            offset = np.array([chunk.rows[0], chunk.cols[0]], dtype=np.int32)
            result = kernels.moments(rule, arrays, chunk.i, chunk.j, chunk.n, offset, chunk.values)
            rows, cols, more = (np.asarray(part) for part in result)
            first[slice(*chunk.rows)] += rows[: chunk.rows[1] - chunk.rows[0]]
            second[slice(*chunk.cols)] += cols[: chunk.cols[1] - chunk.cols[0]]
            counts += more
    return CityMoments(layout, first, second, int(counts[0]), int(counts[1]))


def merge_moments(one: CityMoments, other: CityMoments) -> CityMoments:
    """Sum of two partial results; neither is changed."""
    return replace(
        one,
        first=one.first + other.first,
        second=one.second + other.second,
        infinite=one.infinite + other.infinite,
        singletons=one.singletons + other.singletons,
    )


def score_sums(setting: ScorePass, task: Any) -> ScoreSums:
    """Second pass over one task: products of pair influences, summed."""
    first, cells = setting.setting, setting.cells
    rule = kernel_rule(first)
    n_cells = cells.residual.shape[1]
    n_terms = cells.influence.shape[1] // n_cells
    own, reverse = np.zeros((2, n_cells, n_terms, n_terms))
    with jax.enable_x64(True):
        arrays = kernels.to_device(city_arrays(first))
        block = kernels.to_device(vars(cells))
        for chunk in first.design.chunks(task):
            result = kernels.score_products(rule, arrays, chunk.i, chunk.j, chunk.n, block, chunk.values)
            own += np.asarray(result[0])
            reverse += np.asarray(result[1])
    return ScoreSums(own, reverse)


def merge_scores(one: ScoreSums, other: ScoreSums) -> ScoreSums:
    """Sum of two partial results; neither is changed."""
    return ScoreSums(one.own + other.own, one.reverse + other.reverse)
