"""Effects that differ by cohort and grow: that the page has every case and keeps its claims, and a part made again."""

from __future__ import annotations

import re

import heterogeneous_effects as page
import numpy as np
import pytest

ROBUST = [name for name in page.MODELS if name not in (page.TWFE, page.EVENT_STUDY)]


def printed() -> dict[tuple[str, str], page.Line]:
    """The lines of the page."""
    rows = re.findall(r"^\| (.* \| V\d) \| (.*) \|$", page.PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    lines = {}
    for case, values in rows:
        model, design = case.split(" | ")
        cells = [cell.strip() for cell in values.split("|")]
        lines[model, design] = page.Line(*(float(cell) if cell else np.nan for cell in cells))
    return lines


def test_the_page_has_every_case() -> None:
    assert list(printed()) == [(model, design) for model in page.MODELS for design in page.DESIGNS]


def test_what_the_page_shows() -> None:
    """Robust estimators find their averages, two-way fixed effects do not; intervals, bands and tests hold.

    Coverage of 94 to 98 %, size of 3.5 to 6.5 %, to two Monte Carlo errors.
    """
    lines, error = printed(), 100 * np.sqrt(0.05 * 0.95 / page.PANELS)
    for design in page.DESIGNS:
        for model in ROBUST:
            line = lines[model, design]
            assert line.bias < 4, model
            assert 94 - 2 * error <= line.least, model
            assert line.most <= 98, model
            assert np.isnan(line.together) or 94 - 2 * error <= line.together, model
            assert np.isnan(line.size) or abs(line.size - 5) <= 1.5 + 2 * error, model
        assert lines[page.TWFE, design].bias > 10


def test_true_values_are_averages_of_effects() -> None:
    """Of one cohort where no other is, and between the smallest and the largest effect elsewhere."""
    assert page.true_value("imputation", "policy[+4]") == page.effect(2015, 4)
    assert page.true_value("Sun-Abraham", "policy[-2]") == 0
    for model, terms in {
        "Callaway-Sant'Anna": ("simple", "group", "calendar", "dynamic"),
        "local projection": ("policy[+0]", "policy[+1]"),
    }.items():
        for term in terms:
            assert page.effect(2019, 0) < page.true_value(model, term) < page.effect(2015, 4)


@pytest.mark.slow
@pytest.mark.parametrize("model", ROBUST)
def test_a_part_made_again(model: str) -> None:
    """The first 100 panels: no bias, and coverage within four Monte Carlo errors of the page's."""
    panels, line = 100, printed()[model, "V2"]
    here = page.Line.of(model, page.found(model, "V2", 0, panels))
    assert here.bias < 4.5
    error = 100 * np.sqrt(0.05 * 0.95 / panels)
    assert here.least >= line.least - 4 * error
