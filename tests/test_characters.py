"""Characters that are not shown, cells that are no formulas, and text that an encoding cannot write."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.characters import (
    aligned,
    encodable,
    filled,
    places,
    spreadsheet_cell,
    visible,
    without_apostrophe,
)

ANY = st.text(st.characters(codec=None, categories=None))  # halves of surrogate pairs too

DIRECTIONS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


@given(ANY)
def test_what_is_visible_is_text_of_xml_and_utf8(text: str) -> None:
    shown = visible(text)
    shown.encode()
    for character in shown:
        assert unicodedata.category(character) not in ("Cc", "Cs") or character in "\t\n"
        assert unicodedata.bidirectional(character) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )
        code = ord(character)
        assert code in (9, 10) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
    assert visible(shown) == shown


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_ordinary_text_stands(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize("mark", ["=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"])
def test_a_formula_gets_an_apostrophe_that_can_be_taken_off(mark: str) -> None:
    cell = spreadsheet_cell(f"{mark}SUM(A1)")
    assert cell.startswith("'")
    if mark != "\r":  # written as its escape
        assert without_apostrophe(cell) == f"{mark}SUM(A1)"


@pytest.mark.parametrize(
    "text", ["-0.5", "+3", "-1,234.5", "-2e-9", "+.5", "-5%", "policy[-5]", "2-1", "'quoted'", ""]
)
def test_numbers_and_other_text_get_none(text: str) -> None:
    assert spreadsheet_cell(text) == text
    assert without_apostrophe(text) == text


@given(ANY, st.sampled_from(["ascii", "gbk", "gb2312", "big5", "latin-1", "cp437", "utf-8", "utf-16"]))
def test_every_encoding_can_write_something(text: str, encoding: str) -> None:
    encodable(text, encoding).encode(encoding)


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", "R2 cafe ?? - x"), ("gbk", "R2 caf\u00e9 城市 - x"), ("utf-8", "R² café 城市 - x")],
)
def test_the_nearest_letters_stand_for_those_that_are_lacking(encoding: str, shown: str) -> None:
    assert encodable("R² café 城市 - x", encoding) == shown


def test_lines_of_chinese_are_as_wide_as_they_look() -> None:
    text = "逐步下降 p 值（Westfall 与 Young）控制全部检验中出现任何一次错误拒绝的概率，其前提是一些系数的效应不改变。"
    for width in range(12, 80):
        lines = filled(text, width).split("\n")
        assert max(map(places, lines)) <= width
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert not any(line.startswith(("，", "）", "。")) or line.endswith("（") for line in lines)


def test_cells_stand_in_line() -> None:
    lines = aligned([["变量", "最小值"], ["gdp", "1.5"], ["人均 GDP", "缺失"]], 8)
    assert lines == ["变量      最小值", "gdp          1.5", "人均 GDP    缺失"]
    assert {places(line) for line in lines} == {16}
