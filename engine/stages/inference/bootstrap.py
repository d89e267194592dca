"""Bootstraps of the cells of a pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import Array, Integers
from engine.errors import InputError
from engine.estimate.many_samples import Tested
from engine.float64 import double_precision
from engine.infer.draws import multipliers, resampled_counts
from engine.infer.errors import STUDENTISING
from engine.infer.partner_rows import DRAWS_AT_ONCE, rows_fit
from engine.infer.permutation import Draws, merge_draws
from engine.infer.scores import Resampling, decomposition, multiplier_draws, wild_statistics
from engine.infer.summary import bootstrap_interval, level_of, permutation_p, t_ratio
from engine.infer.weighted import TypedPairs, weighted_fit, weighted_sums, whole_on_device
from engine.notes import Note, of_cell
from engine.runtime.execute import Machine
from engine.spec.inference import Bootstrap
from engine.stages.estimation import Estimated
from engine.stages.inference import pass_inputs
from engine.stages.inference.draw_collector import DrawCollector
from engine.stages.inference.full_pipeline import PipelineInput, pipeline_draws
from engine.stages.inference.pass_inputs import blocks, memory_of, over_pairs, tested_of, typed_pairs
from engine.stages.inference.two_way_wild_draws import two_way_wild
from engine.stages.prepare_passes import Prepared

_HEAVY = 16  # replicates of one task where each is a whole pipeline


@dataclass(frozen=True)
class NodeInput:
    """Pairs and regressions of every block of node draws; ``estimates``: the sample's own, ``[n_tested]`` a cell."""

    types: TypedPairs
    cells: tuple[Tested, ...]
    estimates: tuple[Array, ...]
    seed: int


@dataclass(frozen=True)
class TermDraws:
    """Draws of one coefficient.

    Attributes
    ----------
    cell : Estimated
    position : int
        Of the coefficient in the cell's fit.
    scheme : Bootstrap
    estimate, statistic : float64 ``[reps]``
        NaN where a draw does not identify it.
    """

    cell: Estimated
    position: int
    scheme: Bootstrap
    estimate: Array
    statistic: Array

    @property
    def term(self) -> str:
        return self.cell.fit.names[self.position]


def node_draws(pass_input: NodeInput, replicates: Integers) -> Draws:
    """Estimates on resampled cities, and their t ratios around those of the sample."""
    pairs = pass_input.types.ready()
    counts = resampled_counts(pass_input.seed, replicates, pairs.pairs.n_units)
    estimates, statistics = [], []
    with double_precision():
        sums = weighted_sums(pairs, counts)
        for cell, full in zip(pass_input.cells, pass_input.estimates, strict=True):
            _, estimate, variance = weighted_fit(pairs, counts, cell, studentise=True, sums=sums)
            estimates.append(estimate)
            statistics.append(t_ratio(estimate - full, np.sqrt(variance)))
    return Draws.without_inversion(replicates, tuple(estimates), tuple(statistics))


def bootstrap(
    machine: Machine,
    prepared: Prepared,
    cells: list[Estimated],
    scheme: Bootstrap,
    collector: DrawCollector,
) -> None:
    """Draws, intervals and the targets of the scheme, for cells that share a pass and a scheme."""
    if scheme.kind == "two_way_wild":
        two_way_wild(machine, prepared, cells, scheme, collector)
        return
    if scheme.kind == "wild":
        _wild_rows(machine, cells, scheme, collector)
        return
    if scheme.kind == "multiplier":
        draws = _multiplier_draws(machine, cells, scheme)
    else:
        draws = _draws(machine, prepared, cells, scheme)
    for cell, estimate, statistic in zip(cells, draws.estimate, draws.statistic, strict=True):
        for k, position in enumerate(cell.fit.tested_positions):
            _term_rows(collector, TermDraws(cell, position, scheme, estimate[:, k], statistic[:, k]))
        _band_rows(collector, cell, scheme, statistic)


