"""Tables: every printed number against the frame it came from, in all four forms."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_frames import WIDER, coefficient_rows, event_estimates, sweep, undefined

from engine.errors import InputError
from engine.report.error_types import ERROR_LOOKS
from engine.report.number_format import number
from engine.report.outputs.regression_table import ordered_terms, regression_table
from engine.report.table_style import TableStyle


def printed(text):
    """Rows of the CSV form by (term, row)."""
    rows = list(csv.reader(io.StringIO(text)))
    return rows[0], {(row[0], row[1]): row[2:] for row in rows[1:]}


def row_texts(table):
    return [(row.label, [entry.text for entry in row.entries]) for row in table.rows]


def test_csv_holds_every_number_of_the_frame_unrounded():
    frame = sweep(3)
    header, rows = printed(regression_table(frame, title="T").to_csv())
    assert header == ["term", "row", "(1)", "(2)", "(3)"]
    for record in frame.to_dict("records"):
        place = int(record["cell"][1:])
        assert float(rows[record["term"], "estimate"][place]) == record["estimate"]
        label = f"std_error {ERROR_LOOKS[record['errors']].label}"
        assert float(rows[record["term"], label][place]) == record["std_error"]
    assert rows["x0", "estimate"][0] == ""
    assert rows["", "controls"] == ["none", "x0", "x0+x1"]
    assert [rows["", name][0] for name in ("Observations", "Pairs", "Units", "R²", "Within R²")] == [
        "153230", "15323", "254", "0.4123", "0.00023",
    ]  # fmt: skip


def test_text_form_is_the_printed_table():
    frame = pd.DataFrame(
        coefficient_rows("a", "policy", 0.07, 0.0117, **{"pairs.gravity.keep": "all"})
        + coefficient_rows("b", "policy", -0.5, 0.0117, **{"pairs.gravity.keep": "above_median"})
    )
    assert regression_table(
        frame, title="Table 1", synthetic=True, style=TableStyle(notes=["Last."])
    ).to_text() == (
        """\
Table 1
--------------------------------------------
                         (1)           (2)
--------------------------------------------
policy               0.0700       -0.5000***
  pair-clustered    (0.0117)      (0.0117)
  two-way city      (0.0293)      (0.0293)
  dyadic-robust     (0.0468)      (0.0468)
  jackknife CRV3    (0.0515)      (0.0515)
