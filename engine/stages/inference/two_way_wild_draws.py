"""Draws of the wild bootstrap on the two-way decomposition, of the cells of a pass."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import Array, Integers
from engine.errors import InputError
from engine.estimate.city_years import CityYears
from engine.estimate.estimate import Estimate
from engine.estimate.normal import Normal, moment_inverse
from engine.infer.draws import multipliers
from engine.infer.permutation import Draws, merge_draws
from engine.infer.summary import equal_tailed_p, permutation_p
from engine.infer.two_way_wild import TwoWayParts, two_way_statistics
from engine.notes import Note, of_cell
from engine.pairs.two_way_parts import merge_parts, pair_parts
from engine.report.few_adopters import FEW
from engine.runtime.execute import UNITS, Machine
from engine.spec.inference import Bootstrap
from engine.stages.estimation import Estimated
from engine.stages.inference import pass_inputs
from engine.stages.inference.draw_collector import DrawCollector
from engine.stages.inference.pass_inputs import blocks, memory_of
from engine.stages.pair_sums import PassSums, city_years_of, interaction_pass
from engine.stages.prepare_passes import Prepared

_ARRAYS = 6  # of pairs by draws that a block holds at a time


@dataclass(frozen=True)
class TwoWayInput:
    """Input of every block of draws: the parts of each tested coefficient of a cell, and the multipliers' law."""

    coefficients: tuple[TwoWayParts, ...]
    seed: int
    weights: str


def two_way_draws(pass_input: TwoWayInput, replicates: Integers) -> Draws:
    """Coefficients and t ratios of a block of replicates, under the null of each coefficient."""
    n_units = pass_input.coefficients[0].n_units
    drawn = multipliers(pass_input.seed, replicates, n_units, pass_input.weights)
    by_term = [two_way_statistics(parts, drawn) for parts in pass_input.coefficients]
    estimates, statistics = (np.stack(columns, axis=1) for columns in zip(*by_term, strict=True))
    return Draws.without_inversion(replicates, (estimates,), (statistics,))


def observed_ratios(pass_input: TwoWayInput) -> Array:
    """The sample's own t ratios ``[n_tested]``."""
    ones = np.ones((1, pass_input.coefficients[0].n_units))
    return np.array([float(two_way_statistics(parts, ones)[1][0]) for parts in pass_input.coefficients])


def two_way_input(cell: Estimated, scheme: Bootstrap) -> TwoWayInput:
    """The parts of every tested coefficient of a cell, a pass over the pairs each.

    Raises
    ------
    InputError
        Effects were absorbed row by row, so there are no sums by type.
    """
    if cell.passes is None:
        raise InputError(
            "the two-way wild bootstrap has pair and year effects only", where="inference.bootstrap.kind"
        )
    city_years = city_years_of(cell.passes)
    parts = [_parts_of(cell.passes, cell, position, city_years) for position in cell.fit.tested_positions]
    return TwoWayInput(tuple(parts), scheme.seed, scheme.weights)


def _parts_of(passes: PassSums, cell: Estimated, position: int, city_years: CityYears) -> TwoWayParts:
    """The parts of one coefficient's residuals under its null."""
    with_effects = interaction_pass(passes, [_under_null(passes.normal, cell.fit, position)], city_years)
    of_pairs = passes.machine.reduce(
        pair_parts,
        replace(with_effects, city_years=city_years.smallest(with_effects.city_years)),
        passes.pass_input.design.tasks(),
        merge_parts,
        label="two-way parts",
        units=UNITS,
    )
    normal, fit = passes.normal, cell.fit
    n_years, outcome = normal.n_years, normal.n_years + passes.pass_input.design.n_columns - 1
    in_order = np.delete(of_pairs.sums, outcome, axis=2)  # [years | columns | terms]
    years = np.flatnonzero(np.diag(normal.total)[:n_years] > 0)[1:]
    rows = np.concatenate([years, n_years + np.asarray(normal.positions(fit.terms))])
    city_sums = np.zeros((len(normal.first), len(rows)))
    for side, ends in enumerate((of_pairs.i, of_pairs.j)):
        np.add.at(city_sums, ends, in_order[:, side, rows])
    return TwoWayParts(
        i=of_pairs.i,
        j=of_pairs.j,
        city_sums=city_sums,
        pair_sums=np.ascontiguousarray(in_order[:, 2, rows]),
        influence=np.ascontiguousarray((in_order[:, :3] @ fit.weight_path[:-1, position]).T),
        weight_sums=np.ascontiguousarray(in_order[:, 3, rows]),
        bread=moment_inverse(normal.total[np.ix_(rows, rows)]),
        tested=len(years) + position,
    )


def _under_null(normal: Normal, fit: Estimate, position: int) -> Estimate:
    """A fit with the residuals of restricted least squares, one coefficient zero, and that coefficient's weight path.

    It needs no fit of its own: with r the weight path, whose squares sum to the coefficient's element of the inverse,
    the residuals under b = 0 are e + b r / sum r^2.
    """
    weight = fit.weight_path[:, [position]]
    squares = float(weight[:, 0] @ normal.total @ weight[:, 0])
    residual = fit.residual_path + fit.values[position] / squares * weight[:, 0]
    return replace(fit, terms=(fit.terms[position],), residual_path=residual, weight_path=weight)


def two_way_wild(
    machine: Machine,
    prepared: Prepared,
    cells: list[Estimated],
    scheme: Bootstrap,
    collector: DrawCollector,
) -> None:
    """Draws and p-values, symmetric and equal-tailed, for cells that share a pass and a scheme."""
    for cell in cells:
        pass_input = two_way_input(cell, scheme)
        at_once = _draws_at_once(len(pass_input.coefficients[0].i), memory_of(prepared))
        tasks = blocks(scheme.reps, at_once)
        draws = machine.reduce(two_way_draws, pass_input, tasks, merge_draws, label="bootstrap")
        if cell.n_adopters is not None and cell.n_adopters < FEW:
            note = Note.of("two_way_wild_few", count=cell.n_adopters)
            collector.notes.append(of_cell(cell.cell.label, note))
        observed = observed_ratios(pass_input)
        for number, position in enumerate(cell.fit.tested_positions):
            term = cell.fit.names[position]
            estimate, statistic = draws.estimate[0][:, number], draws.statistic[0][:, number]
            _term_rows(collector, cell, term, float(observed[number]), statistic)
            collector.draw(cell.cell.id, scheme.kind, draws.replicates, term, estimate, statistic)


def _draws_at_once(n_pairs: int, memory: float) -> int:
    """Draws of one block: a power of two whose arrays take at most a sixteenth of the memory."""
    fitting = memory / 16 / (8 * _ARRAYS * n_pairs)
    return pass_inputs.draws_that_fit(fitting, pass_inputs.BLOCK)


def _term_rows(collector: DrawCollector, cell: Estimated, term: str, observed: float, drawn: Array) -> None:
    """Rows of one coefficient."""
    for method, p in (
        ("two_way_wild", permutation_p(observed, drawn)),
        ("two_way_wild_equal_tailed", equal_tailed_p(observed, drawn)),
    ):
        collector.row(
            cell.cell.id, term, method, reps=p.draws, statistic=observed, p_value=p.value, mc_error=p.error
        )
