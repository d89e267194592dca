"""What tests of the library share."""

from __future__ import annotations

import dyadid as dd
import pytest
from strategies import city_panel


@pytest.fixture(scope="module")
def job() -> dd.PanelJob:
    steps = dd.panel(city_panel(0), adoption="pilot_year", rule="exactly_one", term="pilot")
    return steps.exclude_both_treated().synchronization("output").controls(edu="neg_abs_log_diff(schools)")
