"""The specification curve: cells against pyfixest, one pass against two, its joint test, its files and its figure."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import reference
from designs import CONTROLS, JOBS, MASSES, SMALL, TABLE_1, cities
from peers import against_brute_force, against_pyfixest, cell
from scipy.special import stdtrit

import engine
from engine.cities.builtin import load
from engine.errors import InputError
from engine.infer.curve_significance import curve_statistics, joint_tests
from engine.infer.draws import permuted_classes
from engine.pairs.treatment import adoption_classes
from engine.pipeline import check
from engine.report.figure_style import figure_bytes
from engine.report.outputs.curve_figure import curve_figure, curve_of, curve_text
from engine.spec import Job, choices
from engine.stages import estimation, pair_sums
from engine.stages.curve_run import CURVE
from engine.tables.arithmetic import parse

CURVE_JOB = JOBS / "robustness" / "curve.yaml"
SMALLER = [f"panel.options.cities={SMALL}", "inference={}"]
DRAWN = np.random.default_rng(4).choice(768, 20, replace=False).tolist()
ONE_PASS = 1e-12
"""Errors from one pass, and from two: the same sums of products in another order, double precision, no cancellation
beyond that of a variance from its scores (measured: 6e-16)."""


@cache
def run() -> engine.Results:
    return engine.run(CURVE_JOB, overrides=SMALLER)


@cache
def jobs() -> tuple[Job, ...]:
    return tuple(cell.job for cell in check(CURVE_JOB, overrides=SMALLER)[0].cells)


@cache
def reference_rows(spec: str) -> pd.DataFrame:
    """Rows of a sample from the raw table of cities, by what the cell's job says; nothing of the engine is used."""
    job = json.loads(spec)
    table = cities(SMALL)
    table = table[table["year"].between(*job["years"])].reset_index(drop=True)
    year = job["pairs"]["gravity"]["year"]
    masses = {}
    for name in MASSES if year != "mean" else ():
        wanted = table["year"].min() if year == "first" else year
        masses[f"{name}_then"] = table["city"].map(table[table["year"] == wanted].set_index("city")[name])
    table = table.assign(
        **masses,
        development=reference.entropy_index(table, job["index"]["development"]["entropy"]),
        fiscal_balance=table["fiscal_revenue"] / table["fiscal_expenditure"],
        adopted=table["pilot_year"] + (table["pilot_month"] > job["treatment"]["cutoff"]),
    )
    if job["outcome"]["synchronization"].startswith("detrend"):
        for _, own in table.groupby("city"):
            line = np.polyval(np.polyfit(own["year"] - 2014, own["development"], 1), own["year"] - 2014)
            table.loc[own.index, "development"] = own["development"] - line
    return reference.pair_panel(
        table,
        series="development",
        adoption="adopted",
        rule=job["treatment"]["rule"],
        controls=CONTROLS,
        exclude_both_treated=job["pairs"]["exclude"] == "both_treated",
        gravity=None
        if job["pairs"]["gravity"]["keep"] == "all"
        else reference.Gravity(list(masses) or list(MASSES)),
        window=job["outcome"]["window"],
    ).long


def rows_of(number: int) -> tuple[pd.DataFrame, list[str]]:
    job = jobs()[number]
    return reference_rows(job.model_dump_json(exclude={"model", "title"})), [*job.used_controls, "policy"]


# -- the cells -----------------------------------------------------------------------------------------------


def test_768_cells_of_every_choice() -> None:
    plan, passes = check(CURVE_JOB, overrides=SMALLER)
    assert len(plan.cells) == 768 == 24 * 32
    assert len(passes) == 23  # either and exactly_one share one
    assert len({id(one.pass_cells.data) for one in passes}) == 7  # nine, and eight, indicators; series; years
    assert {len(values) for values in choices(plan).values()} == {768}
    assert set(choices(plan)) == {
        "pairs.gravity.year", "pairs.gravity.keep", "pairs.exclude", "treatment.rule", "treatment.cutoff",
        "index.development.entropy", "outcome.window", "outcome.synchronization", "years", "model.controls",
    }  # fmt: skip


@pytest.mark.parametrize("number", DRAWN)
def test_20_random_cells_against_pyfixest(number: int) -> None:
    long, regressors = rows_of(number)
    against_pyfixest(cell(run(), number), long, regressors)


@pytest.mark.parametrize("number", DRAWN[:4])
def test_some_of_them_against_literal_sums(number: int) -> None:
    long, regressors = rows_of(number)
    against_brute_force(cell(run(), number), long, regressors, kinds=["dyadic", "jackknife"])


