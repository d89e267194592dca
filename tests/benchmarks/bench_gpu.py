"""The engine on an accelerator against the processor of the same machine, float64 throughout.

Permutations with intervals by inversion and node-bootstrap draws with t ratios (the sixth column of Table 1), Table 1
for 10,000 units, absorption of ten columns, and a Poisson fit of three regressors. Warm: the second run of a work
that has compiled in the first; on the processor fewer draws, whose seconds are scaled. Beside seconds: the draws'
arithmetic as a share of the device's own rate in a product of two 8,192 x 8,192 matrices, and the bytes that a block
of draws moves between host and device (counted from the shapes). The processor takes all cores, and its own way to
do the same: fewer operations.

Fails where an accelerator is not as many times as fast as `AT_LEAST` says. `gpu_results.md` has the numbers.

Run where JAX sees a GPU: python tests/benchmarks/bench_gpu.py [--only draws,grid,absorb,poisson] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import engine
from engine.estimate.absorb import Effect, absorb, prepare
from engine.estimate.ppml import PoissonProblem, solve_poisson
from engine.float64 import double_precision
from engine.infer.partner_rows import DRAWS_AT_ONCE
from engine.infer.permutation import Permutation, merge_draws, permutation_draws
from engine.pipeline import check
from engine.runtime.execute import Machine
from engine.spec.inference import PermutationTest
from engine.stages.estimation import estimate_cells
from engine.stages.inference.bootstrap import NodeInput, node_draws
from engine.stages.inference.bootstrap import draws_at_once as node_draws_at_once
from engine.stages.inference.pass_inputs import blocks, memory_of, tested_of, typed_pairs
from engine.stages.inference.permutation_draws import draws_at_once, permutation_test

JOB = Path(__file__).parents[2] / "jobs" / "table1_baseline.yaml"
MATRIX, YEARS, COLUMNS = 8192, 10, 10
AT_LEAST = {"permutations, 2,850 units": 20.0, "node draws, 2,850 units": 20.0}
Codes = np.ndarray[Any, np.dtype[np.integer[Any]]]
PAPER, COUNTY = (254, 2019), (2850, 2023)


@dataclass(frozen=True)
class Timed:
    """Seconds of the first run, which compiles, and of the fastest after it; flops and bytes of all its draws."""

    first: float
    seconds: float
    flops: float = 0.0
    megabytes: float = 0.0


def timed(work: Callable[[], object], runs: int = 1) -> tuple[float, float]:
    """Seconds of the first run and of the fastest of the others."""
    seconds = []
    for _ in range(1 + runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds[0], min(seconds[1:] or seconds)


class World:
    """The sixth column of Table 1 on so many units, up to a year."""

    def __init__(self, units: int, last_year: int) -> None:
        overrides = ["sweep={}", "runtime.memory=16GB", "model.errors=[dyadic]", f"years=[2010, {last_year}]"]
        overrides += [f"panel.options.cities={units}", f"panel.options.last_year={last_year}"]
        _, (self.prepared,) = check(JOB, overrides=overrides)
        cells, terms = self.prepared.pass_cells.cells, self.prepared.terms
        self.machine = Machine(threads=os.cpu_count() or 1)
        self.result = estimate_cells(
            self.machine, cells, self.prepared.design, columns=self.prepared.pass_cells.controls, terms=terms
        )[0]

    def permutations(self, n_draws: int, runs: int = 2) -> Timed:
        test = permutation_test(self.prepared, [self.result], PermutationTest(reps=1, seed=7))
        parts = blocks(n_draws, draws_at_once(test, memory_of(self.prepared)))
        first, seconds = timed(
            lambda: self.machine.reduce(permutation_draws, test, parts, merge_draws, label="permutations"),
            runs,
        )
        flops, megabytes = self._costs(test, n_draws, targets=2)
        return Timed(first, seconds, flops, megabytes)

    def node(self, n_draws: int) -> Timed:
        cell = tested_of(self.prepared, self.result, None)
        estimate = self.result.fit.values[list(cell.tested)]
        test = NodeInput(typed_pairs(self.prepared), (cell,), (estimate,), 7)
        parts = blocks(n_draws, node_draws_at_once(test, memory_of(self.prepared)))
        first, seconds = timed(
            lambda: self.machine.reduce(node_draws, test, parts, merge_draws, label="node")
        )
        sample = permutation_test(self.prepared, [self.result], PermutationTest(reps=1), invert=False)
        flops, megabytes = self._costs(sample, n_draws, targets=1)
        return Timed(first, seconds, flops, megabytes)

    @staticmethod
    def _costs(test: Permutation, n_draws: int, *, targets: int) -> tuple[float, float]:
        """Flops of the rows' products, and what crosses between host and device: classes, sums and weights."""
        sample = test.sample
        n, width, n_types = sample.pairs.n_units, sample.pairs.width, len(sample.types)
        flops = 2.0 * (1 + targets) * n * n * width * len({larger for _, larger in sample.types})
        return flops * n_draws, n_draws * (3.0 * n + 8.0 * width * n_types * (1 + targets)) / 1e6


