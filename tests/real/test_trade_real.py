"""Real trade every four years: lagged and unlagged agreements against numbers computed once, and against pyfixest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from peers import against_pyfixest, cell

import engine

DATA = Path(__file__).parents[3] / "shared" / "data" / "oracles" / "gravity_advanced_guide.parquet"
JOB = """
job: trade
pair_table: {source: trade.parquet, unit_i: exporter, unit_j: importer, year: year, directed: true}
outcome: {column: log(trade)}
model: {regressors: [rta], errors: [pair, city]}
sweep: {model.lag: [0, 4]}
"""

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not DATA.exists(), reason=f"no real trade table: {DATA.name} is not there"),
]


def test_agreements_and_those_of_four_years_before(tmp_path: Path) -> None:
    frame = pd.read_parquet(DATA)[["trade", "rta", "year", "exp_year", "imp_year"]]
    ends = {name: frame[f"{name[:3]}_year"].astype(str).str[:-4] for name in ("exporter", "importer")}
    frame = frame[["trade", "rta", "year"]].assign(**ends)
    frame.to_parquet(tmp_path / "trade.parquet")
    (tmp_path / "job.yaml").write_text(JOB, encoding="utf-8")
    results = engine.run(tmp_path / "job.yaml")
    zero = int((frame["trade"] == 0).sum())
    assert zero == 2463
    assert [
        text for text in results.manifest["warnings"] if text.startswith("2,463 of 28,152 rows have an infin")
    ]
    long = frame.rename(columns={"exporter": "city_i", "importer": "city_j"})
    long = long.assign(y=np.log(long["trade"].where(long["trade"] > 0)))
    late = long[["city_i", "city_j", "year", "rta"]].assign(year=long["year"] + 4)
    lagged = long.drop(columns="rta").merge(late, on=["city_i", "city_j", "year"])
    for number, (rows, coefficient) in enumerate([(long, 0.470137), (lagged, 0.460038)]):
        ours = cell(results, number)
        assert round(ours["pair"].loc["rta", "estimate"], 6) == coefficient
        against_pyfixest(ours, rows, ["rta"])
