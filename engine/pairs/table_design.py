"""Pairs of a user's own dyadic table, as dense arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import AnyArray, Array, Flags, Integers, LongIntegers, check_shape
from engine.errors import InputError
from engine.pairs.centre import middle_values, year_effects
from engine.pairs.design import Chunk, Range, chunk_length, padded
from engine.pairs.gravity import PairSample
from engine.pairs.pair_rows import PairRows
from engine.pairs.tiles import MapReduce


@dataclass(frozen=True)
class TableDesign:
    """Pairs of a user's own dyadic table; meets `engine.pairs.design.PairDesign`.

    Its units are of one class, and the table itself says which pairs there are.

    Attributes
    ----------
    i, j : int32 ``[n_pairs]``
        Unit positions. With ``directed``, rows 2q and 2q+1 are the two directions of a dyad.
    values : float64 ``[n_pairs, n_years, n_columns]``
        Regressors, then the outcome; NaN where missing.
    n_units : int
    directed : bool
    weights : float64 ``[n_pairs, n_years]`` or None
        Weights of the rows, mean one over those that count; zero where missing.
    centre : float64 ``[n_columns]`` or None
        Subtracted from the columns before anything else; None for nothing.
    profile : float64 ``[n_years]`` or None
        Subtracted from the outcome too; its year effects, which every regression absorbs anyhow.
    least_rows : int
        Observed years that a pair must have: one where it has no effect of its own.
    """

    i: Integers
    j: Integers
    values: Array
    n_units: int
    directed: bool
    weights: Array | None = None
    centre: Array | None = None
    profile: Array | None = None
    least_rows: int = 2

    n_classes = 1

    def __post_init__(self) -> None:
        check_shape("j", self.j, self.i.shape)
        check_shape("values", self.values, (len(self.i), None, None))
        if self.weights is not None:
            check_shape("weights", self.weights, (len(self.i), self.values.shape[1]))

    kept_rows = None
    untreated = None
    steps = ()
    outcome = "column"
    kinds = ()
    look_ahead = True
    clip = 0.0
    lag = 0

    def centred(self, n_levels: int = 0) -> TableDesign:
        """The same regression, with a centre and a profile of the values: levels far from zero cost no digits.

        The last ``n_levels`` columns, the outcome among them, stay as they are, for regressions in levels.
        """
        centre = middle_values(self.values)
        if n_levels:
            centre[-n_levels:] = 0.0
            return replace(self, centre=centre)
        return replace(self, centre=centre, profile=year_effects(self.values[:, :, -1] - centre[-1]))

    @property
    def classes(self) -> Integers:
        return np.zeros(self.n_units, dtype=np.int32)

    @property
    def allowed(self) -> Flags:
        return np.ones((1, 1), dtype=bool)

    @property
    def sample(self) -> PairSample:
        raise InputError(
            "a pair table lists its pairs: adoption classes and a gravity screen select none",
            where="pair_table",
            remedy="use a city panel (panel)",
        )

    @property
    def n_years(self) -> int:
        return self.values.shape[1]

    @property
    def n_columns(self) -> int:
        return self.values.shape[2]

    @property
    def complete(self) -> bool:
        return self.weights is None and bool(np.isfinite(self.values).all())

    def city_arrays(self, *, balanced: bool) -> dict[str, AnyArray]:
        arrays: dict[str, AnyArray] = {"classes": self.classes}
        if self.centre is not None:
            arrays["centre"] = self.centre
        if self.profile is not None:
            regressors = np.zeros((self.n_years, self.n_columns - 1))
            arrays["profile"] = np.concatenate([regressors, self.profile[:, None]], axis=1)
        return arrays

    def standardised_series(self, arrays: Mapping[str, AnyArray]) -> list[Array]:
        return []

    def data_values(self, rows: PairRows) -> Array:
        """The columns of rows, with the centre that the kernels take off."""
        return rows.values if self.centre is None else rows.values + self.centre

    def without_years(self, years: Flags) -> TableDesign:
        """The design without the rows of some years, bool ``[n_years]``."""
        return replace(self, values=np.where(years[None, :, None], np.nan, self.values))

    def uncut(self) -> tuple[TableDesign, None]:
        """The design as it is: tables have no split."""
        return self, None

    @property
    def edge(self) -> int:
        return self.n_units

    @property
    def chunk(self) -> int:
        return chunk_length(len(self.i))

    @property
    def n_tiles(self) -> int:
        return len(self.tasks())

    def tasks(self) -> tuple[Range, ...]:
        step = max(self.chunk, -(-len(self.i) // 64 // self.chunk) * self.chunk)
        return tuple((start, min(start + step, len(self.i))) for start in range(0, len(self.i), step))

    def span(self, task: Range) -> tuple[Range, Range]:
        """Both units of a pair may be any."""
        return (0, self.n_units), (0, self.n_units)

    def chunks(self, task: Range, among: Flags | None = None) -> Iterator[Chunk]:
        everywhere = (0, self.n_units)
        for start in range(*task, self.chunk):
            part: slice | LongIntegers = slice(start, min(start + self.chunk, task[1]))
            if among is not None:
                part = start + np.flatnonzero(among[self.i[part], self.j[part]])
            i, j = self.i[part], self.j[part]
            values, weights = self.listed_rows(part, i, j, self.chunk)
            yield Chunk(
                padded(i, self.chunk),
                padded(j, self.chunk),
                len(i),
                everywhere,
                everywhere,
                values,
                weights,
            )

    def list_length(self, *, every_screen: bool, map_reduce: MapReduce) -> tuple[int, int | None]:
        return len(self.i), None

    def pair_list(self, length: int, *, screened: bool) -> tuple[Integers, Integers, Integers]:
        return self.i, self.j, np.arange(length, dtype=np.int32)

    def listed_rows(
        self, part: slice | LongIntegers, i: Integers, j: Integers, length: int
    ) -> tuple[Array | None, Array | None]:
        weights = None if self.weights is None else padded(self.weights[part], length)
        return padded(self.values[part], length), weights
