"""``dyadid init``: a job file for a data file, which then can be checked and run."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import yaml
from strategies import city_panel, pair_table

import engine
from engine.stages import shipped_jobs

JOBS = Path(__file__).parents[2] / "jobs"
Command = Callable[..., tuple[int, str, str]]
CHINESE = {"city": "城市", "year": "年份", "pilot_year": "试点 年份", "output": "地区生产总值（亿元）"}


def proposed(path: Path) -> dict[str, object]:
    job: dict[str, object] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return job


def test_a_chinese_panel(command: Command, tmp_path: Path) -> None:
    city_panel(0).rename(columns=CHINESE).to_csv(tmp_path / "城市面板.csv", index=False)
    code, out, err = command("init", "城市面板.csv")
    assert (code, err) == (0, "")
    assert "guessed: cities are in column '城市'" in out
    assert "guessed: the year of adoption is in column '试点 年份'" in out
    assert out.rstrip().endswith("ok")
    job = proposed(tmp_path / "城市面板.yaml")
    assert job["outcome"] == {"synchronization": "outcome"}
    assert job["panel"] == {
        "source": "城市面板.csv",
        "columns": {
            "city": "城市",
            "year": "年份",
            "pilot_year": "`试点 年份`",
            "outcome": "`地区生产总值（亿元）`",
        },
    }
    by_hand = {
        "job": "by_hand",
        "panel": {"source": "panel.parquet"},
        "outcome": {"synchronization": "output"},
        "pairs": {"exclude": "both_treated"},
        "treatment": {"adoption": "pilot_year", "rule": "exactly_one"},
    }
    city_panel(0).to_parquet(tmp_path / "panel.parquet")
    estimates = [engine.run(each).estimates["estimate"] for each in (tmp_path / "城市面板.yaml", by_hand)]
    np.testing.assert_allclose(*estimates, rtol=1e-12)


def test_adoption_is_known_by_its_content(command: Command, tmp_path: Path) -> None:
    frame = city_panel(0).rename(columns={"pilot_year": "zzz"}).assign(founded=1949)
    frame.to_csv(tmp_path / "p.csv", index=False)
    code, out, _ = command("init", "p.csv", "--out", "mine.yaml")
    assert code == 0
    assert "the year of adoption is in column 'zzz'" in out
    assert proposed(tmp_path / "mine.yaml")["treatment"] == {"adoption": "zzz", "rule": "exactly_one"}


@pytest.mark.parametrize("header", ["did", "zzz", "试点 与否"])
def test_a_status_is_known_by_its_content(command: Command, tmp_path: Path, header: str) -> None:
    frame = city_panel(0)
    # A code that is constant in a city is no status, and neither is one that goes back and forth.
    frame = frame.assign(coast=frame["city"].isin(["c0", "c1"]).astype(int), odd=frame["year"] % 2)
    frame[header] = (frame["pilot_year"] <= frame["year"]).astype(int)
    frame.drop(columns="pilot_year").sample(frac=1, random_state=1).to_csv(tmp_path / "p.csv", index=False)
    code, out, _ = command("init", "p.csv")
    assert code == 0
    assert f"column '{header}' is 0 before adoption and 1 from then on" in out
    name = header if header.isascii() else "adopted"
    assert proposed(tmp_path / "p.yaml")["treatment"] == {"status": name, "rule": "exactly_one"}


@pytest.mark.parametrize("directed", [True, False])
def test_a_table_of_pairs(command: Command, tmp_path: Path, directed: bool) -> None:
    frame = pair_table(0, directed=directed).rename(
        columns={"one": "exporter", "other": "importer", "y": "trade"}
    )
    frame.to_csv(tmp_path / "trade.csv", index=False)
    code, out, _ = command("init", "trade.csv")
    assert code == 0
    assert ("the table is directed" in out) is directed
    assert proposed(tmp_path / "trade.yaml") == {
        "job": "trade",
        "pair_table": {
            "source": "trade.csv", "unit_i": "exporter", "unit_j": "importer", "year": "year",
            **({"directed": True} if directed else {}),
        },
        "outcome": {"column": "trade"},
        "model": {"regressors": ["x"]},
    }  # fmt: skip


def test_what_is_not_there_is_said(command: Command, tmp_path: Path) -> None:
    frame = city_panel(0)
    frame.drop(columns="pilot_year").to_csv(tmp_path / "never.csv", index=False)
    code, _, err = command("init", "never.csv")
    assert code == 2
    say = "say treatment: {adoption: COLUMN, rule: exactly_one}, or status in place of adoption"
    assert f"a panel job needs treatment\n  hint: {say}" in err
    text = (tmp_path / "never.yaml").read_text(encoding="utf-8")
    assert f"# No column looks like a year of adoption: {say}" in text
    code, _, err = command("init", "never.csv")
    assert (code, "there is a file already" in err) == (2, True)
    frame.drop(columns="city").to_csv(tmp_path / "nobody.csv", index=False)
    code, _, err = command("init", "nobody.csv")
    assert (code, "no column looks like cities" in err) == (2, True)
    code, _, err = command("init", "nowhere.csv")
    assert (code, "there is no such file" in err) == (2, True)


def test_headers_do_not_leave_their_comment(command: Command, tmp_path: Path) -> None:
    frame = city_panel(0).rename(columns={"density": "a\nb: 1"})
    pd.DataFrame(frame).to_parquet(tmp_path / "odd.parquet")
    assert command("init", "odd.parquet")[0] == 0
    assert set(proposed(tmp_path / "odd.yaml")) == {"job", "panel", "outcome", "pairs", "treatment"}


def test_dummies_and_codes_are_no_years_and_no_outcomes(command: Command, tmp_path: Path) -> None:
    frame = city_panel(0)
    codes = pd.factorize(frame["city"])[0] + 330000
    treated = frame["pilot_year"].notna().astype(int)
    frame = frame.drop(columns=["output", "schools"]).assign(pilot=treated)
    frame.insert(0, "city_code", codes)
    frame.rename(columns={"pilot_year": "zzz"}).to_csv(tmp_path / "p.csv", index=False)
    assert command("init", "p.csv")[0] == 0
    job = proposed(tmp_path / "p.yaml")
    assert job["treatment"] == {"adoption": "zzz", "rule": "exactly_one"}
    assert job["outcome"] == {"synchronization": "density"}


def test_headers_below_a_title_and_above_a_row_of_units(command: Command, tmp_path: Path) -> None:
    frame = city_panel(0).rename(columns=CHINESE)
    with pd.ExcelWriter(tmp_path / "a.xlsx") as book:
        units = pd.DataFrame([dict.fromkeys(frame, "单位")])
        pd.concat([units, frame]).to_excel(book, index=False, startrow=2)
        book.sheets["Sheet1"]["A1"] = "表1 城市面板"
    code, out, err = command("init", "a.xlsx")
    assert (code, err) == (0, "")
    assert "guessed: the headers stand in row 3" in out
    assert "guessed: the row below the headers is no data" in out
    job = proposed(tmp_path / "a.yaml")
    assert {key: job["panel"][key] for key in ("source", "header", "skip_rows")} == {  # type: ignore[index]
        "source": "a.xlsx", "header": 3, "skip_rows": 1,
    }  # fmt: skip
    text = f"表1 城市面板\n{frame.to_csv(index=False)}"
    (tmp_path / "b.csv").write_bytes(text.encode("gb18030"))
    assert command("init", "b.csv")[0] == 0
    assert proposed(tmp_path / "b.yaml")["panel"]["header"] == 2  # type: ignore[index]


@pytest.mark.parametrize("code", ["0", "never", "-1", "20155"])
def test_a_code_for_never_is_declared_missing(command: Command, tmp_path: Path, code: str) -> None:
    """As many tables have it; a year mistyped stands for nothing, and is refused as before."""
    frame = city_panel(0)
    years = frame["pilot_year"].map(lambda year: code if np.isnan(year) else f"{year:.0f}")
    frame.assign(pilot_year=years).rename(columns={"pilot_year": "gvar"}).to_csv(
        tmp_path / "a.csv", index=False
    )
    exit_code, out, _ = command("init", "a.csv")
    if code == "20155":
        assert exit_code != 0
        return
    assert exit_code == 0
    assert f"guessed: '{code}' there stands for never" in out
    never = yaml.safe_load((tmp_path / "a.yaml").read_text(encoding="utf-8"))["panel"]["missing"]["gvar"]
    assert [str(value) for value in never] == [code]
    assert f"never: {frame.groupby('city')['pilot_year'].first().isna().sum()}" in out


@pytest.mark.parametrize("header", ["试点", "zzz", "试点 情况"])
@pytest.mark.parametrize(("word", "pilots"), [("无", None), ("Never", None), ("未试点", 2011)])
def test_years_beside_a_word_for_never_are_adoption_years(
    command: Command, tmp_path: Path, header: str, word: str, pilots: int | None
) -> None:
    """Whatever the name, and where all cities that adopt do so in one year."""
    frame = city_panel(0)
    years = frame["pilot_year"].map(lambda year: word if np.isnan(year) else f"{pilots or int(year)}年")
    frame.drop(columns="pilot_year").assign(founded=1949, **{header: years}).to_csv(
        tmp_path / "a.csv", index=False
    )
    code, out, _ = command("init", "a.csv")
    assert code == 0
    assert f"guessed: the year of adoption is in column '{header}'" in out
    assert f"guessed: '{word}' there stands for never" in out
    assert f"never: {frame.groupby('city')['pilot_year'].first().isna().sum()}" in out


@pytest.mark.parametrize("number", [0, -1, 9999])
def test_a_number_stands_for_never_only_where_the_name_says_adoption(
    command: Command, tmp_path: Path, number: int
) -> None:
    """Elsewhere years beside 0 may be anything, such as the year in which a city got its first port."""
    frame = city_panel(0)
    frame["pilot_year"] = frame["pilot_year"].fillna(number).astype(int)
    frame.rename(columns={"pilot_year": "试点"}).to_csv(tmp_path / "a.csv", index=False)
    frame.rename(columns={"pilot_year": "zzz"}).to_csv(tmp_path / "b.csv", index=False)
    code, out, _ = command("init", "a.csv")
    assert (code, f"guessed: '{number}' there stands for never" in out) == (0, True)
    assert proposed(tmp_path / "a.yaml")["treatment"] == {"adoption": "试点", "rule": "exactly_one"}
    code, _, err = command("init", "b.csv")
    assert (code, "a panel job needs treatment" in err) == (2, True)


def test_a_sheet_with_merged_cities_units_totals_and_notes_passes_at_once(
    command: Command, tmp_path: Path
) -> None:
    frame = city_panel(0).sort_values(["city", "year"]).reset_index(drop=True)
    frame["pilot_year"] = frame["pilot_year"].map(lambda year: "无" if np.isnan(year) else int(year))
    frame = frame.rename(columns={**CHINESE, "pilot_year": "试点"})
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["表1 城市面板"])
    sheet.append(list(frame))
    sheet.append([{"地区生产总值（亿元）": "亿元", "density": "人"}.get(name) for name in frame])
    for row in frame.itertuples(index=False):
        sheet.append(list(row))
    last = sheet.max_row
    sheet.append(
        ["合计" if name == "城市" else 1e6 if name == "地区生产总值（亿元）" else None for name in frame]
    )
    sheet.append(["注：示例数据。"])
    letter = openpyxl.utils.get_column_letter(1 + list(frame).index("城市"))
    for _, rows in frame.groupby("城市"):
        sheet.merge_cells(f"{letter}{rows.index[0] + 4}:{letter}{rows.index[-1] + 4}")
    sheet.merge_cells(f"{letter}2:{letter}3")
    book.save(tmp_path / "a.xlsx")
    code, out, err = command("init", "a.xlsx")
    assert (code, err) == (0, "")
    assert f"guessed: rows 3, {last + 1} and {last + 2} are no data, but units, totals or notes" in out
    n_cities = frame["城市"].nunique()
    assert f"column '城市': {len(frame) - n_cities} cells of merged ranges" in out.replace("\n", " ")
    assert f"a.xlsx: {n_cities} of {n_cities} cities" in out
    city_panel(0).rename(columns=CHINESE).to_csv(tmp_path / "clean.csv", index=False)
    code, clean, _ = command("init", "clean.csv")
    facts = ("outcome  ", "adoption: ", "all pairs ", "both-treated ")
    of_both = [
        [line.split() for line in text.splitlines() if line.startswith(facts)] for text in (out, clean)
    ]
    assert (code, len(of_both[0]), of_both[0]) == (0, len(facts), of_both[1])


def test_headers_of_pair_tables_stand_as_they_are(command: Command, tmp_path: Path) -> None:
    names = {"one": "unit_i", "other": "unit_j", "y": "trade `a`", "x": "GDP (bn)"}
    pair_table(0).rename(columns=names).to_csv(tmp_path / "a.csv", index=False)
    code, out, err = command("init", "a.csv")
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("ok")


def test_places_without_a_file_are_refused(command: Command, tmp_path: Path) -> None:
    city_panel(0).to_csv(tmp_path / "a.csv", index=False)
    code, _, err = command("init", "a.csv", "--out", "nowhere/a.yaml")
    assert (code, "there is no folder nowhere" in err) == (2, True)
    code, _, err = command("init", "a.csv", "--out", ".")
    assert (code, "this is a folder" in err) == (2, True)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (".", ".: this is a folder, not a table\n  hint: name the file"),
        ("/", "/: this is a folder, not a table"),
        (
            "gone.csv",
            "gone.csv: there is no such file\n  hint: check the path; it is relative to the working folder",
        ),
        ("my.yaml", "my.yaml: this is no table but a job file"),
    ],
)
def test_what_is_no_data_file_is_said_before_the_output(
    command: Command, tmp_path: Path, argument: str, message: str
) -> None:
    (tmp_path / "my.yaml").write_text("job: my\n")
    code, _, err = command("init", argument)
    assert (code, message in err) == (2, True), err


def test_the_jobs_of_the_paper(command: Command, tmp_path: Path) -> None:
    code, out, err = command("init", "--paper", "mine")
    assert (code, err) == (0, "")
    written = [line.removeprefix("written: ") for line in out.splitlines()]
    shipped = {path.relative_to(JOBS): path.read_bytes() for path in JOBS.rglob("*.yaml")}
    assert {Path(path).relative_to("mine"): Path(path).read_bytes() for path in written} == shipped
    assert command("check", "mine/euro.yaml")[0] == 0
    code, _, err = command("init", "--paper", "mine")
    assert (code, "the folder is not empty" in err) == (2, True)


def test_paper_and_file_are_one_or_the_other(command: Command, tmp_path: Path) -> None:
    beside = "--paper takes a new folder and nothing beside it"
    for arguments, message in (
        ([], "no file of data is named"),
        (["p.csv", "--paper", "mine"], beside),
        (["--paper", "mine", "--out", "job.yaml"], beside),
    ):
        code, _, err = command("init", *arguments)
        assert (code, message in err, (tmp_path / "mine").exists()) == (2, True, False)


def test_pip_installs_every_shipped_job() -> None:
    with (JOBS.parent / "pyproject.toml").open("rb") as file:
        places = tomllib.load(file)["tool"]["setuptools"]["data-files"]
    installed = {
        Path(place).relative_to("share/dyadid") / path.name: path
        for place, (pattern,) in places.items()
        for path in JOBS.parent.glob(pattern)
    }
    assert set(installed) == {path.relative_to(JOBS.parent) for path in JOBS.rglob("*.yaml")}


def test_installed_jobs_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the list of files that pip writes, where the package is not in its repository."""
    (tmp_path / "share/dyadid/jobs/paper").mkdir(parents=True)
    (tmp_path / "lib/dyadid-1.dist-info").mkdir(parents=True)
    for name in ("euro.yaml", "paper/table1.yaml"):
        (tmp_path / "share/dyadid/jobs" / name).write_text(name)
    files = [
        "engine/jobs/other.yaml",
        "../share/dyadid/jobs/euro.yaml",
        "../share/dyadid/jobs/paper/table1.yaml",
    ]
    (tmp_path / "lib/dyadid-1.dist-info/RECORD").write_text("".join(f"{file},,\n" for file in files))
    (tmp_path / "lib/dyadid-1.dist-info/METADATA").write_text("Name: dyadid\nVersion: 1\n")
    monkeypatch.setattr(shipped_jobs, "__file__", str(tmp_path / "lib/engine/stages/shipped_jobs.py"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "lib"), *sys.path])
    found = shipped_jobs.shipped_jobs()
    assert {name.as_posix(): path.read_text() for name, path in found.items()} == {
        "euro.yaml": "euro.yaml",
        "paper/table1.yaml": "paper/table1.yaml",
    }
