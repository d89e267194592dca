"""What 40,000 units and 100,000 draws would take on 100 nodes, from costs a pair measured here.

Costs are CPU seconds of this process on one thread (start it with ``NPROC=1``), the least of several runs, on synthetic
cities of the sixth column of Table 1 over 14 years with five controls:

    screen      the three looks at ln F of a pair that locate the median of a large grid
    moments     statistics of a screened pair, summed by city; scores: influences of six columns on one
    statistics  of a pair alone, as a table that is not kept computes them twice for every block of draws
    draw        a screened pair in one studentised permutation with its interval; a pair in a node-bootstrap draw

and bytes a pair of the table's order, held and while it is sorted, as NumPy reports them. The plan multiplies; how it
does, and what it leaves out, stands in `cluster/SCALE.md`.

Run: NPROC=1 OMP_NUM_THREADS=1 python tests/benchmarks/bench_plan.py [--units 40000] [--draws 100000] [--nodes 100]
"""

from __future__ import annotations

import argparse
import math
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from bench_table1 import JOB

from engine.infer.permutation import permutation_draws
from engine.pairs.gravity import Between, force_counts, force_span, forces_inside
from engine.pairs.map_reduce import CellBlock, MomentPass, ScorePass, city_moments, score_sums
from engine.pairs.process_cache import forget_all
from engine.pairs.tiles import most_groups
from engine.pipeline import check
from engine.runtime.execute import Machine
from engine.spec.inference import PermutationTest
from engine.stages.estimation import estimate_cells
from engine.stages.inference.bootstrap import NodeInput, node_draws
from engine.stages.inference.pass_inputs import BLOCK, features_of, tested_of, typed_pairs
from engine.stages.inference.permutation_draws import permutation_test
from engine.stages.prepare_passes import Prepared

CITIES, LAST_YEAR = 600, 2023
LOOKS = (force_span, force_counts, forces_inside)
LARGE = 3000  # cities whose pairs are sorted: enough that nothing else is seen beside them


@dataclass(frozen=True)
class Costs:
    """CPU seconds a pair, and bytes a pair."""

    screen: float
    moments: float
    scores: float
    statistics: float
    permutation: float
    node: float
    order: float
    sorting: float


def cpu(work: Callable[[], object], runs: int = 3) -> float:
    """The least CPU seconds of several runs, after one that compiles."""
    work()
    seconds = []
    for _ in range(runs):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def at_size(cities: int) -> Prepared:
    """The sixth column of Table 1 over 14 years."""
    sizes = [f"panel.options.cities={cities}", f"panel.options.last_year={LAST_YEAR}"]
    _, (prepared,) = check(JOB, overrides=["sweep={}", f"years=[2010, {LAST_YEAR}]", *sizes])
    return prepared


def measured() -> Costs:
    prepared = at_size(CITIES)
    design, sample = prepared.design, prepared.design.sample
    result = estimate_cells(
        Machine(),
        prepared.pass_cells.cells,
        design,
        columns=prepared.pass_cells.controls,
        terms=prepared.terms,
    )[0]
    first = MomentPass(design, True)
    tiles = [tile for part in sample.parts() for tile in part]
    within = Between(sample, *force_span(Between(sample), tiles))
    every, kept = [tile for task in design.tasks() for tile in task], sample.n_kept
    rng = np.random.default_rng(0)
    rows = design.n_years + design.n_columns + 1
    cells = CellBlock(prepared.terms[0].table, rng.normal(size=(rows, 6)), rng.normal(size=(rows, 36)))
    setting = permutation_test(prepared, [result], PermutationTest(reps=BLOCK, seed=7))
    pairs = setting.sample.pairs
    read = replace(setting, sample=replace(setting.sample, pairs=replace(pairs, in_memory=False)))
    block, few = np.arange(BLOCK, dtype=np.int32), np.arange(8, dtype=np.int32)
    types = typed_pairs(prepared)
    cell = tested_of(prepared, result, None)
    node = NodeInput(types, (cell,), (np.zeros(1),), 7)
    wide, narrow = (cpu(lambda part=part: permutation_draws(read, part), 2) for part in (block, few))
    each = (wide - narrow) / (len(block) - len(few))
    drawn = cpu(lambda: node_draws(node, block), 2)
    forget_all()
    large = features_of(at_size(LARGE), every_screen=True)
    tracemalloc.start()
    order = large.order
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Costs(
        screen=sum(cpu(lambda look=look: look(within, tiles)) for look in LOOKS) / sample.n_pairs,
        moments=cpu(lambda: city_moments(first, every)) / kept,
        scores=cpu(lambda: score_sums(ScorePass(first, cells), every)) / kept,
        statistics=(narrow - len(few) * each) / (2 * pairs.n_pairs),
        permutation=each / kept,
        node=drawn / BLOCK / types.pairs.n_pairs,
        order=sum(part.nbytes for part in (order.i, order.j, order.tie_start)) / large.n_pairs,
        sorting=peak / math.comb(LARGE, 2),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--units", type=int, default=40_000)
    parser.add_argument("--draws", type=int, default=100_000)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--cores", type=int, default=16)
    options = parser.parse_args()
    costs = measured()
    for name, value in vars(costs).items():
        print(
            f"  {name}: {value:.0f} bytes a pair" if value > 1 else f"  {name}: {1e9 * value:,.1f} ns a pair"
        )
    pairs, cores = math.comb(options.units, 2), options.nodes * options.cores
    screened, table = (
        pairs / 2,
        0.55 * pairs,
    )  # half of the pairs, and those of two treated units that may come back
    blocks = -(-options.draws // BLOCK)
    waves = -(-blocks // options.nodes)
    seconds = {
        "screen": costs.screen * pairs,
        "moments and scores": (costs.moments + costs.scores) * screened,
        "permutations": blocks * (2 * costs.statistics * table + BLOCK * costs.permutation * screened),
        "node bootstrap": blocks * (2 * costs.statistics * screened + BLOCK * costs.node * screened),
    }
    print(
        f"{options.units:,} units, {pairs:,} pairs, {options.draws:,} draws on {options.nodes} nodes of "
        f"{options.cores} cores, one worker process a node\n"
        f"  tasks: {most_groups(pairs):,} a pass over the pairs, {blocks:,} blocks of {BLOCK} draws, {waves} a node\n"
        f"  memory of a worker: {costs.order * table / 1e9:.1f} GB for the order of the pairs, "
        f"{costs.sorting * pairs / 1e9:.0f} GB while it is sorted"
    )
    for name, value in seconds.items():
        used = cores if name in ("screen", "moments and scores") else cores * blocks / (waves * options.nodes)
        print(f"  {name}: {value / 3600:,.2f} core hours, {value / used / 60:,.2f} minutes")


if __name__ == "__main__":
    main()
