"""Claim: two worker processes do a permutation sweep at 85% of twice the rate of one, each with one thread.

Studentised permutations of the sixth column of Table 1 on synthetic cities, intervals included, as `dyadid run`
sends them: blocks of draws as tasks of `Machine.reduce`, on one Dask worker process and on two, with ``NPROC=1``. Each
worker is kept to a core of its own, as a batch system keeps it: left alone, one worker lets XLA and Python run side by
side and takes more than one of two cores. Both clusters are warm (imports, compilation, the table of pairs), and the
rounds alternate. The draws of both are compared: they are the same to the bit.

Efficiency is (seconds on one) / (2 x seconds on two), the median over rounds. On a machine with other work the wall
clock says little, so the same is made of the workers' own CPU seconds: (CPU of the one) / (2 x CPU of the busier of the
two), which leaves out what workers wait for.

Run: python tests/benchmarks/bench_workers.py [--cities 800] [--draws 2048] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from contextlib import ExitStack
from typing import Any

import numpy as np
from bench_table1 import JOB
from distributed import Client, LocalCluster

from engine.infer.permutation import merge_draws, permutation_draws
from engine.pipeline import check
from engine.runtime.execute import Machine
from engine.spec.inference import PermutationTest
from engine.stages.estimation import estimate_cells
from engine.stages.inference.pass_inputs import blocks, memory_of
from engine.stages.inference.permutation_draws import draws_at_once, permutation_test

EFFICIENCY = 0.85


def cpu_seconds() -> float:
    return time.process_time()


def keep_to(core: int) -> None:
    """All threads of a worker on one core; those that it starts later, too."""
    for thread in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(thread), {core})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cities", type=int, default=800)
    parser.add_argument("--draws", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    _, (prepared,) = check(JOB, overrides=["sweep={}", f"panel.options.cities={options.cities}"])
    result = estimate_cells(
        Machine(),
        prepared.pass_cells.cells,
        prepared.design,
        columns=prepared.pass_cells.controls,
        terms=prepared.terms,
    )[0]
    setting = permutation_test(prepared, [result], PermutationTest(reps=options.draws, seed=7))
    tasks = blocks(options.draws, min(draws_at_once(setting, memory_of(prepared)), options.draws // 8))

    def sweep(client: Client) -> tuple[float, float, Any]:
        """Wall seconds, CPU seconds of the busiest worker, draws."""
        before, start = client.run(cpu_seconds), time.perf_counter()
        draws = Machine(client=client).reduce(
            permutation_draws, setting, tasks, merge_draws, label="permutations"
        )
        wall, after = time.perf_counter() - start, client.run(cpu_seconds)
        return wall, max(after[name] - before[name] for name in after), draws

    with ExitStack() as held:
        clients = []
        for workers in (1, 2):
            cluster = held.enter_context(
                LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    env={"NPROC": "1", "OMP_NUM_THREADS": "1"},
                    dashboard_address=None,
                )
            )
            clients.append(held.enter_context(Client(cluster)))
            for core, worker in zip(sorted(os.sched_getaffinity(0)), clients[-1].nthreads(), strict=False):
                clients[-1].run(keep_to, core, workers=[worker])
        cold = [sweep(client) for client in clients]
        same = all(
            np.array_equal(a, b, equal_nan=True)
            for a, b in zip(cold[0][2].statistic, cold[1][2].statistic, strict=True)
        )
        rounds = [[sweep(client)[:2] for client in clients] for _ in range(options.rounds)]
    wall = statistics.median(one[0] / (2 * two[0]) for one, two in rounds)
    cpu = statistics.median(one[1] / (2 * two[1]) for one, two in rounds)
    print(
        f"{options.draws:,} permutations of {setting.sample.pairs.n_pairs:,} pairs in {len(tasks)} tasks; draws "
        f"{'equal to the bit' if same else 'DIFFER'}\n"
        f"  one worker {min(r[0][0] for r in rounds):.2f} s (CPU {min(r[0][1] for r in rounds):.2f}), two "
        f"{min(r[1][0] for r in rounds):.2f} s (CPU of the busier {min(r[1][1] for r in rounds):.2f}); cold "
        f"{cold[0][0]:.1f} and {cold[1][0]:.1f} s\n"
        f"  efficiency {100 * wall:.0f}% by the clock, {100 * cpu:.0f}% by CPU seconds"
    )
    if not same or wall < EFFICIENCY:
        sys.exit(f"less than {100 * EFFICIENCY:.0f}%, or different draws")


if __name__ == "__main__":
    main()
