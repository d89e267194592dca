"""Poisson regressions and regressions without pair effects, from a table of pairs to frames, table and manifest."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import dyadid as dd
import numpy as np
import pandas as pd
import pyfixest
import pytest
from pyfixest.demeaners import LsmrDemeaner
from strategies import pair_table, run_table

from engine.errors import InputError
from engine.estimate.ppml import separation

TIGHTEST = LsmrDemeaner(fixef_atol=1e-14, fixef_btol=1e-14, fixef_maxiter=10_000)
KEYS: dict[str, Any] = {"units": ("one", "other"), "year": "year"}


def flows(seed: int, *, directed: bool = True) -> pd.DataFrame:
    """Outcomes from zero up, of 9 units; a unit that exports nothing; ``far``, constant within pairs; weights; size."""
    frame = pair_table(seed, directed=directed)
    rng = np.random.default_rng(seed)
    frame["far"] = frame["one"].str[1:].astype(int) * 7 % 5 + frame["other"].str[1:].astype(int) * 3 % 4.0
    frame["far"] += frame["one"].str[1:].astype(int) * frame["other"].str[1:].astype(int) % 7
    frame["size"], frame["heavy"] = np.exp(rng.normal(size=len(frame))), rng.uniform(0.5, 2, len(frame))
    frame["y"] = rng.poisson(np.exp(0.4 * frame["y"] - 0.05 * frame["far"]) * frame["size"]).astype(float)
    frame.loc[frame["one"] == "u4", "y"] = 0.0
    frame["pair"] = frame["one"] + frame["other"]
    for end in ("one", "other"):
        frame[f"{end}_year"] = frame[end] + frame["year"].astype(str)
    return frame


def peer(frame: pd.DataFrame, formula: str, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return pyfixest.fepois(
            formula, frame, vcov={"CRV1": "pair"}, iwls_tol=1e-12, iwls_maxiter=200,
            separation_check=["fe", "ir"], **options,
        )  # fmt: skip


def test_weights_offset_and_three_effects() -> None:
    frame = flows(1)
    result = dd.fepois(
        "y ~ x + w | pair + one^year + other^year",
        frame,
        **KEYS,
        weight="heavy",
        offset="log(size)",
        errors=["pair", "dyadic", "jackknife"],
        leave_outs="one_step",
    )
    frame["log_size"] = np.log(frame["size"])
    model = peer(frame, "y ~ x + w | pair + one_year + other_year", weights="heavy", offset="log_size")
    rows = result.estimates[result.estimates["errors"] == "pair"]
    np.testing.assert_allclose(rows["estimate"], model.coef(), rtol=1e-7)
    np.testing.assert_allclose(rows["std_error"], model.se(), rtol=1e-6)
    assert (rows["n_obs"] == model._N).all()
    assert rows["r2"].isna().all()
    assert (rows["n_separated"] >= (frame["one"] == "u4").sum() * 0.5).all()
    entry = result.results.manifest["cells"][0]["poisson"]
    np.testing.assert_allclose(rows["deviance"], entry["deviance"])
    assert entry["separation_settled"]
    said = " ".join(result.results.manifest["warnings"])
    assert "told apart exactly by effects or regressors" in said
    assert "one step of Newton's method" in said
    text = str(result.table())
    assert "Pseudo R²" in text
    assert "Separated rows" in text
    assert "Within R²" not in text
    assert "伪 R²" in str(result.table(lang="zh"))


def test_weights_of_separated_rows_have_no_part_in_the_deviance() -> None:
    frame = flows(1)
    heavier = frame.assign(heavy=frame["heavy"].where(frame["one"] != "u4", 1000.0))
    first, second = (
        dd.fepois("y ~ x", data, **KEYS, weight="heavy", errors="pair") for data in (frame, heavier)
    )
    model = peer(frame, "y ~ x | pair + year", weights="heavy")
    complete = frame.dropna(subset=["y", "x"])
    of_pair = complete.groupby("pair")["y"]
    in_fit = complete[(of_pair.transform("sum") > 0) & (of_pair.transform("size") > 1)]
    scale = in_fit["heavy"].mean()
    assert first.estimates["n_obs"].iloc[0] == len(in_fit) < len(complete)
    np.testing.assert_allclose(first.estimates["deviance"] * scale, model.deviance, rtol=1e-9)
    np.testing.assert_allclose(second.estimates["deviance"], first.estimates["deviance"], rtol=1e-9)


def test_default_errors_are_those_that_hold() -> None:
    result = dd.fepois("y ~ x", flows(2, directed=False), **KEYS)
    assert list(dict.fromkeys(result.estimates["errors"])) == ["pair", "city", "dyadic", "jackknife"]
    model = peer(flows(2, directed=False), "y ~ x | pair + year")
    np.testing.assert_allclose(result.estimates["estimate"].iloc[0], model.coef().iloc[0], rtol=1e-7)


def test_the_pair_year_table_holds_the_offset() -> None:
    frame = flows(2, directed=False)
    table = dd.fepois("y ~ x", frame, **KEYS, offset="log(size)", errors="pair").pairs()
    np.testing.assert_allclose(np.sort(table["offset log(size)"]), np.sort(np.log(frame["size"])))
    np.testing.assert_allclose(np.sort(table["y"]), np.sort(frame["y"]))


def test_separation_that_is_not_settled_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("_rectified", "_by_linear_program"):
        monkeypatch.setattr(separation, method, lambda *_: None)
    result = dd.fepois("y ~ x", flows(2, directed=False), **KEYS, errors="pair")
    assert any("could not be settled" in text for text in result.warnings)
    assert not result.results.manifest["cells"][0]["poisson"]["separation_settled"]


# -- without pair effects ----------------------------------------------------------------------------------


@pytest.mark.parametrize("effects", ["one^year + other^year", "year", "one + other"])
def test_distance_has_a_coefficient_without_pair_effects(effects: str) -> None:
    """Rows of pairs that are seen once stay; least squares and Poisson."""
    frame = flows(3)
    once = frame["pair"] == "u0u1"
    frame = frame[~once | (frame["year"] == frame.loc[once, "year"].min())]
    columns = effects.replace("^year", "_year")
    result = dd.feols(f"y ~ x + far | {effects}", frame, **KEYS, errors=["pair", "city"], directed=True)
    model = pyfixest.feols(f"y ~ x + far | {columns}", frame, vcov={"CRV1": "pair"}, demeaner=TIGHTEST)
    rows = result.estimates.set_index(["errors", "term"])
    assert (rows["n_obs"] == model._N).all()
    np.testing.assert_allclose(rows.loc["pair", "estimate"], model.coef(), rtol=1e-8)
    np.testing.assert_allclose(rows.loc["pair", "std_error"], model.se(), rtol=1e-8)
    np.testing.assert_allclose(rows["r2"], model._r2, rtol=1e-8)
    result = dd.fepois(f"y ~ x + far | {effects}", frame, **KEYS, errors="pair", directed=True)
    model = peer(frame, f"y ~ x + far | {columns}")
    assert (result.estimates["n_obs"] == model._N).all()
    np.testing.assert_allclose(result.estimates["estimate"], model.coef(), rtol=1e-7)
    np.testing.assert_allclose(result.estimates["std_error"], model.se(), rtol=1e-6)
    lines = {line.split("  ")[0].strip(): line for line in str(result.table()).splitlines()}
    assert "No" in lines["Pair FE"]
    assert ("Yes" if "year" in effects else "No") in lines["Year FE"]


def test_weights_have_mean_one_over_pairs_that_are_seen_once() -> None:
    frame = flows(3).drop_duplicates("pair")
    result = dd.feols(
        "y ~ x + far | one + other", frame, **KEYS, weight="heavy", errors="pair", directed=True
    )
    model = pyfixest.feols(
        "y ~ x + far | one + other", frame, weights="heavy", vcov={"CRV1": "pair"}, demeaner=TIGHTEST
    )
    np.testing.assert_allclose(result.estimates["estimate"], model.coef(), rtol=1e-8)
    np.testing.assert_allclose(result.estimates["std_error"], model.se(), rtol=1e-8)


# -- refusals ----------------------------------------------------------------------------------------------

MESSAGES: dict[str, tuple[str, dict[str, Any], str]] = {
    "logarithm": ("log(y) ~ x", {}, r"the outcome is -[\d.]+ \([\d,]+ rows in all\)"),
    "offset not there": ("y ~ x", {"offset": "log(people)"}, "no column 'people'"),
    "offset infinite": ("y ~ x", {"offset": "log(size - size)"}, "the offset is"),
    "offset is the outcome": ("y ~ x", {"offset": "y"}, "model.offset names 'y', which is the outcome"),
    "errors": ("y ~ x", {"errors": "dyadic_cr2"}, "errors dyadic_cr2 are not defined for estimator poisson"),
    "zero weights": ("y ~ x", {"weight": "size - size"}, "none of [0-9]+ rows is complete"),
    "constant": ("y ~ x + far", {}, "'far' has no variation left once pair, year are removed"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_refusals(name: str) -> None:
    formula, options, message = MESSAGES[name]
    frame = flows(2, directed=False)
    frame["y"] = frame["y"].where(frame["y"] == 0, frame["y"] / 3)
    with pytest.raises(dd.InputError, match=message):
        dd.fepois(formula, frame, **{**KEYS, **options})


def test_the_offset_belongs_to_poisson() -> None:
    with pytest.raises(dd.InputError, match=r"model.offset.*estimator poisson"):
        dd.feols("y ~ x", flows(2, directed=False), **KEYS, offset="size")


def test_panels_have_no_poisson(tmp_path: Path) -> None:
    text = """
job: small
panel: {source: "builtin:europe"}
outcome: {synchronization: gdp}
treatment: {adoption: euro, rule: both}
model: {estimator: poisson}
"""
    (tmp_path / "job.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(dd.InputError, match=r"model.estimator poisson is for pair tables \(pair_table\)"):
        dd.check(tmp_path / "job.yaml")


def test_draws_that_would_refit_are_refused_and_multipliers_are_not() -> None:
    model = {"regressors": ["x"], "estimator": "poisson", "errors": ["pair"]}
    frame = flows(2, directed=False)
    bootstrap = {"kind": "node", "reps": 9}
    with pytest.raises(InputError, match=r"inference.bootstrap is not defined for estimator poisson"):
        run_table(frame, model=model, inference={"bootstrap": bootstrap})
    results = run_table(frame, model=model, inference={"bootstrap": {**bootstrap, "kind": "multiplier"}})
    assert len(results.frames["inference"])
