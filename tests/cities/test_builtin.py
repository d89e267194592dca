"""The embedded data: shape, exact counts, and an effect that is what it says."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cities import builtin, china_demo
from engine.errors import InputError
from engine.spec.job import Job

JOBS = Path(__file__).parents[2] / "jobs"
INDICATORS = yaml.safe_load((JOBS / "table1_baseline.yaml").read_text("utf-8"))["index"]["development"][
    "entropy"
]
BATCHES = {  # year and month of approval: pilots
    (2015, 3): 1,
    (2016, 1): 12,
    (2018, 7): 21,
    (2019, 12): 21,
    (2020, 4): 46,
    (2022, 1): 27,
    (2022, 11): 33,
}
EURO = ["AUT", "BEL", "DEU", "ESP", "FIN", "FRA", "GRC", "IRL", "ITA", "NLD", "PRT"]
DATES = ["pilot_year", "pilot_month"]
CONSTANT = [
    "province",
    "latitude",
    "longitude",
    "admin_rank",
    "pilot_year",
    "pilot_month",
    "coastal",
    "port_distance",
    "land_area",
]


# ---------------------------------------------------------------- the reference, in numpy, knowing no engine


def wide(frame: pd.DataFrame, column: str) -> np.ndarray:
    return frame.pivot(index="city", columns="year", values=column).to_numpy(dtype=float)


def standardised_index(frame: pd.DataFrame) -> np.ndarray:
    """Pooled entropy index of the nine indicators, standardised by city: ``[city, year]``."""
    values = frame[INDICATORS].to_numpy()
    scaled = (values - values.min(0)) / (values.max(0) - values.min(0))
    share = scaled / scaled.sum(0)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(0) / np.log(len(values))
    index = frame.assign(index=scaled @ ((1 - entropy) / (1 - entropy).sum()))
    levels = wide(index, "index")
    return (levels - levels.mean(1, keepdims=True)) / levels.std(1, keepdims=True)


def fisher(z_i: np.ndarray, z_j: np.ndarray) -> np.ndarray:
    """rho' of every pair and year."""
    squared = (z_i - z_j) ** 2
    return 0.5 * (np.log1p((1 - squared / 2) / (2 * z_i.shape[1] - 3)) - np.log(squared / 2))


def gravity(frame: pd.DataFrame, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    mass = sum(
        np.log(wide(frame, name).mean(1)) for name in ("population", "gdp_real", "land_area", "admin_rank")
    )
    latitude, longitude = (np.radians(wide(frame, name)[:, 0]) for name in ("latitude", "longitude"))
    cosine = np.sin(latitude[i]) * np.sin(latitude[j])
    cosine += np.cos(latitude[i]) * np.cos(latitude[j]) * np.cos(longitude[i] - longitude[j])
    return (mass[i] + mass[j]) / 4 - 2 * np.log(np.arccos(cosine))


def table1(frame: pd.DataFrame) -> dict[str, Any]:
    """Counts at every filter and the TWFE coefficient without controls."""
    z, adoption = standardised_index(frame), wide(frame, "pilot_year")[:, 0]
    years = np.sort(frame["year"].unique())
    i, j = np.triu_indices(len(z), 1)
    single = ~(np.isfinite(adoption[i]) & np.isfinite(adoption[j]))
    force = gravity(frame, i, j)
    kept = single & (force > np.median(force[single]))
    outcome = fisher(z[i[kept]], z[j[kept]])
    treated = (years >= np.fmin(adoption[i], adoption[j])[kept, None]).astype(float)

    def within(values: np.ndarray) -> np.ndarray:
        return values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()

    d, y = within(treated), within(outcome)
    beta = (d * y).sum() / (d * d).sum()
    counts = (len(i), int(single.sum()), int(kept.sum()), outcome.size)
    return {"counts": counts, "beta": beta, "mean": outcome.mean(), "residual_sd": (y - beta * d).std()}


# ---------------------------------------------------------------- china_demo: design and data


@pytest.fixture(scope="module")
def demo() -> pd.DataFrame:
    return builtin.load("china_demo")


def test_design_is_the_papers(demo: pd.DataFrame) -> None:
    cities = demo.drop_duplicates("city")
    assert cities[DATES].value_counts().to_dict() == {k: v for k, v in BATCHES.items() if k[0] < 2020}
    assert (cities["pilot_year"].isna() == cities["pilot_month"].isna()).all()
    assert cities["admin_rank"].value_counts().sort_index().to_list() == [218, 17, 15, 4]
    assert cities["province"].nunique() == 31
    grid = list(itertools.product((f"S{n:03d}" for n in range(1, 255)), range(2010, 2020)))
    assert list(zip(demo["city"], demo["year"], strict=True)) == grid


def test_counts_scale_and_noise_are_the_papers(demo: pd.DataFrame) -> None:
    result = table1(demo)
    assert result["counts"] == (32_131, 30_646, 15_323, 153_230)
    assert 1.9 < result["mean"] < 2.5
    assert 0.95 < result["residual_sd"] < 1.1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seed": 11, "effect": -0.2},
        {"cities": 600, "last_year": 2023, "effect": 0.2},
        {"last_year": 2022, "effect": 0.2, "later_pilots": True},
    ],
)
def test_values_make_sense(options: dict[str, Any]) -> None:
    frame = builtin.load("china_demo", **options)
    assert frame.drop(columns=DATES).notna().all().all()
    numbers = frame.select_dtypes("number").drop(columns=[*DATES, "coastal"])
    assert (numbers > 0).all().all()
    assert (frame.groupby("city")[CONSTANT].nunique() <= 1).all().all()
    assert not frame.drop_duplicates("city").duplicated(["latitude", "longitude"]).any()
    assert frame["latitude"].between(18, 54).all()
    assert frame["longitude"].between(73, 135).all()
    assert (frame["services_share"] + frame["secondary_share"] < 1).all()
    assert (frame.groupby("year")["exchange_rate"].nunique() == 1).all()
    base = frame[frame["year"] == 2010]
    np.testing.assert_array_equal(base["gdp_nominal"], base["gdp_real"])
    np.testing.assert_allclose(frame["gdp_nominal"], frame["gdp_real"] * frame["gdp_deflator"], rtol=1e-13)
    np.testing.assert_allclose(
        frame["gdp_real"], frame["gdp_per_capita"] * frame["population"] / 1e4, rtol=1e-13
    )
    np.testing.assert_allclose(
        frame["employment"], frame["skilled_labour"] + frame["unskilled_labour"], rtol=1e-13
    )


