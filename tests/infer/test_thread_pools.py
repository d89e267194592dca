"""The same draws to the last bit whatever the size of XLA's thread pool, which a process fixes when it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

JOB = Path(__file__).parents[2] / "jobs" / "paper" / "table1.yaml"
PROGRAM = """
import hashlib, sys
import pandas as pd
from engine import pipeline
draws = ["inference.permutation.reps=300", "inference.bootstrap.reps=300"]  # blocks of 256 and of 44
found = pipeline.run(sys.argv[1], overrides=draws)
for method, rows in found.draws.groupby("method"):
    values = rows[["estimate", "statistic"]].to_numpy()
    print(method, values.shape, hashlib.sha256(values.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_draws_do_not_depend_on_the_thread_pool() -> None:
    found = {
        threads: subprocess.run(
            [sys.executable, "-c", PROGRAM, str(JOB)],
            env={**os.environ, "NPROC": str(threads)}, capture_output=True, text=True, check=True,
        ).stdout
        for threads in (1, 2, 3)
    }  # fmt: skip
    assert len(found[1].splitlines()) >= 3  # permutation, pair_shuffle, node
    assert found[2] == found[1]
    assert found[3] == found[1]
