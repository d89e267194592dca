"""Workers of this machine that die before they have joined, or would run the user's script again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import distributed
import pytest

from engine.errors import RunError
from engine.runtime.clusters import place
from engine.spec.cluster import profile_of

JOBS = Path(__file__).parents[2] / "jobs"


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_start_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch, deaths: int) -> None:
    start, failures = distributed.LocalCluster, iter(range(deaths))

    def dying(**options: Any) -> Any:
        if next(failures, None) is not None:
            raise RuntimeError("Nanny failed to start.")
        return start(**options)

    monkeypatch.setattr(distributed, "LocalCluster", dying)
    with place(profile_of(workers=1)) as machine:
        assert machine().client.submit(sum, [1, 2]).result() == 3


def test_one_that_always_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(**_: Any) -> Any:
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr(distributed, "LocalCluster", dead)
    with (
        pytest.raises(RunError, match=r"do not start \(Nanny failed to start.\)\n  hint: "),
        place(profile_of(workers=1)) as machine,
    ):
        machine()


UNGUARDED = """
import engine  # no __name__ is asked for
engine.run({job!r}, workers=2)
"""


def test_script_without_the_guard_is_refused_before_any_worker_imports_it(tmp_path: Path) -> None:
    script = tmp_path / "analysis.py"
    script.write_text(UNGUARDED.format(job=str(JOBS / "table1_baseline.yaml")))
    environment = {**os.environ, "PYTHONPATH": str(JOBS.parent)}
    ended = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 1
    assert ended.stderr.count("Traceback") == 1
    assert "worker processes import analysis.py, which would start this run again" in ended.stderr
    assert 'hint: put what the script does below if __name__ == "__main__":' in ended.stderr


def test_script_from_a_pipe_is_told_to_be_saved(tmp_path: Path) -> None:
    script = UNGUARDED.format(job=str(JOBS / "table1_baseline.yaml"))
    environment = {**os.environ, "PYTHONPATH": str(JOBS.parent)}
    ended = subprocess.run(
        [sys.executable],
        env=environment,
        input=script,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert ended.returncode == 1
    assert "hint: save it as a file, and put what the script does below" in ended.stderr
