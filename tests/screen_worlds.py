"""Samples of pairs for the tests of the gravity screen."""

from __future__ import annotations

import math

import numpy as np

from engine.pairs.gravity import GravityModel, PairSample, unit_vectors


def at(latitude: np.ndarray, longitude: np.ndarray) -> GravityModel:
    return GravityModel(np.zeros(len(latitude)), unit_vectors(latitude, longitude))


def world(seed: int, *, n: int = 24, ties: bool = False) -> PairSample:
    """Random places, masses and three classes, of which the first excludes itself and the second; or equal forces."""
    rng = np.random.default_rng(seed)
    n = n + int(rng.integers(0, 4))  # eligible counts of either parity
    classes = rng.integers(0, 3, n).astype(np.int32)
    allowed = np.array([[False, False, True], [False, True, True], [True, True, True]])
    if (
        ties
    ):  # two masses, at the corners of a cube: nine values of the force; a corner's own pairs are excluded
        corners = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) / math.sqrt(3)
        away = np.repeat(corners, -(-n // 8), axis=0)[:n]
        classes = np.repeat(np.arange(8), -(-n // 8))[:n].astype(np.int32)
        return PairSample(classes, ~np.eye(8, dtype=bool), GravityModel(rng.integers(0, 2, n) * 1.0, away))
    place = at(rng.uniform(-80, 80, n), rng.uniform(-180, 180, n))
    return PairSample(classes, allowed, GravityModel(rng.normal(size=n), place.unit_vector))
