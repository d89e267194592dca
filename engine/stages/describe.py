"""What ``dyadid check`` and ``dyadid plan`` print. Never imports JAX: login nodes answer fast."""

from __future__ import annotations

from collections.abc import Iterator

from engine.pairs.design import PanelDesign
from engine.pairs.moments import Layout
from engine.report.language.wording import ENGLISH
from engine.spec import Plan
from engine.spec.cluster import Profile, SchedulerProfile, SSHProfile
from engine.stages.draw_counts import draw_counts, pass_seconds
from engine.stages.load_data import CityData
from engine.stages.memory import memory_bytes
from engine.stages.prepare_passes import Prepared, distinct_data

_NAMED = 6  # cells of a pass that are listed by name


def check_lines(plan: Plan, prepared: tuple[Prepared, ...]) -> Iterator[str]:
    """The validation report of a job that has been prepared, one line at a time."""
    yield f"{plan.loaded.path}: {plan.loaded.job.job}, {_count(len(plan.cells), 'cell')}"
    shown: set[str] = (
        set()
    )  # cells of a sweep may read one table in several ways: what is the same stands once
    for one in distinct_data(prepared):
        if isinstance(one, CityData):
            yield one.source.description
            yield from one.validation.lines(ENGLISH.note)
            for name, index in one.indices.items():
                weights = ", ".join(f"{n} {w:.3f}" for n, w in zip(index.names, index.weights, strict=True))
                yield f"index {name}: {weights}"
        else:
            lines = [line for line in one.validation.lines(ENGLISH.note) if line not in shown]
            yield from lines
            shown.update(lines)
    for group in prepared:
        if len(prepared) > 1:
            labels = [cell.label for cell in group.shared.cells]
            more = [f"{len(labels) - _NAMED} more"] if len(labels) > _NAMED else []
            yield "for " + "; ".join([*labels[:_NAMED], *more]) + ":"
        if group.adoption is not None:
            yield "adoption: " + ", ".join(f"{year}: {n}" for year, n in group.adoption.counts().items())
        for step in group.steps:
            yield f"{ENGLISH.note(step.step)}: {step.pairs:,} pairs, {step.rows:,} rows"
    yield "ok"


def plan_lines(plan: Plan, prepared: tuple[Prepared, ...]) -> Iterator[str]:
    """Cells, pairs, tiles, memory and rough time of a job, one line at a time."""
    cells, passes = _count(len(plan.cells), "cell"), _count(len(prepared), "pass")
    yield f"{plan.loaded.path}: {plan.loaded.job.job}, {cells} in {passes}"
    for cell in plan.cells:
        yield f"  {cell.number:>4}  {cell.id}  {cell.job.model.estimator}  {cell.label}"
    for number, group in enumerate(prepared, start=1):
        design = group.design
        layout = Layout(design.n_years, design.n_columns, design.complete)
        last = group.steps[-1]
        tasks = design.tasks()
        tiles = sum(len(task) for task in tasks) if isinstance(design, PanelDesign) else len(tasks)
        city_sums = 2 * 8 * design.n_units * design.n_classes * layout.size
        memory = min(
            memory_bytes(group.shared.job.runtime.memory), 6 * city_sums + 40 * 8 * design.chunk * layout.size
        )
        yield (
            f"pass {number}: {_count(len(group.shared.cells), 'cell')}, {last.pairs:,} of {group.steps[0].pairs:,} "
            f"pairs, {last.rows:,} rows, {layout.size} moments a pair"
        )
        yield (
            f"  {_count(tiles, 'tile')} in {_count(len(tasks), 'task')}, about {memory / 1e6:,.0f} MB of working "
            f"memory a worker, about {_seconds(pass_seconds(group))} on two cores, compilation aside"
        )
        for count in draw_counts(group):
            of_all = " (all assignments)" if count.exact else ""
            shared = f"shared by {_count(count.cells, 'cell')}" if count.cells > 1 else "for 1 cell"
            yield f"  {count.draws:,} {count.kind}{of_all}, {shared}, about {_seconds(count.seconds)}"
    yield from _draw_lines(prepared)


def cost(prepared: tuple[Prepared, ...]) -> float:
    """Rough seconds of a job on two cores: its passes and its draws, compilation aside."""
    return sum(pass_seconds(group) + sum(count.seconds for count in draw_counts(group)) for group in prepared)


def cost_lines(seconds: float, profile: Profile) -> Iterator[str]:
    """What so much work means on a cluster, one line at a time."""
    hours = 2 * seconds / 3600
    line = f"about {hours:,.2g} core-hours"
    threads = getattr(profile, "threads", None) or 1
    if isinstance(profile, SSHProfile):
        most = len(profile.hosts) * profile.workers
    elif isinstance(profile, SchedulerProfile):
        yield f"{line} on {profile.kind}, however many its workers are"
        return
    else:
        most = profile.most
    cores = most * threads
    yield (
        f"{line} on {profile.kind}: {_count(most, 'worker')} with {_count(threads, 'thread')} take about "
        f"{max(2 * seconds / cores, 1):,.0f} s at best, the wait in a queue and the start of workers aside"
    )


def _draw_lines(prepared: tuple[Prepared, ...]) -> Iterator[str]:
    """All draws of a job, one line a kind, and what passes and draws take together."""
    counts = [count for group in prepared for count in draw_counts(group)]
    for kind in dict.fromkeys(count.kind for count in counts):
        same = [count for count in counts if count.kind == kind]
        draws, estimates = (
            sum(count.draws for count in same),
            sum(count.draws * count.cells for count in same),
        )
        yield f"in all {draws:,} {kind}, {_count(estimates, 'estimate')} of a cell"
    groups = dict.fromkeys(
        cell.job.inference.jackknife.by
        for group in prepared
        for cell in group.shared.cells
        if cell.job.inference.jackknife
    )
    yield from (f"leave one {name} out" for name in groups)
    if counts:
        yield (
            f"about {_seconds(cost(prepared))} on two cores in all, compilation aside; rough: other machines may "
            "take a third of it, or three times as long"
        )


def _seconds(seconds: float) -> str:
    return f"{max(seconds, 0.1):,.1f} s" if seconds < 100 else f"{seconds:,.0f} s"


def _count(number: int, what: str) -> str:
    plural = what + ("es" if what.endswith("s") else "s")
    return f"{number:,} {what if number == 1 else plural}"
