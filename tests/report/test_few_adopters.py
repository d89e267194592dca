"""Too few adopting cities: counted by column, no stars, and the reader is pointed to the permutation test."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from adopter_panels import BLOCKS, panel
from report_frames import coefficient_rows
from strategies import run_panel

import engine
from engine.report.language.wording import words_of
from engine.report.outputs.error_comparison import error_sentences
from engine.report.outputs.regression_table import regression_table


def adopters_of(found: engine.Results, term: str = "policy") -> float:
    rows = found.estimates
    assert rows.loc[rows["term"] == "edu", "n_adopters"].isna().all()
    (number,) = rows.loc[rows["term"].str.startswith(term), "n_adopters"].unique()
    return float(number)


@pytest.mark.parametrize(
    ("adopters", "expected"),
    [
        ({0: 2013}, 1),
        ({0: 2013, 1: 2015, 2: 2016}, 3),
        ({0: 2013, 1: 2015, 2: 2016, 3: 2014}, 4),
        ({0: 2013, 1: 2009, 2: 2010, 3: 2011}, 2),  # treated throughout: nothing of theirs varies
        ({0: 2013, 1: 2019, 2: 2030}, 1),  # adopt after the sample
    ],
)
def test_adopting_cities_are_those_that_change_within_the_sample(
    adopters: dict[int, float], expected: int
) -> None:
    for effects in (["pair", "year"], ["pair", "year", "province x year"]):
        found = run_panel(
            panel(adopters), **{**BLOCKS, "model": {**BLOCKS["model"], "fixed_effects": effects}}
        )
        assert adopters_of(found) == expected
        assert found.manifest["counts"][0]["adopting_cities"] == expected
        warned = [text for text in found.manifest["warnings"] if "adopting cities in the sample" in text]
        assert len(warned) == (expected < 4)


def test_adopters_without_a_row_after_adoption_do_not_count() -> None:
    """Four adopt, and one of them is not observed once it has: three are behind the coefficient."""
    frame = panel({0: 2013, 1: 2014, 2: 2015, 3: 2016})
    frame.loc[(frame["city"] == "c03") & (frame["year"] >= 2016), "output"] = np.nan
    assert adopters_of(run_panel(frame, **BLOCKS)) == 3


def test_lags_and_shifts_move_the_years_that_count() -> None:
    adopters = {0: 2013.0, 1: 2014.0, 2: 2015.0, 3: 2017.0}
    lagged = {**BLOCKS, "model": {**BLOCKS["model"], "lag": 1}}
    assert adopters_of(run_panel(panel(adopters), **lagged)) == 3
    shifted = {**BLOCKS, "treatment": {**BLOCKS["treatment"], "shift": -3}}
    assert adopters_of(run_panel(panel(adopters), **shifted)) == 3  # 2010, the first year, is no change


def test_an_event_study_counts_every_city_that_adopts() -> None:
    model = {"estimator": "event_study", "window": [-2, 2], "errors": ["pair", "dyadic"]}
    found = run_panel(panel({0: 2013, 1: 2014}), **{**BLOCKS, "model": model})
    assert adopters_of(found) == 2


# -- what is printed ---------------------------------------------------------------------------------------


def rows(numbers: list[float], *, term: str = "policy") -> pd.DataFrame:
    frames = [
        coefficient_rows(f"c{place}", name, 0.07, 0.001, n_adopters=number if name == term else np.nan)
        for place, number in enumerate(numbers)
        for name in (term, "edu")
    ]
    return pd.DataFrame([row for frame in frames for row in frame])


def printed(frame: pd.DataFrame, lang: str = "en") -> str:
    return regression_table(frame, title="t", words=words_of(lang)).to_text()


def line(text: str, term: str) -> str:
    return next(row for row in text.splitlines() if row.startswith(term))


def test_stars_are_withheld_by_term_and_column() -> None:
    text = printed(rows([3, 4, 1]))
    assert line(text, "policy").split() == ["policy", "0.0700", "0.0700***", "0.0700"]
    assert line(text, "edu").split()[1:] == ["0.0700***"] * 3
    flat = " ".join(text.split())
    assert "No stars for policy in column (1): 3 cities adopting in the sample." in flat
    assert "No stars for policy in column (3): 1 city adopting in the sample." in flat
    assert flat.count("With fewer than four adopting cities") == 1
    assert "inference.permutation" in flat
    assert "样本中仅 1 个城市实施政策" in printed(rows([1]), "zh")


def test_four_adopters_and_results_of_earlier_versions_keep_their_stars() -> None:
    for frame in (rows([4]), rows([1]).drop(columns="n_adopters")):
        text = printed(frame)
        assert line(text, "policy").split()[1] == "0.0700***"
        assert "adopting" not in text


def test_terms_of_few_effective_cities_are_named_once_below_the_table() -> None:
    """Those of four adopters and more: of fewer another note tells more; a control has none to count."""
    frame = rows([6, 5, 2])
    by_term = {"policy": 1.4, "edu": 1.0}
    frame = frame.assign(effective_adopters=frame["term"].map(by_term))
    frame.loc[frame["cell"] == frame["cell"].iloc[0], "effective_adopters"] = 2.0
    flat = " ".join(printed(frame).split())
    assert flat.count("Fewer than two effective adopting cities") == 1
    assert "where no kind of standard error settles anything: policy in column (2)." in flat
    assert "有效实施城市数不足两个" in printed(frame, "zh")
    assert "Fewer than two" not in printed(frame.assign(effective_adopters=2.0))


def test_the_reading_does_not_call_it_significant() -> None:
    said = error_sentences(rows([2, 2]), main="policy")
    assert said[0] == (
        "With 2 cities adopting no standard error tells whether policy matters in columns (1) and (2); the studentised "
        "permutation test (inference.permutation) does."
    )
    assert not any("policy" in sentence and "significant" in sentence for sentence in said)
    assert error_sentences(rows([2]).query("errors == 'pair'"), main="policy")[0].startswith("With 2 cities")


def test_event_years_are_one_term_in_the_note() -> None:
    frame = pd.concat([rows([1], term=f"policy[{time:+d}]").query("term != 'edu'") for time in (-2, 0, 1)])
    text = " ".join(printed(frame).split())
    assert text.count("No stars for policy: 1 city adopting") == 1
    assert "***" not in text.replace("*** p<0.01", "")
