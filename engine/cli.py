"""The ``dyadid`` command. Exit codes: 0 done, 1 failed, 2 the input is wrong, 130 interrupted, 143 terminated."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from engine import interrupts, terminal
from engine.errors import InputError, RunError
from engine.job_runs import RunOptions, found_jobs, of_jobs, run_jobs
from engine.outcomes import JobsFailed, Outcomes, unexpected, usage_error

app = typer.Typer(
    name="dyadid",
    help="Difference-in-differences on pairs, with dyadic-robust inference.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(requested: bool) -> None:
    if requested:
        from engine.runtime.source_code import package_version

        terminal.out.print(f"dyadid {package_version('dyadid')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the command itself, before any subcommand."""


Jobs = Annotated[list[Path], typer.Argument(metavar="JOB...", help="Job files, or folders of them.")]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key, e.g. model.controls=[edu]; paths are relative to the working folder.",
    ),
]
Lang = Annotated[str | None, typer.Option(help="Language, in place of the jobs' own: en or zh.")]


@app.command()
@of_jobs
def check(jobs: Jobs, overrides: Sets = None) -> None:
    """Validate job files and their data; nothing is computed on pairs."""
    from engine import pipeline
    from engine.stages.describe import check_lines

    for path in found_jobs(jobs, overrides):
        for line in check_lines(*pipeline.check(path, overrides=overrides or [])):
            terminal.out.print(line)


@app.command()
def init(
    data: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Data: a table of cities by year, or of pairs.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="JOB.yaml", help="Job file to write; default: beside the data.")
    ] = None,
    paper: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the shipped jobs into this folder instead.")
    ] = None,
) -> None:
    """Propose a job file for a data file, and check it; or write the jobs of the paper."""
    from engine.stages.propose_job import job_path, write_proposal
    from engine.stages.shipped_jobs import write_shipped_jobs

    if paper is not None and data is None and out is None:
        terminal.out.print("\n".join(f"written: {path}" for path in write_shipped_jobs(paper)))
    elif data is None or paper is not None:
        problem = "--paper takes a new folder and nothing beside it" if paper else "no file of data is named"
        raise InputError(problem, where="init", remedy="name a file of data, or --paper and a new folder")
    else:
        path = job_path(data, out)
        for guess in write_proposal(data, path):
            terminal.out.print(f"guessed: {guess}")
        terminal.out.print(f"written: {path}")
        check([path])


@app.command()
@of_jobs
def plan(
    jobs: Jobs,
    cluster: Annotated[
        Path | None, typer.Option(metavar="PROFILE", help="Say what the jobs cost on this cluster, too.")
    ] = None,
    cells: Annotated[
        bool, typer.Option("--cells", help="List every cell of a job; default: the first 6 of more than 24.")
    ] = False,
    overrides: Sets = None,
) -> None:
    """Show cells, pairs, tiles, memory and rough time; nothing is computed."""
    from engine import pipeline
    from engine.spec.cluster import profile_of
    from engine.stages.describe import cost_lines, plan_lines
    from engine.stages.run_time import work_seconds

    workplace, seconds, langs = profile_of(cluster=cluster), 0.0, set[str]()
    for path in found_jobs(jobs, overrides):
        checked = pipeline.check(path, overrides=overrides or [])
        for line in plan_lines(*checked, every_cell=cells):
            terminal.out.print(line)
        seconds += work_seconds(checked[1])
        langs.add(checked[0].loaded.job.lang)
    for line in cost_lines(seconds, workplace, langs) if workplace else []:
        terminal.out.print(line)


