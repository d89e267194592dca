"""Names of units: one unit stays one, however it is written, and near-duplicates are told and merged by rule."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentences import english

from engine.errors import InputError
from engine.notes import Note
from engine.tables.labels import normalize, read_labels
from engine.tables.near_duplicates import MERGE_RULES, near_duplicates

letters = st.text(alphabet="abcXYZ0129é南昌市 ", min_size=1, max_size=8).filter(lambda text: text.strip())
BLANKS = [" ", "\u3000", "\u00a0", "\t", "\n", "\u2009", "  "]
NO_WIDTH = ["\u200b", "\ufeff", "\u200d", "\u2060", "\u00ad", "\u200e"]


def disguised(text: str, rng: np.random.Generator) -> str:
    """Another spelling of a normalised name: full-width or composed letters, other blanks, invisible characters."""
    out = []
    for character in text:
        if character == " ":
            out.append(str(rng.choice(BLANKS)))
        elif character.isascii() and character.isalnum() and rng.random() < 0.4:
            out.append(chr(ord(character) + 0xFEE0))
        else:
            out.append(unicodedata.normalize("NFD" if rng.random() < 0.5 else "NFC", character))
        if rng.random() < 0.3:
            out.append(str(rng.choice(NO_WIDTH)))
    return str(rng.choice([*BLANKS, ""])) + "".join(out) + str(rng.choice([*BLANKS, ""]))


@given(texts=st.lists(letters, min_size=1, max_size=6), seed=st.integers(0, 999))
def test_every_spelling_is_read_as_one_name(texts: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain = [" ".join(unicodedata.normalize("NFC", text).split()) for text in texts]
    labels = read_labels([pd.Series([disguised(text, rng) for text in plain])], source="a.csv")
    assert labels.names == tuple(sorted(set(plain)))
    assert [labels.names[code] for code in labels.codes[0]] == plain


@given(text=st.text(max_size=20))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)


@given(data=st.data(), rules=st.sets(st.sampled_from(["case", "zeros", "blanks", "accents"])))
def test_merging_is_by_rule_and_the_most_frequent_name_stands(data: st.DataObject, rules: set[str]) -> None:
    variants = ["Nan Chang 7", "nan chang 7", "NanChang 7", "Nan Chang 07", "Nàn Chang 7"]
    rows = data.draw(st.lists(st.sampled_from(variants), min_size=1, max_size=12))
    labels = read_labels([pd.Series(rows)], source="a.csv", merge=sorted(rules))  # type: ignore[arg-type]
    needs = dict(zip(variants, [None, "case", "blanks", "zeros", "accents"], strict=True))
    together = [name for name in rows if needs[name] is None or needs[name] in rules]
    apart = {name for name in rows if name not in together}
    assert len(labels.names) == len(apart) + bool(together)
    if together:
        stands = min(set(together), key=lambda name: (-together.count(name), name))
        assert {
            labels.names[code] for row, code in zip(rows, labels.codes[0], strict=True) if row in together
        } == {stands}


NEAR = {
    ("Ab", "AB"): ("case",),
    ("2", "02"): ("zeros",),
    ("C1", "C01"): ("zeros",),
    ("110000", "110000.0"): ("zeros",),
    ("南昌 市", "南昌市"): ("blanks",),
    ("南昌", "南昌市"): ("suffix",),
    ("延边", "延边自治州"): ("suffix",),
    ("Zürich", "Zurich"): ("accents",),
    ("ŁÓDŹ", "Lodz"): ("case", "accents"),
    ("Quebec", "Quebec City"): ("suffix",),
}


@pytest.mark.parametrize("names", NEAR, ids=" ".join)
def test_near_duplicates_are_found_with_the_rules_that_merge_them(names: tuple[str, str]) -> None:
    [group] = near_duplicates(names)
    assert (set(group.names), group.merge_rules) == (set(names), NEAR[names])
    assert len(read_labels([pd.Series(names)], source="", merge=group.merge_rules).names) == 1
    fewer = [rule for rule in MERGE_RULES if rule not in group.merge_rules]
    assert len(read_labels([pd.Series(names)], source="", merge=fewer).names) == 2


@pytest.mark.parametrize(
    "names",
    [("10.01", "10.1"), ("吉林省", "吉林市"), ("a b", "ab c"), ("市", "沙市"), ("20", "2"), ("й", "и́")],
)
def test_different_names_are_left_alone(names: tuple[str, str]) -> None:
    assert near_duplicates(names) == () or names == ("й", "и́")


def test_a_suffix_that_could_be_either_is_refused() -> None:
    with pytest.raises(InputError, match="'吉林' could be 吉林市 or 吉林省"):
        read_labels([pd.Series(["吉林", "吉林市", "吉林省"])], source="a.csv", merge=["suffix"])


def test_both_units_of_a_pair_share_their_names() -> None:
    i, j = pd.Series([2, 3, 10**17 + 1], name="i"), pd.Series([3.0, np.nan, 2.0], name="j")
    labels = read_labels([i, j], source="a.csv")
    assert labels.names == ("100000000000000001", "2", "3")
    np.testing.assert_array_equal(labels.codes[0], [1, 2, 0])
    np.testing.assert_array_equal(labels.codes[1], [2, -1, 1])


def test_what_was_changed_is_noted_and_near_names_are_warned_of() -> None:
    column = pd.Series([" a ", "Ｂ", "b", "x\u200by"], name="c")
    labels = read_labels([column], source="a.csv", merge=[])
    assert labels.normalized == (("x\u200by", "xy"), ("Ｂ", "B"))
    [note] = english(labels.notes(source="a.csv", place=Note.of("column", column="c")))
    assert note == "a.csv: spellings in column 'c' that were normalised: 2 ('x<U+200B>y' = 'xy', 'Ｂ' = 'B')"
    [warning] = english(labels.warnings(source="a.csv", names=Note("cities"), key="panel.merge_names"))
    assert "B = b (case)" in warning
    assert warning.endswith("set panel.merge_names: [case]")


REFUSED: dict[str, tuple[Any, str]] = {
    "NUL": ("C\x0003", "row 3, column 'c': the name 'C<U+0000>03' holds a control character"),
    "escape": ("\x1b[31mC", "the name '<U+001B>[31mC' holds a control character"),
    "half a character": ("\ud800", "holds a control character"),
    "no character": ("a\uffff", "holds a control character"),
    "error of Excel": ("#REF!", "row 3, column 'c': '#REF!' is an error of Excel"),
    "list": ([1, 2], "row 3, column 'c': list is no name"),
    "mapping": ({"a": 1}, "row 3, column 'c': dict is no name"),
    "rounded": (2.0**53, "row 3, column 'c': 9007199254740992 stands for several whole numbers"),
    "rounded in single precision": (np.float32(2**24), "16777216 stands for several whole numbers"),
    "bytes": (b"a", "row 3, column 'c': bytes is no name"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_name_is_refused_by_row(kind: str) -> None:
    cell, message = REFUSED[kind]
    other = pd.Series(["a", "b"], name="other")
    column = pd.Series([None, cell, "a"], name="c", dtype=object)
    with pytest.raises(InputError) as caught:
        read_labels([other, column], source="a.csv")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "cells",
    [
        [2, 3],
        [2.0, 3.0],
        ["2", " 3"],
        [Decimal("2.00"), Decimal(3)],
        np.array([2, 3], dtype=np.float32),
        pd.Categorical([2, 3]),
        pd.array([2, 3], dtype="Int64"),
        pd.array(["2", "3"], dtype="string"),
    ],
)
def test_numbers_are_names_whatever_their_type(cells: Any) -> None:
    assert read_labels([pd.Series(cells)], source="").names == ("2", "3")


@pytest.mark.parametrize("dtype", [np.int64, np.float64, "str"])
def test_codes_that_are_declared_missing_are_no_labels(dtype: Any) -> None:
    column = pd.Series([-9, 1, 2, -9], dtype=dtype)
    if dtype is not np.int64:
        column = column.mask(column.index == 2)
    labels = read_labels([column], source="a.csv", missing=[-9.0])
    assert "-9" not in labels.names
    assert labels.codes[0][[0, 3]].tolist() == [-1, -1]
    assert labels.codes[0][1] >= 0


def test_nothing_is_merged_with_a_code_for_missing() -> None:
    column = pd.Series(["hi", "hi", "ｈｉ ", "Hi", "low"], name="tier")
    labels = read_labels([column], source="a.csv", merge=["case"], missing=[" hi"])
    assert (labels.names, labels.codes[0].tolist()) == (("Hi", "low"), [-1, -1, -1, 0, 1])
    assert (labels.normalized, labels.merged) == ((), ())
    assert labels.warnings(source="a.csv", names=Note("cities"), key="panel.merge_names") == []
