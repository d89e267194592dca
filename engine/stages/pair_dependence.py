"""How the scores of two pairs correlate: with a city in common, and with cities at a distance of each other.

With psi_p the influence of a pair on a coefficient, the mean of psi_p psi_q over couples of pairs of one kind is
divided by the mean of psi_p^2. Couples with a common city are counted once in either order; couples without one once
for each of their cities, one of either pair, at the distance. All sums are read off the matrix of influences
``[N, N]``, without a loop over couples of pairs. The band is that of places permuted among the cities, which keeps
cities, pairs and their scores as they are and takes away what distance has to do with them. Source of the idea: the
correlogram (Cliff and Ord 1973); for scores of pairs it is this project's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.arrays import Array, Integers
from engine.estimate.estimate import Estimate
from engine.infer.draws import permuted_classes
from engine.pairs.near_pairs import merge_influences, pair_influences
from engine.spec.inference import ScoreCorrelations
from engine.stages.pair_sums import UNITS, PassSums, score_pass, stacked_paths

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
    passes: PassSums, estimate: Estimate, block: ScoreCorrelations, distances: Array
) -> tuple[Correlogram, ...]:
    """Correlations of the pair scores of every tested coefficient.

    Parameters
    ----------
    passes : PassSums
    estimate : Estimate
    block : ScoreCorrelations
    distances : float64 ``[n_units, n_units]``
        Of the cities, in km.
    """
    i, j, psi = passes.machine.reduce(
        pair_influences,
        score_pass(passes, *stacked_paths([estimate])),
        passes.pass_input.design.tasks(),
        merge_influences,
        label="scores of pairs",
        units=UNITS,
    )
    in_pairs = np.unique(np.concatenate([i, j]))
    first, second = np.searchsorted(in_pairs, i), np.searchsorted(in_pairs, j)
    places, edges = distances[np.ix_(in_pairs, in_pairs)], np.linspace(0.0, block.distance, block.bins + 1)

    def matrix(of_pairs: Array | float) -> Array:
        symmetric = np.zeros(places.shape)
        symmetric[first, second] = symmetric[second, first] = of_pairs
        return symmetric

    adjacent = matrix(1.0)
    return tuple(
        correlogram(estimate.names[k], matrix(psi[:, 0, k]), adjacent, places, edges)
        for k in estimate.tested_positions
    )


def correlogram(term: str, psi: Array, adjacent: Array, places: Array, edges: Array) -> Correlogram:
    """Correlations of one coefficient.

    Parameters
    ----------
    term : str
    psi, adjacent : float64 ``[N, N]``
        Influences, zero where two cities are no pair, and one where they are.
    places : float64 ``[N, N]``
        Distances of the cities, in km.
    edges : float64 ``[n_bins + 1]``
    """
    score_sum, pair_sum = _common_and_apart(psi), (psi**2).sum() / 2
    counts, n_pairs = _common_and_apart(adjacent), adjacent.sum() / 2
    scale = pair_sum / n_pairs if n_pairs else 0.0
    observed, n_couples = (_by_bin(apart, places, edges) for apart in (score_sum[1], counts[1]))
    drawn = np.empty((REPLICATES, len(edges) - 1))
    n = len(places)
    orders = permuted_classes(_SEED, np.arange(REPLICATES, dtype=np.int32), np.arange(n, dtype=np.int32))
    for number, order in enumerate(orders):
        permuted = places[np.ix_(order, order)]
        drawn[number] = _ratio(
            _by_bin(score_sum[1], permuted, edges), scale * _by_bin(counts[1], permuted, edges)
        )
    drawn.sort(axis=0)  # NaN last: a permutation may have no couples in a bin, which then has no band
    has_band = np.isfinite(drawn[-1])
    return Correlogram(
        term=term,
        common_city=float(_ratio(score_sum[0], scale * counts[0])),
        n_common=round(counts[0]),
        edges=edges,
        by_distance=_ratio(observed, scale * n_couples),
        low=np.where(has_band, drawn[_OUTERMOST - 1], np.nan),
        high=np.where(has_band, drawn[-_OUTERMOST], np.nan),
        n_couples=np.rint(n_couples).astype(np.int64),
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


def _by_bin(couples: Array, places: Array, edges: Array) -> Array:
    """Sums over two different cities whose distance is in a bin."""
    bins = np.searchsorted(edges[1:], places)
    np.fill_diagonal(bins, len(edges) - 1)
    sums = np.bincount(bins.ravel(), couples.ravel(), minlength=len(edges))[: len(edges) - 1]
    return np.asarray(sums, dtype=np.float64)


def _ratio(sums: Array | float, counts: Array | float) -> Array:
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
