"""Claim: spatial errors of 2,850 units over 14 years take less than 10 s more than the default alone, on 2 cores.

One regression with exclusion and median screen on synthetic units, `dyadid run` from start to exit in a process of its
own, with dyadic CR2 and with it and spatial errors of 300 km (Bartlett: five radii), in turn. The median of the pairs'
differences counts.

Run: python tests/benchmarks/bench_spatial.py [--units 2850] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import sys

from bench_table1 import JOB
from processes import run_job

CLAIM = 10.0
_SPATIAL = "{spatial: {distance: 300, kernel: bartlett}}"


def seconds(units: int, errors: str) -> float:
    """Of a run from start to exit."""
    overrides = (
        "years=[2010, 2023]",
        f"panel.options.cities={units}",
        "panel.options.last_year=2023",
        "sweep=null",
        "inference={}",
        f"model.errors=[{errors}]",
    )
    return run_job(JOB.with_name("paper") / "column6.yaml", overrides).seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--units", type=int, default=2850)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    more = []
    for _ in range(options.rounds):
        alone, both = (seconds(options.units, errors) for errors in ("dyadic_cr2", f"dyadic_cr2, {_SPATIAL}"))
        more.append(both - alone)
        print(
            f"{options.units:,} units: {alone:.1f} s by default, {both:.1f} s with spatial errors", flush=True
        )
    taken = statistics.median(more)
    print(f"spatial errors take {taken:.1f} s more")
    sys.exit(0 if taken < CLAIM else f"more than {CLAIM:g} s")


if __name__ == "__main__":
    main()
