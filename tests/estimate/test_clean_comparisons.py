"""Stacked difference-in-differences and local projections against literal rows, refits, double sums and pyfixest."""

from __future__ import annotations

from functools import cache
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from literal_comparisons import PAIR, LiteralComparisons, literal_comparisons
from strategies import run_panel
from tolerances import BRUTE, PEER

import engine
from engine.errors import InputError

ERRORS = ["pair", "dyadic", "jackknife"]
NO_SCREEN: dict[str, Any] = {"exclude": "both_treated"}
EITHER: dict[str, Any] = {
    "pairs": {"exclude": "none"},
    "treatment": {"adoption": "pilot_year", "rule": "either"},
}


def estimator(kind: str, window: tuple[int, int], **keys: Any) -> dict[str, Any]:
    """A ``model`` block; ``kind``: stacked, variance or equal."""
    name = "stacked" if kind == "stacked" else "local_projection"
    options = {**({} if kind == "stacked" else {"weights": kind}), **keys.pop("options", {})}
    block = {"estimator": name, "window": list(window), "controls": [], "errors": ERRORS}
    return {**block, **({"options": options} if options else {}), **keys}


@cache
def three_cohorts(n_never: int = 7) -> pd.DataFrame:
    """Years 2010 to 2017; a cohort of one city in 2012, others in 2013, 2015 and 2016."""
    frame = worlds.panel(5)
    years = np.resize([2012, 2013, 2015, 2015, 2016, 2013, 2015, 2016, 2013], worlds.N_CITIES - n_never)
    years[1:][years[1:] == 2012] = 2015
    codes = np.concatenate([years, np.full(n_never, np.nan)])
    codes = np.random.default_rng(1).permutation(codes)
    return frame.assign(pilot_year=np.repeat(codes, frame["year"].nunique()))


def pair_years(frame: pd.DataFrame, *, rule: str = "exactly_one", exclude: bool = True) -> pd.DataFrame:
    long, _ = oracle.relabelled(
        worlds.oracle_grid(frame, gravity=False),
        worlds.observed_adoption(frame),
        rule=rule,
        exclude=exclude,
    )
    ends = long[["adoption_i", "adoption_j"]]
    return long.assign(adopted=ends.max(axis=1) if rule == "both" else ends.min(axis=1))


def matrix(results: engine.Results, errors: str, terms: list[str]) -> np.ndarray:
    rows = results.frames["covariance"]
    rows = rows[rows["errors"] == errors]
    return rows.pivot(index="term", columns="other", values="covariance").loc[terms, terms].to_numpy()


def literal_jackknife(
    long: pd.DataFrame, literal: LiteralComparisons, *arguments: Any, **options: Any
) -> np.ndarray:
    steps = []
    for city in literal.cities:
        without = long[(long[PAIR] != city).all(axis=1)]
        steps.append(literal_comparisons(without, *arguments, **options).coefficients - literal.coefficients)
    products = np.array(steps).T @ np.array(steps)
    return (len(steps) - 1) / len(steps) * products


def check(results: engine.Results, long: pd.DataFrame, *arguments: Any, **options: Any) -> None:
    literal = literal_comparisons(long, *arguments, **options)
    terms = [f"policy[{time:+d}]" for time in literal.event_times]
    rows = results.estimates.drop_duplicates("term").set_index("term").loc[terms]
    assert list(rows.index) == list(dict.fromkeys(results.estimates["term"]))
    np.testing.assert_allclose(rows["estimate"], literal.coefficients, rtol=BRUTE, atol=BRUTE)
    sizes = (literal.n_obs, literal.n_pairs, len(literal.cities))
    assert tuple(rows.iloc[0][["n_obs", "n_pairs", "n_units"]]) == sizes
    expected = {
        "pair": literal.pair(),
        "dyadic": literal.dyadic(),
        "jackknife": literal_jackknife(long, literal, *arguments, **options),
    }
    for errors, covariance in expected.items():
        if errors == "dyadic" and (np.diag(covariance) <= 0).any():
            continue
        np.testing.assert_allclose(
            matrix(results, errors, terms), covariance, rtol=0, atol=BRUTE * covariance.max(), err_msg=errors
        )


@pytest.mark.parametrize("window", [(-3, 2), (-2, 1)])
@pytest.mark.parametrize("kind", ["stacked", "variance", "equal"])
def test_against_literal_rows(kind: str, window: tuple[int, int]) -> None:
    frame = three_cohorts()
    results = run_panel(frame, model=estimator(kind, window), pairs=NO_SCREEN)
    check(results, pair_years(frame), kind, window)


