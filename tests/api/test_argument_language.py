"""The language of what the library refuses: that of the call, or else of the job or the table that it is on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dyadid as dd
import pytest

from engine.errors import InputError
from engine.report.language.wording import words_of
from engine.report.printed_table import PrintedTable

BLOCKS = {
    "panel": {"source": "builtin:euro"},
    "outcome": {"synchronization": "gdp_real"},
    "treatment": {"adoption": "euro_year", "rule": "both"},
}
IN_CHINESE = {**BLOCKS, "lang": "zh"}
WRONG: dict[str, tuple[Callable[[Path], object], bool]] = {
    "an unknown option": (lambda _: dd.run(BLOCKS, lang="zh", wrokers=2), True),
    "an option of another type": (lambda _: dd.run(BLOCKS, lang="zh", workers="two"), True),
    "an option of a job in Chinese": (lambda _: dd.run(IN_CHINESE, workers="two"), True),
    "English for a job in Chinese": (lambda _: dd.run(IN_CHINESE, workers="two", lang="en"), False),
    "a job in English": (lambda _: dd.run(BLOCKS, workers="two"), False),
    "no job": (lambda _: dd.run(5, lang="zh"), True),
    "a job object": (lambda _: dd.job(IN_CHINESE).run(out=5), True),
    "a job object, by the call": (lambda _: dd.job(BLOCKS).run(out=5, lang="zh"), True),
    "a key of a job object": (lambda _: dd.job(IN_CHINESE).set("years.", 1), True),
    "a language that was set": (lambda _: dd.job(BLOCKS).set("lang", "zh").run(out=5), True),
    "a file": (lambda folder: dd.run(folder / "zh.yaml", workers="two"), True),
    "a language that was set, of a file": (
        lambda folder: dd.job(folder / "en.yaml").set("lang", "zh").set("model.lag", 99).check(),
        True,
    ),
    "a step of a panel": (lambda _: dd.panel("builtin:euro", adoption=3, rule="both"), False),
    "no fits": (lambda _: dd.etable([], lang="zh"), True),
    "a table": (lambda _: dd.Table(PrintedTable("", (), (), (), words=words_of("zh"))).save("x.pdf"), True),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_call_refuses_in_its_language(name: str, tmp_path: Path) -> None:
    (tmp_path / "zh.yaml").write_text("extends: en.yaml\njob: b\nlang: zh\n")
    (tmp_path / "en.yaml").write_text(
        "job: a\npanel: {source: 'builtin:euro'}\noutcome: {synchronization: gdp_real}\n"
        "treatment: {adoption: euro_year, rule: both}\n"
    )
    call, is_chinese = WRONG[name]
    with pytest.raises(InputError) as refusal:
        call(tmp_path)
    assert refusal.value.labelled.startswith("错误：" if is_chinese else "error: ")
    assert is_chinese == any("\u4e00" <= sign <= "\u9fff" for sign in refusal.value.problem)


def test_objects_know_their_language() -> None:
    assert dd.job(BLOCKS).lang == "en"
    assert dd.job(IN_CHINESE).lang == dd.job(BLOCKS).set("lang", "zh").lang == "zh"
    assert dd.panel("builtin:euro", adoption="euro_year", rule="both").set("lang", "zh").lang == "zh"
