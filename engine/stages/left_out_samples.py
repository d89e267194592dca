"""Samples that lack sets of cities: neighbourhoods for spatial and network errors, groups for the block jackknife."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from engine.arrays import Flags, Integers
from engine.estimate.normal import Projected, expand, partial_out_years
from engine.pairs.map_reduce import merge_products
from engine.pairs.near_pairs import NearPass, near_sums
from engine.runtime.execute import UNITS
from engine.stages.pair_sums import PassSums, by_type


def samples_without_groups(passes: PassSums, city_groups: Mapping[str, Integers]) -> Mapping[str, Projected]:
    """Samples without each group that has a city in a pair of the sample, by the code of the standard-error type."""
    if not city_groups:
        return {}
    in_sample = passes.normal.totals[:, :, 0].any(axis=1)
    sets = {
        code: np.unique(groups[in_sample])[:, None] == groups[None] for code, groups in city_groups.items()
    }
    (samples,) = samples_without(passes, np.concatenate([*sets.values()])[None])
    ends = np.cumsum([len(of_code) for of_code in sets.values()])
    return {
        code: Projected(samples.q[end - len(of_code) : end], samples.on_years[end - len(of_code) : end])
        for (code, of_code), end in zip(sets.items(), ends, strict=True)
    }


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
    normal, layout = passes.normal, passes.moments.layout
    of_any_radius = sparse.csr_matrix(np.asarray(near.any(axis=0), dtype=np.float64))
    have_common = (of_any_radius.T @ of_any_radius).toarray() > 0
    sums = passes.machine.reduce(
        near_sums,
        NearPass(passes.pass_input, near, have_common),
        passes.pass_input.design.tasks(),
        merge_products,
        label="samples without cities",
        units=UNITS,
    )
    # Pairs within a set are in the sums of two of its cities.
    within = (expand(layout, of_radius, by_type(passes.table)[None])[0] for of_radius in sums)
    cities = normal.of_cities
    samples = (
        normal.total - np.tensordot(near_of_radius.astype(np.float64), cities, axes=1) + twice
        for near_of_radius, twice in zip(near, within, strict=True)
    )
    return [partial_out_years(sample, normal.n_years, balanced=normal.balanced) for sample in samples]
