"""Slopes by year of what pairs differ in at first: Wooldridge's regression with covariates, dummies, messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import draw_worlds as worlds
import dyadid as dd
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pyfixest
import pytest
from literal_imputation import PAIR, literal_imputation, literal_jackknife
from pyfixest.demeaners import LsmrDemeaner
from strategies import run_panel
from tolerances import BRUTE, PEER

import engine
from engine.errors import InputError
from engine.pipeline import draw
from engine.report.language.error_forms import worded_message

MPDTA = Path(__file__).parents[2] / "shared" / "data" / "oracles" / "mpdta.parquet"
TIGHTEST = LsmrDemeaner(fixef_atol=1e-14, fixef_btol=1e-14, fixef_maxiter=10_000)
NO_SCREEN: dict[str, Any] = {"exclude": "both_treated"}
needs_counties = pytest.mark.skipif(
    not MPDTA.exists(), reason=f"no panel of counties: {MPDTA.name} is absent"
)


def counties() -> pd.DataFrame:
    """Each county is a pair of itself and its state, treated from the year of its minimum wage on."""
    frame = pd.read_parquet(MPDTA)
    return pd.DataFrame(
        {
            "county": frame["countyreal"].astype(int).astype(str),
            "state": "state",
            "year": frame["year"],
            "lemp": frame["lemp"],
            "lpop": frame["lpop"],
            "first": frame["first.treat"].where(frame["first.treat"] > 0),
        }
    )


def county_job(estimator: str, **model: Any) -> dict[str, Any]:
    return {
        "job": "counties",
        "pair_table": {"source": "t.parquet", "unit_i": "county", "unit_j": "state", "year": "year"},
        "outcome": {"column": "lemp"},
        "treatment": {"adoption": "first"},
        "model": {
            "estimator": estimator,
            "regressors": ["lpop"],
            "by_year": ["lpop"],
            "window": [-2, 9],
            "errors": ["pair"],
            **model,
        },
    }


def run_counties(frame: pd.DataFrame, folder: Path, estimator: str, **model: Any) -> pd.DataFrame:
    path = folder / "t.parquet"
    frame.to_parquet(path)
    job = county_job(estimator, **model)
    job["pair_table"]["source"] = str(path)
    return dd.run(job).tidy().set_index("term")


@needs_counties
def test_extended_regression_on_counties_has_the_published_event_years(tmp_path: Path) -> None:
    """Wooldridge's regression with log population, as the R package etwfe prints its average effects by event year."""
    rows = run_counties(counties(), tmp_path, "extended_twfe")
    published = {"policy[+0]": -0.0332, "policy[+1]": -0.0573, "policy[+2]": -0.1379, "policy[+3]": -0.1095}
    np.testing.assert_allclose(rows.loc[list(published), "estimate"], list(published.values()), atol=5e-5)


@needs_counties
def test_extended_regression_is_the_one_with_covariates_centred_by_cohort(tmp_path: Path) -> None:
    """All rows, a dummy of each treated cohort and year, alone and times population less the cohort's mean."""
    frame = counties()
    rows = run_counties(frame, tmp_path, "extended_twfe")
    centred = frame["lpop"] - frame.groupby("first")["lpop"].transform("mean")
    event = frame["year"] - frame["first"]
    cells = frame[event >= 0].groupby(["first", "year"]).ngroups
    columns, weights, events = {}, [], []
    for number, ((cohort, year), of_cell) in enumerate(frame[event >= 0].groupby(["first", "year"])):
        inside = ((frame["first"] == cohort) & (frame["year"] == year)).astype(float)
        columns |= {f"d{number}": inside, f"x{number}": (inside * centred).fillna(0.0)}
        weights.append(len(of_cell))
        events.append(int(year - cohort))
    slopes = {f"p{year}": frame["lpop"] * (frame["year"] == year) for year in range(2004, 2008)}
    table = frame.assign(**columns, **slopes)
    formula = f"lemp ~ {' + '.join([*columns, *slopes])} | county + year"
    peer = pyfixest.feols(formula, table, demeaner=TIGHTEST).coef()
    effects = pd.DataFrame(
        {"effect": [peer[f"d{number}"] for number in range(cells)], "weight": weights, "event": events}
    )
    effects["sum"] = effects["effect"] * effects["weight"]
    by_event = effects.groupby("event")[["sum", "weight"]].sum()
    expected = by_event["sum"] / by_event["weight"]
    names = [f"policy[+{time}]" for time in expected.index]
    np.testing.assert_allclose(rows.loc[names, "estimate"], expected, rtol=PEER)
    assert rows.loc["simple", "estimate"] == pytest.approx(effects["sum"].sum() / sum(weights), rel=PEER)