def grid(units: int) -> Timed:
    """Table 1, six columns with four errors."""
    overrides = [f"panel.options.cities={units}", "panel.options.last_year=2023", "years=[2010, 2023]"]
    return Timed(*timed(lambda: engine.run(JOB, overrides=overrides)))


def pairs_with_holes(rng: np.random.Generator, rows: int) -> tuple[Codes, Codes, Codes, Codes]:
    """First and second unit by pair, pair and year by row: ten years, a tenth of the rows missing."""
    n_units = int(np.sqrt(2.2 * rows / YEARS / 0.9)) + 2
    i, j = (side[: int(rows / YEARS / 0.9)] for side in np.triu_indices(n_units, 1))
    pair, year = np.divmod(np.flatnonzero(rng.random(len(i) * YEARS) >= 0.1).astype(np.int32), YEARS)
    return i, j, pair, year


def absorption(rows: int, other: str) -> Timed:
    """Ten columns on pairs of cities."""
    rng = np.random.default_rng(0)
    i, j, pair, year = pairs_with_holes(rng, rows)
    group = (i % 31 * 31 + j % 31)[pair] * YEARS + year
    effects = [Effect("pair", pair)]
    if other == "city x year":
        ends = np.stack([side[pair] * YEARS + year for side in (i, j)], axis=1)
        effects.append(Effect(other, ends.astype(np.int32)))
    else:
        effects += [Effect("year", year), Effect(other, group.astype(np.int32))]
    columns = rng.normal(size=(len(pair), COLUMNS))
    plan = prepare(effects)
    return Timed(*timed(lambda: absorb(columns, plan, tolerance=1e-8)))


def poisson(rows: int) -> Timed:
    """Gravity: three regressors, effects of pair, exporter x year and importer x year."""
    rng = np.random.default_rng(0)
    i, j, pair, year = pairs_with_holes(rng, rows)
    ends = [(side[pair] * YEARS + year).astype(np.int32) for side in (i, j)]
    regressors = rng.normal(size=(len(pair), 3))
    levels = sum(rng.normal(size=code.max() + 1)[code] for code in (pair, *ends))
    outcome = rng.poisson(np.exp(3 + 0.3 * levels + regressors @ [0.1, -0.2, 0.3])).astype(float)
    effects = dict(zip(("pair", "exporter x year", "importer x year"), (pair, *ends), strict=True))
    kept = prepare([Effect(*effect) for effect in effects.items()]).design.kept  # singletons are left out
    plan = prepare([Effect(name, code[kept]) for name, code in effects.items()])
    ones = np.ones(kept.sum())
    problem = PoissonProblem(outcome[kept], regressors[kept], plan, ones, np.zeros(len(ones)))

    def fit() -> None:
        if not solve_poisson(problem).converged:
            raise RuntimeError("the Poisson fit did not converge")

    return Timed(*timed(fit))


Work = Callable[[], Timed]


