"""Extended two-way fixed effects against literal dummies of cohort and year, imputation, and pyfixest's two stages."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
import reference
from strategies import run_panel
from test_sun_abraham import averages
from tolerances import BRUTE, PEER

from engine.errors import InputError

NEITHER: dict[str, Any] = {"exclude": "none"}
EITHER = {"adoption": "pilot_year", "rule": "either"}


def job_model(window: tuple[int, int] = (-9, 9), **keys: Any) -> dict[str, Any]:
    errors = ["pair", "dyadic_cr2", "dyadic", "jackknife"]
    return {"estimator": "extended_twfe", "window": list(window), "errors": errors, **keys}


def rows_of(frame: pd.DataFrame, **options: Any) -> tuple[pd.DataFrame, pd.Series]:
    """Pair-years of the panel with the year in which each pair is treated."""
    long, _ = oracle.relabelled(
        worlds.oracle_grid(frame, gravity=not options), worlds.observed_adoption(frame), **options
    )
    adopted = long[["adoption_i", "adoption_j"]].min(axis=1)
    if not np.isinf(adopted).any():
        long = long[long["year"] < adopted.max()]
    return long, adopted[long.index]


def with_dummies(
    long: pd.DataFrame, adopted: pd.Series, last: int
) -> tuple[pd.DataFrame, list[str], dict[int, np.ndarray]]:
    """The rows with a dummy of each cohort and year of treatment, their names, and weights by event year."""
    names: list[str] = []
    rows: dict[str, tuple[int, int]] = {}
    for cohort in sorted(set(adopted[np.isfinite(adopted)])):
        for year in sorted(set(long["year"])):
            on = (adopted == cohort) & (long["year"] == year)
            if year >= cohort and on.any():
                name = f"{cohort:.0f}/{year}"
                long = long.assign(**{name: on.astype(float)})
                names.append(name)
                rows[name] = (min(int(year - cohort), last), int(on.sum()))
    weights = {}
    for time in sorted({time for time, _ in rows.values()}):
        counts = np.array([count if at == time else 0.0 for at, count in rows.values()])
        weights[time] = counts / counts.sum()
    return long, names, weights


def check(frame: pd.DataFrame, last: int, columns: list[str], job: dict[str, Any], **options: Any) -> None:
    done = worlds.first_pass(frame, **job)
    long, names, weights = with_dummies(*rows_of(frame, **options), last)
    literal = reference.estimate(long, [*columns, *names])
    k = len(columns)
    turn = np.zeros((k + len(weights), k + len(names)))
    turn[:k, :k] = np.eye(k)
    turn[k:, k:] = np.stack(list(weights.values()))
    fit = done.results[0].fit
    assert fit.names[k:] == tuple(f"policy[{time:+d}]" for time in weights)
    np.testing.assert_allclose(fit.values, turn @ literal.coefficients, rtol=BRUTE)
    assert (fit.n_obs, fit.n_pairs) == (literal.n_obs, literal.n_pairs)
    pair = done.results[0].covariances[0].matrix
    np.testing.assert_allclose(pair, turn @ literal.pair() @ turn.T, rtol=0, atol=BRUTE * pair.max())
    regressors, drops = [*columns, *names], []
    for city in sorted({*long["city_i"], *long["city_j"]}):
        without = long[(long[["city_i", "city_j"]] != city).all(axis=1)]
        drops.append(averages(without, regressors, turn))
    steps = np.array(drops) - turn @ literal.coefficients
    jackknife = (len(steps) - 1) / len(steps) * steps.T @ steps
    found = done.results[0].covariances[-1].matrix
    np.testing.assert_allclose(found, jackknife, rtol=0, atol=BRUTE * jackknife.max())


@pytest.mark.parametrize("last", [9, 1])
def test_against_dummies_of_cohort_and_year(last: int) -> None:
    check(worlds.panel(), last, ["edu", "dense"], {"model": job_model((-2, last))})


def test_missing_rows_have_no_known_weights() -> None:
    with pytest.raises(
        InputError, match="differ in their observed years, so that terms have no known weights"
    ):
        run_panel(worlds.panel(1, holes=True), model=job_model())


def test_where_everyone_adopts_rows_end_before_the_last_cohort() -> None:
    frame = worlds.panel()
    years = sorted(frame["pilot_year"].dropna().unique())
    codes = np.random.default_rng(0).permutation(np.resize([*years, years[-1] + 1], worlds.N_CITIES))
    frame = frame.assign(pilot_year=np.repeat(codes, frame["year"].nunique()))
    job = {"model": job_model(), "pairs": NEITHER, "treatment": EITHER}
    check(frame, 9, ["edu", "dense"], job, rule="either", exclude=False)


def imputed(long: pd.DataFrame, adopted: pd.Series) -> pd.Series:
    """Effects by event year: the outcome less pair and year effects that untreated rows have, averaged over rows."""
    untreated = long["year"] < adopted
    pair = long.groupby(["city_i", "city_j"]).ngroup()
    dummies = pd.get_dummies(pair, prefix="p", dtype=float).join(
        pd.get_dummies(long["year"], prefix="t", dtype=float)
    )
    effects = np.linalg.lstsq(dummies[untreated].to_numpy(), long.loc[untreated, "y"].to_numpy(), rcond=None)[
        0
    ]
    gaps = long["y"] - dummies.to_numpy() @ effects
    return gaps[~untreated].groupby((long["year"] - adopted)[~untreated]).mean()


@pytest.mark.parametrize("seed", range(3))
def test_without_controls_it_is_imputation(seed: int) -> None:
    frame = worlds.panel(seed)
    result = run_panel(frame, model=job_model(controls=[], errors=["pair"])).event_study
    assert result is not None
    expected = imputed(*rows_of(frame))
    assert result["event_time"].tolist() == expected.index.tolist()
    np.testing.assert_allclose(result["estimate"], expected, rtol=BRUTE)


def test_against_two_stages_of_pyfixest() -> None:
    peer = pytest.importorskip("pyfixest", reason="pyfixest (PyPI) is not installed")
    frame = worlds.panel(4)
    long, adopted = rows_of(frame)
    event = (long["year"] - adopted).where(np.isfinite(adopted), -1)
    names = [f"e{time:.0f}" for time in sorted(set(event[event >= 0]))]
    data = long.assign(
        unit=long.groupby(["city_i", "city_j"]).ngroup(),
        treated=(event >= 0).astype(int),
        **{name: (event == float(name[1:])).astype(float) for name in names},
    )
    fit = peer.did2s(
        data,
        yname="y",
        first_stage="~ 0 | unit + year",
        second_stage=f"~ 0 + {' + '.join(names)}",
        treatment="treated",
        cluster="unit",
    )
    result = run_panel(frame, model=job_model(controls=[], errors=["pair"])).event_study
    assert result is not None
    np.testing.assert_allclose(result["estimate"], fit.coef()[names], rtol=PEER)


def test_effects_that_differ_are_averaged_where_twfe_is_not() -> None:
    """Effects of 1 in the first year and 3 later, larger for the first cohort, without noise: each is found exactly."""
    frame = worlds.panel(2)
    long, adopted = rows_of(frame)
    since = (long["year"] - adopted).where(np.isfinite(adopted), -1)
    truth = np.where(since >= 0, 1.0 + 2.0 * (since > 0), 0.0) * np.where(adopted == adopted.min(), 2.0, 1.0)
    pair = long.groupby(["city_i", "city_j"]).ngroup()
    long = long.assign(y=truth + np.sin(pair) + np.cos(long["year"]))
    effects = imputed(long, adopted)
    with_names, names, weights = with_dummies(long, adopted, 9)
    literal = reference.estimate(with_names, names).coefficients
    expected = [truth[since == time].mean() for time in weights]
    np.testing.assert_allclose([row @ literal for row in weights.values()], expected, atol=1e-8)
    np.testing.assert_allclose(effects, expected, atol=1e-8)


def test_frames_and_figure_have_no_base_year() -> None:
    found = run_panel(worlds.panel(), model=job_model((-2, 1), errors=["pair"]))
    assert found.event_study is not None
    assert found.event_study["event_time"].tolist() == [0, 1]
    (cell,) = found.manifest["cells"]
    assert cell["event_study"]["base"] is None


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"model": job_model(base=-2)}, "model.base: has no meaning in this job"),
        ({"model": job_model((-5, -2))}, "the window ends 2 years before adoption"),
        ({"years": [2012, 2017], "model": job_model()}, "are not observed before they do"),
    ],
)
def test_what_cannot_be_estimated_is_refused(blocks: dict[str, Any], message: str) -> None:
    frame = worlds.panel()
    if "years" in blocks:
        frame["pilot_year"] = frame["pilot_year"].where(frame["pilot_year"].isna(), 2012)
    with pytest.raises(InputError, match=message):
        run_panel(frame, **blocks)


@pytest.mark.parametrize("filters", [{"model.lag": 1}, {"around": 2}, {"shift": -2, "drop_treated": True}])
def test_lags_and_filters_leave_the_terms_that_have_rows(filters: dict[str, Any]) -> None:
    """Dummies of years that a lag or a filter empties were refused as collinear."""
    frame, lag = worlds.panel(), filters.get("model.lag", 0)
    treatment = {"adoption": "pilot_year", "rule": "exactly_one"}
    treatment |= {key: value for key, value in filters.items() if key != "model.lag"}
    model = job_model(controls=[], errors=["pair"], lag=lag)
    found = run_panel(frame, model=model, treatment=treatment).event_study
    assert found is not None
    long, adopted = rows_of(frame)
    stays = long["year"] >= long["year"].min() + lag
    if "around" in filters:
        stays &= np.isinf(adopted) | ((long["year"] - adopted).abs() <= 2)
    if "shift" in filters:
        stays &= long["year"] < adopted
    start = adopted + lag + filters.get("shift", 0)
    with_names, names, weights = with_dummies(long[stays], start[stays], 9)
    literal = reference.estimate(with_names, names).coefficients
    np.testing.assert_allclose(found["estimate"], [row @ literal for row in weights.values()], rtol=BRUTE)


def test_the_first_year_of_the_window_makes_no_other_regression() -> None:
    """It says what is shown where rows outside are dropped, and nothing else."""
    sweep = {"model.window": [[-5, 3], [-2, 3]]}
    with pytest.raises(InputError, match="are the same regression"):
        run_panel(worlds.panel(), model=job_model(), sweep=sweep)
    assert len(
        run_panel(worlds.panel(), model=job_model(ends="drop", errors=["pair"]), sweep=sweep).estimates
    )


@pytest.mark.parametrize("estimator", ["extended_twfe", "sun_abraham"])
def test_the_printed_table_is_of_the_reported_terms(estimator: str) -> None:
    """Terms that are averaged have other names than those that are reported."""
    model = job_model((-2, 1), errors=["pair"]) | {"estimator": estimator}
    found = run_panel(worlds.panel(), model=model, table={"keep": ["policy[+0]"]})
    assert "policy[+0]" in set(found.estimates["term"])
    with pytest.raises(InputError, match="leave no term"):
        run_panel(worlds.panel(), model=model, table={"keep": ["2013"]})
