"""Files of a job: frames, manifest, tables and figures, each written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from engine.errors import described
from engine.report.figure_choices import FORMS, chosen, fit
from engine.report.figure_style import figure_bytes
from engine.report.language.wording import job_words
from engine.report.outputs.output import FigureOutput, JobReport
from engine.report.outputs.registry import outputs_of, report_tables
from engine.runtime.files import STATE, write_bytes, write_text
from engine.runtime.tracebacks import keep_traceback
from engine.stages.stored_frames import write_frames

MANIFEST = "manifest.json"
FIGURES = "figures.json"


def write_results(
    frames: Mapping[str, pd.DataFrame],
    manifest: dict[str, Any],
    validation: Mapping[str, Any],
    folder: Path,
) -> tuple[str, ...]:
    """Write everything a job leaves behind; the manifest comes last and says that the rest is there.

    ``frames`` become ``<name>.parquet``; the manifest gets the sha256 of each. Returned are the figures that could
    not be drawn, as `write_figures` has them.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    manifest["frames"] = write_frames(frames, folder)
    write_text(folder / "validation.json", json.dumps(validation, indent=1, ensure_ascii=False))
    report = JobReport(frames, manifest, job_words(manifest))
    write_tables(report, folder)
    undrawn = write_figures(report, folder)
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
    return undrawn


def write_tables(report: JobReport, folder: Path) -> None:
    """``table.txt``, ``.tex``, ``.html`` and ``.csv``; ``table_<name>`` for outputs that only some jobs have."""
    names = set()
    for file in report_tables(report):
        write_text(folder / f"{file.name}.txt", file.table.to_text())
        write_text(folder / f"{file.name}.tex", file.table.to_latex())
        write_text(folder / f"{file.name}.html", file.table.to_html(standalone=True))
        write_text(folder / f"{file.name}.csv", (file.csv or file.table.to_csv)())
        names.add(file.name)
    for path in folder.glob("table_*.*"):
        if path.stem not in names:  # of an earlier run
            path.unlink()


def write_figures(report: JobReport, folder: Path) -> tuple[str, ...]:
    """Each figure in the files of its choices, and ``figures.json`` with title and text of each, in order.

    A figure that cannot be drawn (a broken font, a value that no axis can hold) loses no number and no other figure:
    returned are sentences on those, and ``errors.log`` in the job's state folder has the tracebacks.
    """
    entries, undrawn = [], []
    earlier = _drawn_before(folder / FIGURES)

    def fail(error: Exception) -> None:
        log = keep_traceback(error, folder / STATE)
        undrawn.append(f"a figure could not be drawn ({described(error)}); the traceback is in {log}")

    choices = report.figure_choices
    with chosen(choices):
        for output in outputs_of(report):
            for file in _until_failure(output.figures(report), fail):
                try:
                    fit(file.figure)
                    contents = {form: figure_bytes(file.figure, form) for form in choices.files}
                except Exception as error:
                    fail(error)
                    continue
                for form, content in contents.items():
                    write_bytes(folder / f"{file.name}.{form}", content)
                entries.append({"name": file.name, "title": file.title, "text": file.text})
    drawn = {entry["name"] for entry in entries}
    for name in earlier | drawn:
        for form in FORMS if name not in drawn else set(FORMS) - set(choices.files):
            (folder / f"{name}.{form}").unlink(missing_ok=True)
    write_text(folder / FIGURES, json.dumps(entries, indent=1, ensure_ascii=False))
    return tuple(undrawn)


def _drawn_before(path: Path) -> set[str]:
    """Names of the figures of an earlier run."""
    try:
        names = {Path(entry["name"]).name for entry in json.loads(path.read_text(encoding="utf-8"))}
    except (OSError, ValueError, TypeError, KeyError):  # none, or damaged
        return set()
    return names - {""}


def _until_failure(
    figures: Iterable[FigureOutput], fail: Callable[[Exception], None]
) -> Iterator[FigureOutput]:
    """Figures as they are made; the first that fails ends its output, not the others."""
    try:
        yield from figures
    except Exception as error:
        fail(error)
