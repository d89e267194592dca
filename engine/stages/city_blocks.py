"""Blocks of cities that block jackknives leave out: groups of a column, of near cities, and moving along an order.

Blocks are of the cities that a sample has; each function gives them as bool ``[n_blocks, n_units]``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.arrays import Array, Flags, Integers
from engine.errors import InputError

CityBlocks = Callable[[Flags], Flags]
"""From the cities in a pair of the sample ``[n_units]`` to the cities of each block."""
_WHERE = "model.errors"


def of_groups(groups: Integers, in_sample: Flags) -> Flags:
    """The cities of each group ``[n_units]`` that has one in the sample."""
    return np.asarray(np.unique(groups[in_sample])[:, None] == groups[None])


def of_near_cities(distances: Array, kilometres: float, in_sample: Flags) -> Flags:
    """Groups of cities no two of which are farther apart, by complete linkage of the distances ``[n_units, n_units]``.

    Raises
    ------
    InputError
        Where all cities are in one.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    cities = np.flatnonzero(in_sample)
    apart = squareform(distances[np.ix_(cities, cities)], checks=False)
    groups = fcluster(linkage(apart, "complete"), kilometres, criterion="distance")
    if groups.max() == 1:
        raise InputError(
            f"all cities are within {kilometres:g} km of each other",
            where=_WHERE,
            remedy="a block jackknife needs two blocks: give a smaller distance",
        )
    members = np.zeros((groups.max(), len(in_sample)), dtype=bool)
    members[groups - 1, cities] = True
    return members


def along_order(order: Array, length: int, in_sample: Flags) -> Flags:
    """Each city and the next ones in the order of their values ``[n_units]``, the first after the last.

    Raises
    ------
    InputError
        Where a block has more than half of the cities.
    """
    cities = np.flatnonzero(in_sample)
    if 2 * length > len(cities):
        raise InputError(
            f"a block jackknife with blocks of {length} cities has {len(cities)} cities in all",
            where=_WHERE,
            remedy="give a length of half of the cities or fewer",
        )
    ordered = cities[np.argsort(order[cities], kind="stable")]
    first = np.arange(len(cities))
    members = np.zeros((len(cities), len(in_sample)), dtype=bool)
    for step in range(length):
        members[first, np.roll(ordered, -step)] = True
    return members
