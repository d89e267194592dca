"""The glossary has every word of ours that front pages and tutorials use, in both languages, and no word besides."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from tutorial_pages import ROOT, TUTORIALS

from engine.report.error_types import error_label
from engine.report.language.wording import ENGLISH as ENGLISH_WORDS
from engine.report.language.wording import words_of
from engine.spec import schema

ENGLISH = [ROOT / "README.md", *(TUTORIALS / name for name in ("README.md", "city_panel.md", "own_pairs.md"))]
ENGLISH += [TUTORIALS / "from_stata_or_r.md", TUTORIALS / "overnight_on_slurm.md"]
CHINESE = [ROOT / "README.zh-CN.md", ROOT / "jobs" / "README.zh-CN.md", TUTORIALS / "city_panel.zh-CN.md"]
# Values of these keys are choices of a method, which a reader must be able to look up.
CHOICES = {
    "Model": ("estimator", "errors"),
    "Treatment": ("rule",),
    "Bootstrap": ("kind",),
    "Pairs": ("exclude",),
}
PLAIN = {"none"}
# Words that the pages use in a sense of their own; other words are those of the field.
WORDS = (
    ("adopt", "实施政策"), ("case", "情形"), ("cell", "设定"), ("city panel", "城市面板"), ("city sums", "城市加总"),
    ("cohort", "队列"), ("control", "控制变量"), ("core-hours", "核时"), ("directed", "有向"), ("driver", "主进程"),
    ("effective adopting cities", "有效实施城市数"), ("event year", "事件年份"), ("exit code", "退出码"),
    ("gravity screen", "引力筛选"), ("job", "任务"), ("key", "键"), ("leave-one-city-out", "逐一剔除一个城市"),
    ("look-ahead", "政策前年份标准化"), ("pair", "城市对"), ("pair-year", "城市对—年份"), ("pilot", "试点"),
    ("score", "得分"), ("separated rows", "分离检查"), ("specification curve", "设定曲线"), ("sweep", "各种取值"),
    ("synchronization", "同步性"), ("synthetic data", "模拟数据"), ("table of pairs", "成对数据"),
    ("treated", "受处理"),
    ("unit", "单位"), ("variation within the pair", "变异系数"), ("worker", "进程"),
)  # fmt: skip
_CHINESE_CHARACTER = re.compile(r"[\u4e00-\u9fff]")


class Entry(NamedTuple):
    """A row of the glossary."""

    term: str
    definition: str
    chinese_term: str
    chinese_definition: str


def entries() -> list[Entry]:
    """Rows of all tables but their heads."""
    lines = (TUTORIALS / "glossary.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [Entry(*row) for row in rows if row[0] not in ("term", "---")]


GLOSSARY = entries()
TERMS = {entry.term.strip("`").lower(): entry for entry in GLOSSARY}


def test_each_entry_has_both_languages() -> None:
    assert len(GLOSSARY) > 60
    assert len(TERMS) == len(GLOSSARY), "a term stands twice"
    assert len({entry.chinese_term for entry in GLOSSARY}) == len(GLOSSARY)
    for entry in GLOSSARY:
        assert all(entry)
        assert _CHINESE_CHARACTER.search(entry.chinese_definition), entry.term
        assert not _CHINESE_CHARACTER.search(entry.term + entry.definition), entry.term


@pytest.mark.parametrize(("english", "chinese"), WORDS)
def test_words_of_ours_are_entries(english: str, chinese: str) -> None:
    assert english in _text(ENGLISH), "no page uses it"
    assert chinese in TERMS[english].chinese_term


@pytest.mark.parametrize("entry", GLOSSARY, ids=[entry.term for entry in GLOSSARY])
def test_each_entry_is_used(entry: Entry) -> None:
    """So a page and the glossary cannot drift into two words for one thing."""
    assert entry.term.strip("`").lower() in _text(ENGLISH)
    assert entry.chinese_term.lower() in _text(CHINESE)


def test_choices_that_pages_name_are_explained() -> None:
    """Error types, estimators, rules and bootstraps, as job files write them."""
    code = " ".join(re.findall(r"`([^`]+)`", (TUTORIALS / "glossary.md").read_text(encoding="utf-8")))
    explained = set(re.findall(r"\w+", code))
    used = set(re.findall(r"\w+", " ".join(_code(page) for page in (*ENGLISH, *CHINESE))))
    named = used & _choices() - PLAIN
    assert {"pair", "dyadic_cr2", "exactly_one", "sun_abraham", "both_treated"} <= named
    assert named <= explained


@pytest.mark.parametrize("error_type", ["pair", "city", "dyadic_cr2", "dyadic", "jackknife"])
def test_rows_of_printed_tables_are_entries(error_type: str) -> None:
    """Under the words of the table, in the row that names the type."""
    entry = TERMS[error_label(error_type, ENGLISH_WORDS).removesuffix(" CRV3").lower()]
    assert f"`{error_type}`" in entry.definition
    assert f"`{error_type}`" in entry.chinese_definition
    assert error_label(error_type, words_of("zh")).startswith(entry.chinese_term)


def _text(pages: Iterable[Path]) -> str:
    """Words of pages on one line, in small letters."""
    return " ".join(" ".join(page.read_text(encoding="utf-8").split()) for page in pages).lower()


def _code(page: Path) -> str:
    """Blocks of YAML, and code within sentences."""
    text = page.read_text(encoding="utf-8")
    parts = re.findall(r"^```yaml\n(.*?)^```|`([^`\n]+)`", text, re.MULTILINE | re.DOTALL)
    return " ".join(block or inline for block, inline in parts)


def _choices() -> set[str]:
    blocks = schema()["$defs"]
    chosen = [blocks[name]["properties"][key] for name, keys in CHOICES.items() for key in keys]
    return set(_enumerated(chosen))


def _enumerated(part: object) -> list[str]:
    """Words of a closed set anywhere in a part of the schema."""
    if isinstance(part, dict):
        nested = [value for key, child in part.items() if key != "properties" for value in _enumerated(child)]
        return [*part.get("enum", ()), *nested]
    return [value for child in part for value in _enumerated(child)] if isinstance(part, list) else []
