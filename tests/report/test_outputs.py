"""Instrument, contrasts, matching, draws: every printed number against its frame, sentences, and the Word file."""

from __future__ import annotations

import io

import docx
import numpy as np
import pandas as pd
import pytest
from report_frames import sweep

from engine.report.docx import docx_bytes
from engine.report.number_format import number
from engine.report.outputs.output import JobReport
from engine.report.outputs.registry import OUTPUTS
from engine.report.outputs.regression_table import regression_table


def report(frames, cells="ab", treatment=None):
    entries = [{"cell": cell, "number": place, "label": cell} for place, cell in enumerate(cells, start=1)]
    return JobReport(frames, {"title": "T", "treatment": treatment, "cells": entries})


def tables_of(job):
    return {
        file.name.removeprefix("table_"): file.table
        for output in OUTPUTS
        if output.is_of(job)
        for file in output.tables(job)
    }


def sentences_of(job):
    return [sentence for output in OUTPUTS if output.is_of(job) for sentence in output.sentences(job)]


def instrument(pair_f=41.1, dyadic_f=0.8, shape="line"):
    low, high = {"line": (-np.inf, np.inf), "interval": (-1.0, 2.0), "outside": (-1.0, 2.0)}[shape]
    rows = [("pair", pair_f, 0.09, "interval", -4.03, 0.26), ("dyadic", dyadic_f, 0.64, shape, low, high)]
    names = ["errors", "f_statistic", "ar_p_value", "ar_shape", "ar_low", "ar_high"]
    return pd.DataFrame(rows, columns=names).assign(job="j", cell="b", first_stage=-0.5, reduced_form=0.25)


def contrasts(p_joint=0.3, p_first=0.4):
    rows = [
        ("coastal", "policy", "high - low", 0.1, 0.2, 0.5, 17, p_first),
        ("coastal", "policy", "all equal", np.nan, np.nan, 5.3, 1, p_joint),
        ("coastal", "edu", "all equal", np.nan, np.nan, 9.9, 1, 0.001),
    ]
    names = ["split", "term", "classes", "difference", "std_error", "statistic", "dof", "p_value"]
    return pd.DataFrame(rows, columns=names).assign(job="j")


def matching():
    scores = pd.DataFrame(
        {"column": ["intercept", "edu"], "coefficient": [-1.6, 0.2], "std_error": [0.04, 0.03]}
    )
    counts = {"treated": 6809, "controls": 8514, "matched": 6716, "off_support": 93, "without_partner": 0,
              "controls_used": 3518}  # fmt: skip
    return scores.assign(job="j", cell="a", **counts)


def balance():
    frame = pd.DataFrame({"column": ["edu", "tech"], "smd_before": [-0.71, 0.65], "smd_after": [0.04, -0.07]})
    rest = [
        f"{m}_{w}"
        for m in ("mean_treated", "mean_control", "variance_ratio", "t")
        for w in ("before", "after")
    ]
    return frame.assign(job="j", cell="a", **dict.fromkeys(rest, 1.0))


def texts(table):
    return {row.label: [entry.text for entry in row.entries] for row in table.rows}


def test_every_frame_becomes_a_table_with_its_numbers():
    frames = {
        "instrument": instrument(),
        "contrasts": contrasts(),
        "matching": matching(),
        "balance": balance(),
    }
    tables = tables_of(report(frames, treatment="policy"))
    assert list(tables) == ["instrument", "contrasts", "matching", "balance_1"]
    assert texts(tables["instrument"]) == {
        "(2) pair-clustered": ["41.1000", "0.0900", "[-4.0300, 0.2600]"],
        "(2) dyadic-robust": ["0.8000", "0.6400", "the whole line"],
    }
    assert texts(tables["contrasts"]) == {
        "coastal: policy, high less low": ["0.1000", "(0.2000)", "0.5000", "17", "0.4000"],
        "coastal: policy, all equal": ["", "", "5.3000", "1", "0.3000"],
    }
    assert texts(tables["matching"]) == {
        "intercept": ["-1.6000"], "std. error": ["(0.0300)"], "edu": ["0.2000"], "treated": ["6,809"],
        "others": ["8,514"], "treated with a partner": ["6,716"], "off the common support": ["93"],
        "without a partner": ["0"], "others used as partners": ["3,518"],
    }  # fmt: skip
    assert tables["balance_1"].title == "Balance of the matched sample in column (1)"
    for table in tables.values():
        assert table.to_text()
        assert table.to_latex().count("\\begin{tabular}") == 1
        assert table.to_latex().isascii()  # pdfLaTeX knows no other letters


