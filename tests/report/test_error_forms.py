"""Forms of messages in Chinese: what the user wrote comes out as it is, what the program wrote in Chinese whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest

from engine.errors import InputError
from engine.report.language.error_forms import (
    Form,
    error_forms,
    form_of,
    worded_job_line,
    worded_message,
    worded_place,
)
from engine.report.language.error_words import worded_error
from engine.tables.problems import SeveralProblems, TableProblem

PLACE = re.compile(r"\{\d+\}")
MESSAGES, PLACES, ENTRIES = (
    [
        form_of(english, chinese)
        for english, chinese in error_forms("zh", table).items()
        if PLACE.search(english)
    ]
    for table in ("", "where", "entries")
)
OF_THE_PROGRAM = {
    "number": "12",
    "word": "gdp",
    "keys": "gdp, edu",
    "list": "gdp",
    "words": "7",
    "absent": "",
    "any": "denied",
}
USER_TEXTS = (
    "set 1.csv",
    "write up.csv: row 3",
    "row 3",
    "GDP or GNP",
    "it's",
    "x' is not a number or y",
    "leave it out",
    "甲，和 is missing",
)


def is_quoted(form: Form) -> list[bool]:
    """By place."""
    return [left.endswith("'") and right.startswith("'") for left, right in pairwise(form.literals)]


def english(form: Form, values: Sequence[str]) -> str:
    return "".join(part for pair in zip(form.literals, [*values, ""], strict=True) for part in pair)


def with_user_text(form: Form, text: str) -> list[str]:
    """Values of all places: the text where the user writes."""
    return [OF_THE_PROGRAM.get(kind, text) for kind in form.kinds]


@pytest.mark.parametrize("text", USER_TEXTS)
def test_what_the_user_wrote_comes_out_as_it_is(text: str) -> None:
    changed = []
    for form in MESSAGES:
        values = with_user_text(form, text)
        message = english(form, values)
        worded = worded_message(message, "zh")
        if worded is None or worded.count(text) < values.count(text):
            changed.append(f"{message!r} -> {worded!r}")
    assert not changed, "\n".join(changed)


@pytest.mark.parametrize("text", ["set 1.csv", "row 3.csv", "GDP or GNP", "it's", "甲: 乙"])
def test_files_and_columns_of_a_place_come_out_as_they_are(text: str) -> None:
    for form in PLACES:
        values = with_user_text(form, text)
        for file in ("", f"{text}.csv: "):
            worded = worded_place(file + english(form, values), "zh")
            assert worded.startswith(file)
            assert worded.count(text) == values.count(text) + bool(file)
    assert worded_place(text, "zh") == text


def test_a_form_of_few_letters_is_held_by_its_places():
    """A form like ``write {0}`` matches anything that begins so, unless its place holds a phrase, number or key."""
    for form in [*MESSAGES, *ENTRIES]:
        free = [
            kind in ("", "any") and not quoted
            for kind, quoted in zip(form.kinds, is_quoted(form), strict=True)
        ]
        assert form.n_letters >= 8 or not all(free), form.literals


def test_no_two_places_touch():
    """A number between them would be lost: where the one ends and the other begins, no pattern can say."""
    touching = [form.literals for form in [*MESSAGES, *PLACES, *ENTRIES] if "" in form.literals[1:-1]]
    assert not touching


TABLE_PROBLEMS = {
    "a year": (
        TableProblem(
            "'去年' is not a year",
            where="d9.csv: row 6, column 'year'",
            remedy="write a whole number between 1500 and 2500",
            job_line="panel.skip_rows: [6]  # if the rows are no data",
        ),
        "d9.csv: 第 6 行，列“year”: “去年”不是年份\n"
        "  提示：填写 1500 至 2500 之间的整数；或在任务文件中写：panel.skip_rows: [6]  # 若这些行不是数据",
    ),
    "adoption": (
        TableProblem(
            "'未定' is not a year (杭州); also rows 3, 4, 5 and 7 more",
            where="d31.csv: row 2, column 'pilot'",
            remedy="write a whole number between 1500 and 2500, or leave the cell empty where there is none "
            "(never adopts)",
            job_line="panel.missing: {pilot: [未定]}  # if that means missing",
        ),
        "d31.csv: 第 2 行，列“pilot”: “未定”不是年份（杭州）；第 3, 4, 5 行亦然，另有 7 行\n"
        "  提示：填写 1500 至 2500 之间的整数；若没有（从未实施政策），将单元格留空；"
        "或在任务文件中写：panel.missing: {pilot: [未定]}  # 若表示缺失",
    ),
    "city-years": (
        TableProblem(
            "city-years given more than once: 杭州 2006 (rows 2, 146); "
            "杭州 2007 (rows 3, 147, spelled 杭州 and 杭州市) (2 in all)",
            where="d1.csv",
            remedy="keep one row a city and year",
            job_line="panel.skip_rows: [146, 147]  # if the first row of each is right",
        ),
        "d1.csv: 有城市—年份重复出现，共 2 个：杭州 2006 年（第 2, 146 行）；"
        "杭州 2007 年（第 3, 147 行，写法为 杭州 and 杭州市）\n"
        "  提示：每个城市每年请只保留一行；或在任务文件中写：panel.skip_rows: [146, 147]  # 若各以第一行为准",
    ),
    "both directions": (
        TableProblem(
            "pair_table.directed is false, but 2010 has both (甲, 乙), in row 2, and (乙, 甲); so in 3 more rows",
            where="t.csv: row 9",
            remedy="keep one row a pair and year, in either order, or say directed: true if the two directions differ",
            job_line="pair_table.directed: true  # if the two directions differ",
        ),
        "t.csv: 第 9 行: pair_table.directed 为 false，但 2010 年既有第 2 行的 (甲, 乙)，又有 (乙, 甲)；另有 3 行如此\n"
        "  提示：每个配对每年只保留一行，不论两个单位的次序；若两个方向含义不同，则设 directed: true；"
        "或在任务文件中写：pair_table.directed: true  # 若两个方向含义不同",
    ),
    "a line to paste": (
        TableProblem(
            "'x' is not a number or y' is not a number",
            where="set 1.csv: row 6, column 'gdp'",
            remedy="write a plain number such as 1234.5, or leave the cell empty where it is missing",
            job_line="panel.missing: {gdp: [x' is not a number or y]}  # if it means missing",
        ),
        "set 1.csv: 第 6 行，列“gdp”: 'x' is not a number or y' 不是数\n"
        "  提示：写成普通数字，如 1234.5；若为缺失，将单元格留空；"
        "或在任务文件中写：panel.missing: {gdp: [x' is not a number or y]}  # 若其表示缺失",
    ),
}


@pytest.mark.parametrize("name", TABLE_PROBLEMS)
def test_problem_remedy_and_job_line_of_a_table_are_worded_one_by_one(name: str) -> None:
    error, chinese = TABLE_PROBLEMS[name]
    assert worded_error(error, "zh").labelled == f"错误：{chinese}"
    assert worded_error(error.at(f"job.yaml: {error.where}"), "zh").labelled == f"错误：job.yaml: {chinese}"
    flat = InputError(
        error.problem, where=error.where, remedy=error.remedy
    )  # as it comes from another process
    assert worded_error(flat, "zh").labelled == f"错误：{chinese}"


def test_several_problems_of_a_table_keep_their_lines():
    parts = [TABLE_PROBLEMS[name][0] for name in ("a year", "adoption")]
    parts = [part.at(part.where.replace("d9.csv", "d31.csv")) for part in parts]
    chinese = (
        "错误：k.yaml: d31.csv: 共 2 处问题\n"
        "  第 6 行，列“year”: “去年”不是年份\n"
        "    在任务文件中写：panel.skip_rows: [6]  # 若这些行不是数据\n"
        "  第 2 行，列“pilot”: “未定”不是年份（杭州）；第 3, 4, 5 行亦然，另有 7 行\n"
        "    在任务文件中写：panel.missing: {pilot: [未定]}  # 若表示缺失\n"
        "  提示：填写 1500 至 2500 之间的整数；填写 1500 至 2500 之间的整数；若没有（从未实施政策），将单元格留空"
    )
    error = SeveralProblems(parts, source="d31.csv").at("k.yaml: d31.csv")
    assert worded_error(error, "zh").labelled == chinese
    flat = InputError(error.problem, where=error.where, remedy=error.remedy)
    assert worded_error(flat, "zh").labelled == chinese


def test_a_line_to_paste_is_never_worded_however_long_it_is():
    cells = ", ".join(f"set {number}: NUMBER" for number in range(200))
    line = f"panel.recode: {{grade: {{{cells}, write or: NUMBER}}}}"
    assert worded_job_line(line, "zh") == line
    assert (
        worded_job_line(f"{line}  # if the texts stand for numbers", "zh") == f"{line}  # 若这些文本代表数值"
    )
    error = TableProblem(
        "'x' is not a number", where="row 3.csv: row 4", remedy="leave it out", job_line=line
    )
    assert worded_error(error, "zh").remedy == f"请将其略去；或在任务文件中写：{line}"


SENTENCES = [
    ("there is no replicate 99", "没有编号为 99 的抽样"),
    (
        "there is no replicate 99: all 9 assignments were enumerated",
        "没有编号为 99 的抽样：共 9 种分配，均已枚举",
    ),
    (
        "the table has no rows below its header, row 1, but for those that panel.skip_rows passes over",
        "表头（第 1 行）之下没有数据行（panel.skip_rows 跳过的行除外）",
    ),
    ("the terms are policy, edu", "系数有 policy, edu"),
    ("write )", "请补上 )，使括号闭合"),
    (
        "unknown key 'panel：{source'; known here: job, title; write the half-width ':' for '：'",
        "未知的键“panel：{source”；此处可用的键：job, title；请改用半角符号：':'（代替 '：'）",
    ),
    (
        "unknown key 'modle', did you mean 'model'?",
        "未知的键“modle”，是否应为“model”？",
    ),
    (
        "must be a whole number or greater than or equal to 2 (got [1])",
        "必须是整数或大于或等于 2（现为 [1]）",
    ),
    (
        "must be a whole number or a list, like [a, b] (got a mapping)",
        "必须是整数或列表，如 [a, b]（现为映射）",
    ),
    ("must be less than or equal to 10,000", "必须小于或等于 10,000"),
    (
        "spatial: unknown key 'km'; it is {spatial: {distance: km, kernel: bartlett}}",
        "spatial：未知的键“km”；其写法为 {spatial: {distance: km, kernel: bartlett}}",
    ),
    (
        "name columns of the pair table in model.regressors, and take it out; where a file of extends has it, set it "
        "to null",
        "请在 model.regressors 中列出成对数据的列，并删去该键；若该键来自 extends 的文件，则将其设为 null",
    ),
    (
        "map it under panel.columns; the file has row 3, set aside, GDP or GNP and 4 more",
        "请在 panel.columns 中指定它对应的列；文件中有 row 3, set aside, GDP or GNP，另有 4 个",
    ),
    ("needs column 'gpd', which is not in set 1.csv", "需要列“gpd”，而 set 1.csv 中没有"),
    (
        "give exactly one of synchronization or variation (panel jobs), or column (pair_table jobs)",
        "请在 synchronization 或 variation 中给出且只给出一个（panel 任务），或给出 column（pair_table 任务）",
    ),
    (
        "use builtin:china_demo or builtin:euro, or the path of a file; to join, builtin:pilots or builtin:policy_demo",
        "请用 builtin:china_demo 或 builtin:euro，或文件路径；用于合并的有 builtin:pilots 或 builtin:policy_demo",
    ),
    ("reps: draws", "reps: 抽样次数"),
    ("outcome: dependent variable", "outcome: 被解释变量"),
    (
        "'did' of 杭州 goes back to 0 in 2009, after a 1 (1 of 12 cities: 杭州)",
        "杭州的“did”取 1 之后在 2009 年又回到 0（12 个城市中有 1 个如此：杭州）",
    ),
    (
        "'edu' is 1.438 in 南昌, 2006, which is neither 0 nor 1 (144 of 144 city-years)",
        "南昌在 2006 年的“edu”为 1.438，既不是 0 也不是 1（144 个城市—年份中有 144 个如此）",
    ),
    (
        "'did' is empty in all rows of 2 of 12 cities: 杭州, 南昌",
        "“did”在一些城市的所有行中为空（12 个城市中有 2 个如此：杭州, 南昌）",
    ),
    (
        "'did' of 杭州 is missing in 2009, before the first 1 in 2010: the year of adoption is open "
        "(1 of 12 cities: 杭州)",
        "杭州的“did”在 2009 年缺失，而首个 1 在 2010 年：政策实施年份无法确定（12 个城市中有 1 个如此：杭州）",
    ),
    (
        "'did' of 杭州 is missing in 2009, after the last 0 and without a 1: whether it adopts is open "
        "(1 of 12 cities: 杭州)",
        "杭州的“did”在 2009 年缺失，在最后一个 0 之后且从未取 1：无法确定是否实施了政策"
        "（12 个城市中有 1 个如此：杭州）",
    ),
    (
        "who has adopted stays treated here: mend the cells, or leave out cities that ended the policy",
        "此处城市一经实施便一直受处理：请更正这些单元格，或略去已终止政策的城市",
    ),
    (
        "'did' of 甲, 乙 goes back to 0 after a 1 (2009); so of 3 of 66 pairs",
        "甲, 乙 的“did”取 1 之后又回到 0（2009 年）；66 个配对中有 3 个如此",
    ),
    (
        "without pairs of two treated units a treatment is the sum of its members' unit x year effects: keep those "
        "pairs, or leave out unit x year; pairs.exclude: none keeps them",
        "没有双方均受处理的城市对时，处理变量等于两个成员的 unit x year 效应之和：请保留这些城市对，"
        "或略去 unit x year；pairs.exclude: none 会保留它们",
    ),
    ("'3.5%' has a percent sign, '12' in row 2 has none", "'3.5%' 带百分号，第 2 行的 '12' 不带"),
    ("is missing", "缺少该键"),
]


@pytest.mark.parametrize(("message", "chinese"), SENTENCES)
def test_sentences(message: str, chinese: str) -> None:
    assert worded_message(message, "zh") == chinese


@pytest.mark.parametrize(
    "message",
    [
        "write a letter, or set it aside; leave it out",  # the second half alone has a form
        "set aside what is wrong",
        "must be done by someone",
        "leave it out or keep it",
        "a sentence that no form has: leave it out",
    ],
)
def test_a_message_without_a_form_stays_english_whole(message: str) -> None:
    assert worded_message(message, "zh") is None
    error = InputError(message, where="data.csv", remedy="leave it out")
    assert worded_error(error, "zh").problem == message


@pytest.mark.parametrize(
    ("where", "chinese"),
    [
        ("row 3.csv: row 6, column 'write up'", "row 3.csv: 第 6 行，列“write up”"),
        ("set 1.csv", "set 1.csv"),
        (
            "k.yaml: cell 'a or b': x.xlsx (sheet 'S or 1'): row 3",
            "k.yaml: 设定“a or b”：x.xlsx（工作表“S or 1”）: 第 3 行",
        ),
        ("cell 't': model.fixed_effects", "设定“t”：model.fixed_effects"),
        ("job.yaml, line 3, column 7", "job.yaml，第 3 行第 7 个字符"),
        ("treatment.month: column 'month'", "treatment.month: 列“month”"),
        ("data frame 'panel': row 3", "数据框“panel”: 第 3 行"),
    ],
)
def test_places(where: str, chinese: str) -> None:
    assert worded_place(where, "zh") == chinese
