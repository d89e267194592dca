"""The languages: every fixed word has its Chinese, every note its sentence in both."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from pathlib import Path
from string import Formatter

import pytest

import engine.report
from engine.cities import builtin
from engine.errors import InputError
from engine.notes import Note, and_more, distinct, note_record, notes_record, of_cell, read_note, shortened
from engine.report.language.stored_notes import sentence, sentences
from engine.report.language.wording import ENGLISH, columns_phrase, words_of

ZH = words_of("zh")
ENGINE = Path(engine.report.__file__).parents[1]


def calls(*names):
    """Calls of functions of these names in the engine, whatever they are attributes of."""
    for path in sorted(ENGINE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
                yield path, node


def literals(node):
    """Texts of an expression that is a text, or one text or another."""
    options = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    return [option.value if isinstance(option, ast.Constant) else None for option in options]


def places(form):
    return {name for _, name, _, _ in Formatter().parse(form) if name}


# -- fixed words -------------------------------------------------------------------------------------------


def fixed_texts():
    """Every literal handed to ``words(...)``, whatever the words are called, or put into ``form`` first."""
    texts = {text for _, call in calls("words", "self") for text in literals(call.args[0])}
    for path in sorted(ENGINE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "form":
                texts |= set(literals(node.value))
    return texts - {None}


def test_every_fixed_text_in_the_code_has_its_chinese():
    texts = fixed_texts()
    assert len(texts) > 90
    assert texts - set(ZH.fixed) == set()


def test_fixed_texts_have_the_same_places_in_both_languages():
    different = [
        text for text, form in ZH.fixed.items() if "{" in text + form and places(text) != places(form)
    ]
    assert different == []


def test_words_of_a_job_are_known_and_the_rest_stands():
    assert ZH.known("high") == "高"
    assert ZH.known("population <b>jumps</b>") == "population <b>jumps</b>"
    assert ZH.in_context("dyadic", "errors") == "成对（dyadic）稳健"
    assert ENGLISH.in_context("dyadic", "errors") == "dyadic"
    assert ZH.outcome("synchronization of capital / employment") == "capital / employment 的同步性"
    assert ENGLISH.outcome("variation of gdp") == "variation of gdp"
    assert ZH.outcome("share of exports") == "share of exports"
    assert columns_phrase([1, 2, 3, 6], ZH) == "第 (1) 至 (3)和(6) 列"


def test_built_in_data_are_described_in_chinese():
    assert [
        name
        for name in ("china_demo", "euro", "pilots", "policy_demo")
        if builtin.describe(name) not in ZH.fixed
    ] == []


def test_a_language_that_is_not_there():
    with pytest.raises(InputError, match="no words in 'fr'"):
        words_of("fr")


# -- notes -------------------------------------------------------------------------------------------------


def made_notes():
    """Code and names of values of every note that is made in the engine."""
    for path, call in calls("Note", "Note.of"):
        for code in literals(call.args[0]):
            yield path, code, {keyword.arg for keyword in call.keywords}


def test_every_note_has_its_sentence_with_its_values_in_both_languages():
    made = [(path, code, values) for path, code, values in made_notes() if code is not None]
    assert len(made) > 60
    wrong = [
        (str(path.relative_to(ENGINE)), code)
        for path, code, values in made
        for words in (ENGLISH, ZH)
        if code not in words.sentences or places(words.sentences[code]) != values
    ]
    assert wrong == []


def test_codes_are_literals_where_notes_are_made():
    """Else the test above would pass them over; `engine.notes` itself reads codes from a file."""
    hidden = {path.relative_to(ENGINE).as_posix() for path, code, _ in made_notes() if code is None}
    assert hidden == {"notes.py"}


def test_languages_have_the_same_codes_and_none_that_nobody_makes():
    codes = {code for _, code, _ in made_notes()} - {None}
    assert set(ENGLISH.sentences) == codes
    assert set(ZH.sentences) == codes


PLURAL = re.compile(
    r"^[^:]*?\b1 (?:[a-z]+-)?(?:rows|samples|draws|permutations|documents|cells|values|assignments|city-years)\b"
    r"|\b1 of (?:its )?9 [a-z -]+?(?: of the table)? (?:are|were|have|lack)\b"
)


def test_english_sentences_read_right_of_one():
    """Of one row, or one of nine: neither ``1 rows`` nor ``1 of 9 rows have``."""
    for code, form in ENGLISH.sentences.items():
        if "count" in places(form):
            numbers = dict.fromkeys(re.findall(r"\{(\w+):[,.gef0-9]+\}", form), 2)
            values = dict.fromkeys(places(form), "x") | numbers | {"count": 1, "total": 9}
            text = ENGLISH.note(Note.of(code, **values))
            assert not PLURAL.search(text), text


def test_chinese_sentences_are_chinese():
    """But for the keys of jobs and what they are named after."""
    keys = {
        "panel",
        "deflate",
        "columns",
        "inference",
        "honest",
        "permutation",
        "reps",
        "seed",
        "strata",
        "model",
        "lag",
        "leave",
        "outs",
        "refits",
        "CR",
        "Anderson",
        "Dask",
        "Rubin",
        "outcome",
        "dyadic",
        "cr",
        "jackknife",
        "pre",
        "window",
    }
    for code, form in ZH.sentences.items():
        text = re.sub(r"\{[^}]*\}", "", form)
        assert set(re.findall(r"[A-Za-z]{2,}", text)) <= keys | {"merge", "names", "cells"}, code
        assert places(form) or re.search("[\u4e00-\u9fff]", text), code


MISSING = Note.of("column_missing", column="x", years="2012-2014", more=[Note.of("more_columns", count=2)])
SENTENCES = {
    "lists, and a part that may be absent": (
        Note.of(
            "cities_dropped",
            count=43,
            total=300,
            cities=[
                Note.of("dropped_city", city="A", reason=Note.of("column_missing", column="x", years="2019", more=[])),
                Note.of("dropped_city", city="B", reason=MISSING),
            ],
            more=and_more(41),
        ),
        "43 of 300 cities were dropped: A (x missing in 2019); B (x missing in 2012-2014 (and 2 more columns)) and "
        "41 more",
        "300 个城市中有 43 个被剔除：A（x 缺 2019 年）；B（x 缺 2012-2014 年，另有 2 列缺失）；另有 41 个",
    ),
    "one city, nothing more": (
        Note.of("cities_dropped", count=1, total=9, cities=[Note.of("dropped_city", city="A", reason="x")], more=[]),
        "1 of 9 cities was dropped: A (x)",
        "9 个城市中有 1 个被剔除：A（x）",
    ),
    "more than are shown": (
        Note.of("constant_cities", column="land", count=38, cities=shortened("ABCDE", 3)),
        "land does not vary over time in 38 cities (A, B, C, ...)",
        "land 在 38 个城市（A、B、C、...）不随时间变化",
    ),
    "one": (
        Note.of("constant_cities", column="land", count=1, cities=["A"]),
        "land does not vary over time in 1 city (A)",
        "land 在 1 个城市（A）不随时间变化",
    ),
    "groups": (
        Note.of("identical_series", column="x", count=1, groups=["A = B"]),
        "x has identical series in 1 group of cities (A = B): a synchronization of them would be infinite",
        "x 在 1 组城市（A = B）中序列完全相同：若以其计算同步性，结果为无穷大",
    ),
    "one row that lacks cells": (
        Note.of("short_rows", file="a.csv", count=1, row=6, cells=2, columns=3),
        "a.csv: 1 row has fewer cells than the header, first row 6 with 2 of 3; what it lacks is missing",
        "a.csv：1 行的单元格少于表头，首见于第 6 行（3 列中只有 2 个）；所缺者按缺失处理",
    ),
    "one row alone": (
        Note.of("rows_alone", count=1, effects=["pair", "year"]),
        "1 singleton observation dropped (alone in a level of pair, year)",
        "1 个单例观测（在 pair、year 的某一水平中仅此一个）已剔除",
    ),
    "two rows alone": (
        Note.of("rows_alone", count=2, effects=["pair", "year"]),
        "2 singleton observations dropped (alone in a level of pair, year)",
        "2 个单例观测（在 pair、year 的某一水平中仅此一个）已剔除",
    ),
    "thousands": (
        Note.of("rows_without_lag", count=1200, total=30000, lag=1),
        "1,200 of 30,000 rows have no row of the same pair 1 year before and are left out, since model.lag is 1",
        "30,000 行中有 1,200 行的同一配对没有 1 年之前的数据（model.lag 为 1），已略去",
    ),
    "a kind of error, in a cell": (
        of_cell(
            "pairs.split=coastal: high",
            Note.of(
                "of_errors",
                errors="jackknife",
                notes=[
                    Note.of("leave_out_unidentified", count=2, terms=["x", "y"]),
                    Note.of("leave_out_unconverged", count=3),
                ],
            ),
        ),
        "pairs.split=coastal: high: jackknife: 2 leave-one-city-out samples do not identify x, y; 3 "
        "leave-one-city-out samples did not converge to the tolerance",
        "pairs.split=coastal: high：刀切法：有 2 个剔除一城的样本无法识别 x、y；有 3 个剔除一城的样本未能按容差收敛",
    ),
    "a column of names": (
        Note.of(
            "spellings_normalised",
            source="p.csv",
            place=Note.of("column", column="town"),
            count=2,
            spellings=["'Ａ' = 'A'", "'B\u3000C' = 'B C'"],
        ),
        "p.csv: spellings in column 'town' that were normalised: 2 ('Ａ' = 'A', 'B\u3000C' = 'B C')",
        "p.csv：列 'town'中 2 种写法已规范化（'Ａ' = 'A'、'B\u3000C' = 'B C'）",
    ),
    "a key to write": (
        Note.of(
            "names_nearly_alike",
            source="p.csv",
            names=Note("cities"),
            groups=["C00 = c00 (case)", "南昌 = 南昌市 (suffix)"],
            key="panel.merge_names",
            rules=["case", "suffix"],
        ),
        "p.csv: cities that are spelled nearly alike and count as different: C00 = c00 (case); 南昌 = 南昌市 (suffix); "
        "if they are the same, spell them alike or set panel.merge_names: [case, suffix]",
        "p.csv：城市中写法相近而按不同名称处理：C00 = c00 (case)；南昌 = 南昌市 (suffix)；若实为同一名称，请统一写法或"
        "设置 panel.merge_names: [case, suffix]",
    ),
    "a class of a split": (
        Note.of("split_class", part="low", column="students_per_10k"),
        "low in students_per_10k",
        "students_per_10k 分组：低",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences_of_notes(name):
    note, english, chinese = SENTENCES[name]
    assert (ENGLISH.note(note), ZH.note(note)) == (english, chinese)


@pytest.mark.parametrize("name", SENTENCES)
def test_a_stored_note_is_worded_in_either_language(name):
    note, english, chinese = SENTENCES[name]
    stored = notes_record("warning", [note], ENGLISH.note) | note_record("reason", note, ENGLISH.note)
    assert read_note(stored["reason_code"]) == note
    assert sentences(stored, "warning", ENGLISH) == [sentence(stored, "reason", ENGLISH)] == [english]
    assert sentences(stored, "warning", ZH) == [sentence(stored, "reason", ZH)] == [chinese]


def test_notes_of_older_and_newer_versions_stay_english():
    assert sentences({"warnings": ["all pairs of 254 units", 7]}, "warning", ZH) == [
        "all pairs of 254 units",
        "7",
    ]
    assert sentence({"step": "kept"}, "step", ZH) == "kept"
    newer = {"notes": ["said"], "note_codes": [{"code": "of_another_version", "values": {}}]}
    assert sentences(newer, "note", ZH) == ["said"]
    assert sentences({"warnings": None}, "warning", ZH) == []


def test_equal_notes_are_one():
    first, second = Note.of("all_pairs", count=3), Note.of("all_pairs", count=4)
    assert distinct([second, first, replace(first), second]) == [second, first]
