"""Claim: the whole Table 1 job takes less than half as long again as one pyfixest column with pair-clustered errors.

Ours: job file to estimates, six columns with five kinds of standard error each, from reading the job file
to the finished frame (the built-in panel is in memory, as the peer's frame is); and without dyadic CR2, in less time
than the column. Peer: one `feols` of the
sixth column on the finished pair frame of 153,230 rows, pair-clustered. Both warm, both with all cores. The
machine's limit: one logarithm a row and the cross products of the columns, which no method can do without.

Run: python tests/benchmarks/bench_table1.py
"""

from __future__ import annotations

import gc
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyfixest
from limits import logarithm_seconds, product_seconds
from paired import pair

import engine
from engine.pipeline import check

JOB = Path(__file__).parents[2] / "jobs" / "table1_baseline.yaml"
WITHOUT_CR2 = ["model.errors=[pair, city, dyadic, jackknife]"]
CONTROLS = ("edu", "tech", "second", "fd", "innov")


def pair_frame(overrides: Sequence[str] = (), controls: Sequence[str] = CONTROLS) -> pd.DataFrame:
    """The rows of the job (153,230 as it stands), as a user of the peer would hold them."""
    import jax
    import jax.numpy as jnp

    from engine.pairs.centre import standardise
    from engine.pairs.outcomes.synchronization import synchronization

    _, (prepared,) = check(JOB, overrides=overrides)
    design = prepared.design
    chunks = [chunk for task in design.tasks() for chunk in design.chunks(task)]
    i, j = (np.concatenate([getattr(chunk, side)[: chunk.n] for chunk in chunks]) for side in "ij")
    z = standardise(design.series, design.window)
    with jax.enable_x64(True):
        y = synchronization(jnp.asarray(z[i]), jnp.asarray(z[j]), 10.0, look_ahead=True, clip=0.0)
    path = prepared.terms[0].table[design.classes[i], design.classes[j], :, 0]
    n, years = len(i), design.n_years
    columns = {name: -abs(design.levels[i, :, k] - design.levels[j, :, k]) for k, name in enumerate(controls)}
    flat = {name: np.asarray(values).ravel() for name, values in {**columns, "policy": path, "y": y}.items()}
    return pd.DataFrame(
        {**flat, "pair": np.repeat(np.arange(n), years), "year": np.tile(np.arange(years), n)}
    )


def main() -> None:
    frame = pair_frame()
    assert len(frame) == 153_230
    formula = f"y ~ {' + '.join(CONTROLS)} + policy | pair + year"

    def peer() -> object:
        model = pyfixest.feols(formula, frame, vcov={"CRV1": "pair"}, copy_data=False, store_data=False)
        return model.coef()["policy"]

    ours = engine.run(JOB).estimates
    mine = ours[ours["term"] == "policy"]["estimate"].iloc[-1]
    print(f"policy, column 6: ours {mine:.10f}, pyfixest {peer():.10f}")
    gc.collect()
    title = "Table 1, six columns, {} kinds of error, against one column of pyfixest"
    result = pair(lambda: engine.run(JOB), peer)
    print(result.report(title.format("five"), "pyfixest"))
    without = pair(lambda: engine.run(JOB, overrides=WITHOUT_CR2), peer)
    print(without.report(title.format("the four other"), "pyfixest"))
    limit = logarithm_seconds(len(frame)) + product_seconds(len(frame), len(CONTROLS) + 2)
    share = limit / statistics.median(result.ours)
    print(f"machine: a logarithm a row and cross products alone take {limit:.4f} s, {share:.0%} of ours")
    sys.exit(result.ratio <= 1 / 1.5 or without.ratio <= 1)


if __name__ == "__main__":
    main()
