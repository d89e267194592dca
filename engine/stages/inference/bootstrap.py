"""Bootstraps of the cells of a pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import Array, Flags, Integers
from engine.estimate.many_samples import Tested
from engine.float64 import double_precision
from engine.infer.draws import multipliers, resampled_counts
from engine.infer.permutation import Draws, merge_draws
from engine.infer.scores import decomposition, multiplier_draws, wild_statistics
from engine.infer.summary import bootstrap_interval, permutation_p, t_ratio
from engine.infer.weighted import TypedPairs, weighted_fit, weighted_sums, whole_on_device
from engine.notes import Note, of_cell
from engine.runtime.execute import Machine
from engine.spec.inference import Bootstrap
from engine.stages.estimation import Estimated
from engine.stages.inference import pass_inputs as shared
from engine.stages.inference.draw_collector import DrawCollector
from engine.stages.inference.full_pipeline import PipelineSetting, pipeline_draws
from engine.stages.inference.pass_inputs import blocks, memory_of, over_pairs, tested_of, weighted_setting
from engine.stages.prepare_passes import Prepared

_HEAVY = 16  # replicates of one task where each is a whole pipeline


@dataclass(frozen=True)
class _NodeSetting:
    """What every block of node draws gets; ``here``: the sample's own estimates of each cell's coefficients."""

    types: TypedPairs
    cells: tuple[Tested, ...]
    here: tuple[Array, ...]
    seed: int


def _node_block(setting: _NodeSetting, replicates: Integers) -> Draws:
    weighted = setting.types.sorted()
    counts = resampled_counts(setting.seed, replicates, weighted.pairs.n_units)
    estimates, statistics = [], []
    with double_precision():
        sums = weighted_sums(weighted, counts)
        for cell, here in zip(setting.cells, setting.here, strict=True):
            _, estimate, variance = weighted_fit(weighted, counts, cell, studentise=True, sums=sums)
            estimates.append(estimate)
            statistics.append(t_ratio(estimate - here, np.sqrt(variance)))
    none = (np.full((len(replicates), 4), np.nan),) * len(setting.cells)
    return Draws(replicates, tuple(estimates), tuple(statistics), (0,) * len(setting.cells), none)


def bootstrap(
    machine: Machine, prepared: Prepared, group: list[Estimated], wanted: Bootstrap, book: DrawCollector
) -> None:
    """Draws, intervals and what the scheme estimates, for cells that share a pass and a setting."""
    cells = tuple(tested_of(prepared, result, None) for result in group)
    replicates = np.arange(wanted.reps, dtype=np.int32)
    draws = _spread(machine, prepared, group, cells, wanted)
    missing = np.zeros((wanted.reps, 0), dtype=bool)
    if wanted.kind in ("node", "pipeline"):
        drawn = (
            resampled_counts(wanted.seed, block, prepared.design.n_units) for block in blocks(wanted.reps)
        )
        missing = np.concatenate([_missing_cohorts(prepared, counts) for counts in drawn])
    for number, (result, cell) in enumerate(zip(group, cells, strict=True)):
        fit, positions = result.fit, list(cell.tested)
        city = (fit.city_first + fit.city_second)[:, positions]
        lost = np.zeros(wanted.reps, dtype=bool)
        if draws is not None:
            estimate, statistic = draws.estimate[number], draws.statistic[number]
            if _drops(result):
                lost = np.asarray(missing.any(axis=1))
                estimate, statistic = (np.where(lost[:, None], np.nan, x) for x in (estimate, statistic))
                _note_lost_cohorts(prepared, wanted, missing, book)
        else:
            signs = multipliers(wanted.seed, replicates, len(city), wanted.weights)
            if wanted.kind == "wild":
                _wild_rows(book, result, positions, signs, replicates)
                continue
            estimate, statistic = multiplier_draws(fit.estimate[positions], city, signs)
        parts = decomposition(city, result.own[np.ix_(positions, positions)])
        for k in range(len(positions)):
            # The sample's error must be of the kind that studentises the draws.
            error = (
                np.sqrt(parts.node[k])
                if wanted.kind == "multiplier"
                else result.dyadic.std_error[positions[k]]
            )
            _interval_row(
                book, result, positions[k], wanted, replicates, estimate[:, k], statistic[:, k], float(error)
            )
            unknown = int((np.isnan(estimate[:, k]) & ~lost).sum())
            if unknown:
                note = Note.of("bootstrap_unidentified", count=unknown, term=fit.names[positions[k]])
                book.notes.append(of_cell(result.cell.label, note))
            _decomposition_rows(
                book, result, positions[k], estimate[:, k], float(parts.node[k]), float(parts.pair[k])
            )


def _spread(
    machine: Machine, prepared: Prepared, group: list[Estimated], cells: tuple[Tested, ...], wanted: Bootstrap
) -> Draws | None:
    """Draws that need the machine; None for other kinds."""
    if wanted.kind == "pipeline":
        names = tuple(
            tuple(result.fit.names[k] for k in cell.tested) for result, cell in zip(group, cells, strict=True)
        )
        given = replace(prepared.shared, cells=tuple(result.cell for result in group))
        few = [
            part for block in blocks(wanted.reps) for part in np.array_split(block, -(-len(block) // _HEAVY))
        ]
        setting = PipelineSetting(given, names, wanted.seed)
        return machine.reduce(pipeline_draws, setting, few, merge_draws, label="bootstrap")
    if wanted.kind != "node":
        return None
    here = tuple(result.fit.estimate[list(cell.tested)] for result, cell in zip(group, cells, strict=True))
    node = _NodeSetting(weighted_setting(prepared, over_pairs(machine)), cells, here, wanted.seed)
    tasks = blocks(wanted.reps, draws_at_once(node, memory_of(prepared)))
    return machine.reduce(_node_block, node, tasks, merge_draws, label="bootstrap")


def draws_at_once(setting: _NodeSetting, memory: float) -> int:
    """Draws of one task: a power of two, so that the devices of a process share them equally.

    What a block holds is at most a 16th of the memory beside a table that is kept and an eighth without one, since
    a process may work on several. A table that is not on the device as a whole is brought there, or computed, for
    every block, so its blocks are longer.
    """
    pairs = setting.types.pairs
    terms = max(len(cell.tested) for cell in setting.cells)
    by_type = setting.types.n_types * pairs.layout.size
    each = 8 * (6 * pairs.n_units + (3 + 2 * terms) * by_type)
    fitting = memory / (16 if pairs.kept else 8) / each
    return 1 << int(math.log2(min(max(fitting, 8.0), (1 if whole_on_device(pairs) else 8) * shared.BLOCK)))


def _interval_row(
    book: DrawCollector,
    result: Estimated,
    position: int,
    wanted: Bootstrap,
    replicates: Integers,
    estimate: Array,
    statistic: Array,
    error: float,
) -> None:
    """One interval. Without errors of the draws (kind pipeline) percentile_t falls back to percentile."""
    name, here = result.fit.names[position], float(result.fit.estimate[position])
    known, studentised = np.isfinite(estimate), np.isfinite(statistic).any()
    kind = wanted.interval if studentised or wanted.interval == "basic" else "percentile"
    low, high = bootstrap_interval(
        here, error, estimate, statistic, kind=kind, confidence=result.cell.job.model.confidence
    )
    ratio = float(t_ratio(here, error))
    p = permutation_p(ratio, statistic) if studentised else permutation_p(here, estimate - here)
    book.row(
        result.cell.id,
        name,
        wanted.kind,
        reps=int(known.sum()),
        statistic=ratio,
        p_value=p.value,
        conf_low=low,
        conf_high=high,
        mc_error=p.error,
    )
    book.draw(result.cell.id, wanted.kind, replicates, name, estimate, statistic)


def _decomposition_rows(
    book: DrawCollector, result: Estimated, position: int, estimate: Array, node: float, pair: float
) -> None:
    """Standard errors that each scheme targets, and what the draws gave: rows ``target_se_*``, value in statistic.

    ``target_se_dyadic`` is the dyadic-robust error of the table, with its small-sample factor and its guard.
    """
    name = result.fit.names[position]
    known = estimate[np.isfinite(estimate)]
    spread = float(known.std()) if len(known) else np.nan
    for what, value in (
        ("bootstrap_se", spread),
        ("bootstrap_se_less_pair", float(np.sqrt(np.maximum(spread**2 - 2 * pair, 0.0)))),
        ("target_se_node_plus_pair", float(np.sqrt(node + pair))),
        ("target_se_node", float(np.sqrt(node))),
        ("target_se_dyadic", float(result.dyadic.std_error[position])),
    ):
        book.row(result.cell.id, name, what, reps=len(known), statistic=value)


def _wild_rows(
    book: DrawCollector, result: Estimated, positions: list[int], signs: Array, replicates: Integers
) -> None:
    fit = result.fit
    assert result.normal is not None
    names = list(result.normal.names)
    regressors = tuple(names.index(name) for name in result.regressors)
    for k in positions:
        observed, drawn = wild_statistics(result.normal, regressors, k, signs)
        p = permutation_p(observed, drawn)
        book.row(
            result.cell.id,
            fit.names[k],
            "wild",
            reps=p.draws,
            statistic=observed,
            p_value=p.value,
            mc_error=p.error,
        )
        book.draw(result.cell.id, "wild", replicates, fit.names[k], np.full(len(drawn), np.nan), drawn)


def dropped_draws(prepared: Prepared, result: Estimated, counts: Array) -> Flags:
    """Which resamples do not count for a cell, because a cohort has no city in them; bool ``[n_draws]``.

    An event study keeps them: its event years pool cohorts, and what a draw cannot identify is left out of it.
    """
    return np.asarray(_missing_cohorts(prepared, counts).any(axis=1) & _drops(result))


def _drops(result: Estimated) -> bool:
    return result.cell.job.model.estimator != "event_study"


def _missing_cohorts(prepared: Prepared, counts: Array) -> Flags:
    """``[n_draws, n_cohorts]``: which cohorts of adopters have no city in resamples ``counts [n_draws, n_units]``."""
    cohorts = np.arange(len(prepared.adoption.years) - 1)
    members = (prepared.adoption.classes[:, None] == cohorts).astype(np.float64)
    return np.asarray(counts @ members == 0)


def _note_lost_cohorts(prepared: Prepared, wanted: Bootstrap, missing: Flags, book: DrawCollector) -> None:
    """How many draws were dropped, for want of which cohort, and what that does to the rest."""
    lost = int(missing.any(axis=1).sum())
    if not lost:
        return
    often = missing.sum(axis=0)
    worst = int(often.argmax())
    size = int((prepared.adoption.classes == worst).sum())
    note = Note.of(
        "cohorts_not_drawn", kind=wanted.kind, lost=lost, total=wanted.reps, share=100 * lost / wanted.reps,
        year=int(prepared.adoption.years[worst]), size=size, count=int(often[worst]),
    )  # fmt: skip
    book.notes.append(note)
