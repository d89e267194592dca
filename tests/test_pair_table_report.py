"""What is said about a pair table: by `dyadid check`, in validation.json, in the manifest and on the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from strategies import pair_table

import engine
from engine.errors import InputError
from engine.pipeline import check, report
from engine.stages.describe import check_lines

Frame = pd.DataFrame
BLOCK = {"source": "t.csv", "unit_i": "one", "unit_j": "other", "year": "year"}


def job(folder: Path, table: Frame | str | None, block: dict[str, Any] | None = None, **blocks: Any) -> Path:
    if isinstance(table, str):
        (folder / "t.csv").write_text(table, encoding="utf-8")
    elif table is not None:
        table.to_csv(folder / "t.csv", index=False)
    content = {
        "job": "dyads",
        "pair_table": {**BLOCK, **(block or {})},
        "outcome": {"column": "y"},
        "model": {"regressors": ["x", "w"], "errors": ["pair", "dyadic"]},
        **blocks,
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def refusal(
    folder: Path, table: Frame | str | None, block: dict[str, Any] | None = None, **blocks: Any
) -> str:
    with pytest.raises(InputError) as caught:
        check(job(folder, table, block, **blocks))
    return str(caught.value)


def same(found: engine.Results, expected: engine.Results) -> None:
    """Every estimate equal to the last bit; the cell's number knows the keys of the job."""
    pd.testing.assert_frame_equal(
        found.estimates.drop(columns="cell"), expected.estimates.drop(columns="cell")
    )


# -- the report --------------------------------------------------------------------------------------------


def holed() -> Frame:
    frame = pair_table(3)
    frame.loc[[2, 5], "x"] = np.nan
    frame.loc[7, "y"] = -np.inf
    return frame


def test_check_shows_the_columns(tmp_path: Path) -> None:
    frame = holed()
    lines = list(check_lines(*check(job(tmp_path, frame))))
    n_pairs = len(frame.groupby(["one", "other"]))
    assert lines[1] == (
        f"t.csv: 9 units, {n_pairs} pairs, 2010 to 2017 (8 years), {len(frame)} rows, {len(frame) - 3} of them complete"
    )
    assert lines[3].split() == ["column", "min", "max", "mean", "missing", "infinite"]
    shown = {line.split()[0]: line.split()[1:] for line in lines[4:7]}
    for name, missing, infinite in (("x", 2, 0), ("w", 0, 0), ("y", 0, 1)):
        finite = frame[name][np.isfinite(frame[name])]
        numbers = [f"{value:.5g}" for value in (finite.min(), finite.max(), finite.mean())]
        assert shown[name] == [*numbers, str(missing), str(infinite)]
    assert f"warning: 2 of {len(frame)} rows lack a value (x: 2) and are left out" in lines[7]
    assert f"warning: 1 of {len(frame)} rows has an infinite or undefined outcome 'y'" in lines[8]
    assert lines[-2:] == [f"pairs of the table: {n_pairs} pairs, {len(frame)} rows", "ok"]


def test_a_sweep_shows_a_column_once(tmp_path: Path) -> None:
    path = job(tmp_path, holed(), sweep={"model.regressors": [["x"], ["x", "w"]], "model.lag": [0, 1]})
    lines = list(check_lines(*check(path)))
    first = [line.split()[0] if line else "" for line in lines]
    assert (first.count("x"), first.count("w"), first.count("y")) == (1, 1, 1)
    assert sum("regressors lagged by 1" in line for line in lines) == 1


def test_validation_and_manifest_hold_the_report(tmp_path: Path) -> None:
    frame = holed()
    engine.run(job(tmp_path, frame), out=tmp_path / "out")
    validation = json.loads((tmp_path / "out/dyads/validation.json").read_text(encoding="utf-8"))
    manifest = json.loads((tmp_path / "out/dyads/manifest.json").read_text(encoding="utf-8"))
    assert {name: validation[name] for name in ("source", "years", "n_units", "n_rows", "n_used", "lag")} == {
        "source": "t.csv", "years": [2010, 2017], "n_units": 9, "n_rows": len(frame),
        "n_used": len(frame) - 3, "lag": 0,
    }  # fmt: skip
    assert [column["column"] for column in validation["columns"]] == ["x", "w", "y"]
    assert validation["columns"][0]["minimum"] == frame["x"].min()
    assert validation["warnings"] == manifest["warnings"][:2]
    assert "infinite or undefined outcome 'y'" in manifest["warnings"][1]
    steps = manifest["counts"][0]["steps"]
    assert steps[0] == {
        "step": "pairs of the table", "step_code": {"code": "table_pairs", "values": {}},
        "pairs": validation["n_pairs"], "rows": len(frame),
    }  # fmt: skip
    assert steps[-1]["rows"] <= validation["n_used"]


