"""Claim: 2.0 million pairs over 14 years, 28 million rows, in under 30 s and under 2.5 GB on 2 cores.

The baseline regression (no controls) with pair-clustered and dyadic errors on synthetic cities, every pair
kept: neither the exclusion nor the gravity screen. Each size is a fresh process with an empty cache folder,
all cores, from its start to its exit, tables and figures written; peak memory is that of the process (it works
in threads, so there is one). Imports and compilation cost the same at every size, so seconds for each further
million pairs show whether time is linear.

Peer: at the smallest size, a new process that imports pyfixest, reads the finished rows from a Parquet file and
estimates the same column, pair-clustered. The larger sizes would not fit the memory that ours is held to. The
machine's limit: one logarithm a row, which every outcome is.

Run: python tests/benchmarks/bench_scale.py
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench_fresh_process import Run, fresh, fresh_peer
from bench_table1 import pair_frame
from limits import logarithm_seconds

SIZES = (500, 1000, 2000)
LAST_YEAR = 2023
MOST_SECONDS, MOST_MB = 30.0, 2560.0
OVERRIDES = (
    "pairs.exclude=none",
    "pairs.gravity=null",
    "model.controls=[]",
    "model.errors=[pair, dyadic]",
    "sweep={}",
    f"years=[2010, {LAST_YEAR}]",
    f"panel.options.last_year={LAST_YEAR}",
)


@dataclass(frozen=True)
class Point:
    """One size: what was asked for, what the manifest says was in the regression, and what it cost."""

    cities: int
    pairs: int
    rows: int
    run: Run


def measure(cities: int) -> Point:
    with tempfile.TemporaryDirectory() as folder:
        run = fresh(Path(folder), Path(folder) / "cache", [*OVERRIDES, f"panel.options.cities={cities}"])
        manifest = json.loads(
            (Path(folder) / "table1_baseline" / "manifest.json").read_text(encoding="utf-8")
        )
    last = manifest["counts"][0]["steps"][-1]
    return Point(cities, last["pairs"], last["rows"], run)


def measure_peer(cities: int) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.parquet"
        pair_frame([*OVERRIDES, f"panel.options.cities={cities}"], controls=()).to_parquet(rows)
        fresh_peer(rows, "y ~ policy | pair + year", Path(folder))  # the peer's own first run is not counted
        return fresh_peer(rows, "y ~ policy | pair + year", Path(folder))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:  # the files of the libraries are in memory after this
        fresh(Path(folder), Path(folder) / "cache")
    print(f"Baseline with pair and dyadic errors, 2010 to {LAST_YEAR}, fresh process, {os.cpu_count()} cores")
    points: list[Point] = []
    for cities in SIZES:
        points.append(measure(cities))
        now = points[-1]
        line = (
            f"  {cities:>5,} cities, {now.pairs:>9,} pairs, {now.rows:>10,} rows: {now.run.seconds:6.2f} s, "
            f"{now.run.seconds / now.pairs * 1e6:5.2f} s a million pairs, peak memory {now.run.peak_mb:,.0f} MB"
        )
        if len(points) > 1:
            before = points[-2]
            step = (now.run.seconds - before.run.seconds) / (now.pairs - before.pairs) * 1e6
            line += f"; {step:.2f} s for each further million"
        limit = logarithm_seconds(now.rows)
        print(f"{line}\n    machine: a logarithm a row takes {limit:.3f} s on all cores", flush=True)
    small, peer = points[0], measure_peer(SIZES[0])
    print(
        f"  peer, {small.cities} cities: pyfixest {peer.seconds:.2f} s, peak memory {peer.peak_mb:,.0f} MB; "
        f"ratio {peer.seconds / small.run.seconds:.2f} in time, {peer.peak_mb / small.run.peak_mb:.2f} in memory"
    )
    largest = points[-1]
    assert largest.pairs == largest.cities * (largest.cities - 1) // 2, "a pair was lost"
    assert largest.run.seconds < MOST_SECONDS, f"{largest.run.seconds:.1f} s, the claim is {MOST_SECONDS:g} s"
    assert largest.run.peak_mb < MOST_MB, f"{largest.run.peak_mb:.0f} MB, the claim is {MOST_MB:g} MB"


if __name__ == "__main__":
    main()
