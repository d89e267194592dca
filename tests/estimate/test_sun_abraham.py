"""The interaction-weighted event study against literal cohort dummies, weights by hand, and pyfixest's own."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
import reference
from strategies import COHORTS, city_panel, run_panel
from tolerances import BRUTE, PEER

from engine.errors import InputError

NEITHER: dict[str, Any] = {"exclude": "none"}
EITHER = {"adoption": "pilot_year", "rule": "either"}


def job_model(window: tuple[int, int] = (-9, 9), **keys: Any) -> dict[str, Any]:
    """A ``model`` block; the default window holds every event year of the panel."""
    return {
        "estimator": "sun_abraham",
        "window": list(window),
        "errors": ["pair", "dyadic", "jackknife"],
        **keys,
    }


def interacted(
    long: pd.DataFrame, columns: list[str], window: tuple[int, int], adopted: pd.Series
) -> tuple[pd.DataFrame, list[str], dict[int, np.ndarray]]:
    """The rows with their dummies, names of the regressors, and the weights of each event year."""
    finite = adopted[np.isfinite(adopted)]
    reference_cohort = np.inf if np.isinf(adopted).any() else finite.max()
    long = long[long["year"] < reference_cohort]
    adopted = adopted[long.index]
    event = (long["year"] - adopted).clip(*window)
    dummies, rows = {}, {}
    for cohort in sorted(set(finite) - {reference_cohort}):
        for time in range(window[0], window[1] + 1):
            on = (adopted == cohort) & (event == time)
            if time != -1 and on.any():
                dummies[cohort, time] = f"{cohort:.0f}/{time}"
                rows[cohort, time] = on.sum()
                long = long.assign(**{dummies[cohort, time]: on.astype(float)})
    names = [*columns, *dummies.values()]
    weights = {}
    for shown in sorted({time for _, time in dummies}):
        of_time = {name: rows[key] for key, name in dummies.items() if key[1] == shown}
        weights[shown] = np.array([of_time.get(name, 0.0) / sum(of_time.values()) for name in names])
    return long, names, weights


def check(
    done: worlds.Pass, expected: tuple[pd.DataFrame, list[str], dict[int, np.ndarray]], columns: int
) -> None:
    long, names, weights = expected
    result = done.results[0]
    literal = reference.estimate(long, names)
    turn = np.stack([*np.eye(len(names))[:columns], *weights.values()])
    assert result.fit.names[columns:] == tuple(f"policy[{time:+d}]" for time in weights)
    np.testing.assert_allclose(result.fit.values, turn @ literal.coefficients, rtol=BRUTE)
    assert (result.fit.n_obs, result.fit.n_pairs) == (literal.n_obs, literal.n_pairs)
    pair, _, jackknife = result.covariances
    np.testing.assert_allclose(
        pair.matrix, turn @ literal.pair() @ turn.T, rtol=0, atol=BRUTE * pair.matrix.max()
    )
    drops = [
        averages(long[(long[["city_i", "city_j"]] != city).all(axis=1)], names, turn)
        for city in sorted({*long["city_i"], *long["city_j"]})
    ]
    steps = np.array(drops) - turn @ literal.coefficients
    expected_jackknife = (len(steps) - 1) / len(steps) * steps.T @ steps
    np.testing.assert_allclose(
        jackknife.matrix, expected_jackknife, rtol=0, atol=BRUTE * expected_jackknife.max()
    )
    meat = done.results[0].fit.city_first + done.results[0].fit.city_second
    psi = oracle.city_influences(literal).to_numpy() @ turn.T
    np.testing.assert_allclose(meat.T @ meat, psi.T @ psi, rtol=0, atol=BRUTE * np.abs(psi.T @ psi).max())


def averages(rows: pd.DataFrame, names: list[str], turn: np.ndarray) -> np.ndarray:
    """Averages by these rows of their coefficients; a cohort without rows is no regressor."""
    count = rows[names].sum().to_numpy()
    present = [number for number, name in enumerate(names) if rows[name].any()]
    values = np.zeros(len(names))
    values[present] = reference.estimate(rows, [names[number] for number in present]).coefficients
    weights = [row if np.count_nonzero(row) == 1 else np.where(row, count, 0.0) for row in turn]
    return np.array([np.average(values, weights=row) for row in weights])


@pytest.mark.parametrize("window", [(-9, 9), (-2, 1)])
def test_against_cohort_dummies_weighted_by_hand(window: tuple[int, int]) -> None:
    """Never-treated pairs are the reference; years beyond a short window join its ends, cohort by cohort."""
    frame = worlds.panel()
    long, _ = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame))
    adopted = long[["adoption_i", "adoption_j"]].min(axis=1)
    done = worlds.first_pass(frame, model=job_model(window))
    check(done, interacted(long, ["edu", "dense"], window, adopted), 2)


def everyone_adopts(seed: int = 0) -> pd.DataFrame:
    frame = worlds.panel(seed)
    years = sorted(frame["pilot_year"].dropna().unique())
    codes = np.random.default_rng(seed).permutation(np.resize([*years, years[-1] + 1], worlds.N_CITIES))
    return frame.assign(pilot_year=np.repeat(codes, frame["year"].nunique()))


def test_without_never_treated_pairs_the_last_cohort_is_the_reference() -> None:
    frame = everyone_adopts()
    done = worlds.first_pass(frame, model=job_model(), pairs=NEITHER, treatment=EITHER)
    grid = worlds.oracle_grid(frame, gravity=False)
    long, _ = oracle.relabelled(grid, worlds.observed_adoption(frame), rule="either", exclude=False)
    adopted = long[["adoption_i", "adoption_j"]].min(axis=1)
    expected = interacted(long, ["edu", "dense"], (-9, 9), adopted)
    assert expected[0]["year"].max() == adopted.max() - 1
    check(done, expected, 2)


@pytest.mark.skipif(
    tuple(map(int, np.__version__.split(".")[:2])) < (2, 1),
    reason="pyfixest's saturated estimator needs numpy 2.1",
)
def test_against_pyfixest() -> None:
    """Values, and errors by pair: the package weights by shares, takes them as fixed, and has no controls."""
    peer = pytest.importorskip("pyfixest", reason="pyfixest (PyPI) is not installed")
    frame = worlds.panel(4)
    done = worlds.first_pass(frame, model=job_model(controls=[]))
    long, _ = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame))
    adopted = long[["adoption_i", "adoption_j"]].min(axis=1)
    data = long.assign(
        unit=long.groupby(["city_i", "city_j"]).ngroup() + 1,
        g=adopted.where(np.isfinite(adopted), 0).astype(int),
        year=long["year"].astype(int),
    )[["unit", "year", "g", "y"]]
    study = peer.event_study(
        data, yname="y", idname="unit", tname="year", gname="g", cluster="unit", estimator="saturated"
    )
    expected = study.aggregate()
    result = done.results[0]
    shown = [term.event_time for term in result.fit.terms]
    np.testing.assert_allclose(result.fit.values, expected.loc[shown, "Estimate"].astype(float), rtol=PEER)
    np.testing.assert_allclose(
        result.covariances[0].std_error, expected.loc[shown, "Std. Error"].astype(float), rtol=PEER
    )


def test_frames_of_a_job() -> None:
    found = run_panel(worlds.panel(), model=job_model((-2, 1), errors=["pair"]))
    assert found.event_study is not None
    assert found.event_study["event_time"].tolist() == [-2, -1, 0, 1]
    assert set(found.estimates["estimator"]) == {"sun_abraham"}
    assert found.estimates["n_adopters"].notna().sum() == 3


def test_absorbed_effects_weigh_by_rows_too() -> None:
    model = job_model((-2, 1), errors=["pair"])
    plain = run_panel(worlds.panel(), model=model).estimates
    holes = worlds.panel(holes=True)
    found = run_panel(
        holes, model={**model, "fixed_effects": ["pair", "year", "distance:2 x year"]}
    ).estimates
    assert found["term"].tolist() == plain["term"].tolist()


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (
            {"model": job_model((-2, 1)), "inference": {"bootstrap": {"kind": "wild", "reps": 9}}},
            "inference.bootstrap is not defined",
        ),
        ({"model": job_model((-9, 1), base=-9)}, "are not observed in the reference period -9"),
    ],
)
def test_what_cannot_be_estimated_is_refused(blocks: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_panel(worlds.panel(), **blocks)


def test_pairs_of_one_cohort_that_differ_in_their_years_are_refused() -> None:
    with pytest.raises(InputError, match="differ in their observed years"):
        run_panel(worlds.panel(holes=True), model=job_model((-2, 1)))


@pytest.mark.parametrize("estimator", ["sun_abraham", "extended_twfe"])
def test_a_cohort_of_one_city_is_warned_of(estimator: str) -> None:
    """Its dummies fit its own shock, which influences of pairs do not have."""
    frame = city_panel(1)
    first = frame.loc[frame["pilot_year"] == COHORTS[0], "city"].unique()
    assert len(first) > 1
    single = frame.assign(pilot_year=frame["pilot_year"].mask(frame["city"].isin(first[1:]), COHORTS[1]))
    model = {"estimator": estimator, "window": [-2 if estimator == "sun_abraham" else 0, 2]}
    for cities, is_told in ((frame, False), (single, True)):
        warnings = run_panel(
            cities, pairs={"exclude": "both_treated"}, model={**model, "errors": ["pair"]}
        ).manifest["warnings"]
        assert any("of one city, whose own shock" in text for text in warnings) == is_told
