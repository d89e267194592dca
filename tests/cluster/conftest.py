"""What the tests on clusters share: the jobs, and what a local run finds."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from driver import UNITS, Driver, popen, tables

JOBS = Path(__file__).parents[2] / "jobs"

# The sixth column of Table 1 and 2,000 permutations; tiles small enough for several tasks in every pass.
_SIXTH = """\
extends: {placebo}
job: sixth
inference: {{permutation: {{reps: 2000}}, bootstrap: null, jackknife: null}}
runtime: {{tile: 64}}
"""
_TABLE = "extends: {table}\njob: table\nruntime: {{tile: 64}}\n"


@pytest.fixture(autouse=True, scope="session")
def answered_interrupts() -> None:
    """Commands answer Ctrl-C even where the shell started these tests in the background, with SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("jobs")
    texts = {"sixth": _SIXTH, "table": _TABLE}
    where = {"placebo": JOBS / "placebo.yaml", "table": JOBS / "table1_baseline.yaml"}
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text.format(**where), encoding="utf-8")
    return {name: folder / f"{name}.yaml" for name in texts}


@pytest.fixture(scope="session")
def local(jobs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What threads of one process find."""
    out = tmp_path_factory.mktemp("local")
    found = {}
    for name, job in jobs.items():
        driver = Driver(popen, job, out)
        assert driver.ended() == 0, driver.said()
        found[name] = tables(driver.folder)
        if name == "sixth":
            assert driver.manifest["execution"]["units_written"] == UNITS
    assert found["sixth"].keys() >= {
        "estimates.parquet",
        "inference.parquet",
        "draws.parquet",
        "covariance.parquet",
    }
    return found
