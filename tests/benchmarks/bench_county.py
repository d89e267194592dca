"""Claim: 100,000 studentised permutations of 254 cities, and 2,000 of 2,850 units over 14 years, within 4 GB.

So are 2,000 node-bootstrap draws of the 2,850 units, with their t ratios; 10,000 of each take as much memory.

The sixth column of Table 1 (exclusion, median screen, five controls) on synthetic units: `dyadid run` with an
`inference.permutation` block and ``runtime.memory: 4GB``, interval by inversion included, from start to exit in a
process of its own. Peak memory is the largest sum of resident sizes over the process and all that it starts,
sampled twice a second. The county panel has 4.06 million pairs.

There is no peer: a refit of one such draw would be a regression on 28 million rows. The machine's limit is what
methods 6.8 predicts: flops a draw (the sums over pairs of two treated units, F each; the influences of the P screened
pairs, 2 F P for the outcome and as many for the treatment that happened), over the rate of a float64 matrix
product in the same minute.

Run: python tests/benchmarks/bench_county.py [--paper 100000] [--county 2000] [--node 2000] [--memory 4GB]
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass

from bench_draws import gemm_rate
from bench_table1 import JOB
from processes import JobRun, run_job

LARGEST_MB = 4000.0
COLUMNS = 7  # five controls, the treatment that happened, the outcome


@dataclass(frozen=True)
class Size:
    """A panel and the draws asked for: permutations, or resamples of its cities."""

    name: str
    cities: int
    last_year: int
    reps: int
    node: bool = False

    @property
    def statistics(self) -> int:
        """F: statistics a pair, in the balanced layout."""
        years = self.last_year - 2010 + 1
        return 4 + years * COLUMNS + COLUMNS * (COLUMNS + 1) // 2


def run(size: Size, memory: str) -> JobRun:
    method = f"permutation: {{reps: {size.reps}, seed: 7}}"
    if size.node:
        method = f"bootstrap: {{kind: node, reps: {size.reps}, seed: 7}}"
    return run_job(
        JOB,
        (
            "sweep={}",
            "model.errors=[dyadic]",
            f"years=[2010, {size.last_year}]",
            f"panel.options.cities={size.cities}",
            f"panel.options.last_year={size.last_year}",
            f"runtime.memory={memory}",
            f"inference={{{method}}}",
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--paper", type=int, default=100_000)
    parser.add_argument("--county", type=int, default=2_000)
    parser.add_argument("--node", type=int, default=2_000)
    parser.add_argument("--memory", default="4GB")
    options = parser.parse_args()
    sizes = (
        Size("paper", 254, 2019, options.paper),
        Size("county", 2850, 2023, options.county),
        Size("county, node bootstrap", 2850, 2023, options.node, node=True),
    )
    draws: dict[str, tuple[float, float]] = {}
    missed = []
    for size in sizes:
        if not size.reps:
            continue
        rate = gemm_rate()
        found = run(size, options.memory)
        spent, steps = found.manifest["timings"]["inference"], found.manifest["counts"][0]["steps"]
        missed += [size.name] if found.peak_mb > LARGEST_MB else []
        cost = (
            f"  {found.seconds:.0f} s from start to exit ({found.cpu_seconds:.0f} s of CPU), "
            f"{1e3 * spent / size.reps:.2f} ms a draw; peak memory {found.peak_mb:,.0f} MB"
        )
        if size.node:
            print(f"{size.name}: {size.reps:,} draws with t ratios\n{cost}", flush=True)
            continue
        screened, eligible, pairs = steps[-1]["pairs"], steps[-2]["pairs"], math.comb(size.cities, 2)
        both = (pairs - eligible) * screened / eligible  # pairs of two treated units above the screen
        flops = size.statistics * (both + 4.0 * screened)
        draws[size.name] = (spent / size.reps, flops)
        print(
            f"{size.name}: {size.reps:,} studentised permutations of {pairs:,} pairs ({screened:,} screened, "
            f"{size.statistics} statistics each)\n{cost}\n"
            f"  {flops:.3g} flops a draw, {1e3 * flops / rate / 1e9:.2f} ms at the {rate:.0f} GF/s of a matrix product",
            flush=True,
        )
    if len(draws) == 2:
        time_ratio = draws["county"][0] / draws["paper"][0]
        flop_ratio = draws["county"][1] / draws["paper"][1]
        print(f"a county draw takes {time_ratio:.0f} times as long; methods 6.8 predicts {flop_ratio:.0f}")
    sys.exit(f"more than {LARGEST_MB:,.0f} MB: {missed}" if missed else 0)


if __name__ == "__main__":
    main()
