"""The table of pilot areas: what the seven documents say in numbers, and a row a city made of it."""

from __future__ import annotations

import csv
from datetime import date
from importlib.resources import files

import pandas as pd

from engine.cities import builtin, pilots

# batch: date and number of the document, areas, and how far they are verified
DOCUMENTS = {
    1: ("2015-03-07", "国函〔2015〕44号", 1, "ledger"),
    2: ("2016-01-12", "国函〔2016〕17号", 12, "ledger"),
    3: ("2018-07-24", "国函〔2018〕93号", 22, "ledger"),
    4: ("2019-12-15", "国函〔2019〕137号", 24, "ledger"),
    5: ("2020-04-27", "国函〔2020〕47号", 46, "reply"),
    6: ("2022-01-22", "国函〔2022〕8号", 27, "no"),
    7: ("2022-11-14", "国函〔2022〕126号", 33, "partly"),
}
PARTS = {
    "义乌": "金华市",
    "珲春": "延边朝鲜族自治州",
    "绥芬河": "牡丹江市",
    "雄安新区": "保定市",
    "满洲里": "呼伦贝尔市",
    "阿拉山口": "博尔塔拉蒙古自治州",
    "延吉": "延边朝鲜族自治州",
    "同江": "佳木斯市",
}
PREFECTURES = ("市", "自治州", "地区")


def test_seven_documents() -> None:
    table = pilots.areas()
    told = ["batch", "approved", "document", "verified"]
    found = table.assign(approved=table["approved"].dt.strftime("%Y-%m-%d"))[told].value_counts()
    assert found.to_dict() == {(b, day, name, far): n for b, (day, name, n, far) in DOCUMENTS.items()}
    assert list(table["batch"]) == sorted(table["batch"])
    assert len(table) == 165
    assert table["area"].is_unique


def test_every_area_is_a_prefecture_level_unit_or_mapped_to_one() -> None:
    table = pilots.areas()
    mapped = table[table["mapped"]]
    assert dict(zip(mapped["area"], mapped["city"], strict=True)) == PARTS
    whole = table[~table["mapped"]]
    assert all(city.startswith(area) for area, city in zip(whole["area"], whole["city"], strict=True))
    assert table["city"].str.endswith(PREFECTURES).all()
    assert whole["city"].is_unique


def test_a_city_adopts_with_its_first_area() -> None:
    """The join table row by row, by the csv module."""
    with (files("engine.cities") / "data" / "pilots.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = {}
    for row in sorted(rows, key=lambda row: date.fromisoformat(row["approved"]), reverse=True):
        day = date.fromisoformat(row["approved"])
        expected[row["city"]] = {
            "pilot_year": day.year,
            "pilot_month": day.month,
            "pilot_batch": int(row["batch"]),
            "pilot_area": row["area"],
            "pilot_document": row["document"],
            "pilot_verified": row["verified"],
            "pilot_mapped": row["mapped"] == "true",
        }
    table = builtin.load("pilots")
    assert table.set_index("city").to_dict("index") == expected
    assert list(table["city"]) == sorted(expected)
    assert len(table) == 163
    months = table.set_index("city").loc[["金华市", "延边朝鲜族自治州"], ["pilot_year", "pilot_month"]]
    assert months.to_numpy().tolist() == [[2018, 7], [2019, 12]]


def test_the_readers_copy_is_their_own() -> None:
    mine = builtin.load("pilots")
    mine.loc[0, "pilot_year"] = 1
    pd.testing.assert_frame_equal(builtin.load("pilots"), pilots.adoption())