def test_draws_become_a_table():
    row = {"cell": "b", "term": "policy", "method": "permutation_coefficient", "reps": 9999, "statistic": 0.08,
           "p_value": 0.069, "conf_low": -0.01, "conf_high": 0.17, "mc_error": np.nan}  # fmt: skip
    (table,) = tables_of(report({"inference": pd.DataFrame([row])})).values()
    assert texts(table) == {
        "(2) policy: permutation coefficient": ["9,999", "0.0800", "0.0690", "[-0.0100, 0.1700]", ""]
    }


@pytest.mark.parametrize(
    ("pair_f", "dyadic_f", "verdict"),
    [
        (41.1, 0.8, "strong only if pairs that share a city are independent"),
        (41.1, 10.0, "strong by the rule of thumb of 10"), (9.9, 0.8, "weak by the rule of thumb of 10"),
        (9.0, 11.0, "weak if pairs that share a city are independent, strong otherwise"),
    ],
)  # fmt: skip
def test_reading_of_the_instrument(pair_f, dyadic_f, verdict):
    said = sentences_of(report({"instrument": instrument(pair_f, dyadic_f)}))
    assert said == [
        f"The first-stage F is {pair_f} with pair-clustered errors and {dyadic_f} with dyadic-robust errors in column "
        f"(2): the instrument is {verdict}.",
        "Its Anderson-Rubin interval with dyadic-robust errors is the whole line: no effect is excluded.",
    ]


@pytest.mark.parametrize(
    ("shape", "said"), [("interval", "[-1.0000, 2.0000]"), ("outside", "outside (-1.0000, 2.0000)")]
)
def test_reading_of_anderson_rubin(shape, said):
    last = sentences_of(report({"instrument": instrument(shape=shape)}))[-1]
    assert last == f"Its Anderson-Rubin interval with dyadic-robust errors: {said}."


@pytest.mark.parametrize(
    ("p_joint", "p_first", "said"),
    [
        (0.3, 0.4, "The coefficient of policy does not differ at 5% between the classes of coastal (joint p = "
                   "0.3000)."),
        (0.3, 0.04, "The coefficient of policy does not differ at 5% between the classes of coastal (joint p = "
                    "0.3000), though two by two these do: high less low."),
        (0.04, 0.03, "The coefficient of policy differs between the classes of coastal (joint p = 0.0400); two by two "
                     "at 5%: high less low."),
    ],
)  # fmt: skip
def test_reading_of_classes_is_of_the_treatment(p_joint, p_first, said):
    job = report({"contrasts": contrasts(p_joint, p_first)}, cells="a", treatment="policy")
    assert sentences_of(job) == [said]


def test_reading_of_matching():
    assert sentences_of(report({"matching": matching(), "balance": balance()}, cells="a")) == [
        "Matching finds partners for 6,716 of 6,809 treated among 3,518 of 8,514 others; the largest standardised "
        "difference of means falls from 0.71 (edu) to 0.07 (tech)."
    ]


def test_word_file_read_by_another_program():
    """python-docx finds every table, cell by cell, wide ones in panels, and reads the caption's style."""
    frame = sweep(10)
    table = regression_table(frame, title='Table 1 <a> & "b" 表')
    payload = docx_bytes([table])
    assert payload == docx_bytes([table])
    document = docx.Document(io.BytesIO(payload))
    panels = table.panels()
    assert len(document.tables) == len(panels) == 2
    for found, panel in zip(document.tables, panels, strict=True):
        cells = [[cell.text for cell in row.cells] for row in found.rows]
        assert cells[0] == ["", *panel.header]
        assert [row[1:] for row in cells[1:]] == [[entry.text for entry in row.entries] for row in panel.rows]
        assert [row[0].strip() for row in cells[1:]] == [row.label for row in panel.rows]
    captions = [one.text for one in document.paragraphs if one.style.name == "Caption"]
    assert captions == [panel.title for panel in panels]
    assert {*table.notes} <= {one.text for one in document.paragraphs}
    assert number(frame["estimate"].iloc[0]) in document.tables[0].cell(1, 1).text
