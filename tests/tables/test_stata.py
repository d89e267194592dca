"""Stata files, as pandas writes them: labels of variables and values, missing values, dates of years."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.errors import InputError
from engine.tables.headers import FileLayout
from engine.tables.read import read_file


def written(path: Path, **options: object) -> Path:
    frame = pd.DataFrame(
        {
            "city": ["杭州", "宁波", "温州"],
            "year": [2010, 2011, 2012],
            "gdp": [1.5, np.nan, 3.0],
            "rank": pd.Categorical(["副省级", "地级", "地级"]),
            "pilot": [0, 1, 0],
            "partly": [1, 2, 3],
        }
    )
    labels = {"pilot": {0: "no", 1: "yes"}, "partly": {1: "one"}}
    frame.to_stata(
        path,
        write_index=False,
        version=118,
        variable_labels={"gdp": "GDP(亿元)"},
        value_labels=labels,
        **options,
    )
    return path


def test_values_and_labels(tmp_path: Path) -> None:
    table = read_file(written(tmp_path / "a.dta"))
    assert table.frame["city"].tolist() == ["杭州", "宁波", "温州"]
    assert table.frame["rank"].tolist() == ["副省级", "地级", "地级"]
    assert table.frame["pilot"].tolist() == [0, 1, 0]
    assert table.frame["partly"].tolist() == [1, 2, 3]
    assert np.isnan(table.frame["gdp"][1])
    assert table.labels == {"gdp": "GDP(亿元)"}


def test_damaged_and_misplaced(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dta")
    content = path.read_bytes()
    for cut in (0, 10, 200, len(content) // 2):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError, match=r"a\.dta"):
            read_file(path)
    path.write_bytes(content)
    with pytest.raises(InputError, match="header or skip_rows is given"):
        read_file(path, FileLayout(header=2))


def test_labels_that_are_not_alone_or_are_numbers_stay_numbers(tmp_path: Path) -> None:
    """苏州 and 宿州 are both Suzhou: as labels they would be one city."""
    frame = pd.DataFrame({"code": [1, 2], "level": [1, 2]})
    labels = {"code": {1: "Suzhou", 2: "Suzhou"}, "level": {1: "10", 2: "20"}}
    frame.to_stata(tmp_path / "a.dta", write_index=False, value_labels=labels)
    assert read_file(tmp_path / "a.dta").frame.to_dict("list") == {"code": [1, 2], "level": [1, 2]}


def test_an_old_file_does_not_say_its_encoding(tmp_path: Path) -> None:
    """Formats before 118 are read as Latin-1: a city of a GBK file would be another name."""
    path = tmp_path / "old.dta"
    frame = pd.DataFrame({"city": ["苏州".encode("gb18030").decode("latin-1"), "plain"], "x": [1.0, 2.0]})
    frame.to_stata(path, write_index=False, version=117)
    with pytest.raises(InputError, match="does not say its encoding"):
        read_file(path)
    assert read_file(path, FileLayout(encoding="gb18030")).frame["city"].tolist() == ["苏州", "plain"]
    with pytest.raises(InputError, match="is not in encoding utf-8"):
        read_file(path, FileLayout(encoding="utf-8"))
    with pytest.raises(InputError, match="is no encoding"):
        read_file(path, FileLayout(encoding="gb99"))
    with pytest.raises(InputError, match="text of Stata 14 and later is UTF-8"):
        read_file(written(tmp_path / "a.dta"), FileLayout(encoding="gb18030"))


def test_yes_and_no_of_an_old_file_are_an_indicator(tmp_path: Path) -> None:
    path = tmp_path / "old.dta"
    labels = {
        "pilot": {value: text.encode("gb18030").decode("latin-1") for value, text in ((0, "否"), (1, "是"))}
    }
    pd.DataFrame({"pilot": [0, 1]}).to_stata(path, write_index=False, version=117, value_labels=labels)
    assert read_file(path, FileLayout(encoding="gb18030")).frame["pilot"].tolist() == [0, 1]