def test_the_page_has_the_report_in_both_languages(tmp_path: Path) -> None:
    engine.run(job(tmp_path, holed(), model={"regressors": ["x", "w"], "lag": 1}), out=tmp_path / "out")
    english = report(tmp_path / "out", draw=False).read_text(encoding="utf-8")
    assert "Columns of the data (3)" in english
    assert "rows have no row of the same pair 1 year before" in english
    chinese = unescape(report(tmp_path / "out", draw=False, lang="zh").read_text(encoding="utf-8"))
    assert "的同一配对没有 1 年之前的数据" in chinese
    assert "的结果 'y' 为无穷大或无定义" in chinese
    said = re.sub(r"<[^>]*>", " ", chinese)
    assert not re.search(r"\bn (units|pairs|rows|used|missing|infinite|years)\b", said)


# -- blank rows --------------------------------------------------------------------------------------------

BLANKS: dict[str, Callable[[list[str]], list[str]]] = {
    "at the end": lambda lines: [*lines, "", ""],
    "commas at the end": lambda lines: [*lines, ",,,,,", ",,,,,"],
    "within": lambda lines: [*lines[:5], ",,,,,", "", *lines[5:]],
    "first": lambda lines: [lines[0], "", ",,,,,", *lines[1:]],
    "spaces and a zero-width space": lambda lines: [*lines, " , ,,,,", "\u200b,,,,,"],
}


@pytest.mark.parametrize("where", BLANKS)
def test_blank_rows_are_no_rows(where: str, tmp_path: Path) -> None:
    frame = pair_table(4)
    plain = engine.run(job(tmp_path, frame))
    lines = frame.to_csv(index=False).splitlines()
    found = engine.run(job(tmp_path, "\n".join(BLANKS[where](lines)) + "\n"))
    same(found, plain)
    assert found.validation["n_rows"] == len(frame)


def test_rows_with_values_but_neither_units_nor_year_are_passed_over_and_counted(tmp_path: Path) -> None:
    frame = pair_table(4)
    plain = engine.run(job(tmp_path, frame))
    lines = frame.to_csv(index=False).splitlines()
    found = engine.run(job(tmp_path, "\n".join([*lines[:4], ",,,1,2,3", *lines[4:], " ,,\u200b,total,,"])))
    same(found, plain)
    assert "2 rows without units and year passed over" in found.validation["notes"]


@pytest.mark.parametrize("column", ["x", "one"])
def test_rows_after_blank_ones_keep_their_numbers(column: str, tmp_path: Path) -> None:
    frame = pair_table(4).astype({"x": object})
    frame.loc[6, column] = "many" if column == "x" else " "
    lines = frame.to_csv(index=False).splitlines()
    said = refusal(tmp_path, "\n".join([*lines[:3], "", ",,,,,", *lines[3:]]))
    assert "row 10" in said


# -- names of units ----------------------------------------------------------------------------------------


def respelled(change: Callable[[str], str]) -> Frame:
    frame = pair_table(4, missing=0.0)
    fifth = frame.index % 5 == 0
    return frame.assign(one=frame["one"].where(~fifth, frame["one"].map(change)))


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name.replace("u", "ｕ"),
        lambda name: f"  {name}\u3000",
        lambda name: "\ufeff" + name,
        lambda name: name.translate(str.maketrans("012345678", "０１２３４５６７８")),
    ],
)
def test_spellings_of_one_name_are_one_unit(change: Callable[[str], str], tmp_path: Path) -> None:
    plain = engine.run(job(tmp_path, pair_table(4, missing=0.0)))
    found = engine.run(job(tmp_path, respelled(change)))
    same(found, plain)
    assert found.validation["n_units"] == 9


def test_names_that_are_nearly_the_same_are_reported_and_merged_on_request(tmp_path: Path) -> None:
    plain = engine.run(job(tmp_path, pair_table(4, missing=0.0)))
    split = engine.run(job(tmp_path, respelled(str.upper)))
    assert split.validation["n_units"] > 9
    [warning] = [text for text in split.manifest["warnings"] if "spelled nearly alike" in text]
    assert "U0 = u0 (case)" in warning
    assert "pair_table.merge_names: [case]" in warning
    merged = engine.run(job(tmp_path, respelled(str.upper), {"merge_names": ["case"]}))
    same(merged, plain)
    assert not [text for text in merged.manifest["warnings"] if "spelled" in text]
    assert any("were merged" in note for note in merged.validation["notes"])


