"""Designs on pairs of eight units and five years, and least squares on explicit dummies as their oracle."""

from __future__ import annotations

import numpy as np

from engine.estimate.absorb import Effect

ROUNDING = 1e-12
"""Of a column's length. Exact methods solve well-conditioned equations in double precision; conditioning of the
random designs, up to a few hundred, costs two or three digits of the sixteen, the dummies' least squares as many."""

TOLERANCE = 1e-10
"""What the iterative methods were asked for, as a share of a column's length: their default."""

N_UNITS, N_YEARS, N_ROWS, N_COLUMNS = 8, 5, 90, 3


def units() -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(N_UNITS, 1)


def balanced() -> dict[str, np.ndarray]:
    """Codes of every effect on all pairs and years, rows of a pair together."""
    i, j = units()
    pair, year = np.repeat(np.arange(len(i)), N_YEARS), np.tile(np.arange(N_YEARS), len(i))
    group = (i // 4) * 2 + j // 4
    return {
        "pair": pair,
        "year": year,
        "group x year": group[pair] * N_YEARS + year,
        "city x year": np.stack([i[pair] * N_YEARS + year, j[pair] * N_YEARS + year], axis=1),
    }


def thinned(seed: int) -> dict[str, np.ndarray]:
    """The same on as many rows as ever, with two effects that cross them at random."""
    rng = np.random.default_rng(seed)
    keep = rng.permutation(len(balanced()["pair"]))[:N_ROWS]
    codes = {name: values[keep] for name, values in balanced().items()}
    return {**codes, "seven": rng.permutation(N_ROWS) % 7, "four": rng.permutation(N_ROWS) % 4}


def effects(codes: dict[str, np.ndarray], names: tuple[str, ...]) -> list[Effect]:
    return [Effect(name, codes[name].astype(np.int32)) for name in names]


def columns(seed: int, n_rows: int, n_columns: int = N_COLUMNS) -> np.ndarray:
    rng = np.random.default_rng(seed + 1)
    return rng.normal(size=(n_rows, n_columns)) + np.arange(n_columns)


def dummies(codes: np.ndarray) -> np.ndarray:
    levels = np.unique(codes)
    return (codes.reshape(len(codes), -1)[:, :, None] == levels).sum(axis=1).astype(float)


def oracle(x: np.ndarray, found: list[Effect], weights: np.ndarray | None = None) -> tuple[np.ndarray, int]:
    """Residuals of least squares on all dummies, and their rank."""
    all_dummies = np.hstack([dummies(effect.codes) for effect in found])
    root = np.ones((len(x), 1)) if weights is None else np.sqrt(weights)[:, None]
    b = np.linalg.lstsq(root * all_dummies, root * x, rcond=1e-10)[0]
    return x - all_dummies @ b, int(np.linalg.matrix_rank(all_dummies, tol=1e-8))


def distance(one: np.ndarray, other: np.ndarray, x: np.ndarray) -> float:
    """Largest distance of two sets of residuals, in lengths of the column about its mean."""
    return float((np.linalg.norm(one - other, axis=0) / np.linalg.norm(x - x.mean(axis=0), axis=0)).max())
