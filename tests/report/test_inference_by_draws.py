"""The table of draws: its intervals in words for readers, and as two columns of numbers for programs."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd

from engine.report.outputs.inference_by_draws import inference_table
from engine.report.outputs.output import JobReport

FRAME = pd.DataFrame(
    {
        "cell": "c",
        "term": "policy",
        "method": ["permutation", "node"],
        "reps": [99, 199],
        "statistic": [1.5, 0.25],
        "p_value": [0.03, np.nan],
        "conf_low": [np.nan, -0.125],
        "conf_high": [np.nan, 0.6875],
        "mc_error": [0.01, np.nan],
    }
)


def test_intervals_are_text_in_print_and_numbers_in_csv() -> None:
    manifest = {"cells": [{"cell": "c", "number": 1, "label": "one"}]}
    table = inference_table(JobReport({"inference": FRAME}, manifest))
    assert [row.entries[3].text for row in table.rows] == ["", "[-0.1250, 0.6875]"]
    written = pd.read_csv(io.StringIO(table.to_csv()))
    assert list(written)[2:] == [
        "Draws", "Statistic", "p", "Interval, low", "Interval, high", "Monte Carlo error of p",
    ]  # fmt: skip
    np.testing.assert_array_equal(written["Interval, low"], FRAME["conf_low"])
    np.testing.assert_array_equal(written["Interval, high"], FRAME["conf_high"])
    none = pd.read_csv(
        io.StringIO(inference_table(JobReport({"inference": FRAME.iloc[:1]}, manifest)).to_csv())
    )
    assert list(none) == list(written)
