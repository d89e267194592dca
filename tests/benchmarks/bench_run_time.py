"""Claim: `dyadid plan` says within a factor of two how long each shipped job takes, the curve of 768 cells among them.

Each job runs twice as a process of its own, from start to exit on two cores; the first run compiles, the second counts.
What the plan says is read off its last line's function, `engine.stages.run_time.run_seconds`.

Run: python tests/benchmarks/bench_run_time.py [--only table1,curve]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench_table1 import JOB
from processes import JobRun, run_job

from engine import pipeline
from engine.stages.run_time import expected_stages, run_seconds

FACTOR = 2.0
JOBS = JOB.parent
TUTORIALS = JOBS / "tutorials"


def shipped(only: list[str]) -> list[Path]:
    """The jobs, by part of their path."""
    paths = [path for path in sorted(JOBS.rglob("*.yaml")) if TUTORIALS not in path.parents]
    return [path for path in paths if not only or any(part in str(path.relative_to(JOBS)) for part in only)]


def measured(job: Path) -> JobRun:
    """The second run: the first leaves compiled kernels behind."""
    run_job(job, ())
    return run_job(job, ())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="parts of the paths of jobs, between commas")
    options = parser.parse_args()
    outside = []
    for job in shipped([part for part in options.only.split(",") if part]):
        prepared = pipeline.check(job)[1]
        said, run = run_seconds(prepared), measured(job)
        ratio = said / run.seconds
        stages = ", ".join(f"{name} {seconds:.1f}" for name, seconds in run.manifest["timings"].items())
        expected: dict[str, float] = {}
        for label, seconds in expected_stages(prepared):
            expected[label] = expected.get(label, 0.0) + seconds
        parts = ", ".join(f"{label} {seconds:.1f}" for label, seconds in expected.items())
        name = str(job.relative_to(JOBS))
        print(f"{name}: {said:.1f} s said, {run.seconds:.1f} s taken, ratio {ratio:.2f}", flush=True)
        print(f"    said: {parts}; taken: {stages}", flush=True)
        if not 1 / FACTOR <= ratio <= FACTOR:
            outside.append(name)
    sys.exit(f"not within a factor of {FACTOR:g}: {', '.join(outside)}" if outside else 0)


if __name__ == "__main__":
    main()