@app.command()
@of_jobs
def run(
    jobs: Jobs,
    out: Annotated[Path, typer.Option(help="Folder for results; each job gets a folder of its name.")] = Path(
        "out"
    ),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Local worker processes; default: threads.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address of a Dask scheduler.")
    ] = None,
    cluster: Annotated[
        Path | None, typer.Option(metavar="PROFILE", help="Where to run: a file like those in cluster/.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Folder or address of finished work; default: in each job's."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Take nothing that earlier runs finished.")] = False,
    submit: Annotated[
        bool, typer.Option("--submit", help="Send the run itself to the cluster's queue, and return.")
    ] = False,
    profile: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write Dask's report of the run's performance.")
    ] = None,
    lang: Lang = None,
    overrides: Sets = None,
) -> None:
    """Run job files, or what is left of them, and write tables, figures and Parquet files."""
    from engine.report.language.wording import words_of

    if lang is not None:
        words_of(lang)  # a language that is not there shall not be found out after the run
    from engine.spec.cluster import profile_of

    workplace = profile_of(workers=workers, scheduler=scheduler, cluster=cluster)
    if profile is not None and workplace is None:
        raise InputError("threads make no report", where="--profile", remedy="add --workers 2 or --cluster")
    paths = found_jobs(jobs, overrides, lang)
    terminal.use_compilation_cache()
    options = RunOptions(paths, out, store, fresh, overrides or [], lang, cluster, profile)
    if submit or len(paths) > 1:  # the last of them shall not fail after the first has run
        options = options.checked()
    if submit:
        from engine.stages.submit import submit_run

        sent = submit_run(workplace, options.arguments(), out)
        terminal.out.print(
            f"submitted as {sent.kind} job {sent.job_id}: `dyadid status {out}` and `dyadid logs {out}` follow it",
            markup=False,
        )
        return
    run_jobs(options, workplace)


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The --out of a run.")] = Path("out"),
) -> None:
    """Say how far the runs in a folder are, wherever they run."""
    from engine.stages.run_status import status_lines

    for line in status_lines(folder):
        terminal.out.print(line)


@app.command()
def logs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The --out of a run.")] = Path("out"),
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the runs end.")] = False,
) -> None:
    """Show what the runs in a folder did: their events, the driver's output, and where workers' logs are."""
    from engine.stages.run_status import log_lines, output_lines, running, status_lines

    list(status_lines(folder))  # refuses a folder without runs
    last, running_still = "", True
    while running_still:
        running_still = follow and running(folder)
        for moment, line in log_lines(folder, after=last):
            terminal.out.print(line)
            last = moment
        if running_still:
            time.sleep(2)
    for line in output_lines(folder):
        terminal.out.print(line)


@app.command()
@of_jobs
def draw(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Job file.")],
    replicate: Annotated[int, typer.Option(help="Number of the draw, from 0, as in draws.parquet.")],
    cell: Annotated[
        str | None, typer.Option(metavar="LABEL_OR_ID", help="The cell, where several have draws.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="permutation, or the kind of bootstrap (node, multiplier, wild and so on), where both are."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write what each city drew, too.")
    ] = None,
    overrides: Sets = None,
) -> None:
    """Make one draw of a job's inference again, and show it."""
    from engine.runtime.files import output_folder, write_text
    from engine.spec import find_jobs

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
    from engine.stages.draw import draw_lines

    drawn = pipeline.draw(path, replicate=replicate, cell=cell, method=method, overrides=overrides or [])
    for line in draw_lines(drawn):
        terminal.out.print(line)
    if out is not None:
        write_text(out, csv_text(drawn.cities))
        terminal.out.print(f"cities: {out}")


@app.command()
@of_jobs
def pairs(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Job file.")],
    out: Annotated[Path, typer.Option(help="File to write: .parquet, .csv or .dta, by its ending.")],
    cell: Annotated[
        str | None, typer.Option(help="Label, id or number of the cell, where there are several.")
    ] = None,
    overrides: Sets = None,
) -> None:
    """Write the pair-year table behind a regression, for Stata, R and others."""
    from engine import pipeline
    from engine.stages.pair_years import check_path, write_pair_years

    check_path(out)
    frame, _ = pipeline.pair_years(job, cell=cell, overrides=overrides or [])
    write_pair_years(frame, out)
    terminal.out.print(f"{len(frame):,} rows, columns {', '.join(frame.columns)}: {out}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `dyadid run` wrote.")],
    lang: Lang = None,
    docx: Annotated[bool, typer.Option("--docx", help="Write all tables to tables.docx, too.")] = False,
) -> None:
    """Make the report page, tables and figures again from a folder's results."""
    from engine import pipeline
    from engine.report.language.wording import words_of
    from engine.stages.error_language import errors_in, in_language
    from engine.stages.saved import folder_lang

    outcomes, language = Outcomes(None), lang or folder_lang(folder)
    with outcomes.of(folder), errors_in(lambda: language):
        page = pipeline.report(
            folder, lang=lang, docx=docx, notice=lambda error: outcomes.notice(in_language(error, language))
        )
        terminal.out.print(words_of(language)("report: {page}", page=page))
        if docx:
            terminal.out.print(words_of(language)("tables: {file}", file=folder / "tables.docx"))
    outcomes.end()