def numbered(frame: Frame) -> Frame:
    return frame.assign(**{name: frame[name].str[1:].astype(int) + 110000 for name in ("one", "other")})


def test_codes_are_the_same_names_as_whole_numbers_floats_and_text(tmp_path: Path) -> None:
    frame = numbered(pair_table(4))
    frame = frame[frame["one"] != 110003].reset_index(drop=True)
    floats = frame.astype({"one": float})
    text = frame.assign(other=frame["other"].astype(str))
    for number, table in enumerate((frame, floats, text)):
        table.to_parquet(tmp_path / f"{number}.parquet")
    results = [engine.run(job(tmp_path, None, {"source": f"{number}.parquet"})) for number in range(3)]
    for other in results[1:]:
        same(other, results[0])


def test_codes_beside_codes_with_a_leading_zero_are_reported(tmp_path: Path) -> None:
    frame = numbered(pair_table(4))
    frame.assign(other="0" + frame["other"].astype(str)).to_parquet(tmp_path / "t.parquet")
    plan, prepared = check(job(tmp_path, None, {"source": "t.parquet"}))
    said = "\n".join(check_lines(plan, prepared))
    assert "0110001 = 110001 (zeros)" in said
    assert "pair_table.merge_names: [zeros]" in said
    assert prepared[0].pass_cells.data.validation.n_units == 16


# -- orders of a pair --------------------------------------------------------------------------------------


def turned(frame: Frame, rows: Any) -> Frame:
    here = frame.index.isin(np.flatnonzero(rows))
    return frame.assign(
        one=frame["one"].where(~here, frame["other"]), other=frame["other"].where(~here, frame["one"])
    )


@pytest.mark.parametrize("by", ["year", "row"])
def test_an_undirected_pair_may_stand_in_either_order(by: str, tmp_path: Path) -> None:
    frame = pair_table(4)
    plain = engine.run(job(tmp_path, frame))
    rows = frame["year"] % 2 == 0 if by == "year" else np.random.default_rng(2).random(len(frame)) < 0.5
    found = engine.run(job(tmp_path, turned(frame, rows)))
    same(found, plain)
    assert found.validation == plain.validation


def test_a_pair_and_year_in_both_orders_is_refused_with_directed_as_a_remedy(tmp_path: Path) -> None:
    frame = pair_table(4, missing=0.0)
    table = pd.concat([frame, turned(frame.iloc[[3]].reset_index(drop=True), [True])], ignore_index=True)
    said = refusal(tmp_path, table)
    assert (
        f"t.csv: row {len(frame) + 2}: pair_table.directed is false, but 2013 has both (u0, u1), in row 5"
        in said
    )
    assert "directed: true" in said


def test_a_row_given_twice_is_no_matter_of_direction(tmp_path: Path) -> None:
    frame = pair_table(4, missing=0.0)
    for directed in (False, True):
        said = refusal(tmp_path, pd.concat([frame, frame.iloc[[3, 8]]]), {"directed": directed})
        assert "(u0, u1, 2013) is given twice; 2 rows repeat an earlier one" in said
        assert "directed" not in said.split("hint")[1]


# -- all problems at once, sizes ---------------------------------------------------------------------------


def test_all_problems_of_a_table_are_reported_at_once(tmp_path: Path) -> None:
    frame = pair_table(4).astype({"x": object, "w": object, "year": object})
    frame.loc[1, "other"] = frame.loc[1, "one"]
    frame.loc[2, "x"] = "many"
    frame.loc[3, "w"] = "few"
    frame.loc[4, "year"] = "soon"
    frame.loc[5, "one"] = None
    said = refusal(tmp_path, frame)
    for row, part in (
        (3, "paired with itself"),
        (4, "'many'"),
        (5, "'few'"),
        (6, "'soon'"),
        (7, "unit is empty"),
    ):
        assert re.search(rf"row {row}\b.*{part}", said), (row, said)


def test_all_missing_columns_are_reported_at_once(tmp_path: Path) -> None:
    said = refusal(
        tmp_path,
        pair_table(4),
        {"unit_i": "eins", "weight": "heavy"},
        model={"regressors": ["xx", "log(ww)"]},
    )
    assert "5 problems" not in said
    for name in ("eins", "xx", "ww", "heavy"):
        assert f"there is no column '{name}'" in said


