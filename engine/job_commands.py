"""Commands on jobs that run none: their data, a first job file, one draw, pair-years; and the report of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine import terminal
from engine.errors import InputError
from engine.job_runs import found_jobs, with_lang
from engine.outcomes import Outcomes


def check_jobs(jobs: list[Path], overrides: Sequence[str] | None = None, lang: str | None = None) -> None:
    """Print what is in the data of job files, and how many pairs every filter leaves."""
    from engine import pipeline
    from engine.stages.describe import check_lines

    settings = with_lang(overrides, lang)
    for path in found_jobs(jobs, settings):
        for line in check_lines(*pipeline.check(path, overrides=settings)):
            terminal.out.print(line)


def plan_jobs(
    jobs: list[Path], cluster: Path | None, *, cells: bool, overrides: list[str] | None, lang: str | None
) -> None:
    """Print what job files cost, and what all of them do on a cluster."""
    from engine import pipeline
    from engine.spec.cluster import profile_of
    from engine.stages.describe import cost_lines, plan_lines
    from engine.stages.run_time import work_seconds

    settings = with_lang(overrides, lang)
    workplace, seconds, langs = profile_of(cluster=cluster), 0.0, set[str]()
    for path in found_jobs(jobs, settings):
        checked = pipeline.check(path, overrides=settings)
        for line in plan_lines(*checked, every_cell=cells):
            terminal.out.print(line)
        seconds += work_seconds(checked[1])
        langs.add(checked[0].loaded.job.lang)
    for line in cost_lines(seconds, workplace, langs) if workplace else []:
        terminal.out.print(line)


def first_job(data: Path | None, out: Path | None, paper: Path | None, lang: str) -> None:
    """Write a job file for a data file and check it, or write the shipped jobs, in a language."""
    from engine.report.language.wording import words_of
    from engine.stages.error_language import errors_in
    from engine.stages.propose_job import job_path, write_proposal
    from engine.stages.shipped_jobs import write_shipped_jobs

    with errors_in(lambda: lang):
        words = words_of(lang)
        if paper is not None and data is None and out is None:
            for written in write_shipped_jobs(paper):
                terminal.out.print(words("written: {path}", path=written))
            return
        if data is None or paper is not None:
            problem = (
                "--paper takes a new folder and nothing beside it" if paper else "no file of data is named"
            )
            raise InputError(problem, where="init", remedy="name a file of data, or --paper and a new folder")
        path = job_path(data, out)
        for guess in write_proposal(data, path, words):
            terminal.out.print(words("guessed: {guess}", guess=guess))
        terminal.out.print(words("written: {path}", path=path))
        check_jobs([path])


def show_draw(
    job: Path,
    *,
    replicate: int,
    cell: str | None,
    method: str | None,
    out: Path | None,
    overrides: list[str] | None,
    lang: str | None,
) -> None:
    """Print one draw of a job, and write what each city drew."""
    from engine.runtime.files import output_folder, write_text
    from engine.spec import find_jobs

    settings = with_lang(overrides, lang)
    path, *further = find_jobs([job])
    if further:
        raise InputError(f"{job} holds {len(further) + 1} jobs", remedy="name one job file")
    if out is not None and out.is_dir():
        raise InputError(f"{out} is a folder", where="--out", remedy="name a file, like draw.csv")
    if out is not None:
        output_folder(out.parent)
    terminal.use_compilation_cache()
    from engine import pipeline
    from engine.stages.csv_files import csv_text
    from engine.stages.draw import draw_lines, draw_words

    drawn = pipeline.draw(path, replicate=replicate, cell=cell, method=method, overrides=settings)
    for line in draw_lines(drawn):
        terminal.out.print(line)
    if out is not None:
        write_text(out, csv_text(drawn.cities))
        terminal.out.print(draw_words(drawn)("cities: {file}", file=out))


def save_pairs(
    job: Path, out: Path, *, cell: str | None, overrides: list[str] | None, lang: str | None
) -> None:
    """Write the pair-year table behind a regression of a job."""
    from engine import pipeline
    from engine.stages.error_language import words_of_job
    from engine.stages.pair_years import check_path, write_pair_years

    settings = with_lang(overrides, lang)
    check_path(out)
    frame, _ = pipeline.pair_years(job, cell=cell, overrides=settings)
    write_pair_years(frame, out)
    words = words_of_job(job, settings)
    columns = words(", ").join(map(str, frame.columns))
    line = words(
        "{count} rows, columns {columns}: {file}", count=f"{len(frame):,}", columns=columns, file=out
    )
    terminal.out.print(line)


def report_folder(folder: Path, lang: str | None, *, docx: bool) -> None:
    """Make the report page, tables and figures of a folder again, and say where they are."""
    from engine.report.language.wording import words_of
    from engine.runtime.files import writing
    from engine.stages.report import write_report

    outcomes = Outcomes(None)
    with outcomes.of(folder), writing(folder):
        if lang is not None:
            words_of(lang)  # refuses a language that is not there before anything is written
        report = write_report(folder, lang=lang, docx=docx, notice=outcomes.notice)
        terminal.out.print(report.words("report: {page}", page=report.page))
        if docx:
            terminal.out.print(report.words("tables: {file}", file=folder / "tables.docx"))
    outcomes.end()
