"""Samples that lack sets of cities: neighbourhoods for spatial and network errors, groups for the block jackknife."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from engine.arrays import Array, Flags
from engine.estimate.normal import Projected, expand, partial_out_years
from engine.estimate.row_counts import rows_by_year
from engine.pairs.map_reduce import merge_products
from engine.pairs.near_pairs import NearPass, near_sums, near_tasks
from engine.runtime.blas_threads import one_blas_thread
from engine.stages.city_blocks import CityBlocks
from engine.stages.pair_sums import PassSums, by_type


@dataclass(frozen=True)
class GroupSamples:
    """Samples that lack each group with a city in a pair of the sample, by the code of a standard-error type.

    Attributes
    ----------
    samples : mapping of str to Projected
    members : mapping of str to bool ``[n_groups, n_units]``
    within : mapping of str to float64 ``[n_groups, n_types, size]``
        Statistics of the pairs both of whose cities are in a group, summed by type.
    """

    samples: Mapping[str, Projected] = field(default_factory=dict)
    members: Mapping[str, Flags] = field(default_factory=dict)
    within: Mapping[str, Array] = field(default_factory=dict)

    def rows_gone(self, passes: PassSums, of_city: Array) -> dict[str, Array]:
        """``[n_groups, r]`` rows of a treatment term that go with a group, from those of each city ``[n_units, r]``."""
        layout, table = passes.moments.layout, by_type(passes.table)
        return {
            code: members @ of_city - np.einsum("mht,htr->mr", rows_by_year(layout, self.within[code]), table)
            for code, members in self.members.items()
        }


def samples_without_groups(passes: PassSums, city_blocks: Mapping[str, CityBlocks]) -> GroupSamples:
    """Samples without each block of cities, by the code of the standard-error type that reads them."""
    if not city_blocks:
        return GroupSamples()
    in_sample = np.asarray(passes.normal.totals[:, :, 0].any(axis=1))
    members = {code: of_sample(in_sample) for code, of_sample in city_blocks.items()}
    near = np.concatenate([*members.values()])[None]
    within = _within(passes, near)
    (samples,) = _samples(passes, near, within)
    ends = np.cumsum([len(of_code) for of_code in members.values()])
    spans = {
        code: slice(end - len(of_code), end)
        for (code, of_code), end in zip(members.items(), ends, strict=True)
    }
    return GroupSamples(
        {code: Projected(samples.q[span], samples.on_years[span]) for code, span in spans.items()},
        members,
        {code: within[0, span] for code, span in spans.items()},
    )


def samples_without(passes: PassSums, near: Flags) -> list[Projected]:
    """Moments off the years of the samples without the cities of each set.

    Parameters
    ----------
    passes : PassSums
    near : bool ``[n_radii, n_sets, n_units]``
        Cities of each set; they may overlap.

    Returns
    -------
    list of Projected, one for each radius
    """
    return _samples(passes, near, _within(passes, near))


def _within(passes: PassSums, near: Flags) -> Array:
    """Statistics of the pairs within each set ``[n_radii, n_sets, n_types, size]``."""
    # Not kept in a store: of 2,850 sets and five radii 190 MB, for every pass of a sweep.
    of_types = replace(passes.machine, store=None).reduce(
        near_sums,
        NearPass.of(passes.pass_input, near),
        near_tasks(passes.pass_input.design),
        merge_products,
        label="samples without cities",
    )
    return np.asarray(of_types.transpose(1, 2, 0, 3))


def _samples(passes: PassSums, near: Flags, within: Array) -> list[Projected]:
    normal, layout = passes.normal, passes.moments.layout
    n_units, *shape = normal.of_cities.shape
    of_city, table = normal.of_cities.reshape(n_units, -1), by_type(passes.table)[None]

    @one_blas_thread()  # for threads of a pool
    def of_radius(near_of_radius: Flags, within_radius: Array) -> Projected:
        of_sets = (sparse.csr_array(near_of_radius, dtype=np.float64) @ of_city).reshape(
            near_of_radius.shape[0], *shape
        )
        # Pairs within a set are in the sums of two of its cities.
        twice = expand(layout, within_radius, table)[0]
        return partial_out_years(normal.total - of_sets + twice, normal.n_years, balanced=normal.balanced)

    with ThreadPoolExecutor(passes.machine.threads) as pool:
        return [*pool.map(of_radius, near, within)]
