"""Small worlds for the tests of draws: city panels with strata, jobs on them, and the pass behind a job."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import oracle_draws
import pandas as pd
import yaml
from strategies import PANEL_JOB, city_panel, with_holes

from engine.runtime.execute import Machine
from engine.spec import expand, load_job
from engine.stages.estimate_pass import estimate_pass
from engine.stages.estimation import Estimated
from engine.stages.prepare_passes import Prepared, prepare_job

CONTROLS = {"edu": ("schools", True), "dense": ("density", False)}
N_CITIES = 16


def panel(seed: int = 0, *, holes: bool = False, n_cities: int = N_CITIES) -> pd.DataFrame:
    """`strategies.city_panel` with three provinces, a rank that two classes of cities have, and a size."""
    frame = city_panel(seed, n_cities)
    rng = np.random.default_rng(seed + 1)
    of_city = {
        "province": rng.choice(["east", "middle", "west"], n_cities),
        "admin_rank": rng.integers(1, 3, n_cities).astype(float),
        "size": rng.permutation(n_cities) * 1.5,
    }
    years = frame["year"].nunique()
    frame = frame.assign(**{name: np.repeat(values, years) for name, values in of_city.items()})
    return with_holes(frame, seed) if holes else frame


def tied(seed: int = 0) -> pd.DataFrame:
    """Four blocks of four cities of one mass at (+-a, +-b): forces tie in twos and fours, to the last bit."""
    frame = panel(seed)
    corners = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)], dtype=float)
    places = np.concatenate([corners * spot for spot in ((10, 5), (20, 33), (37, 12), (41, 50))])
    years = frame["year"].nunique()
    return frame.assign(
        latitude=np.repeat(places[:, 0], years),
        longitude=np.repeat(places[:, 1], years),
        population=np.repeat(np.repeat([1.0, 2.0, 4.0, 3.0], 4), years),
    )


def twins(seed: int = 0) -> pd.DataFrame:
    """Two pairs of cities with one series each: their index is infinite in every year."""
    frame = panel(seed)
    wide = frame.pivot(index="city", columns="year", values="output")
    wide.iloc[1], wide.iloc[9] = wide.iloc[0], wide.iloc[8]
    return frame.assign(output=wide.to_numpy().ravel())


@dataclass(frozen=True)
class Pass:
    """The first pass of a job and its cells' fits."""

    prepared: Prepared
    results: list[Estimated]

    @property
    def units(self) -> tuple[str, ...]:
        return self.prepared.pass_cells.data.panel.units  # type: ignore[union-attr]

    def adopted(self, classes: np.ndarray[Any, Any]) -> dict[str, float]:
        """City to adoption year, for classes in the order of the units."""
        assert self.prepared.adoption is not None
        return dict(zip(self.units, self.prepared.adoption.years[classes].tolist(), strict=True))

    def by_city(self, values: np.ndarray[Any, Any]) -> dict[str, Any]:
        return dict(zip(self.units, values, strict=True))


def job_of(frame: pd.DataFrame, **blocks: Any) -> dict[str, Any]:
    """`strategies.PANEL_JOB` on the file that `write` makes of a panel."""
    balance = "keep" if frame[["output", "density"]].isna().any(axis=None) else "drop"
    return {**PANEL_JOB, "panel": {"source": "cities.parquet", "balance": balance}, **blocks}


def write(folder: Path, frame: pd.DataFrame, job: Mapping[str, Any]) -> Path:
    frame.to_parquet(folder / "cities.parquet")
    (folder / "job.yaml").write_text(yaml.safe_dump(dict(job), sort_keys=False), encoding="utf-8")
    return folder / "job.yaml"


def first_pass(frame: pd.DataFrame, **blocks: Any) -> Pass:
    """Prepare and estimate the cells of a job that share one pass."""
    with tempfile.TemporaryDirectory() as folder:
        return first_pass_of(write(Path(folder), frame, job_of(frame, **blocks)))


def first_pass_of(path: Path, overrides: tuple[str, ...] = ()) -> Pass:
    """As `first_pass`, for a job file."""
    (prepared,) = prepare_job(expand(load_job(path, overrides=overrides)))
    return Pass(prepared, estimate_pass(Machine(), prepared))


def oracle_grid(frame: pd.DataFrame, *, gravity: bool = True) -> oracle_draws.Grid:
    """All pairs of `job_of`'s design by the oracle."""
    return oracle_draws.grid(
        frame,
        series="output",
        adoption="pilot_year",
        controls=CONTROLS,
        masses=("population",) if gravity else (),
    )


def observed_adoption(frame: pd.DataFrame) -> dict[str, float]:
    """City to adoption year, inf for never."""
    first = frame.groupby("city")["pilot_year"].first()
    return first.where(first <= frame["year"].max(), np.inf).to_dict()
