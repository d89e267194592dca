"""The report page: self-contained, well formed, tolerant of absent keys; and the reading in words."""

from __future__ import annotations

import base64
import itertools
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from report_frames import coefficient_rows, event_estimates, sweep, undefined

from engine.errors import InputError
from engine.report.language.wording import columns_phrase, words_of
from engine.report.outputs.error_comparison import error_sentences
from engine.report.outputs.regression_table import regression_table
from engine.report.page import JobSection, report_page

STEPS = [
    {"step": "all pairs", "pairs": 32131, "rows": 321310},
    {"step": "kept", "pairs": 15323, "rows": 153230},
]
MANIFEST = {
    "job": "demo",
    "title": "Table 1 <baseline> & more",
    "data": {"source": "builtin:demo", "description": "a seeded panel", "synthetic": True, "sha256": "ab12"},
    "cells": [{"cell": f"c{place}", "number": place + 1} for place in range(3)],
    "counts": [{"cell": f"c{place}", "label": "x", "steps": STEPS} for place in range(3)],
    "timings": {"read": 0.01},
    "seeds": {"panel.options": {"seed": 20260101}},
    "warnings": ["population <b>jumps</b>"],
    "versions": {"numpy": "2.3.1"},
}
VOID = {"meta", "img", "br", "link"}


class Outline(HTMLParser):
    """Checks that tags nest, and collects them with their attributes."""

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def outline(page):
    parser = Outline()
    parser.feed(page)
    assert parser.open == []
    return parser.tags


def section(**changes):
    frame = sweep(3)
    table = regression_table(frame, title="Table 1")
    whole = {
        "manifest": MANIFEST, "tables": [table], "figures": [("Figure", 'alt "text"', b"\x89PNG1")],
        "reading": error_sentences(frame),
        "validation": {
            "columns": [{"column": "gdp", "minimum": 3400.5, "n_filled": 3}],
            "dropped": [{"city": "三沙市", "reason": "gdp missing in 2012"}],
            "warnings": ["population <b>jumps</b>", "another"],
            "notes": ["deflated to 2010"],
        },
    }  # fmt: skip
    return JobSection(**(whole | changes))


def test_page_nests_asks_for_nothing_and_runs_nothing():
    tags = outline(report_page([section(), section()], title="Two"))
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object"}
    addresses = [attrs[key] for _, attrs in tags for key in ("src", "href") if key in attrs]
    assert all(address.startswith(("data:image/png;base64,", "#job-")) for address in addresses)
    page = report_page([section()])
    assert not re.search(r"https?://|@import|url\(", page)
    assert "content=\"default-src 'none'" in page


def test_whole_ends_of_columns_have_no_decimals_and_years_no_separators():
    columns = [
        {"column": "pilot_year", "minimum": 2012.0, "maximum": 2019.0, "mean": 2016.25},
        {"column": "people", "minimum": -3.0, "maximum": 1234567.0},
        {"column": "half", "minimum": 2.0, "maximum": 2018.5},
    ]
    page = report_page([section(validation={"columns": columns})])
    cells = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in page.split("<tr>") if 'scope="row"' in row]
    shown = [row for row in cells if row[:1] in (["2012"], ["-3"], ["2.0000"])]
    assert shown == [["2012", "2019", "2,016.25"], ["-3", "1,234,567", ""], ["2.0000", "2,018.50", ""]]
    assert '<td class="words">2012' not in page


def test_page_has_one_heading_tree_and_a_contents_list_that_leads_there():
    tags = outline(report_page([section(), section()]))
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    linked = {attrs["href"][1:] for tag, attrs in tags if tag == "a"}
    assert {"job-1", "job-2", "job-1-tables", "job-2-record"} <= linked <= set(ids)


def test_page_tells_all_there_is():
    page = report_page([section()])
    for text in (
        "Table 1 &lt;baseline&gt; &amp; more", "Synthetic data.", "builtin:demo: a seeded panel", "32,131", "153,230",
        "The dyadic-robust standard error of policy is 4.0 times", "三沙市", "gdp missing in 2012", "3,400.50",
        "deflated to 2010", "another", "timings: read", "2.3.1", "ab12", "seed 20260101",
    ):  # fmt: skip
        assert text in page
    assert page.count("population &lt;b&gt;jumps&lt;/b&gt;") == 1
    assert "<b>" not in page
    image = next(attrs for tag, attrs in outline(page) if tag == "img")
    assert base64.b64decode(image["src"].partition(",")[2]) == b"\x89PNG1"
    assert image["alt"] == 'alt "text"'


@pytest.mark.parametrize(
    ("source", "synthetic", "words"),
    [
        ("builtin:china_demo", True, "Synthetic data."),
        ("builtin:euro", False, "Real data."),
        ("cities.csv", False, "Your data:"),  # whether they were observed, nobody has told the engine
        ("x", None, "Origin of the data not recorded."),
    ],
)
def test_origin_is_said_in_words(source, synthetic, words):
    every = {"Synthetic data.", "Real data.", "Your data:", "Origin of the data not recorded."}
    page = report_page([JobSection(manifest={"data": {"source": source, "synthetic": synthetic}})])
    assert {text for text in every if f"<strong>{text}</strong>" in page} == {words}
    assert ('class="origin real"' in page) == (words == "Real data.")
    zh = report_page(
        [JobSection(manifest={"data": {"source": source, "synthetic": synthetic}})], words=words_of("zh")
    )
    assert f"<strong>{words_of('zh').fixed[words]}</strong>" in zh


