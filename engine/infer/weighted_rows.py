"""Samples in which cities carry weights, on an accelerator: as `weighted.SortedPairs`, from rows of partners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array, Integers
from engine.infer.devices import across_devices, on_all_devices, to_host
from engine.infer.partner_rows import (
    PairTypes,
    PartnerRows,
    RowDraws,
    draws_last,
    partner_rows,
    row_influences,
    row_type_sums,
)
from engine.infer.permuted_sums import packed_classes
from engine.pairs.pair_statistics import PairStatistics


@dataclass(frozen=True, eq=False)
class WeightedRows:
    """The pairs of a sample as rows of partners; attributes as those of `weighted.TypedPairs`."""

    pairs: PairStatistics
    classes: Integers
    type_numbers: Integers
    n_types: int

    @cached_property
    def _types(self) -> PairTypes:
        classes = [np.argwhere(np.triu(self.type_numbers == number)) for number in range(self.n_types)]
        types = tuple((int(smaller), int(larger)) for ((smaller, larger),) in classes)
        return PairTypes(types, len(self.type_numbers), (0,) * self.n_types, self.pairs.layout.size)

    def _draws(self, weights: Array) -> RowDraws:
        return RowDraws(
            on_all_devices(packed_classes(self.classes[None], len(self.type_numbers))),
            on_all_devices(np.array([self.pairs.n_pairs], dtype=np.int32)),
            across_devices(np.ascontiguousarray(weights.T)),
        )

    def type_sums(self, weights: Array) -> Array:
        """As `weighted.SortedPairs.type_sums`."""
        return to_host(row_type_sums(partner_rows(self.pairs), self._draws(weights), types=self._types))

    def influence_squares(
        self, weights: Array, psi_weights: Array, city_weights: Array | None = None
    ) -> tuple[Array, Array, Array]:
        """As `weighted.SortedPairs.influence_squares`."""
        rows, draws = partner_rows(self.pairs), self._draws(weights)
        by_target = np.stack([psi_weights] if city_weights is None else [city_weights, psi_weights], axis=1)
        squares = _squares(rows, draws, draws_last(by_target), types=self._types)
        city_squares, pair_squares, n_cities = (to_host(part) for part in squares)
        return city_squares, pair_squares, n_cities


@partial(jax.jit, static_argnames="types")
def _squares(
    rows: PartnerRows, draws: RowDraws, weights: jax.Array, *, types: PairTypes
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Sums ``[n_draws]`` of squared city and pair influences, and the cities that stand in a pair.

    The first of the targets is of cities, the last of pairs.
    """
    sums = row_influences(rows, draws, weights, types=types)
    assert draws.copies is not None
    drawn = (draws.copies > 0) & (sums.degree > 0)
    city_squares = jnp.where(drawn, sums.cities[0] ** 2 / jnp.where(drawn, draws.copies, 1.0), 0.0).sum(0)
    return city_squares, sums.products[-1, -1], jnp.where(drawn, draws.copies, 0.0).sum(0)