def test_one_pass_gives_what_two_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer cells a pass than a second pass takes at once, influences are summed pair by pair."""
    several = [*SMALLER, "cases={}"]
    ours = engine.run(CURVE_JOB, overrides=several).estimates
    for module in (estimation, pair_sums):
        monkeypatch.setattr(module, "CELLS", 32)
    theirs = engine.run(CURVE_JOB, overrides=several).estimates
    for name in ("estimate", "std_error", "dof"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=ONE_PASS, err_msg=name)


@pytest.mark.slow
def test_one_pass_is_the_same_on_threads_and_on_workers() -> None:
    """Bit for bit, with several tasks."""
    tiled = [*SMALLER, "cases={}", "runtime.tile=8"]
    here, there = (engine.run(CURVE_JOB, overrides=tiled, workers=n).estimates for n in (None, 2))
    pd.testing.assert_frame_equal(here, there, check_exact=True)


# -- detrend -------------------------------------------------------------------------------------------------


def test_detrend_is_the_residual_of_a_line_through_the_observed_years() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(6, 9)).cumsum(1) + 50
    x[1, :3] = x[2, 4] = x[3, 1:] = x[4] = np.nan
    found = parse("detrend(x)").evaluate({"x": x})
    for row, ours in zip(x, found, strict=True):
        known = np.isfinite(row)
        wanted = np.full(9, np.nan)
        if known.sum() > 1:
            line = np.polyfit(np.flatnonzero(known), row[known], 1)
            wanted[known] = row[known] - np.polyval(line, np.flatnonzero(known))
        else:
            wanted[known] = 0.0
        # Absolute: what is left of values near 50 in double precision.
        np.testing.assert_allclose(ours, wanted, rtol=0, atol=1e-12)
    straight = 1e6 + 3.7 * np.arange(10.0)[None]
    np.testing.assert_array_equal(parse("detrend(x)").evaluate({"x": straight}), np.zeros((1, 10)))


def test_a_straight_series_has_nothing_to_synchronise(tmp_path: Path) -> None:
    table = load("china_demo", cities=SMALL)
    table["line"] = table["population"].groupby(table["city"]).transform("first") * (table["year"] - 2000)
    table.to_parquet(tmp_path / "cities.parquet")
    with pytest.raises(InputError, match=r"'detrend\(line\)' has zero variance in S001"):
        check(
            CURVE_JOB,
            overrides=[
                f"panel={{source: {tmp_path / 'cities.parquet'}}}", "cases={}", "inference={}",
                "outcome.synchronization=detrend(line)",
            ],
        )  # fmt: skip


# -- the joint test ------------------------------------------------------------------------------------------


NAMES = ("median_t", "mean_t", "significant", "max_t")


def literal(estimate: np.ndarray, t: np.ndarray, critical: np.ndarray) -> tuple[float, ...]:
    """The statistics of one curve, cell by cell."""
    plus, minus = (sum(sign * b > 0 for b in estimate) for sign in (1, -1))
    shares = {
        sign: sum(sign * b > 0 and sign * s > c for b, s, c in zip(estimate, t, critical, strict=True))
        for sign in (1, -1)
    }
    count = max(shares.values()) if plus == minus else shares[1 if plus > minus else -1]
    ordered, n = sorted(t), len(t)
    median = ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2
    return median, sum(t) / n, count / n, max(abs(s) for s in t)


@pytest.mark.parametrize("seed", range(8))
def test_statistics_and_p_values_by_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_cells, n_draws = int(rng.integers(1, 9)), 40
    estimate = rng.normal(0.2, 1, (n_draws + 1, n_cells))
    t = estimate * rng.uniform(0.5, 4, estimate.shape)
    estimate[3, 0] = t[3, 0] = np.nan
    if seed % 2:
        estimate[7], t[7] = estimate[0], t[0]  # a draw that is what happened counts
        estimate[9], t[9] = -estimate[0], -t[0]  # so does its mirror image
    critical = rng.uniform(1, 2, n_cells)
    found = joint_tests(estimate[0], t[0], critical, estimate[1:], t[1:])
    assert [one.statistic for one in found] == list(NAMES)
    known = [k for k in range(1, n_draws + 1) if k != 3]
    drawn = [literal(estimate[k], t[k], critical) for k in known]
    here = literal(estimate[0], t[0], critical)
    for place, one in enumerate(found):
        assert one.observed == pytest.approx(here[place], rel=1e-14)
        extreme = sum(abs(draw[place]) >= abs(here[place]) * (1 - 1e-12) for draw in drawn)
        assert one.p.value == (1 + extreme) / (1 + len(known))
        assert one.p.draws == len(known)


def test_the_share_does_not_depend_on_the_sign_of_the_outcome() -> None:
    rng = np.random.default_rng(0)
    estimate = rng.normal(size=(200, 6))
    t, critical = 2 * estimate, np.full(6, 1.5)
    one, other = (curve_statistics(sign * estimate, sign * t, critical)["significant"] for sign in (1, -1))
    np.testing.assert_array_equal(one, other)


def test_one_replicate_is_one_relabelling_whatever_the_dating() -> None:
    """The dates that cities get in a draw under one cutoff are those they get under another."""
    table = cities().groupby("city").first()
    year, month = table["pilot_year"].to_numpy(), table["pilot_month"].to_numpy()
    dated = [
        adoption_classes(year + (month > cutoff), last) for cutoff, last in ((12, 2019), (6, 2019), (0, 2018))
    ]
    replicates = np.arange(50, dtype=np.int32)
    drawn = [permuted_classes(7, replicates, one.classes) for one in dated]
    happened = np.unique(np.stack([one.classes for one in dated]), axis=1, return_counts=True)
    for replicate in replicates:
        here = np.unique(np.stack([one[replicate] for one in drawn]), axis=1, return_counts=True)
        for ours, theirs in zip(here, happened, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert any((drawn[0][0] != drawn[0][k]).any() for k in replicates)


SMALL_CURVE = f"""
extends: {TABLE_1}
job: small_curve
title: "A small curve"
panel: {{options: {{cities: {SMALL}}}}}
treatment: {{month: pilot_month, cutoff: 12}}
sweep:
  model.controls: [[], [edu], [tech], [second], [fd], [innov], [edu, tech], [edu, fd], [tech, fd], [fd, innov]]
