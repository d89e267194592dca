"""Tutorial pages do as they say: every file is saved, every command is run, and its output is what the page quotes."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from tutorial_pages import TUTORIALS, QuotedCommand, SavedFile, missing_lines, steps

PAGES = ["city_panel.md", "city_panel.zh-CN.md", "own_pairs.md", "from_stata_or_r.md"]

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("name", PAGES)
def test_a_reader_sees_what_the_page_shows(
    name: str, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    followed = steps(TUTORIALS / name)
    assert len([step for step in followed if isinstance(step, QuotedCommand)]) >= 4
    for step in followed:
        if isinstance(step, SavedFile):
            (tmp_path / step.name).write_text(step.text, encoding="utf-8")
        else:
            exit_code, printed = _run(step.words, command, capsys)
            assert exit_code == step.exit_code, printed
            assert missing_lines(step.quoted, printed) == [], printed


def _run(
    words: list[str], command: Command, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit code and output of a command of the page, errors first."""
    program, *arguments = words
    if program == "dyadid":
        exit_code, output, errors = command(*arguments)
        return exit_code, errors + output
    if program == "python":
        runpy.run_path(arguments[0], run_name="__main__")
        return 0, capsys.readouterr().out
    assert program == "cat"
    return 0, Path(arguments[0]).read_text(encoding="utf-8")


def test_every_page_is_listed_and_run() -> None:
    """The list of pages has them all; pages without a command are the list itself and the glossary."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in TUTORIALS.glob("*.md")}
    assert {name for name, text in texts.items() if "```" in text} == set(PAGES)
    linked = set(re.findall(r"\]\(([\w.-]+)\)", texts["README.md"]))
    assert {*texts, "notebook.ipynb"} - {"README.md"} <= linked


def test_both_languages_take_the_same_steps() -> None:
    """The same data, the same commands but for the language, the same files."""
    english, chinese = (_outline(TUTORIALS / name) for name in PAGES[:2])
    assert english == chinese


def _outline(page: Path) -> list[tuple[str, ...]]:
    followed = steps(page)
    return sorted(
        (step.name,) if isinstance(step, SavedFile) else tuple(set(step.words) - {"--lang", "zh"})
        for step in followed
    )


def test_quotations_are_compared() -> None:
    printed = "a\nb\nc\nd"
    assert missing_lines(["a", "...", "c", "d"], printed) == []
    assert missing_lines(["a", "c"], printed) == ["c"]
    assert missing_lines(["...", "c", "a"], printed) == ["a"]
    assert missing_lines(["e"], printed) == ["e"]
