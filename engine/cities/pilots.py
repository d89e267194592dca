"""The cross-border e-commerce pilot areas of China: 165 areas in seven batches, 2015 to 2022, as public facts.

``data/pilots.csv`` has a row an area, ``data/SOURCES.md`` says where the rows are from and how far each is verified.
A panel of cities wants a row a city instead. The mapping:

- A prefecture-level unit (prefecture-level city, autonomous prefecture, prefecture) and a municipality stand for
  themselves. No area is a whole province: Hainan, for one, is in the list as Haikou and Sanya.
- A unit below (a county-level city, or Xiong'an New Area) stands for the prefecture it lies in: ``mapped``.
- A city with several areas adopts with the first of them: Jinhua with Yiwu, Yanbian with Hunchun.
"""

from __future__ import annotations

from importlib.resources import files

import pandas as pd

_PREFIX = "pilot_"


def areas() -> pd.DataFrame:
    """One row an area, in the order of the documents.

    Returns
    -------
    DataFrame
        area; city, the prefecture-level unit it is or lies in, named as in the China City Statistical
        Yearbook; batch, 1 to 7; approved, the date of ``document``; document of the State Council;
        verified: reply (full text of the document read), ledger (a ledger of policies), partly
        (date, number of areas and 22 of the 33 names) or no (only date and number of areas); mapped: True
        where the area is a part of ``city``.
    """
    with (files("engine.cities") / "data" / "pilots.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, parse_dates=["approved"])


def adoption() -> pd.DataFrame:
    """One row a city, sorted by city, to be joined to a panel.

    Returns
    -------
    DataFrame
        city, pilot_year, pilot_month (1 to 12), and pilot_batch, pilot_area, pilot_document, pilot_verified
        and pilot_mapped, which are `areas` of the first area of the city.
    """
    first = areas().sort_values("approved", kind="stable").drop_duplicates("city").sort_values("city")
    columns = {
        "city": first["city"],
        "pilot_year": first["approved"].dt.year,
        "pilot_month": first["approved"].dt.month,
    }
    prefixed = ("batch", "area", "document", "verified", "mapped")
    return pd.DataFrame(columns | {_PREFIX + name: first[name] for name in prefixed}).reset_index(drop=True)
