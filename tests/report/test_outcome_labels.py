"""Effects are labelled by the outcome that they are effects on."""

from __future__ import annotations

import pandas as pd
import pytest
from report_frames import sweep

from engine.pairs.outcomes import OUTCOMES
from engine.report.language.wording import words_of
from engine.report.outputs.event_study_plot import event_study_figure
from engine.report.outputs.regression_table import _without_common_outcome, regression_table


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_event_study_is_of_the_outcome_that_the_job_names(name: str) -> None:
    rows = pd.DataFrame(
        {
            "job": "a", "cell": 1, "term": "policy[+0]", "event_time": [0], "errors": "pair",
            "estimate": [0.1], "std_error": [0.1], "conf_low": [-0.1], "conf_high": [0.3],
            "band_low": [-0.1], "band_high": [0.3],
        }
    )  # fmt: skip
    label = OUTCOMES[name].label("gdp")
    figure = event_study_figure(rows, title="", outcome=label)
    assert f"Effect on {name} of gdp" in {axes.get_ylabel() for axes in figure.axes}
    chinese = words_of("zh").outcome(label)
    assert name not in chinese
    assert "gdp" in chinese


def test_a_row_of_outcomes_of_one_kind_has_its_name_once() -> None:
    labels = ["variation of gdp", "variation of wage"]
    assert _without_common_outcome("outcome", labels) == ("variation of", ["gdp", "wage"])
    mixed = ["variation of gdp", "synchronization of gdp"]
    assert _without_common_outcome("outcome", mixed) == ("outcome", mixed)


@pytest.mark.parametrize("swept", [True, False])
def test_an_outcome_that_the_sweep_names_has_no_second_row(swept: bool) -> None:
    frames = [
        sweep(
            1, outcome=f"synchronization of {series}", **{"outcome.synchronization": series} if swept else {}
        )
        for series in ("gdp", "wage")
    ]
    estimates = pd.concat([frame.assign(cell=place) for place, frame in enumerate(frames)], ignore_index=True)
    table = regression_table(estimates, title="T")
    rows = {row.label: [entry.text for entry in row.entries] for row in table.rows}
    name, further = (
        ("synchronization", "synchronization of") if swept else ("synchronization of", "synchronization")
    )
    assert rows[name] == ["gdp", "wage"]
    assert further not in rows
