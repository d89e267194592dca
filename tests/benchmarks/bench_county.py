"""Claim: 100,000 studentised permutations of 254 cities, and 10,000 of 2,850 units over 14 years, within 4 GB.

The sixth column of Table 1 (exclusion, median screen, five controls) on synthetic units: `dyadid run` with an
`inference.permutation` block and ``runtime.memory: 4GB``, interval by inversion included, from start to exit in a
process of its own. Peak memory is the largest sum of resident sizes over the process and all that it starts,
sampled twice a second. The county panel has 4.06 million pairs.

There is no peer: a refit of one such draw would be a regression on 28 million rows. The machine's limit is what
methods 6.8 predicts: flops a draw (the sums over pairs of two treated units, F each; the influences of the P screened
pairs, 2 F P for the outcome and as many for the treatment that happened), over the rate of a float64 matrix
product in the same minute.

Run: python tests/benchmarks/bench_county.py [--paper 100000] [--county 10000] [--memory 4GB]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bench_draws import gemm_rate
from bench_table1 import JOB

LARGEST_MB = 4000.0
COLUMNS = 7  # five controls, the treatment that happened, the outcome


@dataclass(frozen=True)
class Size:
    """A panel and the draws asked for."""

    name: str
    cities: int
    last_year: int
    reps: int

    @property
    def statistics(self) -> int:
        """F: statistics a pair, in the balanced layout."""
        years = self.last_year - 2010 + 1
        return 4 + years * COLUMNS + COLUMNS * (COLUMNS + 1) // 2


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


def run(size: Size, memory: str) -> tuple[float, float, dict[str, object]]:
    """Seconds from start to exit, peak memory of all processes in MB, and the manifest."""
    overrides = (
        "sweep={}",
        "model.errors=[dyadic]",
        f"years=[2010, {size.last_year}]",
        f"panel.options.cities={size.cities}",
        f"panel.options.last_year={size.last_year}",
        f"runtime.memory={memory}",
        f"inference={{permutation: {{reps: {size.reps}, seed: 7}}}}",
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "engine.cli", "run", str(JOB), "--out", folder]
        command += [part for text in overrides for part in ("--set", text)]
        start, peak = time.perf_counter(), 0.0
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        ended = threading.Event()
        threading.Thread(target=lambda: (process.wait(), ended.set()), daemon=True).start()
        while not ended.wait(0.5):
            peak = max(peak, resident_mb(process.pid))
        seconds = time.perf_counter() - start
        if process.returncode:
            raise SystemExit(f"{size.name}: the run failed")
        text = next(Path(folder).glob("*/manifest.json")).read_text(encoding="utf-8")
    return seconds, peak, json.loads(text)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--paper", type=int, default=100_000)
    parser.add_argument("--county", type=int, default=10_000)
    parser.add_argument("--memory", default="4GB")
    options = parser.parse_args()
    sizes = (
        Size("paper", 254, 2019, options.paper),
        Size("county", 2850, 2023, options.county),
    )
    draws: dict[str, tuple[float, float]] = {}
    missed = []
    for size in sizes:
        if not size.reps:
            continue
        rate = gemm_rate()
        seconds, peak, manifest = run(size, options.memory)
        spent = manifest["timings"]["inference"]  # type: ignore[index]
        steps = manifest["counts"][0]["steps"]  # type: ignore[index]
        screened, eligible, pairs = steps[-1]["pairs"], steps[-2]["pairs"], math.comb(size.cities, 2)
        both = (pairs - eligible) * screened / eligible  # pairs of two treated units above the screen
        flops = size.statistics * (both + 4.0 * screened)
        draws[size.name] = (spent / size.reps, flops)
        print(
            f"{size.name}: {size.reps:,} studentised permutations of {pairs:,} pairs ({screened:,} screened, "
            f"{size.statistics} statistics each)\n"
            f"  {seconds:.0f} s from start to exit, {1e3 * spent / size.reps:.2f} ms a draw; peak memory "
            f"{peak:,.0f} MB\n"
            f"  {flops:.3g} flops a draw, {1e3 * flops / rate / 1e9:.2f} ms at the {rate:.0f} GF/s of a matrix product",
            flush=True,
        )
        missed += [size.name] if peak > LARGEST_MB else []
    if len(draws) == 2:
        time_ratio = draws["county"][0] / draws["paper"][0]
        flop_ratio = draws["county"][1] / draws["paper"][1]
        print(f"a county draw takes {time_ratio:.0f} times as long; methods 6.8 predicts {flop_ratio:.0f}")
    sys.exit(f"more than {LARGEST_MB:,.0f} MB: {missed}" if missed else 0)


if __name__ == "__main__":
    main()
