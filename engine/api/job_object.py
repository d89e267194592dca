"""A job as an object: what a job file says, with the data frames that it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

import yaml

from engine.api.result import UNNAMED, Result
from engine.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from engine.pipeline import RunKeywords
    from engine.spec import LoadedJob

_PREFIX = "frame:"


@dataclass(frozen=True)
class StatedJob:
    """A job that can be changed, checked, run and written to a file; every change gives a new job.

    Attributes
    ----------
    given : path of a job file, or the mapping that one would hold
    frames : mapping of str to data frame
        ``panel`` and ``pair_table`` stand for that block's source, other names for ``frame:NAME`` in the job.
    overrides : tuple of str
        ``dotted.key=value``, as with ``--set`` on the command line.
    """

    given: str | Path | Mapping[str, object]
    frames: Mapping[str, object] = field(default_factory=dict, repr=False)
    overrides: tuple[str, ...] = ()

    def set(self, key: str, value: object) -> Self:
        """The job with a key changed: ``job.set("model.lag", 1)``; None takes the key away.

        A sweep over the key gives way to the value, as with ``--set``.
        """
        return replace(self, overrides=(*self.overrides, f"{key}={json.dumps(value, ensure_ascii=False)}"))

    def run(
        self, *, out: str | Path | None = None, lang: str = "en", **options: Unpack[RunKeywords]
    ) -> Result:
        """Run the job.

        Parameters
        ----------
        out : folder, optional
            Files are written to ``out/<job>/``; none without it.
        lang : str
            Of tables and figures: ``en`` or ``zh``.
        options
            ``workers``, ``scheduler``, ``cluster``, ``store``, ``fresh``, ``progress``, as `engine.pipeline.run` has
            them.

        Raises
        ------
        InputError
            Where job or data are wrong; nothing long has run by then.
        RunError
            Where the run could not end although they look right.
        """
        from engine import pipeline

        results = pipeline.run(
            self.given, frames=self.frames, overrides=self.overrides, out=out, lang=lang, **options
        )
        again = partial(_run_again, self, lang=lang, options=options)
        return Result(results, again=again, pair_years=self.pairs, lang=lang)

    def check(self) -> str:
        """Validate job and data without running anything; the report of ``dyadid check`` as text."""
        from engine import pipeline
        from engine.stages.describe import check_lines

        plan, prepared = pipeline.check(self.given, frames=self.frames, overrides=self.overrides)
        return "\n".join(check_lines(plan, prepared))

    def pairs(self, cell: str | None = None) -> pd.DataFrame:
        """The pair-year table behind the regression of a cell: units, year, outcome, treatment, regressors.

        One row an observed pair and year. The cell is named by label or number and may be left out where there is one.
        """
        from engine import pipeline

        return pipeline.pair_years(
            self.given, frames=self.frames, overrides=self.overrides, cell=None if cell is None else str(cell)
        )

    def to_dict(self) -> dict[str, Any]:
        """The content of a job file: ``extends`` and changes merged, sources as they were written."""
        loaded = self._load()
        return _as_written(loaded.data, loaded.sources)

    def to_yaml(self, path: str | Path) -> Path:
        """Write the job file, and beside it each data frame, as a Parquet file that the job then reads."""
        import pandas as pd

        path = Path(path)
        loaded = self._load()
        names: dict[str, str] = {}
        for source, table in loaded.frames.items():
            stem = source.removeprefix(_PREFIX).replace(":", "_")
            names[source] = f"{path.stem}_{stem}.parquet"
            mixed = [name for name in table.frame if table.frame[name].dtype == object]
            frame = pd.DataFrame(table.frame).astype(dict.fromkeys(mixed, object))
            for name in mixed:
                frame[name] = frame[name].map(_text, na_action="ignore").astype("str")
            frame.to_parquet(path.parent / names[source], index=False)
        document = _as_written(loaded.data, {**_absolute(loaded), **names})
        text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=110)
        path.write_text(text, encoding="utf-8")
        return path

    def _load(self) -> LoadedJob:
        from engine.spec import load_job

        return load_job(self.given, overrides=self.overrides, frames=self.frames)


def job(
    given: str | Path | Mapping[str, object] | StatedJob,
    *,
    panel: object = None,
    pair_table: object = None,
    frames: Mapping[str, object] | None = None,
) -> StatedJob:
    """The job of a file, a mapping or another job, with data frames in place of its sources.

    Parameters
    ----------
    given : path, mapping or StatedJob
        A mapping without ``job`` is called "job".
    panel, pair_table : data frame, optional
        In place of that block's source.
    frames : mapping of str to data frame, optional
        Of further tables, which the job calls ``frame:NAME``.
    """
    if isinstance(given, StatedJob):
        base = given
    elif isinstance(given, Mapping):
        base = StatedJob({"job": UNNAMED, **given})
    elif isinstance(given, str | Path):
        base = StatedJob(given)
    else:
        raise InputError(
            f"a job is a path, a mapping or a Job, not {type(given).__name__}",
            remedy="pass the path of a YAML file, or a dict with the keys of one",
        )
    blocks = {
        name: frame for name, frame in (("panel", panel), ("pair_table", pair_table)) if frame is not None
    }
    return replace(base, frames={**base.frames, **blocks, **(frames or {})})


def _run_again(asked: StatedJob, changes: Mapping[str, object], *, lang: str, options: RunKeywords) -> Result:
    """Run a job with some keys changed, without files."""
    for key, value in changes.items():
        asked = asked.set(key, value)
    return asked.run(lang=lang, **options)


def _absolute(loaded: LoadedJob) -> dict[str, str]:
    """Sources that are files, in full: the written job lies elsewhere than the one that was read."""
    return {source: source for source in loaded.sources if not source.startswith(_PREFIX)}


def _as_written(value: Any, sources: Mapping[str, str]) -> Any:
    """Plain data with sources by the names that stand for them."""
    if isinstance(value, Mapping):
        return {
            key: sources.get(entry, entry)
            if key == "source" and isinstance(entry, str)
            else _as_written(entry, sources)
            for key, entry in value.items()
        }
    return [_as_written(entry, sources) for entry in value] if isinstance(value, list) else value


def _text(cell: object) -> str:
    return str(cell)
