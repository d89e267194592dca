"""What ``dyadid check`` and ``dyadid plan`` print. Never imports JAX: login nodes answer fast."""

from __future__ import annotations

from collections.abc import Iterator

from engine.pairs.design import PanelDesign
from engine.pairs.moments import Layout
from engine.spec import Plan
from engine.spec.inference import Inference
from engine.stages.data import CityData
from engine.stages.design import memory_bytes
from engine.stages.prepare import Prepared, distinct_data

_NAMED = 6  # cells of a pass that are listed by name
_SECONDS_PER_VALUE = 3e-10
"""Rough cost of one moment of one pair on two cores; measured, see tests/benchmarks."""


def check_lines(plan: Plan, prepared: tuple[Prepared, ...]) -> Iterator[str]:
    """The validation report of a job that has been prepared, one line at a time."""
    yield f"{plan.loaded.path}: {plan.loaded.job.job}, {_count(len(plan.cells), 'cell')}"
    for one in distinct_data(prepared):
        if isinstance(one, CityData):
            yield one.source.description
            yield from one.validation.lines()
            for name, index in one.indices.items():
                weights = ", ".join(f"{n} {w:.3f}" for n, w in zip(index.names, index.weights, strict=True))
                yield f"index {name}: {weights}"
        else:
            pairs = one.pairs
            yield f"{one.source.name}: {len(pairs.units)} units, {pairs.years[0]} to {pairs.years[-1]}"
    for group in prepared:
        if len(prepared) > 1:
            labels = [cell.label for cell in group.shared.cells]
            more = [f"{len(labels) - _NAMED} more"] if len(labels) > _NAMED else []
            yield "for " + "; ".join([*labels[:_NAMED], *more]) + ":"
        if group.adoption is not None:
            yield "adoption: " + ", ".join(f"{year}: {n}" for year, n in group.adoption.counts().items())
        for step in group.steps:
            yield f"{step.step}: {step.pairs:,} pairs, {step.rows:,} rows"
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
        seconds = _SECONDS_PER_VALUE * last.pairs * layout.size * (2 + len(group.shared.cells))
        yield (
            f"pass {number}: {_count(len(group.shared.cells), 'cell')}, {last.pairs:,} of {group.steps[0].pairs:,} "
            f"pairs, {last.rows:,} rows, {layout.size} moments a pair"
        )
        yield (
            f"  {_count(tiles, 'tile')} in {_count(len(tasks), 'task')}, about {memory / 1e6:,.0f} MB of working "
            f"memory a worker, about {max(seconds, 0.1):,.1f} s on two cores, compilation aside"
        )
    yield from dict.fromkeys(line for cell in plan.cells for line in _draws(cell.job.inference))


def _draws(inference: Inference) -> Iterator[str]:
    """How many draws a cell asks for, one line a kind."""
    if inference.permutation:
        yield f"permutations: {inference.permutation.reps:,} a cell, shared by the cells of a pass"
    if inference.bootstrap:
        yield f"{inference.bootstrap.kind} bootstrap: {inference.bootstrap.reps:,} draws a cell"
    if inference.jackknife:
        yield f"leave one {inference.jackknife.by} out"


def _count(number: int, what: str) -> str:
    plural = what + ("es" if what.endswith("s") else "s")
    return f"{number:,} {what if number == 1 else plural}"
