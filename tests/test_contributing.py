"""``CONTRIBUTING.md`` sends nobody to a file, a name or a target of make that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
[WHERE] = re.findall(r"^## Where to add$(.*?)^## ", TEXT, re.MULTILINE | re.DOTALL)
ROWS = [line.strip("| ").split(" | ") for line in WHERE.splitlines() if line.startswith("| ")][2:]
FOLDERS = ("engine/", "tests/", "cluster/", "jobs/")
PATHS = [path for path in re.findall(r"`([\w./-]+)`", TEXT) if path.startswith(FOLDERS)]
PATHS += re.findall(r"\S*pytest -q (\S+)", TEXT)


def test_the_table_says_where_each_kind_of_thing_goes() -> None:
    kinds = " ".join(kind for kind, _ in ROWS)
    wanted = (
        "standard-error type",
        "estimator",
        "treatment rule",
        "outcome",
        "pair regressor",
        "output",
        "language",
    )
    assert [kind for kind in wanted if kind not in kinds] == []
    assert all(re.search(r"`engine/[\w./]+`", files) for _, files in ROWS)


@pytest.mark.parametrize("path", sorted(set(PATHS)))
def test_paths_exist(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("name", "path"), re.findall(r"`(\w+)` in `([\w./]+)`", WHERE))
def test_names_are_defined_where_they_are_said_to_be(name: str, path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^ *(def|class) {name}\b|^{name}\b.*=", text, re.MULTILINE)


def test_targets_of_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"`make ([a-z-]+)`", TEXT) + re.findall(
        r"^    make (.*?)(?: {2,}#|$)", TEXT, re.MULTILINE
    )
    names = {name for words in targets for name in words.split()}
    assert len(names) > 8
    assert [name for name in sorted(names) if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def test_each_test_marker_is_explained() -> None:
    declared = re.findall(
        r'^    "(\w+): ', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert declared == re.findall(r"^\| `(slow|cluster|gpu|realdata)` \|", TEXT, re.MULTILINE)


def test_the_change_log_has_one_line_an_entry() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if line and not line.startswith("#")][
        1:
    ]  # after the note on the format
    assert [line for line in entries if not line.startswith("- ") or len(line) > 160] == []
