"""Draws that a job will make, counted and timed without making any. Never imports JAX.

The seconds are rough: rates measured on a quiet machine of two cores (see tests/benchmarks), times pairs, moments and
draws. Compilation is left out; elsewhere they hold to within a factor of about three.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from engine.infer.summary import n_assignments
from engine.pairs.moments import Layout
from engine.spec import Cell
from engine.spec.block import Block
from engine.spec.inference import Bootstrap, PermutationTest
from engine.stages.inference_checks import permuted_by_refits, reassigned, strata_codes
from engine.stages.prepare_passes import Prepared
from engine.stages.treatment_terms import reported_names

SECONDS_PER_VALUE = 3e-10
"""Rough cost of one moment of one pair on two cores."""
_PER_SUM, _PER_WEIGHTED = 4e-11, 6e-11
"""The same of one moment of one pair in one draw of a permutation or node bootstrap, and, for each cell of a bootstrap,
once more."""
_PER_INFLUENCE = 5e-9
"""Of the influence of one pair on one tested coefficient in one draw of a permutation, for each type of the sample: a
pair may become of any."""
_PER_CITY = 1e-7
"""Of one city in one draw of city scores (multiplier, wild), for each cell."""
_PER_PART, _TWO_WAY = 2e-10, 40
"""Of one regressor, years among them, of one pair in one draw of the two-way wild bootstrap; and what a pair takes
beside them, in regressors."""
_PER_REFIT, _PER_REFITTED_VALUE = 0.006, 1.3e-8
"""Of one draw of a cell that is refitted: what it takes whatever its size, and one moment of one pair."""
_PER_PIPELINE = 0.02
"""Of one draw of the pipeline beside its pass: a panel, its index and its design are made anew."""

AnyCell = TypeVar("AnyCell")
AnyBlock = TypeVar("AnyBlock", bound=Block)


@dataclass(frozen=True)
class DrawCount:
    """Draws that some cells of a pass share.

    Attributes
    ----------
    kind : str
        "permutations", or "node bootstrap draws" and the like.
    draws : int
        Replicates; all assignments of a permutation test where there are no more than ``reps``.
    cells : int
        Cells that share them; each gets an estimate of every draw.
    seconds : float
        Rough, on two cores.
    exact : bool
        All assignments are enumerated.
    passes : int
        Passes of equal length that make the draws, one after the other.
    """

    kind: str
    draws: int
    cells: int
    seconds: float
    exact: bool = False
    passes: int = 1


def by_block(
    cells: Iterable[AnyCell], block_of: Callable[[AnyCell], AnyBlock | None]
) -> list[tuple[AnyBlock, list[AnyCell]]]:
    """Cells that request the same inference, with their block: they share draws.

    Parameters
    ----------
    cells : iterable
        Cells of a pass, or their estimates.
    block_of : callable
        The permutation, bootstrap or jackknife of a cell's job; None where it has none.
    """
    groups: dict[str, tuple[AnyBlock, list[AnyCell]]] = {}
    for cell in cells:
        block = block_of(cell)
        if block is not None:
            content = json.dumps(block.model_dump(exclude={"terms"}), sort_keys=True)
            groups.setdefault(content, (block, []))[1].append(cell)
    return list(groups.values())


def by_path(
    prepared: Prepared, cells: Iterable[AnyCell], cell_of: Callable[[AnyCell], Cell]
) -> list[list[AnyCell]]:
    """Cells whose permutations share their sums: those of one treatment path, and those of several terms.

    An interval by inversion takes the treatment that happened off the outcome, so that sums are of one path. Every cell
    has the draws and the interval that it has in a job of its own.
    """
    groups: dict[bytes | None, list[AnyCell]] = {}
    for cell in cells:
        path = prepared.terms[prepared.pass_cells.cells.index(cell_of(cell))].single_path
        groups.setdefault(None if path is None else path.tobytes(), []).append(cell)
    return list(groups.values())


def draw_counts(prepared: Prepared) -> list[DrawCount]:
    """The draws of a pass, one entry for every block of inference that differs, and for cells that share no sums."""
    cells = prepared.pass_cells.cells
    permuted = by_block(cells, lambda cell: cell.job.inference.permutation)
    resampled = by_block(cells, lambda cell: cell.job.inference.bootstrap)
    return [
        *(count for block, group in permuted for count in _permutations(prepared, block, group)),
        *(_bootstraps(prepared, block, len(group)) for block, group in resampled),
    ]


def pass_seconds(prepared: Prepared) -> float:
    """Rough seconds of the passes over the pairs, on two cores."""
    pairs = prepared.steps[-1].pairs
    return SECONDS_PER_VALUE * pairs * moments(prepared) * (2 + len(prepared.pass_cells.cells))


def moments(prepared: Prepared) -> int:
    """Moments of one pair."""
    design = prepared.design
    return Layout(design.n_years, design.n_columns, design.complete).size


def _permutations(prepared: Prepared, block: PermutationTest, cells: Sequence[Cell]) -> Iterator[DrawCount]:
    """A permutation reads every pair that some assignment lets in; cells that are refitted, each again."""
    strata = strata_codes(prepared.pass_cells.data, block.strata)
    ways = n_assignments(reassigned(cells[0].job, prepared.design), strata)
    draws, exact = min(ways, block.reps), ways <= block.reps
    pairs = prepared.steps[-2].pairs if len(prepared.steps) > 1 else prepared.steps[-1].pairs
    contracted = [cell for cell in cells if not permuted_by_refits(cell.job)]
    for group in by_path(prepared, contracted, lambda cell: cell):
        seconds = _permuted(prepared, pairs, draws, group)
        yield DrawCount("permutations", draws, len(group), seconds, exact)
    n_refitted = len(cells) - len(contracted)
    if n_refitted:
        seconds = draws * n_refitted * (_PER_REFIT + _PER_REFITTED_VALUE * pairs * moments(prepared))
        yield DrawCount("permutations", draws, n_refitted, seconds, exact, n_refitted)


def _bootstraps(prepared: Prepared, block: Bootstrap, cells: int) -> DrawCount:
    if block.kind == "node":
        each = moments(prepared) * (_PER_SUM + _PER_WEIGHTED * cells)
        seconds = each * prepared.steps[-1].pairs * block.reps
    elif block.kind == "pipeline":
        seconds = block.reps * (_PER_PIPELINE + pass_seconds(prepared))
    elif block.kind == "two_way_wild":
        seconds = _two_way(prepared) * block.reps * cells
    else:
        seconds = _PER_CITY * block.reps * prepared.design.n_units * cells
    passes = cells if block.kind == "two_way_wild" else 1
    return DrawCount(f"{block.kind} bootstrap draws", block.reps, cells, seconds, passes=passes)


def _two_way(prepared: Prepared) -> float:
    """Seconds of one draw of one cell, every tested coefficient of it."""
    design = prepared.design
    n_regressors = design.n_years + design.n_columns
    n_tested = max(1, *(len(terms.names) for terms in prepared.terms))
    return _PER_PART * (n_regressors + _TWO_WAY) * prepared.steps[-1].pairs * n_tested


def _permuted(prepared: Prepared, pairs: int, draws: int, cells: Sequence[Cell]) -> float:
    """Seconds of permutations that contract the moments of the pairs."""
    allowed = np.triu(prepared.design.allowed)
    coefficients = sum(n_tested(prepared, cell) for cell in cells)
    influences = _PER_INFLUENCE * int(np.count_nonzero(allowed)) * coefficients
    return pairs * draws * (_PER_SUM * moments(prepared) + influences)


def n_tested(prepared: Prepared, cell: Cell) -> int:
    """Coefficients that a permutation of the cell tests: those it names, or all that are reported of the treatment."""
    block, terms = cell.job.inference.permutation, prepared.terms[prepared.pass_cells.cells.index(cell)]
    named = block.terms if block is not None else None
    return max(1, len(named or reported_names(cell.job, terms)))
