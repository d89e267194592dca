"""The one protocol of a job's clean data: all that the stages know of a city panel or a pair table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from engine.cities.entropy import EntropyIndex
from engine.cities.links import CityLinks
from engine.cities.panel import CityPanel
from engine.notes import Note
from engine.pairs.design import FilterStep, PairDesign
from engine.pairs.gravity import PairSample
from engine.pairs.pair_effects import PairEffect
from engine.pairs.tiles import MapReduce
from engine.pairs.treatment import Adoption
from engine.spec import Job
from engine.spec.effects import FixedEffect
from engine.stages.matched_pairs import MatchReport
from engine.stages.source import SourceTable


class DataReport(Protocol):
    """The validation report of a table."""

    @property
    def warnings(self) -> tuple[Note, ...]: ...

    def to_dict(self, worded: Callable[[Note], str]) -> dict[str, Any]: ...

    def lines(self, worded: Callable[[Note], str]) -> list[str]: ...


class JobData(Protocol):
    """The clean data of a job."""

    @property
    def source(self) -> SourceTable: ...

    @property
    def sources(self) -> tuple[SourceTable, ...]:
        """Every table that was read, that of the block first."""

    @property
    def validation(self) -> DataReport: ...

    @property
    def units(self) -> tuple[str, ...]: ...

    @property
    def years(self) -> tuple[int, ...]: ...

    def slope_years(self, job: Job) -> Sequence[int]:
        """Years that a lag of the regressors leaves; all but the first may have slopes of their own."""

    @property
    def panel(self) -> CityPanel:
        """City columns; raises InputError for a pair table."""

    @property
    def links(self) -> CityLinks:
        """Links of the cities; raises InputError where the job has no table of them."""

    @property
    def content_hash(self) -> str | None:
        """sha256 of the clean panel; None for a pair table, which is known by its file."""

    @property
    def indices(self) -> Mapping[str, EntropyIndex]:
        """Composite indices that became columns."""

    @property
    def directed(self) -> bool: ...

    @property
    def warnings(self) -> tuple[Note, ...]:
        """All that a reader of the results must know about the data."""

    @property
    def all_pairs(self) -> FilterStep:
        """Pairs and rows before any filter."""

    def lines(self, worded: Callable[[Note], str]) -> list[str]:
        """The validation report for a terminal, one string a line."""

    # -- steps to a design

    def adoption(self, job: Job, years_ahead: int) -> Adoption:
        """Adoption classes of the units, up to so many years after the sample; one class where there is none."""

    def pair_sample(self, job: Job, adoption: Adoption, map_reduce: MapReduce) -> PairSample:
        """The pairs of units after exclusion and gravity screen; ``map_reduce`` runs the passes over them."""

    def design(
        self, job: Job, columns: Sequence[str], sample: PairSample, adoption: Adoption
    ) -> tuple[PairDesign, MatchReport | None]:
        """The design with these regressors, and how its pairs were matched where they were."""

    def column_effect(self, effect: FixedEffect) -> PairEffect:
        """The levels of a fixed effect of a column, or of the distance of two units."""
