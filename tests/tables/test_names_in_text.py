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
}


def text_file(folder: Path, table: dict[str, list[str]], name: str = "t.csv", repeats: int = 3) -> Path:
    separator = {".csv": ",", ".tsv": "\t", ".txt": ";"}[Path(name).suffix]
    frame = pd.DataFrame({column: cells * repeats for column, cells in table.items()})
    path = folder / name
    frame.to_csv(path, index=False, sep=separator)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt"])
@pytest.mark.parametrize("family", FAMILIES)
def test_names_are_the_texts_of_the_file(family: str, name: str, tmp_path: Path) -> None:
    """The other column keeps rows without a name."""
    cells = FAMILIES[family]
    frame = read_file(
        text_file(tmp_path, {"name": cells, "x": [str(k) for k in range(len(cells))]}, name)
    ).frame
    expected = read_labels([pd.Series(cells * 3, dtype=object)], source="typed")
    found = read_labels([frame["name"]], source="text")
    assert found.names == expected.names
    np.testing.assert_array_equal(found.codes[0], expected.codes[0])
    assert pd.api.types.is_integer_dtype(frame["x"].dtype)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"blanks"}))
def test_they_are_numbers_where_a_number_is_needed(family: str, tmp_path: Path) -> None:
    cells = FAMILIES[family]
    frame = read_file(
        text_file(tmp_path, {"v": cells, "x": [str(k) for k in range(len(cells))]}, repeats=2)
    ).frame
    values, _ = numbers(frame["v"], source="t.csv")
    np.testing.assert_array_equal(values, [float(cell) if cell else np.nan for cell in cells * 2])


def test_a_code_beside_an_empty_cell_has_no_decimals(tmp_path: Path) -> None:
    """As other programs write whole numbers of a column with gaps."""
    frame = read_file(text_file(tmp_path, {"c": ["110000.0", "", "120000.0"], "x": ["1", "2", "3"]})).frame
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
