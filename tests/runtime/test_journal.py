"""The log of a run stays readable whatever the disk does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.runtime.journal import LOG, Journal


def test_a_line_that_finds_no_room_leaves_nothing_of_itself(tmp_path: Path) -> None:
    """The largest size of a file stands for a full disk: both take the part of a line that fits."""
    resource = pytest.importorskip("resource")
    journal = Journal(tmp_path)
    journal.note("first")
    size = (tmp_path / LOG).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
    try:
        journal.note("second")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.note("third")
    lines = (tmp_path / LOG).read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["first", "third"]
