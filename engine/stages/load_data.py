"""From a job's data block to a CityPanel with its indices, or to a dense pair table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from engine.cities.entropy import EntropyIndex, entropy_index
from engine.cities.fill import Deflation, Filling
from engine.cities.panel import CityPanel
from engine.cities.panel_request import PanelRequest
from engine.cities.prepare import prepare
from engine.cities.validation import Validation
from engine.errors import InputError
from engine.pairs.table import PairColumns, pair_columns
from engine.pairs.table_report import TableReport
from engine.pairs.table_rows import TableRequest
from engine.spec import Job
from engine.spec.data import Fill, Join, TableFile
from engine.stages.memory import memory_bytes
from engine.stages.source import Source, file_columns, read_source
from engine.tables.arithmetic import Expression, parse
from engine.tables.join import join, join_notes

_COORDINATES = ("latitude", "longitude")


@dataclass(frozen=True)
class CityData:
    """A clean panel with the job's indices as columns.

    Attributes
    ----------
    source : Source
        The panel as read.
    panel : CityPanel
    validation : Validation
    indices : mapping of str to EntropyIndex
    joined : tuple of Source
        Tables whose columns were put beside it.
    """

    source: Source
    panel: CityPanel
    validation: Validation
    indices: Mapping[str, EntropyIndex]
    joined: tuple[Source, ...] = ()

    @property
    def sources(self) -> tuple[Source, ...]:
        return (self.source, *self.joined)


@dataclass(frozen=True)
class PairData:
    """A clean pair table, and what is in it."""

    source: Source
    pairs: PairColumns
    validation: TableReport

    @property
    def sources(self) -> tuple[Source, ...]:
        return (self.source,)


@dataclass
class Reader:
    """Reads each table, and prepares each panel, once for all cells that want the same."""

    _sources: dict[str, Source] = field(default_factory=dict)
    _prepared: dict[str, CityData | PairData] = field(default_factory=dict)

    def load(self, job: Job) -> CityData | PairData:
        """The data of a cell; raises InputError for anything wrong with them."""
        blocks = job.model_dump_json(
            include={"panel", "pair_table", "years", "index", "controls", "instrument"},
        )
        wanted: dict[str, Any] = {}
        gravity, split = job.pairs.gravity, job.pairs.split
        wanted["pairs"] = [gravity.mass if gravity else None, split.by if split else None]
        wanted["outcome"] = [job.outcome.series, job.outcome.weight, job.outcome.column]
        wanted["adoption"] = [job.treatment.adoption, job.treatment.month] if job.treatment else None
        wanted["regressors"] = job.model.regressors
        wanted["labels"] = label_columns(job)
        wanted["effects"] = [effect.column for effect in job.model.effects] if job.pair_table else []
        wanted["places"] = _by_distance(job)
        wanted["table"] = [job.model.lag, job.outcome.infinite, job.runtime.memory] if job.pair_table else []
        key = blocks + json.dumps(wanted, sort_keys=True)
        if key not in self._prepared:
            source = self._source(job)
            joins = job.panel.join if job.panel else []
            joined = [(join, self._table(join, f"panel.join[{place}]")) for place, join in enumerate(joins)]
            self._prepared[key] = (
                _pair_data(job, source) if job.pair_table else _city_data(job, source, joined)
            )
        return self._prepared[key]

    def _source(self, job: Job) -> Source:
        if job.panel is not None:
            return self._table(job.panel, "panel", job.panel.options)
        assert job.pair_table is not None
        return self._table(job.pair_table, "pair_table")

    def _table(self, block: TableFile, key: str, options: Mapping[str, Any] | None = None) -> Source:
        layout = [block.sheet, block.encoding, block.header, block.skip_rows]
        stated = json.dumps([block.source, layout, options or {}])
        if stated not in self._sources:
            self._sources[stated] = read_source(block, options or {}, key=key)
        return self._sources[stated]


def _city_data(job: Job, source: Source, joined: Sequence[tuple[Join, Source]]) -> CityData:
    assert job.panel is not None
    assert job.treatment is not None
    frame, names, merge = source.frame, job.panel.columns, job.panel.merge_names
    city, year = (_bare(names.get(name, name), frame) for name in ("city", "year"))
    required = _required(job)
    _refuse_broken(job, required, source, [other for _, other in joined])
    for rule, other in joined:
        frame = join(
            frame, other.frame, source=other.label, city=city, year=year, missing=rule.missing, merge=merge
        )
    logged = {control.formula: f"controls.{name}" for name, control in job.controls.items() if control.logged}
    for number, text in enumerate(job.pairs.gravity.mass if job.pairs.gravity else []):
        logged.setdefault(text, f"pairs.gravity.mass[{number}]")
    own = {text for text in logged if not set(parse(text).names) & set(job.index)}
    deflate, fill = job.panel.deflate, job.panel.fill
    adoption = [name for name in (job.treatment.adoption, job.treatment.month) if name]
    request = PanelRequest(
        columns=names,
        required=required,
        logged={text: key for text, key in logged.items() if text in own},
        static=[name for name in (*_COORDINATES, *adoption) if name in required],
        optional=adoption,
        labels=label_columns(job),
        year_columns=[job.treatment.adoption],
        merge_names=merge,
        missing=job.panel.missing,
        years=job.years,
        deflate=Deflation(**{**deflate.model_dump(), "columns": tuple(deflate.columns)}) if deflate else None,
        fill=_filling(fill) if fill else None,
        balance=job.panel.balance,
    )
    panel, validation = prepare(frame, request, source=source.label)
    panel, indices = with_indices(panel, job, source.name)
    tables = tuple(other for _, other in joined)
    lost = [
        note
        for other in tables
        for note in join_notes(
            source.frame, other.frame, source=other.name, city=city, last=panel.years[-1], merge=merge
        )
    ]
    notes = [note for table in (source, *tables) for note in table.notes]
    validation = replace(validation, warnings=(*notes, *lost, *validation.warnings))
    return CityData(source, panel, validation, indices, tables)


def _refuse_broken(job: Job, required: Mapping[str, str], source: Source, joined: Sequence[Source]) -> None:
    """Cells in error are refused in the columns that the job reads; what else is in a file may be as it is."""
    assert job.panel is not None
    read = file_columns(["city", "year", *required, *label_columns(job)], job.panel.columns)
    source.refuse_broken(read)
    for table in joined:
        table.refuse_broken(read | {"city", "year"})


def _bare(text: str, frame: pd.DataFrame) -> str:
    """The column that a mapped name stands for: in backticks or not."""
    if text in frame:
        return text
    expression = parse(text)
    return expression.names[0] if expression.is_name else text


def _filling(fill: Fill) -> Filling:
    """Filling of the columns listed: of all where there is no list, of none where it is empty."""
    return Filling(fill.max_gap, fill.method, None if fill.columns is None else tuple(fill.columns))


def with_indices(panel: CityPanel, job: Job, source: str) -> tuple[CityPanel, dict[str, EntropyIndex]]:
    """The panel with the job's composite indices as columns, and how each came about."""
    indices: dict[str, EntropyIndex] = {}
    for name, index in job.index.items():
        indicators = np.stack([panel.evaluate(parse(text)) for text in index.entropy], axis=2)
        negative = [text in index.negative for text in index.entropy]
        try:
            indices[name] = entropy_index(indicators, negative=negative, names=index.entropy)
        except InputError as error:
            raise InputError(error.problem, where=f"{source}: index.{name}", remedy=error.remedy) from None
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
    for effect in job.model.effects if not job.pair_table else ():
        if effect.column:
            keys.setdefault(effect.column, "model.fixed_effects")
    return keys


