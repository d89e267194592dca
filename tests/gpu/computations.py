"""Computations of every kind that the engine does with JAX, each a function that gives arrays by name.

`test_accelerator` runs them on the accelerator and, by this file as a script, in a process that sees the processor
alone; nothing here knows which of them it runs on.

Run: JAX_PLATFORMS=cpu python tests/gpu/computations.py FILE.npz
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

sys.path += [
    str(Path(__file__).parents[1] / part) for part in ("", "estimate")
]  # worlds of tests, for a script

import draw_worlds as worlds
import numpy as np
import yaml
from poisson_designs import flows
from random_jobs import random_job

import engine
from engine.api import fepois
from engine.estimate.absorb import Effect, absorb, prepare
from engine.infer.draws import multipliers, permuted_classes, random_bits, resampled_counts

Arrays = Mapping[str, np.ndarray[Any, Any]]

JOBS = Path(__file__).parents[2] / "jobs"
ERRORS = ["pair", "city", "dyadic_cr2", "dyadic", "jackknife"]
NEAR = [{"spatial": {"distance": 2000}}, {"block_jackknife": {"distance": 2000}}]
BLOCKS = [{"block_jackknife": {"by": "province"}}, {"block_jackknife": {"order": "size", "length": 4}}]
WINDOW = {"base": -1, "window": [-3, 2]}
EVENT_STUDY = {"estimator": "event_study", **WINDOW, "errors": ERRORS}
DRAWS = {
    "permutation": {"reps": 40, "seed": 3},
    "bootstrap": {"kind": "node", "reps": 40, "seed": 3},
    "jackknife": {"by": "city"},
}
RANDOM = range(16)
N_CITIES, N_YEARS, N_COLUMNS = 40, 8, 6


def of_frames(path: Path) -> Arrays:
    """The numbers of every frame of a job."""
    arrays = {}
    for name, frame in engine.run(path).frames.items():
        numbers = frame.select_dtypes("number")
        arrays |= {f"{name}.{column}": numbers[column].to_numpy(dtype=float) for column in numbers}
    return arrays


def of_world(holes: bool, **blocks: Any) -> Arrays:
    """A small panel of cities with draws of every kind."""
    with tempfile.TemporaryDirectory() as folder:
        frame = worlds.panel(holes=holes)
        return of_frames(worlds.write(Path(folder), frame, worlds.job_of(frame, **blocks)))


def of_shipped_job(name: str, **blocks: Any) -> Arrays:
    """A job of the repository, on the data that come with the package."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.yaml"
        job = {"extends": str(JOBS / f"{name}.yaml"), "job": "shipped", **blocks}
        path.write_text(yaml.safe_dump(job), encoding="utf-8")
        return of_frames(path)


def of_random_job(seed: int) -> Arrays:
    """Any kind of table, effects, weights, lags and draws."""
    with tempfile.TemporaryDirectory() as folder:
        return of_frames(random_job(seed).write(Path(folder)))


def of_absorption(other: str, missing: float, weighted: bool) -> Arrays:
    """Columns without pair effects and those of another kind."""
    rng = np.random.default_rng(5)
    i, j = np.triu_indices(N_CITIES, 1)
    rows = np.flatnonzero(rng.random(len(i) * N_YEARS) >= missing)
    pair, year = np.divmod(rows.astype(np.int32), N_YEARS)
    codes = {
        "year": year,
        "city x year": np.stack([side[pair] * N_YEARS + year for side in (i, j)], axis=1).astype(np.int32),
        "group x year": ((i + j)[pair] % 7 * N_YEARS + year).astype(np.int32),
    }
    weights = rng.uniform(0.2, 5.0, len(rows)) if weighted else None
    effects = [Effect("pair", pair), *(Effect(name, codes[name]) for name in other.split(" + "))]
    done = absorb(rng.normal(size=(len(rows), N_COLUMNS)), prepare(effects, weights=weights), tolerance=1e-12)
    return {"residuals": done.residuals, "converged": np.array([done.converged])}


def of_poisson(effects: str, **options: Any) -> Arrays:
    """A table of flows, with zeros, weights and rows that have no finite estimate."""
    result = fepois(
        f"y ~ x + z | {effects}",
        flows(3, n_units=12),
        units=("one", "other"),
        year="year",
        weight="w",
        offset="log_size",
        **options,
    )
    numbers = result.estimates.select_dtypes("number")
    return {column: numbers[column].to_numpy(dtype=float) for column in numbers}


