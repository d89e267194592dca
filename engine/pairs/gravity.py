"""Which pairs are in the sample: exclusion by adoption class first, then the gravity screen.

Modified gravity model, with masses P, G, S, A (population, GDP, area, administrative rank):

    F_ij = (P_i G_i S_i A_i)^(1/4) (P_j G_j S_j A_j)^(1/4) / D_ij^2,    kept where F_ij > median(F)

strictly, with the median over the pairs that the exclusion left. Source: Zhang, Chen, Zhu and Yan (2023),
gravity equation; the order of the two filters follows from their row counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import add

import numpy as np

from engine.arrays import Array, Flags, Integers, LongIntegers, check_shape
from engine.cities.places import groups_at_one_place
from engine.errors import InputError
from engine.pairs.tiles import MapReduce, Tile, groups, serial_map_reduce, triangle

EARTH_RADIUS_KM = 6371.0088
_COLLECT = 4_000_000  # values of ln F held at once while the median is located
_BINS = 65_536
_EDGE = 512  # cities along the edge of a tile
_AT_ONCE = 2**18  # pairs whose forces are computed in one go


@dataclass(frozen=True)
class GravityModel:
    """City arrays of the gravity model.

    Attributes
    ----------
    ln_mass : float64 ``[n_units]``
        Mean of the logs of the masses (any units: they shift ln F by a constant); NaN where one is missing.
    unit_vector : float64 ``[n_units, 3]``
        Position on the unit sphere.
    threshold : float
        ln F of the strict screen; ``-inf`` keeps every pair.
    """

    ln_mass: Array
    unit_vector: Array
    threshold: float = -math.inf

    def ln_force(self, i: Integers | Array, j: Integers | Array) -> Array:
        """ln F of pairs (i, j), arrays ``[n]`` of positions; F has units of mass / km^2."""
        force = np.empty(len(i))
        for start in range(0, len(i), _AT_ONCE):  # ten arrays of this length are made on the way
            part = slice(start, start + _AT_ONCE)
            mass = self.ln_mass[i[part]] + self.ln_mass[j[part]]
            force[part] = mass - 2.0 * np.log(self.distance_km(i[part], j[part]))
        return force

    def distance_km(self, i: Integers | Array, j: Integers | Array) -> Array:
        """Great-circle distance in km."""
        return distance_km(self.unit_vector, i, j)


def distance_km(unit_vector: Array, i: Integers | Array, j: Integers | Array) -> Array:
    """Great-circle distance of i and j: 2 R asin(chord / 2), the haversine formula on unit vectors ``[n_units, 3]``."""
    distance = np.zeros(np.broadcast_shapes(np.shape(i), np.shape(j)))
    for along_axis in unit_vector.T:
        step = along_axis[i] - along_axis[j]
        distance += step * step
    np.sqrt(distance, out=distance)
    distance *= 0.5
    np.arcsin(np.minimum(distance, 1.0, out=distance), out=distance)
    distance *= 2.0 * EARTH_RADIUS_KM
    return distance


def unit_vectors(latitude: Array, longitude: Array) -> Array:
    """``[n, 3]`` points on the unit sphere from degrees."""
    phi, lam = np.radians(latitude), np.radians(longitude)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def check_degrees(units: Sequence[str], latitude: Array, longitude: Array) -> None:
    """Refuse coordinates that are missing or not on the globe."""
    bad = ~(np.abs(latitude) <= 90) | ~(np.abs(longitude) <= 360)
    if bad.any():
        k = int(np.argmax(bad))
        raise InputError(
            f"{units[k]} has latitude {latitude[k]:g} and longitude {longitude[k]:g}",
            where="columns latitude, longitude",
            remedy="give decimal degrees, latitude in [-90, 90]",
        )


def check_places(units: Sequence[str], latitude: Array, longitude: Array) -> None:
    """Refuse coordinates that are missing, not on the globe, or shared by two units (distance zero)."""
    check_degrees(units, latitude, longitude)
    together = groups_at_one_place(units, latitude, longitude)
    if together:
        first, second = (list(units).index(unit) for unit in together[0][:2])
        raise InputError(
            f"{units[first]} and {units[second]} are at one place ({latitude[first]:g}, {longitude[first]:g}), "
            "so their distance is 0",
            where="columns latitude, longitude",
            remedy="correct the coordinates, or leave out pairs.gravity",
        )


@dataclass(frozen=True)
class PairSample:
    """The pairs of the sample, produced tile by tile.

    Attributes
    ----------
    classes : int32 ``[n_units]``
        Adoption class of each unit.
    allowed : bool ``[n_classes, n_classes]``
        Which pairs of classes survive the exclusion.
    gravity : GravityModel or None
        The screen, if any.
    n_kept : int or None
        Pairs above the screen's threshold, once it is known.
    origin : int32 ``[n_units]`` or None
        Bootstrap samples: which city a unit is a copy of; copies of one city form no pair.
    """

    classes: Integers
    allowed: Flags
    gravity: GravityModel | None = None
    n_kept: int | None = None
    origin: Integers | None = None

    def __post_init__(self) -> None:
        check_shape("allowed", self.allowed, (len(self.allowed), len(self.allowed)))
        if self.gravity is not None:
            check_shape("ln_mass", self.gravity.ln_mass, (self.n_units,))
            check_shape("unit_vector", self.gravity.unit_vector, (self.n_units, 3))
        if self.origin is not None:
            check_shape("origin", self.origin, (self.n_units,))

    @property
    def n_units(self) -> int:
        return len(self.classes)

    @property
    def n_pairs(self) -> int:
        """All unordered pairs of units."""
        return math.comb(self.n_units, 2)

    @property
    def n_eligible(self) -> int:
        """Pairs after the exclusion, before the screen."""
        return self._count(np.ones(self.n_units, dtype=bool))

    @property
    def threshold(self) -> float:
        """ln F above which the screen keeps pairs; ``-inf`` without a screen."""
        return -math.inf if self.gravity is None else self.gravity.threshold

    def ln_force(self, i: Integers, j: Integers) -> Array:
        """ln F of pairs (i, j); without a gravity model all are equally strong."""
        return np.zeros(len(i)) if self.gravity is None else self.gravity.ln_force(i, j)

    @property
    def has_force(self) -> Flags:
        """``[n_units]`` units whose mass is known: a pair with another has no force, and no place in the screen."""
        if self.gravity is None:
            return np.ones(self.n_units, dtype=bool)
        return ~np.isnan(self.gravity.ln_mass)

    @property
    def n_ranked(self) -> int:
        """Pairs after the exclusion that have a force: those of which the screen takes the median."""
        return self._count(self.has_force)

    def _count(self, units: Flags) -> int:
        """Pairs of some units that survive the exclusion."""
        classes = self.classes[units]
        size = np.bincount(classes, minlength=len(self.allowed)).astype(np.int64)
        ordered = size @ self.allowed @ size - size @ np.diag(self.allowed)
        if self.origin is not None:
            _, first, copies = np.unique(self.origin[units], return_index=True, return_counts=True)
            ordered -= (copies * (copies - 1) * np.diag(self.allowed)[classes[first]]).sum()
        return int(ordered) // 2

    def parts(self) -> tuple[tuple[Tile, ...], ...]:
        """All pairs in groups of tiles, for passes over their forces."""
        return groups(triangle(self.n_units, _EDGE))

    def eligible(self, tile: Tile, among: Flags | None = None) -> tuple[Integers, Integers]:
        """Positions (i, j) of the tile's pairs that survive the exclusion, by i, then j; as `pairs`."""
        rows = np.arange(*tile.rows, dtype=np.int32)
        cols = np.arange(*tile.cols, dtype=np.int32)
        eligible = self.allowed[self.classes[rows][:, None], self.classes[cols][None, :]]
        if tile.rows == tile.cols:
            eligible = np.triu(eligible, 1)
        if self.origin is not None:
            eligible &= self.origin[rows][:, None] != self.origin[cols][None, :]
        if among is not None:
            eligible &= among[slice(*tile.rows), slice(*tile.cols)]
        a, b = np.nonzero(eligible)
        return rows[a], cols[b]

    def pairs(self, tile: Tile, among: Flags | None = None) -> tuple[Integers, Integers]:
        """Positions (i, j) of the tile's pairs in the sample, by i, then j; those ``among`` ``[n_units, n_units]``."""
        i, j = self.eligible(tile, among)
        if self.threshold == -math.inf:
            return i, j
        strong = self.ln_force(i, j) > self.threshold
        return i[strong], j[strong]

    def all_pairs(self) -> tuple[Integers, Integers]:
        """Positions (i, j) of every pair in the sample, tile by tile."""
        parts = [self.pairs(tile) for tile in triangle(self.n_units, _EDGE)]
        i, j = (np.concatenate(side) for side in zip(*parts, strict=True))
        return i, j

    def screened(self, map_reduce: MapReduce = serial_map_reduce) -> PairSample:
        """The sample of pairs whose force is strictly above the median of the eligible pairs.

        ``map_reduce`` runs the passes over the pairs that this takes.
        """
        if self.gravity is None:
            return self
        if self.n_eligible == 0:
            raise InputError(
                "no pair is left after pairs.exclude",
                remedy="every pair has two treated units: keep them with pairs.exclude: none",
            )
        if self.n_ranked == 0:
            raise InputError(
                "no pair has a gravity force: the masses of its units are missing",
                where="pairs.gravity.mass",
                remedy="use masses, and a year of them, that cities have",
            )
        threshold, n_kept = _threshold(self, map_reduce)
        return replace(self, gravity=replace(self.gravity, threshold=threshold), n_kept=n_kept)

    def list_length(self, *, every_screen: bool, map_reduce: MapReduce) -> tuple[int, int | None]:
        """Length of `pair_list`, and all pairs above the screen, eligible or not; None without a screen.

        ``every_screen`` lists the strongest pairs that the screen of any reassignment of adoption can reach.
        """
        if self.gravity is None or self.n_kept is None:
            return self.n_pairs, None
        n_above = map_reduce(count_above, self, self.parts(), add)
        # No reassignment gives a pair a force that has none, nor changes how many eligible pairs have one.
        n_forces = math.comb(int(self.has_force.sum()), 2)
        n_reached = min(n_forces, self.n_ranked // 2 + (n_forces - self.n_ranked) + 1)
        return (n_reached if every_screen else n_above), n_above

    def pair_list(self, length: int, *, screened: bool) -> tuple[Integers, Integers, Integers]:
        """Positions i and j of pairs of all units, and the first pair of the same force; int32 ``[length]`` each.

        With ``screened`` they are sorted by force, strongest first, and only the strongest are listed.
        """
        i, j = every_pair(self.n_units)
        start = np.arange(length, dtype=np.int32)
        if not screened:
            return i, j, start
        force = self.ln_force(i, j)
        force[np.isnan(force)] = -np.inf  # weaker than any: sorting would take it for the strongest
        if length < len(force):  # what is sorted need not be longer than the list
            reached = force >= np.partition(force, len(force) - length)[len(force) - length]
            i, j, force = i[reached], j[reached], force[reached]
        np.negative(force, out=force)
        order = np.argsort(force, kind="stable")[:length]
        i, j, force = i[order], j[order], force[order]
        differs = np.concatenate([[True], force[1:] != force[:-1]])
        start[~differs] = 0
        return i, j, np.maximum.accumulate(start, out=start)


@dataclass(frozen=True)
class Between:
    """Eligible pairs of a sample whose ln F lies between two values, both included; never those without a force."""

    sample: PairSample
    low: float = -math.inf
    high: float = math.inf

    def forces(self, tiles: Sequence[Tile]) -> Iterator[Array]:
        """ln F of these pairs, tile by tile."""
        for tile in tiles:
            values = self.sample.ln_force(*self.sample.eligible(tile))
            yield values[(values >= self.low) & (values <= self.high)]

    @property
    def edges(self) -> Array:
        """Of the bins that the values are counted in."""
        return np.linspace(self.low, self.high, _BINS + 1)


def _threshold(sample: PairSample, map_reduce: MapReduce) -> tuple[float, int]:
    """The lower middle value of ln F over the eligible pairs that have one, and how many lie strictly above it.

    ln F > median and ln F > lower middle value select the same pairs (no value lies between the two middle
    ones), and the latter needs no averaging of nearly equal numbers. Exact without holding all values:
    counts in bins locate it, a last look collects the values of its bin.

    For P pairs in G groups of tiles a look is G tasks. The first brings two numbers from each group, each of the next
    `_BINS` counts (512 KB) and narrows the interval `_BINS` times, the last at most `_COLLECT` values (32 MB) from all
    groups together, more only where so many are equal to the last bits. So three looks find the median of any P up to
    `_COLLECT` times `_BINS` = 2.6e11 evenly spread values, and what the driver holds does not grow with P.
    """
    parts = sample.parts()
    n, rank = sample.n_ranked, (sample.n_ranked - 1) // 2
    interval, n_below, n_inside = Between(sample), 0, n
    if n_inside > _COLLECT:
        low, high = map_reduce(force_span, interval, parts, merge_spans)
        interval = Between(sample, float(low), float(high))
    while n_inside > _COLLECT:
        edges, counts = interval.edges, map_reduce(force_counts, interval, parts, add)
        n_before = n_below + np.cumsum(counts) - counts
        middle = int(np.searchsorted(n_before, rank, side="right")) - 1
        n_below, n_inside = int(n_before[middle]), int(counts[middle])
        interval = Between(sample, float(edges[middle]), float(edges[middle + 1]))
        if np.nextafter(interval.low, interval.high) >= interval.high:
            break
    values = map_reduce(forces_inside, interval, parts, merge_forces)
    value = float(np.partition(values, rank - n_below)[rank - n_below])
    return value, int((values > value).sum()) + n - n_below - len(values)


def force_span(interval: Between, tiles: Sequence[Tile]) -> Array:
    """Smallest and largest ln F of some tiles."""
    spans = [(values.min(), values.max()) for values in interval.forces(tiles) if len(values)]
    return np.array([min((a for a, _ in spans), default=np.inf), max((b for _, b in spans), default=-np.inf)])


def merge_spans(first: Array, second: Array) -> Array:
    """The span of two parts."""
    return np.array([min(first[0], second[0]), max(first[1], second[1])])


def force_counts(interval: Between, tiles: Sequence[Tile]) -> LongIntegers:
    """How many values of ln F of some tiles fall into each bin, int64 ``[_BINS]``."""
    edges, counts = interval.edges, np.zeros(_BINS, dtype=np.int64)
    for values in interval.forces(tiles):
        counts += np.histogram(values, edges)[0]
    return counts


def forces_inside(interval: Between, tiles: Sequence[Tile]) -> Array:
    """The values of ln F of some tiles."""
    return np.concatenate(list(interval.forces(tiles)))


def merge_forces(first: Array, second: Array) -> Array:
    """Values of two parts."""
    return np.concatenate([first, second])


def every_pair(n_units: int) -> tuple[Integers, Integers]:
    """Positions (i, j), i < j, int32, of every pair of units, by i, then j."""
    sizes = np.arange(n_units - 1, 0, -1)
    i = np.repeat(np.arange(n_units - 1, dtype=np.int32), sizes)
    j = np.concatenate([np.arange(k + 1, n_units, dtype=np.int32) for k in range(n_units - 1)])
    return i, j


def count_above(sample: PairSample, tiles: Sequence[Tile]) -> int:
    """Pairs of some tiles above the screen, eligible or not."""
    whole = PairSample(sample.classes, np.ones_like(sample.allowed), sample.gravity)
    return sum(len(whole.pairs(tile)[0]) for tile in tiles)
