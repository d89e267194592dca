"""Tutorial pages do as they say: every file is saved, every command is run, and its output is what the page quotes."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from tutorial_pages import TUTORIALS, QuotedCommand, SavedFile, missing_lines, steps

PAGES = ["city_panel.md", "city_panel.zh-CN.md", "own_pairs.md", "from_stata_or_r.md"]

ON_SLURM = "overnight_on_slurm.md"
"""Which tests/cluster/test_slurm_tutorial.py follows, for it takes a cluster."""

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


def _run(words: list[str], command: Command, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
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
    assert {name for name, text in texts.items() if "```" in text} == {*PAGES, ON_SLURM}
    linked = set(re.findall(r"\]\(([\w.-]+)\)", texts["README.md"]))
    assert {*texts, "notebook.ipynb"} - {"README.md"} <= linked


def test_equivalents_of_other_programs_are_run() -> None:
    """Every line that the side-by-side table gives for a job file is in a job of the pages, which runs."""
    page = (TUTORIALS / "from_stata_or_r.md").read_text(encoding="utf-8")
    rows = [line.replace("\\|", "").split("|")[-2] for line in page.splitlines() if line.startswith("| ")]
    stated = [yaml.safe_load(code) for cell in rows for code in re.findall(r"`(model[^`]+)`", cell)]
    assert len(stated) >= 12
    jobs = [
        yaml.safe_load(step.text) for name in PAGES for step in _files(name) if step.name.endswith(".yaml")
    ]
    run = [dict(_dotted(part)) for job in jobs for part in (job, *job.get("cases", {}).values())]
    missing = [line for line in stated if not any(_covers(part, line) for part in run)]
    assert missing == []


def _files(name: str) -> list[SavedFile]:
    return [step for step in steps(TUTORIALS / name) if isinstance(step, SavedFile)]


def _dotted(block: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Keys of a job, nested or dotted, as dotted ones."""
    for key, value in block.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _covers(part: Mapping[str, object], line: Mapping[str, object]) -> bool:
    """Whether a part of a job sets what a line of the table says; of error types, those of the line and others."""
    ((key, value),) = line.items()
    present = part.get(key)
    if key == "model.errors":
        return isinstance(present, list) and isinstance(value, list) and set(value) <= set(present)
    return present == value


def test_both_languages_take_the_same_steps() -> None:
    """The same data, the same commands but for the language, the same files."""
    english, chinese = (_outline(TUTORIALS / name) for name in PAGES[:2])
    assert english == chinese


def _outline(page: Path) -> list[tuple[str, ...]]:
    followed = steps(page)
    return sorted(
        (step.name,) if isinstance(step, SavedFile) else tuple(set(step.words) - {"--lang", "en", "zh"})
        for step in followed
    )


def test_quotations_are_compared() -> None:
    printed = "a\nb\nc\nd"
    assert missing_lines(["a", "...", "c", "d"], printed) == []
    assert missing_lines(["a", "c"], printed) == ["c"]
    assert missing_lines(["...", "c", "a"], printed) == ["a"]
    assert missing_lines(["e"], printed) == ["e"]
