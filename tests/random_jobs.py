"""Random jobs with their data, as users have them: offsets, holes, odd and doubly spelled labels, every kind of table.

A `RandomJob` holds what the engine gets (a job file and a table on disk) and what an oracle needs (rows with canonical
names of units, effects as `oracle_rows` takes them). Both come from one seed; the oracle never reads the file.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import oracle_draws
import oracle_rows
import pandas as pd
import reference
import yaml

KINDS = ["pair", "city", "dyadic", "jackknife"]
OFFSETS = (0.0, 0.0, 1e3, 1e6, 1e9)
SCALES = (1.0, 1.0, 1e-6, 1e6)
LABELS = (
    [f"u{n:02d}" for n in range(20)],
    [f"{n}" for n in range(1, 21)],
    ["南昌市", "北京", "上海 浦东", "广州市", "Å", "São Paulo", "Zürich", "A:100:B", "=SUM(A1)", "-3", "[red]x[/red]",
     "nan", "None", "1e3", "x,y", 'say "no"', "北 京", "ᾳ", "Straße", "İzmir"],
)  # fmt: skip


@dataclass(frozen=True)
class RandomDraws:
    """What an oracle needs to make a draw again.

    Attributes
    ----------
    method : str
        ``permutation`` or ``node``.
    everything : oracle_draws.Grid
        All pairs, eligible or not.
    options : dict
        Of `oracle_draws.relabelled`.
    terms : list of str
        Drawn terms.
    """

    method: str
    everything: oracle_draws.Grid
    options: dict[str, Any]
    terms: list[str]


@dataclass(frozen=True)
class RandomJob:
    """A job and what an oracle knows of it.

    Attributes
    ----------
    job : dict
        The job file.
    table : DataFrame
        What is written to ``file``.
    rows : DataFrame
        city_i, city_j, year, y, regressors; canonical names.
    names : list of str
        Columns of ``rows`` that are regressors, in the order of ``terms``.
    terms : list of str
        What the engine calls them.
    effects : mapping
    weight : str, optional
    instrument : tuple of str, optional
        Regressor and the column that stands for it.
    draws : RandomDraws, optional
        What the job's inference draws.
    """

    job: dict[str, Any]
    file: str
    table: pd.DataFrame
    rows: pd.DataFrame
    names: list[str]
    terms: list[str]
    effects: oracle_rows.Effects
    weight: str | None = None
    instrument: tuple[str, str] | None = None
    draws: RandomDraws | None = None

    def write(self, folder: Path) -> Path:
        """Table and job file in a folder; the path of the latter."""
        path = folder / self.file
        if path.suffix == ".parquet":
            self.table.to_parquet(path, index=False)
        elif path.suffix == ".csv":
            self.table.to_csv(path, index=False)
        else:
            self.table.to_excel(path, index=False)
        (folder / "job.yaml").write_text(yaml.safe_dump(self.job, allow_unicode=True), encoding="utf-8")
        return folder / "job.yaml"


def random_job(seed: int) -> RandomJob:
    """The job of a seed."""
    rng = np.random.default_rng([20261126, seed])
    return _table_job(rng) if rng.random() < 0.6 else _panel_job(rng)


def _pick(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _spelled(label: str, rng: np.random.Generator) -> str:
    """Another spelling that means the same: blanks at the edges, full width, accents composed or not."""
    way = int(rng.integers(5))
    if way == 0:
        return f" {label}"
    if way == 1:
        return f"{label}\u3000"
    if way == 2:
        wide = "".join(chr(ord(c) + 0xFEE0) if "!" < c < "~" and c not in ",\"'" else c for c in label)
        return wide if unicodedata.normalize("NFKC", wide) == unicodedata.normalize("NFKC", label) else label
    if way == 3:
        return unicodedata.normalize("NFD", label)
    return label.replace(" ", "  ")


def _levels(rng: np.random.Generator, values: Any) -> Any:
    """Values in some unit and around some level, of digits that any file keeps."""
    offset, scale = _pick(rng, OFFSETS), _pick(rng, SCALES)
    levels = offset + (scale if offset < 1e6 else max(scale, 1.0)) * values
    return np.vectorize(lambda value: float(f"{value:.14g}"))(levels)


# -- pair tables -------------------------------------------------------------------------------------------


def _table_job(rng: np.random.Generator) -> RandomJob:
    directed = bool(rng.random() < 0.4)
    n_units, n_years = _pick(rng, (9, 12)), _pick(rng, (5, 7))
    labels = [unicodedata.normalize("NFKC", text) for text in _pick(rng, LABELS)[:n_units]]
    years = np.arange(2001, 2001 + n_years) * 1
    if rng.random() < 0.2:
        years = 1990 + 4 * np.arange(n_years)
    rows = _dyadic_rows(rng, n_units, years, directed=directed)
    names = ["x", "w"][: _pick(rng, (1, 2))]
    kind = _pick(rng, ("year", "year", "year", "column x year", "column", "city x year"))
    lag = int(_pick(rng, (0, 0, 0, 1, 4)))
    weighted = bool(rng.random() < 0.25)
    first, second = (np.array(labels, dtype=object)[rows[side]] for side in ("i", "j"))
    if not directed:  # the first unit of an undirected pair is that whose name sorts first
        first, second = np.where(first < second, first, second), np.where(first < second, second, first)
    rows["city_i"], rows["city_j"] = first, second
    table = rows.rename(columns={"city_i": "unit a", "city_j": "unit b"}).drop(columns=["i", "j"])
    table = _turned(table, rng) if not directed else table
    file = _pick(rng, ("t.parquet", "t.parquet", "t.csv", "t.xlsx"))
    if any(label.startswith("=") for label in labels) and file == "t.xlsx":
        file = "t.csv"  # a sheet would hold a formula
    if all(not label.isdigit() for label in labels) and rng.random() < 0.5:
        for side in ("unit a", "unit b"):
            again = rng.random(len(table)) < 0.2
            table.loc[again, side] = [_spelled(label, rng) for label in table.loc[again, side]]
    elif labels[0].isdigit():
        table["unit a"] = table["unit a"].astype(int)
    table = table.sample(frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True)
    if file == "t.csv" and rng.random() < 0.4:
        blank = pd.DataFrame({name: [None] * 3 for name in table}, index=[2.5, 7.5, len(table) + 1.0])
        table = pd.concat([table.astype(object), blank.astype(object)]).sort_index()
    rows, terms, formulas = _formulas(rows, names, rng)
    if lag:
        rows = _lagged(rows, names, lag)
    effects = {"pair": oracle_rows.pair, "year": oracle_rows.year}
    listed = ["pair", "year"]
    if kind == "column x year":
        effects, listed = {**effects, "block": oracle_rows.by_year("block")}, [*listed, "block x year"]
    elif kind == "column":
        effects, listed = {**effects, "route": oracle_rows.of_column("route")}, [*listed, "route"]
    elif kind == "city x year":
        effects = {"pair": oracle_rows.pair, "city": oracle_rows.city_by_year}
        listed = ["pair", "city x year"]
    pair_table = {
        "source": file,
        "unit_i": "unit a",
        "unit_j": "unit b",
        "year": "year",
        "directed": directed,
    }
    if weighted:
        pair_table["weight"] = "weight"
    model = {"regressors": formulas, "fixed_effects": listed, "errors": KINDS}
    if lag:
        model["lag"] = lag
    job = {"job": "random", "pair_table": pair_table, "outcome": {"column": "y"}, "model": model}
    return RandomJob(job, file, table, rows, names, terms, effects, weight="weight" if weighted else None)


def _dyadic_rows(rng: np.random.Generator, n_units: int, years: Any, *, directed: bool) -> pd.DataFrame:
    """Rows with pair, year and unit components; some are missing, some cells are, one year may have one row."""
    i, j = np.triu_indices(n_units, 1)
    if directed:
        i, j = np.concatenate([i, j]), np.concatenate([j, i])
    n, t = len(i), len(years)
    pair, time = np.repeat(np.arange(n), t), np.tile(np.arange(t), n)
    unit = rng.normal(size=(n_units, t))
    common = unit[i[pair], time] + unit[j[pair], time] + rng.normal(size=t)[time]
    x = rng.normal(size=n * t) + 0.5 * common
    w = rng.normal(size=n * t) - 0.3 * x
    y = 2 * x - w + common + rng.normal(size=n)[pair] + rng.normal(size=n * t)
    columns = {name: _levels(rng, values) for name, values in {"x": x, "w": w, "y": y}.items()}
    rows = pd.DataFrame(
        {
            "i": i[pair], "j": j[pair], "year": np.asarray(years)[time], **columns,
            "weight": rng.integers(0, 4, n * t) + rng.random(n * t) * (rng.random() < 0.5),
            "block": rng.integers(0, 3, n)[pair], "route": rng.integers(0, 6, n * t),
        }
    )  # fmt: skip
    share = _pick(rng, (0.0, 0.1, 0.3))
    rows = rows[rng.random(len(rows)) >= share]
    if rng.random() < 0.3:  # one row alone in its year
        last = rows["year"] == years[-1]
        rows = rows[~last | (rows.index == rows.index[last][0])]
    if rng.random() < 0.3:
        rows = rows.assign(y=rows["y"].mask(rng.random(len(rows)) < 0.05))
    return rows.reset_index(drop=True)


def _turned(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Undirected rows in either order, by row."""
    turn = rng.random(len(table)) < _pick(rng, (0.0, 0.5))
    first, second = table["unit a"].to_numpy(), table["unit b"].to_numpy()
    return table.assign(**{"unit a": np.where(turn, second, first), "unit b": np.where(turn, first, second)})


