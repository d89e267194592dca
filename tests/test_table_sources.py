"""Tables of a job: what its blocks say about a file, what is hashed, what is told about sheets."""

from __future__ import annotations

from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from bad_data import PANEL, cities, trade
from sentences import english

from engine.cities import builtin
from engine.errors import InputError
from engine.spec import expand, load_job
from engine.spec.data import Panel
from engine.stages.city_data import CityData
from engine.stages.describe import check_lines
from engine.stages.load_data import Reader
from engine.stages.pair_data import PairData
from engine.stages.prepare_passes import prepare_job
from engine.stages.source import file_columns, read_source
from engine.tables.read import file_hash

JOIN = "panel: {{source: cities.csv, join: [{{source: {source}{more}}}]}}"


def load(folder: Path, job: str) -> CityData | PairData:
    (folder / "job.yaml").write_text(job, encoding="utf-8")
    return Reader().load(expand(load_job(folder / "job.yaml")).cells[0].job)


def book(path: Path, sheets: dict[str, pd.DataFrame], *, above: int = 0) -> None:
    with pd.ExcelWriter(path) as writer:
        for name, frame in sheets.items():
            frame.to_excel(writer, sheet_name=name, index=False, startrow=above)


def test_every_kind_of_table_takes_sheet_header_and_skipped_rows(tmp_path: Path) -> None:
    """The same data, below a title and above a row of units on the second sheet, are the same panel."""
    panel, pairs = cities().round(6), trade().round(6)  # openpyxl writes 16 digits
    panel.drop(columns="science").to_csv(tmp_path / "cities.csv", index=False)
    science = panel[["city", "year", "science"]]
    science.to_csv(tmp_path / "plain.csv", index=False)
    units = pd.DataFrame([dict.fromkeys(science, "unit")])
    book(tmp_path / "x.xlsx", {"notes": panel, "data": pd.concat([units, science])}, above=2)
    said = ", sheet: data, header: 3, skip_rows: 1"
    plain, of_sheet = (
        load(tmp_path, PANEL.replace("panel: {source: cities.csv}", JOIN.format(source=name, more=more)))
        for name, more in (("plain.csv", ""), ("x.xlsx", said))
    )
    assert isinstance(of_sheet, CityData)
    assert isinstance(plain, CityData)
    assert of_sheet.panel.content_hash == plain.panel.content_hash
    units = pd.DataFrame([dict.fromkeys(pairs, "unit")])
    book(tmp_path / "t.xlsx", {"notes": panel, "data": pd.concat([units, pairs])}, above=2)
    job = (
        "job: t\npair_table: {source: t.xlsx, unit_i: a, unit_j: b, year: year, sheet: data, header: 3, "
        "skip_rows: [4]}\noutcome: {column: y}\nmodel: {regressors: [x]}\n"
    )
    data = load(tmp_path, job)
    assert isinstance(data, PairData)
    assert data.source.frame["y"].tolist() == pairs["y"].tolist()


def test_which_sheet_was_read_is_a_warning_and_part_of_check(tmp_path: Path) -> None:
    book(tmp_path / "cities.xlsx", {"data": cities(), "more": trade()})
    told = "cities.xlsx: the sheet 'data' was read; the workbook also has more (panel.sheet names another)"
    data = load(tmp_path, PANEL.replace("cities.csv", "cities.xlsx"))
    assert isinstance(data, CityData)
    assert english(data.validation.warnings)[0] == told
    plan = expand(load_job(tmp_path / "job.yaml"))
    assert told in "\n".join(check_lines(plan, prepare_job(plan)))
    with pytest.raises(InputError, match=r"cities\.xlsx \(sheet 'data'\)"):
        load(tmp_path, PANEL.replace("cities.csv", "cities.xlsx").replace("science", "scienze"))
    book(tmp_path / "trade.xlsx", {"data": trade(), "more": cities()})
    (tmp_path / "job.yaml").write_text(
        "job: t\npair_table: {source: trade.xlsx, unit_i: a, unit_j: b, year: year}\noutcome: {column: y}\n"
        "model: {regressors: [x]}\n"
    )
    plan = expand(load_job(tmp_path / "job.yaml"))
    assert (
        "the sheet 'data' was read; the workbook also has more (pair_table.sheet names another)"
        in "\n".join(check_lines(plan, prepare_job(plan)))
    )