def _draws(machine: Machine, prepared: Prepared, cells: list[Estimated], scheme: Bootstrap) -> Draws:
    """Draws of all cells on the machine."""
    tested = tuple(tested_of(prepared, cell, None) for cell in cells)
    if scheme.kind == "pipeline":
        names = tuple(
            tuple(cell.fit.names[k] for k in regression.tested)
            for cell, regression in zip(cells, tested, strict=True)
        )
        pass_cells = replace(prepared.pass_cells, cells=tuple(cell.cell for cell in cells))
        few = [
            part for block in blocks(scheme.reps) for part in np.array_split(block, -(-len(block) // _HEAVY))
        ]
        pipeline = PipelineInput(pass_cells, names, scheme.seed)
        return machine.reduce(pipeline_draws, pipeline, few, merge_draws, label="bootstrap")
    estimates = tuple(
        cell.fit.values[list(regression.tested)] for cell, regression in zip(cells, tested, strict=True)
    )
    node = NodeInput(typed_pairs(prepared, over_pairs(machine)), tested, estimates, scheme.seed)
    tasks = blocks(scheme.reps, draws_at_once(node, memory_of(prepared)))
    return machine.reduce(node_draws, node, tasks, merge_draws, label="bootstrap")


def _multiplier_draws(machine: Machine, cells: list[Estimated], scheme: Bootstrap) -> Draws:
    """Draws of city scores, from the estimates alone, whatever regression gave them."""
    replicates = np.arange(scheme.reps, dtype=np.int32)
    by_cell = []
    for cell in machine.counted("bootstrap", cells):
        positions = cell.fit.tested_positions
        city = _city_influence(cell, positions)
        signs = multipliers(scheme.seed, replicates, len(city), scheme.weights)
        by_cell.append(multiplier_draws(cell.fit.values[positions], city, signs))
    estimates, statistics = zip(*by_cell, strict=True)
    return Draws.without_inversion(replicates, estimates, statistics)


def draws_at_once(pass_input: NodeInput, memory: float) -> int:
    """Draws of one task: a power of two, so that the devices of a process share them equally.

    What a block holds is at most a 16th of the memory beside a table that is kept and an eighth without one, since
    a process may work on several. A table that is not on the device as a whole is brought there, or computed, for
    every block, so its blocks are longer.
    """
    pairs = pass_input.types.pairs
    if rows_fit(pairs):
        return DRAWS_AT_ONCE
    n_terms = max(len(cell.tested) for cell in pass_input.cells)
    by_type = pass_input.types.n_types * pairs.layout.size
    bytes_per_draw = 8 * (6 * pairs.n_units + (3 + 2 * n_terms) * by_type)
    fitting = memory / (16 if pairs.in_memory else 8) / bytes_per_draw
    largest = (1 if whole_on_device(pairs) else 8) * pass_inputs.BLOCK
    return pass_inputs.draws_that_fit(fitting, largest)


def _city_influence(cell: Estimated, positions: list[int]) -> Array:
    """Influence ``[n_units, n_tested]`` of the pairs of each city."""
    return cell.fit.city_influence[:, positions]


def _term_rows(collector: DrawCollector, draws: TermDraws) -> None:
    """Rows and draws of one coefficient, and a note on draws that do not identify it."""
    cell, position = draws.cell, draws.position
    targets = _targets(cell, position)
    node, pair = float(targets.node[0]), float(targets.pair[0])
    _interval_row(collector, draws, _error(cell, position, draws.scheme))
    n_unidentified = int(np.isnan(draws.estimate).sum())
    if n_unidentified:
        note = Note.of("bootstrap_unidentified", count=n_unidentified, term=draws.term)
        collector.notes.append(of_cell(cell.cell.label, note))
    _decomposition_rows(collector, draws, node, pair)


def _error(cell: Estimated, position: int, scheme: Bootstrap) -> float:
    """The sample's error, of the type that studentises the draws."""
    if scheme.kind != "multiplier":
        return float(cell.studentising.std_error[position])
    return math.sqrt(float(_targets(cell, position).node[0]))


def _targets(cell: Estimated, position: int) -> Resampling:
    """Node and pair parts of the variance of one coefficient."""
    return decomposition(_city_influence(cell, [position]), cell.fit.pair_meat[[position]][:, [position]])


def _band_rows(collector: DrawCollector, cell: Estimated, scheme: Bootstrap, statistic: Array) -> None:
    """A band of all event years together: errors times the quantile of the draws' largest |t|, ``[reps, n_tested]``."""
    positions = cell.fit.tested_positions
    timed = [k for k, place in enumerate(positions) if cell.fit.terms[place].event_time is not None]
    largest = np.abs(statistic[:, timed]).max(axis=1, initial=0.0)
    identified = largest[np.isfinite(largest)]
    if len(timed) < 2 or not len(identified):
        return
    confidence = cell.cell.job.model.confidence
    critical = float(np.quantile(identified, 1 - level_of(confidence), method="inverted_cdf"))
    for place in (positions[k] for k in timed):
        full, margin = float(cell.fit.values[place]), critical * _error(cell, place, scheme)
        collector.row(
            cell.cell.id,
            cell.fit.names[place],
            f"{scheme.kind}_band",
            reps=len(identified),
            statistic=critical,
            conf_low=full - margin,
            conf_high=full + margin,
        )


def _interval_row(collector: DrawCollector, draws: TermDraws, error: float) -> None:
    """One interval. Without errors of the draws (kind pipeline) percentile_t falls back to percentile."""
    cell, scheme, estimate, statistic = draws.cell, draws.scheme, draws.estimate, draws.statistic
    full = float(cell.fit.values[draws.position])
    studentised = np.isfinite(statistic).any()
    kind = scheme.interval if studentised or scheme.interval == "basic" else "percentile"
    low, high = bootstrap_interval(
        full, error, estimate, statistic, kind=kind, confidence=cell.cell.job.model.confidence
    )
    ratio = float(t_ratio(full, error))
    p = permutation_p(ratio, statistic) if studentised else permutation_p(full, estimate - full)
    collector.row(
        cell.cell.id,
        draws.term,
        scheme.kind,
        reps=int(np.isfinite(estimate).sum()),
        statistic=ratio,
        p_value=p.value,
        conf_low=low,
        conf_high=high,
        mc_error=p.error,
    )
    replicates = np.arange(scheme.reps, dtype=np.int32)
    collector.draw(cell.cell.id, scheme.kind, replicates, draws.term, estimate, statistic)


def _decomposition_rows(collector: DrawCollector, draws: TermDraws, node: float, pair: float) -> None:
    """Standard errors that each scheme targets, and the draws' own: rows ``target_se_*``, value in statistic.

    ``target_se_dyadic`` is the dyadic-robust error of the table, with its small-sample factor and its guard.
    """
    identified = draws.estimate[np.isfinite(draws.estimate)]
    spread = float(identified.std()) if len(identified) > 1 else np.nan
    for method, error in (
        ("bootstrap_se", spread),
        ("bootstrap_se_less_pair", float(np.sqrt(np.maximum(spread**2 - 2 * pair, 0.0)))),
        ("target_se_node_plus_pair", math.sqrt(node + pair)),
        ("target_se_node", math.sqrt(node)),
        (f"target_se_{STUDENTISING}", float(draws.cell.studentising.std_error[draws.position])),
    ):
        collector.row(draws.cell.cell.id, draws.term, method, reps=len(identified), statistic=error)


def wild_draws(cell: Estimated, positions: list[int], signs: Array) -> list[tuple[float, Array]]:
    """Observed t ratio and those ``[n_draws]`` of the wild cluster bootstrap, of some coefficients.

    Raises
    ------
    InputError
        Effects were absorbed row by row, so there are no moments to draw from.
    """
    if cell.normal is None:
        raise InputError(
            "the wild bootstrap has pair and year effects only", where="inference.bootstrap.kind"
        )
    regressors = cell.normal.positions(cell.fit.terms)
    return [wild_statistics(cell.normal, regressors, position, signs) for position in positions]


def _wild_rows(machine: Machine, cells: list[Estimated], scheme: Bootstrap, collector: DrawCollector) -> None:
    """Rows and draws of every tested coefficient; its progress is counted in coefficients."""
    replicates = np.arange(scheme.reps, dtype=np.int32)
    sizes = {len(cell.fit.city_first) for cell in cells}
    signs = {size: multipliers(scheme.seed, replicates, size, scheme.weights) for size in sizes}
    coefficients = [(cell, position) for cell in cells for position in cell.fit.tested_positions]
    for cell, position in machine.counted("bootstrap", coefficients):
        [(observed, drawn)] = wild_draws(cell, [position], signs[len(cell.fit.city_first)])
        term, p = cell.fit.names[position], permutation_p(observed, drawn)
        collector.row(
            cell.cell.id, term, "wild", reps=p.draws, statistic=observed, p_value=p.value, mc_error=p.error
        )
        collector.draw(cell.cell.id, "wild", replicates, term, np.full(len(drawn), np.nan), drawn)