def test_pilots_are_the_larger_and_richer(demo: pd.DataFrame) -> None:
    cities = demo[demo["year"] == 2010]
    pilots = cities[cities["pilot_year"].notna()]
    others = cities[cities["pilot_year"].isna()]
    for column in ("gdp_per_capita", "population", "admin_rank"):
        assert pilots[column].mean() > 1.2 * others[column].mean(), column


# ---------------------------------------------------------------- china_demo: the effect


@pytest.mark.parametrize("options", [{}, {"last_year": 2023, "later_pilots": True}])
def test_twfe_recovers_the_effect(options: dict[str, Any]) -> None:
    """Same draws with and without it, so the difference is sharp: its sd is 0.009, of 16 seeds 0.0023."""
    difference = []
    for seed in range(100, 116):
        treated, plain = (
            builtin.load("china_demo", seed=seed, effect=effect, **options) for effect in (0.07, 0)
        )
        difference.append(table1(treated)["beta"] - table1(plain)["beta"])
    assert np.mean(difference) == pytest.approx(0.07, abs=0.01)
    assert np.std(difference) < 0.02


def test_effect_moves_nothing_but_what_it_must() -> None:
    treated, plain = (builtin.load("china_demo", effect=effect) for effect in (0.07, 0))
    moved = {*INDICATORS, "gdp_real", "gdp_nominal"}
    pd.testing.assert_frame_equal(treated.drop(columns=[*moved]), plain.drop(columns=[*moved]))
    never = plain["pilot_year"].isna()
    pd.testing.assert_frame_equal(treated[never], plain[never])
    assert all((treated.loc[~never, column] != plain.loc[~never, column]).all() for column in moved)


