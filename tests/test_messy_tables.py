"""Tables as people write them give the results of clean ones: panels, joined tables, pair tables and data frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dyadid
import numpy as np
import pandas as pd
import pytest
import yaml
from strategies import PANEL_JOB, TABLE_JOB, city_panel, pair_table, run_panel, run_table

import engine
from engine.errors import InputError
from engine.report.language.wording import ENGLISH
from engine.spec import expand, load_job
from engine.spec.keys import assign
from engine.stages.load_data import Reader

TABLE = {"unit_i": "one", "unit_j": "other", "year": "year"}


def coefficients(results: engine.Results) -> list[float]:
    return results.estimates["estimate"].tolist()


def warned(results: engine.Results) -> str:
    """Warnings of a run, and the notes of its data."""
    return "\n".join([*results.manifest["warnings"], *results.validation["notes"]])


def written(folder: Path, job: dict[str, Any], **tables: pd.DataFrame) -> Path:
    """A job on tables that are written as text with semicolons, as spreadsheets of Europe write them."""
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.txt", index=False, sep=";")
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def run_in(folder: Path, job: dict[str, Any], **tables: pd.DataFrame) -> engine.Results:
    return engine.run(written(folder, job, **tables))


def report_of(folder: Path, job: dict[str, Any], **tables: pd.DataFrame) -> dict[str, Any]:
    """The validation report; nothing is estimated."""
    plan = expand(load_job(written(folder, job, **tables)))
    return Reader().load(plan.cells[0].job).validation.to_dict(ENGLISH.note)


def german(column: pd.Series) -> pd.Series:
    return column.map("{:,.6f}".format).str.translate(str.maketrans(",.", ".,"))


def english(column: pd.Series) -> pd.Series:
    return column.map("{:,.6f}".format)


def large_panel() -> pd.DataFrame:
    """A panel with positive numbers of more than three digits before the point."""
    frame = city_panel(3)
    return frame.assign(
        output=(4000 + 100 * frame["output"]).round(6), schools=(1e5 * frame["schools"]).round(6)
    )


WRITERS: dict[str, Callable[[pd.Series], pd.Series]] = {"comma": german, "point": english}


@pytest.mark.parametrize("decimal", WRITERS)
def test_a_panel_and_a_joined_table_each_with_its_decimal_sign(tmp_path: Path, decimal: str) -> None:
    frame, write = large_panel(), WRITERS[decimal]
    expected = coefficients(run_panel(frame))
    numbers = ["output", "density", "population", "latitude", "longitude"]
    panel = frame.drop(columns="schools").assign(**{name: write(frame[name].round(6)) for name in numbers})
    expected = coefficients(run_panel(frame.assign(**{name: frame[name].round(6) for name in numbers})))
    schools = frame[["city", "year"]].assign(schools=german(frame["schools"]))
    block = {"source": "a.txt", "decimal": decimal, "join": [{"source": "b.txt", "decimal": "comma"}]}
    results = run_in(tmp_path, {**PANEL_JOB, "panel": block}, a=panel, b=schools)
    np.testing.assert_allclose(coefficients(results), expected, rtol=1e-9)
    assert "column 'schools': 112 cells with a decimal comma" in warned(results)
    assert f"column 'output': {len(frame)} cells with separators of thousands" in warned(results)


def test_text_of_a_data_frame_follows_the_same_rule() -> None:
    frame = large_panel()
    job = {**PANEL_JOB, "panel": {"source": "frame:panel", "decimal": "comma"}}
    results = engine.run(job, frames={"panel": frame.assign(output=german(frame["output"]))})
    np.testing.assert_allclose(coefficients(results), coefficients(run_panel(frame)), rtol=1e-9)
    table = pair_table(5)
    pairs = {"source": "frame:pair_table", **TABLE}
    shares = table.assign(x=(100 * table["x"]).map("{:.10f}%".format))
    results = engine.run({**TABLE_JOB, "pair_table": pairs}, frames={"pair_table": shares})
    np.testing.assert_allclose(coefficients(results), coefficients(run_table(table)), rtol=1e-7)
    assert f"column 'x': {len(table)} cells with a percent sign (shares)" in warned(results)


def test_numbers_of_a_pair_table(tmp_path: Path) -> None:
    table = pair_table(5)
    table = table.assign(y=(5000 + 1000 * table["y"]).round(6))
    pairs = {"source": "a.txt", **TABLE}
    results = run_in(tmp_path, {**TABLE_JOB, "pair_table": pairs}, a=table.assign(y=english(table["y"])))
    np.testing.assert_allclose(coefficients(results), coefficients(run_table(table)), rtol=1e-9)
    assert "column 'y': " in warned(results)
    with pytest.raises(InputError, match=r"column 'y': '[-0-9.,]+' has a decimal comma, while column 'x'"):
        run_in(tmp_path, {**TABLE_JOB, "pair_table": pairs}, a=table.assign(y=german(table["y"])))


def test_recoded_columns_of_every_kind_of_table(tmp_path: Path) -> None:
    """Numbers behind words in a panel, a joined table and a pair table; labels, names and years of adoption."""
    rng = np.random.default_rng(4)
    frame = city_panel(3)
    tier, order = (pd.Series(rng.integers(1, 4, len(frame))) for _ in range(2))
    words = {1: "县级", 2: "地级", 3: "省会"}
    back = {word: number for number, word in words.items()}
    job = {**PANEL_JOB, "controls": {"edu": {"neg_abs_diff": "tier"}, "dense": {"neg_abs_diff": "rank"}}}
    expected = coefficients(run_panel(frame.assign(tier=tier, rank=4 - order), controls=job["controls"]))
    messy = frame.assign(
        level=tier.map(words), pilot_year=frame["pilot_year"].map({2013: "一三", 2015: 2015})
    )
    messy["city"] = messy["city"].replace("city03", "旧名")
    panel = {
        "source": "a.txt",
        "columns": {"tier": "level"},
        "recode": {"tier": back, "pilot_year": {"一三": 2013}, "city": {"旧名": "city03"}},
        "join": [
            {"source": "b.txt", "recode": {"rank": {word: 4 - number for word, number in back.items()}}}
        ],
    }
    rank = frame[["city", "year"]].assign(rank=order.map(words))
    results = run_in(tmp_path, {**job, "panel": panel}, a=messy, b=rank)
    np.testing.assert_allclose(coefficients(results), expected, rtol=1e-9)
    assert "a.txt: column 'level': 112 cells recoded (" in warned(results)
    assert "b.txt: column 'rank': 112 cells recoded (" in warned(results)
    del panel["recode"]["tier"]["地级"]  # type: ignore[index]
    with pytest.raises(InputError, match="'地级' is not a number") as caught:
        run_in(tmp_path, {**job, "panel": panel}, a=messy, b=rank)
    assert "panel.recode: {level: {地级: NUMBER}}" in str(caught.value.remedy)
    table = pair_table(5)
    table["x"] = np.sign(table["x"])
    pairs = {"source": "a.txt", **TABLE, "recode": {"x": {"升": 1, "降": -1}}}
    results = run_in(
        tmp_path, {**TABLE_JOB, "pair_table": pairs}, a=table.assign(x=table["x"].map({1: "升", -1: "降"}))
    )
    np.testing.assert_allclose(coefficients(results), coefficients(run_table(table)), rtol=1e-9)


def test_labels_may_be_recoded(tmp_path: Path) -> None:
    frame = city_panel(3)
    frame["province"] = np.where(frame["city"].str[-1] < "5", "north", "south")
    by_province: dict[str, Any] = {"inference": {"jackknife": {"by": "province"}}}
    expected = run_panel(frame, **by_province).influence
    short = frame.assign(province=frame["province"].map({"north": "N", "south": "south"}))
    panel = {"source": "a.txt", "recode": {"province": {"N": "north"}}}
    results = run_in(tmp_path, {**PANEL_JOB, **by_province, "panel": panel}, a=short)
    assert results.influence["left_out"].tolist() == expected["left_out"].tolist()
    assert "panel.recode.province lacks 1 value of the column, which stays as it is: 'south'" in warned(
        results
    )


@pytest.mark.parametrize(
    ("panel", "message"),
    [
        ({"source": "builtin:china_demo", "decimal": "comma"}, r"panel\.decimal: has no meaning in this job"),
        ({"source": "builtin:china_demo", "recode": {"tier": {"a": 1}}}, r"panel\.recode: there is no column 'tier'"),
        ({"source": "a.txt", "recode": {"tier": {}}}, r"panel\.recode\.tier: "),
        ({"source": "a.txt", "recode": {"tier": {"a": True}}}, r"panel\.recode\.tier\.a: must be"),
        ({"source": "a.txt", "columns": {"tier": "schools"}, "recode": {"tier": {"a": 1}, "schools": {"a": 1}}},
         r"panel\.recode: two names stand for one column"),
        ({"source": "a.txt", "decimal": "dot"}, r"panel\.decimal: must be 'point' or 'comma' \(got 'dot'\)"),
        ({"source": "a.txt", "join": [{"source": "builtin:pilots", "decimal": "comma"}]},
         r"panel\.join\[0\]\.decimal: decimal says how a file is read, but the source is builtin"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, panel: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_in(tmp_path, {**PANEL_JOB, "panel": panel}, a=city_panel(3))


def test_a_frame_of_a_text_with_decimal_commas(tmp_path: Path) -> None:
    """``1.234`` stays what it is until the job says that it is 1234."""
    frame = large_panel()
    text = frame.assign(output=german(frame["output"]))
    text["schools"] = (1000 * frame["schools"]).round().map("{:,.0f}".format).str.replace(",", ".")
    text[["density", "population", "latitude", "longitude"]] = text[
        ["density", "population", "latitude", "longitude"]
    ].apply(german)
    text.to_csv(tmp_path / "a.txt", index=False, sep=";")
    read = dyadid.read(tmp_path / "a.txt", decimal="comma")
    assert read["year"].dtype == np.int64
    whole = frame.assign(schools=(1000 * frame["schools"]).round())
    job = {**PANEL_JOB, "panel": {"source": "frame:panel", "decimal": "comma"}}
    results = engine.run(job, frames={"panel": read})
    np.testing.assert_allclose(coefficients(results), coefficients(run_panel(whole)), rtol=1e-5)


def lines_of(message: str) -> list[str]:
    """Lines of a job that an error proposes."""
    return [
        line.partition("in the job file: ")[2] or line.partition("in the job file, together: ")[2]
        for line in message.splitlines()
        if "in the job file" in line
    ]


def mended(job: dict[str, Any], message: str) -> dict[str, Any]:
    for line in lines_of(message):
        key, _, value = line.partition(": ")
        job = assign(job, tuple(key.split(".")), yaml.safe_load(value))
    return job


def test_the_lines_of_an_error_mend_a_pair_table(tmp_path: Path) -> None:
    table = pair_table(5, missing=0.0).assign(w=1.0)
    expected = run_table(
        table, model={"regressors": ["x"]}, pair_table={"source": "pairs.parquet", **TABLE, "weight": "w"}
    )
    messy = pd.concat([table, table.iloc[[4]]], ignore_index=True).astype({"year": object, "x": object})
    total = pd.DataFrame(
        [{"one": "total", "other": "", "year": 2010}, {"one": "u1", "other": "u1", "year": 2011}]
    )
    note = pd.DataFrame([{"one": "u1", "other": "u2", "year": "preliminary"}])
    messy = pd.concat([messy, total, note], ignore_index=True)
    job = {
        **TABLE_JOB,
        "model": {"regressors": ["x"]},
        "pair_table": {"source": "a.txt", **TABLE, "weight": "w"},
    }
    for _ in range(3):  # a row that is repeated is looked for where all rows have units and years
        try:
            results = run_in(tmp_path, job, a=messy)
        except InputError as error:
            job = mended(job, str(error))
    assert coefficients(results) == pytest.approx(coefficients(expected), rel=1e-9)
    lost = table.assign(w=table["w"].where(table.index % 11 != 0, -9))
    job["pair_table"].pop("skip_rows")
    with pytest.raises(InputError, match="the weight is -9") as caught:
        run_in(tmp_path, job, a=lost)
    assert lines_of(str(caught.value)) == ["pair_table.missing: {w: [-9]}  # if that means missing"]
    coded = run_in(tmp_path, mended(job, str(caught.value)), a=lost)
    whole = run_in(tmp_path, job, a=table[table.index % 11 != 0])
    assert coefficients(coded) == pytest.approx(coefficients(whole), rel=1e-9)


def test_a_pair_in_both_orders_is_mended_by_its_line(tmp_path: Path) -> None:
    table = pair_table(5, directed=True)
    job = {**TABLE_JOB, "pair_table": {"source": "a.txt", **TABLE}}
    with pytest.raises(InputError, match="is false, but") as caught:
        report_of(tmp_path, job, a=table)
    report = report_of(tmp_path, mended(job, str(caught.value)), a=table)
    assert report["directed"] is True
    assert report["n_pairs"] == len(table[["one", "other"]].drop_duplicates())


def test_a_zero_that_is_a_code_is_mended_by_its_line(tmp_path: Path) -> None:
    frame = city_panel(3)
    frame.loc[(frame["city"] == "city03") & (frame["year"] == 2013), "schools"] = 0.0
    job = {**PANEL_JOB, "panel": {"source": "a.txt"}}
    with pytest.raises(InputError, match="the logarithm of 'schools' is taken, but it is 0") as caught:
        run_in(tmp_path, job, a=frame)
    assert lines_of(str(caught.value)) == ["panel.missing: {schools: [0]}  # if that means missing"]
    results = run_in(tmp_path, mended(job, str(caught.value)), a=frame)
    assert coefficients(results) == pytest.approx(
        coefficients(run_panel(frame[frame["city"] != "city03"])), rel=1e-9
    )


def test_rows_outside_the_sample_years_are_counted(tmp_path: Path) -> None:
    job = {**PANEL_JOB, "panel": {"source": "a.txt"}, "years": [2011, 2016]}
    [note] = report_of(tmp_path, job, a=city_panel(3))["notes"]
    assert note == "28 of 112 rows of the table are of years outside 2011 to 2016 and are left out"
    table = pair_table(5)
    job = {**TABLE_JOB, "pair_table": {"source": "a.txt", **TABLE}, "years": [2011, 2017]}
    [note] = report_of(tmp_path, job, a=table)["notes"]
    count = int((table["year"] == 2010).sum())
    assert note.startswith(f"{count} of {len(table)} rows of the table are of years outside 2011 to 2017")


def test_problems_of_several_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("city;x\nA;1,5\nB;2,25\n")
    job = {**PANEL_JOB, "panel": {"source": "gone.csv", "join": [{"source": "b.csv"}, {"source": "a.txt"}]}}
    with pytest.raises(InputError) as caught:
        run_in(tmp_path, job, a=city_panel(3))
    text = str(caught.value)
    assert "2 problems" in text
    assert "gone.csv: there is no such file" in text
    assert "b.csv: the columns are separated by semicolons and decimals are written with commas" in text
    assert "(1234.5), or state panel.join[0].decimal: comma" in text


def test_lines_name_rows_only_where_a_key_can(tmp_path: Path) -> None:
    """Rows of a data frame have no key, and rows of a joined table are not those of the message."""
    frame = city_panel(3).astype({"city": object})
    frame.loc[len(frame)] = {"city": "total"}
    with pytest.raises(InputError, match="a row has no year") as caught:
        engine.run({**PANEL_JOB, "panel": {"source": "frame:panel"}}, frames={"panel": frame})
    assert "in the job file" not in str(caught.value)
    frame = city_panel(3)
    schools = frame[["city", "year"]].assign(schools=frame["schools"].astype(object))
    schools.loc[0, "schools"] = "persons"
    panel = {"source": "a.txt", "join": [{"source": "b.txt"}]}
    with pytest.raises(InputError, match="'persons' is not a number") as caught:
        run_in(tmp_path, {**PANEL_JOB, "panel": panel}, a=frame.drop(columns="schools"), b=schools)
    assert lines_of(str(caught.value)) == ["panel.missing: {schools: [persons]}  # if it means missing"]