def works(only: set[str], *, quick: bool, processor: bool) -> dict[str, tuple[int, Work]]:
    """Works by name with the number of draws, as an accelerator does them, or as many as a processor has time for."""
    chosen: dict[str, tuple[int, Work]] = {}
    if "draws" in only:
        paper, county = World(*PAPER), World(*COUNTY)
        many, few = (2048, 512) if processor or quick else (10_000, 10_000)
        chosen |= {
            "permutations, 254 units": (many, lambda: paper.permutations(many)),
            "node draws, 254 units": (many, lambda: paper.node(many)),
            "permutations, 2,850 units": (few, lambda: county.permutations(few)),
            "node draws, 2,850 units": (few, lambda: county.node(few)),
        }
        if not quick and not processor:
            chosen |= {
                "100,000 permutations, 254 units": (100_000, lambda: paper.permutations(100_000, 0)),
                "100,000 permutations, 2,850 units": (100_000, lambda: county.permutations(100_000, 0)),
            }
    if "grid" in only:
        chosen["Table 1, 10,000 units"] = (1, lambda: grid(10_000))
    if "absorb" in only:
        for rows in (2_000_000,) if quick else (2_000_000, 20_000_000):
            for other in ("city x year", "group x year"):
                name = f"pair + {other}, {rows:,} rows"
                chosen[name] = (1, lambda rows=rows, other=other: absorption(rows, other))  # type: ignore[misc]
    if "poisson" in only:
        for rows in (1_000_000,) if quick else (1_000_000, 10_000_000):
            chosen[f"Poisson, {rows:,} rows"] = (1, lambda rows=rows: poisson(rows))  # type: ignore[misc]
    return chosen


def rates() -> dict[str, float]:
    """Of the device: TFLOP/s of matrix products, TB/s of its memory, GB/s from and to the host."""
    found = {}
    with double_precision():
        for name, kind in (("float64", jnp.float64), ("float32", jnp.float32)):
            a = jax.random.normal(jax.random.key(0), (MATRIX, MATRIX), kind)
            product = jax.jit(lambda a: jnp.matmul(a, a, precision="highest"))
            seconds = timed(lambda a=a, product=product: product(a).block_until_ready(), 5)[1]  # type: ignore[misc]
            found[name] = 2 * MATRIX**3 / seconds / 1e12
        values = jnp.ones(1 << 28)
        add = jax.jit(lambda values: values + 1)
        found["memory"] = 2 * values.nbytes / timed(lambda: add(values).block_until_ready(), 5)[1] / 1e12
        host = np.ones(1 << 26)
        found["to device"] = host.nbytes / timed(lambda: jnp.asarray(host).block_until_ready(), 3)[1] / 1e9
        found["to host"] = host.nbytes / timed(lambda: np.array(values[: 1 << 26] + 0), 3)[1] / 1e9
    return found


def on_processor(arguments: list[str]) -> dict[str, Any]:
    """The same works in a process that sees the processor alone."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, __file__, "--json", *arguments]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="draws,grid,absorb,poisson")
    parser.add_argument("--quick", action="store_true", help="fewer draws and rows")
    parser.add_argument("--json", action="store_true", help="seconds a draw of this process alone, as JSON")
    options = parser.parse_args()
    only, here = set(options.only.split(",")), jax.default_backend()
    if options.json:
        found = {}
        for name, (count, work) in works(only, quick=options.quick, processor=here == "cpu").items():
            found[name] = work().seconds / count
            print(
                f"  processor: {name}: {found[name] * count:.2f} s for {count:,}", file=sys.stderr, flush=True
            )
        print(json.dumps(found))
        return
    if here == "cpu":
        print(f"not run: JAX sees no accelerator, its devices are {jax.devices()}")
        return
    device, limits = jax.devices()[0].device_kind, rates()
    print(f"{len(jax.local_devices())} x {device}, JAX {jax.__version__}, {os.cpu_count()} cores")
    print("; ".join(f"{name} {rate:.3g}" for name, rate in limits.items()), flush=True)
    done: dict[str, tuple[int, Timed]] = {}
    for name, (count, work) in works(only, quick=options.quick, processor=False).items():
        done[name] = count, work()
        print(f"  {name}: {done[name][1]}", flush=True)
    processor = on_processor(["--only", options.only, *["--quick"] * options.quick])
    print(
        "| work | count | first, s | warm, s | share of float64 | MB to and from host | processor / device |"
    )
    missed = []
    for name, (count, spent) in done.items():
        share = f"{spent.flops / spent.seconds / limits['float64'] / 1e12:.0%}" if spent.flops else ""
        ratio = processor[name] * count / spent.seconds if name in processor else float("nan")
        print(
            f"| {name} | {count:,} | {spent.first:.2f} | {spent.seconds:.2f} | {share} | {spent.megabytes:,.0f} | "
            f"{ratio:.1f} |",
            flush=True,
        )
        missed += [name] if ratio < AT_LEAST.get(name, 0.0) else []
    print(f"draws in blocks of {DRAWS_AT_ONCE:,}")
    sys.exit(f"not as fast as claimed: {missed}" if missed else 0)


if __name__ == "__main__":
    main()
