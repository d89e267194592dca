"""A clean city panel with its indices, and the columns that a job reads of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from engine.cities.entropy import EntropyIndex, entropy_index
from engine.cities.fill import Deflation, Filling
from engine.cities.first_years import STATUS
from engine.cities.links import CityLinks
from engine.cities.panel import CityPanel
from engine.cities.panel_request import PanelRequest
from engine.cities.prepare import prepare
from engine.cities.validation import Validation
from engine.errors import InputError
from engine.infer.errors.block_jackknife import blocks_of
from engine.infer.errors.spatial import is_spatial
from engine.notes import Note, and_more
from engine.pairs.design import FilterStep
from engine.pairs.gravity import PairSample, check_degrees, unit_vectors
from engine.pairs.pair_effects import OfBothEnds, OfDistance, OfLabelPairs, PairEffect
from engine.pairs.panel_design import PanelDesign
from engine.pairs.tiles import MapReduce
from engine.pairs.treatment import Adoption
from engine.spec import Job
from engine.spec.data import Fill, Join
from engine.spec.effects import FixedEffect
from engine.stages.city_links import links_of
from engine.stages.groups import group_codes
from engine.stages.make_design import matched_design, panel_design
from engine.stages.matched_pairs import MatchReport
from engine.stages.sample import build_sample
from engine.stages.source import SourceTable, file_columns
from engine.stages.treatment_terms import adoption_of
from engine.tables.arithmetic import Expression, parse
from engine.tables.join import join, join_notes
from engine.tables.problems import Problems

_COORDINATES = ("latitude", "longitude")
_SHOWN = 3  # dropped cities that a warning names


@dataclass(frozen=True)
class CityData:
    """A clean panel with the job's indices as columns; meets `engine.stages.job_data.JobData`.

    Attributes
    ----------
    source : SourceTable
        The panel as read.
    panel : CityPanel
    validation : Validation
    indices : mapping of str to EntropyIndex
    joined : tuple of SourceTable
        Tables whose columns were put beside it.
    link_table : SourceTable or None
    city_links : CityLinks or None
        Where a cell reads them.
    """

    source: SourceTable
    panel: CityPanel
    validation: Validation
    indices: Mapping[str, EntropyIndex]
    joined: tuple[SourceTable, ...] = ()
    link_table: SourceTable | None = None
    city_links: CityLinks | None = None

    directed = False

    @property
    def sources(self) -> tuple[SourceTable, ...]:
        return (self.source, *self.joined, *([self.link_table] if self.link_table else []))

    @property
    def links(self) -> CityLinks:
        if self.city_links is None:
            raise InputError("this job has no links of cities", where="panel.links", remedy="add the block")
        return self.city_links

    @property
    def units(self) -> tuple[str, ...]:
        return self.panel.units

    @property
    def years(self) -> tuple[int, ...]:
        return self.panel.years

    def slope_years(self, job: Job) -> tuple[int, ...]:
        return self.panel.years[job.model.lag :]

    @property
    def content_hash(self) -> str:
        return self.panel.content_hash

    @property
    def warnings(self) -> tuple[Note, ...]:
        """Dropped cities first."""
        dropped = self.validation.dropped
        if not dropped:
            return self.validation.warnings
        cities = [Note.of("dropped_city", city=city.city, reason=city.reason) for city in dropped[:_SHOWN]]
        note = Note.of(
            "cities_dropped", count=len(dropped), total=self.validation.n_cities_read, cities=cities,
            more=and_more(len(dropped) - _SHOWN),
        )  # fmt: skip
        return (note, *self.validation.warnings)

    @property
    def all_pairs(self) -> FilterStep:
        n_units = self.panel.n_units
        n_pairs = n_units * (n_units - 1) // 2
        return FilterStep(Note.of("all_pairs", count=n_units), n_pairs, n_pairs * self.panel.n_years)

    def lines(self, worded: Callable[[Note], str]) -> list[str]:
        indices = []
        for name, index in self.indices.items():
            weights = [f"{n} {w:.3f}" for n, w in zip(index.names, index.weights, strict=True)]
            indices.append(Note.of("index_weights", name=name, weights=weights))
        source = Note.of("source_described", text=self.source.description)
        return [worded(source), *self.validation.lines(worded), *map(worded, indices)]

    def adoption(self, job: Job, years_ahead: int) -> Adoption:
        return adoption_of(self.panel, job, source=self.source.name, years_ahead=years_ahead)

    def pair_sample(self, job: Job, adoption: Adoption, map_reduce: MapReduce) -> PairSample:
        return build_sample(self.panel, job, adoption, map_reduce=map_reduce)

    def design(
        self, job: Job, columns: Sequence[str], sample: PairSample, adoption: Adoption
    ) -> tuple[PanelDesign, MatchReport | None]:
        design = panel_design(self.panel, job, columns, sample, adoption)
        return (design, None) if job.matching is None else matched_design(self.panel, job, design, adoption)

    def column_effect(self, effect: FixedEffect) -> PairEffect:
        if effect.kind == "distance":
            latitude, longitude = self.panel.constant("latitude"), self.panel.constant("longitude")
            check_degrees(self.units, latitude, longitude)
            return OfDistance(effect.text, unit_vectors(latitude, longitude), effect.classes)
        labels = group_codes(self, effect.column, key=f"'{effect.text}'")[1]
        effect_of = OfLabelPairs if effect.kind == "column_pair" else OfBothEnds
        return effect_of(effect.text, labels)


def read_city_data(
    job: Job,
    source: SourceTable,
    joined: Sequence[tuple[Join, SourceTable]],
    link_table: SourceTable | None = None,
) -> CityData:
    """The clean panel of a job from its table, the tables that are joined to it, and that of its links."""
    block = job.panel_block
    required = _required(job)
    tables = tuple(table for _, table in joined)
    _refuse_broken(job, required, source, tables)
    frame = _joined(job, source, joined, required)
    _refuse_hidden_columns(job, frame)
    panel, validation = _prepared(job, frame, required, source, tables)
    panel, indices = with_indices(panel, job, source.name)
    city = _bare(block.columns.get("city", "city"), source.frame)
    without_partner = [
        note
        for table in tables
        for note in join_notes(
            source.frame,
            table.frame,
            source=table.name,
            city=city,
            last=panel.years[-1],
            merge=block.merge_names,
        )
    ]
    city_links, of_links = links_of(job, panel, source, link_table, city=city)
    read = (source, *tables, *([link_table] if link_table else []))
    warnings = [note for table in read for note in table.warnings]
    of_cells = [note for table in read for note in table.notes]
    validation = replace(
        validation,
        warnings=(*warnings, *without_partner, *of_links, *validation.warnings),
        notes=(*of_cells, *(city_links.notes if city_links else ()), *validation.notes),
    )
    return CityData(source, panel, validation, indices, tables, link_table, city_links)


def _joined(
    job: Job,
    source: SourceTable,
    joined: Sequence[tuple[Join, SourceTable]],
    required: Mapping[str, str],
) -> pd.DataFrame:
    """The panel's table with the columns of the joined ones; problems of a join with those of the panel's cells."""
    block, frame, problems = job.panel_block, source.frame, Problems("")
    city, year = (_bare(block.columns.get(name, name), frame) for name in ("city", "year"))
    for entry, table in joined:
        with problems.collect():
            frame = join(
                frame,
                table.frame,
                source=table.label,
                keys=(city, year),
                missing=entry.missing,
                merge=block.merge_names,
                rules=table.rules,
            )
    if problems.errors:
        absent = {column for _, table in joined for column in table.frame.columns} - {*frame.columns}
        readable = {
            name: key for name, key in required.items() if not file_columns([name], block.columns) & absent
        }
        with problems.collect():
            _prepared(job, frame, readable, source, ())
    problems.raise_any()
    return frame


def _prepared(
    job: Job,
    frame: pd.DataFrame,
    required: Mapping[str, str],
    source: SourceTable,
    joined: Sequence[SourceTable],
) -> tuple[CityPanel, Validation]:
    block, treatment = job.panel_block, job.treatment_block
    adoption = [name for name in (treatment.year_column, treatment.month) if name]
    orders = [blocks.order for blocks in map(blocks_of, job.model.errors)]
    present = {*required, *([treatment.year_column] if treatment.column in required else [])}
    deflate = block.deflate
    request = PanelRequest(
        columns=block.columns,
        required=required,
        logged=_logged(job),
        static=[name for name in (*_COORDINATES, *adoption, *orders) if name in present],
        optional=adoption,
        labels=label_columns(job),
        status={treatment.status: treatment.year_column} if treatment.status else {},
        year_columns=[treatment.year_column],
        merge_names=block.merge_names,
        missing=block.missing,
        rules=source.rules,
        joined_rules={
            name: replace(table.rules, has_layout=False)  # rows of messages are those of the panel
            for table in joined
            for name in table.frame.columns
            if name not in source.frame
        },
        years=job.years,
        deflate=Deflation(**{**deflate.model_dump(), "columns": tuple(deflate.columns)}) if deflate else None,
        fill=[_filling(fill, key) for key, fill in block.fill_rules.items()],
        balance=block.balance,
    )
    return prepare(frame, request, source=source.label)


def _logged(job: Job) -> dict[str, str]:
    """Formulas that are logged and read no index, each with the first key that logs it."""
    logged = {control.formula: f"controls.{name}" for name, control in job.controls.items() if control.logged}
    for number, text in enumerate(job.pairs.gravity.mass if job.pairs.gravity else []):
        logged.setdefault(text, f"pairs.gravity.mass[{number}]")
    return {text: key for text, key in logged.items() if not set(parse(text).names) & set(job.index)}


def _refuse_broken(
    job: Job, required: Mapping[str, str], source: SourceTable, joined: Sequence[SourceTable]
) -> None:
    """Cells in error are refused in the columns that the job reads; other columns of a file may be as they are."""
    columns = file_columns(["city", "year", *required, *label_columns(job)], job.panel_block.columns)
    source.refuse_broken(columns)
    for table in joined:
        table.refuse_broken(columns | {"city", "year"})


def _bare(text: str, frame: pd.DataFrame) -> str:
    """The column that a mapped name stands for: in backticks or not."""
    if text in frame:
        return text
    expression = parse(text)
    return expression.names[0] if expression.is_name else text


def _filling(fill: Fill, key: str) -> Filling:
    """Filling of the columns listed: of all where there is no list, of none where it is empty."""
    return Filling(fill.max_gap, fill.method, None if fill.columns is None else tuple(fill.columns), key)


def with_indices(panel: CityPanel, job: Job, source: str) -> tuple[CityPanel, dict[str, EntropyIndex]]:
    """The panel with the job's composite indices as columns, and how each came about."""
    indices: dict[str, EntropyIndex] = {}
    for name, index in job.index.items():
        indicators = np.stack([panel.evaluate(parse(text)) for text in index.entropy], axis=2)
        negative = [text in index.negative for text in index.entropy]
        try:
            indices[name] = entropy_index(indicators, negative=negative, names=index.entropy)
        except InputError as error:
            raise error.at(f"{source}: index.{name}") from None
        panel = panel.with_column(name, indices[name].index)
    return panel, indices


