"""Claims: draws by contraction against refits, at the paper's scale (254 cities, 10 years, 5 controls).

Ours: permutations with exclusion, median screen and year effects rebuilt and controls partialled out, with
and without the studentised statistic; node-bootstrap coefficients; wild cluster draws. Float64, warm, drawing
included. Peer: what a user of pyfixest does for one draw, from the pair frame of all 32,131 pairs: rebuild
treatment, exclusion and screen, and `feols` with its defaults (pair-clustered); for the bootstrap, `feols`
with weights. Ratios are per draw, medians over alternating rounds. Ours runs as a job does: blocks of draws on
the threads of this process. The machine's limit: the flops of the contractions (a statistic times a draw, and
adding it) over those of a matrix product of 2,000 in the same run; drawing, masks and sums are what is left.

Run: python tests/benchmarks/bench_draws.py [--draws 2048] [--rounds 5]
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyfixest
from bench_table1 import CONTROLS, JOB
from paired import pair

from engine.infer.draws import multipliers, resampled_counts
from engine.infer.permutation import Permutation, drawn_classes, merge_draws, permutation_draws
from engine.infer.scores import wild_statistics
from engine.infer.weighted import weighted_fit
from engine.pipeline import check
from engine.runtime.execute import Machine
from engine.spec.inference import PermutationTest
from engine.stages.estimation import estimate_cells
from engine.stages.inference.pass_inputs import blocks, memory_of, tested_of, typed_pairs
from engine.stages.inference.permutation_draws import draws_at_once, permutation_test

PEER_DRAWS = 3


class World:
    """The sixth column of Table 1: its pass, its permutation setting, and the peer's frame of all pairs."""

    def __init__(self) -> None:
        sixth = ["sweep={}"]
        _, (self.prepared,) = check(JOB, overrides=sixth)
        cells, design = self.prepared.pass_cells.cells, self.prepared.design
        self.result = estimate_cells(
            Machine(), cells, design, columns=self.prepared.pass_cells.controls, terms=self.prepared.terms
        )[0]
        wanted = PermutationTest(reps=1, seed=7)
        self.full = permutation_test(self.prepared, [self.result], wanted)
        self.no_interval = permutation_test(self.prepared, [self.result], wanted, invert=False)
        self.plain = permutation_test(self.prepared, [self.result], wanted, studentise=False)
        self.weighted = typed_pairs(self.prepared).sorted()
        self.cell = tested_of(self.prepared, self.result, None)
        self.frame, self.force = self._frame()

    def _frame(self) -> tuple[pd.DataFrame, np.ndarray]:
        from engine.pairs.centre import standardise
        from engine.pairs.outcomes.synchronization import synchronization

        design = self.prepared.design
        i, j = np.triu_indices(design.n_units, 1)
        z = standardise(design.series, design.window)
        with jax.enable_x64(True):
            y = synchronization(jnp.asarray(z[i]), jnp.asarray(z[j]), 10.0, look_ahead=True, clip=0.0)
        levels = design.levels
        columns = {
            name: -np.abs(levels[i, :, k] - levels[j, :, k]).ravel() for k, name in enumerate(CONTROLS)
        }
        n, years = len(i), design.n_years
        where = {"i": np.repeat(i, years), "j": np.repeat(j, years), "pair": np.repeat(np.arange(n), years)}
        frame = pd.DataFrame(
            {**columns, "y": np.asarray(y).ravel(), **where, "year": np.tile(np.arange(years), n)}
        )
        return frame, np.repeat(design.sample.gravity.ln_force(i, j), years)


FORMULA = f"y ~ {' + '.join(CONTROLS)} + policy | pair + year"


def peer_permutation(world: World, classes: np.ndarray) -> float:
    """One honest refit: treatment, exclusion and screen rebuilt."""
    frame, never = world.frame, world.prepared.design.n_classes - 1
    paths = world.prepared.terms[0].table[..., 0]
    one, other = classes[frame["i"]], classes[frame["j"]]
    eligible = (one == never) | (other == never)
    kept = eligible & (world.force > np.median(world.force[eligible]))
    sample = frame[kept].assign(policy=paths[one[kept], other[kept], frame["year"].to_numpy()[kept]])
    return float(pyfixest.feols(FORMULA, sample, vcov={"CRV1": "pair"}).coef()["policy"])


