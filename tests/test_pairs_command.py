"""``dyadid pairs``: the pair-year table behind a regression, for other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

EURO = str(Path(__file__).parents[1] / "jobs" / "euro.yaml")

Command = Callable[..., tuple[int, str, str]]


def test_pairs_of_a_regression(command: Command, tmp_path: Path) -> None:
    for ending, read in ((".parquet", pd.read_parquet), (".csv", pd.read_csv), (".dta", pd.read_stata)):
        code, out, _ = command("pairs", EURO, "--cell", "2", "--out", f"pairs{ending}")
        assert code == 0
        frame = read(tmp_path / f"pairs{ending}")
        assert (
            f"{len(frame):,} rows, columns unit_i, unit_j, year, synchronization of gdp_growth, euro, size"
            in out
        )
        assert len(frame) == 231 * 68
    assert frame.columns.tolist()[3] == "synchronization_of_gdp_growth"
    code, _, err = command("pairs", EURO, "--out", "pairs.parquet")
    assert (code, "3 cells could be meant" in err) == (2, True)
    code, _, err = command("pairs", EURO, "--out", "pairs.xlsx")
    assert (code, "take one of .parquet, .csv, .dta" in err) == (2, True)


def test_a_place_without_folder_is_refused_before_work(command: Command, tmp_path: Path) -> None:
    (tmp_path / "afile").write_text("mine")
    (tmp_path / "p.csv").mkdir()
    for place, message in {
        "nodir/p.csv": "there is no folder nodir\n  hint: make it, or name another by --out",
        "afile/p.csv": "afile is a file, not a folder\n  hint: name another by --out",
        "p.csv": "this is a folder\n  hint: name a file in it, like pairs.parquet, by --out",
    }.items():
        assert command("pairs", "no_job.yaml", "--out", place) == (2, "", f"error: {place}: {message}\n")
