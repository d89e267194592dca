"""Tables of pairs with counts and zeros for Poisson regressions, and their rows as the engine takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from engine.estimate.absorb import Effect
from engine.estimate.absorbed_fit import RowProblem
from engine.estimate.terms import column_terms
from engine.pairs.pair_rows import PairRows

Array = np.ndarray[Any, np.dtype[np.float64]]
N_YEARS = 4


def flows(
    seed: int, *, n_units: int = 9, directed: bool = True, missing: float = 0.1, zeros: float = 0.3
) -> pd.DataFrame:
    """Long table ``one, other, year, y, x, z, log_size, w, pair, one_year, other_year, group``; ``y`` has zeros."""
    rng = np.random.default_rng(seed)
    i, j = np.triu_indices(n_units, 1)
    if directed:
        i, j = np.concatenate([i, j]), np.concatenate([j, i])
    first, second = np.repeat(i, N_YEARS), np.repeat(j, N_YEARS)
    year = np.tile(np.arange(N_YEARS), len(i))
    unit = 0.5 * rng.normal(size=(2, n_units, N_YEARS))
    common = unit[0, first, year] + unit[1, second, year] + np.repeat(rng.normal(size=len(i)), N_YEARS)
    x = (rng.random(len(year)) < 0.4) * 1.0 + 0.2 * common
    z = rng.normal(size=len(year)) + 0.3 * common
    log_size = rng.normal(size=len(year))
    mean = np.exp(0.5 * x - 0.4 * z + common + 0.6 * log_size)
    outcome = mean * rng.exponential(size=len(year)) * (rng.random(len(year)) > zeros)
    names = np.array([f"u{k:02d}" for k in range(n_units)])
    frame = pd.DataFrame({"one": names[first], "other": names[second], "year": 2000 + year, "y": outcome})
    frame = frame.assign(x=x, z=z, log_size=log_size, w=rng.uniform(0.5, 2.0, len(year)))
    frame["pair"] = frame["one"] + "_" + frame["other"]
    for end in ("one", "other"):
        frame[f"{end}_year"] = frame[end] + "_" + frame["year"].astype(str)
    frame["group"] = (first + 2 * second) % 4
    return frame[rng.random(len(frame)) >= missing].reset_index(drop=True)


def row_problem(
    frame: pd.DataFrame,
    regressors: Sequence[str],
    effects: Sequence[str],
    *,
    directed: bool = True,
    weights: str | None = None,
) -> tuple[RowProblem, pd.DataFrame, int]:
    """Rows of a table, the table in their order, and the number of units."""
    names = sorted(set(frame["one"]) | set(frame["other"]))
    place = {name: number for number, name in enumerate(names)}
    first, second = (frame[end].map(place).to_numpy() for end in ("one", "other"))
    low, high = np.minimum(first, second), np.maximum(first, second)
    keys, dyad = np.unique(low * len(names) + high, return_inverse=True)
    i, j = keys // len(names), keys % len(names)
    pair = dyad
    if directed:
        pair = 2 * dyad + (first > second)
        i, j = np.stack([i, j], 1).ravel(), np.stack([j, i], 1).ravel()
    order = np.lexsort([frame["year"], pair])
    frame = frame.iloc[order].reset_index(drop=True)
    row_weights = np.ones(len(frame)) if weights is None else frame[weights].to_numpy()
    columns = frame[[*regressors, "y"]].to_numpy()
    rows = PairRows(
        i.astype(np.int32),
        j.astype(np.int32),
        pair[order].astype(np.int32),
        (frame["year"] - frame["year"].min()).to_numpy().astype(np.int32),
        columns,
        row_weights / row_weights.mean(),
        0,
        0,
    )
    coded = tuple(Effect(name, np.unique(frame[name], return_inverse=True)[1]) for name in effects)
    return RowProblem(rows, column_terms(regressors), columns, coded), frame, len(names)
