"""Tables of links: rows or a matrix, names that are nearly alike, strengths, and what is wrong in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engine.cities.links import CityLinks, LinkColumns, read_links
from engine.errors import InputError
from engine.report.language.wording import ENGLISH

UNITS = ("北京市", "天津市", "南昌市", "A", "2")
ROWS = LinkColumns("a", "b")


def read(table: dict[str, list[object]], columns: LinkColumns = ROWS, **options: object) -> CityLinks:
    return read_links(pd.DataFrame(table), UNITS, columns, source="links.csv", **options)  # type: ignore[arg-type]


def pairs(links: CityLinks) -> set[tuple[str, str]]:
    """Linked cities of the panel, in the order of the panel."""
    lengths = links.ways(1)
    i, j = np.nonzero(lengths == 1)
    return {(UNITS[first], UNITS[second]) for first, second in zip(i, j, strict=True) if first < second}


def test_a_link_has_no_direction_and_counts_once() -> None:
    links = read({"a": ["北京市", "天津市", "A", "2"], "b": ["天津市", "北京市", "A", "A"]})
    assert pairs(links) == {("北京市", "天津市"), ("A", "2")}
    texts = [ENGLISH.note(note) for note in links.notes]
    assert texts == ["links.csv: 2 links between 5 cities", "links.csv: 1 city has no link: 南昌市"]


def test_names_are_read_as_those_of_the_panel() -> None:
    links = read({"a": ["Ａ ", "北京"], "b": [2.0, "天津 市"]}, merge=["suffix", "blanks"])
    assert pairs(links) == {("A", "2"), ("北京市", "天津市")}


def test_ways_lead_through_cities_that_the_panel_lacks() -> None:
    links = read({"a": ["北京市", "保定市", "A"], "b": ["保定市", "天津市", "2"]})
    lengths = links.ways(10)
    assert lengths[0, 1] == 2
    assert lengths[3, 4] == 1
    assert np.isinf(lengths[0, 3])
    assert np.isinf(links.ways(1)[0, 1])
    assert "保定市" in links.names


def test_strengths() -> None:
    columns = LinkColumns("a", "b", strength="w")
    table: dict[str, list[object]] = {"a": ["北京市", "A"], "b": ["天津市", "2"], "w": [1, 0]}
    assert pairs(read(table, columns)) == {("北京市", "天津市")}
    table["w"] = ["0.5", "0,4"]
    with pytest.raises(InputError):
        read(table, columns)
    table["w"] = [0.5, 0.4]
    with pytest.raises(InputError, match=r"0\.5 is neither 0 nor 1") as caught:
        read(table, columns)
    assert "panel.links.at_least" in str(caught.value)
    assert pairs(read(table, LinkColumns("a", "b", "w", at_least=0.5))) == {("北京市", "天津市")}
    table["w"] = [np.nan, 1]
    for least in (None, 0.5):
        with pytest.raises(InputError, match=r"row 2.*a strength is missing|a strength is missing"):
            read(table, LinkColumns("a", "b", "w", at_least=least))
    table["w"] = [-1.0, 1]
    with pytest.raises(InputError, match="-1 is no strength"):
        read(table, LinkColumns("a", "b", "w", at_least=0.5))


def matrix() -> dict[str, list[object]]:
    return {
        "": ["A", "2", "北京市"],
        "2": [1, None, 0],
        "北京市": [0, 0, None],
        "A": ["-", 0, 0],
    }


def test_a_matrix_in_any_order_whose_diagonal_is_never_read() -> None:
    assert pairs(read(matrix(), LinkColumns())) == {("A", "2")}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"2": [1, 0, 0.5]}, "0.5 is neither 0 nor 1"),
        ({"2": [None, 0, 0]}, "a strength is missing"),
        ({"C": [0, 0, 0]}, "of its 3 rows and of its 4 further columns are not the same, each once: C"),
        ({"": ["A", "A", "北京市"]}, "are not the same, each once: 2"),
        ({"": ["A", None, "北京市"]}, "are not the same, each once"),
        ({"2": ["x", 0, 0]}, "is not a number"),
    ],
)
def test_matrices_that_are_wrong(change: dict[str, list[object]], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        read({**matrix(), **change}, LinkColumns())
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"a": ["A"], "c": ["2"]}, "there is no column 'b'; the columns are a, c"),
        ({"a": ["A", None], "b": ["2", "A"]}, "the row has no city"),
        ({"a": ["X"], "b": ["Y"]}, "no two cities of the panel are linked"),
        ({"a": ["A"], "b": ["A"]}, "no two cities of the panel are linked"),
        ({"a": ["#REF!"], "b": ["A"]}, "#REF!"),
    ],
)
def test_tables_that_are_wrong(table: dict[str, list[object]], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        read(table)
    assert problem in str(caught.value)
