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
