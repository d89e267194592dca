"""Sentences and table of coefficients tested together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engine.report.outputs.multiple_tests import multiple_sentences, multiple_table
from engine.report.outputs.output import JobReport


def report(step_down: list[float], tests: list[int], *, few: tuple[str, ...] = ()) -> JobReport:
    """Cells a (two terms), b, c, ... of one term each."""
    cells = ["a", "a", *"bcdefgh"[: len(tests) - 2]]
    multiple = pd.DataFrame(
        {
            "job": "j",
            "cell": cells,
            "term": ["policy", "other", *["policy"] * (len(tests) - 2)],
            "method": "permutation",
            "tests": tests,
            "reps": 99,
            "statistic": 2.0,
            "p_value": 0.01,
            "step_down_p": step_down,
            "holm_p": step_down,
        }
    )
    names = list(dict.fromkeys(cells))
    estimates = pd.DataFrame({"cell": names, "n_adopters": [2 if name in few else 9 for name in names]})
    entries = [{"cell": name, "number": place, "label": name} for place, name in enumerate(names, start=1)]
    manifest = {"title": "T", "treatment": "policy", "cells": entries}
    return JobReport({"multiple": multiple, "estimates": estimates}, manifest)


def said(*args: object, **options: object) -> list[str]:
    return list(multiple_sentences(report(*args, **options)))  # type: ignore[arg-type]


def test_those_that_stand_are_named() -> None:
    (sentence,) = said([0.01, 0.2, 0.04], [3, 3, 3])
    assert sentence == (
        "Of 3 coefficients tested together, 2 differ from zero at 5%: policy in column (1) and policy in column (2) "
        "(step-down p from 0.0100)."
    )


def test_none_stands() -> None:
    (sentence,) = said([0.3, 0.2, 0.4], [3, 3, 3])
    assert (
        sentence
        == "Of 3 coefficients tested together, none differs from zero at 5% (smallest step-down p = 0.2000)."
    )


def test_columns_of_few_adopters_count_and_are_not_named() -> None:
    (sentence,) = said([0.01, 0.2, 0.04], [3, 3, 3], few=("a",))
    assert sentence.startswith(
        "Of 3 coefficients tested together, 1 differ from zero at 5%: policy in column (2)"
    )
    assert said([0.01, 0.2], [2, 2], few=("a",)) == []


def test_families_have_a_sentence_each() -> None:
    assert len(said([0.01, 0.2, 0.04, 0.5], [2, 2, 2, 2])) == 2


def test_without_a_common_draw_there_is_no_sentence() -> None:
    assert said([np.nan, np.nan], [2, 2]) == []


@pytest.mark.parametrize("p", [0.0123, np.nan])
def test_the_table_has_every_number(p: float) -> None:
    table = multiple_table(report([p, 0.2, 0.04], [3, 3, 3]))
    assert [row.label for row in table.rows] == [
        "(1) policy: permutation",
        "(1) other: permutation",
        "(2) policy: permutation",
    ]
    assert table.rows[2].entries[2].text == "0.0400"
    assert ("0.0123" in table.to_text()) == (p == p)
