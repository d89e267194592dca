"""The two passes over the pairs, and what the cells of a pass make of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.errors import InputError
from engine.estimate.fit import Fit, fit, stage
from engine.estimate.normal import Normal, normal_equations
from engine.infer.variance import Covariance, covariances
from engine.pairs.design import Design
from engine.pairs.moments import CityMoments
from engine.pairs.passes import (
    CellBlock,
    MomentPass,
    ScorePass,
    city_moments,
    merge_moments,
    merge_scores,
    score_sums,
)
from engine.pairs.treatment import Terms
from engine.runtime.execute import Machine
from engine.spec import Cell

Array = np.ndarray[Any, np.dtype[np.float64]]

_CELLS = 16  # cells whose influences one second pass holds at a time


@dataclass(frozen=True)
class Estimated:
    """One cell with its fit and covariances, and what became of the rows of its pass.

    Attributes
    ----------
    regressors : tuple of str
        The fit's names as `normal` has them.
    own : float64 ``[K, K]``
        Sum over pairs of influence products.
    dyadic : Covariance
        Dyadic-robust, whatever kinds the cell prints.
    """

    cell: Cell
    fit: Fit
    covariances: tuple[Covariance, ...]
    infinite: int
    singletons: int
    normal: Normal
    regressors: tuple[str, ...]
    own: Array
    dyadic: Covariance


def estimate_cells(
    machine: Machine,
    cells: tuple[Cell, ...],
    design: Design,
    *,
    columns: tuple[str, ...],
    terms: tuple[Terms, ...],
) -> list[Estimated]:
    """Estimate the cells that share a design.

    Parameters
    ----------
    machine : Machine
    cells : tuple of Cell
    design : PanelDesign or TableDesign
    columns : tuple of str
        Names of the design's regressor columns.
    terms : tuple of Terms
        Treatment terms of each cell.

    Raises
    ------
    InputError
        For an empty sample, collinear regressors, or infinite outcomes under ``infinite: error``.
    """
    setting, moments = _moments(machine, design, cells[0])
    table, names, chosen = _union(terms)
    normal = normal_equations(moments, design.classes, columns=columns, terms=names, table=table)
    shared = stage(normal)
    fits = []
    for cell, own in zip(cells, chosen, strict=True):
        regressors = (*_columns_of(cell, columns), *own)
        try:
            fits.append(fit(shared, regressors))
        except InputError as error:
            where = f"cell '{cell.label}': {error.where}" if error.where else f"cell '{cell.label}'"
            raise InputError(_plain(error.problem), where=where, remedy=_plain(error.remedy or "")) from None
    products = _products(machine, setting, normal, fits, table)
    return [
        Estimated(
            cell,
            replace(one, names=tuple(_plain(name) for name in one.names)),
            covariances(one, own, reverse, tuple(cell.job.model.errors)),
            moments.infinite,
            moments.singletons,
            normal,
            one.names,
            own,
            covariances(one, own, reverse, ("dyadic",))[0],
        )
        for cell, one, (own, reverse) in zip(cells, fits, products, strict=True)
    ]


def _columns_of(cell: Cell, columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(cell.job.model.regressors or cell.job.used_controls) if columns else ()


def _moments(machine: Machine, design: Design, cell: Cell) -> tuple[MomentPass, CityMoments]:
    """First pass; a complete panel takes the compact layout unless an outcome turns out infinite."""
    tasks, rule = design.tasks(), cell.job.outcome.infinite
    for balanced in [True, False] if design.complete else [False]:
        setting = MomentPass(design, balanced)
        moments = machine.reduce(city_moments, setting, tasks, merge_moments, label="moments")
        if moments.infinite and rule == "error":
            raise InputError(
                f"the outcome is infinite in {moments.infinite:,} pair-years",
                where="outcome",
                remedy="two cities have equal standardised values (see identical series in the validation report); "
                "use outcome.infinite: drop or clip",
            )
        if not moments.infinite:
            break
    return setting, moments


def _union(terms: tuple[Terms, ...]) -> tuple[Array, tuple[str, ...], list[tuple[str, ...]]]:
    """All distinct terms in one table; names get the number of their set, so that two sets may share a name."""
    sets: list[Terms] = []
    chosen: list[tuple[str, ...]] = []
    for own in terms:
        known = [n for n, other in enumerate(sets) if _same(own, other)]
        number = known[0] if known else len(sets)
        if not known:
            sets.append(own)
        chosen.append(tuple(f"{number}|{name}" for name in own.names))
    names = tuple(f"{number}|{name}" for number, own in enumerate(sets) for name in own.names)
    return np.concatenate([own.table for own in sets], axis=-1), names, chosen


def _same(one: Terms, other: Terms) -> bool:
    return one.names == other.names and np.array_equal(one.table, other.table)


def _plain(text: str) -> str:
    """A name or message without the numbers that `_union` put before terms."""
    return re.sub(r"\b\d+\|", "", text)


def _products(
    machine: Machine, setting: MomentPass, normal: Normal, fits: list[Fit], table: Array
) -> list[tuple[Array, Array]]:
    """Second pass: sums over pairs of influence products ``[K, K]`` for each cell."""
    out: list[tuple[Array, Array]] = []
    for start in range(0, len(fits), _CELLS):
        block = fits[start : start + _CELLS]
        widest = max(len(one.names) for one in block)
        residual = np.stack([one.residual for one in block], axis=1)
        influence = np.zeros((len(residual), len(block), widest))
        for number, one in enumerate(block):
            influence[:, number, : len(one.names)] = one.influence
        order = _kernel_order(len(residual), table.shape[-1])
        cells = CellBlock(table, residual[order], influence[order].reshape(len(residual), -1))
        sums = machine.reduce(
            score_sums, ScorePass(setting, cells), setting.design.tasks(), merge_scores, label="scores"
        )
        for number, one in enumerate(block):
            k = len(one.names)
            out.append((sums.own[number, :k, :k], sums.reverse[number, :k, :k]))
    return out


def _kernel_order(size: int, n_terms: int) -> Array:
    """From [years | columns | terms | outcome] to the kernel's [years | columns | outcome | terms]."""
    outcome, terms = size - 1, np.arange(size - 1 - n_terms, size - 1)
    return np.concatenate([np.arange(size - 1 - n_terms), [outcome], terms])
