"""The two passes over the pairs, and what the cells of a pass make of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from engine.arrays import Array, Flags
from engine.errors import InputError
from engine.estimate.absorbed_fit import Absorption
from engine.estimate.fit import LOOSEN, Fit, MomentFit, stage
from engine.estimate.instrument import Instrumented, Strength
from engine.estimate.many_samples import influence_products
from engine.estimate.normal import Normal, normal_equations
from engine.infer.errors import STUDENTISING, Covariance, covariances
from engine.notes import Note
from engine.pairs.design import PairDesign
from engine.pairs.map_reduce import (
    CellBlock,
    MomentPass,
    ScorePass,
    city_moments,
    merge_moments,
    merge_scores,
    score_sums,
)
from engine.pairs.moments import CityMoments
from engine.pairs.pair_rows import PairRows
from engine.pairs.treatment import Terms
from engine.runtime.execute import Machine
from engine.spec import Cell
from engine.stages.instrument import behind, fit_cell, strengths

Found = TypeVar("Found", CityMoments, PairRows)

_MARK = "\x1f"  # between the number of a set of terms and a term's name; no name in a job file has it
_CELLS = 16  # cells whose influences one second pass holds at a time
_UNITS = 8  # parts of a pass over the tiles: what a lost run pays, against what a store holds


@dataclass(frozen=True)
class LeftRows:
    """Rows of a pass that its regressions leave out.

    Attributes
    ----------
    infinite : int
        Pair-years with an infinite outcome.
    singleton_pairs : int
        Pairs with a single observed year to begin with.
    singletons : int
        Rows that were alone in a level of a fixed effect, left out until there were none; those pairs included.
    """

    infinite: int
    singleton_pairs: int
    singletons: int


@dataclass(frozen=True)
class Estimated:
    """One cell with its fit and covariances, and what became of the rows of its pass.

    Attributes
    ----------
    sample : LeftRows
    normal : Normal or None
        None where effects were absorbed row by row.
    regressors : tuple of str
        The fit's names as `normal` has them.
    own : float64 ``[K, K]``
        Sum over pairs of influence products.
    dyadic : Covariance
        Dyadic-robust, whatever kinds the cell prints.
    absorption : Absorption or None
        How effects beyond pair and year were taken out.
    instrument : (Instrumented, dict of str to Strength, tuple of str) or None
        What is behind an ``iv`` cell, the instrument's strength by kind of error, and notes on those.
    in_moving_pairs : bool ``[n_units]`` or None
        Cities in a pair of the sample whose treatment varies over its rows; None without treatment terms.
    n_adopters : int or None
        Adopting cities among those, see `engine.stages.adopters`.
    """

    cell: Cell
    fit: Fit
    covariances: tuple[Covariance, ...]
    sample: LeftRows
    normal: Normal | None
    regressors: tuple[str, ...]
    own: Array
    dyadic: Covariance
    absorption: Absorption | None = None
    instrument: tuple[Instrumented, dict[str, Strength], tuple[Note, ...]] | None = None
    in_moving_pairs: Flags | None = None
    n_adopters: int | None = None

    @property
    def treatment_terms(self) -> tuple[bool, ...]:
        """Which of the fit's terms are treatment terms."""
        return tuple(is_treatment(name) for name in self.regressors)