def test_infinite_regressors_and_bad_weights_are_reported_together(tmp_path: Path) -> None:
    frame = pair_table(4)
    frame.loc[2, "x"], frame["v"] = np.inf, 1.0
    frame.loc[4, "v"] = -1.0
    said = refusal(tmp_path, frame, {"weight": "v"})
    assert "row 4, column 'x': the regressor is inf" in said
    assert "row 6, column 'v': the weight is -1" in said


def test_scattered_years_are_refused_where_their_arrays_would_not_fit(tmp_path: Path) -> None:
    frame = pair_table(4, 40, missing=0.0)
    years = np.random.default_rng(1).integers(1500, 2500, len(frame))
    frame = frame.assign(year=years).drop_duplicates(["one", "other", "year"])
    said = refusal(tmp_path, frame)
    assert re.search(r"780 pairs in \d{3} years, with 3 columns, take \d+\.\d GB", said)
    assert "runtime.memory" in said
    assert "allow at least" in said


def test_a_large_table_fits_more_memory(tmp_path: Path) -> None:
    frame = pair_table(4, 40)
    assert "runtime.memory" in refusal(tmp_path, frame, runtime={"memory": "1MB"})
    check(job(tmp_path, frame, runtime={"memory": "100MB"}))


def test_a_table_of_blank_rows_has_no_rows(tmp_path: Path) -> None:
    assert "no rows" in refusal(tmp_path, "one,other,year,y,x,w\n,,,,,\n,,,,,\n")


def test_a_table_without_a_complete_row_is_refused_by_check(tmp_path: Path) -> None:
    table = pair_table(np.random.default_rng(3), n_units=6)
    table.loc[: len(table) // 2, "y"] = np.nan
    table.loc[len(table) // 2 :, "x"] = np.nan
    with pytest.raises(
        InputError, match=r"none of [\d,]+ rows is complete: .*'x' is missing in .*'y' is missing in"
    ):
        check(job(tmp_path, table))
    table = pair_table(np.random.default_rng(3), n_units=6).assign(weight=0.0)
    with pytest.raises(InputError, match="is complete: their weights are zero"):
        check(job(tmp_path, table, {"weight": "weight"}))
    with pytest.raises(InputError, match=r"none of .* rows has one of the same pair 10 years before it"):
        check(job(tmp_path, table, model={"regressors": ["x"], "lag": 10}))


def test_a_list_is_no_name(tmp_path: Path) -> None:
    frame = pair_table(4)
    frame["one"] = [[name] for name in frame["one"]]
    frame.to_parquet(tmp_path / "t.parquet")
    said = refusal(tmp_path, None, {"source": "t.parquet"})
    assert "column 'one' holds values of type list" in said


# -- years and missing codes -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}-12-31", "{}年", "{}-01-01 00:00:00", "{}.0"])
def test_years_may_be_dates(form: str, tmp_path: Path) -> None:
    frame = pair_table(4)
    plain = engine.run(job(tmp_path, frame))
    found = engine.run(job(tmp_path, frame.assign(year=[form.format(year) for year in frame["year"]])))
    same(found, plain)


def test_declared_codes_are_missing_and_others_are_warned_of(tmp_path: Path) -> None:
    frame = pair_table(4)
    coded, empty = frame.copy(), frame.copy()
    coded.loc[[2, 9], "x"], empty.loc[[2, 9], "x"] = -999, np.nan
    coded["route"] = empty["route"] = np.where(frame.index % 3, "sea", "air")
    coded.loc[[4, 7], "route"], empty.loc[[4, 7], "route"] = "unknown", None
    model = {"regressors": ["x", "w"], "fixed_effects": ["pair", "year", "route"], "errors": ["pair"]}
    expected = engine.run(job(tmp_path, empty, model=model))
    found = engine.run(job(tmp_path, coded, {"missing": {"x": [-999], "route": ["unknown"]}}, model=model))
    same(found, expected)
    assert found.validation["n_used"] == expected.validation["n_used"] == len(frame) - 4
    silent = engine.run(job(tmp_path, coded, {"missing": {"route": ["unknown"]}}, model=model))
    said = f"column 'x' is -999 in 2 of {len(frame)} rows, first in row 4, far from all other values"
    assert [text for text in silent.manifest["warnings"] if text.startswith(said)]
    assert "there is no column 'xx'" in refusal(tmp_path, frame, {"missing": {"xx": [-999]}})
