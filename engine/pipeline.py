"""The story of a job: one call per stage, from the job file to files of results.

    load, expand        job file -> cells                          engine.spec
    prepare             table -> clean panel, indices, pair design  engine.stages.prepare_passes (data, design)
    estimate            two passes over the pairs -> fits, errors   engine.stages.estimation
    infer               draws, where the job asks for them          engine.stages.inference
    collect             fits -> frames, manifest                    engine.stages.frames, manifest
    write               tables, figures, files, one page            engine.stages.job_files

`check` and `plan` stop before the first pass and never import JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import pandas as pd

from engine.errors import InputError
from engine.job_results import Results, reused_results
from engine.notes import note_record
from engine.pairs.tiles import MapReduce, serial_map_reduce
from engine.runtime.blas_threads import one_blas_thread
from engine.runtime.clusters import Opener, place
from engine.runtime.execute import UNITS, Machine, Progress, silent
from engine.runtime.files import STATE, locked, output_folder, recorded, refuse_folders, remove_parts, writing
from engine.runtime.journal import Journal
from engine.runtime.schedule import TimedProgress
from engine.runtime.store import Store
from engine.spec import Plan, expand, load_job
from engine.spec.cluster import Profile, profile_of
from engine.spec.job import Job
from engine.stages.clock import Clock
from engine.stages.error_language import worded_for_job
from engine.stages.finished_runs import FILE_ENDINGS, is_finished, mark_finished, request_key
from engine.stages.prepare_passes import Prepared, distinct_data, prepare_job
from engine.stages.run_time import expected_stages
from engine.stages.table_names import refuse_unknown_font, refuse_unknown_names

if TYPE_CHECKING:
    from engine.stages.draw import Draw
    from engine.stages.estimation import Estimated


class RunKeywords(TypedDict, total=False):
    """Keywords of `run` that say where and how, not what."""

    workers: int | None
    scheduler: str | None
    cluster: str | Path | None
    store: str | Path | None
    fresh: bool
    progress: Progress | None


JobSource = str | Path | Mapping[str, object]
"""A job file, or the mapping that one would hold."""


@worded_for_job
def run(
    job: JobSource,
    *,
    frames: Mapping[str, object] | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    cluster: str | Path | None = None,
    store: str | Path | None = None,
    fresh: bool = False,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    lang: str | None = None,
    opener: Opener | None = None,
) -> Results:
    """Run a job, or what an earlier run of it left undone.

    Parameters
    ----------
    job : path of a YAML job file, or the mapping that one would hold
    frames : mapping of str to data frame, optional
        Data that the program holds: ``panel`` or ``pair_table`` for that block's source, any other name for a table
        that the job calls ``frame:NAME``.
    out : folder, optional
        Results are written to ``out/<job>/``; nothing is written without it.
    workers : int, optional
        Local worker processes; default: threads of this process.
    scheduler : str, optional
        Address of a running Dask scheduler.
    cluster : path, optional
        Profile of a cluster, as those in ``cluster/``.
    store : str or path, optional
        Folder, or address that fsspec knows, of finished work units; default: ``out/<job>/.dyadid/units``.
    fresh : bool
        Take nothing that earlier runs left.
    overrides : sequence of str
        ``dotted.key=value``, as with ``--set``.
    progress : callable, optional
        Called with ``(pass, done, total)``.
    lang : str, optional
        ``en`` or ``zh``, in place of the job's ``lang``.
    opener : callable, optional
        As `opened` gives it, where several jobs share a cluster; then workers, scheduler and cluster go there.

    Raises
    ------
    InputError
        Where the job file, the data or the request is wrong; nothing long has run by then.
    RunError
        Where another run has the folder, the store cannot be written or the cluster is lost; finished work units
        are kept, and the next run takes them.
    """
    clock = Clock()
    profile = profile_of(workers=workers, scheduler=scheduler, cluster=cluster)
    with clock.stage("read"):
        plan = expand(load_job(job, overrides=[*overrides, *_override(lang)], frames=frames))
        folder = output_folder(Path(out) / plan.loaded.job.job) if out is not None else None
    with (
        _locked_store(folder, plan.loaded.job, store, fresh) as (opened_store, journal),
        nullcontext(opener) if opener else opened(profile, out=out) as open_machine,
    ):
        machine = cache(partial(_start, open_machine, progress or silent, opened_store, journal))
        with clock.stage("prepare"):
            prepared = _prepare(plan, lambda *work: machine().reduce(*work, label="screen", units=UNITS))
        key = request_key(plan, prepared) if folder is not None else ""
        if folder is not None and not fresh and is_finished(folder, key):
            return reused_results(plan, folder)
        with journal.kept(key=key):
            job_results = _estimate(plan, prepared, machine(), clock)
            if folder is None:
                return job_results
            with writing(folder), recorded() as hashes:
                job_results = write(job_results, folder)
        if not job_results.undrawn:
            with writing(folder):
                mark_finished(folder, key, hashes)
        return job_results


def _override(lang: str | None) -> list[str]:
    """A language that is chosen for a run goes before the job's own; raises InputError for one without words."""
    from engine.report.language.wording import words_of

    return [f"lang={words_of(lang).lang}"] if lang is not None else []


