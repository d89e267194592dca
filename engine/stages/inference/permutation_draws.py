"""Permutation tests of the cells of a pass."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from engine.arrays import Array, Integers
from engine.estimate.many_samples import Tested
from engine.infer.pair_permutation import (
    PairPermutation,
    merge_sums,
    pair_block,
    pair_permutation_estimates,
    pair_permutation_sums,
)
from engine.infer.permutation import (
    OBSERVED,
    Draws,
    Permutation,
    draws_of,
    merge_draws,
    permutation_draws,
)
from engine.infer.permuted_sums import PermutedSample
from engine.infer.summary import (
    all_assignments,
    inverted_interval,
    max_statistic_p,
    n_assignments,
    permutation_p,
)
from engine.notes import Note, of_cell
from engine.pairs.design import PairDesign
from engine.pairs.features import TILE
from engine.pairs.tiles import Over, in_turn
from engine.runtime.execute import Machine
from engine.spec.inference import PermutationTest
from engine.stages.estimation import Estimated
from engine.stages.inference import pass_inputs as shared
from engine.stages.inference.draw_collector import DrawCollector
from engine.stages.inference.pass_inputs import (
    blocks,
    features_of,
    memory_of,
    over_pairs,
    terms_of,
    tested_of,
)
from engine.stages.inference_checks import strata_of
from engine.stages.prepare_passes import Prepared

_SHUFFLES = 500  # of pairs, for the figure that shows why they mislead


def permutation_setting(
    prepared: Prepared,
    results: list[Estimated],
    wanted: PermutationTest,
    *,
    studentise: bool = True,
    invert: bool = True,
    over: Over = in_turn,
) -> Permutation:
    """The permutation test of some cells of a pass."""
    design = prepared.design
    screened = design.sample.n_kept is not None
    recompute = wanted.screen == "recomputed" and screened and not design.sample.allowed.all()
    observed = _shared_path(prepared, results) if studentise and invert else None
    spans, span = _spans_of_years(design)
    sample = PermutedSample(
        pairs=features_of(prepared, every_screen=recompute, observed=observed, spans=spans, over=over),
        classes=design.classes,
        allowed=design.sample.allowed,
        recompute=recompute,
        n_ranked=design.sample.n_ranked,
        span=span,
    )
    cells = tuple(tested_of(prepared, r, _own_terms(r), observed=observed is not None) for r in results)
    strata = strata_of(prepared.shared.data, design.sample, wanted.strata)
    return Permutation(sample, strata, wanted.seed, cells, studentise)


def _spans_of_years(design: PairDesign) -> tuple[Any, Integers | None]:
    """Sets of years that types of pairs have rows in, and which of them each type has; None where all have one."""
    kept, h = design.kept_rows, design.n_classes
    if kept is None or (kept == kept[0, 0]).all():
        return None, None
    allowed = design.allowed
    spans, number = np.unique(kept[allowed], axis=0, return_inverse=True)
    of_type = np.zeros((h, h), dtype=np.int32)
    of_type[allowed] = number.ravel()
    return spans, of_type


def _shared_path(prepared: Prepared, results: list[Estimated]) -> Array | None:
    """The treatment path by classes where all cells have the same single treatment term, else None.

    Only then can the test be inverted into an interval: under a reassignment pairs of two treated cities enter
    the sample, and the effect they are taken to have is that of the cell's own rule.
    """
    first = terms_of(prepared, results[0])
    tables = [terms_of(prepared, result).table for result in results]
    same = all(np.array_equal(table, first.table) for table in tables)
    return first.table[..., 0] if same and len(first.names) == 1 else None


def _own_terms(result: Estimated) -> list[str] | None:
    wanted = result.cell.job.inference.permutation
    return wanted.terms if wanted else None


def _exact_block(setting: Permutation, classes: Integers) -> Draws:
    """Draws of given assignments."""
    return draws_of(setting, classes, np.arange(len(classes), dtype=np.int32))


def draws_at_once(setting: Permutation, memory: float) -> int:
    """Draws of one task: a power of two, so that the devices of a process share them equally.

    A block's sums take at most a 32nd of the memory, since a process may work on several; where the table of
    statistics is not kept, but computed twice for every block, an eighth and longer blocks.
    """
    pairs, h = setting.sample.pairs, setting.sample.n_classes
    terms = sum(len(cell.tested) for cell in setting.cells) if setting.studentise else 0
    by_type = 2 * h * h + 2 * len(setting.sample.types)
    each = 8 * (4 * terms * pairs.n_units + by_type * pairs.width + 12 * TILE)
    kept = pairs.kept
    fitting = memory / (32 if kept else 8) / each
    return 1 << int(math.log2(min(max(fitting, 8.0), shared.BLOCK if kept else 4 * shared.BLOCK)))


def permute(
    machine: Machine, prepared: Prepared, group: list[Estimated], wanted: Any, book: DrawCollector
) -> None:
    setting = permutation_setting(prepared, group, wanted, over=over_pairs(machine))
    ways = n_assignments(setting.sample.classes, setting.strata)
    exact, at_once = ways <= wanted.reps, draws_at_once(setting, memory_of(prepared))
    if exact:
        every = all_assignments(setting.sample.classes, setting.strata)
        tasks = [every[block] for block in blocks(ways, at_once)]
        draws = machine.reduce(_exact_block, setting, tasks, merge_draws, label="permutations")
        draws = replace(draws, replicates=np.arange(ways, dtype=np.int32))  # each block counts from 0
        book.notes.append(Note.of("permutations_enumerated", count=ways))
    else:
        draws = machine.reduce(
            permutation_draws, setting, blocks(wanted.reps, at_once), merge_draws, label="permutations"
        )
    # On the machine too: whoever made draws has the table.
    here = [np.array([OBSERVED], dtype=np.int32)]
    observed = machine.reduce(permutation_draws, setting, here, merge_draws, label="observed")
    shuffles = PairPermutation(setting.sample, wanted.seed, pair_block(setting.sample, _SHUFFLES))
    tasks = blocks(_SHUFFLES, shuffles.block)
    sums = machine.reduce(pair_permutation_sums, shuffles, tasks, merge_sums, label="pair shuffles")
    for number, (result, cell) in enumerate(zip(group, setting.cells, strict=True)):
        _permutation_rows(book, result, cell, draws, observed, number, exact)
        shuffled = pair_permutation_estimates(setting.sample, cell, sums)
        nothing, replicates = np.full(_SHUFFLES, np.nan), np.arange(_SHUFFLES, dtype=np.int32)
        for k, position in enumerate(cell.tested):
            name = result.fit.names[position]
            book.draw(result.cell.id, "pair_shuffle", replicates, name, shuffled[:, k], nothing)


def _permutation_rows(
    book: DrawCollector,
    result: Estimated,
    cell: Tested,
    draws: Draws,
    observed: Draws,
    number: int,
    exact: bool,
) -> None:
    names = [result.fit.names[k] for k in cell.tested]
    estimate, statistic = draws.estimate[number], draws.statistic[number]
    here_b, here_t = observed.estimate[number][0], observed.statistic[number][0]
    low, high = np.nan, np.nan
    if cell.observed is not None and len(names) == 1:
        low, high = inverted_interval(
            float(here_b[0]), float(here_b[0] / here_t[0]), estimate[:, 0], draws.inversion[number],
            confidence=result.cell.job.model.confidence, exact=exact,
        )  # fmt: skip
    for k, name in enumerate(names):
        for method, value, values in (
            ("permutation", here_t[k], statistic[:, k]),
            ("permutation_coefficient", here_b[k], estimate[:, k]),
        ):
            p = permutation_p(float(value), values, exact=exact)
            ends = (low, high) if method == "permutation" else (np.nan, np.nan)
            book.row(
                result.cell.id,
                name,
                method,
                reps=p.draws,
                statistic=value,
                p_value=p.value,
                conf_low=ends[0],
                conf_high=ends[1],
                mc_error=p.error,
            )
        book.draw(result.cell.id, "permutation", draws.replicates, name, estimate[:, k], statistic[:, k])
    if len(names) > 1:
        p = max_statistic_p(here_t, statistic, exact=exact)
        book.row(
            result.cell.id,
            "joint",
            "permutation_max_t",
            reps=p.draws,
            statistic=float(np.abs(here_t).max()),
            p_value=p.value,
            mc_error=p.error,
        )
    lost = int(np.isnan(estimate).any(axis=1).sum())
    if lost:
        book.notes.append(of_cell(result.cell.label, Note.of("permutations_unidentified", count=lost)))
    if draws.fallback[number]:
        note = Note.of("permutations_not_positive", count=int(draws.fallback[number]))
        book.notes.append(of_cell(result.cell.label, note))