def peer_bootstrap(sample: pd.DataFrame, counts: np.ndarray) -> float:
    weights = counts[sample["i"]] * counts[sample["j"]]
    own = sample[weights > 0].assign(w=weights[weights > 0])
    return float(pyfixest.feols(FORMULA, own, vcov={"CRV1": "pair"}, weights="w").coef()["policy"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    world, n = World(), options.draws
    machine = Machine(threads=os.cpu_count() or 1)

    def ours(setting: Permutation) -> Callable[[], object]:
        parts = blocks(n, draws_at_once(setting, memory_of(world.prepared)))
        return lambda: machine.reduce(permutation_draws, setting, parts, merge_draws, label="permutations")

    def node() -> None:
        with jax.enable_x64(True):
            for block in blocks(n):
                weighted_fit(world.weighted, resampled_counts(7, block, 254), world.cell, studentise=False)

    def wild() -> None:
        normal = world.result.normal
        regressors = normal.positions(world.result.fit.terms)
        signs = multipliers(7, np.arange(9999, dtype=np.int32), 254, "rademacher")
        wild_statistics(normal, regressors, len(regressors) - 1, signs)

    drawn = drawn_classes(world.full, np.arange(PEER_DRAWS, dtype=np.int32))
    counts = resampled_counts(7, np.arange(PEER_DRAWS, dtype=np.int32), 254).astype(int)
    observed = world.prepared.design.classes
    paths, never = world.prepared.terms[0].table[..., 0], world.prepared.design.n_classes - 1
    frame = world.frame
    one, other = observed[frame["i"]], observed[frame["j"]]
    kept = ((one == never) | (other == never)) & (
        world.force > world.prepared.design.sample.gravity.threshold
    )
    sample = frame[kept].assign(policy=paths[one[kept], other[kept], frame["year"].to_numpy()[kept]])

    def refits() -> None:
        for classes in drawn:
            peer_permutation(world, classes)
        gc.collect()

    def reweighted() -> None:
        for row in counts:
            peer_bootstrap(sample, row)
        gc.collect()

    missed = []
    for name, work, peer, claimed, flops in (
        ("studentised permutations", ours(world.no_interval), refits, 150, studentised(world.no_interval)),
        ("the same with the interval by inversion", ours(world.full), refits, 150, studentised(world.full)),
        ("coefficient-only permutations", ours(world.plain), refits, 300, treated_sums(world.plain)),
        ("node-bootstrap coefficients", node, reweighted, 400, 2.0 * node_size(world)),
    ):
        rate = gemm_rate()
        result = pair(work, peer, runs=options.rounds, warm_ups=1)
        mine, theirs = np.median(result.ours) / n, np.median(result.peer) / PEER_DRAWS
        ratio = np.median([b / PEER_DRAWS / (a / n) for a, b in zip(result.ours, result.peer, strict=True)])
        print(
            f"{name}: {1e4 * mine:.2f} s for 10,000 (fastest round {1e4 * min(result.ours) / n:.2f}); "
            f"pyfixest {theirs:.3f} s a draw; ratio {ratio:.0f}\n"
            f"  {1e4 * flops:.2g} flops, {100 * flops * n / min(result.ours) / 1e9 / rate:.0f}% of the {rate:.0f} GF/s "
            "of a matrix product",
            flush=True,
        )
        missed += [name] if ratio < claimed else []
    wild()
    start = time.perf_counter()
    wild()
    print(f"9,999 wild cluster draws: {time.perf_counter() - start:.3f} s")
    sys.exit(f"slower than claimed: {missed}" if missed else 0)


def treated_sums(setting: Permutation) -> float:
    """Flops a draw of the sums over pairs of two treated cities in the base screen: one addition a statistic."""
    sample = setting.sample
    never = sample.n_classes - 1
    both = (sample.classes[sample.pairs.i[: sample.n_base]] < never) & (
        sample.classes[sample.pairs.j[: sample.n_base]] < never
    )
    return float(both.sum()) * sample.pairs.layout.size


def studentised(setting: Permutation) -> float:
    """Flops a draw with influences of every screened pair beside them, as methods 6.8 counts: 2 F P a target."""
    targets = 1 if setting.cells[0].observed is None else 2
    return treated_sums(setting) + 2.0 * targets * setting.sample.pairs.layout.size * setting.sample.n_base


def node_size(world: World) -> int:
    """Statistics of the sample's pairs, zero or not."""
    return int((world.weighted.pair_type >= 0).sum()) * world.weighted.pairs.layout.size


def gemm_rate() -> float:
    """GF/s of a float64 product of two 2,000 x 2,000 matrices on all cores."""
    with jax.enable_x64(True):
        a = jnp.ones((2000, 2000))
        multiply = jax.jit(lambda x: x @ x)
        multiply(a).block_until_ready()
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            multiply(a).block_until_ready()
            seconds.append(time.perf_counter() - start)
    return 2 * 2000**3 / min(seconds) / 1e9


if __name__ == "__main__":
    main()