def estimate_cells(
    machine: Machine,
    cells: tuple[Cell, ...],
    design: PairDesign,
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
    setting, moments, sample = _moments(machine, design, cells[0], products=len(cells) > _CELLS)
    table, names, chosen = union(terms)
    normal = normal_equations(moments, design.classes, columns=columns, terms=names, table=table)
    shared = stage(normal)
    fits, instrumented = [], []
    for cell, own in zip(cells, chosen, strict=True):
        with named(cell):
            fits.append(fit_cell(shared, cell, columns_of(cell, columns), own))
            instrumented.append(behind(shared, cell, columns_of(cell, columns), own))
    more = [one for found in instrumented if found for one in (found.reduced, found.first, found.both)]
    products = _products(machine, setting, moments, [*fits, *more], table)
    rest = iter(products[len(fits) :])
    strong = [
        (found, *strengths(cell, found, [next(rest), next(rest), next(rest)])) if found else None
        for cell, found in zip(cells, instrumented, strict=True)
    ]
    out = []
    for cell, one, (outer, reverse), instrument in zip(
        cells, fits, products[: len(fits)], strong, strict=True
    ):
        kinds = tuple(dict.fromkeys([*cell.job.model.errors, STUDENTISING]))
        told = replace(one, names=tuple(plain(name) for name in one.names))
        errors = covariances(told, outer, reverse, kinds)
        out.append(
            Estimated(
                cell,
                told,
                errors[: len(cell.job.model.errors)],
                sample,
                normal,
                one.names,
                outer,
                errors[kinds.index(STUDENTISING)],
                instrument=instrument,
                in_moving_pairs=_in_moving_pairs(normal, one.names),
            )
        )
    return out


def _moments(
    machine: Machine, design: PairDesign, cell: Cell, *, products: bool
) -> tuple[MomentPass, CityMoments, LeftRows]:
    """Moments of the rows that are alone neither in their pair nor in their year, as fixest has them.

    A year with a single row goes as a whole, and the pass is made again; pairs of a single row are no part of any
    pass. Raises InputError where no row is left.
    """
    first: CityMoments | None = None
    while True:
        setting, moments = first_pass(
            machine, design, cell, city_moments, merge_moments, label="moments", products=products
        )
        first = first or moments
        assert first.rows_by_year is not None
        assert moments.rows_by_year is not None
        alone = moments.rows_by_year == 1
        if not alone.any():
            n_observed = first.rows_by_year.sum() + first.singletons
            left = int(n_observed - moments.rows_by_year.sum())
            return setting, moments, LeftRows(first.infinite, first.singletons, left)
        if alone.all() or moments.rows_by_year[~alone].sum() == 0:
            raise InputError(
                "no row is left: each is alone in its pair or in its year",
                where=f"cell '{cell.label}'",
                remedy=LOOSEN,
            )
        design = design.without_years(alone)


@contextmanager
def named(cell: Cell) -> Iterator[None]:
    """What is wrong with a regression is told with its cell."""
    try:
        yield
    except InputError as error:
        where = f"cell '{cell.label}': {error.where}" if error.where else f"cell '{cell.label}'"
        raise InputError(plain(error.problem), where=where, remedy=plain(error.remedy or "")) from None


def columns_of(cell: Cell, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Regressor columns of a cell, of those of its design."""
    return tuple(cell.job.model.regressors or cell.job.used_controls) if columns else ()


def first_pass(
    machine: Machine,
    design: PairDesign,
    cell: Cell,
    leaf: Callable[[MomentPass, Any], Found],
    merge: Callable[[Found, Found], Found],
    *,
    label: str,
    products: bool = False,
) -> tuple[MomentPass, Found]:
    """First pass; a complete panel takes the compact layout unless an outcome turns out infinite.

    ``products``: sum products of statistics too, where the layout is compact and the table undirected.
    """
    tasks, rule = design.tasks(), cell.job.outcome.infinite
    for balanced in [True, False] if design.complete else [False]:
        setting = MomentPass(design, balanced, products and balanced and not design.directed)
        found = machine.reduce(leaf, setting, tasks, merge, label=label, units=_UNITS)
        if found.infinite and rule == "error":
            raise InputError(
                f"the outcome is infinite in {found.infinite:,} pair-years",
                where="outcome",
                remedy="two cities have equal standardised values (see identical series in the validation report); "
                "use outcome.infinite: drop or clip",
            )
        if not found.infinite:
            break
    return setting, found


def union(terms: tuple[Terms, ...]) -> tuple[Array, tuple[str, ...], list[tuple[str, ...]]]:
    """All distinct terms in one table; names get the number of their set, so that two sets may share a name."""
    sets: list[Terms] = []
    chosen: list[tuple[str, ...]] = []
    for own in terms:
        known = [n for n, other in enumerate(sets) if _same(own, other)]
        number = known[0] if known else len(sets)
        if not known:
            sets.append(own)
        chosen.append(tuple(f"{number}{_MARK}{name}" for name in own.names))
    names = tuple(f"{number}{_MARK}{name}" for number, own in enumerate(sets) for name in own.names)
    return np.concatenate([own.table for own in sets], axis=-1), names, chosen


def _same(one: Terms, other: Terms) -> bool:
    return one.names == other.names and np.array_equal(one.table, other.table)


def is_treatment(name: str) -> bool:
    """Whether a name is one that `union` gave."""
    return _MARK in name


def _in_moving_pairs(normal: Normal, names: tuple[str, ...]) -> Flags | None:
    """Cities in a pair whose treatment terms vary: a path that moves leaves half or more within its pair."""
    terms = [normal.n_years + normal.names.index(name) for name in names if is_treatment(name)]
    if not terms:
        return None
    within = (normal.first + normal.second)[:, terms, terms]
    return np.asarray((within > 1e-6).any(axis=1))


def plain(text: str) -> str:
    """A name or message without the numbers that `union` put before terms."""
    return re.sub(rf"\d+{_MARK}", "", text)


def _products(
    machine: Machine, setting: MomentPass, moments: CityMoments, fits: list[MomentFit], table: Array
) -> list[tuple[Array, Array]]:
    """Sums over pairs of influence products ``[K, K]`` for each cell: a second pass, unless the first has them."""
    out: list[tuple[Array, Array]] = []
    for start in range(0, len(fits), _CELLS):
        block = fits[start : start + _CELLS]
        widest = max(len(one.names) for one in block)
        residual = np.stack([one.residual for one in block], axis=1)
        influence = np.zeros((len(residual), len(block), widest))
        for number, one in enumerate(block):
            influence[:, number, : len(one.names)] = one.influence
        if moments.products is not None:
            own = influence_products(
                moments.layout, moments.products, residual.T, influence.swapaxes(0, 1), _by_type(table)
            )
            out += [
                (one[:k, :k], np.zeros((k, k)))
                for one, k in zip(own, (len(fit.names) for fit in block), strict=True)
            ]
            continue
        order = _kernel_order(len(residual), table.shape[-1])
        cells = CellBlock(table, residual[order], influence[order].reshape(len(residual), -1))
        sums = machine.reduce(
            score_sums,
            ScorePass(setting, cells),
            setting.design.tasks(),
            merge_scores,
            label="scores",
            units=_UNITS,
        )
        for number, one in enumerate(block):
            k = len(one.names)
            out.append((sums.own[number, :k, :k], sums.reverse[number, :k, :k]))
    return out


def _by_type(table: Array) -> Array:
    """Treatment paths ``[H, H, T, r]`` by class as ``[n_types, T, r]``, in the order of `type_of`."""
    return np.asarray(table[np.triu_indices(len(table))])


def _kernel_order(size: int, n_terms: int) -> Array:
    """From [years | columns | terms | outcome] to the kernel's [years | columns | outcome | terms]."""
    outcome, terms = size - 1, np.arange(size - 1 - n_terms, size - 1)
    return np.concatenate([np.arange(size - 1 - n_terms), [outcome], terms])