def opened(
    profile: Profile | None = None, *, out: str | Path | None = None, performance: Path | None = None
) -> AbstractContextManager[Opener]:
    """Where jobs run: threads, or the workers of a profile; for `run`'s ``opener``, so that jobs share a cluster.

    Logs of batch jobs and certificates are kept below ``out`` (or the working folder), unless the profile says
    where. Nothing is started before a job asks for it. ``performance`` names an HTML file for Dask's report.
    """
    from engine.stages.worker_facts import worker_facts

    folder = Path(out or ".") / STATE
    return place(profile, folder=folder, facts=worker_facts, performance=performance)


@contextmanager
def _locked_store(
    folder: Path | None, job: Job, address: str | Path | None, fresh: bool
) -> Iterator[tuple[Callable[[], Store | None], Journal]]:
    """Work units and log of a run, in a folder and a store that no other run has meanwhile.

    The store is what a function gives, once it is asked: a finished run is found without. One with an address of its
    own is opened at once, so that a wrong address is told before any work.
    """
    with ExitStack() as locks:
        state = None
        if folder is not None:
            state = folder / STATE
            refuse_folders(folder, FILE_ENDINGS)
            refuse_folders(state, FILE_ENDINGS)
            if locks.enter_context(locked(state)):
                with suppress(OSError):  # left by a run that was killed; where they must stay, so be it
                    remove_parts(folder)

        @cache
        def opened_store() -> Store | None:
            place = address or (state / "units" if state else None)
            if place is None:
                return None
            store = Store(str(place), fresh=fresh)
            locks.enter_context(store.locked())
            return store

        if address is not None:
            opened_store()
        yield opened_store, Journal(state, job.job, job.lang)


def _start(
    open_machine: Opener, progress: Progress, opened_store: Callable[[], Store | None], journal: Journal
) -> Machine:
    """The machine, with the run's store and journal; its address goes to ``progress.json``."""
    from engine.report.language.wording import ENGLISH

    store, machine = opened_store(), open_machine(progress)
    where = note_record("where", machine.whereabouts, ENGLISH.note)
    journal.told(**where, dashboard=machine.dashboard)
    return replace(machine, store=store, journal=journal, used_before=machine.processor_seconds())


@worded_for_job
def check(
    job: JobSource, *, frames: Mapping[str, object] | None = None, overrides: Sequence[str] = ()
) -> tuple[Plan, tuple[Prepared, ...]]:
    """Validate a job and its data as far as possible without a pass over the pairs; arguments as those of `run`."""
    plan = expand(load_job(job, overrides=overrides, frames=frames))
    return plan, _prepare(plan)


@worded_for_job
def draw(
    job: JobSource,
    *,
    replicate: int,
    frames: Mapping[str, object] | None = None,
    cell: str | None = None,
    method: str | None = None,
    overrides: Sequence[str] = (),
) -> Draw:
    """One draw of a job's inference, made again; its numbers are those of its row in ``draws.parquet``.

    Parameters
    ----------
    job, frames
        As those of `run`.
    replicate : int
        From 0.
    cell : str, optional
        Label or id of the cell, where several have draws.
    method : str, optional
        ``permutation``, or the kind of the bootstrap; default: the permutation where the cell has one.
    overrides : sequence of str
        ``dotted.key=value``, as with ``--set``.

    Raises
    ------
    InputError
        Where the job has no such draw.
    """
    from engine.stages.draw import choose, make_draw
    from engine.stages.estimate_pass import estimate_pass

    plan = expand(load_job(job, overrides=overrides, frames=frames))
    request = choose(plan, replicate=replicate, cell=cell, method=method)
    prepared = next(prepared for prepared in _prepare(plan) if request.cell in prepared.pass_cells.cells)
    with opened() as open_machine, _computing(plan):
        estimated_cells = estimate_pass(open_machine(silent), prepared)
        return make_draw(prepared, estimated_cells[prepared.pass_cells.cells.index(request.cell)], request)


