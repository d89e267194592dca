"""Teen employment and minimum wages, 500 counties: the estimates that the R package did prints for its own example.

Callaway and Sant'Anna (2021), never-treated counties as controls, no covariates, analytic errors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from unit_panels import effects_of_units

DATA = Path(__file__).parents[3] / "shared" / "data" / "oracles" / "mpdta.parquet"

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not DATA.exists(), reason=f"no panel of counties: {DATA.name} is not there"),
]


def test_published_averages_and_effects() -> None:
    counties = pd.read_parquet(DATA)
    wide = counties.pivot(index="countyreal", columns="year", values="lemp")
    first = counties.groupby("countyreal")["first.treat"].first().reindex(wide.index)
    adopted = first.where(first > 0, np.inf).to_numpy(float)
    effects = effects_of_units(wide.to_numpy(), adopted, wide.columns.to_numpy())
    published = {"simple": (-0.0400, 0.0120), "group": (-0.0310, 0.0124), "dynamic": (-0.0772, 0.0200)}
    for name, (estimate, error) in published.items():
        np.testing.assert_allclose(effects.loc[name], [estimate, error], rtol=0, atol=5e-5)
    cells = effects.loc[[f"policy[2004][+{event}]" for event in range(4)], "estimate"]
    np.testing.assert_allclose(cells, [-0.0105, -0.0704, -0.1373, -0.1008], rtol=0, atol=5e-5)
