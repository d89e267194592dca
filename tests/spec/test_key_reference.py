"""``jobs/KEYS.md`` is what the schema says now, and says it of every key."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.report.language.wording import words_of
from engine.spec import schema
from engine.spec.applicability import ALWAYS, TABLE_OF_KEYS, condition_of
from engine.spec.design import Control
from engine.spec.inference import Bootstrap
from engine.spec.job import Job, Model
from engine.spec.keys import every_path
from engine.stages.key_reference import key_reference

PAGE = Path(__file__).parents[2] / "jobs" / "KEYS.md"
CHINESE_PAGE = PAGE.with_name("KEYS.zh-CN.md")
TEXT, CHINESE = key_reference(), key_reference(words_of("zh"))
SECTIONS = dict(re.findall(r"^## `?(.+?)`?\n\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
INSTRUMENT = {f"instrument.{key}" for key in Control.model_fields}  # documented once, as controls


def section_of(path: str) -> str:
    """Text of the section that documents a key."""
    block = path.rpartition(".")[0]
    return next(
        text for name, text in SECTIONS.items() if name.removesuffix(".<name>") == (block or "The file")
    )


def row_of(path: str) -> str:
    key = path.rpartition(".")[2]
    [row] = [line for line in section_of(path).splitlines() if line.startswith(f"| `{key}` |")]
    return row


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text(encoding="utf-8") == TEXT, "run `make keys`"
    assert CHINESE_PAGE.read_text(encoding="utf-8") == CHINESE, "run `make keys`"


def test_the_chinese_page_has_the_same_keys_and_no_english_sentence() -> None:
    keys = [re.findall(r"^\| (`\w+`) \||^## (`.+`)", text, re.MULTILINE) for text in (TEXT, CHINESE)]
    assert keys[0] == keys[1]
    assert len(TEXT.splitlines()) == len(CHINESE.splitlines())
    plain = re.sub(r"`[^`]*`|\(#[^)]*\)|\{.*?\}\}?", "", CHINESE)
    effects = ["city x year", "pair x year", "k x year"]
    english = re.findall(r"[a-z]{2,}(?: [a-z]+){2,}", plain)
    assert [text for text in english if not any(effect in text for effect in effects)] == []


def test_the_command_prints_either(command: Callable[..., tuple[int, str, str]]) -> None:
    assert command("keys") == (0, TEXT, "")
    assert command("keys", "--lang", "zh") == (0, CHINESE, "")
    code, _, err = command("keys", "--lang", "fr")
    assert (code, "no words in 'fr'" in err) == (2, True)


@pytest.mark.parametrize("path", [*every_path(), "extends"])
def test_every_key_has_one_row_with_a_description(path: str) -> None:
    if path not in INSTRUMENT:
        assert row_of(path).split(" | ")[-1].removesuffix(" |").strip() != ""


@pytest.mark.parametrize("path", [path for path in every_path() if condition_of(path) not in (None, ALWAYS)])
def test_a_key_says_for_which_jobs_it_is(path: str) -> None:
    if path not in INSTRUMENT:
        text = condition_of(path).text
        assert f" | {text} | " in row_of(path) or f" Only for {text}.\n" in section_of(path)


def test_conditions_are_not_invented() -> None:
    texts = {condition.text for condition in TABLE_OF_KEYS.values()}
    rows = [line.split(" | ") for line in TEXT.splitlines() if line.startswith("| `")]
    assert {row[3] for row in rows if len(row) == 5} - {""} <= texts | {"| "}
    assert set(re.findall(r" Only for (.+)\.$", TEXT, re.MULTILINE)) <= texts


def test_values_and_defaults_are_those_of_the_models() -> None:
    kinds = "`pair`, `city`, `dyadic_cr2`, `dyadic`, `jackknife`"
    default = "`[pair, city, dyadic_cr2, dyadic, jackknife]`"
    assert f"| list: {kinds} or mapping: text to any value | {default} |" in row_of("model.errors")
    assert f"| `{Model.model_fields['base'].default}` |" in row_of("model.base")
    assert "from -100 to 100" in row_of("model.base")
    assert f"| `{Bootstrap.model_fields['reps'].default}` |" in row_of("inference.bootstrap.reps")
    assert "| number above 0 below 1 | `1e-06` |" in row_of("outcome.clip")
    assert "| integer from 0 below 2^64 | `0` |" in row_of("inference.permutation.seed")
    assert [name for name, field in Job.model_fields.items() if field.is_required()] == ["job", "outcome"]
    assert all(
        "| required |" in row_of(path)
        for path in ("job", "outcome", "panel.deflate.base_year", "pairs.split.by")
    )
    assert "| mapping: name to formula |" in row_of("panel.columns")
    assert "| `mean`, `first` or integer |" in row_of("pairs.gravity.year")


def test_links_lead_to_sections() -> None:
    anchors = {"".join(letter for letter in name if letter.isalnum() or letter in "_-") for name in SECTIONS}
    targets = re.findall(r"\]\(#([^)]+)\)", TEXT)
    assert len(targets) > 10
    assert [target for target in targets if target not in anchors] == []


def test_the_page_has_the_keys_of_the_schema() -> None:
    described = schema()["properties"]
    assert set(described) == set(re.findall(r"^\| `(\w+)`", SECTIONS["The file"], re.MULTILINE))
