"""Passes over the pairs for dependence between near cities, as map and merge.

`near_sums` gives the statistics of the pairs within sets of cities (every city's neighbourhood, or groups), from which
the samples without the cities of a set follow; `near_products` the products of influences by nearness of a pair's own
two cities.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from engine.arrays import Array, Flags, Integers
from engine.float64 import double_precision
from engine.pairs import influence_kernels, kernels
from engine.pairs.design import PairDesign
from engine.pairs.map_reduce import InteractionPass, MomentPass, ScorePass, city_arrays, kernel_options
from engine.pairs.moments import type_of


@dataclass(frozen=True)
class NearPass:
    """Input of every task of `near_sums`.

    Attributes
    ----------
    moment_pass : MomentPass
    near : bool ``[n_radii, n_sets, n_units]``
        Cities of each set: those near a city, itself among them, or those of a group.
    have_common : bool ``[n_units, n_units]``
        Cities that some set has both.
    """

    moment_pass: MomentPass
    near: Flags
    have_common: Flags


def near_sums(near_pass: NearPass, task: Any) -> Array:
    """Statistics of the pairs of one task both of whose cities are in a set, summed by type.

    Returns
    -------
    float64 ``[n_radii, n_sets, n_types, size]``
    """
    moment_pass, near = near_pass.moment_pass, near_pass.near
    design, options = moment_pass.design, kernel_options(moment_pass)
    n_types = design.n_classes * (design.n_classes + 1) // 2
    sums = np.zeros((*near.shape[:2], n_types, moment_pass.layout.size))
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass))
        for chunk in design.chunks(task):
            i, j = chunk.i[: chunk.n], chunk.j[: chunk.n]
            reached = np.flatnonzero(near_pass.have_common[i, j])
            if not len(reached):
                continue
            statistics = np.asarray(kernels.pair_statistics(options, arrays, kernels.arrays_of(chunk))[0])
            i, j, statistics = i[reached], j[reached], statistics[reached]
            starts = np.flatnonzero(np.append(True, i[1:] != i[:-1]))
            for start, stop in pairwise([*starts, len(i)]):
                _add_of_city(sums, near, design, int(i[start]), j[start:stop], statistics[start:stop])
    return sums


def _add_of_city(
    sums: Array, near: Flags, design: PairDesign, city: int, partners: Integers, statistics: Array
) -> None:
    """Add the pairs of one city with some partners to the sums of every set that has both; in place."""
    radius, of_set = np.nonzero(near[:, :, city])
    low, high = partners.min(), partners.max() + 1  # of one tile: far fewer than all
    both = near[radius, of_set, low:high][:, partners - low].astype(np.float64)
    classes = design.classes
    for of_class in np.unique(classes[partners]):
        chosen = classes[partners] == of_class
        sums[radius, of_set, type_of(classes[city], of_class, design.n_classes)] += (
            both[:, chosen] @ statistics[chosen]
        )


def pair_influences(score_pass: ScorePass, task: Any) -> tuple[Integers, Integers, Array]:
    """Cities and influences of the pairs of one task, int32 ``[n_pairs]`` twice and float64 ``[n_pairs, C, K]``."""
    moment_pass, cells = score_pass.moment_pass, score_pass.cells
    options, n_cells = kernel_options(moment_pass), cells.residual.shape[1]
    no_pairs = np.zeros(0, dtype=np.int32)
    parts = [(no_pairs, no_pairs, np.zeros((0, n_cells, cells.influence.shape[1] // n_cells)))]
    with double_precision():
        arrays, block = kernels.to_device(city_arrays(moment_pass)), kernels.to_device(vars(cells))
        for chunk in moment_pass.design.chunks(task):
            psi, counted = (
                np.asarray(part)[: chunk.n]
                for part in influence_kernels.pair_influences(
                    options, arrays, kernels.arrays_of(chunk), block
                )
            )
            parts.append((chunk.i[: chunk.n][counted], chunk.j[: chunk.n][counted], psi[counted]))
    i, j, influences = (np.concatenate(part) for part in zip(*parts, strict=True))
    return i, j, influences


def merge_influences(
    earlier: tuple[Integers, Integers, Array], later: tuple[Integers, Integers, Array]
) -> tuple[Integers, Integers, Array]:
    """The pairs of two parts, in order."""
    first, second = (np.concatenate([earlier[side], later[side]]) for side in (0, 1))
    return first, second, np.concatenate([earlier[2], later[2]])


@dataclass(frozen=True)
class NearProductPass:
    """Input of every task of `near_products`: nearness of cities ``[n_kernels, n_units, n_units]``."""

    interaction_pass: InteractionPass
    nearness: Array


def near_products(near_pass: NearProductPass, task: Any) -> Array:
    """Sums over the pairs of one task, ``[n_kernels, n_cells, K, K]``; see `influence_kernels.near_products`."""
    interaction_pass = near_pass.interaction_pass
    moment_pass, cells = interaction_pass.score_pass.moment_pass, interaction_pass.score_pass.cells
    options, n_cells = kernel_options(moment_pass), cells.residual.shape[1]
    n_terms = cells.influence.shape[1] // n_cells
    products = np.zeros((len(near_pass.nearness), n_cells, n_terms, n_terms))
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass))
        block = kernels.to_device(
            vars(cells) | {"city_years": interaction_pass.city_years, "nearness": near_pass.nearness}
        )
        for chunk in moment_pass.design.chunks(task):
            products += np.asarray(
                influence_kernels.near_products(options, arrays, kernels.arrays_of(chunk), block)
            )
    return products
