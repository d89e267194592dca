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
from engine.job_commands import check_jobs, first_job, plan_jobs, report_folder, save_pairs, show_draw
from engine.job_runs import RunOptions, found_jobs, of_jobs, run_jobs, spoken_in, submit_jobs
from engine.outcomes import JobsFailed, unexpected, usage_error

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
NewLang = Annotated[str, typer.Option(help="Language: en or zh.")]


@app.command()
@of_jobs
def check(jobs: Jobs, lang: Lang = None, overrides: Sets = None) -> None:
    """Validate job files and their data; nothing is computed on pairs."""
    check_jobs(jobs, overrides, lang)


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
    lang: NewLang = "en",
) -> None:
    """Propose a job file for a data file, and check it; or write the jobs of the paper."""
    first_job(data, out, paper, lang)


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
    lang: Lang = None,
    overrides: Sets = None,
) -> None:
    """Show cells, pairs, tiles, memory and rough time; nothing is computed."""
    plan_jobs(jobs, cluster, cells=cells, overrides=overrides, lang=lang)


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
        submit_jobs(options, workplace)
        return
    run_jobs(options, workplace)


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The --out of a run.")] = Path("out"),
) -> None:
    """Say how far the runs in a folder are, wherever they run."""
    from engine.stages.run_status import folder_lang, status_lines

    with spoken_in(lambda: folder_lang(folder)):
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
    lang: Lang = None,
    overrides: Sets = None,
) -> None:
    """Make one draw of a job's inference again, and show it."""
    show_draw(job, replicate=replicate, cell=cell, method=method, out=out, overrides=overrides, lang=lang)


@app.command()
@of_jobs
def pairs(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="Job file.")],
    out: Annotated[Path, typer.Option(help="File to write: .parquet, .csv or .dta, by its ending.")],
    cell: Annotated[
        str | None, typer.Option(help="Label, id or number of the cell, where there are several.")
    ] = None,
    lang: Lang = None,
    overrides: Sets = None,
) -> None:
    """Write the pair-year table behind a regression, for Stata, R and others."""
    save_pairs(job, out, cell=cell, overrides=overrides, lang=lang)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `dyadid run` wrote.")],
    lang: Lang = None,
    docx: Annotated[bool, typer.Option("--docx", help="Write all tables to tables.docx, too.")] = False,
) -> None:
    """Make the report page, tables and figures again from a folder's results."""
    report_folder(folder, lang, docx=docx)


@app.command()
def schema() -> None:
    """Print the JSON Schema of job files, for editors."""
    from engine.spec import schema as job_schema

    terminal.out.stream.write(json.dumps(job_schema(), indent=1, ensure_ascii=False) + "\n")


@app.command()
def keys(lang: NewLang = "en") -> None:
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
