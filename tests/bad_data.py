"""Tables that are wrong, each with the message it must bring: the cases of test_bad_input.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PANEL = """job: small
panel: {source: cities.csv}
index: {wealth: {entropy: [gdp, population]}}
outcome: {synchronization: gdp}
pairs: {exclude: both_treated, gravity: {mass: [population, gdp]}}
treatment: {adoption: pilot_year, rule: exactly_one}
controls: {edu: {neg_abs_log_diff: education}, tech: {neg_abs_diff: science}}
"""
PAIRS = """job: trade
pair_table: {source: trade.csv, unit_i: a, unit_j: b, year: year}
outcome: {column: y}
model: {regressors: [x]}
"""
RUN = ("run", "job.yaml", "--out", "out")

Frame = pd.DataFrame


def cities() -> Frame:
    """Eight cities, 2010 to 2019, two of which adopt; the job above runs on it."""
    rng = np.random.default_rng(7)
    city = np.repeat(np.arange(8), 10)
    walks = np.cumsum(0.04 * rng.standard_normal((3, 8, 10)), axis=2).reshape(3, 80)
    return Frame(
        {
            "city": [f"C{c}" for c in city],
            "year": np.tile(np.arange(2010, 2020), 8),
            "latitude": 30.0 + city,
            "longitude": 100.0 + 2 * city,
            "gdp": 10 * np.exp(walks[0]),
            "education": np.exp(walks[1]),
            "science": 2 * np.exp(walks[2]),
            "population": 100.0 + city,
            "pilot_year": np.select([city == 0, city == 1], [2014.0, 2016.0], np.nan),
        }
    )


def trade() -> Frame:
    """Fifteen pairs of six units, five years."""
    rng = np.random.default_rng(3)
    names = [(f"U{i}", f"U{j}", t) for i in range(6) for j in range(i + 1, 6) for t in range(2000, 2005)]
    table = Frame(names, columns=["a", "b", "year"])
    return table.assign(y=rng.standard_normal(len(table)), x=rng.standard_normal(len(table)))


def at(column: str, value: object, *, city: str | None = None, year: int | None = None) -> Any:
    """Put a value into the cells of a column, of one city or year where given."""

    def change(frame: Frame) -> Frame:
        here = np.ones(len(frame), dtype=bool)
        here &= (frame["city"] == city) if city else here
        here &= (frame["year"] == year) if year else here
        frame[column] = frame[column].astype(object).mask(here, value)
        return frame

    return change


def row(column: str, value: object, number: int = 7) -> Any:
    """Put a value into one row of the pair table, which is line ``number + 2`` of its file."""
    return lambda t: t.assign(**{column: t[column].astype(object).where(t.index != number, value)})


@dataclass(frozen=True)
class Bad:
    """What is changed about a good job and its data, and what the message must say.

    ``swap`` is text of the job and its replacement, ``add`` text that is appended, ``data`` what becomes of
    the table, ``files`` what else lies in the folder, ``argv`` the command. ``late`` marks what only the
    pass over the pairs can find.
    """

    says: tuple[str, ...]
    swap: tuple[str, str] = ("", "")
    add: str = ""
    data: Callable[[Frame], Frame] = lambda frame: frame
    files: Callable[[Path], object] = lambda folder: None
    argv: tuple[str, ...] = RUN
    job: str = PANEL
    late: bool = False


def _workbook(path: Path) -> None:
    with pd.ExcelWriter(path) as book:
        cities().to_excel(book, sheet_name="data", index=False)
        Frame({"note": ["units"]}).to_excel(book, sheet_name="notes", index=False)


CITIES = {
    "missing file": Bad(
        ("gone.csv: there is no such file", "hint: check the path; it is relative to the job file"),
        swap=("cities.csv", "gone.csv"),
    ),
    "missing column": Bad(
        ("job.yaml: controls.edu: needs column 'educaton', which is not in cities.csv", "did you mean 'education'?"),
        swap=("education", "educaton"),
    ),
    "no adoption column": Bad(
        ("job.yaml: treatment.adoption: needs column 'pilot', which is not in cities.csv", "did you mean 'pilot_year'"),
        swap=("adoption: pilot_year", "adoption: pilot"),
    ),
    "index that is not defined": Bad(
        ("job.yaml: outcome.synchronization: needs column 'welth', which is not in cities.csv", "hint: "),
        swap=("synchronization: gdp", "synchronization: welth"),
    ),
    "text in a number column": Bad(
        ("job.yaml: cities.csv: row 25, column 'gdp': 'about 12' is not a number (C2)", "hint: write a plain number"),
        data=at("gdp", "about 12", city="C2", year=2013),
    ),
    "duplicated city-year": Bad(
        ("cities.csv: city-years given more than once: C0 2013 (rows 5, 82)", "hint: keep one row a city and year"),
        data=lambda f: pd.concat([f, f.iloc[[3]]]),
    ),
    "empty sample": Bad(
        ("cities.csv: no city is left", "column 'gdp' costs most: 8 cities miss a year of it, 8 of them 2012",
         "hint: use panel.fill or panel.balance"),
        data=at("gdp", np.nan, year=2012),
    ),
    "too few cities": Bad(
        ("cities.csv: 2 of 2 cities are left, at least 3 are needed", "hint: give data of more cities"),
        data=lambda f: f[f["city"].isin(["C0", "C5"])],
    ),
    "constant indicator": Bad(
        ("cities.csv: index.wealth: indicator 'population' is constant (5 in all 80 city-years)",
         "hint: leave it out of the index"),
        data=at("population", 5.0),
    ),
    "zero variance": Bad(
        ("job.yaml: outcome.synchronization: 'gdp' has zero variance in C3", "hint: correct these series or leave"),
        data=at("gdp", 5.0, city="C3"),
    ),
    "year outside": Bad(
        ("job.yaml: years: [2005, 2019] reach outside the data", "hint: cities.csv has 2010 to 2019"),
        add="years: [2005, 2019]",
    ),
    "log of a negative": Bad(
        ("job.yaml: controls.edu: the logarithm of 'education' is taken, but it is -1 in C2, 2013 (1 of 80",
         "hint: mend or drop these cities, or use the difference in levels"),
        data=at("education", -1.0, city="C2", year=2013),
    ),
    "mass of zero": Bad(
        ("job.yaml: pairs.gravity.mass[0]: the logarithm of 'population' is taken, but it is 0 in C2", "hint: "),
        data=at("population", 0.0, city="C2"),
    ),
    "nobody adopts": Bad(
        ("cities.csv: column 'pilot_year': no unit adopts by 2019: the treatment has no variation",
         "hint: check treatment.adoption and years"),
        data=at("pilot_year", np.nan),
    ),
    "everybody from the start": Bad(
        ("job.yaml: treatment: rule both: no pair changes treatment within 2010 to 2019",
         "hint: check the adoption years"),
        swap=("pairs: {exclude: both_treated, gravity: {mass: [population, gdp]}}\ntreatment: {adoption: pilot_year, "
              "rule: exactly_one}", "treatment: {adoption: pilot_year, rule: both}"),
        data=at("pilot_year", 2005.0),
    ),
    "all pairs excluded": Bad(
        ("job.yaml: pairs.exclude: no pair is left after pairs.exclude: both_treated, since every unit adopts",
         "hint: use exclude: none"),
        data=lambda f: f.assign(pilot_year=2012 + f["city"].str[1:].astype(int) % 3),
    ),
    "never coded 0": Bad(
        ("column 'pilot_year': '0' is not a year (C2)", "or leave the cell empty where there is none (never adopts)"),
        data=lambda f: f.assign(pilot_year=f["pilot_year"].fillna(0)),
    ),
    "half a year": Bad(
        ("cities.csv: row 2, column 'pilot_year': '2014.5' is not a year (C0)", "hint: write a whole number"),
        data=lambda f: f.assign(pilot_year=f["pilot_year"] + 0.5),
    ),
    "two adoption years": Bad(
        ("cities.csv: 'pilot_year' must be constant within a city, but C0 has both 2014 and 2015 (in 2013)",
         "hint: give one value a city"),
        data=at("pilot_year", 2015.0, city="C0", year=2013),
    ),
    "event year never seen": Bad(
        ("job.yaml: model.window: no pair of the sample is ever observed at policy[-9], policy[-8], policy[-7]",
         "hint: narrow the window"),
        add="model: {estimator: event_study, window: [-9, 3]}",
    ),
    "two cities at one place": Bad(
        ("job.yaml: columns latitude, longitude: C0 and C1 are at one place (30, 100), so their distance is 0",
         "hint: correct the coordinates, or leave out pairs.gravity"),
        data=lambda f: at("longitude", 100.0, city="C1")(at("latitude", 30.0, city="C1")(f)),
    ),
    "not on the globe": Bad(
        ("job.yaml: columns latitude, longitude: C4 has latitude 340", "hint: give decimal degrees"),
        data=at("latitude", 340.0, city="C4"),
    ),
    "growth loses a year": Bad(
        ("job.yaml: outcome.synchronization: 'growth(gdp)' is undefined in C0, 2010 (8 city-years in all)",
         "hint: lags, differences and growth lose the first sample year: define them under panel.columns"),
        swap=("synchronization: gdp", "synchronization: growth(gdp)"),
    ),
    "short look-back": Bad(
        ("job.yaml: outcome.window: 2 years standardise the series, at least 3 are needed", "or window: full"),
        swap=("synchronization: gdp", "synchronization: gdp, window: pre"),
        add="years: [2012, 2019]",
    ),
    "gravity of another year": Bad(
        ("job.yaml: pairs.gravity.year: 2031 is not among the sample years 2010 to 2019", "hint: name a year of"),
        swap=("mass: [population, gdp]", "mass: [population, gdp], year: 2031"),
    ),
    "no such sheet": Bad(
        ("cities.xlsx: there is no sheet 'Blatt 2'", "hint: the file has data, notes"),
        swap=("cities.csv", "cities.xlsx, sheet: Blatt 2"),
        files=lambda f: _workbook(f / "cities.xlsx"),
    ),
    "wrong encoding": Bad(
        ("cities.csv: the text is not ascii", "hint: take out panel.encoding: the text is UTF-8"),
        swap=("cities.csv", "cities.csv, encoding: ascii"),
        data=lambda f: f.assign(city="市" + f["city"]),
    ),
    "unknown encoding": Bad(
        ("cities.csv: unknown encoding 'klingon'", "hint: use e.g. utf-8 or gb18030"),
        swap=("cities.csv", "cities.csv, encoding: klingon"),
    ),
    "no such builtin": Bad(
        ("job.yaml: panel.source: there is no built-in data set 'chna_demo'", "hint: use builtin:china_demo"),
        swap=("cities.csv", "'builtin:chna_demo'"),
    ),
    "collinear controls": Bad(
        ("job.yaml: cell 'small': model: 'tech' is collinear with edu", "hint: leave out one of tech, edu"),
        swap=("{neg_abs_diff: science}", "{neg_abs_log_diff: education * 2}"),
        late=True,
    ),
    "constant control": Bad(
        ("job.yaml: cell 'small': model: 'tech' has no variation left", "hint: it is constant over time in each"),
        swap=("science", "population"),
        late=True,
    ),
    "infinite outcome": Bad(
        ("job.yaml: outcome: the outcome is infinite in 10 pair-years", "use outcome.infinite: drop or clip"),
        swap=("synchronization: gdp", "synchronization: gdp, infinite: error"),
        data=lambda f: f.assign(gdp=np.where(f["city"] == "C5", f["gdp"].shift(10), f["gdp"])),
        late=True,
    ),
}  # fmt: skip

TABLES = {
    "both directions": Bad(
        ("job.yaml: trade.csv: row 77: pair_table.directed is false, but 2000 has both (U0, U1), in row 2, "
         "and (U1, U0)",
         "hint: keep one row a pair and year, in either order, or say directed: true"),
        data=lambda t: pd.concat([t, t.rename(columns={"a": "b", "b": "a"})]),
    ),
    "pair with itself": Bad(
        ("trade.csv: row 9: a unit is paired with itself (U0, U0)", "hint: leave such rows out"), data=row("b", "U0")
    ),
    "unit without name": Bad(
        ("trade.csv: row 9: a unit is empty", "hint: name both units in every row"), data=row("b", None)
    ),
    "repeated row": Bad(
        ("trade.csv: row 77: (U0, U1, 2004) is given twice; 1 row repeats", "hint: keep one row a pair and year"),
        data=lambda t: pd.concat([t, t.iloc[[4]]]),
    ),
    "missing column": Bad(
        ("trade.csv: model.regressors[0]: there is no column 'xx'", "hint: did you mean 'x'?"), swap=("[x]", "[xx]")
    ),
    "text in a number column": Bad(
        ("trade.csv: row 9, column 'x': 'many' is not a number", "hint: write a plain number"), data=row("x", "many")
    ),
    "infinite regressor": Bad(
        ("trade.csv: row 9, column 'x': the regressor is -inf", "hint: mend the cell"), data=row("x", -np.inf)
    ),
    "years outside": Bad(
        ("trade.csv: years: years [1990, 2004] reach beyond the table, which has 2000 to 2004", "hint: name years"),
        add="years: [1990, 2004]",
    ),
    "outcome explains itself": Bad(
        ("job.yaml: model.regressors names 'y', which is the outcome",), swap=("[x]", "[x, y]")
    ),
    "a rule of pairs that are treated": Bad(
        ("job.yaml: treatment.rule: has no meaning in this job: it is for city panels, and pair tables with "
         "treatment.unit_adoption", "hint: pairs that are treated themselves"),
        add="treatment: {adoption: x, rule: both}",
    ),
    "a treatment without its column": Bad(
        ("trade.csv: treatment.adoption: there is no column 'g'",), add="treatment: {adoption: g}"
    ),
    "empty sample": Bad(
        ("job.yaml: cell 'trade': no pair with at least two observed years is left",
         "hint: loosen years or the filters of pairs, or fill what is missing"),
        data=lambda t: t.assign(y=t["y"].where(t["year"] == 2000)),
        late=True,
    ),
    "no complete row": Bad(
        ("trade.csv: none of ", "rows is complete: 'y' is missing in ", "hint: fill what is missing"),
        data=lambda t: t.assign(y=np.nan),
    ),
    "collinear regressors": Bad(
        ("job.yaml: cell 'trade'", "'z' is collinear with x", "hint: leave out one of z, x"),
        swap=("[x]", "[x, z]"),
        data=lambda t: t.assign(z=2 * t["x"]),
        late=True,
    ),
}  # fmt: skip
