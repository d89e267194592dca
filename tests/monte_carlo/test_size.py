"""Size and coverage by simulation (issue 3): what theory promises, and some panels of the page made again."""

from __future__ import annotations

import re

import numpy as np
import pytest
import simulate
import trial
import worlds
from simulate import BAND, COVERAGE, KINDS_OF, LEVEL, PANELS, SHARE, SIZE

DEPENDENT = ("V1", "V2", "V4")
"""Designs in which pairs that share a city are dependent."""

Counts = dict[tuple[str, str], np.ndarray]
Shares = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def counts() -> Counts:
    return simulate.read_counts()


@pytest.fixture(scope="module")
def rejected(counts: Counts) -> Shares:
    return shares(counts, SIZE)


@pytest.fixture(scope="module")
def covered(counts: Counts) -> Shares:
    return shares(counts, COVERAGE)


def shares(counts: Counts, what: str) -> Shares:
    """Share of a design's panels that reject, or whose interval covers, by kind."""
    return {
        design: dict(zip(KINDS_OF[what], counts[what, design].sum(axis=0) / PANELS, strict=True))
        for design in worlds.DESIGNS
    }


def test_every_hundred_is_counted(counts: Counts) -> None:
    for (what, _), of_design in counts.items():
        assert of_design.shape == (PANELS // SHARE, len(KINDS_OF[what]))
        assert ((of_design >= 0) & (of_design <= SHARE)).all()


def test_the_page_in_print_is_what_was_counted(rejected: Shares, covered: Shares) -> None:
    sections = simulate.TABLE.read_text(encoding="utf-8").split("\n## ")
    for section, expected in zip(sections[1:3], (rejected, covered), strict=True):
        lines = re.findall(r"^\| (V.) \| (.*) \|$", section, re.MULTILINE)
        printed = {design: cells.replace("**", "").split(" | ") for design, cells in lines}
        assert printed == {
            design: [f"{100 * share:.1f}" for share in by_kind.values()]
            for design, by_kind in expected.items()
        }


@pytest.mark.slow
@pytest.mark.parametrize("what", [SIZE, COVERAGE])
@pytest.mark.parametrize(("design", "hundred"), list(zip(worlds.DESIGNS, (0, 7, 13, 19), strict=True)))
def test_a_hundred_made_again(counts: Counts, what: str, design: str, hundred: int) -> None:
    """To the last panel, since panels and draws are functions of their numbers; `make truth` makes all of them."""
    first = hundred * SHARE + (PANELS if what == COVERAGE else 0)
    panels = simulate.some_panels(what, design, first, SHARE)
    assert simulate.counted(what, panels) == counts[what, design][hundred].tolist()
    if what == SIZE:
        two_way = trial.P_VALUES.index("city")  # which alone can be missing: where its variance is negative
        assert not np.isnan(np.delete(panels, two_way, axis=1)).any()
        assert ((panels >= 0) & (panels <= 1) | np.isnan(panels)).all()
    else:
        low, high = np.moveaxis(panels, 2, 0)
        assert (low < high).all()
        assert np.isfinite(high - low).all()


def test_a_panel_that_changes_its_mind_shows() -> None:
    """The comparison above can fail."""
    panels = np.full((SHARE, len(trial.P_VALUES)), 0.5)
    changed = panels.copy()
    changed[3, 0] = 0.04
    assert simulate.counted(SIZE, changed) != simulate.counted(SIZE, panels)


@pytest.mark.parametrize("design", worlds.DESIGNS)
def test_the_studentised_permutation_test_has_its_size_and_coverage(
    rejected: Shares, covered: Shares, design: str
) -> None:
    assert abs(rejected[design]["permutation"] - LEVEL) <= BAND
    assert abs(covered[design]["permutation"] - (1 - LEVEL)) <= BAND


@pytest.mark.parametrize("design", DEPENDENT)
def test_the_jackknife_has_its_size_and_coverage(rejected: Shares, covered: Shares, design: str) -> None:
    assert abs(rejected[design]["jackknife"] - LEVEL) <= BAND
    assert abs(covered[design]["jackknife"] - (1 - LEVEL)) <= BAND


def test_the_jackknife_is_cautious_under_independent_pair_noise(rejected: Shares, covered: Shares) -> None:
    """Its errors are sqrt 2 too large there: P(|t| > 2.01 sqrt 2) is 0.006; so 5 +- 1.5 cannot hold in V3."""
    assert rejected["V3"]["jackknife"] <= 0.015
    assert covered["V3"]["jackknife"] >= 0.985


@pytest.mark.parametrize("design", DEPENDENT)
def test_the_node_bootstrap_covers_where_cities_matter(covered: Shares, design: str) -> None:
    """In V3 a city's influence vanishes, and with it the theory."""
    assert abs(covered[design]["node_bootstrap"] - (1 - LEVEL)) <= BAND


@pytest.mark.parametrize("design", DEPENDENT)
def test_pair_clusters_fail(rejected: Shares, covered: Shares, design: str) -> None:
    assert rejected[design]["pair"] > 0.30
    assert covered[design]["pair"] < 0.70


def test_pair_clusters_are_right_where_pairs_are_independent(rejected: Shares, covered: Shares) -> None:
    assert abs(rejected["V3"]["pair"] - LEVEL) <= BAND
    assert abs(covered["V3"]["pair"] - (1 - LEVEL)) <= BAND


def test_permuted_coefficients_are_exact_where_cities_are_exchangeable_and_only_there(
    rejected: Shares,
) -> None:
    for design in ("V1", "V2", "V3"):
        assert abs(rejected[design]["permutation_coefficient"] - LEVEL) <= BAND
    assert rejected["V4"]["permutation_coefficient"] > 0.15


@pytest.mark.parametrize("design", worlds.DESIGNS)
def test_the_leave_one_out_error_less_the_interaction_has_its_size_and_coverage(
    rejected: Shares, covered: Shares, design: str
) -> None:
    assert abs(rejected[design]["dyadic_cr2"] - LEVEL) <= BAND
    assert abs(covered[design]["dyadic_cr2"] - (1 - LEVEL)) <= BAND


@pytest.mark.parametrize("design", worlds.DESIGNS)
def test_two_way_and_dyadic_errors_are_too_small_at_fifty_cities(
    rejected: Shares, covered: Shares, design: str
) -> None:
    for kind in ("city", "dyadic"):
        assert LEVEL + BAND < rejected[design][kind] < 0.20
        assert 0.80 < covered[design][kind] < 1 - LEVEL - BAND
