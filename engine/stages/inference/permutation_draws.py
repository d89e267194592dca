"""Permutation tests of the cells of a pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from engine.arrays import Array, Integers
from engine.infer.inversion import ConfidenceSet, confidence_set, listed_pieces
from engine.infer.pair_permutation import (
    PairPermutation,
    merge_sums,
    pair_block,
    pair_permutation_estimates,
    pair_permutation_sums,
)
from engine.infer.partner_rows import DRAWS_AT_ONCE
from engine.infer.permutation import (
    OBSERVED,
    Draws,
    Permutation,
    draws_by_rows,
    draws_of,
    merge_draws,
    permutation_draws,
)
from engine.infer.permuted_sums import PermutedSample
from engine.infer.summary import (
    all_assignments,
    max_statistic_p,
    n_assignments,
    permutation_p,
)
from engine.notes import Note, of_cell
from engine.pairs.design import PairDesign
from engine.pairs.pair_statistics import TILE, YearSpans
from engine.pairs.tiles import MapReduce, serial_map_reduce
from engine.runtime.execute import Machine
from engine.spec.inference import PermutationTest
from engine.stages.draw_counts import by_path
from engine.stages.estimation import Estimated
from engine.stages.inference import pass_inputs
from engine.stages.inference.draw_collector import DrawCollector
from engine.stages.inference.instrument_draws import (
    InstrumentTest,
    accepted_effects,
    every_instrument_draw,
    instrument_draws,
    instrument_test,
    observed_instrument,
)
from engine.stages.inference.pass_inputs import (
    blocks,
    features_of,
    memory_of,
    over_pairs,
    terms_of,
    tested_of,
)
from engine.stages.inference.refitted_draws import (
    RefittedTest,
    every_refit,
    observed_draw,
    refitted_draws,
    refitted_test,
)
from engine.stages.inference_checks import permuted_by_refits, strata_of
from engine.stages.prepare_passes import Prepared

_REFITS = 4  # draws of one task
_PAIR_REPS = 500  # pair-level permutations, for the figure that shows why they are invalid
AnyTest = TypeVar("AnyTest", Permutation, RefittedTest, InstrumentTest)
DrawsOf = Callable[[AnyTest, Integers], Draws]


@dataclass(frozen=True)
class CellDraws:
    """Draws of the tested coefficients of one cell.

    Attributes
    ----------
    cell : Estimated
    terms : tuple of str
    draws : Draws
    observed : Draws
        Of the assignment that happened.
    number : int
        Position of the cell in both.
    exact : bool
        The draws are all assignments.
    has_inversion : bool
        The draws say what a hypothesised effect would make of them.
    of_instrument : bool
        The instrument is reassigned, not adoption: estimates are those of the reduced form.
    """

    cell: Estimated
    terms: tuple[str, ...]
    draws: Draws
    observed: Draws
    number: int
    exact: bool
    has_inversion: bool
    of_instrument: bool = False


def permutation_test(
    prepared: Prepared,
    cells: list[Estimated],
    block: PermutationTest,
    *,
    studentise: bool = True,
    invert: bool = True,
    map_reduce: MapReduce = serial_map_reduce,
) -> Permutation:
    """The permutation test of some cells of a pass."""
    design = prepared.design
    screened = design.sample.n_kept is not None
    recompute = block.screen == "recomputed" and screened and not design.sample.allowed.all()
    observed = _common_path(prepared, cells) if studentise and invert else None
    spans, span = _spans_of_years(design)
    every_third, split = design.uncut()
    uncut = replace(prepared, design=every_third)
    sample = PermutedSample(
        pairs=features_of(
            uncut, every_screen=recompute, observed=observed, spans=spans, map_reduce=map_reduce
        ),
        classes=design.classes,
        allowed=design.sample.allowed,
        recompute=recompute,
        n_ranked=design.sample.n_ranked,
        span=span,
        split=split,
    )
    tested = tuple(
        tested_of(prepared, cell, _requested_terms(cell), observed=observed is not None) for cell in cells
    )
    strata = strata_of(prepared.pass_cells.data, design.sample, block.strata)
    return Permutation(sample, strata, block.seed, tested, studentise)


def _spans_of_years(design: PairDesign) -> tuple[YearSpans | None, Integers | None]:
    """Sets of years of which types of pairs have statistics, and which each type has; None where all have one."""
    rows, untreated, h = design.kept_rows, design.untreated, design.n_classes
    sets = [flags for flags in (rows, untreated) if flags is not None]
    if untreated is None and (rows is None or (rows == rows[0, 0]).all()):
        return None, None
    allowed = design.allowed
    spans, number = np.unique(np.stack(sets, axis=2)[allowed], axis=0, return_inverse=True)
    of_type = np.zeros((h, h), dtype=np.int32)
    of_type[allowed] = number.ravel()
    kept = None if rows is None else spans[:, 0]
    return YearSpans(kept, None if untreated is None else spans[:, -1]), of_type


def _common_path(prepared: Prepared, cells: list[Estimated]) -> Array | None:
    """The treatment path by classes where all cells have the same single treatment term, else None.

    Only then can the test be inverted into an interval: under a reassignment pairs of two treated cities enter
    the sample, and the effect they are taken to have is that of the cell's own rule.
    """
    (of_first, *of_others) = (terms_of(prepared, cell).single_path for cell in cells)
    alike = of_first is not None and all(
        path is not None and np.array_equal(path, of_first) for path in of_others
    )
    return of_first if alike else None


def _requested_terms(cell: Estimated) -> list[str] | None:
    block = cell.cell.job.inference.permutation
    return block.terms if block else None


def _exact_block(test: Permutation, classes: Integers) -> Draws:
    """Draws of some assignments."""
    return draws_of(test, classes, np.arange(len(classes), dtype=np.int32))


def draws_at_once(test: Permutation, memory: float) -> int:
    """Draws of one task: a power of two, so that the devices of a process share them equally.

    A block's sums take at most a 32nd of the memory, since a process may work on several; where the table of
    statistics is not kept, but computed twice for every block, an eighth and longer blocks. An accelerator has
    memory of its own.
    """
    pairs, h = test.sample.pairs, test.sample.n_classes
    if draws_by_rows(test.sample):
        return DRAWS_AT_ONCE
    n_terms = sum(len(cell.tested) for cell in test.cells) if test.studentise else 0
    by_type = 2 * h * h + 2 * len(test.sample.types)
    bytes_per_draw = 8 * (4 * n_terms * pairs.n_units + by_type * pairs.width + 12 * TILE)
    fitting = memory / (32 if pairs.in_memory else 8) / bytes_per_draw
    largest = pass_inputs.BLOCK * (1 if pairs.in_memory else 4)
    return pass_inputs.draws_that_fit(fitting, largest)


def permute(
    machine: Machine,
    prepared: Prepared,
    cells: list[Estimated],
    block: PermutationTest,
    collector: DrawCollector,
) -> None:
    """Permutations of adoption among the cities, for cells that share a pass: by sums by type, or refit by refit."""
    by_sums = [cell for cell in cells if not permuted_by_refits(cell.cell.job)]
    for group in by_path(prepared, by_sums, lambda estimated: estimated.cell):
        _permute_by_sums(machine, prepared, group, block, collector)
    for cell in cells:
        if permuted_by_refits(cell.cell.job):
            refits = _instrument_refits if cell.instrument is not None else _refits
            cell_draws = refits(machine, prepared, cell, block)
            _note_enumeration(collector, cell_draws.draws, exact=cell_draws.exact)
            _cell_rows(collector, cell_draws)


def _refits(machine: Machine, prepared: Prepared, cell: Estimated, block: PermutationTest) -> CellDraws:
    test = refitted_test(prepared, cell, block)
    roads, codes = (refitted_draws, every_refit), (test.sample.classes, test.strata)
    draws, exact = _draws(machine, test, codes, roads, block.reps, _REFITS)
    observed = observed_draw(cell, test.tested)
    return CellDraws(cell, test.tested, draws, observed, 0, exact, has_inversion=False)


def _instrument_refits(
    machine: Machine, prepared: Prepared, cell: Estimated, block: PermutationTest
) -> CellDraws:
    test = instrument_test(prepared, cell)
    roads, codes = (instrument_draws, every_instrument_draw), (test.cities, test.strata)
    draws, exact = _draws(machine, test, codes, roads, block.reps, _REFITS)
    terms = tuple(cell.fit.names[place] for place in cell.fit.tested_positions)
    observed = observed_instrument(test)
    return CellDraws(cell, terms, draws, observed, 0, exact, has_inversion=True, of_instrument=True)


def _permute_by_sums(
    machine: Machine,
    prepared: Prepared,
    cells: list[Estimated],
    block: PermutationTest,
    collector: DrawCollector,
) -> None:
    """Draws of all cells from one set of sums, and pair-level permutations beside them."""
    test = permutation_test(prepared, cells, block, map_reduce=over_pairs(machine))
    roads, codes = (permutation_draws, _exact_block), (test.sample.classes, test.strata)
    at_once = draws_at_once(test, memory_of(prepared))
    draws, exact = _draws(machine, test, codes, roads, block.reps, at_once)
    _note_enumeration(collector, draws, exact=exact)
    # On the machine too: whoever made draws has the table.
    replicates = [np.array([OBSERVED], dtype=np.int32)]
    observed = machine.reduce(permutation_draws, test, replicates, merge_draws, label="observed")
    of_pairs = PairPermutation(test.sample, block.seed, pair_block(test.sample, _PAIR_REPS))
    tasks = blocks(_PAIR_REPS, of_pairs.block)
    sums = machine.reduce(pair_permutation_sums, of_pairs, tasks, merge_sums, label="pair permutations")
    for number, (cell, regression) in enumerate(zip(cells, test.cells, strict=True)):
        names = tuple(cell.fit.names[place] for place in regression.tested)
        is_inverted = regression.observed is not None
        cell_draws = CellDraws(cell, names, draws, observed, number, exact, has_inversion=is_inverted)
        _cell_rows(collector, cell_draws)
        estimates = pair_permutation_estimates(test.sample, regression, sums)
        for term, estimate in zip(cell_draws.terms, estimates.T, strict=True):
            no_statistic, of_draws = np.full(_PAIR_REPS, np.nan), np.arange(_PAIR_REPS, dtype=np.int32)
            collector.draw(cell.cell.id, "pair_shuffle", of_draws, term, estimate, no_statistic)


def _draws(
    machine: Machine,
    test: AnyTest,
    codes: tuple[Integers, Integers | None],
    roads: tuple[DrawsOf[AnyTest], DrawsOf[AnyTest]],
    reps: int,
    at_once: int,
) -> tuple[Draws, bool]:
    """Draws of a test, and whether they are all assignments: they are where there are no more than ``reps``.

    ``codes``: what is reassigned ``[n_units]``, and strata. ``roads``: draws of the test for numbers of replicates, and
    for assignments.
    """
    draws_of_numbers, draws_of_assignments = roads
    n_ways = n_assignments(*codes)
    if n_ways > reps:
        tasks = blocks(reps, at_once)
        return machine.reduce(draws_of_numbers, test, tasks, merge_draws, label="permutations"), False
    assignments = all_assignments(*codes)
    tasks = [assignments[of_task] for of_task in blocks(n_ways, at_once)]
    draws = machine.reduce(draws_of_assignments, test, tasks, merge_draws, label="permutations")
    return replace(draws, replicates=np.arange(n_ways, dtype=np.int32)), True  # each block counts from 0


def _note_enumeration(collector: DrawCollector, draws: Draws, *, exact: bool) -> None:
    if exact:
        collector.notes.append(Note.of("permutations_enumerated", count=len(draws.replicates)))


def _cell_rows(collector: DrawCollector, cell_draws: CellDraws) -> None:
    _term_rows(collector, cell_draws)
    _joint_row(collector, cell_draws)
    _notes(collector, cell_draws)


def _term_rows(collector: DrawCollector, cell_draws: CellDraws) -> None:
    """Tests by t ratio and by coefficient of each tested term, and its draws."""
    cell, draws, number, exact = cell_draws.cell, cell_draws.draws, cell_draws.number, cell_draws.exact
    estimate, statistic = draws.estimate[number], draws.statistic[number]
    observed = cell_draws.observed
    inverted = _inverted(cell_draws)
    low, high = inverted.low, inverted.high
    if len(inverted.pieces) > 1:
        note = Note.of(
            "permutation_set_in_pieces", count=len(inverted.pieces), pieces=listed_pieces(inverted)
        )
        collector.notes.append(of_cell(cell.cell.label, note))
    for k, term in enumerate(cell_draws.terms):
        t, b = float(observed.statistic[number][0, k]), float(observed.estimate[number][0, k])
        method = "permutation_instrument" if cell_draws.of_instrument else "permutation"
        p = permutation_p(t, statistic[:, k], exact=exact)
        collector.row(
            cell.cell.id, term, method, reps=p.draws, statistic=t, p_value=p.value,
            conf_low=low, conf_high=high, mc_error=p.error,
        )  # fmt: skip
        collector.draw(cell.cell.id, method, draws.replicates, term, estimate[:, k], statistic[:, k])
        if cell_draws.of_instrument:
            continue
        p = permutation_p(b, estimate[:, k], exact=exact)
        collector.row(
            cell.cell.id, term, "permutation_coefficient", reps=p.draws, statistic=b, p_value=p.value,
            mc_error=p.error,
        )  # fmt: skip


def _inverted(of_cell: CellDraws) -> ConfidenceSet:
    """The inverted test of a single tested term; NaN where it cannot be inverted."""
    number, draws, observed = of_cell.number, of_cell.draws, of_cell.observed
    confidence = of_cell.cell.cell.job.model.confidence
    if not of_cell.has_inversion or len(of_cell.terms) > 1:
        return ConfidenceSet(((np.nan, np.nan),))
    if of_cell.of_instrument:
        return accepted_effects(observed, draws, confidence=confidence, exact=of_cell.exact)
    b, t = observed.estimate[number][0, 0], observed.statistic[number][0, 0]
    return confidence_set(
        float(b), float(b / t), draws.estimate[number][:, 0], draws.inversion[number],
        confidence=confidence, exact=of_cell.exact,
    )  # fmt: skip


def _joint_row(collector: DrawCollector, of_cell: CellDraws) -> None:
    """The joint test of several terms by the largest absolute t ratio."""
    if len(of_cell.terms) < 2:
        return
    observed = of_cell.observed.statistic[of_cell.number][0]
    p = max_statistic_p(observed, of_cell.draws.statistic[of_cell.number], exact=of_cell.exact)
    collector.row(
        of_cell.cell.cell.id, "joint", "permutation_max_t", reps=p.draws,
        statistic=float(np.abs(observed).max()), p_value=p.value, mc_error=p.error,
    )  # fmt: skip


def _notes(collector: DrawCollector, cell_draws: CellDraws) -> None:
    """Notes on draws without an estimate, and on those whose dyadic variance was not positive."""
    label, number = cell_draws.cell.cell.label, cell_draws.number
    n_unidentified = int(np.isnan(cell_draws.draws.estimate[number]).any(axis=1).sum())
    if n_unidentified:
        collector.notes.append(of_cell(label, Note.of("permutations_unidentified", count=n_unidentified)))
    n_replaced = int(cell_draws.draws.fallback[number])
    if n_replaced:
        collector.notes.append(of_cell(label, Note.of("permutations_not_positive", count=n_replaced)))