@worded_for_job
def pair_years(
    job: JobSource,
    *,
    frames: Mapping[str, object] | None = None,
    overrides: Sequence[str] = (),
    cell: str | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """The pair-year table behind the regression of a cell, by its label, id or number, and the hashes of its data.

    Arguments as those of `run`.

    Raises
    ------
    InputError
        Where the job has several cells and none is named, or none of that name.
    """
    from engine.spec.cell_choice import choose_cell
    from engine.spec.sweep import cell_names
    from engine.stages.pair_years import pair_year_frame

    plan = expand(load_job(job, overrides=overrides, frames=frames))
    chosen = plan.cells[choose_cell(cell_names(plan), cell, where=f"{plan.loaded.path}: cell")]
    prepared = next(prepared for prepared in _prepare(plan) if chosen in prepared.pass_cells.cells)
    with opened() as open_machine, _computing(plan):
        hashes = [source.sha256 for source in prepared.pass_cells.data.sources]
        return pair_year_frame(open_machine(silent), prepared, chosen), hashes


def _prepare(plan: Plan, map_reduce: MapReduce = serial_map_reduce) -> tuple[Prepared, ...]:
    with _computing(plan):
        prepared = prepare_job(plan, map_reduce)
        refuse_unknown_names(plan, prepared)
        refuse_unknown_font(plan.loaded.job)
        return prepared


@contextmanager
def _computing(plan: Plan) -> Iterator[None]:
    """Compute with one thread of BLAS, and name the job file in an `InputError` on its data or design."""
    try:
        with one_blas_thread():
            yield
    except InputError as error:
        place = f"{plan.loaded.path}: {error.where}" if error.where else str(plan.loaded.path)
        raise error.at(place) from None


def _estimate(plan: Plan, prepared: tuple[Prepared, ...], machine: Machine, clock: Clock) -> Results:
    from engine.report.language.wording import ENGLISH
    from engine.stages.frames import job_frames
    from engine.stages.inference import run_inference
    from engine.stages.manifest import code_notes, make_manifest

    job = plan.loaded.job
    with _computing(plan):
        stages = expected_stages(prepared)
        machine.journal.schedule.expect(stages)
        if isinstance(machine.progress, TimedProgress):
            machine.progress.expect(stages)
        with clock.stage("estimate"):
            passes = list(zip(prepared, _estimate_passes(machine, prepared), strict=True))
        with clock.stage("inference"):
            inferred = run_inference(machine, job, passes)
        with clock.stage("collect"):
            by_number = {cell.cell.number: cell for _, cells in passes for cell in cells}
            estimated = [by_number[cell.number] for cell in plan.cells]
            frames, frame_notes = job_frames(job.job, passes, estimated, inferred)
        notes = (*inferred.notes, *frame_notes, *code_notes())
        return Results(
            job=job.job,
            title=job.title or job.job,
            frames=frames,
            manifest=make_manifest(plan, prepared, estimated, clock.seconds, machine, notes),
            validation=distinct_data(prepared)[0].validation.to_dict(ENGLISH.note),
        )


def _estimate_passes(machine: Machine, prepared: tuple[Prepared, ...]) -> list[list[Estimated]]:
    """Passes of a single task run side by side on this process's threads; others take all threads in turn."""
    from engine.stages.estimate_pass import (
        estimate_pass,  # here and not above: check and plan never import JAX
    )

    small = all(len(one_pass.design.tasks()) == 1 and not one_pass.effects for one_pass in prepared)
    if machine.client is not None or len(prepared) == 1 or not small:
        return [estimate_pass(machine, one_pass) for one_pass in prepared]
    with ThreadPoolExecutor(machine.threads) as pool:
        return list(pool.map(partial(estimate_pass, machine), prepared))


def write(results: Results, folder: Path) -> Results:
    """Write the files of a job into its folder, and return its results with the folder named."""
    from engine.stages.job_files import write_results

    undrawn = write_results(results.frames, results.manifest, results.validation, folder)
    return replace(results, folder=folder, undrawn=undrawn)


def report(
    folder: str | Path,
    *,
    draw: bool = True,
    lang: str | None = None,
    docx: bool = False,
    notice: Callable[[Exception], None] | None = None,
) -> Path:
    """The page ``report.html`` of all jobs that `run` wrote into a folder.

    Parameters
    ----------
    folder : the ``out`` of `run`, or one job's folder
    draw : bool
        Make tables and figures again from the Parquet files first.
    lang : str, optional
        ``en`` or ``zh``; default: tables and figures in the language of their job, the page in that of all jobs, or in
        English where they differ.
    docx : bool
        Write ``tables.docx`` too: all tables, for Word.
    notice : callable, optional
        Gets the `InputError` of every damaged job and a `RunError` for figures that cannot be drawn; the page has
        the rest. Without it the first is raised once the page is written.

    Raises `InputError` where no job of the folder can be reported.
    """
    from engine.report.language.wording import words_of
    from engine.stages.report import write_report

    problems: list[Exception] = []
    folder = Path(folder)
    if lang is not None:
        words_of(lang)  # refuses a language that is not there before anything is written
    with writing(folder):
        report = write_report(folder, lang=lang, draw=draw, docx=docx, notice=notice or problems.append)
    if problems:
        raise problems[0]
    return report.page