@pytest.mark.parametrize("kind", ["stacked", "equal"])
def test_never_treated_controls_and_another_base(kind: str) -> None:
    frame = three_cohorts()
    model = estimator(kind, (-2, 1), base=-2, options={"control": "never"})
    results = run_panel(frame, model=model, pairs=NO_SCREEN)
    check(results, pair_years(frame), kind, (-2, 1), base=-2, never_only=True)


@pytest.mark.parametrize("kind", ["stacked", "variance", "equal"])
def test_without_never_treated_pairs(kind: str) -> None:
    """Rule either and everyone adopts: later cohorts alone are controls."""
    frame = three_cohorts(n_never=0)
    results = run_panel(frame, model=estimator(kind, (-2, 0)), **EITHER)
    check(results, pair_years(frame, rule="either", exclude=False), kind, (-2, 0))


def test_against_local_projections_of_pyfixest() -> None:
    """Values, and errors by pair but for the factor of each horizon's own rows."""
    peer = pytest.importorskip("pyfixest", reason="pyfixest (PyPI) is not installed")
    frame = three_cohorts()
    long = pair_years(frame)
    data = long.assign(
        unit=long.groupby(PAIR).ngroup() + 1,
        g=long["adopted"].where(np.isfinite(long["adopted"]), 0).astype(int),
        year=long["year"].astype(int),
    )[["unit", "year", "g", "y"]]
    expected = peer.lpdid(
        data, yname="y", idname="unit", tname="year", gname="g", att=False, pre_window=-3, post_window=2
    ).tidy()
    results = run_panel(frame, model=estimator("variance", (-3, 2), errors=["pair"]), pairs=NO_SCREEN)
    rows = results.estimates
    np.testing.assert_allclose(rows["estimate"], expected["Estimate"].astype(float), rtol=PEER)
    literal = literal_comparisons(long, "variance", (-3, 2))
    for place, time in enumerate(literal.event_times):
        factor, n_rows = peer_factor(long, time)
        assert n_rows == int(expected["N"].iloc[place])
        error = np.sqrt((literal.influences[time] ** 2).sum() * factor)
        np.testing.assert_allclose(error, float(expected["Std. Error"].iloc[place]), rtol=PEER)


def peer_factor(long: pd.DataFrame, time: int) -> tuple[float, int]:
    """The peer's small-sample factor of a horizon and its rows, years without adopters among them."""
    adopted, years = long.groupby(PAIR)["adopted"].first(), sorted(long["year"].unique())
    starts = [year for year in years if {year - 1, year + time} <= set(years)]
    rows = np.stack([(adopted == year) | (adopted > year + max(time, 0)) for year in starts], axis=1)
    n_rows, n_pairs = int(rows.sum()), int(rows.any(axis=1).sum())
    return n_pairs / (n_pairs - 1) * (n_rows - 1) / (n_rows - 1 - len(starts)), n_rows


@pytest.mark.parametrize("kind", ["stacked", "variance", "equal"])
def test_the_error_less_the_interaction(kind: str) -> None:
    """Steps and influences of cities less what city-year effects leave of outcomes around their cohorts' means."""
    frame = three_cohorts()
    results = run_panel(frame, model=estimator(kind, (-2, 1), errors=["dyadic_cr2"]), pairs=NO_SCREEN)
    long = pair_years(frame).sort_values([*PAIR, "year"])
    literal = literal_comparisons(long, kind, (-2, 1))
    residual = long["y"] - long.groupby(PAIR)["y"].transform("mean")
    residual = (residual - residual.groupby([long["adopted"], long["year"]]).transform("mean")).to_numpy()
    cities = sorted({*long["city_i"], *long["city_j"]})
    ends = np.stack([long[side].map(cities.index) for side in PAIR])
    year = (long["year"] - long["year"].min()).to_numpy().astype(int)
    n_years = year.max() + 1
    city_year = sum(np.eye(len(cities) * n_years)[end * n_years + year] for end in ends)
    left = residual - city_year @ np.linalg.lstsq(city_year, residual, rcond=None)[0]
    weight = literal.weights.reindex(
        pd.MultiIndex.from_frame(long[[*PAIR, "year"]]), fill_value=0.0
    ).to_numpy()
    pair = long.groupby(PAIR).ngroup().to_numpy()
    by_pair = np.eye(pair.max() + 1)[pair].T
    factor = len(long) / (len(long) - np.linalg.matrix_rank(city_year))
    interaction = factor * ((by_pair @ (weight * left[:, None])) ** 2).sum(axis=0)
    in_city = np.stack([(ends == number).any(axis=0) for number in range(len(cities))])
    psi = literal.influences.set_index(PAIR)[literal.event_times]
    influence = np.stack([psi[[city in pair for pair in psi.index]].sum() for city in cities])
    steps = np.stack([
        literal.coefficients - literal_comparisons(long[~rows], kind, (-2, 1)).coefficients for rows in in_city
    ])  # fmt: skip
    variance = np.maximum((influence * steps).sum(axis=0) - interaction, interaction / 4)
    gamma = np.stack([
        sum(weight[rows & (year == t)].sum(axis=0) ** 2 for t in range(n_years)) for rows in in_city
    ])  # fmt: skip
    kappa, of_city = by_pair @ weight**2, in_city @ weight**2
    adopting = gamma.sum(axis=0) ** 2 / (gamma**2).sum(axis=0)
    weighted = kappa.sum(axis=0) ** 2 / ((of_city**2).sum(axis=0) - (kappa**2).sum(axis=0))
    rows = results.estimates
    np.testing.assert_allclose(rows["std_error"], np.sqrt(variance), rtol=BRUTE)
    dof = np.maximum(1.0, np.minimum(adopting, weighted) - 0.5)
    np.testing.assert_allclose(rows["dof"], dof, rtol=BRUTE)


