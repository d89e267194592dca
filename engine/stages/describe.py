"""Lines that ``dyadid check`` and ``dyadid plan`` print. Never imports JAX: login nodes answer fast."""

from __future__ import annotations

from collections.abc import Iterator

from engine.notes import Note
from engine.pairs.moments import Layout
from engine.report.language.wording import ENGLISH, job_words
from engine.spec import Plan
from engine.spec.cluster import Profile, SchedulerProfile, SSHProfile
from engine.stages.draw_counts import draw_counts, pass_seconds
from engine.stages.memory import memory_bytes
from engine.stages.prepare_passes import Prepared, distinct_data
from engine.stages.run_time import run_seconds

_NAMED = 6  # cells of a pass that are listed by name
_MOST_LISTED = 24  # cells of a job that a plan lists unasked; of more, the first `_NAMED`


def check_lines(plan: Plan, prepared: tuple[Prepared, ...]) -> Iterator[str]:
    """The validation report of a job that has been prepared, in the job's language, one line at a time."""
    job = plan.loaded.job
    worded = job_words({"lang": job.lang, "parameters": plan.loaded.data}).note
    yield worded(Note.of("job_read", path=str(plan.loaded.path), job=job.job, count=len(plan.cells)))
    printed: set[str] = set()  # cells of a sweep may read one table in several ways: equal lines stand once
    for job_data in distinct_data(prepared):
        lines = [line for line in job_data.lines(worded) if line not in printed]
        yield from lines
        printed.update(lines)
    for group in prepared:
        if len(prepared) > 1:
            labels = [cell.label for cell in group.pass_cells.cells]
            n_further = len(labels) - _NAMED
            further = [Note.of("further_cells", count=n_further)] if n_further > 0 else []
            yield worded(Note.of("for_cells", cells=[*labels[:_NAMED], *further]))
        if len(group.adoption.years) > 1:
            years = [Note.of("adopters", year=year, count=n) for year, n in group.adoption.counts().items()]
            of_units = group.adoption.of_pairs is None
            yield worded(
                Note.of("adoption_years", years=years)
                if of_units
                else Note.of("treated_pair_years", years=years)
            )
        for step in group.steps:
            yield worded(Note.of("pairs_left", step=step.step, pairs=step.pairs, rows=step.rows))
    yield worded(Note("checked"))


def plan_lines(plan: Plan, prepared: tuple[Prepared, ...], *, every_cell: bool = False) -> Iterator[str]:
    """Cells, pairs, tiles, memory and rough time of a job, one line at a time.

    Of more than `_MOST_LISTED` cells the first are listed, and all with ``every_cell``.
    """
    cells, passes = _count(len(plan.cells), "cell"), _count(len(prepared), "pass")
    yield f"{plan.loaded.path}: {plan.loaded.job.job}, {cells} in {passes}"
    n_listed = len(plan.cells) if every_cell or len(plan.cells) <= _MOST_LISTED else _NAMED
    for cell in plan.cells[:n_listed]:
        yield f"  {cell.number:>4}  {cell.id}  {cell.job.model.estimator}  {cell.label}"
    if n_listed < len(plan.cells):
        yield f"  and {len(plan.cells) - n_listed:,} more cells; --cells lists all of them"
    for number, group in enumerate(prepared, start=1):
        design = group.design
        layout = Layout(design.n_years, design.n_columns, design.complete)
        last = group.steps[-1]
        city_sums = 2 * 8 * design.n_units * design.n_classes * layout.size
        memory = min(
            memory_bytes(group.pass_cells.job.runtime.memory),
            6 * city_sums + 40 * 8 * design.chunk * layout.size,
        )
        yield (
            f"pass {number}: {_count(len(group.pass_cells.cells), 'cell')}, {last.pairs:,} of {group.steps[0].pairs:,} "
            f"pairs, {last.rows:,} rows, {layout.size} moments a pair"
        )
        yield (
            f"  {_count(design.n_tiles, 'tile')} in {_count(len(design.tasks()), 'task')}, about "
            f"{memory / 1e6:,.0f} MB of working memory a worker, "
            f"about {ENGLISH.duration(pass_seconds(group))} on two cores, compilation aside"
        )
        for count in draw_counts(group):
            of_all = " (all assignments)" if count.exact else ""
            sharing = f"shared by {_count(count.cells, 'cell')}" if count.cells > 1 else "for 1 cell"
            yield f"  {count.draws:,} {count.kind}{of_all}, {sharing}, about {ENGLISH.duration(count.seconds)}"
    yield from _draw_lines(prepared)
    yield (
        f"about {ENGLISH.duration(run_seconds(prepared))} from start to end on two cores, compilation aside; rough: "
        "other machines may take a third of it, or three times as long"
    )


def cost_lines(seconds: float, profile: Profile) -> Iterator[str]:
    """Time that so much work takes on a cluster, one line at a time."""
    hours = 2 * seconds / 3600
    line = f"about {hours:,.2g} core-hours" if hours >= 0.01 else "less than 0.01 core-hours"
    threads = getattr(profile, "threads", None) or 1
    if isinstance(profile, SSHProfile):
        n_workers = len(profile.hosts) * profile.workers
    elif isinstance(profile, SchedulerProfile):
        yield f"{line} on {profile.kind}, however many its workers are"
        return
    else:
        n_workers = profile.most
    cores = n_workers * threads
    yield (
        f"{line} on {profile.kind}: {_count(n_workers, 'worker')} with {_count(threads, 'thread')} take about "
        f"{ENGLISH.duration(max(2 * seconds / cores, 1))} at best, the wait in a queue and the start of workers aside"
    )


def _draw_lines(prepared: tuple[Prepared, ...]) -> Iterator[str]:
    """All draws of a job, one line a kind."""
    counts = [count for group in prepared for count in draw_counts(group)]
    for kind in dict.fromkeys(count.kind for count in counts):
        of_kind = [count for count in counts if count.kind == kind]
        draws = sum(count.draws for count in of_kind)
        estimates = sum(count.draws * count.cells for count in of_kind)
        yield f"in all {draws:,} {kind}, {_count(estimates, 'estimate')} of a cell"
    groups = dict.fromkeys(
        cell.job.inference.jackknife.by
        for group in prepared
        for cell in group.pass_cells.cells
        if cell.job.inference.jackknife
    )
    yield from (f"leave one {name} out" for name in groups)


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"
