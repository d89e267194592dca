"""Batch systems: job scripts as text for each of them, and whole runs on a double of their commands.

The double runs a job's script at once on this machine; a real Slurm is in `tests/cluster`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InputError, RunError
from engine.runtime import batch_queues as batch
from engine.runtime.clusters import place
from engine.spec.cluster import BatchProfile, Driver

COMMANDS = {
    "slurm": {"sbatch": "Submitted batch job 17", "scancel": "", "squeue": "RUNNING None"},
    "pbs": {"qsub": "17.server", "qdel": "", "qstat": "17.server job user R"},
    "lsf": {"bsub": "Job <17> is submitted to queue <main>.", "bkill": "", "bjobs": "RUN"},
    "sge": {"qsub": "Your job 17 (worker) has been submitted", "qdel": "", "qstat": "17 worker r"},
}
HEADERS = {
    "slurm": ("#SBATCH -J dyadid-worker", "#SBATCH -p main", "#SBATCH -A mine", "#SBATCH --cpus-per-task=3",
              "#SBATCH --mem=2G", "#SBATCH -t 01:30:00", "#SBATCH --gres=gpu:1", "#SBATCH --constraint=ib"),
    "pbs": ("#PBS -N dyadid-worker", "#PBS -q main", "#PBS -A mine", "#PBS -l select=1:ncpus=3:mem=",
            "#PBS -l walltime=01:30:00", "#PBS --constraint=ib"),
    "lsf": ("#BSUB -J dyadid-worker", "#BSUB -q main", '#BSUB -P "mine"', "#BSUB -n 3", "#BSUB -M 2000",
            "#BSUB -W 01:30\n", "#BSUB --constraint=ib"),
    "sge": ("#$ -N dyadid-worker", "#$ -q main", "#$ -P mine", "#$ -l h_rt=01:30:00", "#$ --constraint=ib"),
}  # fmt: skip


@pytest.fixture
def system(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Commands of a batch system on the path, which answer and start nothing."""
    kind = str(request.param)
    for name, answer in COMMANDS[kind].items():
        put_command(tmp_path / "bin", name, f"echo '{answer}'")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return kind


def put_command(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def profile(kind: str, **more: Any) -> BatchProfile:
    base: dict[str, Any] = {"workers": 1, "memory": "2GB", "walltime": "01:30:00", "wait": 60.0}
    return BatchProfile(kind=kind, **base | more)  # type: ignore[arg-type]


@pytest.mark.parametrize("system", COMMANDS, indirect=True)
def test_a_worker_gets_what_the_profile_says(system: str, tmp_path: Path) -> None:
    asked = profile(
        system, threads=3, queue="main", account="mine", interface="lo", python="/opt/python",
        gpus=int(system == "slurm"), prologue=["module load x"], directives=["--constraint=ib"],
    )  # fmt: skip
    import dask_jobqueue

    kind = batch._quoting(getattr(dask_jobqueue, batch._CLASSES[system]).job_cls)
    script = kind(
        scheduler="tls://10.0.0.1:8786", name="w", **batch.job_options(asked, tmp_path)
    ).job_script()
    for line in (*HEADERS[system], "export NPROC=3", "export OMP_NUM_THREADS=3", "module load x"):
        assert line in script
    words = script.splitlines()[-1].split()
    assert words[0] == "/opt/python"
    assert "tls://10.0.0.1:8786" in words
    # Dask itself takes one task at a time: the last of two values counts.
    assert [words[k + 1] for k, word in enumerate(words) if word == "--nthreads"][-1] == "1"
    assert words[words.index("--interface") + 1] == "lo"
    assert "--no-dashboard" in words


@pytest.mark.parametrize("system", COMMANDS, indirect=True)
def test_the_driver_as_a_job(system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = profile(system, queue="main", driver=Driver(memory="9GB", walltime="12:00:00", queue="long"))
    script = batch.driver_script(asked, ["/opt/python", "-m", "engine.cli", "run", "a b.yaml"], tmp_path)
    assert script.splitlines()[-1] == "exec /opt/python -m engine.cli run 'a b.yaml'"
    assert f"cd {tmp_path}" in script.splitlines()
    assert "dyadid-driver" in script
    assert "12:00" in script
    assert "01:30" not in script
    assert "long" in script
    (tmp_path / "driver.sh").write_text(script)
    assert batch.submit(asked, tmp_path / "driver.sh") == "17"
    assert subprocess.run(["sh", "-n", "driver.sh"], check=False).returncode == 0
    assert batch.queue_line(system, "17")


@pytest.mark.parametrize("system", ["slurm"], indirect=True)
def test_a_refused_driver(system: str, tmp_path: Path) -> None:
    put_command(
        tmp_path / "bin", "sbatch", "echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1"
    )
    (tmp_path / "driver.sh").touch()
    with pytest.raises(
        InputError, match=r"sbatch refused the driver's job .*invalid partition specified: nope"
    ):
        batch.submit(profile(system), tmp_path / "driver.sh")


def test_no_such_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(
            InputError, match=r"there is no qsub on this machine\n  hint: run dyadid on a login node"
        ),
        batch.batch_client(profile("pbs"), tmp_path),
    ):
        pass


@pytest.mark.parametrize("system", ["slurm"], indirect=True)
@pytest.mark.parametrize("folder", ["afile", "afile/x", "/proc/none"])
def test_a_folder_that_cannot_be_written(system: str, folder: str, tmp_path: Path) -> None:
    (tmp_path / "afile").touch()
    asked = profile(system, folder=str(tmp_path / folder))
    with (
        pytest.raises(InputError, match=r"^--cluster: folder: cannot write to .*\n  hint: choose a folder"),
        place(asked) as opened,
    ):
        opened(lambda *_: None)


@pytest.mark.parametrize("system", ["slurm"], indirect=True)
def test_a_refused_worker_is_told_at_once(system: str, tmp_path: Path) -> None:
    put_command(
        tmp_path / "bin", "sbatch", "echo 'sbatch: error: invalid partition specified: nope' >&2; exit 1"
    )
    start = time.monotonic()
    with (
        pytest.raises(RunError, match=r"the batch system refused a worker's job .*invalid partition"),
        batch.batch_client(profile(system, interface="lo", queue="nope"), tmp_path / "out"),
    ):
        pass
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("system", ["pbs", "sge"], indirect=True)
def test_a_worker_that_is_a_job(system: str, tmp_path: Path) -> None:
    """The double starts the script in a process group of its own and kills it when it is cancelled."""
    pids = tmp_path / "pids"
    answer = COMMANDS[system]["qsub"]
    start = (
        f'cp "$1" {tmp_path}/job.sh; setsid sh {tmp_path}/job.sh >{tmp_path}/log 2>&1 & echo $! >>{pids}; '
    )
    put_command(tmp_path / "bin", "qsub", start + f"echo '{answer}'")
    put_command(tmp_path / "bin", "qdel", f"for p in $(cat {pids}); do kill -- -$p; done")
    with batch.batch_client(
        profile(system, interface="lo", python=sys.executable), tmp_path / "out"
    ) as client:
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
        assert list((tmp_path / "out").glob("tls-*/key.pem"))
    assert not list((tmp_path / "out").glob("tls-*"))
    assert "PRIVATE KEY" not in (tmp_path / "job.sh").read_text()
    for pid in pids.read_text().split():
        for _ in range(100):
            if not Path(f"/proc/{pid}").exists():
                break
            time.sleep(0.1)
        assert not Path(f"/proc/{pid}").exists()
