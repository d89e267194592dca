"""Sizes of spatial and network errors where near cities have like shocks; 2,000 panels a design."""

from __future__ import annotations

import near_worlds
import numpy as np
import pytest
from processes_of_panels import in_processes

PANELS, SHARE = 2000, 100


def test_panels_are_functions_of_their_name_and_number() -> None:
    for name in near_worlds.DESIGNS:
        (panel, distances), (again, _), (other, _) = (near_worlds.panel(name, number) for number in (3, 3, 4))
        np.testing.assert_array_equal(panel.outcome, again.outcome)
        assert (panel.outcome != other.outcome).any()
        assert distances.max() < near_worlds.SIDE_KM * np.sqrt(2)


def sizes(name: str) -> list[float]:
    """Rejections of a true null in %, by the default error and by those of near cities, see `near_worlds.codes`."""
    tasks = [(name, start, SHARE) for start in range(0, PANELS, SHARE)]
    p = np.concatenate(in_processes(near_worlds.p_values, tasks))
    return (100 * (p <= 0.05).mean(axis=0)).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exponential", "linear", "120 cities"])
def test_spatial_errors_have_their_size_where_the_default_has_not(name: str) -> None:
    """Blocks of near cities too, but for what depends across their borders."""
    default, spatial, blocks = sizes(name)
    assert default > 10
    assert abs(spatial - 5) < 1.5
    assert abs(blocks - 5) < 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["links", "links of 120 cities"])
def test_network_errors_have_their_size_where_the_default_has_not(name: str) -> None:
    default, network, *_ = sizes(name)
    assert default > 10
    assert abs(network - 5) < 1.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least", "most"), [("pair noise alone", 5.5, 9), ("pair noise and links", 5, 7)]
)
def test_without_shocks_of_cities_the_default_has_its_size_and_others_reject_somewhat_too_often(
    name: str, least: float, most: float
) -> None:
    default, of_near, *_ = sizes(name)
    assert abs(default - 5) < 1.5
    assert least < of_near < most
