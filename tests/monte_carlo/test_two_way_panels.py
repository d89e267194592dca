"""How often the two-way wild bootstrap rejects a true null, where the normal distribution rejects far too often."""

from __future__ import annotations

import numpy as np
import pytest
import two_way_panels

PANELS = 400


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "cities", "adopters", "low", "high"),
    [
        ("V1", 20, "usual", 1.0, 7.5),
        ("V2", 20, "usual", 1.0, 7.5),
        ("V3", 20, "usual", 1.0, 7.5),
        ("V2", 50, "usual", 2.5, 8.5),
        ("V4", 20, "few", 0.0, 4.0),
        ("V4", 50, "few", 0.0, 2.0),
    ],
)
def test_sizes(design: str, cities: int, adopters: str, low: float, high: float) -> None:
    """Within three Monte Carlo errors of the sizes that 600 to 1,000 panels gave (`engine/README.md`), in percent."""
    p = np.array([two_way_panels.p_values(design, cities, adopters, k) for k in range(PANELS)])
    symmetric, equal_tailed = 100 * (p[:, :2] <= 0.05).mean(axis=0)
    assert low <= symmetric <= high
    assert low <= equal_tailed <= high
    by_normal = 100 * (np.abs(p[:, 2]) > 1.96).mean()
    assert by_normal > symmetric + 3
