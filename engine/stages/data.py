"""From a job's data block to a CityPanel with its indices, or to a dense pair table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.cities import builtin
from engine.cities.entropy import EntropyIndex, entropy_index
from engine.cities.fill import Deflation, Filling
from engine.cities.panel import CityPanel
from engine.cities.prepare import prepare
from engine.cities.read import file_hash, read_table
from engine.cities.validate import Validation
from engine.errors import InputError
from engine.expression import Expression, parse
from engine.pairs.table import PairColumns, pair_columns
from engine.spec import Job

_BUILTIN = "builtin:"
_COORDINATES = ("latitude", "longitude")


@dataclass(frozen=True)
class Source:
    """A table as read.

    Attributes
    ----------
    name : str
        File name or builtin name, for messages.
    frame : DataFrame
    description : str
        What it is, in one line.
    sha256 : str
        Of the file; of the figures for a builtin.
    synthetic : bool
    """

    name: str
    frame: pd.DataFrame
    description: str
    synthetic: bool
    path: Path | None = None

    @cached_property
    def sha256(self) -> str:
        if self.path is not None:
            return file_hash(self.path)
        return f"{pd.util.hash_pandas_object(self.frame, index=False).sum():016x}"


@dataclass(frozen=True)
class CityData:
    """A clean panel with the job's indices as columns."""

    source: Source
    panel: CityPanel
    validation: Validation
    indices: Mapping[str, EntropyIndex]


@dataclass(frozen=True)
class PairData:
    """A clean pair table."""

    source: Source
    pairs: PairColumns


@dataclass
class Reader:
    """Reads each table, and prepares each panel, once for all cells that want the same."""

    _sources: dict[str, Source] = field(default_factory=dict)
    _prepared: dict[str, CityData | PairData] = field(default_factory=dict)

    def load(self, job: Job) -> CityData | PairData:
        """The data of a cell; raises InputError for anything wrong with them."""
        wanted = job.model_dump(
            mode="json", include={"panel", "pair_table", "years", "index", "controls", "pairs"}
        )
        wanted["outcome"] = job.outcome.synchronization or job.outcome.column
        wanted["adoption"] = job.treatment.adoption if job.treatment else None
        wanted["regressors"] = job.model.regressors
        wanted["labels"] = label_columns(job)
        key = json.dumps(wanted, sort_keys=True)
        if key not in self._prepared:
            source = self._source(job)
            self._prepared[key] = _pair_data(job, source) if job.pair_table else _city_data(job, source)
        return self._prepared[key]

    def _source(self, job: Job) -> Source:
        block: Any = job.panel or job.pair_table
        options = getattr(block, "options", {})
        key = json.dumps([block.source, block.encoding, block.sheet, options])
        if key not in self._sources:
            self._sources[key] = _read(block, options)
        return self._sources[key]


def _read(block: Any, options: Mapping[str, Any]) -> Source:
    if block.source.startswith(_BUILTIN):
        name = block.source.removeprefix(_BUILTIN)
        description = builtin.describe(name)
        frame = builtin.load(name, **options)
        return Source(block.source, frame, description, synthetic=description.startswith("SYNTHETIC"))
    if options:
        raise InputError(
            f"a file has no options, but panel.options gives {', '.join(options)}",
            where="panel.options",
            remedy="options are for builtin sources; take them out",
        )
    path = Path(block.source)
    frame = read_table(path, sheet=block.sheet, encoding=block.encoding)
    return Source(path.name, frame, path.name, synthetic=False, path=path)


def _city_data(job: Job, source: Source) -> CityData:
    assert job.panel is not None
    assert job.treatment is not None
    required = _required(job)
    logged = {control.formula: f"controls.{name}" for name, control in job.controls.items() if control.logged}
    for number, text in enumerate(job.pairs.gravity.mass if job.pairs.gravity else []):
        logged.setdefault(text, f"pairs.gravity.mass[{number}]")
    own = {text for text in logged if not set(parse(text).names) & set(job.index)}
    deflate, fill = job.panel.deflate, job.panel.fill
    panel, validation = prepare(
        source.frame,
        source=source.name,
        columns=job.panel.columns,
        required=required,
        logged={text: key for text, key in logged.items() if text in own},
        static=[name for name in (*_COORDINATES, job.treatment.adoption) if name in required],
        optional=[job.treatment.adoption],
        labels=label_columns(job),
        years=job.years,
        deflate=Deflation(**{**deflate.model_dump(), "columns": tuple(deflate.columns)}) if deflate else None,
        fill=Filling(fill.max_gap, fill.method, tuple(fill.columns) if fill.columns else None)
        if fill
        else None,
        balance=job.panel.balance,
    )
    panel, indices = with_indices(panel, job, source.name)
    return CityData(source, panel, validation, indices)


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


def label_columns(job: Job) -> list[str]:
    """Columns that inference needs as one label a city: strata, and what the jackknife leaves out."""
    inference = job.inference
    names = [name.partition(":")[0] for name in inference.permutation.strata] if inference.permutation else []
    if inference.jackknife and inference.jackknife.by != "city":
        names.append(inference.jackknife.by)
    return list(dict.fromkeys(names))


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
    if job.pairs.gravity:
        for name in _COORDINATES:
            required.setdefault(name, "pairs.gravity")
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
    pairs = pair_columns(
        source.frame,
        source=source.name,
        unit_i=block.unit_i,
        unit_j=block.unit_j,
        year=block.year,
        directed=block.directed,
        regressors=tuple(regressors),
        outcome=job.outcome.column,
        years=job.years,
    )
    return PairData(source, pairs)
