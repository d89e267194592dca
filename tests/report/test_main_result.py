"""The result of a job in a sentence, and its intervals as a picture."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from report_frames import event_estimates, sweep

from engine.report.language.wording import Words
from engine.report.outputs.main_result import error_picture, main_result, main_rows
from engine.report.outputs.output import JobReport

INTERVAL = re.compile(r"(-?[\d.]+) to (-?[\d.]+), p = ([\d.]+)")


def report(estimates: pd.DataFrame, treatment: str | None = "policy", lang: str = "en") -> JobReport:
    cells = [
        {"cell": cell, "number": place} for place, cell in enumerate(dict.fromkeys(estimates["cell"]), 1)
    ]
    manifest = {"treatment": treatment, "confidence": 0.95, "cells": cells, "title": "T"}
    return JobReport({"estimates": estimates}, manifest, Words(lang))


def test_it_is_the_treatment_of_the_last_column_with_its_preferred_errors() -> None:
    frame = sweep(3)
    first, span = main_result(report(frame))
    row = frame[(frame["cell"] == "c2") & (frame["term"] == "policy") & (frame["errors"] == "dyadic")].iloc[0]
    assert first.startswith("policy: 0.0700, 95% interval ")
    assert first.endswith("under dyadic-robust errors in column (3).")
    found = INTERVAL.search(first)
    assert found is not None
    np.testing.assert_allclose(
        list(map(float, found.groups())), row[["conf_low", "conf_high", "p_value"]].astype(float), atol=5e-5
    )
    assert span == "The coefficient of policy is between 0.0700 and 0.0700 in columns (1) to (3)."


def test_the_level_is_not_rounded() -> None:
    job = report(sweep(1))
    finer = replace(job, manifest={**job.manifest, "confidence": 0.995})
    assert "99.5% interval" in next(iter(main_result(finer)))
    assert "99.5% intervals of policy" in error_picture(finer)


def test_of_an_event_study_it_is_the_year_of_adoption_and_without_a_treatment_the_first_term() -> None:
    frame = event_estimates().replace({"term": {"policy[0]": "policy[+0]"}})
    assert set(main_rows(report(frame))["term"]) == {"policy[+0]"}
    assert set(main_rows(report(sweep(2), treatment=None))["term"]) == {"policy"}


@pytest.mark.parametrize("why", ["few adopters", "undefined error"])
def test_where_no_test_holds_there_is_only_the_number(why: str) -> None:
    frame = sweep(1)
    if why == "few adopters":
        frame = frame.assign(n_adopters=3)
        assert error_picture(report(frame)) == ""
    else:
        frame.loc[frame["errors"] == "dyadic", ["std_error", "p_value", "conf_low", "conf_high"]] = np.nan
        assert "dyadic-robust" not in error_picture(report(frame))
    assert list(main_result(report(frame))) == ["policy: 0.0700."]


def test_the_picture_has_every_interval_at_its_place() -> None:
    frame = sweep(1)
    text = error_picture(report(frame))
    svg = ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    assert "95% intervals of policy by kind of standard error" in svg.attrib["aria-label"]
    lines = [line.attrib for line in svg.iter("line")]
    zero = float(lines[0]["x1"])
    across = [(float(line["x1"]), float(line["x2"])) for line in lines[1:] if line["y1"] == line["y2"]]
    rows = frame.set_index("errors").loc[["pair", "city", "dyadic", "jackknife"]]
    scale = (across[3][1] - across[3][0]) / (rows["conf_high"] - rows["conf_low"])["jackknife"]
    for (low, high), (_, row) in zip(across, rows.iterrows(), strict=True):
        np.testing.assert_allclose(low - zero, scale * row["conf_low"], atol=0.2)
        np.testing.assert_allclose(high - zero, scale * row["conf_high"], atol=0.2)
    assert len({circle.attrib["cx"] for circle in svg.iter("circle")}) == 1
    assert error_picture(report(frame[frame["errors"] == "pair"])) == ""


def test_names_of_data_are_text_and_chinese_labels_have_room() -> None:
    frame = sweep(1).replace({"term": {"policy": "<b>&"}})
    text = error_picture(report(frame, treatment="<b>&", lang="zh"))
    assert "<b>" not in text
    svg = ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    assert "双向聚类" in svg.attrib["aria-label"]


def test_the_level_is_that_of_the_cell() -> None:
    job = report(sweep(2))
    cells = [
        entry | {"confidence": level} for entry, level in zip(job.manifest["cells"], (0.95, 0.5), strict=True)
    ]
    mixed = replace(job, manifest={**job.manifest, "cells": cells})
    assert "50% interval" in next(iter(main_result(mixed)))
    assert "50% intervals of policy" in error_picture(mixed)
    assert np.isnan(mixed.confidence)
    assert mixed.of_cell("c0").confidence == 0.95


def test_the_span_is_of_columns_that_can_be_compared() -> None:
    frame = sweep(3)
    frame.loc[frame["cell"] == "c0", "outcome"] = "another"
    assert list(main_result(report(frame)))[1].endswith("in columns (2) and (3).")
    frame.loc[frame["cell"] == "c1", "estimator"] = "iv"
    assert len(list(main_result(report(frame)))) == 1


def test_choices_of_the_table_are_those_of_the_sentence() -> None:
    choices = {"errors": ["jackknife", "pair"], "stars": "pair", "digits": 2, "labels": {"policy": "Pilot"}}
    job = report(sweep(1))
    styled = replace(job, manifest={**job.manifest, "table": choices})
    (sentence,) = main_result(styled)
    assert sentence.startswith("Pilot: 0.07, 95% interval 0.05 to 0.09, p = ")
    assert sentence.endswith("under pair clustering.")
    assert error_picture(styled).count("<circle") == 2
    two = report(sweep(2))
    without = replace(two, manifest={**two.manifest, "table": {"drop": ["policy"]}})
    assert next(iter(main_result(without))).startswith("x0:")


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_an_exact_effect_has_no_intervals(value: float) -> None:
    exact = {"estimate": value, "std_error": 0.0, "conf_low": value, "conf_high": value}
    frame = sweep(1).assign(**exact, p_value=np.nan)
    assert error_picture(report(frame)) == ""
    assert error_picture(report(frame.assign(p_value=1.0))).count("<circle") == 4


def test_long_numbers_have_room() -> None:
    frame = sweep(1)
    for name in ("estimate", "std_error", "conf_low", "conf_high"):
        frame[name] *= 1e6
    text = error_picture(report(frame))
    svg = ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    ends = [float(entry.attrib["x"]) + 6.5 * len(entry.text or "") for entry in svg.iter("text")]
    assert max(ends) < float(svg.attrib["width"])
