"""Claim: county scale, 2,850 units over 14 years, on 2 cores: all of Table 1 under 3 minutes and 4 GB; 10,000 units
(50 million pairs) within 6 GB.

Six columns with all kinds of error but dyadic CR2, exclusion and median screen, on synthetic units: `dyadid run`
from start to exit in a process of its own, tables and figures included; then the event study. Memory is the largest
sum of resident sizes over the process and all that it starts. CPU seconds over the cores say what a quiet machine
would take.

Run: python tests/benchmarks/bench_grid.py [--units 2850 10000]
"""

from __future__ import annotations

import argparse
import sys

from bench_table1 import JOB, WITHOUT_CR2
from processes import run_job

LAST_YEAR = 2023
MOST_SECONDS = 180.0
MOST_MB = {2850: 4000.0, 10_000: 6000.0}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--units", type=int, nargs="+", default=sorted(MOST_MB))
    options = parser.parse_args()
    missed = []
    for units in options.units:
        for job in (JOB, JOB.with_name("figure1_event_study.yaml"))[: 2 if units < 5000 else 1]:
            found = run_job(
                job,
                (
                    f"years=[2010, {LAST_YEAR}]",
                    f"panel.options.cities={units}",
                    f"panel.options.last_year={LAST_YEAR}",
                    *WITHOUT_CR2,
                ),
            )
            last = found.manifest["counts"][0]["steps"][-1]
            print(
                f"{job.stem}, {units:,} units, {last['pairs']:,} pairs and {last['rows']:,} rows in the regression: "
                f"{found.seconds:.0f} s from start to exit, {found.cpu_seconds:.0f} s of CPU; peak memory "
                f"{found.peak_mb:,.0f} MB",
                flush=True,
            )
            slow = units == 2850 and found.seconds > MOST_SECONDS
            missed += [f"{job.stem} {units}"] if slow or found.peak_mb > MOST_MB.get(units, 1e9) else []
    sys.exit(f"more than claimed: {missed}" if missed else 0)


if __name__ == "__main__":
    main()