def test_every_source_of_data_gets_its_badge():
    more = {
        "data": {"synthetic": True, "source": "builtin:china_demo"},
        "more_data": [
            {"synthetic": False, "source": "b.csv"},
            {"synthetic": False, "source": "builtin:pilots"},
        ],
    }
    page = report_page([JobSection(manifest=more)])
    assert (
        page.index("Synthetic data.")
        < page.index("<strong>Your data:</strong> b.csv")
        < page.index("Real data.")
    )


def test_absent_keys_leave_out_their_part():
    page = report_page(
        [JobSection(manifest={}), JobSection(manifest={"job": "a", "counts": [{}], "data": None})]
    )
    outline(page)
    assert "Untitled job" in page
    assert "-tables" not in page
    assert report_page([]).startswith("<!doctype html>")


def test_equal_counts_are_shown_once():
    assert (
        report_page([section()]).count("Pairs and rows after every filter, columns (1) to (3)</caption>") == 1
    )
    entries = [*MANIFEST["counts"][:2], {**MANIFEST["counts"][2], "infinite_outcomes": 7}]
    page = report_page([section(manifest={**MANIFEST, "counts": entries})])
    assert "filter, columns (1) and (2)</caption>" in page
    assert "filter, column (3)</caption>" in page
    assert "infinite outcomes: 7" in page


def _luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_text_colour_has_contrast_in_light_and_dark():
    style = report_page([]).partition("<style>")[2]
    schemes = [
        dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)
    ]
    assert len([scheme for scheme in schemes if scheme]) >= 2
    for scheme in filter(None, schemes[:2]):
        paper = _luminance(scheme["paper"])
        for name in ("ink", "quiet", "link", "real", "synthetic"):
            low, high = sorted([paper, _luminance(scheme[name])])
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, scheme[name])
        low, high = sorted(_luminance(scheme[name]) for name in ("ink", "shade"))
        assert (high + 0.05) / (low + 0.05) >= 4.5


# --- the reading ------------------------------------------------------------------------------------------


def test_reading_of_one_column():
    assert error_sentences(sweep(1)) == [
        "The dyadic-robust standard error of policy is 4.0 times the pair-clustered one; significant at 5% under "
        "pair clustering and two-way city clustering only."
    ]


def test_reading_groups_columns_and_skips_undisputed_controls():
    frame = pd.concat([sweep(3), pd.DataFrame(coefficient_rows("c3", "policy", 0.9, 0.02))])
    frame = pd.concat([frame, pd.DataFrame(coefficient_rows("c4", "policy", 0.001, 0.03))])
    assert error_sentences(frame) == [
        "The dyadic-robust standard error of policy is 4.0 times the pair-clustered one; significant at 5% under "
        "pair clustering and two-way city clustering only in columns (1) to (3); significant at 5% under every kind "
        "of error in column (4); not significant at 5% under any kind of error in column (5)."
    ]


def test_reading_tells_disputed_controls_and_ranges():
    frame = sweep(2)
    rows = (frame["term"] == "x0") & (frame["errors"] == "dyadic")
    frame.loc[rows, ["std_error", "p_value"]] = [0.5, 0.3]
    frame.loc[
        (frame["cell"] == "c1") & (frame["term"] == "policy") & (frame["errors"] == "dyadic"), "std_error"
    ] = 0.06
    said = error_sentences(frame)
    assert said[0].startswith(
        "The dyadic-robust standard error of policy is 4.0 to 5.1 times the pair-clustered one;"
    )
    assert said[1] == (
        "The dyadic-robust standard error of x0 is 50.0 times the pair-clustered one; significant at 5% under "
        "pair clustering, two-way city clustering and the jackknife only in column (2)."
    )


def test_reading_starts_with_the_main_term_even_if_nobody_disputes_it():
    frame = sweep(2).query("term != 'policy' or cell == 'c1'")
    frame.loc[frame["term"] == "policy", "p_value"] = 0.5
    assert error_sentences(frame.iloc[::-1], main="policy") == [
        "The dyadic-robust standard error of policy is 4.0 times the pair-clustered one; not significant at 5% under "
        "any kind of error."
    ]


def test_reading_says_what_is_undefined():
    frame = sweep(2)
    said = error_sentences(undefined(frame, (frame["errors"] == "dyadic") & (frame["cell"] == "c1")))
    assert said[1] == "The dyadic-robust standard error of policy is undefined in column (2)."


def test_reading_counts_event_years():
    assert error_sentences(event_estimates((-3, -2, 0, 1, 2, 8))) == [
        "The dyadic-robust standard error of policy by event year is 4.0 times the pair-clustered one.",
        "Of 2 event years before adoption, significant at 5%: 0 under pair clustering, 0 under two-way city "
        "clustering, 0 under dyadic-robust errors and 0 under the jackknife.",
        "Of 4 event years from adoption on, significant at 5%: 3 under pair clustering, 2 under two-way city "
        "clustering, 1 under dyadic-robust errors and 1 under the jackknife.",
    ]


def test_reading_of_one_kind_says_nothing_and_of_other_kinds_compares_them():
    assert error_sentences(sweep(2, kinds={"dyadic": 4.0})) == []
    said = error_sentences(sweep(1, kinds={"city": 2.5, "jackknife": 5.0}))
    assert said == [
        "The jackknife standard error of policy is 2.0 times the two-way city one; significant at 5% under two-way "
        "city clustering only."
    ]
    with pytest.raises(InputError, match="there are no rows"):
        error_sentences(sweep(1).iloc[:0])


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([4], "column (4)"), ([2, 1], "columns (1) and (2)"), ([1, 2, 3], "columns (1) to (3)"),
        ([1, 3, 4, 5, 9], "columns (1), (3) to (5) and (9)"),
    ],
)  # fmt: skip
def test_columns_phrase(numbers, text):
    assert columns_phrase(numbers) == text
