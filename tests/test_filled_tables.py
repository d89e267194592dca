"""Sheets with merged cells saved as text: ``fill_down`` of every kind of table, and checks that propose it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
import yaml
from strategies import PANEL_JOB, TABLE_JOB, city_panel, pair_table, run_panel, run_table

import engine
from engine.errors import InputError
from engine.spec import expand, load_job, spec_hash

Command = Callable[..., tuple[int, str, str]]
Job = dict[str, Any]
PAIRS = {"unit_i": "one", "unit_j": "other", "year": "year"}


def once(frame: pd.DataFrame, *columns: str, blank: object = " ") -> pd.DataFrame:
    """The table with only the first of equal cells that follow each other, of each column within those before it."""
    merged = frame.astype(dict.fromkeys(columns, object))
    for number, name in enumerate(columns):
        above = frame[list(columns[: number + 1])]
        merged[name] = merged[name].mask((above == above.shift()).all(axis=1), blank)
    return merged


def by_city(seed: int = 3) -> pd.DataFrame:
    """A panel whose cities have odd names, which stand in their order."""
    frame = city_panel(seed)
    names = {"city00": "０１ 号", "city01": "NA", "city02": "-", "city03": 'A, "b"', "city04": "2010"}
    frame["city"] = frame["city"].replace(names)
    return frame


def tiers(frame: pd.DataFrame) -> pd.Series:
    """A number of each city, and another from 2014 on."""
    number = frame.groupby("city").ngroup()
    return 1.0 + number % 3 + (frame["year"] >= 2014) * (1.0 + number % 2)


def filled_cells(results: engine.Results) -> dict[str, int]:
    """Cells that took the value above, by file and column."""
    said = r"(.*): column '(.*)': (\d+) empty cells read as the cell above"
    found = [re.match(said, note) for note in results.validation["notes"]]
    return {f"{match[1]}: {match[2]}": int(match[3]) for match in found if match}


def run_in(folder: Path, job: Job, **tables: pd.DataFrame) -> engine.Results:
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return engine.run(path)


def coefficients(results: engine.Results) -> Any:
    return results.estimates["estimate"].to_numpy()


def test_panels_joined_tables_and_a_column_of_data(tmp_path: Path) -> None:
    frame = by_city()
    rank = frame[["city", "year"]].assign(rank=np.arange(len(frame)) % 7 + 1.0)
    tier = tiers(frame)
    controls: Job = {"edu": {"neg_abs_diff": "tier"}, "dense": {"neg_abs_diff": "rank"}}
    expected = run_panel(frame.assign(tier=tier, rank=rank["rank"]), controls=controls)
    renamed = once(frame.assign(级别=tier), "city", "级别")
    panel: Job = {"source": "a.csv", "columns": {"tier": "级别"}, "fill_down": ["city", "tier"]}
    panel["join"] = [{"source": "b.csv", "fill_down": ["city"]}]
    job = {**PANEL_JOB, "panel": panel, "controls": controls}
    results = run_in(tmp_path, job, a=renamed, b=once(rank, "city", blank=""))
    np.testing.assert_allclose(coefficients(results), coefficients(expected), rtol=1e-12)
    n_cities = frame["city"].nunique()
    of_cities, of_tiers = len(frame) - n_cities, len(frame) - 2 * n_cities
    assert filled_cells(results) == {
        "a.csv: city": of_cities,
        "a.csv: 级别": of_tiers,
        "b.csv: city": of_cities,
    }
    del panel["join"][0]["fill_down"]
    with pytest.raises(InputError, match=r"b\.csv: row 3: a row has no city") as caught:
        run_in(tmp_path, job)
    assert "panel.join[0].fill_down: [city]  # if" in str(caught.value.remedy)


def test_pair_tables_and_tables_of_links(tmp_path: Path) -> None:
    table = pair_table(5)
    expected = coefficients(run_table(table))
    block = {"source": "a.csv", **PAIRS, "fill_down": ["one", "other"]}
    results = run_in(tmp_path, {**TABLE_JOB, "pair_table": block}, a=once(table, "one", "other"))
    np.testing.assert_allclose(coefficients(results), expected, rtol=1e-12)
    assert list(filled_cells(results)) == ["a.csv: one", "a.csv: other"]
    frame = city_panel(3)
    cities = sorted(frame["city"].unique())
    links = pd.DataFrame(
        [(a, b) for place, a in enumerate(cities) for b in cities[place + 1 : place + 4]], columns=["i", "j"]
    )
    model = {**PANEL_JOB.get("model", {}), "errors": ["network:1:uniform"]}
    job = {**PANEL_JOB, "model": model}
    of_links: Job = {"source": "b.csv", "unit_i": "i", "unit_j": "j"}
    full = run_in(tmp_path, {**job, "panel": {"source": "a.csv", "links": of_links}}, a=frame, b=links)
    job["panel"] = {"source": "a.csv", "links": {**of_links, "fill_down": ["i"]}}
    filled = run_in(tmp_path, job, b=once(links, "i"))
    assert filled.estimates.drop(columns="cell").equals(full.estimates.drop(columns="cell"))
    job["panel"] = {"source": "a.csv", "links": of_links}
    with pytest.raises(InputError, match=r"b\.csv: row 3, column 'i': the row has no city") as caught:
        run_in(tmp_path, job)
    assert "panel.links.fill_down: [i]  # if" in str(caught.value.remedy)


@pytest.mark.parametrize("ending", ["xlsx", "dta", "parquet"])
def test_files_with_types(tmp_path: Path, ending: str) -> None:
    """Truly merged cells of a key take its value by themselves, those of data where the job says so."""
    frame = city_panel(3)
    frame["tier"] = tiers(frame)
    merged = once(frame, "city", "tier", blank=None)
    merged["tier"] = merged["tier"].astype(float)
    spell = merged["tier"].notna().cumsum()
    path = tmp_path / f"a.{ending}"
    if ending == "dta":
        merged.assign(city=merged["city"].fillna("").astype(str)).to_stata(
            path, write_index=False, version=118
        )
    elif ending == "parquet":
        merged.to_parquet(path)
    else:
        book = openpyxl.Workbook()
        book.active.append(list(frame))
        for row in frame.itertuples(index=False):
            book.active.append([None if value != value else value for value in row])
        for name, key in (("city", frame["city"]), ("tier", spell)):
            letter = openpyxl.utils.get_column_letter(1 + list(frame).index(name))
            for _, rows in frame.groupby(key):
                book.active.merge_cells(f"{letter}{rows.index[0] + 2}:{letter}{rows.index[-1] + 2}")
        book.save(path)
    controls = {"edu": {"neg_abs_diff": "tier"}}
    expected = run_panel(frame, controls=controls)
    panel = {"source": path.name, "fill_down": ["tier", *(["city"] if ending != "xlsx" else [])]}
    results = run_in(tmp_path, {**PANEL_JOB, "controls": controls, "panel": panel})
    np.testing.assert_allclose(coefficients(results), coefficients(expected), rtol=1e-12)
    assert filled_cells(results)[f"{path.name}: tier"] == len(frame) - spell.max()
    assert ("of merged ranges" in str(results.validation)) == (ending == "xlsx")


def test_a_job_with_it_is_another(tmp_path: Path) -> None:
    city_panel(3).to_csv(tmp_path / "a.csv", index=False)
    hashes = set()
    for keys in ({}, {"fill_down": ["city"]}, {"fill_down": ["city", "year"]}):
        path = tmp_path / "job.yaml"
        path.write_text(yaml.safe_dump({**PANEL_JOB, "panel": {"source": "a.csv", **keys}}), encoding="utf-8")
        hashes.add(spec_hash(expand(load_job(path))))
    assert len(hashes) == 3
    results = run_in(tmp_path, {**PANEL_JOB, "panel": {"source": "a.csv", "fill_down": ["city"]}})
    assert filled_cells(results) == {}  # nothing was empty
    assert (
        coefficients(results).tolist()
        == coefficients(run_in(tmp_path, {**PANEL_JOB, "panel": {"source": "a.csv"}})).tolist()
    )


def proposed_line(error: str) -> Job:
    [line] = [part for part in error.splitlines() if "fill_down" in part]
    document: Job = yaml.safe_load(line[line.index("in the job file: ") + len("in the job file: ") :])
    [(key, value)] = document.items()
    assert key.endswith(".fill_down")
    return {"fill_down": value}


@pytest.mark.parametrize("columns", [["city"], ["year"]])
def test_the_line_of_a_failed_check_mends_a_panel(tmp_path: Path, columns: list[str]) -> None:
    frame = by_city()
    frame = frame.sort_values([*columns, *({"city", "year"} - {*columns})]).reset_index(drop=True)
    panel: Job = {"source": "a.csv", "columns": {"city": "城市"}}
    merged = once(frame, *columns).rename(columns={"city": "城市"})
    with pytest.raises(InputError, match=rf"a\.csv: row 3: a row has no {columns[0]}") as caught:
        run_in(tmp_path, {**PANEL_JOB, "panel": panel}, a=merged)
    panel |= proposed_line(str(caught.value))
    results = run_in(tmp_path, {**PANEL_JOB, "panel": panel})
    np.testing.assert_allclose(coefficients(results), coefficients(run_panel(frame)), rtol=1e-9)


@pytest.mark.parametrize("order", [["one", "other", "year"], ["year", "one", "other"]])
def test_the_line_of_a_failed_check_mends_a_pair_table(tmp_path: Path, order: list[str]) -> None:
    table = pair_table(5).sort_values(order).reset_index(drop=True)
    block: Job = {"source": "a.csv", **PAIRS}
    with pytest.raises(InputError, match=r"a unit is empty|a year is missing") as caught:
        run_in(tmp_path, {**TABLE_JOB, "pair_table": block}, a=once(table, *order[:2]))
    lines = [line for line in str(caught.value).splitlines() if "pair_table.fill_down: " in line]
    block |= {"fill_down": yaml.safe_load(lines[-1].split("fill_down: ")[1])}
    assert block["fill_down"] == sorted(order[:2], key=["one", "other", "year"].index)
    results = run_in(tmp_path, {**TABLE_JOB, "pair_table": block})
    np.testing.assert_allclose(coefficients(results), coefficients(run_table(table)), rtol=1e-9)


def test_a_column_that_is_filled_already_stays_in_the_line(tmp_path: Path) -> None:
    table = once(pair_table(5), "one", "other")
    block: Job = {"source": "a.csv", **PAIRS, "fill_down": ["one"]}
    with pytest.raises(InputError, match="a unit is empty") as caught:
        run_in(tmp_path, {**TABLE_JOB, "pair_table": block}, a=table)
    assert "pair_table.fill_down: [one, other]" in str(caught.value)


def test_rows_that_would_be_there_twice_are_not_filled(tmp_path: Path) -> None:
    frame = once(city_panel(3), "city")
    frame.loc[8, "city"] = " "  # two cities' rows would be those of one
    with pytest.raises(InputError, match="a row has no city") as caught:
        run_in(tmp_path, {**PANEL_JOB, "panel": {"source": "a.csv"}}, a=frame)
    assert "fill_down" not in str(caught.value)


@pytest.mark.parametrize("kind", ["panel", "pairs"])
def test_init_proposes_it(command: Command, tmp_path: Path, kind: str) -> None:
    frame = city_panel(0).rename(columns={"city": "城市"}) if kind == "panel" else pair_table(2)
    frame = frame.rename(columns={"one": "exporter", "other": "importer", "y": "trade"})
    columns = ["城市"] if kind == "panel" else ["exporter", "importer"]
    frame.to_csv(tmp_path / "full.csv", index=False)
    merged = once(frame, *columns)
    title = "一览表\n" if kind == "panel" else ""
    (tmp_path / "a.csv").write_text(title + merged.to_csv(index=False), encoding="utf-8")
    code, out, err = command("init", "a.csv")
    assert (code, err) == (0, "")
    for name in columns:
        assert f"guessed: an empty cell of column '{name}' repeats the one above" in out
    block = "panel" if kind == "panel" else "pair_table"
    job = yaml.safe_load((tmp_path / "a.yaml").read_text(encoding="utf-8"))
    assert job[block].pop("fill_down") == columns
    job[block].pop("header", None)
    assert command("init", "full.csv")[0] == 0
    full = yaml.safe_load((tmp_path / "full.yaml").read_text(encoding="utf-8"))
    full[block]["source"], full["job"] = "a.csv", "a"
    assert job == full


def test_builtin_tables_have_nothing_to_fill(tmp_path: Path) -> None:
    panel = {"source": "builtin:china_demo", "fill_down": ["tier"]}
    with pytest.raises(
        InputError, match=r"panel\.fill_down: there is no column 'tier' in builtin:china_demo"
    ):
        run_in(tmp_path, {**PANEL_JOB, "panel": panel})


def test_one_failed_check_says_what_is_filled_and_which_rows_are_no_data(tmp_path: Path) -> None:
    frame = city_panel(3)
    merged = once(frame, "city").astype(object)
    unit, total, note = (dict.fromkeys(frame) for _ in range(3))
    unit |= {"output": "亿元", "schools": "所"}
    total |= {"city": "合计", "output": 1.0}
    note |= {"schools": "来源：示例"}
    messy = pd.concat([pd.DataFrame([unit]), merged, pd.DataFrame([total, note])], ignore_index=True)
    panel: Job = {"source": "a.csv"}
    with pytest.raises(InputError, match="3 problems") as caught:
        run_in(tmp_path, {**PANEL_JOB, "panel": panel}, a=messy)
    last = len(messy) + 1
    assert f"row {last - 1}: a row has no year (its city is '合计')" in str(caught.value)
    assert f"row 2: a row has neither city nor year; also row {last}" in str(caught.value)
    assert f"together: panel.skip_rows: [2, {last - 1}, {last}]" in str(caught.value)
    panel |= {**proposed_line(str(caught.value)), "skip_rows": [2, last - 1, last]}
    results = run_in(tmp_path, {**PANEL_JOB, "panel": panel})
    np.testing.assert_allclose(coefficients(results), coefficients(run_panel(frame)), rtol=1e-12)