def test_frames_base_and_notes() -> None:
    results = run_panel(three_cohorts(), model=estimator("stacked", (-3, 2)), pairs=NO_SCREEN)
    assert results.event_study is not None
    assert results.event_study["event_time"].drop_duplicates().tolist() == [-3, -2, -1, 0, 1, 2]
    warnings = "\n".join(results.manifest["warnings"])
    assert "pairs that adopt in 2012, 2016 are compared at no event year" in warnings
    (cell,) = results.manifest["cells"]
    assert cell["event_study"]["ends"] == "drop"


def test_a_cohort_of_one_city_is_told() -> None:
    results = run_panel(three_cohorts(), model=estimator("equal", (-2, 1)), pairs=NO_SCREEN)
    warnings = "\n".join(results.manifest["warnings"])
    assert "every pair of the cohorts 2012 has one city in common" in warnings
    assert results.estimates["std_error"].notna().all()


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"model": estimator("stacked", (-2, 1), controls=["edu"])}, "has no controls; set model.controls: "),
        ({"model": estimator("stacked", (-2, 1), lag=1)}, "has no lag; treatment.shift moves"),
        ({"model": estimator("equal", (-2, 1)), "matching": {"unit": "pair"}}, "has no matched samples"),
        ({"model": estimator("stacked", (-7, 6))}, "no adopters have all event years from -7 to 6"),
        ({"model": estimator("variance", (-2, 6))}, r"observed both at policy\[\+6\] and at policy\[-1\]"),
        ({"model": estimator("variance", (-2, 1), base=0)}, "base \\+0 is no year before adoption"),
        ({"model": estimator("stacked", (-2, 1), options={"weights": "equal"})}, "model.options.weights"),
        ({"model": estimator("equal", (-2, 1), options={"anticipation": 1})}, "model.options.anticipation"),
        (
            {"model": estimator("equal", (-2, 1), errors=[{"block_jackknife": {"by": "province"}}])},
            "block jackknives are not defined for estimator local_projection",
        ),
        (
            {"model": estimator("stacked", (-2, 1), errors=[{"spatial": {"distance": 500}}])},
            "spatial errors are not defined for estimator stacked",
        ),
        (
            {"model": estimator("stacked", (-2, 1)), "inference": {"score_correlations": {"bins": 3}}},
            "score correlations are not defined for estimator stacked",
        ),
        (
            {"model": estimator("stacked", (-2, 1)), "treatment": {**EITHER["treatment"], "around": 3}},
            "takes no treatment.around",
        ),
        ({"model": estimator("stacked", (-2, 1), ends="drop")}, "model.ends: has no meaning"),
        (
            {"model": estimator("equal", (-2, 1), fixed_effects=["pair", "year", "province x year"])},
            r"has the effects \[pair, year\] only",
        ),
        (
            {**EITHER, "model": estimator("equal", (-2, 0), options={"control": "never"})},
            "there are no never-treated pairs",
        ),
    ],
)
def test_what_cannot_be_estimated_is_refused(blocks: dict[str, Any], message: str) -> None:
    frame = three_cohorts(n_never=0 if "treatment" in blocks else 7)
    with pytest.raises(InputError, match=message):
        run_panel(frame, **{"pairs": NO_SCREEN, **blocks})


