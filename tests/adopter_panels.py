"""City panels with a stated number of adopters, and the blocks of a job on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

YEARS = np.arange(2010, 2018)


def panel(adopters: dict[int, float], n: int = 12, seed: int = 1) -> pd.DataFrame:
    """Cities with unrelated series; ``adopters`` by number, with their year."""
    rng = np.random.default_rng(seed)
    pilot = np.full(n, np.nan)
    for number, year in adopters.items():
        pilot[number] = year
    return pd.DataFrame(
        {
            "city": np.repeat([f"c{k:02d}" for k in range(n)], len(YEARS)),
            "year": np.tile(YEARS, n),
            "output": rng.normal(size=(n, len(YEARS))).cumsum(axis=1).ravel(),
            "schools": np.exp(rng.normal(size=n * len(YEARS))),
            "province": np.repeat([f"p{k % 2}" for k in range(n)], len(YEARS)),
            "pilot_year": np.repeat(pilot, len(YEARS)),
        }
    )


BLOCKS: dict[str, Any] = {
    "pairs": {"exclude": "both_treated"},
    "treatment": {"adoption": "pilot_year", "rule": "exactly_one", "name": "policy"},
    "controls": {"edu": {"neg_abs_log_diff": "schools"}},
    "model": {"errors": ["pair", "dyadic"]},
}
