"""The table of truth: its designs, and a part of it made again."""

from __future__ import annotations

import re

import numpy as np
import pytest
import trial
import truth
import truth_worlds
from scipy import stats
from truth import Case
from worlds import ADOPTED, pairs_of


def printed(rule: str = "exactly_one") -> dict[tuple[str, int, int], list[float]]:
    """Sizes of the page in %, by design, cities and adopters."""
    parts = truth.PAGE.read_text(encoding="utf-8").split("\n## ")
    rows = re.findall(r"^\| (V.*) \|$", parts[truth.RULES.index(rule)], re.MULTILINE)  # type: ignore[arg-type]
    cells = [row.split(" | ") for row in rows]
    return {(name, int(n), int(adopters)): list(map(float, size)) for name, n, adopters, _, *size in cells}


def key(case: Case) -> tuple[str, int, int]:
    return case.design, case.cities, sum(truth_worlds.ADOPTERS[case.adopters][case.cities])


@pytest.mark.parametrize("adopters", truth_worlds.ADOPTERS)
@pytest.mark.parametrize("name", truth_worlds.DESIGNS)
def test_panels_are_functions_of_their_names_and_number(name: str, adopters: str) -> None:
    panel = truth_worlds.panel(name, 20, adopters, 7)
    again, other = (truth_worlds.panel(name, 20, adopters, number) for number in (7, 8))
    np.testing.assert_array_equal(panel.outcome, again.outcome)
    assert (panel.outcome != other.outcome).any()
    assert panel.outcome.shape == (190, 10)
    assert np.isfinite(panel.outcome).all()
    of_classes = np.bincount(panel.classes, minlength=len(ADOPTED))
    counts = truth_worlds.ADOPTERS[adopters][20]
    assert tuple(of_classes) == (*counts, 20 - sum(counts))
    first, second = pairs_of(20)
    both = (panel.classes[first] < 4) & (panel.classes[second] < 4)
    kept = panel.eligible
    assert not kept[both].any()
    assert kept.sum() == ((~both).sum() // 2 if truth_worlds.DESIGNS[name].has_screen else (~both).sum())


def test_louder_cities_are_louder() -> None:
    """Spread of the pairs of an adopter with a city that never adopts, and of two that never do."""

    def ratio(name: str) -> float:
        spread = []
        for number in range(20):
            panel = truth_worlds.panel(name, 50, "usual", number)
            first, second = pairs_of(50)
            adopters = (panel.classes[first] < 4).astype(int) + (panel.classes[second] < 4)
            spread.append([panel.outcome[adopters == n].std() for n in (1, 0)])
        mixed, never = np.mean(spread, axis=0)
        return float(mixed / never)

    assert ratio("V2") == pytest.approx(1.0, abs=0.05)
    assert ratio("V4b") > 1.25
    assert ratio("V4c") < 0.85


def test_the_page_has_every_case() -> None:
    for rule in truth.RULES:
        assert list(printed(rule)) == [key(case) for case in truth.cases() if case.rule == rule]


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        Case("V2", 20, "usual"),
        Case("V4", 30, "few"),
        Case("V9", 30, "usual"),
        Case("V2", 20, "usual", "both"),
    ],
)
def test_a_part_made_again(case: Case) -> None:
    """The first 400 panels of a case, within three Monte Carlo errors of what all of them gave."""
    p = truth.p_values(case, 0, 400)
    sizes = printed(case.rule)[key(case)]
    for kind, here, page in zip(trial.KINDS, truth.rejected(p), sizes, strict=True):
        share = min(max(page / 100, 0.005), 0.995)
        assert abs(here - page / 100) < 3 * np.sqrt(share * (1 - share) / 400), kind


@pytest.mark.parametrize("adopters", truth_worlds.ADOPTERS)
@pytest.mark.parametrize("cities", truth_worlds.CITIES)
def test_the_default_error_has_its_size(cities: int, adopters: str) -> None:
    """Of V1, V2 and V4 as measured when it was proposed, 8,000 panels each, within four Monte Carlo errors."""
    proposed = {
        "usual": {20: (4.3, 4.2, 4.5), 30: (4.4, 4.6, 4.5), 50: (5.0, 5.1, 4.9), 120: (4.8, 5.4, 5.0),
                  254: (4.1, 5.4, 4.5)},
        "few": {20: (4.2, 4.1, 4.8), 30: (4.2, 4.2, 5.3), 50: (4.8, 4.5, 5.5), 120: (5.2, 5.5, 5.8),
                254: (5.6, 5.6, 6.6)},
    }  # fmt: skip
    found, place = printed(), trial.KINDS.index("dyadic_cr2")
    n_adopters = sum(truth_worlds.ADOPTERS[adopters][cities])
    for design, size in zip(("V1", "V2", "V4"), proposed[adopters][cities], strict=True):
        share = size / 100
        error = 100 * np.sqrt(share * (1 - share) * (1 / truth.PANELS + 1 / 8000))
        assert abs(found[design, cities, n_adopters][place] - size) < 4 * error, design


def test_the_default_error_has_its_size_where_both_cities_adopt() -> None:
    """As the pages that quote it say: usual adopters from 2.1 to 6.5%, few from 0.0 to 6.2%."""
    place, quoted = trial.KINDS.index("dyadic_cr2"), {}
    found = printed("both")
    for adopters in truth_worlds.ADOPTERS:
        cases = [case for case in truth.cases() if (case.rule, case.adopters) == ("both", adopters)]
        sizes = [found[key(case)][place] for case in cases]
        quoted[adopters] = min(sizes), max(sizes)
    assert quoted == {"usual": (2.1, 6.5), "few": (0.0, 6.2)}


@pytest.mark.slow
@pytest.mark.parametrize("cities", [20, 50])
def test_a_treatment_of_pairs_of_two_adopters_is_found(cities: int) -> None:
    """Effects of three standard deviations of the estimate, which two-sided tests of many cities find in 85%."""
    values, errors, dof = [], [], []
    for number in range(400):
        estimate, covariances = trial.estimated(truth_worlds.panel("V1", cities, "usual", number, "both"))
        covariance = covariances[trial.KINDS.index("dyadic_cr2")]
        values.append(estimate.values[0])
        errors.append(covariance.std_error[0])
        dof.append(covariance.smallest_dof)
    ratio = (np.array(values) + 3 * np.std(values)) / errors  # an effect leaves the residuals as they are
    assert np.mean(np.abs(ratio) > stats.t.ppf(0.975, dof)) > 0.55
