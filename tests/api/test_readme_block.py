"""The Python that both front pages show runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dyadid as dd
import numpy as np
import pandas as pd
import pyfixest as pf
import pytest
from strategies import city_panel, pair_table

ROOT = Path(__file__).parents[2]


def data(education: str) -> pd.DataFrame:
    names = {"city": "城市", "year": "年份", "pilot_year": "试点年份", "output": "gdp", "schools": education}
    return city_panel(0, 20).rename(columns=names)


@pytest.mark.parametrize(
    ("page", "file", "education"),
    [("README.md", "cities.dta", "education"), ("README.zh-CN.md", "城市面板.dta", "教育支出")],
)
def test_the_block_runs(
    page: str, file: str, education: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)
    monkeypatch.chdir(tmp_path)
    data(education).to_stata(file, write_index=False, version=118)
    trade = pair_table(0, directed=True).rename(columns={"one": "exporter", "other": "importer", "x": "rta"})
    trade["trade"] = np.exp(trade["y"])
    trade["pair"] = trade["exporter"] + trade["importer"]
    other = pf.feols("y ~ rta | pair + year", trade, vcov={"CRV1": "pair"})
    scope: dict[str, Any] = {"trade": trade, "other": other}
    exec(compile(block.replace("9999", "99"), page, "exec"), scope)
    assert isinstance(scope["fit"], dd.Result)
    assert {path.name for path in tmp_path.iterdir()} == {
        file,
        "f1.pdf",
        "t1.docx",
        "t1.yaml",
        "t1_panel.parquet",
    }
    assert dd.run("t1.yaml").tidy()["estimate"].tolist() == scope["fit"].tidy()["estimate"].tolist()