--------------------------------------------
keep                       all  above_median
Pair FE                 Yes           Yes
Year FE                 Yes           Yes
--------------------------------------------
Observations        153,230       153,230
Pairs                15,323        15,323
Units                   254           254
R²                   0.4123        0.4123
Within R²          0.000230      0.000230
--------------------------------------------
Dependent variable: sync.
Standard errors in parentheses, one row for each kind.
Significance levels based on dyadic-robust errors: * p<0.10, ** p<0.05,
*** p<0.01.
The two-way city errors depend on the order of the cities and are there
for comparison.
Synthetic data: generated, not observed.
Last.
"""
    )


@pytest.mark.parametrize(
    ("kinds", "starred", "stars"),
    [
        (("pair", "city", "dyadic", "jackknife"), "dyadic-robust", ""),
        (("pair", "jackknife"), "jackknife CRV3", ""),
        (("pair", "city"), "pair-clustered", "***"),
        (("city", "pair"), "two-way city", "**"),
    ],
)
def test_stars_come_from_the_most_honest_kind_and_the_note_names_it(kinds, starred, stars):
    frame = sweep(1, kinds={kind: WIDER[kind] for kind in kinds})
    table = regression_table(frame, title="T")
    assert table.rows[0].entries[0].text == "0.0700" + stars
    assert f"Significance levels based on {starred} errors" in table.to_text()


@pytest.mark.parametrize(
    ("p_value", "stars"),
    [(0.0, "***"), (0.00999, "***"), (0.01, "**"), (0.05, "*"), (0.0999, "*"), (0.10, ""), (np.nan, "")],
)
def test_stars_change_strictly_below_the_thresholds(p_value, stars):
    frame = sweep(1).assign(p_value=p_value)
    assert regression_table(frame, title="T").rows[0].entries[0].text == "0.0700" + stars


def test_columns_without_a_common_kind_get_no_stars():
    frame = pd.DataFrame(
        coefficient_rows("a", "policy", 5.0, 0.01, kinds={"pair": 1.0})
        + coefficient_rows("b", "policy", 5.0, 0.01, kinds={"dyadic": 4.0})
    )
    table = regression_table(frame, title="T")
    assert row_texts(table)[:3] == [
        ("policy", ["5.0000", "5.0000"]),
        ("pair-clustered", ["(0.0100)", ""]),
        ("dyadic-robust", ["", "(0.0400)"]),
    ]
    assert "No stars" in table.to_text()


def test_effective_adopting_cities_are_the_fewest_of_the_treatment():
    def rows(cell, term, adopters):
        cr2 = coefficient_rows(cell, term, 0.07, 0.01, kinds={"dyadic_cr2": 4.0}, effective_adopters=adopters)
        return cr2 + coefficient_rows(cell, term, 0.07, 0.01, kinds={"pair": 1.0})

    frame = pd.DataFrame(
        [
            *rows("a", "policy[-1]", 36.04), *rows("a", "policy[0]", 12.26), *rows("a", "edu", 3.0),
            *rows("b", "policy", 1234.5), *rows("c", "policy", math.inf),
        ]
    )  # fmt: skip
    table = regression_table(frame, title="T", main="policy")
    assert ("Effective adopting cities", ["12.3", "1,234.5", ""]) in row_texts(table)
    assert (
        dict(row_texts(regression_table(frame, title="T"))).keys().isdisjoint({"Effective adopting cities"})
    )
    older = frame.drop(columns="effective_adopters")
    assert "Effective" not in regression_table(older, title="T", main="policy").to_text()


def test_an_undefined_error_is_printed_as_such_and_explained():
    frame = sweep(2)
    table = regression_table(
        undefined(frame, (frame["errors"] == "dyadic") & (frame["cell"] == "c1")), title="T"
    )
    assert row_texts(table)[3] == ("dyadic-robust", ["(0.0468)", "(n/a)"])
    assert table.rows[0].entries[1].text == "0.0700"
    assert "(n/a): this kind of error is undefined here." in table.notes
    assert printed(table.to_csv())[1]["policy", "std_error dyadic-robust"][1] == ""
    assert not any("n/a" in note for note in regression_table(frame, title="T").notes)


def test_event_years_ascend_whatever_their_order_in_the_frame():
    frame = pd.concat([event_estimates((0, 10, -2)), event_estimates((-3, 2), cell="e1")])
    terms = [row.term for row in regression_table(frame, title="T").rows if row.kind == "coefficient"]
    assert terms == ["policy[-3]", "policy[-2]", "policy[0]", "policy[2]", "policy[10]"]
    assert ordered_terms(["z", "b[+1]", "a", "b[-1]"]) == ["b[-1]", "b[+1]", "z", "a"]


def test_the_main_term_is_printed_first_wherever_it_stands_in_the_frame():
    frame = sweep(3).iloc[::-1].sort_values("cell", kind="stable")
    for main in ("policy", "x0", "x1"):
        table = regression_table(frame, title="T", main=main)
        assert table.rows[0].label == main
        assert sorted(row_texts(table)) == sorted(row_texts(regression_table(frame, title="T")))


def test_long_sweep_values_are_abbreviated_and_spelled_out():
    table = regression_table(sweep(16), title="T")
    setting = next(row for row in table.rows if row.label == "controls")
    assert [entry.text for entry in setting.entries][:3] == ["none", "x0", "x0+x1"]
    note = next(note for note in table.notes if note.startswith("controls:"))
    spelled = dict(re.findall(r"(\[\w+\]) ([\w+]+)", note))
    values = ["+".join(f"x{place}" for place in range(cell)) or "none" for cell in range(16)]
    printed_whole = [spelled.get(entry.text, entry.text.replace("\n", "")) for entry in setting.entries]
    assert printed_whole == values
    assert set(spelled) == {"[a]"}
    lines = [entry.text.split("\n") for entry in setting.entries]
    assert max(len(line) for entry in lines for line in entry) <= 13
    assert max(map(len, lines)) == 4


def test_sweep_keys_that_end_alike_keep_their_full_names():
    rows = coefficient_rows("a", "policy", 1.0, 0.1, **{"a.year": 1, "b.year": 2, "c.rule": None})
    labels = [row.label for row in regression_table(pd.DataFrame(rows), title="T").rows]
    assert [label for label in labels if "year" in label or "rule" in label] == ["a.year", "b.year", "rule"]


def test_a_varying_outcome_becomes_a_row_unless_a_sweep_says_it_already():
    one, two = (coefficient_rows(name, "policy", 1.0, 0.1, outcome=name) for name in ("gdp", "trade"))
    table = regression_table(pd.DataFrame(one + two), title="T")
    assert ("outcome", ["gdp", "trade"]) in row_texts(table)
    assert "Dependent variable: gdp in column (1); trade in column (2)." in table.notes
    swept = pd.DataFrame(one + two).assign(**{"outcome.column": lambda frame: frame["outcome"]})
    labels = [label for label, _ in row_texts(regression_table(swept, title="T"))]
    assert "outcome" not in labels
    assert "column" in labels


@pytest.mark.parametrize(
    ("n_cells", "widths"), [(1, [1]), (8, [8]), (9, [5, 4]), (17, [6, 6, 5]), (24, [8, 8, 8])]
)
def test_panels_are_even_and_together_hold_every_entry(n_cells, widths):
    table = regression_table(sweep(n_cells, kinds={"pair": 1.0}), title="T")
    panels = table.panels()
    assert [len(panel.header) for panel in panels] == widths
    assert tuple(itertools.chain(*(panel.header for panel in panels))) == table.header
    joined = [entry for panel in panels for row in panel.rows for entry in row.entries if entry.text]
    whole = [entry for row in table.rows for entry in row.entries if entry.text]
    assert sorted(map(str, joined)) == sorted(map(str, whole))
    for form in (table.to_text(), table.to_html()):
        assert form.count("Within R²") == len(widths)
    assert table.to_latex().count("\\begin{table}") == len(widths)


def test_panel_titles_name_their_columns():
    titles = [panel.title for panel in regression_table(sweep(9), title="T").panels()]
    assert titles == ["T, columns (1) to (5)", "T, columns (6) to (9)"]


SPECIAL = r"a_b & 50% \ {x} ~^ <i> |#$ [1] * 中文"


def test_latex_escapes_what_the_user_named_and_passes_chinese():
    rows = coefficient_rows("a", SPECIAL, -0.5, 0.01, outcome=SPECIAL, key=SPECIAL)
    latex = regression_table(pd.DataFrame(rows), title=f"Table 3. {SPECIAL}").to_latex()
    escaped = r"a\_b \& 50\% \textbackslash{} \{x\} \textasciitilde{}\textasciicircum{} "
    escaped += r"$<$i$>$ $|$\#\$ {[}1{]} {*} 中文"
    assert f"\n{escaped} & $-$0.5000$^{{***}}$ \\\\\n" in latex
    assert f"\\caption{{{escaped}}}" in latex
    assert f"\\item Dependent variable: {escaped}." in latex
    assert latex.count("中文") == 4
    body = latex[latex.index("\\toprule") : latex.index("\\bottomrule")]
    assert {line.count(" & ") for line in body.splitlines() if line.endswith("\\\\")} == {1}
    assert re.sub(r"\\[{}]", "", latex).count("{") == re.sub(r"\\[{}]", "", latex).count("}")


def test_html_is_well_formed_semantic_and_escaped():
    rows = coefficient_rows("a", SPECIAL, -0.5, 0.01) + coefficient_rows("b", "x", 0.1, 0.01)
    fragment = regression_table(pd.DataFrame(rows), title=SPECIAL).to_html()
    table = ET.fromstring(f"<div>{fragment}</div>").find(".//table")
    assert table.findtext("caption") == SPECIAL
    assert [th.text for th in table.findall("./thead/tr/th[@scope='col']")] == ["(1)", "(2)"]
    lines = table.findall("./tbody/tr")
    assert all(line[0].tag == "th" and line[0].get("scope") == "row" and len(line) == 3 for line in lines)
    assert lines[0][0].text == SPECIAL
    assert "".join(lines[0][1].itertext()) == "\N{MINUS SIGN}0.5000***"
    assert "".join(lines[1][1].itertext()) == "(0.0100)"
    assert "<script" not in fragment


def test_standalone_html_says_its_encoding():
    page = regression_table(sweep(1), title="表 1").to_html(standalone=True)
    assert page.startswith("<!doctype html>")
    assert page.index('<meta charset="utf-8">') < page.index("表 1")


def test_chinese_labels_keep_the_columns_of_the_text_aligned():
    rows = coefficient_rows("a", "政策", 0.25, 0.01) + coefficient_rows("b", "x", 0.25, 0.01)
    lines = regression_table(pd.DataFrame(rows), title="T").to_text().splitlines()
    chinese = next(line for line in lines if line.startswith("政策"))
    bracket = next(line for line in lines if "pair-clustered" in line)
    # Two Chinese characters take four places but count two, so the decimal point sits two indices earlier.
    assert chinese.index("0.25") + 2 == bracket.index("0.0100")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0000"), (0.07021, "0.0702"), (-1.23456, "-1.2346"), (0.001, "0.0010"), (99.99999, "100.0000"),
        (0.0009996, "0.00100"), (-0.000412, "-0.000412"), (1e-6, "0.00000100"), (3.2e-9, "3.20e-09"),
        (100.0, "100.00"), (1234.56, "1,234.56"), (2e7, "2.00e+07"),
    ],
)  # fmt: skip
def test_number(value, text):
    assert number(value) == text


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_a_printed_number_is_right_to_two_significant_digits_and_odd(value):
    assert number(-value) == "-" + number(value)
    assert math.isclose(float(number(value).replace(",", "")), value, rel_tol=0.051)


def test_what_is_no_table_of_one_job_is_refused():
    frame = sweep(2)
    with pytest.raises(InputError, match=r"estimates: the column 'errors' is missing\n  hint: run the job"):
        regression_table(frame.drop(columns="errors"), title="T")
    with pytest.raises(InputError, match="there are no rows"):
        regression_table(frame.iloc[:0], title="T")
    with pytest.raises(InputError, match=r"two rows for cell c0, term policy, errors pair"):
        regression_table(pd.concat([frame, frame]), title="T")


def test_settings_are_wrapped_not_cut():
    frame = pd.concat([sweep(1).assign(cell=name, case=name) for name in ("institution as outcome", "x")])
    table = regression_table(frame.drop(columns="model.controls"), title="T")
    row = next(row for row in table.rows if row.label == "case")
    assert [entry.text for entry in row.entries] == ["institution\nas outcome", "x"]
    assert [entry.value for entry in row.entries] == ["institution as outcome", "x"]
    assert "institution<br>as outcome" in table.to_html()
