"""A job as a run of its own: seconds, CPU seconds and memory of the process and all that it starts."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class JobRun:
    """What a run took, from start to exit, and its manifest; memory is the largest sum over its processes."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    manifest: dict[str, Any]


def resident_mb(root: int) -> float:
    """Resident memory of a process and its descendants, in MB."""
    parents: dict[int, int] = {}
    sizes: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            lines = dict(
                line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
            )
            parents[int(folder.name)] = int(lines["PPid"])
            sizes[int(folder.name)] = int(lines.get("VmRSS", "0 kB").split()[0]) / 1e3
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue

    def below(process: int) -> bool:
        while process not in (0, root):
            process = parents.get(process, 0)
        return process == root

    return sum(size for process, size in sizes.items() if below(process))


def run_job(job: Path, overrides: Sequence[str], *options: str) -> JobRun:
    """`dyadid run` in a new process, without a thread limit; memory is sampled twice a second."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "engine.cli", "run", str(job), "--out", folder, *options]
        command += [part for text in overrides for part in ("--set", text)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start, peak = time.perf_counter(), 0.0
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        ended = threading.Event()
        threading.Thread(target=lambda: (process.wait(), ended.set()), daemon=True).start()
        while not ended.wait(0.5):
            peak = max(peak, resident_mb(process.pid))
        seconds = time.perf_counter() - start
        if process.returncode:
            raise SystemExit(f"{job.name}: the run failed")
        text = next(Path(folder).glob("*/manifest.json")).read_text(encoding="utf-8")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return JobRun(seconds, cpu, peak, json.loads(text))
