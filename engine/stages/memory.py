"""How much memory a job allows, in bytes."""

from __future__ import annotations

import re


def memory_bytes(text: str) -> float:
    """``2GB`` or ``500 MB`` in bytes."""
    number, unit = re.fullmatch(r"([\d.]+)\s*(MB|GB)", text).groups()  # type: ignore[union-attr]  # pattern in the spec
    return float(number) * (1e6 if unit == "MB" else 1e9)
