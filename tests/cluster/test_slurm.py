"""A run on a real Slurm: the local numbers, whatever happens to jobs, nodes and driver, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from driver import RUN_SECONDS, Driver, plain_answer, popen, tables
from slurm_lab import SlurmLab, slurm_lab

pytestmark = pytest.mark.cluster

OURS = Path(__file__).parents[2] / "cluster" / "slurm.yaml"
# Fewer workers, each on a node of its own; nothing is heard outside of this machine.
_PROFILE = """\
kind: slurm
queue: main
interface: lo
workers: 2
memory: 1500MB
walltime: "00:10:00"
folder: logs
directives: [--exclusive]
"""
_EMPTY_SECONDS = 60  # a node that is gone keeps its job until Slurm gives it up

Local = dict[str, dict[str, bytes]]
Run = Callable[..., Driver]


@pytest.fixture(scope="module")
def slurm() -> Iterator[SlurmLab]:
    with slurm_lab() as lab:
        yield lab


@pytest.fixture
def lab(slurm: SlurmLab) -> Iterator[SlurmLab]:
    """The Slurm, whole and idle before and after."""
    yield slurm
    for node in slurm.killed():
        slurm.start(node)
    slurm("scancel", "--user=root")
    slurm.wait(slurm.idle, "all nodes are idle again")


@pytest.fixture
def run(lab: SlurmLab, jobs: dict[str, Path], tmp_path: Path) -> Iterator[Run]:
    """Starts ``dyadid run JOB --cluster``; whatever still runs at the end is killed."""
    profile, started = tmp_path / "slurm.yaml", []
    profile.write_text(_PROFILE, encoding="utf-8")

    def begin(job: str = "sixth", *options: str, where: Path = profile) -> Driver:
        cluster = ["--cluster", str(where), *options]
        started.append(Driver(popen, jobs[job], tmp_path / "out", *cluster, env=lab.env))
        return started[-1]

    yield begin
    for driver in started:
        driver.said()


def finds(driver: Driver, expected: dict[str, bytes]) -> None:
    """It ends well, with these tables to the bit."""
    assert driver.ended() == 0, driver.said()
    assert tables(driver.folder) == expected


def leaves_nothing(lab: SlurmLab) -> None:
    """No job in the queue, no process of one on a node."""
    lab.wait(lambda: not lab.jobs(), "no job is left", _EMPTY_SECONDS)
    lab.wait(lambda: not [env for _, env in lab.processes() if "SLURM_JOB_ID" in env], "no process is left")


def listening(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    """Addresses at which processes and their children wait for others."""
    family = {child for one in processes for child in (one, *one.children(recursive=True))}
    found = [one for process in family for one in process.net_connections("inet")]
    return {(one.laddr.ip, one.laddr.port) for one in found if one.status == psutil.CONN_LISTEN}


def test_table_1_by_the_profile_of_cluster_is_the_local_one(run: Run, lab: SlurmLab, local: Local) -> None:
    driver = run("table", where=OURS)
    finds(driver, local["table"])
    leaves_nothing(lab)


def test_permutations_are_the_local_ones_and_no_stranger_hears_of_them(
    run: Run, lab: SlurmLab, local: Local
) -> None:
    """All listens on the profile's interface, Dask itself by TLS."""
    driver = run()
    driver.until_half()
    workers = [one for one, env in lab.processes() if "SLURM_JOB_ID" in env]
    doors = listening([psutil.Process(driver.process.pid), *workers])
    answers = [plain_answer(*door) for door in doors]
    finds(driver, local["sixth"])
    assert {address for address, _ in doors} == {"127.0.0.1"}
    assert {answer[:5] for answer in answers if answer} <= {b"HTTP/"}  # Dask's pages, for each machine alone
    assert answers.count(b"") >= 5  # scheduler, workers and their nannies
    assert driver.manifest["execution"]["workers_lost"] == 0
    leaves_nothing(lab)


def test_a_job_that_is_killed_half_way_changes_nothing(run: Run, lab: SlurmLab, local: Local) -> None:
    driver = run()
    driver.until_half()
    lab("scancel", "--signal=KILL", str(min(lab.jobs("RUNNING"))))
    finds(driver, local["sixth"])
    assert driver.manifest["execution"]["workers_lost"] >= 1
    leaves_nothing(lab)


def test_a_node_that_dies_half_way_changes_nothing(run: Run, lab: SlurmLab, local: Local) -> None:
    driver = run()
    driver.until_half()
    lab.kill(lab.jobs("RUNNING")[min(lab.jobs("RUNNING"))])
    finds(driver, local["sixth"])
    assert driver.manifest["execution"]["workers_lost"] >= 1
    leaves_nothing(lab)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_driver_that_is_stopped_leaves_no_job_and_goes_on(
    run: Run, lab: SlurmLab, local: Local, sent: signal.Signals
) -> None:
    driver = run()
    driver.until_half()
    os.killpg(driver.process.pid, sent)  # to all of it, as a terminal does
    assert driver.ended() == {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}[sent]
    leaves_nothing(lab)
    again = run()
    finds(again, local["sixth"])
    took = again.manifest["execution"]
    assert took["units_read"] >= took["units_written"]


def test_a_submitted_run_finds_what_a_local_run_finds(run: Run, lab: SlurmLab, local: Local) -> None:
    driver = run("sixth", "--submit", where=OURS)
    assert driver.ended() == 0, driver.said()
    number = int(re.search(r"submitted as slurm job (\d+)", driver.said())[1])
    assert number in lab.jobs()
    assert f"slurm job {number}" in dyadid(lab, "status", driver.out)
    lab.wait(lambda: not lab.jobs(), "the driver and its workers are done", RUN_SECONDS)
    assert tables(driver.folder) == local["sixth"], dyadid(lab, "logs", driver.out)
    assert "run finished" in dyadid(lab, "logs", driver.out)
    leaves_nothing(lab)


def test_a_submitted_run_that_is_cancelled_takes_its_workers_along(
    run: Run, lab: SlurmLab, local: Local
) -> None:
    driver = run("sixth", "--submit")
    driver.until_half()
    lab("scancel", re.search(r"slurm job (\d+)", driver.said())[1])
    leaves_nothing(lab)
    assert not (driver.folder / "manifest.json").exists()
    finds(run(), local["sixth"])


def dyadid(lab: SlurmLab, command: str, out: Path) -> str:
    """What the command says of a folder."""
    words = [sys.executable, "-m", "engine.cli", command, str(out)]
    return subprocess.run(words, env=lab.env, capture_output=True, text=True, check=True).stdout
