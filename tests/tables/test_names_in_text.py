"""Names that are numbers, in text files: they are read as the file writes them, as Parquet and Excel keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from strategies import PANEL_JOB, TABLE_JOB, city_panel, pair_table

import engine
from engine.tables.cell_values import numbers
from engine.tables.headers import FileLayout
from engine.tables.labels import read_labels
from engine.tables.read import read_file

FAMILIES = {
    "zeros": ["01", "1", "007", "7", "10"],
    "zeros of one length": ["01", "02", "03", "10", "11"],
    "zero and zeros": ["0", "00", "000"],
    "zeros and a gap": ["01", "", "2"],
    "plus": ["+1", "1", "2"],
    "minus zero": ["-0", "0", "1"],
    "sections": ["1.1", "1.10", "1.2", "1.20"],
    "sections with zeros": ["01.5", "1.5", "2.5"],
    "one form of sections": ["1.1", "1.2", "2.1"],
    "exponents": ["1e1", "2E3", "10"],
    "long": ["12345678901234567", "12345678901234568"],
    "long and a gap": ["12345678901234567", "", "1"],
    "longer": ["0012345678901234567890123", "12345678901234567890123"],
    "provinces": ["110000", "120000", "130000"],
    "blanks": [" 01", "01 ", "1"],
    "points": ["1.0", "1", "2.0", "2.00"],
    "truths": ["TRUE", "True", "FALSE"],
}


def text_file(folder: Path, table: dict[str, list[str]], name: str = "t.csv", repeats: int = 3) -> Path:
    separator = {".csv": ",", ".tsv": "\t", ".txt": ";"}[Path(name).suffix]
    frame = pd.DataFrame({column: cells * repeats for column, cells in table.items()})
    path = folder / name
    frame.to_csv(path, index=False, sep=separator)
    return path


def read_names(path: Path, *names: str | int) -> pd.DataFrame:
    return read_file(path, FileLayout(names=frozenset(names))).frame


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt"])
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_names_are_the_texts_of_the_file(family: str, repeats: int, name: str, tmp_path: Path) -> None:
    """The other column keeps rows without a name."""
    cells = FAMILIES[family]
    table = {"name": cells, "x": [str(k) for k in range(len(cells))]}
    path = text_file(tmp_path, table, name, repeats)
    expected = read_labels([pd.Series(cells * repeats, dtype=object)], source="typed")
    for key in ("name", 0):
        frame = read_names(path, key)
        found = read_labels([frame["name"]], source="text")
        assert found.names == expected.names
        np.testing.assert_array_equal(found.codes[0], expected.codes[0])
        assert pd.api.types.is_integer_dtype(frame["x"].dtype)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"blanks", "truths"}))
def test_they_are_numbers_where_a_number_is_needed(family: str, tmp_path: Path) -> None:
    """Of a column that is a name and a number too, and of one that is no name, which is read as ever."""
    cells = FAMILIES[family]
    path = text_file(tmp_path, {"v": cells, "x": [str(k) for k in range(len(cells))]}, repeats=2)
    expected = [float(cell) if cell else np.nan for cell in cells * 2]
    for frame in (read_names(path, "v"), read_names(path)):
        values, _ = numbers(frame["v"], source="t.csv")
        np.testing.assert_array_equal(values, expected)
    assert not any(isinstance(cell, str) for cell in read_names(path)["v"])


def test_a_code_beside_an_empty_cell_has_no_decimals(tmp_path: Path) -> None:
    """As other programs write whole numbers of a column with gaps."""
    path = text_file(tmp_path, {"c": ["110000.0", "", "120000.0"], "x": ["1", "2", "3"]})
    frame = read_names(path, "c")
    assert read_labels([frame["c"]], source="t.csv").names == ("110000", "120000")


def test_decimal_commas_change_nothing_of_codes(tmp_path: Path) -> None:
    """A job that states them reads 01 and 1 as two names too."""
    frame = coded(city_panel(1)).astype({"pilot_year": "Int64"})
    job = {**PANEL_JOB, "panel": {"source": "p.txt", "decimal": "comma"}}
    frame.to_csv(tmp_path / "p.txt", index=False, sep=";", decimal=",")
    expected = run_in(tmp_path, {**PANEL_JOB, "panel": {"source": "p.csv"}}, p=frame)
    assert_same_estimates(run_in(tmp_path, job), expected)


def coded(frame: pd.DataFrame, column: str = "city") -> pd.DataFrame:
    """Cities as codes of which two differ by a zero."""
    cities = sorted(frame[column].unique())
    codes = {city: f"{k:02d}" for k, city in enumerate(cities)} | {cities[-1]: "1"}
    return frame.assign(**{column: frame[column].map(codes)})


def assert_same_estimates(found: engine.Results, expected: engine.Results) -> None:
    """Labels of cells name the file that was read."""
    pd.testing.assert_frame_equal(
        found.estimates.drop(columns="cell"), expected.estimates.drop(columns="cell")
    )


def run_in(folder: Path, job: dict[str, Any], **tables: pd.DataFrame) -> engine.Results:
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job, sort_keys=False), encoding="utf-8")
    return engine.run(path)


def test_a_panel_of_codes_is_that_of_parquet(tmp_path: Path) -> None:
    frame = coded(city_panel(1))
    frame.to_parquet(tmp_path / "p.parquet")
    of_text, of_types = (
        run_in(tmp_path, {**PANEL_JOB, "panel": {"source": source}}, p=frame)
        for source in ("p.csv", "p.parquet")
    )
    assert_same_estimates(of_text, of_types)
    for results in (of_text, of_types):
        assert any("01 = 1 (zeros)" in text for text in results.manifest["warnings"])


def test_a_pair_table_of_codes_is_that_of_parquet(tmp_path: Path) -> None:
    """One column all digits, the other with a letter: a unit is one in both."""
    table = pair_table(1)
    units = sorted({*table["one"], *table["other"]})
    codes = dict(zip(units, [*(f"{k:02d}" for k in range(len(units) - 1)), "A"], strict=True))
    table = table.assign(one=table["one"].map(codes), other=table["other"].map(codes))
    assert table["one"].str.isdigit().all()
    table.to_parquet(tmp_path / "p.parquet")
    columns = {"unit_i": "one", "unit_j": "other", "year": "year", "directed": False}
    of_text, of_types = (
        run_in(tmp_path, {**TABLE_JOB, "pair_table": {"source": source, **columns}}, p=table)
        for source in ("p.csv", "p.parquet")
    )
    assert_same_estimates(of_text, of_types)


def test_codes_join_whatever_the_files_are(tmp_path: Path) -> None:
    frame = coded(city_panel(3))
    expected = run_in(tmp_path, {**PANEL_JOB, "panel": {"source": "a.csv"}}, a=frame)
    bare = frame.drop(columns="schools")
    bare.to_parquet(tmp_path / "a.parquet")
    for source in ("a.csv", "a.parquet"):
        panel = {"source": source, "join": [{"source": "b.csv"}]}
        found = run_in(tmp_path, {**PANEL_JOB, "panel": panel}, a=bare, b=frame[["city", "year", "schools"]])
        np.testing.assert_allclose(found.estimates["estimate"], expected.estimates["estimate"], rtol=1e-9)


@pytest.mark.parametrize("lacks", ["s1.1", "s1.10"])
def test_sections_join_a_table_with_one_row_a_city(lacks: str, tmp_path: Path) -> None:
    """No city is there twice, so that the column alone does not show what its numbers lose."""
    frame = city_panel(3)
    frame["trend"] = frame["year"] - 2009.0
    frame["city"] = "1." + (frame["city"].str[-2:].astype(int) + 1).astype(str)
    size = {city: float(k % 5) for k, city in enumerate(sorted(frame["city"].unique()))}
    sizes = pd.DataFrame({"city": list(size), "size": list(size.values())})
    sizes = sizes[sizes["city"] != lacks.removeprefix("s")]
    controls = {"controls": {"big": {"neg_abs_diff": "size * trend"}}}
    frame.to_parquet(tmp_path / "a.parquet")
    sizes.to_parquet(tmp_path / "b.parquet")
    of_text, of_types = (
        run_in(
            tmp_path,
            {**PANEL_JOB, **controls, "panel": {"source": f"a.{form}", "join": [{"source": f"b.{form}"}]}},
            a=frame,
            b=sizes,
        )
        for form in ("csv", "parquet")
    )
    assert_same_estimates(of_text, of_types)
    assert lacks.removeprefix("s") in str(of_text.manifest["warnings"])


def test_units_with_points_are_one_in_both_columns(tmp_path: Path) -> None:
    """One column has whole numbers alone, the other 2.0 beside 1.1."""
    table = pair_table(2, n_units=10)
    units = sorted({*table["one"], *table["other"]})
    names = {unit: f"{k // 2 + 1}.{k % 2}" for k, unit in enumerate(units)}
    table = table.assign(one=table["one"].map(names), other=table["other"].map(names))
    table = table[table["one"].str.endswith(".0")]
    table.to_parquet(tmp_path / "p.parquet")
    columns = {"unit_i": "one", "unit_j": "other", "year": "year"}
    of_text, of_types = (
        run_in(tmp_path, {**TABLE_JOB, "pair_table": {"source": source, **columns}}, p=table)
        for source in ("p.csv", "p.parquet")
    )
    assert_same_estimates(of_text, of_types)
    assert of_text.estimates["n_units"].iloc[0] == len(units)


def test_codes_for_missing_are_those_of_numbers(tmp_path: Path) -> None:
    """0 is a code that 00 is too; as a text it is not."""
    labels = {
        code: read_labels([pd.Series(["00", "01", "0.0"])], source="t", missing=[code]).names
        for code in (0, "0", "00")
    }
    assert labels == {0: ("01",), "0": ("0", "00", "01"), "00": ("0", "01")}
    table = pair_table(1)
    table["route"] = np.array(["00", "01", "02"])[np.arange(len(table)) % 3]
    columns = {"unit_i": "one", "unit_j": "other", "year": "year", "missing": {"route": [0]}}
    model = {"regressors": ["x", "w"], "fixed_effects": ["pair", "year", "route"]}
    job = {**TABLE_JOB, "pair_table": {"source": "t.csv", **columns}, "model": model}
    found = run_in(tmp_path, job, t=table)
    kept = table[table["route"] != "00"]
    expected = run_in(tmp_path, job, t=kept)
    assert_same_estimates(found, expected)


def test_recoded_labels_are_the_texts_of_the_file(tmp_path: Path) -> None:
    frame = city_panel(3)
    frame["province"] = "0" + (frame["city"].str[-2:].astype(int) % 3 + 1).astype(str)
    recode = {"recode": {"province": {"01": "east", "02": "west", "03": "west"}}}
    jackknife = {"inference": {"jackknife": {"by": "province"}}}
    found = run_in(tmp_path, {**PANEL_JOB, "panel": {"source": "a.csv", **recode}, **jackknife}, a=frame)
    assert found.influence is not None
    assert sorted(found.influence["left_out"].unique()) == ["east", "west"]


def test_years_with_exponents_are_read(tmp_path: Path) -> None:
    """As Fortran, R and numpy write them."""
    frame = city_panel(3)
    expected = run_in(tmp_path, {**PANEL_JOB, "panel": {"source": "a.csv"}}, a=frame)
    written = frame.assign(
        year=frame["year"].map("{:.10e}".format), pilot_year=frame["pilot_year"].map("{:.6e}".format)
    )
    written["pilot_year"] = written["pilot_year"].replace("nan", "")
    found = run_in(tmp_path, {**PANEL_JOB, "panel": {"source": "a.csv"}}, a=written)
    assert_same_estimates(found, expected)


def test_labels_of_groups_are_texts(tmp_path: Path) -> None:
    """Provinces 1.1 and 1.10 were one."""
    frame = city_panel(3)
    place = frame["city"].str[-2:].astype(int) % 3
    frame["province"] = place.map({0: "1.1", 1: "1.10", 2: "1.2"})
    jackknife = {"inference": {"jackknife": {"by": "province"}}}
    found = run_in(tmp_path, {**PANEL_JOB, "panel": {"source": "a.csv"}, **jackknife}, a=frame)
    assert found.influence is not None
    assert sorted(found.influence["left_out"].unique()) == ["1.1", "1.10", "1.2"]


def test_links_between_codes(tmp_path: Path) -> None:
    """A matrix whose rows are codes was refused; a row for each link named cities that the panel lacks."""
    frame = coded(city_panel(1))
    cities = sorted(frame["city"].unique())
    ends = pd.DataFrame({"a": cities[:-1], "b": cities[1:]})
    adjacent = np.eye(len(cities), k=1, dtype=int)
    matrix = pd.DataFrame(adjacent + adjacent.T, columns=cities).assign(**{"": cities})[["", *cities]]
    model = {"errors": [{"network": {"links": 1, "kernel": "uniform"}}]}
    found = [
        run_in(
            tmp_path,
            {
                **PANEL_JOB,
                "panel": {"source": "a.csv", "links": {"source": "l.csv", **columns}},
                "model": model,
            },
            a=frame,
            l=table,
        )
        for table, columns in ((ends, {"unit_i": "a", "unit_j": "b"}), (matrix, {}))
    ]
    for results in found:
        assert f"l.csv: {len(cities) - 1} links between {len(cities)} cities" in str(results.validation)
    assert_same_estimates(*found)
