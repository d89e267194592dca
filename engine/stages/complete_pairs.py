"""Refusal of missing pair-years where an estimator, or a diagnostic, is of complete pairs; before any pass."""

from __future__ import annotations

from engine.errors import InputError
from engine.pairs.design import PairDesign
from engine.stages.pass_cells import PassCells


def refuse_incomplete(pass_cells: PassCells, design: PairDesign) -> None:
    """Raise InputError where pair-years are missing, and a cell's estimator or diagnostics need them."""
    for cell in pass_cells.cells:
        if cell.job.model.diagnostics and not design.complete:
            raise InputError(
                f"{cell.job.model.diagnostics[0]} is of pairs that have all years, and some are missing",
                where=f"cell '{cell.label}': model.diagnostics",
                remedy="take it out where years are missing, lagged or filtered, or leave out the cities without them",
            )
        if cell.job.model.registered.complete_pairs and not design.complete:
            raise InputError(
                f"estimator {cell.job.model.estimator} compares pairs that have all years, and some are missing",
                where=f"cell '{cell.label}': {'pair_table' if cell.job.pair_table else 'panel.balance'}",
                remedy="leave out pairs with missing years"
                if cell.job.pair_table
                else "leave out cities with missing years (panel.balance: drop), or fill them (panel.fill)",
            )
