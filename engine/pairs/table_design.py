"""Pairs of a user's own dyadic table, as dense arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from engine.arrays import AnyArray, Array, Flags, Integers, LongIntegers, check_shape
from engine.notes import Note
from engine.pairs.centre import middle_values, year_effects
from engine.pairs.design import Chunk, FilterStep, Range, chunk_length, padded
from engine.pairs.gravity import PairSample
from engine.pairs.pair_rows import PairRows
from engine.pairs.tiles import MapReduce
from engine.pairs.treatment import Adoption, allowed_classes


@dataclass(frozen=True)
class TableDesign:
    """Pairs of a user's own dyadic table; meets `engine.pairs.design.PairDesign`.

    The table itself says which pairs there are. Its units are of one class unless it has a treatment.

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
    adoption : Adoption
        Classes of the units, or of the pairs themselves.
    exclude : str
        ``both_treated | none``: pairs of two adopters leave the sample.
    kept_rows : bool ``[n_classes, n_classes, n_years]`` or None
        Pair-years that stay, by class; None keeps all.
    untreated : bool ``[n_classes, n_classes, n_years]`` or None
        As of `engine.pairs.panel_design.PanelDesign`.
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
    adoption: Adoption | None = None
    exclude: str = "none"
    kept_rows: Flags | None = None
    untreated: Flags | None = None

    def __post_init__(self) -> None:
        check_shape("j", self.j, self.i.shape)
        check_shape("values", self.values, (len(self.i), None, None))
        if self.adoption is not None:
            check_shape("classes", self.adoption.classes, (self.n_units,))
        if self.adoption is not None and self.adoption.of_pairs is not None:
            check_shape("classes of pairs", self.adoption.of_pairs, self.i.shape)
        if self.weights is not None:
            check_shape("weights", self.weights, (len(self.i), self.values.shape[1]))

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
    def n_classes(self) -> int:
        return 1 if self.adoption is None else len(self.adoption.years)

    @property
    def classes(self) -> Integers:
        return np.zeros(self.n_units, dtype=np.int32) if self.adoption is None else self.adoption.classes

    @cached_property
    def _class_of(self) -> tuple[LongIntegers, Integers]:
        """Codes of the pairs, ascending, and the class of each pair itself."""
        code = self.i.astype(np.int64) * self.n_units + self.j
        order = np.argsort(code)
        return code[order], self.adoption.of_pairs[order]  # type: ignore[union-attr,index]

    def pair_classes(self, i: Integers, j: Integers) -> tuple[Integers, Integers]:
        if self.adoption is None or self.adoption.of_pairs is None:
            return self.classes[i], self.classes[j]
        codes, of_code = self._class_of
        return self.classes[i], of_code[np.searchsorted(codes, i.astype(np.int64) * self.n_units + j)]

    @property
    def allowed(self) -> Flags:
        if self.adoption is None:
            return np.ones((1, 1), dtype=bool)
        of_pairs = self.adoption.of_pairs is not None
        return self.adoption.has_pairs if of_pairs else allowed_classes(self.adoption, self.exclude)

    @property
    def sample(self) -> PairSample:
        return PairSample(self.classes, self.allowed)

    @property
    def steps(self) -> tuple[FilterStep, ...]:
        if self.exclude == "none":
            return ()
        n_years = np.isfinite(self.values[self._in_sample]).all(axis=2).sum(axis=1)
        n_pairs = int((n_years > 0).sum())
        return (FilterStep(Note("both_treated_excluded"), n_pairs, int(n_years.sum())),)

    @cached_property
    def _in_sample(self) -> LongIntegers | None:
        """Positions of the pairs that the exclusion leaves; None where it leaves all."""
        if self.exclude == "none":
            return None
        return np.flatnonzero(self.allowed[self.pair_classes(self.i, self.j)])

    @property
    def n_years(self) -> int:
        return self.values.shape[1]

    @property
    def n_columns(self) -> int:
        return self.values.shape[2]

    @property
    def complete(self) -> bool:
        is_filtered = self.weights is not None or self.kept_rows is not None
        return not is_filtered and bool(np.isfinite(self.values).all())

    def city_arrays(self, *, balanced: bool) -> dict[str, AnyArray]:
        arrays: dict[str, AnyArray] = {"classes": self.classes}
        if self.centre is not None:
            arrays["centre"] = self.centre
        if self.profile is not None:
            regressors = np.zeros((self.n_years, self.n_columns - 1))
            arrays["profile"] = np.concatenate([regressors, self.profile[:, None]], axis=1)
        if self.kept_rows is not None:
            arrays["kept_rows"] = self.kept_rows
        if self.untreated is not None:
            arrays["untreated"] = self.untreated
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
    def _n_listed(self) -> int:
        """Pairs of the sample."""
        return len(self.i) if self._in_sample is None else len(self._in_sample)

    @property
    def chunk(self) -> int:
        return chunk_length(len(self.i))

    @property
    def n_tiles(self) -> int:
        return len(self.tasks())

    def tasks(self) -> tuple[Range, ...]:
        n_pairs = self._n_listed
        step = max(self.chunk, -(-n_pairs // 64 // self.chunk) * self.chunk)
        return tuple((start, min(start + step, n_pairs)) for start in range(0, n_pairs, step))

    def span(self, task: Range) -> tuple[Range, Range]:
        """Both units of a pair may be any."""
        return (0, self.n_units), (0, self.n_units)

    def chunks(self, task: Range, among: Flags | None = None) -> Iterator[Chunk]:
        everywhere = (0, self.n_units)
        for start in range(*task, self.chunk):
            part: slice | LongIntegers = slice(start, min(start + self.chunk, task[1]))
            if self._in_sample is not None:
                part = self._in_sample[part]
            if among is not None:
                of_part = np.arange(part.start, part.stop) if isinstance(part, slice) else part
                part = of_part[among[self.i[of_part], self.j[of_part]]]
            i, j = self.i[part], self.j[part]
            values, weights = self.listed_rows(part, i, j, self.chunk)
            of_pairs = None if self.adoption is None else self.adoption.of_pairs
            yield Chunk(
                padded(i, self.chunk),
                padded(j, self.chunk),
                len(i),
                everywhere,
                everywhere,
                values,
                weights,
                None if of_pairs is None else padded(of_pairs[part], self.chunk),
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
