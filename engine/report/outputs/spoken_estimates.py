"""Estimates with their intervals in words, for those who cannot see a figure."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from engine.report.error_types import error_label, preferred
from engine.report.language.wording import Words
from engine.report.number_format import AlignedNumbers, notations


def spoken_estimates(rows: pd.DataFrame, names: Sequence[str], words: Words) -> str:
    """Every estimate, by the name of its row, with the preferred of its intervals."""
    code = preferred(rows["errors"]) or ""
    intervals = rows[["estimate", "conf_low", "conf_high"]].to_numpy(float).tolist()
    is_shown = rows["errors"] == code
    spoken = [
        (name, values) for name, values, of_code in zip(names, intervals, is_shown, strict=True) if of_code
    ]
    # A quarter of an interval is about the standard error, which not all frames have.
    columns = [AlignedNumbers(values, [(values[2] - values[1]) / 4]) for _, values in spoken]
    parts = [
        f"{name}: {notation.text(estimate)} [{notation.text(low)}, {notation.text(high)}]"
        for (name, (estimate, low, high)), notation in zip(spoken, notations(columns), strict=True)
    ]
    label = error_label(code, words)
    return words("estimates with {kind} intervals. {parts}.", kind=label, parts=words("; ").join(parts))
