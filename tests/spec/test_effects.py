"""``model.fixed_effects``: what each entry means, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.spec import expand, load_job
from engine.spec.effects import FixedEffect, absorbed, parse_effect, parse_effects

MEANS = {
    "pair": FixedEffect("pair", "pair"),
    "year": FixedEffect("year", "year"),
    "city x year": FixedEffect("city x year", "city", by_year=True),
    "province x year": FixedEffect("province x year", "column", "province", by_year=True),
    " 省份  x year ": FixedEffect("省份 x year", "column", "省份", by_year=True),
    "province-pair x year": FixedEffect("province-pair x year", "column_pair", "province", by_year=True),
    "distance:10 x year": FixedEffect("distance:10 x year", "distance", classes=10, by_year=True),
    "route": FixedEffect("route", "column", "route"),
    "x x year": FixedEffect("x x year", "column", "x", by_year=True),
}


@pytest.mark.parametrize("text", MEANS)
def test_meaning(text: str) -> None:
    assert parse_effect(text) == MEANS[text]


REFUSED = {
    "": "is no fixed effect",
    "pair x year": "list 'pair' alone",
    "year x year": "list 'year' alone",
    "year x city": "is no fixed effect",
    "city x province": "is no fixed effect",
    "city^year": "is no fixed effect",
    "City x Year": "is no fixed effect",
    "city-pair x year": "is no fixed effect",
    "pair-pair": "is no fixed effect",
    "year-pair x year": "is no fixed effect",
    "province:3 x year": "only distance has classes",
    "city": "does not change within a pair",
    "province-pair": "does not change within a pair",
    "distance:5": "does not change within a pair",
    "distance x year": "needs a number of classes from 2 to 1,000",
    "distance:1 x year": "needs a number of classes",
    "distance:1001 x year": "needs a number of classes",
    "distance-pair x year": "needs a number of classes",
    "2010 x year": "is no fixed effect",
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_effect(text)
    assert REFUSED[text] in caught.value.problem
    assert caught.value.remedy


@given(st.text(max_size=30))
def test_any_text_means_something_or_is_refused(text: str) -> None:
    try:
        found = parse_effect(text)
    except InputError:
        return
    assert parse_effect(found.text) == found


def test_which_are_absorbed_row_by_row() -> None:
    assert not absorbed(parse_effects(["year", "pair"]))
    assert absorbed(parse_effects(["pair", "city x year"]))
    assert absorbed(parse_effects(["pair", "year", "route"]))


# What stands under model, pairs and treatment, and what the message must say.
KEPT, NONE = "pairs: {exclude: both_treated}", "pairs: {exclude: none}"
JOBS = {
    "no pair": ("[year]", NONE, "model: fixed_effects must hold pair"),
    "no year": ("[pair]", NONE, "model: fixed_effects must hold year, or an effect by year"),
    "twice": (
        "[pair, year, city x year, city  x year]",
        NONE,
        "model.fixed_effects: names 'city x year' twice",
    ),
    "no effect": (
        "[pair, city*year]",
        NONE,
        "model.fixed_effects[1]: 'city*year' is no fixed effect\n  hint: possible are pair, year, city x year, "
        "<column> x year, <column>-pair x year, distance:k x year; for a pair_table pair, year, city x year, "
        "<column>, <column> x year",
    ),
    "constant": ("[pair, year, province]", NONE, "'province' does not change within a pair"),
    "absorbed": (
        "[pair, city x year]",
        KEPT,
        "the effects city x year absorb 'policy': without pairs of two treated cities it is the sum of its cities' "
        "own\n  hint: keep those pairs (pairs.exclude: none), or leave out city x year",
    ),
    "absorbed count": (
        "[pair, city x year]",
        "pairs: {exclude: none}\ncases: {a: {treatment.rule: count}}",
        "the effects city x year absorb 'policy': under rule count it is the sum of its cities' own",
    ),
    "instrument": (
        "[pair, city x year], estimator: iv",
        f"{NONE}\ninstrument: {{neg_abs_diff: roads}}",
        "estimator iv has the effects [pair, year] only",
    ),
}


@pytest.mark.parametrize("kind", JOBS)
def test_job(kind: str, write: Any, minimal: str) -> None:
    listed, rest, expected = JOBS[kind]
    path = write(f"{minimal}model: {{fixed_effects: {listed}}}\n{rest}\n")
    with pytest.raises(InputError) as caught:
        expand(load_job(path))
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("listed", ["[pair, year, province-pair x year]", "[pair, distance:5 x year]"])
def test_pair_table_has_no_city_columns(listed: str, write: Any, pair_table: str) -> None:
    path = write(pair_table.replace("[pair, year]", listed))
    with pytest.raises(InputError, match="but a pair_table has no") as caught:
        load_job(path)
    assert caught.value.remedy == "possible are pair, year, city x year, <column>, <column> x year"


def test_a_treatment_that_is_no_regressor_is_not_absorbed(write: Any, minimal: str) -> None:
    model = "model: {treatment: false, fixed_effects: [pair, city x year]}"
    job = load_job(write(f"{minimal}{model}\npairs: {{exclude: both_treated}}")).job
    assert job.model.fixed_effects == ["pair", "city x year"]
