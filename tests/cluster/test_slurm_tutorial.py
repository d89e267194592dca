"""The page on Slurm does as it says, on a real Slurm: every command is run, and its output is what the page quotes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from driver import RUN_SECONDS
from slurm_lab import SlurmLab, slurm_lab
from tutorial_pages import TUTORIALS, QuotedCommand, SavedFile, missing_lines, steps

pytestmark = pytest.mark.cluster

PAGE = TUTORIALS / "overnight_on_slurm.md"


def test_a_reader_sees_what_the_page_shows(tmp_path: Path) -> None:
    followed = steps(PAGE)
    words = [step.words[:2] for step in followed if isinstance(step, QuotedCommand)]
    assert words.count(["dyadid", "run"]) == words.count(["dyadid", "status"]) == 2
    with slurm_lab() as lab:
        for step in followed:
            if isinstance(step, SavedFile):
                (tmp_path / step.name).write_text(step.text, encoding="utf-8")
                continue
            if step.words == ["squeue"]:
                assert "dyadid" in _printed(step, lab, tmp_path)
                lab.wait(lambda: not lab.jobs(), "the night is over", RUN_SECONDS)
            else:
                printed = _printed(step, lab, tmp_path)
                assert missing_lines(step.quoted, printed) == [], printed
    finished = (tmp_path / "night" / "sweep" / "manifest.json").read_text(encoding="utf-8")
    assert "slurm" in finished


def _printed(step: QuotedCommand, lab: SlurmLab, folder: Path) -> str:
    """Output of a command of the page, in its folder on a machine of the cluster; it ends well."""
    program, *arguments = step.words
    first = (
        [sys.executable, "-m", "engine.cli"] if program == "dyadid" else [shutil.which(program) or program]
    )
    ended = subprocess.run([*first, *arguments], cwd=folder, env=lab.env, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