@pytest.mark.parametrize("last_year", [2019, 2021, 2023])
def test_later_pilots_move_no_bit_of_the_other_cities(last_year: int) -> None:
    """The figures of the first 55 pilots and of those that never adopt, and every draw of all."""
    first, all_ = (
        builtin.load("china_demo", last_year=last_year, later_pilots=later) for later in (False, True)
    )
    assert all_.drop_duplicates("city")[DATES].value_counts().to_dict() == BATCHES
    same = first["pilot_year"].notna() | all_["pilot_year"].isna()
    pd.testing.assert_frame_equal(all_[same], first[same], check_exact=True)
    moved = [*INDICATORS, "gdp_real", "gdp_nominal", "secondary_share", *DATES]
    pd.testing.assert_frame_equal(all_.drop(columns=moved), first.drop(columns=moved), check_exact=True)
    seen = all_["pilot_year"].between(2020, last_year)
    assert not np.isclose(all_["gdp_real"], first["gdp_real"], rtol=1e-9)[seen].any()
    unseen = all_["pilot_year"] > last_year  # their filter is that of never-adopters but for rounding
    pd.testing.assert_frame_equal(
        all_[unseen].drop(columns=DATES), first[unseen].drop(columns=DATES), rtol=1e-12
    )


def test_without_effect_pilots_cycle_like_everyone() -> None:
    """Deviations of z from its mean path: same variance each year for pilots and others, 10 seeds."""
    pilots, others = [], []
    for seed in range(10):
        frame = builtin.load("china_demo", effect=0, seed=seed, cities=1000)
        z = standardised_index(frame)
        is_pilot = wide(frame, "pilot_year")[:, 0] > 0
        pilots.append((z[is_pilot] - z.mean(0)) ** 2)
        others.append((z[~is_pilot] - z.mean(0)) ** 2)
    ratio = np.concatenate(pilots).mean(0) / np.concatenate(others).mean(0)
    # 2,170 pilots against 7,830 others: the sd of a ratio is sqrt(2/2170 + 2/7830) = 0.034, of the mean 0.015
    np.testing.assert_allclose(ratio, 1, atol=4 * 0.034)
    assert ratio.mean() == pytest.approx(1, abs=0.05)


# ---------------------------------------------------------------- options, cache, errors


def test_same_seed_same_data_and_copies_are_independent() -> None:
    first, second = builtin.load("china_demo"), builtin.load("china_demo")
    pd.testing.assert_frame_equal(first, second)
    first.loc[0, "population"] = -1.0
    pd.testing.assert_frame_equal(builtin.load("china_demo"), second)
    assert not builtin.load("china_demo", seed=3)["population"].equals(second["population"])


def test_effect_is_a_switch() -> None:
    off, zero = (builtin.load("china_demo", effect=effect) for effect in (False, 0.0))
    on, default = builtin.load("china_demo", effect=True), builtin.load("china_demo")
    pd.testing.assert_frame_equal(off, zero)
    pd.testing.assert_frame_equal(on, default)
    assert not on.equals(off)


