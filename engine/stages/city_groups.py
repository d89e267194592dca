"""Groups of cities for block jackknives, and refusals of cells that cannot have any."""

from __future__ import annotations

from collections.abc import Iterator

from engine.arrays import Integers
from engine.errors import InputError
from engine.infer.errors import block_jackknife
from engine.spec import Cell
from engine.spec.effects import absorbed
from engine.stages.groups import group_codes
from engine.stages.pass_cells import PassCells


def city_groups_of(pass_cells: PassCells) -> dict[str, Integers]:
    """The group of each city, int ``[n_units]``, by the codes of block jackknives that some cells ask for.

    Raises
    ------
    InputError
        Where a cell's regression has no such error, a city has no group, or all are in one.
    """
    groups: dict[str, Integers] = {}
    for cell in pass_cells.cells:
        for code in filter(block_jackknife.is_block_jackknife, cell.job.model.errors):
            for reason in _reasons(cell):
                raise InputError(
                    f"a block jackknife is not defined for {reason}",
                    where=f"cell '{cell.label}': model.errors",
                    remedy="leave it out there",
                )
            column = block_jackknife.column_of(code)
            names, groups[code] = group_codes(pass_cells.data, column, key="model.errors")
            if len(names) < 2:
                raise InputError(
                    f"all cities have the same '{column}' ({names[0]})",
                    where="model.errors",
                    remedy="a block jackknife needs a column with at least two groups of cities",
                )
    return groups


def _reasons(cell: Cell) -> Iterator[str]:
    if cell.job.pair_table is not None:
        yield "pair tables, whose units have no columns"
    if absorbed(cell.job.model.effects):
        yield f"effects beyond pair and year ({', '.join(cell.job.model.fixed_effects)})"
