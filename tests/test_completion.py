"""Completion of commands and options in a shell."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("dyadid pl", {"plan"}),
        ("dyadid plan --ce", {"--cells"}),
        ("dyadid check --l", {"--lang"}),
        ("dyadid init --l", {"--lang"}),
        ("dyadid s", {"status", "schema"}),
    ],
)
def test_bash_completes(words: str, expected: set[str]) -> None:
    environment = os.environ | {
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
        "_DYADID_COMPLETE": "complete_bash",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "engine.cli"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert set(ended.stdout.split()) == expected


def test_the_script_is_shown() -> None:
    """Of the shell that the command is called from, which here is bash whatever runs the tests."""
    ended = subprocess.run(
        ["bash", "-c", '"$0" -m engine.cli --show-completion; exit $?', sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert "complete -o default -F _dyadid_completion dyadid" in ended.stdout
