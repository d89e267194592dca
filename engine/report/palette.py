"""Colours of the figures and of the page.

Lightness falls from the wide bar of robust intervals to the thin line of conventional ones, so that they differ in
greyscale; blue and orange differ for every kind of colour vision.
"""

from __future__ import annotations

from collections.abc import Mapping

INK, GREY, SILVER, RULE, GRID = "#1A1A1A", "#6B6B6B", "#8A8A8A", "#C9C9C9", "#E3E3E3"
"""Text, axes, dashed intervals, connecting lines, grid."""
SKY, NAVY, ORANGE, FADED = "#5598C8", "#0B2545", "#B35900", "#9A9A9A"
"""Robust intervals and permuted cities; conventional intervals and what is significant; contrast; not significant."""
DIVERGING = (ORANGE, "#EFEFEF", "#1F5F99")
"""Effects below, around and above zero in a heat map."""

_LIGHT = {
    "ink": "#1b1f24", "quiet": "#535c66", "paper": "#ffffff", "line": "#cfd5db", "shade": "#f3f5f7",
    "link": "#0b5394", "real": "#14532d", "synthetic": "#8a3b00", "figure": "#ffffff",
}  # fmt: skip
_DARK = {
    "ink": "#e7eaee", "quiet": "#a9b2bc", "paper": "#14171a", "line": "#3a424a", "shade": "#1e2328",
    "link": "#8ec5ff", "real": "#7ee2a8", "synthetic": "#ffb77a",
}  # fmt: skip
_PRINT = {
    "ink": "#000000", "quiet": "#444444", "paper": "#ffffff", "line": "#bbbbbb",
    "link": "#000000", "real": "#14532d", "synthetic": "#8a3b00",
}  # fmt: skip


def css_colours() -> str:
    """Rules that define the page's colours, ``var(--ink)`` and so on, on screens light and dark and on paper."""
    return "\n".join(
        (
            _root(_LIGHT),
            f"@media (prefers-color-scheme: dark) {{ {_root(_DARK)} }}",
            f"@media print {{ {_root(_PRINT)} }}\n",
        )
    )


def _root(colours: Mapping[str, str]) -> str:
    return f":root {{ {' '.join(f'--{name}: {colour};' for name, colour in colours.items())} }}"