@settings(max_examples=15, deadline=None)
@given(
    cities=st.integers(20, 400),
    last_year=st.integers(2019, 2030),
    seed=st.integers(0, 2**63 - 1),
    later=st.booleans(),
)
def test_any_size_keeps_the_shares(cities: int, last_year: int, seed: int, later: bool) -> None:
    frame = china_demo.generate(
        effect=0.07, seed=seed, cities=cities, last_year=last_year, later_pilots=later
    )
    assert len(frame) == cities * (last_year - 2009)
    assert frame["city"].is_monotonic_increasing
    assert not frame.drop_duplicates("city").duplicated(["latitude", "longitude"]).any()
    assert (frame["services_share"] + frame["secondary_share"] < 1).all()
    assert frame.drop_duplicates("city")[DATES].value_counts().to_dict() == {
        batch: max(1, round(size * cities / 254))
        for batch, size in BATCHES.items()
        if later or batch[0] < 2020
    }


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "chian",
            {},
            r"panel.source: there is no built-in data set 'chian'\n.*builtin:china_demo or builtin:euro",
        ),
        ("china_demo", {"sed": 1}, r"no option 'sed'\n.*effect, seed, cities, last_year, later_pilots"),
        ("euro", {"seed": 1}, r"builtin:euro has no option 'seed'\n.*it takes none"),
        ("china_demo", {"effect": 0.5}, r"panel.options.effect: effect is 0.5, .* from -0.2 to 0.2"),
        ("china_demo", {"effect": float("nan")}, "effect is nan"),
        ("china_demo", {"cities": 5}, "cities is 5, but must be a whole number from 20 to 20000"),
        ("china_demo", {"cities": 254.5}, "cities is 254.5"),
        ("china_demo", {"cities": True}, "cities is True"),
        ("china_demo", {"seed": -1}, "seed is -1"),
        ("china_demo", {"last_year": 2018}, "last_year is 2018"),
        (
            "china_demo",
            {"later_pilots": 2},
            r"later_pilots: later_pilots is 2, neither true nor false\n.*true or false",
        ),
        (
            "china_demo",
            {"heterogeneous": 2},
            r"heterogeneous: heterogeneous is 2, neither true nor false\n.*true or false",
        ),
        ("china_demo", {"heterogeneous": True, "effect": 0.1}, "effect is 0.1, .* from -0.075 to 0.075"),
    ],
)
def test_bad_requests_name_the_choices(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        builtin.load(name, **options)


def test_descriptions_say_what_is_real() -> None:
    assert builtin.NAMES == ("china_demo", "euro")
    assert builtin.TABLES == ("pilots", "policy_demo")
    assert builtin.describe("pilots").startswith("REAL")
    assert builtin.describe("policy_demo").startswith("SYNTHETIC")
    assert builtin.describe("china_demo").startswith("SYNTHETIC")
    assert builtin.describe("euro").startswith("REAL")
    assert "CC BY 4.0" in builtin.describe("euro")


# ---------------------------------------------------------------- euro


def test_euro_panel() -> None:
    frame = builtin.load("euro")
    assert (len(frame), frame["city"].nunique()) == (22 * 70, 22)
    assert frame.groupby("city")["year"].agg(["min", "max", "count"]).eq([1950, 2019, 70]).all().all()
    adopters = frame.drop_duplicates("city").set_index("iso")["euro_year"].dropna().astype(int).to_dict()
    assert adopters == {iso: 2001 if iso == "GRC" else 1999 for iso in EURO}
    missing = frame[frame["gdp_real"].isna()]
    assert list(zip(missing["iso"], missing["year"], strict=True)) == [("CHL", 1950), ("GRC", 1950)]
    assert (frame.groupby("city")[["latitude", "longitude", "euro_year"]].nunique() <= 1).all().all()


def test_euro_figures_are_the_penn_world_tables() -> None:
    """Spot values of PWT 10.0: rgdpna, pop and emp of the United States, Germany and Chile."""
    frame = builtin.load("euro").set_index(["iso", "year"])[["gdp_real", "population", "employment"]]
    expected = {
        ("USA", 1950): (2_466_595, 155.583973, 62.814365),
        ("USA", 2019): (20_563_590, 329.064917, 158.299591),
        ("DEU", 1990): (2_816_707, 79.053984, 39.547729),
        ("CHL", 1951): (33_490.74, 6.528593, 2.097861),
    }
    np.testing.assert_allclose(frame.loc[[*expected]], [*expected.values()], rtol=2e-6)


# ---------------------------------------------------------------- the job files


def read_job(name: str) -> dict[str, Any]:
    """A job file with ``extends`` merged: mappings key by key, an empty mapping replaces."""

    def merge(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
        merged = dict(base)
        for key, value in top.items():
            both = isinstance(value, dict) and value and isinstance(base.get(key), dict)
            merged[key] = merge(base[key], value) if both else value
        return merged

    spec = yaml.safe_load((JOBS / name).read_text("utf-8"))
    return merge(read_job(spec.pop("extends")), spec) if "extends" in spec else spec


@pytest.mark.parametrize("name", ["table1_baseline", "figure1_event_study", "euro", "euro_event_study"])
def test_job_files_are_valid_and_find_their_columns(name: str) -> None:
    job = Job.model_validate_json(json.dumps(read_job(f"{name}.yaml")))
    assert job.job == name
    assert job.panel is not None
    assert job.treatment is not None
    assert name in (JOBS / "README.md").read_text("utf-8")
    frame = builtin.load(job.panel.source.removeprefix("builtin:"), **job.panel.options)
    known = {*frame.columns, *job.panel.columns, *job.index}
    read = {column for _, expression in job.formulas() for column in expression.names}
    assert read | {job.treatment.adoption} <= known


def test_event_study_jobs_are_one_cell_each() -> None:
    for name, base in (("figure1_event_study", "table1_baseline"), ("euro_event_study", "euro")):
        study, parent = (
            Job.model_validate_json(json.dumps(read_job(f"{file}.yaml"))) for file in (name, base)
        )
        assert (study.sweep, study.model.estimator, study.model.base) == ({}, "event_study", -1)
        assert (study.panel, study.pairs, study.treatment, study.model.errors) == (
            parent.panel,
            parent.pairs,
            parent.treatment,
            parent.model.errors,
        )
    assert len(parent.sweep["model.controls"]) == 3
