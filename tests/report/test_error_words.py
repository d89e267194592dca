"""Messages of errors in Chinese: every one of the source has its form, and jobs in Chinese show them."""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from source_messages import messages

import engine
from engine.errors import InputError, RunError
from engine.report.language.error_forms import PLACE as MARKED
from engine.report.language.error_forms import error_forms, worded_message
from engine.report.language.error_words import worded_error, worded_text
from engine.spec.job import Job

SOURCE = Path(engine.__file__).parent
FORMS = error_forms("zh")
PLACE = re.compile(r"\{(\d+)\}")
Command = Callable[..., tuple[int, str, str]]


def trees() -> list[ast.Module]:
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))]


@cache
def messages_of_source() -> dict[str, str]:
    """Place by text."""
    return {text: place for place, text in messages(SOURCE)}


def has_form(message: str) -> bool:
    """Whether a message has Chinese words: whatever fills its places, a phrase in one, or nothing in its last."""
    count = len(PLACE.findall(message))
    fillings = (["7"] * count, ["leave it out"] * count, [*["7"] * (count - 1), ""])
    literals = PLACE.split(message)[::2]
    texts = {
        "".join(map("".join, zip(literals, [*filling[:count], ""], strict=True))) for filling in fillings
    }
    return message in FORMS or any(worded_message(text, "zh") not in (None, text) for text in texts)


def test_every_message_of_the_source_has_a_chinese_form():
    of_source = messages_of_source()
    assert len(of_source) > 850
    missing = [f"{place}: {text}" for text, place in of_source.items() if not has_form(text)]
    assert not missing, "write them into chinese_errors.toml:\n" + "\n".join(missing)


def test_messages_are_read_where_functions_make_errors_of_their_parameters():
    of_a_method = (
        "who has adopted stays treated here: mend the cells, or leave out cities that ended the policy"
    )
    of_a_table_problem = "keep one row a city and year"
    of_a_loop = "a unit is paired with itself ({0}){1}"
    assert {of_a_method, of_a_table_problem, of_a_loop} <= set(messages_of_source())
    assert not has_form("a sentence that nobody has translated")


def test_every_meaning_of_a_key_has_a_chinese_form():
    whole = Job.model_json_schema()
    blocks = [whole, *whole["$defs"].values()]
    described = [
        key["description"] for block in blocks for key in block["properties"].values() if "description" in key
    ]
    assert len(described) > 150
    assert not [text for text in described if " " in text and text not in FORMS]


def test_no_form_is_of_a_message_that_is_gone():
    """Forms join what the source has in parts, so words are compared; some messages are pydantic's and Python's."""
    strings = (node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Constant))
    words = set(re.findall(r"\b[a-z]{4,}", "\n".join(str(string.value) for string in strings)))
    words |= {"less", "greater", "equal", "multiple", "character", "characters", "should"}
    gone = {form: set(re.findall(r"\b[a-z]{4,}", PLACE.sub(" ", form))) - words for form in FORMS}
    assert not {form: missing for form, missing in gone.items() if missing}


def test_places_are_numbered_in_order_and_none_is_made_up():
    for english, chinese in FORMS.items():
        places = [int(number) for number in PLACE.findall(english)]
        assert places == list(range(len(places))), english
        used = [number for number, _ in MARKED.findall(chinese)]
        assert len(used) == len(set(used)), chinese
        assert {int(number) for number in used} <= set(places), chinese


def test_a_word_alone_has_no_form():
    """It may be a name of the user's."""
    assert all(" " in english or "{" in english for english in FORMS)


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("column 'gdp' has no values in 2010 to 2012", "列“gdp”在 2010 至 2012 年没有任何数值"),
        # what stands in quotation marks is the user's, though it is a message by itself
        ("there is no column 'leave it out'; the columns are a, b", "没有列“leave it out”；现有的列为 a, b"),
        # places are worded too; parts that are joined, one by one
        ("leave it out; choose another name", "请将其略去；请另取名称"),
        ("controls: is missing", "controls: 缺少该键"),
        ("must be a whole number or text (got 'x')", "必须是整数或文本（现为 'x'）"),
        ("must be 'a', 'is missing' or 'c' (got 'x')", "必须是 'a', 'is missing' 或 'c'（现为 'x'）"),
        (
            "3 problems\n  a.yaml: job: is missing\n  and 2 more",
            "共 3 处问题\n  a.yaml: job: 缺少该键\n  另有 2 处",
        ),
        ("a sentence, which no form has, and more", "a sentence, which no form has, and more"),
        (
            "2 problems\n  row 3, column 'gdp': 'x' is not a number (Ufa)",
            "共 2 处问题\n  第 3 行，列“gdp”: “x”不是数（Ufa）",
        ),
        ("数据", "数据"),
    ],
)
def test_worded_text(english: str, chinese: str) -> None:
    assert worded_text(english, "zh") == chinese
    assert worded_text(chinese, "zh") == chinese


