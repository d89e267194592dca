"""Designs in which near cities have like shocks and adopters are near each other; no effect.

Cities lie at random in a square of 1,500 km; those nearest to one of some centres, with noise, adopt. Shocks are AR(.6)
with correlations that fall with distance, or are those of cities with a link or two between them, added over the two
cities of a pair, and pair noise. Links are those of each city to its three nearest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any

import numpy as np
import truth_worlds
import worlds
from scipy.sparse import csgraph
from trial import CONFIDENCE

from engine.estimate.fit import fit, stage
from engine.estimate.normal import normal_equations
from engine.estimate.terms import Regression, Term
from engine.infer.errors import covariances, family_of
from engine.infer.errors.block_jackknife import blocks_of
from engine.infer.intervals import intervals
from engine.pairs.map_reduce import MomentPass, city_moments, merge_moments
from engine.pairs.table_design import TableDesign
from engine.runtime.execute import Machine
from engine.stages.city_blocks import of_near_cities
from engine.stages.city_ties import CityTies
from engine.stages.left_out_samples import samples_without_groups
from engine.stages.near_cities import with_nearby
from engine.stages.pair_sums import PassSums, city_years_of, with_sums

Array = np.ndarray[Any, np.dtype[np.float64]]

SIDE_KM = 1500.0
BY_DISTANCE = ("dyadic_cr2", "spatial:500:bartlett", "block_jackknife:distance=800")
BY_LINKS = ("dyadic_cr2", "network:2:uniform", "network:2:bartlett", "network:1:uniform")
_NO_TERMS = np.zeros((1, 1, len(worlds.YEARS), 0))


@dataclass(frozen=True)
class NearDesign:
    """Cities, and the correlation of their shocks: ``exponential`` or ``linear`` with a range in km, or by ``links``.

    ``shock`` is the standard deviation of the innovations; that of the pair noise is one.
    """

    cities: int
    decay: str
    range_km: float
    scatter_km: float
    centres: int
    shock: float = 0.5


DESIGNS = {
    "exponential": NearDesign(50, "exponential", 200.0, 0.0, 4),
    "linear": NearDesign(50, "linear", 500.0, 150.0, 4),
    "120 cities": NearDesign(120, "exponential", 200.0, 100.0, 4),
    "pair noise alone": NearDesign(50, "exponential", 200.0, 300.0, 4, shock=0.0),
    "links": NearDesign(50, "links", 0.0, 100.0, 4),
    "links of 120 cities": NearDesign(120, "links", 0.0, 100.0, 4),
    "pair noise and links": NearDesign(50, "links", 0.0, 300.0, 4, shock=0.0),
}


def codes(name: str) -> tuple[str, ...]:
    """Standard-error types that a design is for."""
    return BY_LINKS if DESIGNS[name].decay == "links" else BY_DISTANCE


def nearest_links(distances: Array, count: int = 3) -> Array:
    """``[n_cities, n_cities]`` of ones where a city is among the nearest of another, either way round."""
    nearest = np.argsort(distances, axis=1)[:, 1 : count + 1]
    linked = np.zeros(distances.shape)
    np.put_along_axis(linked, nearest, 1.0, axis=1)
    return np.maximum(linked, linked.T)


def panel(name: str, number: int) -> tuple[worlds.Panel, Array]:
    """A panel of a design, a function of its name and number alone, and the distances of its cities in km."""
    design = DESIGNS[name]
    n = design.cities
    rng = np.random.default_rng([list(DESIGNS).index(name), number])
    place, centre = rng.uniform(0, SIDE_KM, (n, 2)), rng.uniform(0, SIDE_KM, (design.centres, 2))
    distances = np.sqrt(((place[:, None] - place[None]) ** 2).sum(axis=2))
    to_centre = np.sqrt(((place[:, None] - centre[None]) ** 2).sum(axis=2)).min(axis=1)
    order = np.argsort(to_centre + design.scatter_km * rng.exponential(size=n))
    counts = truth_worlds.ADOPTERS["usual"][n]
    classes = np.full(n, len(counts), dtype=np.int32)
    classes[order[: sum(counts)]] = rng.permutation(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
    if design.decay == "exponential":
        correlation = np.exp(-distances / design.range_km)
    elif design.decay == "linear":
        correlation = np.maximum(0.0, 1 - distances / design.range_km)
    else:  # each city's shocks, and seven tenths of those of the cities that are linked to it
        correlation = np.linalg.matrix_power(np.eye(n) + 0.7 * nearest_links(distances), 2)
        correlation /= np.sqrt(np.outer(np.diag(correlation), np.diag(correlation)))
    size, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(size, 0.0))
    shocks = design.shock * root @ truth_worlds._shocks(rng, n, 0.6)
    first, second = worlds.pairs_of(n)
    noise = rng.normal(size=(len(first), len(worlds.YEARS)))
    return worlds.Panel(classes, shocks[first] + shocks[second] + noise), distances


def p_values(name: str, first: int, count: int) -> Array:
    """``[count, n_codes]`` two-sided, of some panels of a design; see `codes`."""
    return np.array([_p_values(codes(name), *panel(name, number)) for number in range(first, first + count)])


def _p_values(kinds: tuple[str, ...], of_panel: worlds.Panel, distances: Array) -> list[float]:
    kept = of_panel.eligible
    values = np.stack([of_panel.treated[kept], of_panel.outcome[kept]], axis=2)
    first, second = worlds.pairs_of(of_panel.n_cities)
    # As many pairs in every panel: one shape is compiled once.
    design = TableDesign(first[kept], second[kept], values, of_panel.n_cities, directed=False)
    moment_pass = MomentPass(design, balanced=True)
    moments = reduce(merge_moments, (city_moments(moment_pass, task) for task in design.tasks()))
    policy = Term("policy")
    normal = normal_equations(moments, design.classes, terms=(policy,), table=_NO_TERMS)
    passes = PassSums(Machine(), moment_pass, moments, normal, _NO_TERMS)
    blocks = {
        code: partial(of_near_cities, distances, blocks_of(code).distance)
        for code in kinds
        if blocks_of(code).distance
    }
    at = stage(normal, samples_without_groups(passes, blocks).samples)
    years = city_years_of(passes)
    estimates = with_sums(passes, [fit(at, Regression((policy,)))], years)
    radii = {code: family.radii_of(code) for code in kinds if (family := family_of(code)) and family.radii_of}
    links = csgraph.dijkstra(nearest_links(distances), unweighted=True)
    city_ties = CityTies(radii, {"spatial": distances, "network": links})
    (estimate,) = with_nearby(passes, at, years, city_ties, estimates)
    return [
        float(intervals(estimate, covariance, CONFIDENCE).p_value[0])
        for covariance in covariances(replace(estimate), kinds)
    ]
