"""The ``dyadid`` command. Exit codes: 0 done, 1 failed, 2 the input is wrong, 130 interrupted."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from engine.errors import InputError, RunError

_INTERRUPTED = 130

app = typer.Typer(
    name="dyadid",
    help="Difference-in-differences on pairs, with honest dyadic inference.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

Jobs = Annotated[list[Path], typer.Argument(metavar="JOB...", help="Job files, or folders of them.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. model.controls=[edu]."),
]


@app.command()
def check(jobs: Jobs, overrides: Sets = None) -> None:
    """Validate job files and their data; nothing is computed on pairs."""
    from engine import pipeline
    from engine.stages.describe import check_lines

    for path in _found(jobs, overrides):
        for line in check_lines(*pipeline.check(path, overrides=overrides or [])):
            _out.print(line, markup=False)


@app.command()
def plan(jobs: Jobs, overrides: Sets = None) -> None:
    """Show cells, pairs, tiles, memory and rough time; nothing is computed."""
    from engine import pipeline
    from engine.stages.describe import plan_lines

    for path in _found(jobs, overrides):
        for line in plan_lines(*pipeline.check(path, overrides=overrides or [])):
            _out.print(line, markup=False)


@app.command()
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
    overrides: Sets = None,
) -> None:
    """Run job files and write tables, figures and Parquet files."""
    if workers and scheduler:
        raise InputError(
            "--workers and --scheduler exclude each other", remedy="a scheduler has workers of its own"
        )
    paths = _found(jobs, overrides)
    _use_compilation_cache()
    from engine import pipeline

    for path in paths if len(paths) > 1 else []:  # the last of them shall not fail after the first has run
        pipeline.check(path, overrides=overrides or [])
    for path in paths:
        start = time.perf_counter()
        with _progress() as progress:
            results = pipeline.run(
                path,
                out=out,
                workers=workers,
                scheduler=scheduler,
                overrides=overrides or [],
                progress=progress,
            )
        for warning in results.manifest["warnings"]:
            _err.print(f"warning: {warning}", markup=False)
        table = results.folder / "table.txt" if results.folder else None
        if table:
            _out.print(table.read_text(encoding="utf-8"), markup=False)
        _out.print(
            f"{results.job}: {time.perf_counter() - start:.1f} s, written to {results.folder}", markup=False
        )
    page = pipeline.report(out, draw=False)
    _out.print(f"report: {page}", markup=False)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `dyadid run` wrote.")],
) -> None:
    """Make the report page, tables and figures again from a folder's results."""
    from engine import pipeline

    _out.print(f"report: {pipeline.report(folder)}", markup=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of job files, for editors."""
    from engine.spec import schema as job_schema

    print(json.dumps(job_schema(), indent=1, ensure_ascii=False))


@app.command("demo-data")
def demo_data(folder: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Write the built-in data sets as files, each with a job that reads it."""
    from engine.stages.demo import write_demo_data

    for path in write_demo_data(folder):
        _out.print(str(path), markup=False)


def _found(jobs: list[Path], overrides: list[str] | None) -> list[Path]:
    """Job files of the arguments; two of one name would write into one folder."""
    from engine.spec import find_jobs, load_job

    names: dict[str, Path] = {}
    paths = find_jobs(jobs)
    for path in paths if len(paths) > 1 else []:
        name = load_job(path, overrides=overrides or []).job.job
        if name in names:
            raise InputError(
                f"{names[name]} and {path} are both called '{name}'",
                where="job",
                remedy="give each job its own name",
            )
        names[name] = path
    return paths


def _use_compilation_cache() -> None:
    """Compiled kernels are kept between processes; JAX and worker processes read these when they start."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dyadid" / "jax"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar for every pass that takes over two seconds; nothing where standard error is no terminal."""
    if not _err.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_err, transient=True) as bars:
        known: dict[str, tuple[Any, float]] = {}

        def tell(label: str, done: int, total: int) -> None:
            if label not in known or done <= 1:
                known[label] = (bars.add_task(label, total=total, visible=False), time.perf_counter())
            task, start = known[label]
            bars.update(task, completed=done, visible=time.perf_counter() - start > 2 and done < total)

        yield tell


def main() -> None:
    """Entry point: turn what went wrong into one clear message and an exit code."""
    sys.unraisablehook = _send_again
    try:
        code = app(standalone_mode=False)  # 130 where the parser caught Ctrl-C
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
    except InputError as error:
        _err.print(f"error: {error}", markup=False, style="red")
        sys.exit(2)
    except RunError as error:
        _err.print(f"failed: {error}", markup=False, style="red")
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        _err.print("interrupted: files already written are whole; run again to do the rest")
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:  # the reader (head, less) has seen enough; nothing is left to be flushed to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _err.print(f"failed: {error}", markup=False, style="red")
        sys.exit(1)
    except Exception as error:
        code = _usage_error(error)
        if code is None:
            raise
        sys.exit(code)


def _send_again(unraisable: Any) -> None:
    """Ctrl-C that came within a callback of the garbage collector, where it is lost, comes once more."""
    if unraisable.exc_type is KeyboardInterrupt:
        timer = threading.Timer(0.05, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        timer.daemon = True
        timer.start()
    else:
        sys.__unraisablehook__(unraisable)


def _usage_error(error: Exception) -> int | None:
    """2 for what the command-line parser refuses (its message is printed), None for any other error."""
    show = getattr(error, "show", None)
    if show is None:
        return None
    show()
    return 2


if __name__ == "__main__":
    main()
