"""Permutations on an accelerator: what `permuted_sums` and `permuted_influences` give, from rows of partners."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np

from engine.arrays import Array, Integers
from engine.estimate.many_samples import BatchFit, Tested, city_feature_weights, feature_weights
from engine.infer.devices import across_devices, to_host
from engine.infer.partner_rows import (
    PairTypes,
    RowDraws,
    RowSums,
    draws_last,
    find_screens,
    partner_rows,
    row_influences,
    row_type_sums,
)
from engine.infer.permuted_influences import studentising_moments
from engine.infer.permuted_sums import DrawnReach, PermutedSample, packed_classes


def type_sums(sample: PermutedSample, classes: Integers) -> tuple[Array, DrawnReach]:
    """As `permuted_sums.type_sums`."""
    pairs, on_devices = sample.pairs, _classes(sample, classes)
    if sample.recompute:
        screens = find_screens(pairs, sample.allowed, sample.middle_rank, on_devices)
    else:
        screens = across_devices(np.full(len(classes), sample.n_base, dtype=np.int32))
    draws = RowDraws(on_devices, screens)
    sums = row_type_sums(partner_rows(pairs), draws, types=_types(sample))
    return sample.in_spans(to_host(sums)), DrawnReach(to_host(screens))


def variance_moments(
    sample: PermutedSample,
    cells: tuple[tuple[BatchFit, Tested], ...],
    classes: Integers,
    reach: DrawnReach,
) -> list[tuple[Array, int]]:
    """As `permuted_influences.variance_moments`."""
    rows, types = partner_rows(sample.pairs), _types(sample)
    draws = RowDraws(_classes(sample, classes), across_devices(reach.screens))
    variances = []
    for fit, cell in cells:
        by_term = []
        for position in range(len(cell.tested)):
            fit_of_term = fit.of_term(position)
            layout, paths = sample.pairs.layout, cell.paths
            weights = feature_weights(layout, fit_of_term, paths)[:, 0]
            of_cities = city_feature_weights(layout, fit_of_term, paths)
            if of_cities is not None:  # another target, the first
                weights = np.concatenate([of_cities[:, 0], weights], axis=1)
            sums = row_influences(rows, draws, draws_last(weights), types=types)
            moments = _moments(sums, apart=of_cities is not None)
            by_term.append(studentising_moments(fit, *(to_host(part) for part in moments)))
        matrices, n_replaced = zip(*by_term, strict=True)
        variances.append((np.stack(matrices, axis=2), sum(n_replaced)))
    return variances


@partial(jax.jit, static_argnames="apart")
def _moments(sums: RowSums, *, apart: bool) -> tuple[jax.Array, jax.Array, jax.Array]:
    """City moments and pair moments ``[n_draws, n_targets, n_targets]``, cities with a pair ``[n_draws]``.

    With ``apart`` the first of the targets is of cities, and the last of pairs.
    """
    cities, products = (sums.cities[:1], sums.products[-1:, -1:]) if apart else (sums.cities, sums.products)
    city_moments = (cities[:, None] * cities[None]).sum(2).transpose(2, 0, 1)
    return city_moments, products.transpose(2, 0, 1), (sums.degree > 0).sum(0, dtype=np.int32)


def _classes(sample: PermutedSample, classes: Integers) -> jax.Array:
    return across_devices(packed_classes(classes, sample.n_classes))


def _types(sample: PermutedSample) -> PairTypes:
    return PairTypes(tuple(sample.types), sample.n_classes, sample.spans, sample.pairs.layout.size)