@pytest.mark.parametrize(
    ("column", "kind"),
    [("pilot_year", "error"), ("pilot_year", "formula"), ("gdp", "error"), ("city", "error")],
)
def test_cells_without_a_value_are_refused_where_the_job_reads_them(
    tmp_path: Path, column: str, kind: str
) -> None:
    frame = cities().assign(unread=1.0)
    frame.to_excel(tmp_path / "cities.xlsx", index=False)
    workbook = openpyxl.load_workbook(tmp_path / "cities.xlsx")
    for name in (column, "unread"):
        cell = workbook.active.cell(7, list(frame.columns).index(name) + 1)
        cell.value = "=A1+1" if kind == "formula" else "#REF!"
        cell.data_type = "f" if kind == "formula" else "e"
    workbook.save(tmp_path / "cities.xlsx")
    letter = openpyxl.utils.get_column_letter(list(frame.columns).index(column) + 1)
    holds = "#REF!" if kind == "error" else "a formula without a stored value"
    with pytest.raises(
        InputError, match=f"column '{column}': cell {letter}7 of sheet 'Sheet1' holds {holds}"
    ):
        load(tmp_path, PANEL.replace("cities.csv", "cities.xlsx"))
    workbook.active.cell(7, list(frame.columns).index(column) + 1).value = "C0" if column == "city" else 2014
    workbook.save(tmp_path / "cities.xlsx")
    load(tmp_path, PANEL.replace("cities.csv", "cities.xlsx"))  # nothing reads the other column


@pytest.mark.parametrize(
    ("job", "key"),
    [
        (PANEL, "panel.encoding"),
        (PANEL.replace("panel: {source: cities.csv}", JOIN.format(source="u.csv", more="")),
         r"panel\.join\[0\]\.encoding"),
        ("job: t\npair_table: {source: u.csv, unit_i: a, unit_j: b, year: year}\noutcome: {column: y}\n"
         "model: {regressors: [x]}\n", "pair_table.encoding"),
    ],
)  # fmt: skip
def test_the_hint_about_the_encoding_names_the_key_of_the_table(tmp_path: Path, job: str, key: str) -> None:
    cities().to_csv(
        tmp_path / "cities.csv", index=False, encoding="utf-16" if key == "panel.encoding" else "utf-8"
    )
    trade().to_csv(tmp_path / "u.csv", index=False, encoding="utf-16")
    with pytest.raises(InputError, match=f"hint: state {key}: utf-16"):
        load(tmp_path, job)


def test_hash_of_a_file_and_of_a_built_in_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cities().to_csv(tmp_path / "cities.csv", index=False)
    data = load(tmp_path, PANEL)
    before = file_hash(tmp_path / "cities.csv")
    cities().assign(gdp=1.0).to_csv(tmp_path / "cities.csv", index=False)
    assert data.source.sha256 == before  # of what was read, not of what is there now
    block = Panel(source="builtin:euro")
    frame, hashes = builtin.load("euro"), [read_source(block, {}, key="panel").sha256]
    names = list(frame.columns)
    swapped = frame.set_axis([*names[:-2], names[-1], names[-2]], axis=1)
    first = frame.select_dtypes("number").columns[0]
    for other in (swapped, frame.iloc[::-1], frame.astype({first: "float32"}), frame.drop(columns=names[-1])):
        monkeypatch.setattr(builtin, "load", lambda name, other=other: other)
        hashes.append(read_source(block, {}, key="panel").sha256)
    assert len(set(hashes)) == 5


def test_what_files_take_and_built_in_tables_do_not() -> None:
    for key, value in {"sheet": "a", "encoding": "utf-8", "header": 2, "skip_rows": [3]}.items():
        with pytest.raises(InputError, match=f"^panel.{key}: {key} says how a file is read"):
            read_source(Panel.model_validate({"source": "builtin:euro", key: value}), {}, key="panel")


@pytest.mark.parametrize(
    "text", ["header: 0", "header: true", "skip_rows: -1", "skip_rows: [1]", "skip_rows: two"]
)
def test_rows_that_no_file_has(tmp_path: Path, text: str) -> None:
    cities().to_csv(tmp_path / "cities.csv", index=False)
    with pytest.raises(InputError, match=f"panel.{text.partition(':')[0]}"):
        load(tmp_path, PANEL.replace("source: cities.csv", f"source: cities.csv, {text}"))


def test_columns_of_the_file_behind_canonical_names() -> None:
    columns = {"gdp": "GDP / people", "people": "`Pop (10k)` * 1e4", "x": "x * 2", "growth": "growth(gdp)"}
    assert {"GDP", "Pop (10k)"} <= file_columns(["gdp"], columns)
    assert {"GDP", "Pop (10k)"} <= file_columns(["growth"], columns)
    assert "x" in file_columns(["x"], columns)
    assert file_columns(["city"], {}) == {"city"}
    assert "gdp" not in file_columns(["people"], columns)