def of_keys() -> Arrays:
    """Draws are functions of their keys."""
    replicates, classes = np.arange(50, dtype=np.int32), np.repeat(np.arange(5, dtype=np.int32), 20)
    return {
        "bits": random_bits(2**40 + 7, replicates, 100),
        "classes": permuted_classes(7, replicates, classes),
        "counts": resampled_counts(7, replicates, 100),
        "multipliers": multipliers(7, replicates, 100, "webb"),
    }


COMPUTATIONS: dict[str, Callable[[], Arrays]] = {
    "keys of draws": of_keys,
    "whole panel": partial(of_world, False, model={"errors": ERRORS}, inference=DRAWS),
    "panel with holes": partial(of_world, True, model={"errors": ERRORS}, inference=DRAWS),
    "event study": partial(of_world, False, model=EVENT_STUDY, inference=DRAWS),
    "event study with holes": partial(of_world, True, model=EVENT_STUDY, inference=DRAWS),
    "no screen": partial(
        of_world, False, pairs={"exclude": "none"}, model={"errors": ERRORS}, inference=DRAWS
    ),
    "Table 1": partial(
        of_shipped_job,
        "table1_baseline",
        model={"errors": ERRORS},
        inference={"permutation": {"reps": 300}, "bootstrap": {"kind": "wild", "reps": 300}},
    ),
    "Figure 1": partial(of_shipped_job, "figure1_event_study"),
    "effects beyond pair and year": partial(of_shipped_job, "fixed_effects"),
    "directed pair table": partial(of_shipped_job, "euro"),
    "matching": partial(of_shipped_job, "paper/matching"),
    "instrument": partial(of_shipped_job, "paper/instrument"),
    **{
        estimator: partial(of_world, False, model={"estimator": estimator, **options, "errors": ERRORS})
        for estimator, options in (
            ("sun_abraham", WINDOW),
            ("extended_twfe", {}),
            ("callaway_santanna", {"controls": []}),
            ("stacked", {**WINDOW, "controls": []}),
            ("local_projection", {**WINDOW, "controls": []}),
        )
    },
    "errors of near cities": partial(of_world, False, model={"errors": NEAR}),
    "errors of blocks of cities": partial(of_world, True, model={"errors": BLOCKS}),
    "wild draws of both cities": partial(
        of_world,
        False,
        model={"errors": ERRORS},
        inference={"bootstrap": {"kind": "two_way_wild", "reps": 60, "seed": 3}},
    ),
    "draws of an instrument": partial(
        of_shipped_job,
        "paper/instrument",
        sweep={"model.estimator": ["iv"]},
        inference={"permutation": {"reps": 60, "seed": 3}},
    ),
    "draws of matched pairs": partial(
        of_shipped_job,
        "paper/matching",
        sweep={"matching.unit": ["pair"]},
        inference={"permutation": {"reps": 20, "seed": 3}},
    ),
    "draws of thirds": partial(
        of_shipped_job,
        "paper/table3",
        inference={"permutation": {"reps": 300}, "bootstrap": {"kind": "node", "reps": 300}},
    ),
    "draws of a curve": partial(
        of_shipped_job,
        "table1_baseline",
        cases={
            "baseline": {},
            "weak ties": {"pairs.gravity.keep": "all"},
            "2014": {"pairs.gravity.year": 2014},
        },
        sweep={"model.controls": [[], ["edu"], ["edu", "tech"]]},
        inference={"permutation": {"reps": 60, "seed": 7, "screen": "recomputed"}},
    ),
    **{
        f"Poisson, {effects}": partial(of_poisson, effects, **options)
        for effects, options in (
            ("pair + year", {"errors": ERRORS[:2]}),
            ("pair + one^year + other^year", {"errors": ["pair", "dyadic", "jackknife"]}),
        )
    },
    **{
        f"absorption of {other}, {missing:.0%} missing{', weights' * weighted}": partial(
            of_absorption, other, missing, weighted
        )
        for other in ("year", "city x year", "group x year", "year + group x year")
        for missing in (0.0, 0.1)
        for weighted in (False, True)
    },
    **{f"random job {seed}": partial(of_random_job, seed) for seed in RANDOM},
}
"""By name. Frames hold estimates, errors, draws, p-values and counts alike."""


if __name__ == "__main__":
    np.savez(
        sys.argv[1],
        **{f"{name}|{key}": values for name, of in COMPUTATIONS.items() for key, values in of().items()},
    )
