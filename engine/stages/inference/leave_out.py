"""Leave-one-group-out estimates: jackknife errors by group, and which groups move the estimate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from engine.arrays import Array, Integers
from engine.estimate.many_samples import Tested
from engine.float64 import double_precision
from engine.infer.summary import t_ratio
from engine.infer.weighted import TypedPairs, weighted_fit, weighted_sums
from engine.runtime.execute import Machine
from engine.stages.estimation import Estimated
from engine.stages.groups import labels_of
from engine.stages.inference.draw_collector import DrawCollector
from engine.stages.inference.pass_inputs import over_pairs, tested_of, weighted_setting
from engine.stages.prepare_passes import Prepared

_GROUPS = 1024  # groups of one task


@dataclass(frozen=True)
class LeftOut:
    """What every block of groups gets; ``groups`` int ``[n_units]``: the group of each unit."""

    types: TypedPairs
    groups: Integers
    cells: tuple[Tested, ...]


def in_pairs(types: TypedPairs, _: None) -> Integers:
    """Units that stand in a pair of the sample."""
    return types.sorted().units


def left_out(setting: LeftOut, block: Integers) -> tuple[Array, ...]:
    """Estimates ``[n_groups, n_tested]`` of each cell without the units of each of some groups."""
    weighted = setting.types.sorted()
    weights = (setting.groups[None, :] != block[:, None]).astype(np.float64)
    with double_precision():
        sums = weighted_sums(weighted, weights)
        return tuple(
            weighted_fit(weighted, weights, cell, studentise=False, sums=sums)[1] for cell in setting.cells
        )


def merge_left_out(one: tuple[Array, ...], other: tuple[Array, ...]) -> tuple[Array, ...]:
    """Estimates of two blocks, in order."""
    return tuple(np.concatenate(pair) for pair in zip(one, other, strict=True))


def leave_out(
    machine: Machine, prepared: Prepared, group: list[Estimated], by: str, book: DrawCollector
) -> None:
    """Leave-one-group-out estimates, their jackknife errors, and how far each group moves the estimate."""
    data = prepared.shared.data
    labels = np.array(data.units if by == "city" else labels_of(data, by, key="inference.jackknife.by"))
    over = over_pairs(machine)
    types = weighted_setting(prepared, over)
    inside = over(in_pairs, types, [None], np.union1d)
    every, numbers = np.unique(labels, return_inverse=True)
    of_sample = np.unique(numbers[inside]).astype(np.int32)  # a city without a pair is left out of nothing
    groups = every[of_sample]
    cells = tuple(tested_of(prepared, result, None) for result in group)
    setting = LeftOut(types, numbers.astype(np.int32), cells)
    blocks = np.split(of_sample, range(_GROUPS, len(of_sample), _GROUPS))
    found = machine.reduce(left_out, setting, blocks, merge_left_out, label="left out")
    for result, cell, estimate in zip(group, cells, found, strict=True):
        for k, position in enumerate(cell.tested):
            here, name = float(result.fit.estimate[position]), result.fit.names[position]
            shift = estimate[:, k] - here
            dof = len(groups) - 1
            error = float(np.sqrt(dof / len(groups) * (shift**2).sum()))
            ratio = float(t_ratio(here, error))
            margin = float(stdtrit(dof, 0.5 + result.cell.job.model.confidence / 2)) * error
            book.row(
                result.cell.id,
                name,
                f"jackknife_{by}",
                reps=len(groups),
                statistic=ratio,
                p_value=float(2 * stdtr(dof, -abs(ratio))),
                conf_low=here - margin,
                conf_high=here + margin,
            )
            table = {"cell": result.cell.id, "term": name, "left_out": groups, "estimate": estimate[:, k]}
            book.influence.append(pd.DataFrame({**table, "shift": shift}))