def test_missing_years_are_refused_before_the_pass() -> None:
    with pytest.raises(
        InputError, match=r"panel.balance: estimator stacked compares pairs that have all years"
    ):
        run_panel(worlds.panel(holes=True), model=estimator("stacked", (-2, 1)))


def test_infinite_outcomes_are_refused() -> None:
    with pytest.raises(InputError, match="pair-years are missing"):
        run_panel(
            worlds.twins(),
            model=estimator("stacked", (-2, 1)),
            pairs={"exclude": "none"},
            treatment=EITHER["treatment"],
        )


def test_tiles_and_multipliers() -> None:
    """The same numbers from many small tiles, and draws of city scores."""
    model = estimator("equal", (-2, 1), errors=["pair", "dyadic_cr2"])
    whole = run_panel(three_cohorts(), model=model, pairs=NO_SCREEN)
    draws = {"bootstrap": {"kind": "multiplier", "reps": 19}}
    tiled = run_panel(three_cohorts(), model=model, pairs=NO_SCREEN, runtime={"tile": 8}, inference=draws)
    for column in ("estimate", "std_error"):
        np.testing.assert_allclose(tiled.estimates[column], whole.estimates[column], rtol=BRUTE)
    assert tiled.draws is not None
    assert set(tiled.draws["term"]) == set(whole.estimates["term"])


def test_effects_that_differ_are_found_without_noise() -> None:
    """Outcomes of pair and year effects and effects of each cohort and event year: averages over adopters, exactly."""
    frame = three_cohorts()
    long = pair_years(frame)
    since = long["year"] - long["adopted"]
    truth = np.where(since >= 0, (1.0 + since.clip(0, 9)) * (long["adopted"] - 2010), 0.0)
    truth = np.where(np.isfinite(long["adopted"]), truth, 0.0)
    long = long.assign(y=truth + np.sin(long.groupby(PAIR).ngroup()) + np.cos(long["year"]))
    for kind in ("stacked", "equal"):
        literal = literal_comparisons(long, kind, (-2, 1))
        expected = [truth[since == time].mean() for time in literal.event_times]
        np.testing.assert_allclose(literal.coefficients, expected, atol=1e-9)


@pytest.mark.parametrize("shift", [-1, 2])
@pytest.mark.parametrize(
    "name",
    [
        "twfe",
        "event_study",
        "sun_abraham",
        "extended_twfe",
        "stacked",
        "local_projection",
        "callaway_santanna",
        "de_chaisemartin",
    ],
)
def test_a_false_timing_is_as_the_same_years_in_the_column(name: str, shift: int) -> None:
    """Moved behind the sample they are never; from behind it they come in."""
    frame = three_cohorts()
    later = frame["pilot_year"].where(frame["pilot_year"] != 2016, 2018.0 if shift < 0 else 2016.0)
    frame = frame.assign(pilot_year=later)
    model = {"estimator": name, "controls": [], "errors": ERRORS}
    if name not in ("twfe", "callaway_santanna"):
        model["window"] = [-2, 1]
    shifted = {**EITHER, "treatment": {**EITHER["treatment"], "shift": shift}}
    results = run_panel(frame, model=model, **shifted)
    moved = run_panel(frame.assign(pilot_year=frame["pilot_year"] + shift), model=model, **EITHER)
    frames = [
        ran.frames["estimates"].drop(columns=["job", "cell", "label"], errors="ignore")
        for ran in (results, moved)
    ]
    pd.testing.assert_frame_equal(*frames, rtol=1e-9)


@pytest.mark.parametrize("name", ["twfe", "event_study", "stacked"])
def test_pairs_that_a_false_timing_makes_both_treated_are_left_out(name: str) -> None:
    """A placebo on years before adoption: everybody adopts after the sample, and falsely within it."""
    frame = three_cohorts()
    frame = frame.assign(pilot_year=frame["pilot_year"] + 5)  # the first in 2017, the last in 2021
    model = {"estimator": name, "controls": [], "errors": ["pair", "dyadic"]}
    if name != "twfe":
        model["window"] = [-1, 1]
    blocks = {"model": model, "years": [2010, 2016], "pairs": NO_SCREEN}
    placebo = {"adoption": "pilot_year", "rule": "exactly_one", "shift": -5}
    results = run_panel(frame, treatment=placebo, **blocks)
    moved = run_panel(three_cohorts(), treatment={**placebo, "shift": 0}, **blocks)
    columns = ["term", "estimate", "std_error", "errors", "n_obs"]
    frames = [ran.frames["estimates"][columns] for ran in (results, moved)]
    pd.testing.assert_frame_equal(*frames, rtol=1e-9)