def _formulas(
    rows: pd.DataFrame, names: list[str], rng: np.random.Generator
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Regressors as a user writes them: columns, or arithmetic on columns."""
    if len(names) == 1 or rng.random() < 0.7:
        return rows, names, names
    formulas = ["x / 2", "-w"]
    return rows.assign(x=rows["x"] / 2, w=-rows["w"]), formulas, formulas


def _lagged(rows: pd.DataFrame, names: list[str], lag: int) -> pd.DataFrame:
    """Regressors of the same pair, so many calendar years before."""
    before = rows[["i", "j", "year", *names]].assign(year=rows["year"] + lag)
    return rows.drop(columns=names).merge(before, on=["i", "j", "year"], how="left")


# -- city panels -------------------------------------------------------------------------------------------


def _panel_job(rng: np.random.Generator) -> RandomJob:
    n_cities, n_years = _pick(rng, (10, 14)), 8
    labels = [unicodedata.normalize("NFKC", text) for text in _pick(rng, LABELS)[:n_cities]]
    cities, whole = _cities(rng, labels, 2010 + np.arange(n_years))
    rule = _pick(rng, ("exactly_one", "exactly_one", "both", "either", "count"))
    exclude = rule == "exactly_one" and bool(rng.random() < 0.5)
    gravity = bool(rng.random() < 0.4)
    estimator = "twfe" if rule == "count" else _pick(rng, ("twfe", "twfe", "event_study", "iv"))
    exclude |= (
        rule == "exactly_one" and estimator == "event_study"
    )  # pairs that adopt twice have no event year
    sample = reference.pair_panel(
        cities, series="output", adoption="pilot_year", rule=rule, exclude_both_treated=exclude,
        controls={"schools": ("schools", True), "density": ("density", False)},
        gravity=reference.Gravity(["population"]) if gravity else None,
    )  # fmt: skip
    rows = _with_sums(sample.long, cities)
    names = ["schools", "density", "total", "policy"]
    job: dict[str, Any] = {
        "job": "random",
        "panel": {"source": "c.parquet", "balance": "drop" if whole else "keep"},
        "outcome": {"synchronization": "output"},
        "treatment": {"adoption": "pilot_year", "rule": rule},
        "pairs": {"exclude": "both_treated" if exclude else "none"},
        "controls": {
            "schools": {"neg_abs_log_diff": "schools"},
            "density": {"neg_abs_diff": "density"},
            "total": {"sum": "stock"},
        },
        "model": {"estimator": estimator, "errors": KINDS},
    }
    if gravity:
        job["pairs"]["gravity"] = {"mass": ["population"]}
    instrument = None
    if estimator == "event_study":
        window, base, ends = (-3, 2), -1, _pick(rng, ("bin", "drop"))
        job["model"] |= {"window": list(window), "base": base, "ends": ends}
        rows, events = reference.event_dummies(rows, rule=rule, base=base, window=window, ends=ends)
        names = [*names[:3], *events]
    elif estimator == "iv":
        job["instrument"] = {"sum": "shifter"}
        instrument = ("policy", "instrument")
    table = cities.sample(frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True)
    if all(not label.isdigit() for label in labels) and rng.random() < 0.5:
        again = rng.random(len(table)) < 0.2
        table.loc[again, "city"] = [_spelled(label, rng) for label in table.loc[again, "city"]]
    effects = {"pair": oracle_rows.pair, "year": oracle_rows.year}
    draws = None
    if estimator != "iv" and rng.random() < 0.5:
        draws = _draws(rng, job, cities, rule=rule, exclude=exclude, terms=names[3:])
    return RandomJob(
        job, "c.parquet", table, rows, names, names, effects, instrument=instrument, draws=draws
    )  # fmt: skip


def _draws(
    rng: np.random.Generator,
    job: dict[str, Any],
    cities: pd.DataFrame,
    *,
    rule: str,
    exclude: bool,
    terms: list[str],
) -> RandomDraws:
    """Adds draws to a job; what an oracle needs for them."""
    everything = oracle_draws.grid(
        cities, series="output", adoption="pilot_year",
        controls={"schools": ("schools", True), "density": ("density", False)},
        masses=["population"] if "gravity" in job["pairs"] else [],
    )  # fmt: skip
    long = _with_sums(everything.long, cities)
    long = long.assign(
        total=long["total"] - np.round(long["total"].mean())
    )  # whose offset the oracle does not mind
    method = _pick(rng, ("permutation", "node"))
    seed = int(rng.integers(1000))
    job["inference"] = (
        {"permutation": {"reps": 6, "seed": seed}}
        if method == "permutation"
        else {"bootstrap": {"kind": "node", "reps": 6, "seed": seed}}
    )
    options: dict[str, Any] = {"rule": rule, "exclude": exclude}
    if "window" in job["model"]:
        model = job["model"]
        options |= {"event": (model["base"], tuple(model["window"])), "ends": model["ends"]}
    return RandomDraws(method, oracle_draws.Grid(long, everything.force), options, terms)


def _cities(rng: np.random.Generator, labels: list[str], years: Any) -> tuple[pd.DataFrame, bool]:
    """City-years, and whether none is missing."""
    shape = (len(labels), len(years))
    adopted = np.full(len(labels), np.nan)
    n_adopters = _pick(rng, (2, 4, 6))
    adopted[:n_adopters] = rng.choice([2012, 2013, 2015], n_adopters)
    rng.shuffle(adopted)
    trend = rng.uniform(0.5, 1.5, (shape[0], 1)) * np.arange(shape[1])
    late = (years[None, :] >= np.nan_to_num(adopted, nan=9999)[:, None]).astype(float)
    columns = {
        "output": _pick(rng, OFFSETS) + trend + rng.normal(size=shape).cumsum(1),
        "schools": np.exp(rng.normal(size=(shape[0], 1)) + 0.3 * rng.normal(size=shape)) * _pick(rng, SCALES),
        "density": _pick(rng, OFFSETS) + rng.uniform(1, 9, shape),
        "stock": _levels(rng, rng.normal(size=shape)),
        "shifter": _pick(rng, OFFSETS) + 2 * late + rng.normal(size=shape),
        "population": np.exp(rng.normal(size=(shape[0], 1)) + 0.01 * rng.normal(size=shape)),
        "latitude": np.repeat(rng.uniform(20, 45, (shape[0], 1)), shape[1], 1),
        "longitude": np.repeat(rng.uniform(90, 125, (shape[0], 1)), shape[1], 1),
        "pilot_year": np.repeat(adopted[:, None], shape[1], 1),
    }
    frame = pd.DataFrame(
        {"city": np.repeat(labels, shape[1]), "year": np.tile(years, shape[0])}
        | {name: values.ravel() for name, values in columns.items()}
    )
    whole = bool(rng.random() < 0.6)
    if not whole:
        for name in ("output", "density"):
            frame.loc[rng.random(len(frame)) < 0.05, name] = np.nan
    return frame, whole


def _with_sums(long: pd.DataFrame, cities: pd.DataFrame) -> pd.DataFrame:
    """The long frame with the sums of the two cities' stocks and shifters."""
    value = cities.set_index(["city", "year"])
    for name, column in (("total", "stock"), ("instrument", "shifter")):
        value[column] -= np.round(value[column].mean())  # exact, so that the sum loses no digits
        sides = [
            value.loc[list(zip(long[side], long["year"], strict=True)), column].to_numpy()
            for side in reference.PAIR
        ]
        long = long.assign(**{name: sides[0] + sides[1]})
    return long
