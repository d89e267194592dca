"""How the scores of two pairs correlate: with a city in common, and with cities at a distance of each other.

With psi_p the influence of a pair on a coefficient, the mean of psi_p psi_q over couples of pairs of one kind is
divided by the mean of psi_p^2. Couples with a common city are counted once in either order; couples without one once
for each of their cities, one of either pair, at the distance. All sums are read off the matrix of influences
``[N, N]``, without a loop over couples of pairs. The band is that of places permuted among the cities, which keeps
cities, pairs and their scores as they are and takes away what distance has to do with them. Source of the idea: the
correlogram (Cliff and Ord 1973); for scores of pairs it is this project's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.arrays import Array, Integers, LongIntegers
from engine.estimate.estimate import Estimate
from engine.infer.draws import permuted_classes
from engine.pairs.near_pairs import merge_influences, pair_influences
from engine.runtime.execute import UNITS
from engine.spec.inference import ScoreCorrelations
from engine.stages.pair_sums import PassSums, score_pass, stacked_paths

REPLICATES = 199
"""Permutations of places behind the band, which is from the fifth smallest to the fifth largest of them: 95%."""
_OUTERMOST = 5
_SEED = 0


@dataclass(frozen=True)
class Correlogram:
    """Correlations of one coefficient's pair scores.

    Attributes
    ----------
    term : str
    common_city : float
        Of couples with a city in common; NaN where there are none.
    n_common : int
        Couples with a city in common, in either order.
    edges : float64 ``[n_bins + 1]``
        Distances in km, the first zero.
    by_distance, low, high : float64 ``[n_bins]``
        Of couples with cities at a distance, above an edge up to the next one (and at zero); and the band.
    n_couples : int64 ``[n_bins]``
        In either order.
    """

    term: str
    common_city: float
    n_common: int
    edges: Array
    by_distance: Array
    low: Array
    high: Array
    n_couples: Integers


def correlograms(
    passes: PassSums, estimates: Sequence[Estimate], block: ScoreCorrelations, distances: Array
) -> list[tuple[Correlogram, ...]]:
    """Correlations of the pair scores of every tested coefficient of some estimates, from one pass over the pairs.

    Parameters
    ----------
    passes : PassSums
    estimates : sequence of Estimate
    block : ScoreCorrelations
    distances : float64 ``[n_units, n_units]``
        Of the cities, in km.
    """
    i, j, psi = passes.machine.reduce(
        pair_influences,
        score_pass(passes, *stacked_paths(list(estimates))),
        passes.pass_input.design.tasks(),
        merge_influences,
        label="scores of pairs",
        units=UNITS,
    )
    in_pairs = np.unique(np.concatenate([i, j]))
    first, second = np.searchsorted(in_pairs, i), np.searchsorted(in_pairs, j)
    couples = CoupleClasses.of(
        distances[np.ix_(in_pairs, in_pairs)], np.linspace(0.0, block.distance, block.bins + 1)
    )

    def matrix(of_pairs: Array | float) -> Array:
        symmetric = np.zeros(couples.bins.shape)
        symmetric[first, second] = symmetric[second, first] = of_pairs
        return symmetric

    adjacent = matrix(1.0)
    return [
        correlograms_of(
            [estimate.names[k] for k in estimate.tested_positions],
            np.stack([matrix(psi[:, number, k]) for k in estimate.tested_positions]),
            adjacent,
            couples,
        )
        for number, estimate in enumerate(estimates)
    ]


@dataclass(frozen=True)
class CoupleClasses:
    """Classes of distance of two cities.

    Attributes
    ----------
    bins : int ``[N, N]``
        Class of two cities; the number of classes beyond the last, and of a city with itself.
    edges : float64 ``[n_bins + 1]``
    """

    bins: LongIntegers
    edges: Array

    @classmethod
    def of(cls, places: Array, edges: Array) -> CoupleClasses:
        """From distances ``[N, N]`` in km."""
        bins = np.searchsorted(edges[1:], places)
        np.fill_diagonal(bins, len(edges) - 1)
        return cls(bins, edges)

    def sums(self, matrices: Array, order: Integers | None = None) -> Array:
        """Sums ``[n, n_bins]`` of matrices ``[n, N, N]``, the places of the cities in an order or as they are."""
        bins = (self.bins if order is None else self.bins[np.ix_(order, order)]).ravel()
        n_bins = len(self.edges) - 1
        return np.stack(
            [np.bincount(bins, matrix.ravel(), minlength=n_bins + 1)[:n_bins] for matrix in matrices]
        )


def correlograms_of(
    terms: Sequence[str], psi: Array, adjacent: Array, couples: CoupleClasses
) -> tuple[Correlogram, ...]:
    """Correlations of some coefficients of one estimate.

    Parameters
    ----------
    terms : sequence of str
    psi : float64 ``[K, N, N]``
        Influences, zero where two cities are no pair.
    adjacent : float64 ``[N, N]``
        One where two cities are a pair.
    couples : CoupleClasses
    """
    n_common, count = _common_and_apart(adjacent)
    common, apart = zip(*(_common_and_apart(of_term) for of_term in psi), strict=True)
    n_pairs, sums = adjacent.sum() / 2, np.stack([*apart, count])
    scale = (psi**2).sum(axis=(1, 2)) / 2 / n_pairs if n_pairs else np.zeros(len(terms))
    n = len(adjacent)
    orders = permuted_classes(_SEED, np.arange(REPLICATES, dtype=np.int32), np.arange(n, dtype=np.int32))
    observed, drawn = couples.sums(sums), np.stack([couples.sums(sums, order) for order in orders])
    by_distance = _ratio(observed[:-1], scale[:, None] * observed[-1])
    permuted = np.sort(_ratio(drawn[:, :-1], scale[:, None] * drawn[:, -1:]), axis=0)
    # NaN last: a permutation may have no couples in a class, which then has no band.
    low, high = (
        np.where(np.isfinite(permuted[-1]), permuted[place], np.nan)
        for place in (_OUTERMOST - 1, -_OUTERMOST)
    )
    return tuple(
        Correlogram(
            term=term,
            common_city=float(_ratio(common[k], scale[k] * n_common)),
            n_common=round(n_common),
            edges=couples.edges,
            by_distance=by_distance[k],
            low=low[k],
            high=high[k],
            n_couples=np.rint(observed[-1]).astype(np.int64),
        )
        for k, term in enumerate(terms)
    )


def _common_and_apart(psi: Array) -> tuple[float, Array]:
    """Sums of psi_p psi_q over couples with one city in common, and, by city of either pair, over those with none.

    Of two cities c and d: psi_c psi_d less the couples that have a city in common, which are p = q = {c, d}, {c, d}
    with another pair of c or of d, and {c, k} with {d, k}.
    """
    of_city = psi.sum(axis=1)
    common = float(of_city @ of_city - (psi**2).sum())
    apart = np.outer(of_city, of_city) + psi**2 - psi * (of_city[:, None] + of_city) - psi @ psi.T
    return common, np.asarray(apart)


def _ratio(sums: Array | float, counts: Array | float) -> Array:
    """NaN where nothing is counted."""
    counts = np.asarray(counts, dtype=np.float64)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def correlation_rows(job: str, cell: str, correlogram: Correlogram) -> pd.DataFrame:
    """Rows of ``score_correlations.parquet``: couples with a common city first, then by distance."""
    apart = pd.DataFrame(
        {
            "distance_low": correlogram.edges[:-1],
            "distance_high": correlogram.edges[1:],
            "n_couples": correlogram.n_couples,
            "correlation": correlogram.by_distance,
            "band_low": correlogram.low,
            "band_high": correlogram.high,
        }
    )
    common = {"n_couples": correlogram.n_common, "correlation": correlogram.common_city}
    rows = pd.concat([pd.DataFrame([common]), apart], ignore_index=True)
    rows.insert(0, "common_cities", [1] + [0] * len(apart))
    for name, text in (("term", correlogram.term), ("cell", cell), ("job", job)):
        rows.insert(0, name, text)
    return rows
