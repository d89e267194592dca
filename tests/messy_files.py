"""A messy set of files made of clean data: an Excel sheet, a text in GB18030 and a Stata file, with twelve defects.

1. a title above the headers; 2. a row of units below them; 3. years as ``2010年``; 4. separators of thousands;
5. full-width digits; 6. percent signs; 7. a word for a missing value that is none of the known ones; 8. a row of
totals; 9. a row given twice; 10. a rank in words; 11. two spellings of a city; 12. a gap in a series. The text has
thousands in quotes and a note below the table, the Stata file years of adoption as text with words for year.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd

from engine.cities import builtin

RANKS = {4: "直辖市", 3: "副省级", 2: "省会", 1: "地级市"}
HEADERS = ["城市", "年份", "地区生产总值（亿元）", "人口", "第三产业占比", "城市级别", "科技支出"]
TOTALS, REPEATED, SPELLED, GAP = "合计", ("S005", 2012), "s007", ("S009", 2013)

JOB = """\
job: table1
panel:
  source: 城市面板.xlsx
  header: 2
  columns:
    city: 城市
    year: 年份
    gdp: "`地区生产总值（亿元）`"
    population: 人口
    services: 第三产业占比
    rank: 城市级别
    science: 科技支出
    education: 教育支出
    pilot_year: 试点年份
  join:
    - {source: 教育.csv}
    - {source: 试点.dta}
outcome: {synchronization: gdp}
pairs: {exclude: both_treated}
treatment: {adoption: pilot_year, rule: exactly_one, name: policy}
controls:
  edu: {neg_abs_log_diff: education}
  tech: {neg_abs_log_diff: science}
  third: {neg_abs_diff: services}
  size: {neg_abs_log_diff: population}
  level: {neg_abs_diff: rank}
model: {errors: [pair, dyadic]}
"""
EVENTS = """\
extends: table1.yaml
job: figure1
model: {estimator: event_study, window: [-3, 2]}
"""


def clean_panel(n_cities: int = 24) -> pd.DataFrame:
    """Cities of the demonstration, numbers rounded as the files write them; the columns of `JOB`."""
    frame = builtin.load("china_demo")
    adopters = frame.loc[frame["pilot_year"].notna(), "city"].unique()[:9]
    never = frame.loc[frame["pilot_year"].isna(), "city"].unique()[: n_cities - 9]
    frame = frame[frame["city"].isin([*adopters, *never])].reset_index(drop=True)
    names = {city: f"S{number:03d}" for number, city in enumerate(sorted(frame["city"].unique()))}
    clean = pd.DataFrame(
        {
            "city": frame["city"].map(names),
            "year": frame["year"],
            "gdp": (10 * frame["gdp_real"]).round(1),
            "population": frame["population"].round(2),
            "services": frame["services_share"].round(4),
            "rank": 1 + frame["city"].map(names).str[-1].astype(int) % 4,
            "science": frame["science_spending"].round(3),
            "education": (100 * frame["education_spending"]).round(1),
            "pilot_year": frame["pilot_year"],
        }
    )
    clean["rank"] = 1 + (clean["rank"] + (clean["year"] > 2014)) % 4
    gap = (clean["city"] == GAP[0]) & (clean["year"] == GAP[1])
    around = clean[(clean["city"] == GAP[0]) & clean["year"].isin([GAP[1] - 1, GAP[1] + 1])]
    clean.loc[gap, "science"] = around["science"].mean()  # so that its interpolation is the clean value
    return clean


def write_messy(clean: pd.DataFrame, folder: Path) -> None:
    """The three files, and a job for each of table and figure."""
    _write_sheet(clean, folder / "城市面板.xlsx")
    education = clean.assign(education=clean["education"].map("{:,.1f}".format))
    text = (
        education[["city", "year", "education"]].rename(columns={"education": "教育支出"}).to_csv(index=False)
    )
    (folder / "教育.csv").write_bytes(f"{text}资料来源：示例,2019,\n".encode("gb18030"))
    pilots = clean.groupby("city", as_index=False)["pilot_year"].first()
    words = pilots["pilot_year"].map(lambda year: "" if np.isnan(year) else f"{year:.0f}年")
    stata = pilots[["city"]].assign(试点年份=words)
    stata.to_stata(
        folder / "试点.dta", write_index=False, version=118, variable_labels={"试点年份": "批准年份"}
    )
    (folder / "table1.yaml").write_text(JOB, encoding="utf-8")
    (folder / "figure1.yaml").write_text(EVENTS, encoding="utf-8")


def _write_sheet(clean: pd.DataFrame, path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["表1 城市面板数据（示例）"])
    sheet.append(HEADERS)
    sheet.append(["", "年", "亿元", "万人", "%", "", "亿元"])
    rows = [_row(*row) for row in clean.drop(columns=["education", "pilot_year"]).itertuples(index=False)]
    for row in rows:
        sheet.append(row)
    sheet.append([TOTALS, "", f"{clean['gdp'].sum():,.1f}", "", "", "", ""])
    sheet.append(next(row for row in rows if row[:2] == [REPEATED[0], f"{REPEATED[1]}年"]))
    book.save(path)


def _row(
    city: str, year: int, gdp: float, population: float, services: float, rank: int, science: float
) -> list[object]:
    name = SPELLED if (city, year) > (SPELLED.upper(), 2014) and city == SPELLED.upper() else city
    written: object = f"{population:.2f}".translate({48 + digit: 0xFF10 + digit for digit in range(10)})
    if (city, year) == GAP:
        return [name, f"{year}年", f"{gdp:,.1f}", written, f"{100 * services:.2f}%", RANKS[rank], "未统计"]
    return [name, f"{year}年", f"{gdp:,.1f}", written, f"{100 * services:.2f}%", RANKS[rank], science]
