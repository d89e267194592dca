"""Regressions on a table of pairs by a formula, against pyfixest."""

from __future__ import annotations

from typing import Any

import dyadid as dd
import numpy as np
import pyfixest as pf
import pytest
from strategies import pair_table

KEYS: dict[str, Any] = {"units": ("one", "other"), "year": "year"}


def test_pair_and_year() -> None:
    frame = pair_table(0)
    result = dd.feols("y ~ x + log(exp(w) + 1)", frame, **KEYS, errors="pair")
    frame["pair"] = frame["one"] + frame["other"]
    frame["v"] = np.log(np.exp(frame["w"]) + 1)
    fit = pf.feols("y ~ x + v | pair + year", frame, vcov={"CRV1": "pair"})
    np.testing.assert_allclose(result.tidy()["estimate"], fit.coef(), rtol=1e-8)


def test_effects_of_exporter_and_importer_by_year() -> None:
    frame = pair_table(1, directed=True)
    result = dd.feols("y ~ x | pair + one^year + other^year", frame, **KEYS, errors=["pair", "dyadic"])
    assert result.results.manifest["cells"][0]["fixed_effects"] == ["pair", "one x year", "other x year"]
    frame["pair"] = frame["one"] + frame["other"]
    fit = pf.feols("y ~ x | pair + one^year + other^year", frame)
    np.testing.assert_allclose(result.tidy()["estimate"], fit.coef(), rtol=1e-8)


def test_both_orders_make_it_directed() -> None:
    frame = pair_table(1, directed=True)
    assert dd.feols("y ~ x", frame, **KEYS).glance()["n_obs"].iloc[0] > len(frame) * 0.9


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y", "is no formula of a regression"),
        ("y ~ x | a | b", "is no formula of a regression"),
        ("y ~ x | one^other", "'one\\^other' is no fixed effect here"),
        ("y ~ q", "q"),
        ("y ~ x*w", r"'x\*w' is no regressor of a formula"),
        ("y ~ x - w", "'x - w' is no regressor of a formula"),
        ("y ~ x:w", "'x:w' is no regressor of a formula"),
        ("y ~ (x + w)", r"'\(x \+ w\)' is no regressor"),
        ("y ~ log(x) + (w)", r"'\(w\)' is no regressor"),
        ("y ~ x | `one x`^year", "is no fixed effect here"),
    ],
)
def test_wrong_formulas_are_refused(formula: str, message: str) -> None:
    with pytest.raises(dd.InputError, match=message):
        dd.feols(formula, pair_table(0), **KEYS)


def test_arithmetic_and_headers_that_are_no_names() -> None:
    frame = pair_table(0).rename(columns={"w": "my|w"})
    result = dd.feols("y ~ I(x * `my|w`) + `my|w`", frame, **KEYS, errors="pair")
    frame = frame.assign(pair=frame["one"] + frame["other"], w=frame["my|w"], xw=frame["x"] * frame["my|w"])
    fit = pf.feols("y ~ xw + w | pair + year", frame.drop(columns="my|w"))
    np.testing.assert_allclose(result.tidy()["estimate"], fit.coef(), rtol=1e-8)
