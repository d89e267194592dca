"""Claim: a scheduler takes the true task graph of 40,000 units and 100,000 draws in minutes, in bounded memory.

Every pass of a run on 40,000 units, 14 years and five controls, as `Machine.reduce` sends it: the same settings,
tasks, keys and merges, on a scheduler and worker processes of this machine. Only the kernels are stand-ins: they return
at once what a task of that pass returns, in its true size; sums by city have ``--statistics`` statistics a pair instead
of all (one part in 54 by default), since this machine is not a hundred nodes. What is printed of a pass: its Dask
tasks, how many a second, bytes to each worker and to the driver, and the largest resident size so far of scheduler and
driver.

The counts are compared with the formulas of `cluster/SCALE.md`.

Run: python tests/benchmarks/bench_scheduler.py [--units 40000] [--draws 100000] [--workers 4] [--statistics 2]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client, LocalCluster

from engine.infer.permutation import Draws, merge_draws
from engine.pairs.gravity import Between, GravityModel, PairSample, merge_forces
from engine.pairs.map_reduce import MomentPass, ScoreSums, merge_moments, merge_scores
from engine.pairs.moments import CityMoments, Layout
from engine.pairs.panel_design import PanelDesign
from engine.pairs.tiles import most_groups
from engine.runtime.codec import nbytes
from engine.runtime.execute import Machine
from engine.stages.inference.pass_inputs import BLOCK, blocks

YEARS, CONTROLS, CLASSES, PARTS = 14, 5, 5, 8
BINS, VALUES = 65_536, 4_000_000


@dataclass(frozen=True)
class Setting:
    """A pass's own setting, and how many statistics the stand-ins have."""

    true: Any
    statistics: int


def some_moments(setting: Setting, task: Any) -> CityMoments:
    top, left = setting.true.design.span(task)
    sides = (np.zeros((b - a, CLASSES, setting.statistics)) for a, b in (top, left))
    return CityMoments(Layout(YEARS, CONTROLS + 1, True), *sides, 0, 0, 0.0, None, top[0], left[0])


def some_scores(setting: Setting, task: Any) -> ScoreSums:
    return ScoreSums(*np.zeros((2, 6, CONTROLS + 1, CONTROLS + 1)))


def some_counts(setting: Setting, task: Any) -> Any:
    return np.ones(BINS, dtype=np.int64)


def some_values(setting: Setting, task: Any) -> Any:
    return np.zeros(setting.statistics)


def some_draws(setting: Setting, block: Any) -> Draws:
    one = (np.zeros((len(block), 1)),)
    return Draws(block, one, one, (0,), (np.zeros((len(block), 4)),))


def added(one: Any, other: Any) -> Any:
    return one + other


def serve(pipe: Any, workers: int) -> None:
    """A scheduler and its workers, the scheduler in this process."""
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
        pipe.send(cluster.scheduler_address)
        pipe.recv()


def largest_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--units", type=int, default=40_000)
    parser.add_argument("--draws", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--statistics", type=int, default=2)
    options = parser.parse_args()
    n, rng = options.units, np.random.default_rng(0)
    classes = rng.choice(CLASSES, n, p=[0.004, 0.047, 0.083, 0.083, 0.783]).astype(np.int32)
    treated = np.arange(CLASSES) < CLASSES - 1
    place = rng.normal(size=(n, 3))
    gravity = GravityModel(rng.normal(size=n), place / np.linalg.norm(place, axis=1, keepdims=True), 0.0)
    sample = PairSample(classes, ~(treated[:, None] & treated), gravity)
    design = PanelDesign(
        sample=sample,
        series=rng.normal(size=(n, YEARS)),
        window=np.ones(YEARS, dtype=bool),
        clip=0.0,
        levels=rng.normal(size=(n, YEARS, CONTROLS)),
        kept_rows=None,
        edge=256,
        kinds=("difference",) * CONTROLS,
    )
    first = MomentPass(design, True)
    tiles, looks = design.tasks(), sample.parts()
    draws = blocks(options.draws, BLOCK)
    values = -(-VALUES // len(looks))
    passes = (
        ("screen: counts", some_counts, Between(sample, -1.0, 1.0), looks, added, PARTS, 0),
        ("screen: values", some_values, Between(sample, -1.0, 1.0), looks, merge_forces, PARTS, values),
        ("moments", some_moments, first, tiles, merge_moments, PARTS, options.statistics),
        ("scores", some_scores, first, tiles, merge_scores, PARTS, 0),
        ("permutations", some_draws, first, draws, merge_draws, len(draws), 0),
        ("bootstrap", some_draws, first, draws, merge_draws, len(draws), 0),
    )
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(there, options.workers))
    server.start()
    wrong = []
    with Client(here.recv()) as client:
        print(
            f"{n:,} units, {sample.n_pairs:,} pairs, {options.draws:,} draws; {options.workers} workers, "
            f"{options.statistics} statistics in sums by city",
            flush=True,
        )
        for label, leaf, true, tasks, merge, units, size in passes:
            machine = Machine(client=client)
            start = time.perf_counter()
            machine.reduce(
                leaf, Setting(true, size), tasks, merge, label=label.replace(": ", "-"), units=units
            )
            seconds = time.perf_counter() - start
            parts = -(-len(tasks) // (1 << max(0, (-(-len(tasks) // units) - 1).bit_length())))
            made, sent = 2 * len(tasks) - parts, machine.counts["bytes_to_workers"] / options.workers
            print(
                f"  {label}: {len(tasks):,} tasks, {made:,} with merges, {seconds:.1f} s, {made / seconds:.0f} a "
                f"second; {sent / 1e6:.1f} MB to each worker, {machine.counts['bytes_to_driver'] / 1e6:.1f} MB to "
                f"the driver; so far scheduler {largest_mb(server.pid or 0):.0f} MB, driver "
                f"{largest_mb(os.getpid()):.0f} MB",
                flush=True,
            )
            if len(tasks) > max(most_groups(sample.n_pairs), len(draws)):
                wrong.append(label)
            if sent > 8 * n * (YEARS * (CONTROLS + 1) + 8) + 1e5:
                wrong.append(f"{label}: bytes to a worker")
        largest = max(nbytes(some_moments(Setting(first, options.statistics), task)) for task in tiles)
        print(f"  largest part of the moments: {largest / 8 / CLASSES / options.statistics:,.0f} cities")
    here.send("done")
    server.join()
    sys.exit(f"more than the formulas say: {wrong}" if wrong else 0)


if __name__ == "__main__":
    main()
