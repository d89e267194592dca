"""Size and coverage by simulation (issue 3): what theory promises, and that the page in print is what the run gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import simulate
import trial
import worlds
from simulate import BAND, LEVEL, Simulated

pytestmark = pytest.mark.slow

DEPENDENT = ("V1", "V2", "V4")
"""Designs in which pairs that share a city are dependent."""

MOST_WITHOUT = 2  # panels of a design without a two-way p-value


@pytest.fixture(scope="module")
def found() -> Simulated:
    return simulate.simulate()


def test_every_panel_has_p_values_and_intervals(found: Simulated) -> None:
    for design in worlds.DESIGNS:
        assert found.p_values[design].shape == (simulate.PANELS, len(trial.P_VALUES))
        assert found.intervals[design].shape == (simulate.PANELS, len(trial.INTERVALS), 2)
        p_values, two_way = found.p_values[design], trial.P_VALUES.index("city")
        missing = np.isnan(p_values)  # where a two-way variance is negative, and nothing else has that
        assert ((p_values >= 0) & (p_values <= 1) | missing).all()
        assert not np.delete(missing, two_way, axis=1).any()
        assert missing.sum() <= MOST_WITHOUT
        low, high = np.moveaxis(found.intervals[design], 2, 0)
        assert (low < high).all()
        assert np.isfinite(high - low).all()


@pytest.mark.parametrize("design", worlds.DESIGNS)
def test_the_studentised_permutation_test_has_its_size_and_coverage(found: Simulated, design: str) -> None:
    assert abs(found.rejected(design)["permutation"] - LEVEL) <= BAND
    assert abs(found.covered(design)["permutation"] - (1 - LEVEL)) <= BAND


@pytest.mark.parametrize("design", DEPENDENT)
def test_the_jackknife_has_its_size_and_coverage(found: Simulated, design: str) -> None:
    assert abs(found.rejected(design)["jackknife"] - LEVEL) <= BAND
    assert abs(found.covered(design)["jackknife"] - (1 - LEVEL)) <= BAND


def test_the_jackknife_is_cautious_under_independent_pair_noise(found: Simulated) -> None:
    """Its errors are sqrt 2 too large there: P(|t| > 2.01 sqrt 2) is 0.006; so 5 +- 1.5 cannot hold in V3."""
    assert found.rejected("V3")["jackknife"] <= 0.015
    assert found.covered("V3")["jackknife"] >= 0.985


@pytest.mark.parametrize("design", DEPENDENT)
def test_the_node_bootstrap_covers_where_cities_matter(found: Simulated, design: str) -> None:
    """In V3 a city's influence vanishes, and with it the theory."""
    assert abs(found.covered(design)["node_bootstrap"] - (1 - LEVEL)) <= BAND


@pytest.mark.parametrize("design", DEPENDENT)
def test_pair_clusters_fail(found: Simulated, design: str) -> None:
    assert found.rejected(design)["pair"] > 0.30
    assert found.covered(design)["pair"] < 0.70


def test_pair_clusters_are_right_where_pairs_are_independent(found: Simulated) -> None:
    assert abs(found.rejected("V3")["pair"] - LEVEL) <= BAND
    assert abs(found.covered("V3")["pair"] - (1 - LEVEL)) <= BAND


def test_permuted_coefficients_are_exact_where_cities_are_exchangeable_and_only_there(
    found: Simulated,
) -> None:
    for design in ("V1", "V2", "V3"):
        assert abs(found.rejected(design)["permutation_coefficient"] - LEVEL) <= BAND
    assert found.rejected("V4")["permutation_coefficient"] > 0.15


@pytest.mark.parametrize("design", worlds.DESIGNS)
def test_the_leave_one_out_error_less_the_interaction_has_its_size_and_coverage(
    found: Simulated, design: str
) -> None:
    assert abs(found.rejected(design)["dyadic_cr2"] - LEVEL) <= BAND
    assert abs(found.covered(design)["dyadic_cr2"] - (1 - LEVEL)) <= BAND


@pytest.mark.parametrize("design", worlds.DESIGNS)
def test_two_way_and_dyadic_errors_are_too_small_at_fifty_cities(found: Simulated, design: str) -> None:
    for kind in ("city", "dyadic"):
        assert LEVEL + BAND < found.rejected(design)[kind] < 0.20
        assert 0.80 < found.covered(design)[kind] < 1 - LEVEL - BAND


def test_the_page_in_print_is_what_the_run_gives(found: Simulated) -> None:
    """To the digit: panels and draws are functions of their numbers. If numpy or a design changed, write it again."""
    assert simulate.TABLE.read_text(encoding="utf-8") == simulate.text(found)


def test_another_run_would_not_have_the_same_page(found: Simulated) -> None:
    """The comparison above can fail: one panel that changes its mind shows."""
    other = dict(found.p_values)
    other["V1"] = np.where(np.arange(simulate.PANELS)[:, None] < 4, 0.0, other["V1"])
    assert simulate.text(replace(found, p_values=other)) != simulate.text(found)