inference: {{permutation: {{reps: 19, seed: 3}}}}
cases:
"""
TWO_CASES = "{as approved: {}, after June: {treatment.cutoff: 6}}"


def small_curve(folder: Path, cases: str = TWO_CASES, *overrides: str) -> engine.Results:
    """20 cells in two passes, with permutations."""
    path = folder / "small_curve.yaml"
    path.write_text(SMALL_CURVE.replace("cases:\n", f"cases: {cases}\n"))
    return engine.run(path, overrides=overrides, out=folder)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> engine.Results:
    return small_curve(tmp_path_factory.mktemp("curve"))


def test_the_job_tests_its_curve_jointly(drawn: engine.Results) -> None:
    """From the draws that the job keeps, one curve a replicate."""
    rows, draws = drawn.estimates, drawn.draws[drawn.draws["method"] == "permutation"]
    own = rows[(rows["term"] == "policy") & (rows["errors"] == "dyadic")]
    critical = stdtrit(own["dof"].to_numpy(), 0.975)
    here = literal(own["estimate"].to_numpy(), own["statistic"].to_numpy(), critical)
    curves = []
    for _, one in draws.groupby("replicate"):
        one = one.set_index("cell").loc[own["cell"]]
        curves.append(literal(one["estimate"].to_numpy(), one["statistic"].to_numpy(), critical))
    assert len(curves) == 19
    found = drawn.frames["curve"].set_index("statistic")
    assert (found["cells"] == CURVE).all()
    assert (found["reps"] == 19).all()
    for place, name in enumerate(NAMES):
        assert found.at[name, "observed"] == pytest.approx(here[place], rel=1e-9)  # two roads to one t ratio
        extreme = sum(abs(curve[place]) >= abs(here[place]) * (1 - 1e-9) for curve in curves)
        assert found.at[name, "p_value"] == (1 + extreme) / 20


@pytest.mark.parametrize("other", ["seed: 4", "strata: [province]", "reps: 18"])
def test_draws_that_are_no_common_relabelling_are_not_joined(other: str, tmp_path: Path) -> None:
    cases = f"{{as approved: {{}}, after June: {{treatment.cutoff: 6, inference.permutation: {{{other}}}}}}}"
    results = small_curve(tmp_path, cases)
    assert "curve" not in results.frames
    why = "the curve has no joint test: its cells differ in reps, seed or strata of inference.permutation"
    assert why in results.manifest["warnings"]


def test_a_screen_that_lacks_the_mass_of_a_city_is_named_as_what_keeps_cells_apart(tmp_path: Path) -> None:
    """Cities without a gravity force are permuted among themselves, those of cells without a screen with all."""
    table = load("china_demo", cities=SMALL).assign(mass=lambda d: d["gdp_real"].where(d["city"] != "S007"))
    table.to_parquet(tmp_path / "cities.parquet")
    screen = "pairs.gravity.mass: [mass], pairs.gravity.keep"
    cases = f"{{screened: {{{screen}: above_median}}, all: {{{screen}: all}}}}"
    source = f"panel={{source: {tmp_path / 'cities.parquet'}, options: null, balance: keep}}"
    results = small_curve(tmp_path, cases, source)
    why = "its cells differ in the strata of their cities, or in which of them have a gravity force"
    assert f"the curve has no joint test: {why}" in results.manifest["warnings"]


def test_cells_of_other_cities_are_not_joined(tmp_path: Path) -> None:
    """The place of a city in the panel keys its words."""
    table = load("china_demo", cities=SMALL)
    table.loc[(table["city"] == "S007") & (table["year"] == 2010), "gdp_growth"] = np.nan
    table.to_parquet(tmp_path / "cities.parquet")
    cases = "{all years: {}, later: {years: [2011, 2019]}}"
    source = f"panel={{source: {tmp_path / 'cities.parquet'}, options: null}}"
    results = small_curve(tmp_path, cases, source)
    assert "curve" not in results.frames
    assert "the curve has no joint test: its cells differ in their cities" in results.manifest["warnings"]


def test_fewer_cells_are_no_curve(tmp_path: Path) -> None:
    results = small_curve(tmp_path, "{only: {}}")
    assert "curve" not in results.frames
    assert results.manifest["choices"] == {}


# -- files and figure ----------------------------------------------------------------------------------------


def test_files_of_a_curve(drawn: engine.Results) -> None:
    """A summary to read, everything to compute with, one figure instead of 20 columns."""
    folder = drawn.folder
    assert folder is not None
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "curve.parquet"), drawn.frames["curve"])
    text = (folder / "table.txt").read_text()
    p = drawn.frames["curve"].set_index("statistic")["p_value"]
    assert "joint test: median t ratio" in text
    assert f"{p['median_t']:.3f}" in text.split("joint test: median t ratio")[1].splitlines()[0]
    assert max(map(len, text.splitlines())) < 100
    columns = pd.read_csv(folder / "table.csv").set_index(["term", "row"]).columns
    assert list(columns) == [f"({k})" for k in range(1, CURVE + 1)]
    figures = json.loads((folder / "figures.json").read_text())
    assert [one["name"] for one in figures] == ["curve", "placebo"]
    assert not list(folder.glob("table_*"))
    page = engine.pipeline.report(folder.parent).read_text()
    assert "With cities relabelled, jointly over all of them: median t ratio p = " in page
    assert "Over 20 specifications the coefficient of policy runs from " in page


def marks_of(figure: Any) -> dict[str, int]:
    """Vertical marks of each line of the lower panel."""
    below = figure.axes[1]
    labels = [label.get_text() for label in below.get_yticklabels()]
    at = dict(zip(below.get_yticks(), labels, strict=True))
    counts = dict.fromkeys(labels, 0)
    for collection in below.collections:
        for segment in collection.get_segments():
            counts[at[segment[:, 1].mean().round(9)]] += 1
    return counts


def test_figure_sorts_estimates_and_marks_choices(drawn: engine.Results) -> None:
    estimates, chosen = drawn.estimates, drawn.manifest["choices"]
    figure = curve_figure(estimates, "policy", chosen, title="A curve", subtitle="Synthetic data")
    curve = curve_of(estimates, "policy")
    points = np.concatenate([line.get_xydata() for line in figure.axes[0].lines if line.get_marker() == "."])
    np.testing.assert_array_equal(
        points[points[:, 0].argsort()], np.column_stack([range(20), curve.estimate])
    )
    own = estimates[(estimates["term"] == "policy") & (estimates["errors"] == "dyadic")]
    np.testing.assert_array_equal(curve.estimate, np.sort(own["estimate"]))
    counts = marks_of(figure)
    assert {name: counts[name] for name in ("12", "6", *CONTROLS)} == {
        "12": 10, "6": 10, "edu": 6, "tech": 6, "second": 2, "fd": 8, "innov": 4,
    }  # fmt: skip
    for kind, label in (("pair", "pair-clustered"), ("dyadic", "dyadic-robust")):
        rows = estimates[(estimates["term"] == "policy") & (estimates["errors"] == kind)]
        assert counts[label] == (rows["p_value"] < 0.05).sum()
    for form in ("pdf", "png"):
        assert len(figure_bytes(figure, form)) > 10_000  # type: ignore[arg-type]
    said = curve_text(estimates, "policy", chosen)
    assert said.startswith("Specification curve of policy: 20 estimates from ")
    median = np.median(own["estimate"].to_numpy()[:10])
    assert f"cutoff: 12 {median:.4f}, 6 " in said


def test_a_curve_is_of_a_term_that_every_cell_has(drawn: engine.Results) -> None:
    with pytest.raises(InputError, match="not every cell has the term 'edu'"):
        curve_of(drawn.estimates, "edu")
