"""One page of every finished job below a folder, from the files that the jobs left there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.errors import InputError, RunError, readable
from engine.report.docx import docx_bytes
from engine.report.language.wording import ENGLISH, Words
from engine.report.page import JobSection, report_page
from engine.runtime.files import write_bytes, write_text
from engine.stages.output import job_tables, reading_sentences, write_figures, write_tables
from engine.stages.saved import SavedJob, saved_jobs

PAGE, DOCX = "report.html", "tables.docx"


def write_report(
    folder: Path,
    words: Words = ENGLISH,
    *,
    draw: bool = True,
    docx: bool = False,
    notice: Callable[[Exception], None],
) -> Path:
    """``report.html``, and ``tables.docx`` where asked; with ``draw`` tables and figures are made again first.

    A job that is damaged, and figures that cannot be drawn, are reported to ``notice``; the page has the rest.

    Raises
    ------
    InputError
        Where no job can be reported, or the page's place is taken by a folder.
    """
    for name in (PAGE, *([DOCX] if docx else [])):
        if (folder / name).is_dir():
            raise InputError(
                f"there is a folder called {name}", where=str(folder), remedy="rename it: a file goes there"
            )
    jobs = saved_jobs(folder, notice)
    drawn: list[tuple[SavedJob, JobSection]] = []
    problems: list[InputError] = []
    for job in jobs:
        with _reported(job.folder, problems):
            if draw:
                _draw_again(job, words, notice)
            drawn.append((job, _section(job, words)))
    if not drawn:
        raise problems[0]
    for problem in problems:
        notice(problem)
    page = report_page([section for _, section in drawn], title=words("dyadid report"), words=words)
    path = write_text(folder / PAGE, page)
    if docx:
        write_bytes(folder / DOCX, docx_bytes([table for _, section in drawn for table in section.tables]))
    return path


@contextmanager
def _reported(folder: Path, problems: list[InputError]) -> Iterator[None]:
    """What is wrong with a job is noted, with its folder where the error names only a frame."""
    try:
        yield
    except InputError as error:
        where = error.where or ""
        if not where.startswith(str(folder)):
            where = f"{folder}: {where}" if where else str(folder)
        problems.append(InputError(error.problem, where=where, remedy=error.remedy))


def _draw_again(job: SavedJob, words: Words, notice: Callable[[Exception], None]) -> None:
    with readable(job.folder / "manifest.json", remedy="run the job again"):
        job_tables(job.frames, job.manifest, words)  # before anything is written
    write_tables(job.frames, job.manifest, job.folder, words)
    for problem in write_figures(job.frames, job.manifest, job.folder, words):
        notice(RunError(f"{job.folder}: {problem}"))


def _section(job: SavedJob, words: Words) -> JobSection:
    """The job on the page; frames and manifest that do not fit each other end in an `InputError`."""
    figures: Sequence[tuple[str, str, bytes]] = job.figures()
    with readable(job.folder, remedy="run the job again"):
        section = JobSection(
            manifest=job.manifest,
            tables=[table for _, table in job_tables(job.frames, job.manifest, words)],
            figures=figures,
            reading=reading_sentences(job.frames, job.manifest, words),
            validation=job.validation,
        )
        report_page([section], words=words)
    return section
