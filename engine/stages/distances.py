"""Distances of cities for spatial standard errors and correlations of scores, and refusals of cells without them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.arrays import Array
from engine.errors import InputError
from engine.infer.errors import spatial
from engine.pairs.gravity import check_degrees, distance_km, unit_vectors
from engine.spec import Cell
from engine.spec.effects import absorbed
from engine.stages.pass_cells import PassCells

_MOST_CORRELATED = 5_000  # cities whose pairs' scores fit into memory


@dataclass(frozen=True)
class NearCities:
    """Spatial standard-error types of a pass (none where only correlations are asked for), and its cities' distances.

    Attributes
    ----------
    codes : tuple of str
    distances : float64 ``[n_units, n_units]``
        In km.
    """

    codes: tuple[str, ...]
    distances: Array

    @property
    def radii(self) -> list[float]:
        """Of all codes, above zero, ascending."""
        return sorted({radius for code in self.codes for radius in spatial.radii_of(code) if radius > 0})


def near_cities_of(pass_cells: PassCells) -> NearCities | None:
    """Distances for the cells that need any, from their panel; None where no cell does.

    Raises
    ------
    InputError
        Where a cell's regression has none, or a coordinate is missing or wrong.
    """
    codes = dict.fromkeys(
        code for cell in pass_cells.cells for code in cell.job.model.errors if spatial.is_spatial(code)
    )
    correlated = [cell for cell in pass_cells.cells if cell.job.inference.score_correlations]
    if not codes and not correlated:
        return None
    for cell in pass_cells.cells:
        for reason in _reasons(cell):
            raise InputError(
                f"spatial errors are not defined for {reason}",
                where=f"cell '{cell.label}': model.errors",
                remedy="leave them out there",
            )
    for cell in correlated:
        _refuse_correlations(cell, len(pass_cells.data.panel.units))
    panel = pass_cells.data.panel
    latitude, longitude = panel.constant("latitude"), panel.constant("longitude")
    check_degrees(panel.units, latitude, longitude)
    unit = np.arange(len(panel.units), dtype=np.int32)
    distances = distance_km(unit_vectors(latitude, longitude), unit[:, None], unit[None])
    return NearCities(tuple(codes), distances)


def _reasons(cell: Cell) -> Iterator[str]:
    job = cell.job
    if not any(spatial.is_spatial(code) for code in job.model.errors):
        return
    if job.pair_table is not None:
        yield "pair tables, whose units have no coordinates"
    if absorbed(job.model.effects):
        yield f"effects beyond pair and year ({', '.join(job.model.fixed_effects)})"
    if job.model.registered.uses_instrument or job.model.registered.functions.combination is not None:
        yield f"estimator {job.model.estimator}"


def _refuse_correlations(cell: Cell, n_units: int) -> None:
    """Raise InputError where the scores of pairs are not read off type sums, or would not fit in memory."""
    where = f"cell '{cell.label}': inference.score_correlations"
    if absorbed(cell.job.model.effects):
        effects = ", ".join(cell.job.model.fixed_effects)
        raise InputError(
            f"score correlations are not defined for effects beyond pair and year ({effects})",
            where=where,
            remedy="leave them out there",
        )
    if n_units > _MOST_CORRELATED:
        raise InputError(
            f"{n_units:,} cities are more than {_MOST_CORRELATED:,}: the scores of all pairs are held at once",
            where=where,
            remedy="leave the block out, or take a part of the cities",
        )
