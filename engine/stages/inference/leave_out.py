"""Leave-one-group-out estimates: jackknife errors by group, and which groups move the estimate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.arrays import AnyArray, Array, Integers
from engine.estimate.many_samples import Tested
from engine.float64 import double_precision
from engine.infer.errors.jackknife import leave_out_covariance
from engine.infer.intervals import student
from engine.infer.leverage import group_leverages
from engine.infer.weighted import TypedPairs, weighted_fit, weighted_sums
from engine.runtime.execute import Machine
from engine.stages.estimation import Estimated
from engine.stages.groups import labels_of
from engine.stages.inference.draw_collector import DrawCollector
from engine.stages.inference.pass_inputs import over_pairs, tested_of, typed_pairs
from engine.stages.prepare_passes import Prepared

_GROUPS = 1024  # groups of one task


@dataclass(frozen=True)
class LeaveOutInput:
    """Pairs and regressions of every block of groups; ``groups`` int ``[n_units]``: the group of each unit."""

    types: TypedPairs
    groups: Integers
    cells: tuple[Tested, ...]


def units_in_pairs(types: TypedPairs, _: None) -> Integers:
    """Units that stand in a pair of the sample."""
    return types.sorted().units


def leave_out_columns(pass_input: LeaveOutInput, block: Integers) -> tuple[Array, ...]:
    """Columns ``[n_groups, n_tested, 3]`` of each cell: estimate without a group, and its leverages."""
    pairs = pass_input.types.ready()
    remains = (pass_input.groups[None, :] != block[:, None]).astype(np.float64)
    weights = np.vstack([np.ones(len(pass_input.groups)), remains])  # the whole sample first
    with double_precision():
        sums = weighted_sums(pairs, weights)
        return tuple(
            _columns(
                weighted_fit(pairs, remains, cell, studentise=False, sums=sums[1:])[1],
                *group_leverages(pairs.pairs.layout, sums, cell),
            )
            for cell in pass_input.cells
        )


def _columns(estimates: Array, leverage: Array, partial_leverage: Array) -> Array:
    return np.stack(np.broadcast_arrays(estimates, leverage[:, None], partial_leverage), axis=2)


def merge_columns(first: tuple[Array, ...], second: tuple[Array, ...]) -> tuple[Array, ...]:
    """Columns of two blocks, in order."""
    return tuple(np.concatenate(blocks) for blocks in zip(first, second, strict=True))


def leave_out(
    machine: Machine, prepared: Prepared, cells: list[Estimated], column: str, collector: DrawCollector
) -> None:
    """Leave-one-group-out estimates, their jackknife errors, and what each group moves and could move."""
    job_data = prepared.pass_cells.data
    labels = np.array(
        job_data.units if column == "city" else labels_of(job_data, column, key="inference.jackknife.by")
    )
    map_reduce = over_pairs(machine)
    types = typed_pairs(prepared, map_reduce)
    units = map_reduce(units_in_pairs, types, [None], np.union1d)
    names, numbers = np.unique(labels, return_inverse=True)
    in_sample = np.unique(numbers[units]).astype(np.int32)  # a city without a pair is left out of nothing
    tested = tuple(tested_of(prepared, cell, None) for cell in cells)
    pass_input = LeaveOutInput(types, numbers.astype(np.int32), tested)
    blocks = np.split(in_sample, range(_GROUPS, len(in_sample), _GROUPS))
    by_cell = machine.reduce(leave_out_columns, pass_input, blocks, merge_columns, label="left out")
    for cell, regression, of_cell in zip(cells, tested, by_cell, strict=True):
        for k, position in enumerate(regression.tested):
            _rows(collector, cell, position, column, names[in_sample], of_cell[:, k])


def _rows(
    collector: DrawCollector, cell: Estimated, position: int, column: str, groups: AnyArray, columns: Array
) -> None:
    """Jackknife inference of one coefficient, and its columns ``[n_groups, 3]`` of `leave_out_columns`."""
    full, term = cell.fit.values[position], cell.fit.names[position]
    estimates, leverage, partial_leverage = columns.T
    shift = estimates - full
    error = np.sqrt(np.diag(leave_out_covariance(shift[:, None], len(groups))))[0]
    interval = student(full, error, len(groups) - 1, cell.cell.job.model.confidence)
    collector.row(
        cell.cell.id,
        term,
        f"jackknife_{column}",
        reps=len(groups),
        statistic=float(interval.statistic),
        p_value=float(interval.p_value),
        conf_low=float(interval.low),
        conf_high=float(interval.high),
    )
    table = {"cell": cell.cell.id, "term": term, "left_out": groups, "estimate": estimates}
    leverages = {"leverage": leverage, "partial_leverage": partial_leverage}
    collector.influence.append(pd.DataFrame({**table, "shift": shift, **leverages}))
