"""How long a run of a job takes: rough seconds of its stages, before anything runs. Never imports JAX.

The seconds are of a process of its own on a quiet machine of two cores, kernels compiled by an earlier run. Most jobs
are short, so that what they take whatever their size counts most; it was fitted to runs of the shipped jobs, and
``tests/benchmarks/bench_run_time.py`` compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.runtime.schedule import Stages
from engine.stages.draw_counts import by_block, draw_counts, pass_seconds
from engine.stages.prepare_passes import Prepared

START = 5.0
"""Of the process: Python, JAX, the job file, and files of results."""
_FIRST_PASS, _PER_PASS, _PER_CELL, _PER_ESTIMATOR = 0.6, 0.25, 0.01, 0.9
"""Beside the pairs: of the first pass, of each, of a cell, and of an estimator that the job has beside its first."""
_PER_BLOCK, _PER_TERM = 0.9, 0.05
"""Of one kind of draws, or of a jackknife, in one pass beside the draws themselves, and of a term that it tests."""
_RESULTS, _PER_KIND, _PER_FIGURE = 2.5, 1.0, 1.1
"""Of tables and a figure, of the figure of a kind of inference, and of a further event study, or of all in one."""


def expected_stages(prepared: Sequence[Prepared]) -> Stages:
    """Label and seconds of what follows when the passes are prepared, in the order in which they run."""
    draws = list(_draws(prepared))
    kinds = {label for label, _ in draws}
    results = _RESULTS + _PER_KIND * len(kinds) + _PER_FIGURE * _further_figures(prepared)
    return [*_passes(prepared), *draws, ("results", results)]


def run_seconds(prepared: Sequence[Prepared]) -> float:
    """Rough seconds of a run on two cores, from its start to its end, compilation aside."""
    return START + stage_seconds(prepared)


def stage_seconds(prepared: Sequence[Prepared]) -> float:
    """Those of a run in a process that has started."""
    return sum(seconds for _, seconds in expected_stages(prepared))


def work_seconds(prepared: Sequence[Prepared]) -> float:
    """Those of passes and draws, which workers can share."""
    return sum(seconds for _, seconds in (*_passes(prepared), *_draws(prepared)))


def _passes(prepared: Sequence[Prepared]) -> Iterator[tuple[str, float]]:
    estimators: set[str] = set()
    for number, one_pass in enumerate(prepared):
        cells, n_before = one_pass.pass_cells.cells, max(1, len(estimators))
        estimators |= {cell.job.model.estimator for cell in cells}
        fixed = _PER_PASS + _PER_CELL * len(cells) + _PER_ESTIMATOR * (len(estimators) - n_before)
        yield "moments", pass_seconds(one_pass) + fixed + (0.0 if number else _FIRST_PASS)


def _further_figures(prepared: Sequence[Prepared]) -> int:
    """Event studies beside the first, and the one of all where there are several."""
    cells = [cell for one_pass in prepared for cell in one_pass.pass_cells.cells]
    studies = sum(cell.job.model.registered.by_event_time for cell in cells)
    return studies if studies > 1 else 0


def _draws(prepared: Sequence[Prepared]) -> Iterator[tuple[str, float]]:
    for one_pass in prepared:
        fixed = _PER_BLOCK + _PER_TERM * max(1, *(len(terms.names) for terms in one_pass.terms))
        for count in draw_counts(one_pass):
            label = "permutations" if count.kind == "permutations" else "bootstrap"
            for _ in range(count.passes):
                yield label, (count.seconds + fixed) / count.passes
        for _ in by_block(one_pass.pass_cells.cells, lambda cell: cell.job.inference.jackknife):
            yield "left out", fixed
