"""Bootstraps of the cells of a pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from engine.estimate.batch import Tested
from engine.infer.draws import multipliers, resampled_counts
from engine.infer.permutation import Draws, merge_draws
from engine.infer.scores import decomposition, multiplier_draws, wild_statistics
from engine.infer.summary import bootstrap_interval, permutation_p
from engine.infer.weighted import Weighted, weighted_fit, weighted_sums
from engine.runtime.execute import Machine
from engine.spec.inference import Bootstrap
from engine.stages.estimation import Estimated
from engine.stages.inference.book import Book
from engine.stages.inference.pipeline import PipelineSetting, pipeline_draws
from engine.stages.inference.shared import blocks, tested_of, weighted_setting
from engine.stages.prepare import Prepared

Array = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int32]]


_HEAVY = 16  # replicates of one task where each is a whole pipeline


@dataclass(frozen=True)
class _NodeSetting:
    """What every block of node draws gets; ``here``: the sample's own estimates of each cell's coefficients."""

    weighted: Weighted
    cells: tuple[Tested, ...]
    here: tuple[Array, ...]
    seed: int


def _node_block(setting: _NodeSetting, replicates: Integers) -> Draws:
    n_units = setting.weighted.pairs.n_units
    counts = resampled_counts(setting.seed, replicates, n_units)
    estimates, statistics = [], []
    with jax.enable_x64(True):
        sums = weighted_sums(setting.weighted, counts)
        for cell, here in zip(setting.cells, setting.here, strict=True):
            _, estimate, variance = weighted_fit(setting.weighted, counts, cell, studentise=True, sums=sums)
            estimates.append(estimate)
            with np.errstate(divide="ignore", invalid="ignore"):
                statistics.append((estimate - here) / np.sqrt(variance))
    none = (np.full((len(replicates), 4), np.nan),) * len(setting.cells)
    return Draws(replicates, tuple(estimates), tuple(statistics), (0,) * len(setting.cells), none)


def bootstrap(
    machine: Machine, prepared: Prepared, group: list[Estimated], wanted: Bootstrap, book: Book
) -> None:
    """Draws, intervals and what the scheme estimates, for cells that share a pass and a setting."""
    cells = tuple(tested_of(prepared, result, None) for result in group)
    replicates = np.arange(wanted.reps, dtype=np.int32)
    draws = _spread(machine, prepared, group, cells, wanted)
    if wanted.kind in ("node", "pipeline"):
        _report_lost_cohorts(prepared, wanted, book)
    for number, (result, cell) in enumerate(zip(group, cells, strict=True)):
        fit, positions = result.fit, list(cell.tested)
        city = (fit.city_first + fit.city_second)[:, positions]
        if draws is not None:
            estimate, statistic = draws.estimate[number], draws.statistic[number]
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
            name = fit.names[positions[k]]
            _decomposition_rows(
                book, result, name, estimate[:, k], float(parts.node[k]), float(parts.pair[k])
            )


def _spread(
    machine: Machine, prepared: Prepared, group: list[Estimated], cells: tuple[Tested, ...], wanted: Bootstrap
) -> Draws | None:
    """Draws that need the machine; None for other kinds."""
    tasks = blocks(wanted.reps)
    if wanted.kind == "pipeline":
        names = tuple(
            tuple(result.fit.names[k] for k in cell.tested) for result, cell in zip(group, cells, strict=True)
        )
        shared = replace(prepared.shared, cells=tuple(result.cell for result in group))
        few = [part for block in tasks for part in np.array_split(block, -(-len(block) // _HEAVY))]
        setting = PipelineSetting(shared, names, wanted.seed)
        return machine.reduce(pipeline_draws, setting, few, merge_draws, label="bootstrap")
    if wanted.kind != "node":
        return None
    here = tuple(result.fit.estimate[list(cell.tested)] for result, cell in zip(group, cells, strict=True))
    node = _NodeSetting(weighted_setting(prepared), cells, here, wanted.seed)
    return machine.reduce(_node_block, node, tasks, merge_draws, label="bootstrap")


def _interval_row(
    book: Book,
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
    p = permutation_p(here / error, statistic) if studentised else permutation_p(here, estimate - here)
    book.row(
        result.cell.id,
        name,
        wanted.kind,
        reps=int(known.sum()),
        statistic=here / error,
        p_value=p.value,
        conf_low=low,
        conf_high=high,
        mc_error=p.error,
    )
    book.draw(result.cell.id, wanted.kind, replicates, name, estimate, statistic)
    if not known.all():
        book.notes.append(
            f"{result.cell.label}: {int((~known).sum())} bootstrap draws do not identify '{name}' and are left out"
        )


def _decomposition_rows(
    book: Book, result: Estimated, name: str, estimate: Array, node: float, pair: float
) -> None:
    """Standard errors that each scheme targets, and what the draws gave: rows ``variance_*``, value in statistic."""
    spread = float(np.nanstd(estimate))
    for what, value in (
        ("bootstrap_se", spread),
        ("bootstrap_se_less_pair", float(np.sqrt(max(spread**2 - 2 * pair, 0.0)))),
        ("target_se_node_plus_pair", float(np.sqrt(node + pair))),
        ("target_se_node", float(np.sqrt(node))),
        ("target_se_dyadic", float(np.sqrt(max(node - pair, 0.0)))),
    ):
        book.row(result.cell.id, name, what, reps=len(estimate), statistic=value)


def _wild_rows(
    book: Book, result: Estimated, positions: list[int], signs: Array, replicates: Integers
) -> None:
    fit = result.fit
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


def _report_lost_cohorts(prepared: Prepared, wanted: Bootstrap, book: Book) -> None:
    if prepared.adoption is None:
        return
    classes, n = prepared.adoption.classes, len(prepared.adoption.years)
    lost = 0
    for block in blocks(wanted.reps):
        counts = resampled_counts(wanted.seed, block, len(classes))
        size = counts @ (classes[:, None] == np.arange(n)[None, :])
        present = np.bincount(classes, minlength=n) > 0
        lost += int((size[:, present] == 0).any(axis=1).sum())
    if lost:
        book.notes.append(
            f"node bootstrap: {lost} of {wanted.reps} draws have no city of some adoption cohort"
        )
