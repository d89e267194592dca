"""From a job's data block to its clean data; what cells have in common is read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.spec import Job
from engine.spec.data import Links, TableFile
from engine.stages.city_data import by_distance, label_columns, read_city_data
from engine.stages.job_data import JobData
from engine.stages.pair_data import read_pair_data
from engine.stages.source import (
    NO_KEYS,
    KeyColumns,
    Option,
    SourceTable,
    key_columns,
    read_source,
    with_rules,
)
from engine.tables.problems import Problems
from engine.tables.read import FileTable


@dataclass
class Reader:
    """Reads each table, and cleans its data, once for all cells that need the same.

    ``frames`` are the data frames of the job, as `engine.spec.LoadedJob` has them.
    """

    frames: Mapping[str, FileTable] = field(default_factory=dict)
    _sources: dict[str, SourceTable] = field(default_factory=dict)
    _loaded: dict[str, JobData] = field(default_factory=dict)

    def load(self, job: Job) -> JobData:
        """The data of a cell; raises InputError for anything wrong with them."""
        key = _data_key(job)
        if key not in self._loaded:
            self._loaded[key] = self._read(job)
        return self._loaded[key]

    def _read(self, job: Job) -> JobData:
        if job.pair_table is not None:
            pairs = job.pair_table
            effects = [effect.column for effect in job.model.effects if effect.column]
            keys = key_columns([pairs.unit_i, pairs.unit_j, *effects], [pairs.year])
            table = with_rules(self._table(pairs, "pair_table", keys=keys), pairs, "pair_table", {})
            return read_pair_data(job, table)
        block = job.panel_block
        problems, tables = Problems(""), list[SourceTable]()
        of_cities = key_columns(["city", *label_columns(job)], ["year"], block.columns)
        files: list[tuple[str, TableFile, Mapping[str, Option], Mapping[str, str]]]
        files = [("panel", block, block.options, block.columns)]
        files += [(f"panel.join[{place}]", entry, {}, {}) for place, entry in enumerate(block.join)]
        files += [("panel.links", block.links, {}, {})] if block.links and job.model.reads_links else []
        for key, entry, options, columns in files:
            keys = _ends_of(entry) if isinstance(entry, Links) else of_cities
            with problems.collect():
                table = self._table(entry, key, options, keys)
                tables.append(with_rules(table, entry, key, columns))
        problems.raise_any()
        source, *further = tables
        joined = list(zip(block.join, further, strict=False))
        return read_city_data(job, source, joined, next(iter(further[len(joined) :]), None))

    def _table(
        self,
        block: TableFile,
        key: str,
        options: Mapping[str, Option] | None = None,
        keys: KeyColumns = NO_KEYS,
    ) -> SourceTable:
        layout = [block.sheet, block.encoding, block.header, block.skip_rows, block.decimal]
        columns = [sorted(map(str, part)) for part in (keys.names, keys.years)]
        cache_key = json.dumps([block.source, layout, options or {}, columns])
        if cache_key not in self._sources:
            read = read_source(block, options or {}, key=key, frames=self.frames, keys=keys)
            self._sources[cache_key] = read
        return self._sources[cache_key]


def _ends_of(links: Links) -> KeyColumns:
    """Columns of the cities of a table of links; the first one of a matrix."""
    ends = [name for name in (links.unit_i, links.unit_j) if name]
    return key_columns(ends, []) if ends else KeyColumns(frozenset({0}))


def _data_key(job: Job) -> str:
    """Equal for jobs whose clean data are the same."""
    blocks = job.model_dump_json(
        include={"panel", "pair_table", "years", "index", "controls", "instrument"},
    )
    gravity, split, treatment = job.pairs.gravity, job.pairs.split, job.treatment
    needs: dict[str, object] = {
        "pairs": [gravity.mass if gravity else None, split.by if split else None],
        "outcome": [job.outcome.series, job.outcome.weight, job.outcome.column],
        "adoption": [*treatment.columns, treatment.key, treatment.month] if treatment else None,
        "regressors": [job.model.regressors, job.model.by_year if job.pair_table else []],
        "labels": label_columns(job),
        "effects": [effect.column for effect in job.model.effects] if job.pair_table else [],
        "places": by_distance(job),
        "links": job.model.reads_links,
        "table": [job.model.lag, job.outcome.infinite, job.runtime.memory] if job.pair_table else [],
        "rows": [job.model.offset, job.model.registered.reweights, job.model.least_rows]
        if job.pair_table
        else [],
    }
    return blocks + json.dumps(needs, sort_keys=True)