def label_columns(job: Job) -> dict[str, str]:
    """Columns of which the job needs one label a city, each with the first key that needs it."""
    inference = job.inference
    keys: dict[str, str] = {}
    for name in inference.permutation.strata if inference.permutation else ():
        keys.setdefault(name.partition(":")[0], "inference.permutation.strata")
    if inference.jackknife and inference.jackknife.by != "city":
        keys.setdefault(inference.jackknife.by, "inference.jackknife.by")
    for blocks in map(blocks_of, job.model.errors):
        if blocks.by:
            keys.setdefault(blocks.by, "model.errors")
    for effect in job.model.effects if not job.pair_table else ():
        if effect.column:
            keys.setdefault(effect.column, "model.fixed_effects")
    return keys


def by_distance(job: Job) -> str:
    """The key that needs the places of the cities; empty where none does."""
    if job.pairs.gravity:
        return "pairs.gravity"
    if any(effect.kind == "distance" for effect in job.model.effects):
        return "model.fixed_effects"
    if any(is_spatial(code) or blocks_of(code).distance for code in job.model.errors):
        return "model.errors"
    return "inference.score_correlations" if job.inference.score_correlations else ""


def _required(job: Job) -> dict[str, str]:
    """Canonical columns the job reads, each with the first key that needs it.

    All controls count, also those a cell leaves out: the columns of a table share one sample.
    """
    treatment = job.treatment_block
    required: dict[str, str] = {}
    defined: set[str] = set()
    for key, expression in job.formulas():
        _refuse_later_index(key, expression, job, defined)
        if key.startswith("index."):
            defined.add(key.split(".")[1])
        for name in expression.names:
            if name not in job.index:
                required.setdefault(name, key)
    required.setdefault(treatment.column, treatment.key)
    if treatment.month:
        required.setdefault(treatment.month, "treatment.month")
    for name in _COORDINATES if by_distance(job) else ():
        required.setdefault(name, by_distance(job))
    for blocks in map(blocks_of, job.model.errors):
        if blocks.order and blocks.order not in job.index:
            required.setdefault(blocks.order, "model.errors")
    for name in ("city", "year"):
        if name in required:
            raise InputError(
                f"'{name}' tells rows apart, and is no column of values",
                where=required[name],
                remedy="name another column; a copy of it under another name is one",
            )
    deflate, fills = job.panel_block.deflate, job.panel_block.fill_rules
    listed = {key: rule.columns or () for key, rule in fills.items()}
    listed |= {"panel.deflate": deflate.columns} if deflate else {}
    for key, columns in listed.items():
        for name in columns:
            if required.get(name, STATUS) == STATUS:
                raise InputError(
                    f"'{name}' is not read by this job"
                    if name not in required
                    else f"'{name}' is a status of 0 and 1, whose cells are neither filled nor deflated",
                    where=f"{key}.columns",
                    remedy=f"the job reads {', '.join(required)}",
                )
    return required


def _refuse_hidden_columns(job: Job, frame: pd.DataFrame) -> None:
    """Raises InputError for an index of the name of a column, which no formula would reach any more."""
    for name in job.index:
        if name in frame.columns or name in job.panel_block.columns:
            raise InputError(
                f"the panel has a column '{name}' too, which formulas would no longer reach",
                where=f"index.{name}",
                remedy="give the index another name",
            )


def _refuse_later_index(key: str, expression: Expression, job: Job, defined: set[str]) -> None:
    for name in expression.names:
        if (
            key.startswith("index.")
            and name in job.index
            and (name not in defined or key.split(".")[1] == name)
        ):
            raise InputError(
                f"the indicator uses the index '{name}' before it is defined",
                where=key,
                remedy="define indices in the order in which they use each other",
            )
