"""Imputation estimates from the first pass, and what is refused because untreated rows do not tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array, Flags, Integers
from engine.errors import InputError
from engine.estimate.estimate import Estimate
from engine.estimate.gradient import Differentiated, differentiate_sums, sums_by_type
from engine.estimate.imputed_residuals import ImputedResiduals, imputed_residuals
from engine.estimate.normal import collinear, refuse_collinear
from engine.estimate.terms import Term, names_of, terms_of_set
from engine.estimate.two_stages import (
    WindowArrays,
    first_stage,
    imputed_function,
    n_year_effects,
    rows_by_type,
)
from engine.float64 import double_precision
from engine.pairs.moments import CityMoments, Layout
from engine.pairs.treatment import Terms

_ROUNDING = 1e-13  # of a sum of squares: what subtraction may leave of one that is zero


@dataclass(frozen=True)
class WindowSums:
    """Sums of the untreated window by type of pair, which the cells of a pass share.

    Attributes
    ----------
    layout : Layout
    untreated : float64 ``[n_types, T]``
    by_city : float64 ``[2, n_units, n_types, size]``
        Over the pairs in which a city stands first, and second.
    """

    layout: Layout
    untreated: Array
    by_city: Array

    @classmethod
    def of(cls, moments: CityMoments, classes: Integers, untreated: Flags) -> WindowSums:
        """From the first pass; ``untreated`` ``[n_classes, n_classes, T]``."""
        by_type = untreated[np.triu_indices(len(untreated))].astype(np.float64)
        return cls(moments.layout, by_type, sums_by_type(moments, classes))

    @property
    def total(self) -> Array:
        """``[n_types, size]`` over all pairs."""
        return np.asarray(self.by_city[0].sum(axis=0))

    @property
    def without_window(self) -> tuple[int, int]:
        """Pairs that have no untreated row, so that nothing is imputed for them, and their rows."""
        n_pairs, n_rows = self.total[:, 2:4].sum(axis=0)
        return round(n_pairs), round(n_rows)

    def rows(self, sums: Array) -> Array:
        """`rows_by_type` of sums ``[..., n_types, size]``."""
        return rows_by_type(self.layout, self.untreated, sums)


@dataclass(frozen=True)
class EventRows:
    """Rows of event years: of leads untreated ones, of the years from adoption on treated ones.

    Attributes
    ----------
    terms : tuple of Term
        By event year, ascending.
    paths : float64 ``[n_types, T, n_terms]``
        1 where a pair of the type is in the event year.
    """

    terms: tuple[Term, ...]
    paths: Array

    @classmethod
    def of(cls, terms: tuple[Term, ...], table: Array) -> EventRows:
        """From paths by the classes of two cities ``[n_classes, n_classes, T, n_terms]``."""
        return cls(terms, table[np.triu_indices(len(table))])

    @property
    def is_lead(self) -> Flags:
        return np.array([(term.event_time or 0) < 0 for term in self.terms], dtype=bool)

    @property
    def leads(self) -> tuple[Term, ...]:
        """Terms before adoption."""
        return tuple(term for term in self.terms if (term.event_time or 0) < 0)

    def with_rows(self, sums: WindowSums) -> EventRows:
        """The event years in which some pair of the sample is, and tells anything.

        Raises
        ------
        InputError
            Where no treated row is left.
        """
        rows = np.einsum("zt,ztr->r", sums.rows(sums.total), self.paths)
        places = np.flatnonzero(rows > 1e-6)
        terms = tuple(self.terms[place] for place in places)
        if not len(terms) or (terms[-1].event_time or 0) < 0:
            raise InputError(
                "no treated pair-year of the sample has an untreated one of its pair before it",
                where="treatment",
                remedy="check the filters of pairs, the adoption years, and the years that are missing",
            )
        return EventRows(terms, self.paths[..., places])

    def arrays(self, untreated: Array, columns: Integers) -> WindowArrays:
        """The average over all treated rows first, then those of event years."""
        after = self.paths[..., ~self.is_lead]
        averages = np.concatenate([after.sum(axis=2, keepdims=True), after], axis=2)
        return WindowArrays(untreated, averages, self.paths[..., self.is_lead], columns)


@dataclass(frozen=True)
class ImputedFit:
    """An estimate of one cell, but for its pair meat.

    Attributes
    ----------
    estimate : Estimate
    jacobian : float64 ``[n_types, size, K]``
        What the statistics of a pair weigh in its influences.
    explained : bool
        Effects and columns leave nothing of the outcome of untreated rows.
    in_moving_pairs : bool ``[n_units]``
        Cities in a pair with a treated row.
    sums : WindowSums
    arrays : WindowArrays
    years : float64 ``[T]``
        Effects of the first stage.
    """

    estimate: Estimate
    jacobian: Array
    explained: bool
    in_moving_pairs: Flags
    sums: WindowSums
    arrays: WindowArrays
    years: Array

    @cached_property
    def residuals(self) -> ImputedResiduals:
        """Of the default error."""
        sums, slopes = self.sums, self.estimate.values[: len(self.arrays.columns) - 1]
        return imputed_residuals(sums.layout, self.arrays, sums.by_city, self.jacobian, slopes, self.years)

    def summed(self, pair_meat: Array) -> Estimate:
        """The estimate with the sum of the products of the influences of pairs, ``[K, K]``."""
        is_zero = np.sqrt(np.diag(pair_meat)) <= 1e-10 * np.abs(self.estimate.values)
        exact = "regressors" if self.explained and is_zero[~np.isnan(is_zero)].all() else ""
        return replace(
            self.estimate, pair_meat=pair_meat, reciprocal_meat=np.zeros_like(pair_meat), exact=exact
        )


def fit_imputation(
    sums: WindowSums, columns: tuple[Term, ...], places: Sequence[int], average: Term, events: EventRows
) -> ImputedFit:
    """Estimate slopes, effects and leads, and everything that inference reads but the pair meat.

    Parameters
    ----------
    sums : WindowSums
    columns : tuple of Term
        Regressors of the cell.
    places : sequence of int
        Their positions among the columns of the layout.
    average : Term
        The average over all treated rows.
    events : EventRows

    Raises
    ------
    InputError
        Where no treated row is left, untreated rows do not identify a year effect that a treated row needs, or a column
        or lead is collinear among untreated rows.
    """
    events = events.with_rows(sums)
    of_layout = np.array([*places, sums.layout.n_columns - 1], dtype=np.int32)
    arrays = events.arrays(sums.untreated, of_layout)
    with double_precision():
        solved = first_stage(arrays, jnp.asarray(sums.total), layout=sums.layout)
    system, years = jax.tree.map(np.asarray, solved)
    left, squares = system.left, system.squares
    _refuse_unidentified(left[:-1, :-1], squares[:-1], columns, events.leads)
    parameters = arrays, squares[:-1]
    differentiated = differentiate_sums(imputed_function(sums.layout), parameters, sums.by_city)
    terms = (*columns, average, *events.terms)
    _refuse_unknown(differentiated.values, terms)
    slopes = differentiated.values[: len(columns)]
    jacobian = np.ascontiguousarray(np.moveaxis(differentiated.jacobian, 0, 2))
    ssr = left[-1, -1] - slopes @ left[: len(slopes), -1]
    treated = (sums.rows(sums.by_city) * (1.0 - sums.untreated)).sum(axis=(0, 2, 3))
    return ImputedFit(
        _estimate(sums, differentiated, terms, n_parameters=len(columns) + int((~events.is_lead).sum())),
        jacobian,
        explained=bool(ssr <= _ROUNDING * squares[-1]),
        in_moving_pairs=np.asarray(treated > 0.5),
        sums=sums,
        arrays=arrays,
        years=years,
    )


def _refuse_unidentified(
    left: Array, squares: Array, columns: tuple[Term, ...], leads: tuple[Term, ...]
) -> None:
    k = len(columns)
    refuse_collinear(left[:k, :k], squares[:k], names_of(columns))
    unidentified = collinear(left, squares, names_of((*columns, *leads)))
    if unidentified:
        raise InputError(
            f"untreated rows do not tell {', '.join(unidentified)} from pair and year effects",
            where="model.window",
            remedy="begin the window later, so that more years before adoption are the reference of the leads",
        )


def _refuse_unknown(values: Array, terms: tuple[Term, ...]) -> None:
    unknown = [term.name for term, value in zip(terms, values, strict=True) if np.isnan(value)]
    if unknown:
        raise InputError(
            f"untreated rows do not tell the year effects that {', '.join(unknown)} need",
            where="years",
            remedy="end years before the last pair is treated, and check which pair-years are missing",
        )


def _estimate(
    sums: WindowSums, differentiated: Differentiated, terms: tuple[Term, ...], *, n_parameters: int
) -> Estimate:
    """Estimate without paths, which no pass reads; counts are of pairs with an untreated row."""
    totals = sums.by_city[..., :2].sum(axis=2)  # [2, n_units, 2]: pairs, rows
    present, unknown = totals[..., 0] > 0, np.full((len(terms),) * 2, np.nan)
    n_years = int(n_year_effects(sums.layout, sums.untreated, sums.total))
    return Estimate(
        terms=terms,
        values=differentiated.values,
        city_first=differentiated.city_first,
        city_second=differentiated.city_second,
        without_city=differentiated.without_city,
        pair_meat=unknown,
        reciprocal_meat=unknown,
        residual_path=np.zeros(0),
        weight_path=np.zeros((0, len(terms))),
        n_obs=round(totals[0, :, 1].sum()),
        n_pairs=round(totals[0, :, 0].sum()),
        n_units=int(present.any(axis=0).sum()),
        n_first=int(present[0].sum()),
        n_second=int(present[1].sum()),
        n_parameters=n_parameters + n_years,
        n_parameters_city=n_parameters + n_years,
        r2=np.nan,
        r2_within=np.nan,
    )


def window_arrays(
    terms: Terms, untreated: Flags, types: Sequence[tuple[int, int]], columns: Sequence[str], fit: Estimate
) -> WindowArrays:
    """The rows that the estimate of a cell reads and averages in other samples of the same classes.

    ``types``: classes of the pairs, in the order of their sums; ``columns``: regressors of the layout.
    """
    of_types = tuple(np.array(types).T)
    events = EventRows(terms_of_set(terms), terms.table[of_types])
    fitted = [place for place, term in enumerate(events.terms) if term.name in fit.names]
    events = EventRows(tuple(events.terms[place] for place in fitted), events.paths[..., fitted])
    places = [columns.index(name) for name in fit.names if name in columns]
    return events.arrays(untreated[of_types].astype(np.float64), np.array([*places, -1], dtype=np.int32))
