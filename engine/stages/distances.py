"""Distances of cities for spatial standard errors, and refusals of cells that cannot have any."""

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


@dataclass(frozen=True)
class NearCities:
    """Spatial standard-error types of a pass, and the distances of its cities.

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
    """Distances for the spatial types of some cells, from their panel; None without such types.

    Raises
    ------
    InputError
        Where a cell's regression has none, or a coordinate is missing or wrong.
    """
    codes = dict.fromkeys(
        code for cell in pass_cells.cells for code in cell.job.model.errors if spatial.is_spatial(code)
    )
    if not codes:
        return None
    for cell in pass_cells.cells:
        for reason in _reasons(cell):
            raise InputError(
                f"spatial errors are not defined for {reason}",
                where=f"cell '{cell.label}': model.errors",
                remedy="leave them out there",
            )
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
    estimator = job.model.registered
    if estimator.uses_instrument or estimator.of_sums or estimator.functions.combination is not None:
        yield f"estimator {job.model.estimator}"
