"""Lines that ``dyadid check`` and ``dyadid plan`` print. Never imports JAX: login nodes answer fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from engine.notes import Note
from engine.pairs.moments import Layout
from engine.report.language.wording import job_words, shared_words
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
    """Cells, pairs, tiles, memory and rough time of a job, in its language, one line at a time.

    Of more than `_MOST_LISTED` cells the first are listed, and all with ``every_cell``.
    """
    job, n_cells = plan.loaded.job, len(plan.cells)
    worded = job_words({"lang": job.lang, "parameters": plan.loaded.data}).note
    yield worded(
        Note.of("job_planned", path=str(plan.loaded.path), job=job.job, count=n_cells, passes=len(prepared))
    )
    n_listed = n_cells if every_cell or n_cells <= _MOST_LISTED else _NAMED
    for cell in plan.cells[:n_listed]:
        yield f"  {cell.number:>4}  {cell.id}  {cell.job.model.estimator}  {cell.label}"
    if n_listed < n_cells:
        yield worded(Note.of("cells_not_listed", count=n_cells - n_listed))
    for number, group in enumerate(prepared, start=1):
        yield from map(worded, _pass_notes(number, group))
    yield from map(worded, _draw_notes(prepared))
    yield worded(Note.of("planned_time", seconds=run_seconds(prepared)))


def _pass_notes(number: int, group: Prepared) -> Iterator[Note]:
    """Size, memory and time of a pass, and the draws of its cells."""
    design, last = group.design, group.steps[-1]
    layout = Layout(design.n_years, design.n_columns, design.complete)
    city_sums = 2 * 8 * design.n_units * design.n_classes * layout.size
    memory = min(
        memory_bytes(group.pass_cells.job.runtime.memory),
        6 * city_sums + 40 * 8 * design.chunk * layout.size,
    )
    yield Note.of(
        "planned_pass",
        number=number,
        count=len(group.pass_cells.cells),
        pairs=last.pairs,
        total=group.steps[0].pairs,
        rows=last.rows,
        moments=layout.size,
    )
    yield Note.of(
        "planned_tiles",
        tiles=design.n_tiles,
        tasks=len(design.tasks()),
        memory=memory / 1e6,
        seconds=pass_seconds(group),
    )
    for count in draw_counts(group):
        yield Note.of(
            "planned_draws",
            draws=count.draws,
            kind=count.kind,
            exact=Note("all_assignments") if count.exact else "",
            cells=Note.of("shared_draws", count=count.cells)
            if count.cells > 1
            else Note("draws_of_one_cell"),
            seconds=count.seconds,
        )


def cost_lines(seconds: float, profile: Profile, langs: Iterable[str] = ()) -> Iterator[str]:
    """Time that so much work takes on a cluster, in the language of all jobs, one line at a time."""
    worded, hours = shared_words(langs).note, 2 * seconds / 3600
    cost = Note.of("core_hours", hours=hours) if hours >= 0.01 else Note("few_core_hours")
    threads = getattr(profile, "threads", None) or 1
    if isinstance(profile, SSHProfile):
        n_workers = len(profile.hosts) * profile.workers
    elif isinstance(profile, SchedulerProfile):
        yield worded(Note.of("cost_of_scheduler", cost=cost, kind=profile.kind))
        return
    else:
        n_workers = profile.most
    least = max(2 * seconds / (n_workers * threads), 1)
    yield worded(
        Note.of(
            "cost_of_workers", cost=cost, kind=profile.kind, workers=n_workers, threads=threads, seconds=least
        )
    )


def _draw_notes(prepared: tuple[Prepared, ...]) -> Iterator[Note]:
    """All draws of a job, one note a kind, and what is left out in turn."""
    counts = [count for group in prepared for count in draw_counts(group)]
    for kind in dict.fromkeys(count.kind for count in counts):
        of_kind = [count for count in counts if count.kind == kind]
        draws = sum(count.draws for count in of_kind)
        estimates = sum(count.draws * count.cells for count in of_kind)
        yield Note.of("planned_draws_in_all", draws=draws, kind=kind, estimates=estimates)
    groups = dict.fromkeys(
        cell.job.inference.jackknife.by
        for group in prepared
        for cell in group.pass_cells.cells
        if cell.job.inference.jackknife
    )
    yield from (Note.of("planned_leave_outs", group=name) for name in groups)