def test_an_error_keeps_its_parts_and_english_is_left_alone():
    error = InputError("is missing", where="job.yaml: treatment", remedy="leave it out")
    worded = worded_error(error, "zh")
    assert (worded.problem, worded.where, worded.remedy) == ("缺少该键", "job.yaml: treatment", "请将其略去")
    assert worded.labelled == "错误：job.yaml: treatment: 缺少该键\n  提示：请将其略去"
    assert worded_error(error, "en") is error
    assert worded_error(error, "fr") is error
    assert error.labelled == "error: job.yaml: treatment: is missing\n  hint: leave it out"
    failed = worded_error(RunError("there is no pod\n  hint: log in to the Kubernetes cluster again"), "zh")
    assert failed.labelled.startswith("失败：")
    assert failed.labelled.endswith("\n  提示：请重新登录 Kubernetes 集群")


def test_a_long_list_takes_no_time():
    names = ", ".join(f"city {number} and its county or district; also" for number in range(100))
    start = time.process_time()
    assert worded_text(f"these are unknown to us: {names}", "zh").count("county") == 100
    assert time.process_time() - start < 5


JOB = """\
job: wrong
lang: zh
panel: {source: cities.csv}
outcome: {synchronization: gdp}
treatment: {adoption: pilot, rule: exactly_one}
"""
ROWS = "city,year,gdp,pilot\n" + "".join(
    f"{city},{year},{number + 1.5 + year % 7},{2012 if number < 2 else ''}\n"
    for number, city in enumerate("甲乙丙丁戊")
    for year in range(2010, 2016)
)
WRONG = {
    "a key": ("job: wrong", "job: wrong\nmodle: {}", "未知的键“modle”"),
    "a value": ("exactly_one", "exactly_two", "必须是"),
    "two values": ("exactly_one}", "exactly_two}\nyears: 5", "处问题"),
    "a column": ("gdp}", "gpd}", "需要列“gpd”，而 cities.csv 中没有"),
    "no file": ("cities.csv", "towns.csv", "没有"),
    "the years": ("lang: zh", "lang: zh\nyears: [2015, 2010]", "须由小到大"),
    "no YAML": ("exactly_one}", "exactly_one", "不是有效的 YAML"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_job_in_chinese_is_refused_in_chinese(name: str, tmp_path: Path, command: Command) -> None:
    old, new, chinese = WRONG[name]
    (tmp_path / "cities.csv").write_text(ROWS, encoding="utf-8")
    job = tmp_path / "job.yaml"
    job.write_text(JOB.replace(old, new, 1), encoding="utf-8")
    for arguments in (("check", str(job)), ("run", str(job), "--out", str(tmp_path / "out"))):
        code, _, err = command(*arguments)
        assert code == 2
        assert err.startswith("错误：")
        assert chinese in err
        assert "hint" not in err
        assert "error" not in err


def test_the_language_of_a_message_is_that_of_the_run(tmp_path: Path, command: Command) -> None:
    (tmp_path / "cities.csv").write_text(ROWS, encoding="utf-8")
    base, job = tmp_path / "base.yaml", tmp_path / "job.yaml"
    base.write_text(JOB.replace("gdp}", "gpd}"), encoding="utf-8")
    job.write_text("job: further\nextends: base.yaml\n", encoding="utf-8")
    assert "需要列“gpd”" in command("check", str(job))[2]  # from the file that it extends
    assert "needs column 'gpd'" in command("check", str(job), "--set", "lang=en")[2]
    assert "needs column 'gpd'" in command("run", str(job), "--out", str(tmp_path / "out"), "--lang", "en")[2]
    assert "没有此文件或文件夹" in command("run", "nothing.yaml", "--lang", "zh")[2]
    with pytest.raises(InputError, match="需要列“gpd”"):
        engine.run(job)
    with pytest.raises(InputError, match="needs column 'gpd'"):
        engine.run(job, lang="en")
    with pytest.raises(InputError, match="需要列“gpd”"):
        engine.run(job=job)  # by the argument's name