def _by_distance(job: Job) -> bool:
    return any(effect.kind == "distance" for effect in job.model.effects)


def _required(job: Job) -> dict[str, str]:
    """Canonical columns the job reads, each with the first key that needs it.

    All controls count, also those a cell leaves out: the columns of a table share one sample.
    """
    assert job.treatment is not None
    required: dict[str, str] = {}
    seen: set[str] = set()
    for key, expression in job.formulas():
        _refuse_later_index(key, expression, job, seen)
        if key.startswith("index."):
            seen.add(key.split(".")[1])
        for name in expression.names:
            if name not in job.index:
                required.setdefault(name, key)
    required.setdefault(job.treatment.adoption, "treatment.adoption")
    if job.treatment.month:
        required.setdefault(job.treatment.month, "treatment.month")
    if job.pairs.gravity or _by_distance(job):
        for name in _COORDINATES:
            required.setdefault(name, "pairs.gravity" if job.pairs.gravity else "model.fixed_effects")
    deflate = job.panel.deflate if job.panel else None
    for name in deflate.columns if deflate else ():
        if name not in required:
            raise InputError(
                f"'{name}' is not read by this job",
                where="panel.deflate.columns",
                remedy=f"the job reads {', '.join(required)}",
            )
    return required


def _refuse_later_index(key: str, expression: Expression, job: Job, seen: set[str]) -> None:
    for name in expression.names:
        if key.startswith("index.") and name in job.index and (name not in seen or key.split(".")[1] == name):
            raise InputError(
                f"the indicator uses the index '{name}' before it is defined",
                where=key,
                remedy="define indices in the order in which they use each other",
            )


def _pair_data(job: Job, source: Source) -> PairData:
    block, regressors = job.pair_table, job.model.regressors
    assert block is not None
    assert regressors is not None
    assert job.outcome.column is not None
    effects = tuple(dict.fromkeys(effect.column for effect in job.model.effects if effect.column))
    formulas = [job.outcome.column, *regressors, *([block.weight] if block.weight else [])]
    source.refuse_broken({block.unit_i, block.unit_j, block.year, *effects, *_inputs(formulas, source)})
    request = TableRequest(
        unit_i=block.unit_i,
        unit_j=block.unit_j,
        year=block.year,
        outcome=job.outcome.column,
        regressors=tuple(regressors),
        directed=block.directed,
        years=job.years,
        weight=block.weight,
        effects=effects,
        lag=job.model.lag,
        infinite=job.outcome.infinite,
        merge=tuple(block.merge_names),
        missing=block.missing,
        memory=memory_bytes(job.runtime.memory),
    )
    pairs, report = pair_columns(source.frame, request, source=source.label)
    return PairData(source, pairs, replace(report, warnings=(*source.notes, *report.warnings)))


def _inputs(formulas: Sequence[str], source: Source) -> set[str]:
    """Columns of a pair table that its formulas read; those that cannot be parsed are refused elsewhere."""
    inputs = {text for text in formulas if text in source.frame}
    for text in formulas:
        if text not in inputs:
            with suppress(InputError):
                inputs |= set(parse(text).names)
    return inputs