@app.command()
def schema() -> None:
    """Print the JSON Schema of job files, for editors."""
    from engine.spec import schema as job_schema

    terminal.out.stream.write(json.dumps(job_schema(), indent=1, ensure_ascii=False) + "\n")


@app.command()
def keys(lang: Annotated[str, typer.Option(help="Language: en or zh.")] = "en") -> None:
    """Print the reference of the keys of job files, in Markdown."""
    from engine.report.language.wording import words_of
    from engine.stages.key_reference import key_reference

    terminal.out.stream.write(key_reference(words_of(lang)))


@app.command("demo-data")
def demo_data(folder: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Write the built-in data sets as files, each with a job that reads it."""
    from engine.stages.demo import write_demo_data

    for path in write_demo_data(folder):
        terminal.out.print(str(path))


@app.command("policy-text")
def policy_text(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="Folder of documents with its documents.csv.")],
    dictionary: Annotated[
        Path | None, typer.Option(help="Table of instruments; default: the built-in one.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for counts, passages, weights and indices.")] = Path(
        "out"
    ),
    panel: Annotated[
        str | None, typer.Option(help="Table with city and year, or builtin:NAME, to be joined.")
    ] = None,
    weights_over: Annotated[
        str, typer.Option(metavar="POOL", help="pilots: city-years with a document; or all.")
    ] = "pilots",
) -> None:
    """Count policy instruments in documents and write an index of each kind by city and year."""
    from engine.report.language.wording import ENGLISH
    from engine.stages.policy_text import write_policy_text

    indices = write_policy_text(folder, out=out, dictionary=dictionary, panel=panel, pool=weights_over)
    for note in indices.notes:
        terminal.err.print(f"warning: {ENGLISH.note(note)}")
    terminal.out.print(f"policy-text: {indices.line}, written to {out}")


def main() -> None:
    """Entry point: turn what went wrong into one clear message and an exit code."""
    interrupts.work_begins()
    terminal.start_sooner()
    for screen in (terminal.out, terminal.err):
        screen.stream.prepare()
    code = _exit_code()
    if terminal.out.stream.lost is not None:  # the work is done, but what it printed went nowhere
        code = code or 1
        if not terminal.out.stream.reader_left:
            terminal.err.print(f"failed: standard output: {terminal.out.stream.lost}", style="red")
    if code:
        sys.exit(code)


def _exit_code() -> int:
    """Run the command; what went wrong is one message."""
    try:
        code = app(prog_name="dyadid", standalone_mode=False)  # 130 where the parser caught Ctrl-C
        if code == interrupts.INTERRUPTED:
            raise KeyboardInterrupt
        terminal.out.stream.flush()
    except InputError as error:
        terminal.err.print(error.labelled, style="red")
        return 2
    except JobsFailed as error:
        return error.code
    except (KeyboardInterrupt, typer.Abort):
        text, code = interrupts.message()
        terminal.err.print(text)
        return code
    except (RunError, OSError) as error:
        text = error.labelled if isinstance(error, RunError) else f"failed: {error}"
        terminal.err.print(text, style="red")
        return 1
    except Exception as error:
        usage = usage_error(error)
        if usage is not None:
            return usage
        terminal.err.print(f"failed: {unexpected(error)}", style="red")
        return 1
    return 0


if __name__ == "__main__":
    main()
