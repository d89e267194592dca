"""Ties of cities beside their pairs: distances, links and groups, for standard errors and diagnostics that read them.

Spatial standard errors and score correlations read distances, network errors read links, block jackknives groups; cells
that can have none are refused before any pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from engine.arrays import Array, Flags, Integers
from engine.errors import InputError
from engine.infer.errors import block_jackknife, family_of, network, spatial
from engine.infer.errors.neighbourhoods import kernel_matrix
from engine.pairs.gravity import check_degrees, distance_km, unit_vectors
from engine.spec import Cell
from engine.spec.effects import absorbed
from engine.stages.city_blocks import CityBlocks, along_order, of_groups, of_near_cities
from engine.stages.groups import group_codes
from engine.stages.job_data import JobData
from engine.stages.pass_cells import PassCells

_MOST_CORRELATED = 5_000  # cities whose pairs' scores fit into memory


@dataclass(frozen=True)
class CityTies:
    """Distances, links and groups of the cities of a pass.

    Attributes
    ----------
    radii : mapping of str to mapping
        Weights of uniform kernels by their radius, by the code of a standard-error type that reads neighbourhoods.
    distances : mapping of str to float64 ``[n_units, n_units]``
        How far apart cities are, by the family of such a code: in km, or in links, infinite where none lead there.
    blocks : mapping of str to CityBlocks
        By the code of a block jackknife.
    """

    radii: Mapping[str, Mapping[float, float]] = field(default_factory=dict)
    distances: Mapping[str, Array] = field(default_factory=dict)
    blocks: Mapping[str, CityBlocks] = field(default_factory=dict)

    @property
    def kilometres(self) -> Array | None:
        """Distances in km; None where no cell reads them."""
        return self.distances.get(spatial.NAME)

    @property
    def neighbourhoods(self) -> list[tuple[str, float]]:
        """Families and radii above zero of all codes."""
        return sorted({at for code in self.radii for at in self.weights(code) if at[1] > 0})

    def weights(self, code: str) -> dict[tuple[str, float], float]:
        """Weights of the neighbourhoods of a code; radius 0 is each city by itself."""
        return {(_family(code), radius): weight for radius, weight in self.radii[code].items()}

    def within(self, neighbourhood: tuple[str, float]) -> Flags:
        """Cities of a radius of each city ``[n_units, n_units]``."""
        family, radius = neighbourhood
        return np.asarray(self.distances[family] <= radius)

    def nearness(self, code: str) -> Array:
        """The kernel of a code, ``[n_units, n_units]``."""
        return kernel_matrix(self.radii[code], self.distances[_family(code)])


NO_TIES = CityTies()


def city_ties_of(pass_cells: PassCells) -> CityTies:
    """Distances and blocks that the cells of a pass read.

    Raises
    ------
    InputError
        Where a cell's regression has no such error or diagnostic, a coordinate is missing or wrong, a city has no
        group, or blocks are too large.
    """
    codes = dict.fromkeys(code for cell in pass_cells.cells for code in cell.job.model.errors)
    in_blocks = tuple(filter(block_jackknife.is_block_jackknife, codes))
    radii = {code: family.radii_of(code) for code in codes if (family := family_of(code)) and family.radii_of}
    correlated = [cell for cell in pass_cells.cells if cell.job.inference.score_correlations]
    if radii or in_blocks or correlated:
        for cell in pass_cells.cells:
            _refuse(cell)
    for cell in correlated:
        _refuse_too_many(cell, len(pass_cells.data.panel.units))
    families = {_family(code) for code in radii}
    distances = {}
    if (
        spatial.NAME in families
        or correlated
        or any(block_jackknife.blocks_of(code).distance for code in in_blocks)
    ):
        distances[spatial.NAME] = _kilometres(pass_cells.data)
    if network.NAME in families:
        distances[network.NAME] = pass_cells.data.links.ways(network.MOST_LINKS)
    return CityTies(radii, distances, {code: _blocks(code, pass_cells.data, distances) for code in in_blocks})


def _family(code: str) -> str:
    return code.partition(":")[0]


def _kilometres(job_data: JobData) -> Array:
    """``[n_units, n_units]`` in km."""
    panel = job_data.panel
    latitude, longitude = panel.constant("latitude"), panel.constant("longitude")
    check_degrees(panel.units, latitude, longitude)
    unit = np.arange(len(panel.units), dtype=np.int32)
    return distance_km(unit_vectors(latitude, longitude), unit[:, None], unit[None])


def _blocks(code: str, job_data: JobData, distances: Mapping[str, Array]) -> CityBlocks:
    """The blocks of a code, possible where all cities are in the sample."""
    form, every_city = block_jackknife.blocks_of(code), np.ones(len(job_data.panel.units), dtype=bool)
    if form.by:
        return partial(of_groups, _groups(job_data, form.by))
    if form.distance:
        blocks = partial(of_near_cities, distances[spatial.NAME], form.distance)
    else:
        blocks = partial(along_order, _order(job_data, form.order), form.length)
    blocks(every_city)
    return blocks


def _order(job_data: JobData, column: str) -> Array:
    """``[n_units]`` values that the cities are ordered by."""
    order, panel = job_data.panel.constant(column), job_data.panel
    if np.isnan(order).any():
        city = panel.units[int(np.isnan(order).argmax())]
        raise InputError(
            f"column '{column}' is missing for {city}", where="model.errors", remedy="give every city a value"
        )
    places = np.argsort(order, kind="stable")
    tied = np.flatnonzero(np.diff(order[places]) == 0)
    if len(tied):
        first, second = (panel.units[places[tied[0] + step]] for step in (0, 1))
        raise InputError(
            f"column '{column}' is {order[places[tied[0]]]:g} in both {first} and {second}",
            where="model.errors",
            remedy="an order needs a value of its own for every city",
        )
    return order


def _groups(job_data: JobData, column: str) -> Integers:
    """The group of each city, int ``[n_units]``."""
    names, groups = group_codes(job_data, column, key="model.errors")
    if len(names) < 2:
        raise InputError(
            f"all cities have the same '{column}' ({names[0]})",
            where="model.errors",
            remedy="a block jackknife needs a column with at least two groups of cities",
        )
    return groups


def _refuse(cell: Cell) -> None:
    """Raise InputError where a cell asks for what its regression does not have."""
    job = cell.job
    for what, key, is_requested, reasons in (
        (
            "spatial errors are",
            "model.errors",
            any(map(spatial.is_spatial, job.model.errors)),
            _no_step(cell),
        ),
        (
            "network errors are",
            "model.errors",
            job.model.reads_links,
            _no_step(cell),
        ),
        (
            "block jackknives are",
            "model.errors",
            any(map(block_jackknife.is_block_jackknife, job.model.errors)),
            _no_refit(cell),
        ),
        (
            "score correlations are",
            "inference.score_correlations",
            job.inference.score_correlations is not None,
            _no_refit(cell),
        ),
    ):
        reason = next(reasons, None)
        if is_requested and reason:
            raise InputError(
                f"{what} not defined for {reason}",
                where=f"cell '{cell.label}': {key}",
                remedy="leave them out there",
            )


def _no_refit(cell: Cell) -> Iterator[str]:
    """Why neither a sample without a group nor the score of a pair is read off the moments of a pass."""
    job = cell.job
    if job.pair_table is not None:
        yield "pair tables, whose units have neither coordinates nor columns"
    if absorbed(job.model.effects):
        yield f"effects beyond pair and year ({', '.join(job.model.fixed_effects)})"
    if not job.model.registered.has_pair_sums:
        yield f"estimator {job.model.estimator}"


def _no_step(cell: Cell) -> Iterator[str]:
    """Why there are no leave-neighbourhood-out steps."""
    yield from _no_refit(cell)
    registered = cell.job.model.registered
    if registered.uses_instrument or registered.functions.combination is not None:
        yield f"estimator {cell.job.model.estimator}"


def _refuse_too_many(cell: Cell, n_units: int) -> None:
    if n_units > _MOST_CORRELATED:
        raise InputError(
            f"{n_units:,} cities are more than {_MOST_CORRELATED:,}: the scores of all pairs are held at once",
            where=f"cell '{cell.label}': inference.score_correlations",
            remedy="leave the block out, or take a part of the cities",
        )
