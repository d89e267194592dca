"""The table of truth of estimators: that it has every case, and a part of it made again."""

from __future__ import annotations

import re

import numpy as np
import pytest
import trial
import truth_of_estimators
import truth_worlds
from estimator_trial import ESTIMATORS
from truth import Case

TWFE = "TWFE"
Key = tuple[str, str, int, int]


def printed() -> dict[Key, list[float]]:
    """Sizes of the page in %, by estimator, design, cities and adopters; of TWFE those of the permutation."""
    rows = re.findall(
        r"^\| (.* \| V.*) \|$", truth_of_estimators.PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    cells = [[cell.strip() for cell in row.split("|")] for row in rows]
    return {
        (estimator, design, int(cities), int(adopters)): [float(size) for size in sizes if size]
        for estimator, design, cities, adopters, *sizes in cells
    }


def key(estimator: str, case: Case) -> Key:
    adopters = sum(truth_worlds.ADOPTERS[case.adopters][case.cities])
    return estimator, case.design, case.cities, adopters


def test_the_page_has_every_case() -> None:
    found = printed()
    cases = truth_of_estimators.cases()
    assert list(found) == [key(estimator, case) for estimator in (*ESTIMATORS, TWFE) for case in cases]
    for (estimator, *_), sizes in found.items():
        assert len(sizes) == (1 if estimator == TWFE else len(trial.KINDS))


def test_sizes_are_as_the_pages_that_quote_them_say() -> None:
    """Of dyadic CR2 under shocks of cities, least and most."""
    place, found = trial.KINDS.index("dyadic_cr2"), printed()
    quoted = {
        ("Sun-Abraham",): (2.0, 11.3),
        ("extended TWFE",): (1.9, 14.0),
        ("event study",): (2.3, 5.1),
        ("Callaway-Sant'Anna",): (1.9, 8.8),
        ("stacked",): (2.9, 10.1),
        ("local projection",): (2.8, 7.4),
        ("Anderson-Rubin",): (2.8, 4.8),
    }
    for estimators, ends in quoted.items():
        sizes = [
            row[place] for (name, design, *_), row in found.items() if name in estimators and design != "V3"
        ]
        assert (min(sizes), max(sizes)) == ends, estimators


@pytest.mark.slow
def test_a_part_made_again() -> None:
    """The first 150 panels of a case, within three Monte Carlo errors of what all of them gave."""
    case = Case("V2", 30, "usual")
    found, n_panels = printed(), 150
    shares = truth_of_estimators.rejections(case, 0, n_panels).mean(axis=0)
    of_errors = shares[:-1].reshape(len(ESTIMATORS), len(trial.KINDS))
    rows = [*zip(ESTIMATORS, of_errors, strict=True), (TWFE, shares[-1:])]
    for estimator, here in rows:
        page = np.array(found[key(estimator, case)]) / 100
        share = np.clip(page, 0.005, 0.995)
        assert (np.abs(here - page) < 3 * np.sqrt(share * (1 - share) / n_panels)).all(), estimator
