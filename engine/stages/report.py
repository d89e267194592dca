"""One page of every finished job below a folder, from the files that the jobs left there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import InputError, RunError, readable
from engine.report.docx import docx_bytes
from engine.report.language.wording import Words, for_units_of, job_words, lang_of, shared_words
from engine.report.outputs.main_result import error_picture
from engine.report.outputs.output import JobReport
from engine.report.outputs.registry import report_headlines, report_sentences, report_tables
from engine.report.page import JobSection, report_page
from engine.runtime.files import write_bytes, write_text
from engine.stages.error_language import errors_in, in_language
from engine.stages.job_files import write_figures, write_tables
from engine.stages.saved import SavedJob, folder_lang, saved_jobs

PAGE, DOCX = "report.html", "tables.docx"


@dataclass(frozen=True)
class WrittenReport:
    """The page of a folder and the words that it is in."""

    page: Path
    words: Words


def write_report(
    folder: Path,
    *,
    lang: str | None = None,
    draw: bool = True,
    docx: bool = False,
    notice: Callable[[Exception], None],
) -> WrittenReport:
    """``report.html``, and ``tables.docx`` where asked; with ``draw`` tables and figures are made again first.

    Tables and figures of a job are in its own language, unless ``lang`` names one for all; the page is in the
    language that all its jobs have, else in English. A job that is damaged, and figures that cannot be drawn, are
    reported to ``notice``; the page has the rest. Errors are in the language of the page.

    Raises
    ------
    InputError
        Where no job can be reported, or the page's place is taken by a folder.
    """
    damaged: list[Exception] = []
    with errors_in(lambda: lang or folder_lang(folder)):  # asked where there is an error alone
        jobs = saved_jobs(folder, damaged.append)
    words = shared_words(lang_of(job.manifest) if lang is None else lang for job in jobs)

    def worded_notice(error: Exception) -> None:
        notice(in_language(error, words.lang))

    with errors_in(lambda: words.lang):
        _refuse_folders(folder, docx=docx)
        for error in damaged:
            worded_notice(error)
        sections = _sections(jobs, words, lang, worded_notice, draw=draw)
        page = report_page(sections, title=words("dyadid report"), words=words)
        path = write_text(folder / PAGE, page)
        if docx:
            tables = [table for section in sections for table in section.tables]
            write_bytes(folder / DOCX, docx_bytes(tables))
        return WrittenReport(path, words)


def _refuse_folders(folder: Path, *, docx: bool) -> None:
    for name in (PAGE, *([DOCX] if docx else [])):
        if (folder / name).is_dir():
            raise InputError(
                f"there is a folder called {name}", where=str(folder), remedy="rename it: a file goes there"
            )


def _sections(
    jobs: list[SavedJob],
    words: Words,
    lang: str | None,
    notice: Callable[[Exception], None],
    *,
    draw: bool,
) -> list[JobSection]:
    """Sections of the jobs that can be reported, in their order; raises InputError where none can."""
    sections: list[JobSection] = []
    problems: list[InputError] = []
    for job in jobs:
        with _problems_collected(job.folder, problems):
            own_words = job_words(job.manifest, lang)
            if draw:
                _draw_again(job, own_words, notice)
            sections.append(_section(job, own_words, words))
    if not sections:
        raise problems[0]
    for problem in problems:
        notice(problem)
    return sections


@contextmanager
def _problems_collected(folder: Path, problems: list[InputError]) -> Iterator[None]:
    """Collect an `InputError` on a job, with the job's folder where the error names only a frame."""
    try:
        yield
    except InputError as error:
        place = error.where or ""
        if not place.startswith(str(folder)):
            place = f"{folder}: {place}" if place else str(folder)
        problems.append(error.at(place))


def _draw_again(job: SavedJob, words: Words, notice: Callable[[Exception], None]) -> None:
    report = JobReport(job.frames, job.manifest, words)
    with readable(job.folder / "manifest.json", remedy="run the job again"):
        report_tables(report)  # before anything is written
    write_tables(report, job.folder)
    for problem in write_figures(report, job.folder):
        notice(RunError(f"{job.folder}: {problem}"))


def _section(job: SavedJob, own_words: Words, words: Words) -> JobSection:
    """The job on the page, its tables in its own words; frames and manifest that do not fit end in an `InputError`."""
    figures, report = job.figures(), JobReport(job.frames, job.manifest, own_words)
    of_page = replace(report, words=for_units_of(job.manifest, words))
    with readable(job.folder, remedy="run the job again"):
        section = JobSection(
            manifest=job.manifest,
            headlines=report_headlines(of_page),
            picture=error_picture(of_page),
            tables=[file.table for file in report_tables(report)],
            figures=figures,
            reading=report_sentences(of_page),
            validation=job.validation,
        )
        report_page([section], words=words)
    return section
