"""A job as an object: what a job file says, with the data frames that it reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Self, Unpack

import yaml

from engine.api.arguments import checked_arguments, checked_file
from engine.api.notebook_progress import notebook_progress
from engine.api.result import UNNAMED, Result
from engine.errors import InputError, RunError
from engine.report.language.wording import known_words
from engine.report.outputs.output import Manifest
from engine.spec.data_frames import FRAME, frame_tables, plain
from engine.spec.keys import assign, check_key, split
from engine.spec.load import refuse_undone, stated_lang, without_sweep_of
from engine.tables.data_frame import storable
from engine.tables.read import FileTable

if TYPE_CHECKING:
    import pandas as pd

    from engine.pipeline import RunKeywords
    from engine.spec import LoadedJob


@dataclass(frozen=True, eq=False)
class StatedJob:
    """A job that can be changed, checked, run and written to a file; every change gives a new job.

    Attributes
    ----------
    origin : path of a job file, or the mapping that one would hold
    frames : mapping of str to FileTable
        Data frames as they were when the job was made: ``panel`` and ``pair_table`` stand for that block's source,
        other names for ``frame:NAME`` in the job.
    overrides : tuple of str
        Changes of a job file, as with ``--set`` on the command line.
    """

    origin: Path | Mapping[str, object]
    frames: Mapping[str, FileTable] = field(default_factory=dict, repr=False)
    overrides: tuple[str, ...] = ()

    @property
    def lang(self) -> str:
        """The language of tables, figures and messages, as the job says."""
        return stated_lang(self.origin, self.overrides)

    @checked_arguments("value")
    def set(self, key: str, value: object) -> Self:
        """The job with a key changed: ``job.set("model.lag", 1)``; None takes the key away.

        A sweep over the key gives way to the value, and so does a data frame to a source. A later step of the job,
        such as an estimator with options, is laid upon it.
        """
        parts, value = split(key), plain(value)
        check_key(parts, where=f"set {key}")
        frames = {name: table for name, table in self.frames.items() if key not in (f"{name}.source", name)}
        if isinstance(self.origin, Mapping):
            document = without_sweep_of(key, assign(self.origin, parts, value))
            refuse_undone(parts, value, document, where=f"set {key}")
            return replace(self, origin=document, frames=frames)
        override = f"{key}={json.dumps(value, ensure_ascii=False)}"
        return replace(self, frames=frames, overrides=(*self.overrides, override))

    @checked_arguments()
    def run(
        self, *, out: str | Path | None = None, lang: str | None = None, **options: Unpack[RunKeywords]
    ) -> Result:
        """Run the job.

        Parameters
        ----------
        out : folder, optional
            Files are written to ``out/<job>/``; none without it. The job needs a name of its own then.
        lang : str, optional
            ``en`` or ``zh``, in place of the job's ``lang``.
        options
            ``workers``, ``scheduler``, ``cluster``, ``store``, ``fresh``, ``progress``, as `engine.pipeline.run` has
            them; in a notebook ``progress`` is a bar below the cell, ``progress=None`` leaves it out.

        Raises
        ------
        InputError
            Where job or data are wrong; nothing long has run by then.
        RunError
            Where the run could not end although they look right.
        """
        from engine import pipeline

        if out is not None and isinstance(self.origin, Mapping) and self.origin.get("job") == UNNAMED:
            raise InputError(
                "the job has no name, which its folder would have",
                where="job",
                remedy=f'name it, e.g. by name="table1"; the next unnamed job would write into {out}/{UNNAMED} too',
            )
        with notebook_progress(known_words(lang or self.lang)) as progress:
            keywords: RunKeywords = {"progress": progress, **options}
            results = pipeline.run(
                self.origin, frames=self.frames, overrides=self.overrides, out=out, lang=lang, **keywords
            )
        again = partial(_run_again, self, results.manifest, lang=lang, options=options)
        return Result(results, again=again, pair_years=partial(_pairs, self, results.manifest))

    @checked_arguments()
    def check(self) -> str:
        """Validate job and data without running anything; the report of ``dyadid check`` as text."""
        from engine import pipeline
        from engine.stages.describe import check_lines

        plan, prepared = pipeline.check(self.origin, frames=self.frames, overrides=self.overrides)
        return "\n".join(check_lines(plan, prepared))

    @checked_arguments()
    def pairs(self, cell: str | int | None = None) -> pd.DataFrame:
        """The pair-year table behind the regression of a cell: units, year, outcome, treatment, regressors.

        One row an observed pair and year. The cell is named by label or number and may be left out where there is one.
        """
        return self._pair_years(cell)[0]

    def _pair_years(self, cell: str | int | None) -> tuple[pd.DataFrame, list[str]]:
        from engine import pipeline

        name = None if cell is None else str(cell)
        return pipeline.pair_years(self.origin, frames=self.frames, overrides=self.overrides, cell=name)

    @checked_arguments()
    def to_dict(self) -> dict[str, Any]:
        """The content of a job file: ``extends`` and changes merged, files by their full paths.

        Data frames stand as ``frame:NAME``, and are passed with the mapping again.
        """
        return plain(self._load().data)  # type: ignore[no-any-return]

    @checked_arguments()
    def to_yaml(self, path: str | Path) -> Path:
        """Write the job file, and beside it each data frame, as a Parquet file that the job then reads."""
        path = checked_file(path, where="to_yaml: path", example="job.yaml")
        loaded = self._load()
        names: dict[str, str] = {}
        for source, table in loaded.frames.items():
            stem = re.sub(r"\W", "_", source.removeprefix(FRAME))
            while f"{path.stem}_{stem}.parquet" in names.values():
                stem += "_"
            names[source] = f"{path.stem}_{stem}.parquet"
            storable(table).to_parquet(path.parent / names[source], index=False)
        document = _with_names(loaded.data, names)
        text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=110)
        path.write_text(text, encoding="utf-8")
        return path

    def _load(self) -> LoadedJob:
        from engine.spec import load_job

        return load_job(self.origin, overrides=self.overrides, frames=self.frames)


@checked_arguments("origin")
def job(
    origin: str | Path | Mapping[str, object] | StatedJob,
    *,
    panel: object = None,
    pair_table: object = None,
    frames: Mapping[str, object] | None = None,
) -> StatedJob:
    """The job of a file, a mapping or another job, with data frames in place of its sources.

    Parameters
    ----------
    origin : path, mapping or Job
        Mappings and frames are copied. A mapping without ``job`` has no name of its own.
    panel, pair_table : data frame, optional
        In place of that block's source.
    frames : mapping of str to data frame, optional
        Of further tables, which the job calls ``frame:NAME``.
    """
    if isinstance(origin, StatedJob):
        base = origin
    elif isinstance(origin, Mapping):
        base = StatedJob({"job": UNNAMED, **plain(origin)})
    elif isinstance(origin, str | PurePath):
        base = StatedJob(Path(origin).absolute())
    else:
        raise InputError(
            f"a job is a path, a mapping or a Job, not {type(origin).__name__}",
            remedy="pass the path of a YAML file, or a dict with the keys of one",
        )
    blocks = {
        name: frame for name, frame in (("panel", panel), ("pair_table", pair_table)) if frame is not None
    }
    return replace(base, frames={**base.frames, **taken({**blocks, **(frames or {})})})


def as_list(names: object) -> list[object]:
    """Some names, or a single one, as a list; validation of the job refuses what is no name."""
    return list(names) if isinstance(names, Iterable) and not isinstance(names, str | Mapping) else [names]


def taken(frames: Mapping[str, object]) -> dict[str, FileTable]:
    """Data frames as they are now, by name."""
    return {source.removeprefix(FRAME): table for source, table in frame_tables(frames).items()}


def _run_again(
    stated_job: StatedJob,
    manifest: Manifest,
    changes: Mapping[str, object],
    *,
    lang: str | None,
    options: RunKeywords,
) -> Result:
    """Run a job with some keys changed, without files; raises RunError where its data are others by now."""
    for key, value in changes.items():
        stated_job = stated_job.set(key, value)
    result = stated_job.run(lang=lang, **options)
    _refuse_other_data(_hashes(manifest), _hashes(result.results.manifest))
    return result


def _pairs(stated_job: StatedJob, manifest: Manifest, cell: str | int | None) -> pd.DataFrame:
    frame, hashes = stated_job._pair_years(cell)
    _refuse_other_data(_hashes(manifest), hashes)
    return frame


def _hashes(manifest: Manifest) -> list[str]:
    return [source["sha256"] for source in (manifest["data"], *manifest["more_data"])]


def _refuse_other_data(earlier: list[str], now: list[str]) -> None:
    if not set(now) <= set(earlier):
        raise RunError("the data are others now than those of the result: run the job again")


def _with_names(value: object, names: Mapping[str, str]) -> object:
    """Plain data with the names of files for data frames."""
    if isinstance(value, Mapping):
        return {key: _with_names(entry, names) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_names(entry, names) for entry in value]
    return names.get(value, value) if isinstance(value, str) else value
