"""Claim: a cell of the specification curve takes a twentieth of the time that pyfixest takes for it, and equals it.

Ours: `jobs/robustness/curve.yaml` without its permutations, from reading the job file to the finished frame, 768
cells with five kinds of standard error each; a cell's time is the whole run's over 768. Peer: 20 of the cells, drawn
at random anew in every round, one `feols` each with pair-clustered errors, on finished pair frames. Coefficients and
standard errors of every cell drawn are compared. Both warm, in turn, with all cores. The machine's limit: one
logarithm a row and the cross products of the columns for every sample, which no method can do without.

Run: python tests/benchmarks/bench_curve.py [--rounds 7] [--cells 20]
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyfixest
from limits import logarithm_seconds, product_seconds

import engine
from engine.pipeline import check
from engine.spec import Cell
from engine.stages.prepare_passes import Prepared

JOB = Path(__file__).parents[2] / "jobs" / "robustness" / "curve.yaml"
ALONE = ["inference={}"]
CLAIM = 20
EQUAL = 1e-8  # relative; see PEER in tests/tolerances.py


def rows_of(prepared: Prepared) -> pd.DataFrame:
    """The rows of one sample, as a user of the peer would hold them; its treatments are ``policy_0`` and on."""
    design = prepared.design
    chunks = [chunk for task in design.tasks() for chunk in design.chunks(task)]
    i, j = (np.concatenate([getattr(chunk, side)[: chunk.n] for chunk in chunks]) for side in "ij")
    inside = design.series[:, design.window]
    z = (design.series - inside.mean(1, keepdims=True)) / inside.std(1, keepdims=True)
    half, years = (z[i] - z[j]) ** 2 / 2, design.n_years
    y = -np.log(half) / 2
    if design.window.all():
        y += np.log1p((1 - half) / (2 * years - 3)) / 2
    names = prepared.pass_cells.controls
    columns = {name: -abs(design.levels[i, :, k] - design.levels[j, :, k]) for k, name in enumerate(names)}
    for number, path in enumerate(distinct_paths(prepared)):
        columns[f"policy_{number}"] = path[design.classes[i], design.classes[j]]
    flat = {name: np.asarray(values).ravel() for name, values in {**columns, "y": y}.items()}
    return pd.DataFrame(
        {**flat, "pair": np.repeat(np.arange(len(i)), years), "year": np.tile(np.arange(years), len(i))}
    )


def distinct_paths(prepared: Prepared) -> list[np.ndarray]:
    """Treatment paths by classes of the cells of a sample, each once."""
    return list({terms.table.tobytes(): terms.table[..., 0] for terms in prepared.terms}.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cells", type=int, default=20)
    asked = parser.parse_args()
    plan, passes = check(JOB, overrides=ALONE)
    where = {cell.number: one for one in passes for cell in one.pass_cells.cells}
    frames = {id(one): rows_of(one) for one in passes}
    rng = np.random.default_rng(0)

    def theirs(cell: Cell) -> tuple[float, float]:
        one = where[cell.number]
        own = one.terms[one.pass_cells.cells.index(cell)].table[..., 0]
        term = f"policy_{next(k for k, path in enumerate(distinct_paths(one)) if np.array_equal(path, own))}"
        formula = f"y ~ {' + '.join([*cell.job.used_controls, term])} | pair + year"
        model = pyfixest.feols(
            formula, frames[id(one)], vcov={"CRV1": "pair"}, copy_data=False, store_data=False
        )
        return float(model.coef()[term]), float(model.se()[term])

    ours, peer = [], []
    for number in range(asked.rounds + 1):  # the first is not counted
        drawn = rng.choice(len(plan.cells), asked.cells, replace=False)
        gc.collect()
        start = time.perf_counter()
        results = engine.run(JOB, overrides=ALONE)
        middle = time.perf_counter()
        found = [theirs(plan.cells[k]) for k in drawn]
        end = time.perf_counter()
        if number:
            ours.append((middle - start) / len(plan.cells))
            peer.append((end - middle) / len(drawn))
        compare(results.estimates, [plan.cells[k].id for k in drawn], found)
    ratios = sorted(b / a for a, b in zip(ours, peer, strict=True))
    ratio = statistics.median(ratios)
    print(
        f"{len(plan.cells)} cells in {len(passes)} samples: ours {1e3 * statistics.median(ours):.2f} ms a cell "
        f"({len(plan.cells) * statistics.median(ours):.2f} s in all), pyfixest {1e3 * statistics.median(peer):.0f} ms\n"
        f"  ratio {ratio:.0f} (rounds from {ratios[0]:.0f} to {ratios[-1]:.0f}); every cell drawn equal to {EQUAL:g}"
    )
    n_rows = [len(frame) for frame in frames.values()]
    limit = sum(logarithm_seconds(n) + product_seconds(n, 7) for n in n_rows)
    share = limit / (statistics.median(ours) * len(plan.cells))
    print(f"machine: a logarithm a row and cross products alone take {limit:.2f} s, {share:.0%} of ours")
    sys.exit(ratio <= CLAIM)


def compare(estimates: pd.DataFrame, cells: list[str], found: list[tuple[float, float]]) -> None:
    """Stop where a coefficient or pair-clustered error is not the peer's."""
    own = estimates[(estimates["term"] == "policy") & (estimates["errors"] == "pair")].set_index("cell")
    values = own.loc[cells, ["estimate", "std_error"]].to_numpy()
    np.testing.assert_allclose(values, np.array(found), rtol=EQUAL)


if __name__ == "__main__":
    main()
