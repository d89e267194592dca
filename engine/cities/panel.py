"""CityPanel: the immutable object between raw data and the pair grid."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from engine.arrays import Array, Flags
from engine.errors import InputError
from engine.tables.arithmetic import Expression

_SHOWN = 5


@dataclass(frozen=True)
class CityPanel:
    """City-year data after cleaning.

    Attributes
    ----------
    units : tuple of str
        City names, sorted; the order of every first axis.
    years : tuple of int
        Consecutive years, ascending; the order of every second axis.
    values : mapping of str to float64 ``[n_units, n_years]``
        Canonical columns; NaN where missing.
    filled : mapping of str to bool ``[n_units, n_years]``
        Cells that were interpolated, for the columns that have any.
    labels : mapping of str to tuple of str
        Text columns constant in a city (``province``), one label a city.
    """

    units: tuple[str, ...]
    years: tuple[int, ...]
    values: Mapping[str, Array]
    filled: Mapping[str, Flags] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def n_units(self) -> int:
        return len(self.units)

    @property
    def n_years(self) -> int:
        return len(self.years)

    @property
    def content_hash(self) -> str:
        """sha256 of units, years and every value; equal panels have equal hashes on any machine."""
        digest = hashlib.sha256(repr((self.units, self.years)).encode())
        for name in sorted(self.values):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.values[name], dtype="<f8").tobytes())
        for name in sorted(self.labels):
            digest.update(repr((name, self.labels[name])).encode())
        return digest.hexdigest()

    def column(self, name: str) -> Array:
        """``[n_units, n_years]`` of one column; raises InputError where there is none."""
        if name not in self.values:
            raise InputError(
                f"there is no column '{name}' in the panel",
                remedy=f"map it under panel.columns; the panel has {', '.join(sorted(self.values))}",
            )
        return self.values[name]

    def evaluate(self, expression: Expression) -> Array:
        """``[n_units, n_years]`` of an expression of columns."""
        value = expression.evaluate({name: self.column(name) for name in expression.names})
        return np.broadcast_to(value, (self.n_units, self.n_years))

    def constant(self, name: str) -> Array:
        """``[n_units]`` of a column that must not vary over the years of a city (NaN where never given)."""
        values = self.column(name)
        observed = np.isfinite(values)
        first = np.where(
            observed.any(axis=1), values[np.arange(len(values)), observed.argmax(axis=1)], np.nan
        )
        varies = observed & (values != first[:, None])
        if varies.any():
            unit, year = np.argwhere(varies)[0]
            raise InputError(
                f"column '{name}' must be constant within a city, but changes from {first[unit]:g} to "
                f"{values[unit, year]:g} in {self.units[unit]}, {self.years[year]}",
                remedy="give one value a city",
            )
        return first

    def label(self, column: str, *, key: str, source: str) -> tuple[str, ...]:
        """One label a city; raises InputError where a city has none, which would silently be a group of its own.

        Parameters
        ----------
        column : str
        key, source : str
            The job key that needs the labels (``inference.permutation.strata``) and their place in the table, for
            the message.
        """
        labels = self.labels[column]
        unlabelled = [unit for unit, label in zip(self.units, labels, strict=True) if not label.strip()]
        if unlabelled:
            cities = ", ".join(unlabelled[:_SHOWN]) + (", ..." if len(unlabelled) > _SHOWN else "")
            raise InputError(
                f"{len(unlabelled)} of {self.n_units} cities have no '{column}', which {key} needs: {cities}",
                where=source,
                remedy="give every city one, or leave the cities out of the table",
            )
        return labels

    def with_column(self, name: str, values: Array) -> CityPanel:
        """A copy with one column more; raises InputError where the name is taken."""
        if name in self.values:
            raise InputError(f"the panel already has a column '{name}'", remedy="choose another name")
        return replace(self, values={**self.values, name: np.asarray(values, dtype=np.float64)})
