"""Counts and passages of a corpus counted by hand, and what the segmentation promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_corpus import COUNTS, DICTIONARY, DOCUMENTS, OWNERS

from engine.errors import InputError
from engine.text import count
from engine.text.count import Counts, count_instruments
from engine.text.dictionary import Dictionary, Instrument, read_dictionary
from engine.text.read_documents import DEMO, Document, read_documents
from engine.text.term_index import TermIndex


def document(text: str) -> Document:
    return Document(file="x.txt", city="Alpha", year=2016, title="", source="", text=text)


def own(*terms: str) -> Dictionary:
    return Dictionary(tuple(Instrument("supply", term, (term,)) for term in terms))


def counted(text: str, *terms: str) -> dict[str, int]:
    counts = count_instruments([document(text)], own(*terms)).counts
    return dict(zip(counts["instrument"], counts["count"], strict=True))


def test_three_documents_counted_by_hand() -> None:
    rows = [
        (file, *OWNERS[file], instrument.kind, instrument.name, number)
        for file, numbers in COUNTS.items()
        for instrument, number in zip(DICTIONARY.instruments, numbers, strict=True)
    ]
    columns = ["file", "city", "year", "kind", "instrument", "count"]
    expected = pd.DataFrame(rows, columns=columns)
    pd.testing.assert_frame_equal(count_instruments(DOCUMENTS, DICTIONARY).counts, expected)


def test_every_passage_is_kept() -> None:
    first, second = "设立专项资金，用于人才培养。", "实训基地要扩大试点，试点工作由市里负责。"
    buying, shop = "扩大政府采购，采购清单另行公布；", "免税店纳入监管，金融资产不在此列。"
    rows = [
        ("a.txt", "supply", "funds", "专项资金", True, 1, 3, first),
        ("a.txt", "supply", "talent", "人才培养", True, 1, 10, first),
        ("a.txt", "supply", "talent", "实训基地", True, 2, 1, second),
        ("a.txt", "demand", "pilots", "试点", True, 2, 8, second),
        ("a.txt", "demand", "pilots", "试点", True, 2, 11, second),
        ("b.txt", "environment", "rules", "监管", True, 1, 5, "加强市场监管。"),
        ("b.txt", "demand", "procurement", "政府采购", True, 2, 3, buying),
        ("b.txt", "demand", "procurement", "采购", True, 2, 8, buying),
        ("b.txt", "supply", "talent", "人才培养", True, 3, 1, "人才培养不放松。"),
        ("c.txt", "environment", "tax", "免税", True, 1, 6, "对出口商品免税，落实出口退税。"),
        ("c.txt", "environment", "tax", "出口退税", True, 1, 11, "对出口商品免税，落实出口退税。"),
        ("c.txt", "environment", "tax", "免税", True, 2, 1, shop),
        ("c.txt", "environment", "rules", "监管", True, 2, 6, shop),
        ("c.txt", "environment", "finance", "融资", False, 2, 10, shop),
        ("c.txt", "demand", "pilots", "示范区", True, 3, 4, "建设“示范区。”"),
    ]
    columns = [
        "file",
        "city",
        "year",
        "kind",
        "instrument",
        "term",
        "counted",
        "sentence",
        "position",
        "passage",
    ]
    expected = pd.DataFrame([(row[0], *OWNERS[row[0]], *row[1:]) for row in rows], columns=columns)
    pd.testing.assert_frame_equal(count_instruments(DOCUMENTS, DICTIONARY).passages, expected)


def test_of_overlapping_terms_the_other_one_is_shown_but_not_counted() -> None:
    found = count_instruments([document("给予专项资金支持。")], own("专项资金", "资金支持", "资金")).passages
    assert found[["term", "counted", "position"]].to_numpy().tolist() == [
        ["专项资金", True, 3],
        ["资金支持", False, 5],
    ]


def test_counts_are_the_counted_passages_of_the_demonstration() -> None:
    documents, _ = read_documents(DEMO)
    found = count_instruments(documents, read_dictionary())
    keys = ["file", "city", "year", "kind", "instrument"]
    kept = found.passages[found.passages["counted"]].groupby(keys).size()
    nonzero = found.counts[found.counts["count"] > 0].set_index(keys)["count"].sort_index()
    pd.testing.assert_series_equal(kept, nonzero, check_names=False)
    cut = [row.passage[row.position - 1 :][: len(row.term)] for row in found.passages.itertuples()]
    assert cut == list(found.passages["term"])


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("金融资产", {"融资": 0}),  # across two words
        ("中小企业融资难", {"融资": 1}),  # jieba has the compound 融资难
        ("城市政府采购中心", {"采购": 0, "政府采购": 1}),  # the longer term
        ("采购政府采购目录", {"采购": 1, "政府采购": 1}),
        ("公布示范企业名单", {"示范企业": 1}),  # jieba has 企业名单
        ("专项资金支持", {"专项资金": 1, "资金支持": 0}),  # overlapping terms: one
        ("试点，试点；试点", {"试点": 3}),
        ("B2B出口", {"B2B出口": 1}),
        ("没有", {"试点": 0}),
    ],
)
def test_words_not_letters(text: str, numbers: dict[str, int]) -> None:
    assert counted(text, *numbers) == numbers


def test_the_order_of_terms_and_documents_changes_nothing() -> None:
    documents, _ = read_documents(DEMO)
    dictionary = read_dictionary()
    upside_down = Dictionary(
        tuple(Instrument(i.kind, i.name, i.terms[::-1]) for i in dictionary.instruments[::-1])
    )
    expected = count_instruments(documents, dictionary)
    got = count_instruments(documents[::-1], upside_down)
    for name in ("counts", "passages"):
        frame, other = getattr(expected, name), getattr(got, name)
        columns = list(frame.columns)
        pd.testing.assert_frame_equal(
            frame.sort_values(columns, ignore_index=True), other.sort_values(columns, ignore_index=True)
        )


WORDS = st.lists(st.sampled_from(["试点", "监管", "，", "。", "的", "甲", "\n"]), max_size=12)


@settings(max_examples=50)
@given(words=WORDS)
def test_short_terms_in_a_row_are_all_found(words: list[str]) -> None:
    """Neither term makes a word with its neighbours here, so characters and words must agree."""
    text = "".join(words)
    assert counted(text, "试点", "监管") == {"试点": text.count("试点"), "监管": text.count("监管")}


def test_no_document_no_rows() -> None:
    found = count_instruments([], DICTIONARY)
    assert isinstance(found, Counts)
    assert (len(found.counts), len(found.passages)) == (0, 0)


def test_a_term_that_cannot_be_one_word_is_refused() -> None:
    with pytest.raises(InputError, match=r"the term '免税，区' does not stay one word \(免税\|，\|区\)"):
        counted("试点", "免税，区")


def test_jieba_leaves_nothing_behind_and_says_nothing(tmp_path: Path) -> None:
    code = (
        "from engine.text.count import _tokenizer\n"
        "print('|'.join(_tokenizer(('试点',)).lcut('扩大试点工作', HMM=False)))"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONWARNINGS": "default", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", env=environment
    )
    assert (done.stdout.strip(), done.stderr) == ("扩大|试点|工作", "")
    assert list(tmp_path.iterdir()) == []


def test_without_jieba_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    count._general_words.cache_clear()
    with pytest.raises(
        InputError, match=r"need jieba, which is not installed\n  hint: pip install 'dyadid\[text\]'"
    ):
        counted("试点", "不曾用过")


@given(st.lists(st.text("abc", min_size=2, max_size=4), min_size=1, max_size=8), st.text("abcd", max_size=30))
def test_the_index_finds_what_a_search_for_every_term_finds(terms: list[str], text: str) -> None:
    index = TermIndex(terms)
    expected = []
    for start in range(len(text)):
        here = [term for term in terms if text.startswith(term, start)]
        if here:
            expected.append((start, max(here, key=len)))
    assert list(index.places(text)) == expected
    assert index.anywhere(text) == bool(expected)


def test_a_sentence_longer_than_any_is_in_parts_and_nothing_is_lost() -> None:
    """Each passage is written once for every term in it: a megabyte without a full stop would fill the disk."""
    text = "，".join(["加大财政支持力度"] * 300) + "。"
    passages = count_instruments([document(text)], own("财政支持")).passages
    assert len(passages) == 300
    assert passages["counted"].all()
    assert passages["passage"].str.len().max() <= 500
    assert passages.groupby("sentence").size().sum() == 300
    for row in passages.itertuples():
        assert row.passage[row.position - 1 :].startswith("财政支持")


def test_a_flood_of_terms_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "_MOST_CHARACTERS", 10_000)
    with pytest.raises(InputError, match=r"more than 10,000 characters, most of them those of 'x.txt'"):
        count_instruments([document("财政支持" * 1000)], own("财政支持"))


def test_repeated_sentences_are_segmented_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = count._places

    def places(passage: str, *rest: object) -> object:
        calls.append(passage)
        return original(passage, *rest)

    monkeypatch.setattr(count, "_places", places)
    found = count_instruments([document("加大财政支持力度。\n" * 1000)], own("财政支持"))
    assert (len(calls), found.counts["count"].sum()) == (1, 1000)
