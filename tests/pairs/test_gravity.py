"""The pairs of the sample: distances, the exclusion's arithmetic, and the strict median by brute force."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screen_worlds import at, world
from strategies import edges, seeds

from engine.errors import InputError
from engine.pairs import gravity as module
from engine.pairs.gravity import EARTH_RADIUS_KM, GravityModel, PairSample, check_places
from engine.pairs.tiles import Tile, triangle

PLACES = {
    "Beijing": (39.9042, 116.4074),
    "Shanghai": (31.2304, 121.4737),
    "Paris": (48.8566, 2.3522),
    "London": (51.5074, -0.1278),
    "New York": (40.7128, -74.0060),
}


def haversine(one: tuple[float, float], other: tuple[float, float]) -> float:
    """2 R asin sqrt(sin^2(dphi/2) + cos cos sin^2(dlambda/2)), as in textbooks."""
    (phi, lam), (phi_2, lam_2) = (tuple(map(math.radians, place)) for place in (one, other))
    h = math.sin((phi_2 - phi) / 2) ** 2
    h += math.cos(phi) * math.cos(phi_2) * math.sin((lam_2 - lam) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(h))


def eligible(sample: PairSample) -> tuple[np.ndarray, np.ndarray]:
    pairs = [
        (a, b)
        for a, b in combinations(range(sample.n_units), 2)
        if sample.allowed[sample.classes[a], sample.classes[b]]
    ]
    i, j = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    return i, j


def kept_pairs(sample: PairSample, edge: int) -> set[tuple[int, int]]:
    parts = [sample.pairs(tile) for tile in triangle(sample.n_units, edge)]
    found = [(int(a), int(b)) for i, j in parts for a, b in zip(i, j, strict=True)]
    assert len(found) == len(set(found))
    return set(found)


# -- distance ----------------------------------------------------------------------------------------------


@given(*[st.floats(-90, 90), st.floats(-180, 180)] * 2)
def test_distance_is_the_haversine(lat: float, lon: float, lat_2: float, lon_2: float) -> None:
    found = at(np.array([lat, lat_2]), np.array([lon, lon_2])).distance_km(np.array([0]), np.array([1]))[0]
    # Unit vectors round at 1e-16 of the radius (1e-9 km); near antipodes asin turns that into its square root.
    near = haversine((lat, lon), (lat_2, lon_2)) < 0.99 * math.pi * EARTH_RADIUS_KM
    assert found == pytest.approx(
        haversine((lat, lon), (lat_2, lon_2)), rel=1e-12, abs=1e-8 if near else 1e-3
    )


def test_distances_with_closed_forms() -> None:
    place = at(np.array([0.0, 90.0, -90.0, 0.0, 0.0]), np.array([0.0, 0.0, 0.0, 90.0, 180.0]))
    zero = np.zeros(4, dtype=np.int32)
    quarter = math.pi * EARTH_RADIUS_KM / 2
    found = place.distance_km(zero, np.arange(1, 5))
    np.testing.assert_allclose(found, [quarter, quarter, quarter, 2 * quarter], rtol=1e-14)


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [("Beijing", "Shanghai", 1067), ("Paris", "London", 344), ("London", "New York", 5570)],
)
def test_distances_in_every_atlas(one: str, other: str, km: float) -> None:
    latitude, longitude = np.array([PLACES[one], PLACES[other]]).T
    found = at(latitude, longitude).distance_km(np.array([0]), np.array([1]))
    np.testing.assert_allclose(found, [km], atol=1.0)  # atlases round to the km


def test_force_is_mass_over_squared_distance() -> None:
    sample = world(1)
    i, j = eligible(sample)
    force = np.exp(sample.gravity.ln_mass)[i] * np.exp(sample.gravity.ln_mass)[j]
    force /= sample.gravity.distance_km(i, j) ** 2
    np.testing.assert_allclose(np.exp(sample.gravity.ln_force(i, j)), force, rtol=1e-13)
    np.testing.assert_array_equal(sample.gravity.ln_force(i, j), sample.gravity.ln_force(j, i))


@pytest.mark.parametrize(
    ("latitude", "longitude", "message"),
    [
        ([10.0, 91.0], [0.0, 0.0], "B has latitude 91"),
        ([10.0, np.nan], [0.0, 0.0], "B has latitude nan"),
        ([10.0, 20.0], [0.0, 361.0], "B has latitude 20 and longitude 361"),
        ([10.0, 10.0], [5.0, 5.0], "A and B are at one place"),
    ],
)
def test_bad_places_are_refused(latitude: list[float], longitude: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_places(["A", "B"], np.array(latitude), np.array(longitude))


# -- exclusion ---------------------------------------------------------------------------------------------


def test_the_papers_arithmetic() -> None:
    """254 cities, 55 pilots: 32,131 pairs, 1,485 of two pilots, 30,646 left, half of them kept."""
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2, 3, 4], [1, 12, 21, 21, 199]).astype(np.int32)
    treated = np.arange(5) < 4
    place = at(rng.uniform(20, 50, 254), rng.uniform(80, 130, 254))
    sample = PairSample(
        classes, ~(treated[:, None] & treated), GravityModel(rng.normal(size=254), place.unit_vector)
    )
    assert (sample.n_pairs, sample.n_eligible, sample.screened().n_kept) == (32_131, 30_646, 15_323)


@given(seeds, edges)
def test_eligible_pairs_of_all_tiles(seed: int, edge: int) -> None:
    sample = world(seed)
    i, j = eligible(sample)
    assert sample.n_eligible == len(i)
    assert kept_pairs(sample, edge) == set(zip(i.tolist(), j.tolist(), strict=True))  # no threshold yet


def test_pairs_of_a_tile_come_by_row_and_then_by_column() -> None:
    sample = PairSample(np.zeros(5, np.int32), np.ones((1, 1), bool))
    i, j = sample.pairs(Tile((0, 3), (0, 3)))
    np.testing.assert_array_equal([i, j], [[0, 0, 1], [1, 2, 2]])
    i, j = sample.pairs(Tile((0, 2), (3, 5)))
    np.testing.assert_array_equal([i, j], [[0, 0, 1, 1], [3, 4, 3, 4]])


def test_without_gravity_nothing_is_screened() -> None:
    sample = PairSample(np.zeros(5, np.int32), np.ones((1, 1), bool))
    assert sample.screened() is sample


def test_no_eligible_pair_is_refused() -> None:
    sample = PairSample(np.zeros(27, np.int32), np.zeros((1, 1), bool), world(0).gravity)
    with pytest.raises(InputError, match=r"no pair is left after pairs\.exclude"):
        sample.screened()


# -- the screen --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
@settings(max_examples=40, deadline=None)
@given(seed=seeds, edge=edges)
def test_kept_are_the_pairs_strictly_above_the_median(ties: bool, seed: int, edge: int) -> None:
    sample = world(seed, ties=ties)
    i, j = eligible(sample)
    force = sample.gravity.ln_force(i, j)
    above = force > np.median(force)
    screened = sample.screened()
    assert screened.n_kept == above.sum()
    assert kept_pairs(screened, edge) == set(zip(i[above].tolist(), j[above].tolist(), strict=True))


def test_both_parities_and_ties_occur() -> None:
    """The property above means something: counts of both parities, and ties at the median."""
    assert {world(seed).n_eligible % 2 for seed in range(9)} == {0, 1}
    sample = world(3, ties=True)
    force = sample.gravity.ln_force(*eligible(sample))
    assert (force == np.median(force)).sum() > 10


@pytest.mark.parametrize("ties", [False, True])
@settings(max_examples=40, deadline=None)
@given(seed=seeds, held=st.integers(1, 60), bins=st.sampled_from([2, 3, 16]))
def test_locating_the_median_in_bins_changes_nothing(ties: bool, seed: int, held: int, bins: int) -> None:
    sample = world(seed, ties=ties)
    direct = sample.screened()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_COLLECT", held)
        patch.setattr(module, "_BINS", bins)
        binned = sample.screened()
    assert (binned.gravity.threshold, binned.n_kept) == (direct.gravity.threshold, direct.n_kept)


def test_all_forces_equal_keeps_no_pair() -> None:
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / math.sqrt(3)
    sample = PairSample(np.zeros(4, np.int32), np.ones((1, 1), bool), GravityModel(np.zeros(4), corners))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_COLLECT", 2)
        assert sample.screened().n_kept == 0
    assert sample.screened().n_kept == 0