def with_first_values(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """City values of a column as they are first known, in all years."""
    first = frame.sort_values("year").groupby("city")[column].transform("first")
    return frame.assign(**{column: first})


def pair_years(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Pair-years with the columns by year of ``edu``, and their names."""
    long = _long(frame)
    constant = _long(with_first_values(frame, "schools"))
    keys = [*PAIR, "year"]
    first = long[keys].merge(constant[[*keys, "edu"]], on=keys, how="left")["edu"].to_numpy()
    years = np.unique(frame["year"])[1:].tolist()
    slopes = {f"edu x {year}": np.where(long["year"] == year, first, 0.0 * first) for year in years}
    return long.assign(**slopes), list(slopes)


def _long(frame: pd.DataFrame) -> pd.DataFrame:
    long, _ = oracle.relabelled(
        worlds.oracle_grid(frame, gravity=False),
        worlds.observed_adoption(frame),
        rule="exactly_one",
        exclude=True,
    )
    return long.assign(adopted=long[["adoption_i", "adoption_j"]].min(axis=1))


def world(*, holes: bool) -> pd.DataFrame:
    """Cohorts of 2013, 2015 and 2016 among sixteen cities."""
    frame = worlds.panel(5, holes=holes)
    years = np.resize([2013, 2015, 2015, 2016, 2013, 2015, 2016, 2013, 2016], worlds.N_CITIES - 7)
    codes = np.random.default_rng(1).permutation(np.concatenate([years, np.full(7, np.nan)]))
    return frame.assign(pilot_year=np.repeat(codes, frame["year"].nunique()))


@pytest.mark.parametrize("estimator", ["imputation", "extended_twfe"])
def test_two_stages_with_slopes_on_rows(estimator: str) -> None:
    """Values, and errors by pair, dyad and refits without each city, of the moments of both stages."""
    frame = world(holes=False)
    model = {"estimator": estimator, "window": [-3, 9], "errors": ["pair", "dyadic", "jackknife"]}
    results = run_panel(frame, model=model | {"controls": ["edu"], "by_year": ["edu"]}, pairs=NO_SCREEN)
    long, slopes = pair_years(frame)
    arguments = slopes, [-3, -2, -1], 9
    literal = literal_imputation(long, *arguments)
    by_type = {
        "pair": literal.pair(),
        "dyadic": literal.dyadic(),
        "jackknife": literal_jackknife(literal, long, *arguments),
    }
    for errors, covariance in by_type.items():
        rows = results.estimates[results.estimates["errors"] == errors].set_index("term")
        rows = rows.loc[literal.coefficients.index]
        np.testing.assert_allclose(rows["estimate"], literal.coefficients, rtol=BRUTE, atol=BRUTE)
        is_variance = np.diag(covariance) > 0  # a dyadic sum need not be one
        assert is_variance.sum() > 12
        variances = rows["std_error"].to_numpy() ** 2
        np.testing.assert_allclose(variances[is_variance], np.diag(covariance)[is_variance], rtol=1e-8)


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("lag", [0, 1])
def test_two_way_fixed_effects_with_slopes(lag: int, holes: bool) -> None:
    frame = world(holes=holes)
    model = {"by_year": ["edu"], "lag": lag, "errors": ["pair"], "controls": ["dense", "edu"]}
    rows = run_panel(frame, model=model, pairs=NO_SCREEN).estimates.set_index("term")
    long, slopes = pair_years(frame)
    long = long.sort_values([*PAIR, "year"])
    long[["dense", "policy"]] = long.groupby(PAIR)[["dense", "policy"]].shift(lag)
    slopes = slopes[lag:]
    long = long.dropna(subset=["y", "dense", "policy", *slopes])
    names = {name: name.replace(" ", "_") for name in slopes}
    long = long.rename(columns=names).assign(pair=long["city_i"] + long["city_j"])
    formula = f"y ~ {' + '.join(['policy', 'dense', *names.values()])} | pair + year"
    peer = pyfixest.feols(formula, long, demeaner=TIGHTEST)
    terms = ["policy", "dense", *slopes]
    expected = peer.coef().loc[["policy", "dense", *names.values()]]
    np.testing.assert_allclose(rows.loc[terms, "estimate"], expected, rtol=1e-7, atol=1e-9)
    assert (rows["n_obs"] == peer._N).all()


@pytest.mark.parametrize("estimator", ["twfe", "imputation"])
def test_permutations_rebuild_the_regression(estimator: str, tmp_path: Path) -> None:
    """A draw is the job on the adoption that it dealt, by a run of its own."""
    frame = world(holes=False)
    blocks: dict[str, Any] = {
        "pairs": NO_SCREEN,
        "model": {"estimator": estimator, "by_year": ["edu"], "controls": ["edu"], "errors": ["dyadic"]},
    }
    blocks["inference"] = {"permutation": {"reps": 3, "seed": 4}}
    path = worlds.write(tmp_path, frame, worlds.job_of(frame, **blocks))
    drawn = engine.run(path).draws
    drawn = drawn[drawn["method"] == "permutation"]
    term = "policy" if estimator == "twfe" else "simple"
    for replicate in range(3):
        dealt = draw(path, replicate=replicate).cities.set_index("city")["adopts_in_draw"].astype(float)
        again = run_panel(
            frame.assign(pilot_year=frame["city"].map(dealt)),
            **{key: block for key, block in blocks.items() if key != "inference"},
        )
        value = again.estimates.set_index("term").loc[term, "estimate"]
        row = drawn[(drawn["replicate"] == replicate) & (drawn["term"] == term)]
        assert row["estimate"].item() == pytest.approx(value, rel=1e-9)


def test_the_table_says_slopes_in_one_row_and_prints_them_when_asked() -> None:
    panel = dd.panel(world(holes=False), adoption="pilot_year", rule="exactly_one").exclude_both_treated()
    plain = panel.synchronization("output").controls(edu="neg_abs_log_diff(schools)").twfe(by_year=["edu"])
    text = str(plain.table())
    assert "edu, a slope a year" in text
    assert "edu x 2013" not in text
    assert "edu x 2013" in str(plain.table(keep=["policy", "edu"]))
    assert "edu x 2013" in set(plain.tidy()["term"])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"by_year": ["dense"], "controls": ["edu"]}, "model.by_year names 'dense', which is not among"),
        (
            {"by_year": ["edu"], "controls": ["edu", "dense"], "estimator": "extended_twfe"},
            "with model.by_year has no other columns, and 'dense' is one",
        ),
        ({"by_year": ["edu"], "estimator": "callaway_santanna"}, "has no controls"),
    ],
)
def test_what_cannot_be_is_refused(model: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_panel(world(holes=False), model=model, pairs=NO_SCREEN)


def test_a_synchronization_has_no_first_value() -> None:
    with pytest.raises(InputError, match="a synchronization, which has no value at first"):
        run_panel(
            world(holes=False),
            controls={"ties": {"synchronization": "density"}},
            model={"by_year": ["ties"]},
            pairs=NO_SCREEN,
        )


@pytest.mark.parametrize("listed", ["the controls of the regression", "model.regressors"])
def test_a_name_that_is_not_listed_is_refused_in_chinese_too(listed: str) -> None:
    worded = worded_message(f"model.by_year names 'x', which is not among {listed} (rta, y)", "zh")
    assert worded is not None
    assert "列出了“x”" in worded


def test_poisson_with_slopes(tmp_path: Path) -> None:
    """Rows absorbed anew at every step have the same columns."""
    rng = np.random.default_rng(1)
    first, second = np.triu_indices(12, 1)
    pair, year = np.repeat(np.arange(len(first)), 6), np.tile(np.arange(2000, 2006), len(first))
    x = rng.normal(size=len(first))[pair] + 0.2 * rng.normal(size=len(pair))
    table = pd.DataFrame({"a": first[pair], "b": second[pair], "year": year, "x": x})
    table["rta"] = ((year > 2002) & (first[pair] % 3 == 0)).astype(float)
    table["flow"] = rng.poisson(np.exp(1 + 0.3 * x * (year - 2000) / 5))
    table.to_parquet(tmp_path / "t.parquet")
    job = {
        "job": "flows",
        "pair_table": {"source": str(tmp_path / "t.parquet"), "unit_i": "a", "unit_j": "b", "year": "year"},
        "outcome": {"column": "flow"},
        "model": {"estimator": "poisson", "regressors": ["rta", "x"], "by_year": ["x"], "errors": ["pair"]},
    }
    rows = dd.run(job).tidy().set_index("term")
    constant = table.groupby(["a", "b"])["x"].transform("first")
    slopes = {f"x{of}": constant * (year == of) for of in range(2001, 2006)}
    peer = pyfixest.fepois(
        f"flow ~ rta + {' + '.join(slopes)} | p + year", table.assign(p=pair, **slopes), iwls_tol=1e-12
    )
    names = ["rta", *(f"x x {of}" for of in range(2001, 2006))]
    np.testing.assert_allclose(rows.loc[names, "estimate"], peer.coef(), rtol=1e-6)


def test_incomplete_rows_are_told_by_regressor_and_a_header_with_a_year_keeps_its_name() -> None:
    """Of a regressor by year once, though it has a column a year; `x x 2001` may be a column of the table itself."""
    rng = np.random.default_rng(2)
    first, second = np.triu_indices(6, 1)
    pair, year = np.repeat(np.arange(len(first)), 4), np.tile(np.arange(2000, 2004), len(first))
    table = pd.DataFrame({"a": first[pair], "b": second[pair], "year": year})
    for name in ("y", "size", "trade x 2001"):
        table[name] = rng.normal(size=len(table))
    table.loc[[3, 9], "trade x 2001"] = np.nan
    table.loc[pair == 1, "size"] = np.nan
    job = {
        "job": "t",
        "pair_table": {"source": "frame:t", "unit_i": "a", "unit_j": "b", "year": "year"},
        "outcome": {"column": "y"},
        "model": {"regressors": ["trade x 2001", "size"], "by_year": ["size"], "errors": ["pair"]},
    }
    (told,) = [text for text in engine.run(job, frames={"t": table}).manifest["warnings"] if "size" in text]
    assert "trade x 2001: 2" in told
    assert told.count("size: 4") == 1
