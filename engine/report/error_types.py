"""Names and looks of the standard-error types, by the code that ``model.errors`` takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.infer.errors import CONVENTIONAL, ROBUST, block_jackknife, family_of, network, spatial
from engine.report.language.wording import Words
from engine.report.palette import INK, NAVY, ORANGE, SILVER, SKY


@dataclass(frozen=True)
class ErrorLook:
    """Names of a standard-error type in sentences, and its mark in figures.

    Attributes
    ----------
    label : str
        In tables and legends.
    adjective : str
        Before "standard error".
    phrase : str
        After "significant under".
    color, edge : str
        Of its intervals, and of the rim of its markers.
    marker, markersize, linewidth, linestyle
        As matplotlib takes them.
    caution : str
        A sentence below every table that has the type; empty if it needs none.
    """

    label: str
    adjective: str
    phrase: str
    color: str
    edge: str
    marker: str
    markersize: float
    linewidth: float = 1.3
    linestyle: str = "-"
    caution: str = ""


ERROR_LOOKS = {
    "pair": ErrorLook(
        "pair-clustered", "pair-clustered", "pair clustering", color=NAVY, edge=NAVY, marker="o", markersize=4.5
    ),
    "city": ErrorLook(
        "two-way city", "two-way city", "two-way city clustering",
        color=ORANGE, edge=ORANGE, marker="s", markersize=4.2,
        caution="The two-way city errors depend on the order of the cities and are there for comparison.",
    ),
    "dyadic_cr2": ErrorLook(
        "dyadic CR2", "dyadic CR2", "dyadic CR2 errors",
        color=SKY, edge=NAVY, marker="P", markersize=5.8, linewidth=4.5,
    ),
    "dyadic": ErrorLook(
        "dyadic-robust", "dyadic-robust", "dyadic-robust errors",
        color=SKY, edge=INK, marker="D", markersize=4.6, linewidth=1.6,
    ),
    "jackknife": ErrorLook(
        "jackknife CRV3", "jackknife", "the jackknife",
        color=SILVER, edge=SILVER, marker="^", markersize=5.0, linestyle="--",
    ),
}  # fmt: skip
FAMILY_LOOKS = {
    spatial.NAME: ErrorLook(
        "spatial", "spatial", "spatial errors", color=ORANGE, edge=INK, marker="v", markersize=5.0, linestyle=":"
    ),
    network.NAME: ErrorLook(
        "network", "network", "network errors", color=ORANGE, edge=INK, marker="h", markersize=5.0, linestyle="--"
    ),
    block_jackknife.NAME: ErrorLook(
        "block jackknife", "block jackknife", "the block jackknife",
        color=SILVER, edge=INK, marker="<", markersize=5.0, linestyle="-.",
    ),
}  # fmt: skip
"""Of types with values of their own, by their family."""


def look_of(code: str) -> ErrorLook | None:
    """The look of a type; None where a file of another version has a type unknown here."""
    family = family_of(code)
    return FAMILY_LOOKS[family.name] if family else ERROR_LOOKS.get(code)


def in_order(codes: Iterable[str]) -> list[str]:
    """Those of the types that have a look, as figures list them; those with values of their own last."""
    present = list(dict.fromkeys(codes))
    return [code for code in ERROR_LOOKS if code in present] + [code for code in present if family_of(code)]


def error_label(code: str, words: Words) -> str:
    """In tables and legends; the code itself where a file of another version has a type unknown here."""
    if spatial.is_spatial(code):
        distance, kernel = spatial.distance_and_kernel(code)
        return words("spatial, {kernel} {distance} km", kernel=words.known(kernel), distance=f"{distance:g}")
    if network.is_network(code):
        links, kernel = network.links_and_kernel(code)
        return words("network, {kernel} {links} links", kernel=words.known(kernel), links=str(links))
    if block_jackknife.is_block_jackknife(code):
        return _blocks_label(block_jackknife.blocks_of(code), words)
    look = look_of(code)
    return words(look.label) if look else code


def _blocks_label(blocks: block_jackknife.JackknifeBlocks, words: Words) -> str:
    if blocks.distance:
        return words("block jackknife, {distance} km", distance=f"{blocks.distance:g}")
    if blocks.order:
        return words(
            "block jackknife, {length} along {column}", length=str(blocks.length), column=blocks.order
        )
    return words("block jackknife by {column}", column=blocks.by)


def error_adjective(code: str, words: Words) -> str:
    """``dyadic-robust`` and the like."""
    look = look_of(code)
    return words(look.adjective) if look else code


def error_phrase(code: str, words: Words) -> str:
    """``dyadic-robust errors`` and the like."""
    look = look_of(code)
    return words(look.phrase) if look else code


def cautions(codes: Iterable[str]) -> list[str]:
    """Sentences on the weaknesses of some types, in English."""
    return [ERROR_LOOKS[code].caution for code in codes if code in ERROR_LOOKS and ERROR_LOOKS[code].caution]


def preferred(present: Iterable[str]) -> str | None:
    """The type whose intervals and stars are shown where there is room for one: robust types come first."""
    codes = list(present)
    return _first((*ROBUST, *filter(family_of, codes), *codes), codes)


def robust_and_conventional(present: Iterable[str]) -> tuple[str | None, str | None]:
    """The preferred robust type among those present, and the preferred conventional one, to be compared."""
    codes = list(present)
    return _first((*ROBUST, *filter(family_of, codes)), codes), _first(CONVENTIONAL, codes)


def _first(order: Sequence[str], codes: Sequence[str]) -> str | None:
    return next((code for code in order if code in codes), None)
