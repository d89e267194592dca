"""Estimates with their intervals in words, for those who cannot see a figure."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from engine.report.error_types import error_label, preferred
from engine.report.language.wording import Words
from engine.report.number_format import number


def spoken_estimates(rows: pd.DataFrame, names: Sequence[str], words: Words) -> str:
    """Every estimate, by the name of its row, with the preferred of its intervals."""
    code = preferred(rows["errors"]) or ""
    values = rows[["estimate", "conf_low", "conf_high"]].to_numpy(float)
    parts = [
        f"{name}: {number(estimate)} [{number(low)}, {number(high)}]"
        for name, errors, (estimate, low, high) in zip(names, rows["errors"], values, strict=True)
        if errors == code
    ]
    label = error_label(code, words)
    return words("estimates with {kind} intervals. {parts}.", kind=label, parts=words("; ").join(parts))
