"""A SYNTHETIC panel shaped like Chinese prefecture-level cities, with an effect that is known.

Nothing here is an observation: cities are ``S001``..., provinces ``P01``..., every figure is drawn from a
seed. The design is the paper's: 254 cities, 2010 to 2019, 55 pilots in cohorts of 1, 12, 21 and 21 (2015,
2016, 2018, 2019), the larger and richer cities first. With ``later_pilots`` the cities next in line follow as the
later batches did: 46 in 2020, 27 and 33 in 2022. Cities that adopt after ``last_year`` are as those that never do.

The index. Each of the nine indicators j of city i is an affine function of one path,

    x_ijt = L_ij (1 + r_j h_i (C_t + e_ijt)),

with C_t the national path (linear, mean 0, variance 1 over the years), e_ijt the city's deviation from it,
L_ij the city's level and h_i its pace. So whatever the entropy weights, the development index is
A_i + B_i (C_t + e_it) with e_it a weighted mean of the e_ijt, and its standardised series z_it, which is
C_t + e_it but for a scale near 1, owes nothing to level, pace or wealth. Deviations are AR(0.6) cycles,
mostly shared by the nine indicators, less mean and trend, which standardisation would remove.

The effect. From adoption on a pilot follows the national path more closely: the variance of e_it is
k^2 = 2 exp(-2 effect) - 1 times what it is for a city that never adopts; before, it is the same. rho' is a
constant - ln|z_i - z_j|, and the variance of z_i - z_j falls from 2 v_t to (1 + k^2) v_t. So the expected
rho' of a pair with exactly one pilot rises by ``effect``: in each year from adoption on, for each cohort, and
by nothing before. (Two pilots: -ln k, 0.151 at the default.) Merely cutting the later deviations would not
do: the mean and variance over all years would carry part of the cut into the years before.
``deviation_filters`` allows for that, so ``policy`` and every event-study coefficient have a known truth with
``outcome.window: full``. (``window: pre`` extrapolates a trend of five years and sees a fifth: 0.015.)

Simulated, Table 1 column 1, 400 seeds, mean and standard deviation of the estimate: 0.067 and 0.044 at
``effect: 0.07``; -0.003 and 0.048 at ``effect: 0``. Seed by seed the two differ by 0.069 (0.009). Dyadic 95%
intervals held 0.07 in 92% of the seeds, and 0 in 94%. The default seed was picked among twelve for an
ordinary draw: 0.082, dyadic error 0.045, pair-clustered error 0.013.

With ``heterogeneous`` the effect differs by cohort and grows with time, see `demo_effects`.

With ``later_pilots`` and ``last_year: 2023``, 40 seeds: 0.072 and 0.026, 0.004 and 0.027, apart by 0.068 (0.006).
Whoever cuts that panel short standardises anew, over other years, and finds less: 0.057 to 2019, 0.061 to 2021.
The effect begins in ``pilot_year`` whatever the month; adoption counted from the next year where it comes after
June finds 0.059, always from the next year 0.045.

Under ``effect: 0`` the cycles are independent and identically distributed over cities (but for 2% of their
variance, since the nine weigh differently in rich and in poor cities), independent of adoption and of every
column but the nine and GDP: adoption dates can be exchanged between cities. Controls never matter: their
true coefficients are zero. Draws do not depend on ``effect``: data with and without it differ in nothing
else.

Columns and units (money at 2010 prices except ``gdp_nominal``; totals in 100 million yuan):

    city, province, year; pilot_year, pilot_month (that of the approval of the batch; missing: never)
    latitude, longitude (degrees); coastal (0 or 1); port_distance (km to the nearest of ten synthetic ports)
    admin_rank (4 municipality, 3 sub-provincial, 2 provincial capital, 1 other)
    gdp_per_capita, investment_per_capita, fdi_per_capita, retail_sales_per_capita, savings_per_capita,
        average_wage (yuan); industrial_output (total); services_share (fraction of GDP)
    gdp_growth (percent, as if published: not the growth of gdp_real)
    gdp_real, gdp_nominal (totals); gdp_deflator (2010 = 1); secondary_share (fraction of GDP)
    population (10,000 persons); land_area (km2); exchange_rate (yuan per dollar, one synthetic series)
    education_spending, science_spending, fiscal_revenue, fiscal_expenditure, deposits, loans, capital,
        telecom_revenue (totals); patents_per_10k, students_per_10k (per 10,000 persons)
    broadband_users, mobile_users, employment, skilled_labour, unskilled_labour (10,000 persons)
    trade_openness (imports and exports, fraction of GDP); marketisation (score, about 5 to 15)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.arrays import AnyArray, Array, LongIntegers
from engine.cities.demo_effects import (
    MOST_HETEROGENEOUS,
    annihilator,
    cycle_root,
    deviation_filters,
    national_path,
    true_effects,
)
from engine.errors import InputError

FIRST_YEAR = 2010
DEFAULTS: dict[str, int | float] = {
    "effect": 0.07,
    "seed": 6,
    "cities": 254,
    "last_year": 2019,
    "later_pilots": False,
    "heterogeneous": False,
}

# year and month of approval, pilots among _DESIGN_CITIES
Batches = tuple[tuple[int, int, int], ...]
BATCHES: Batches = ((2015, 3, 1), (2016, 1, 12), (2018, 7, 21), (2019, 12, 21))
LATER_BATCHES: Batches = ((2020, 4, 46), (2022, 1, 27), (2022, 11, 33))

_DESIGN_CITIES = 254
_SHARED_SD, _OWN_SD = 0.32, 0.10

# name: level (the indicator of an average city), its elasticity to wealth, sd of the log level, slope r_j
_INDICATORS = {
    "gdp_per_capita": (42_000.0, 1.0, 0.10, 0.22),
    "gdp_growth": (8.5, 0.0, 0.10, -0.15),
    "investment_per_capita": (34_000.0, 0.8, 0.20, 0.24),
    "services_share": (0.40, 0.15, 0.10, 0.08),
    "fdi_per_capita": (800.0, 1.5, 0.70, 0.15),
    "industrial_output": (60_000.0, 1.1, 0.25, 0.20),  # per head here, a total in the panel
    "retail_sales_per_capita": (16_000.0, 0.9, 0.12, 0.24),
    "savings_per_capita": (24_000.0, 0.8, 0.15, 0.24),
    "average_wage": (42_000.0, 0.35, 0.08, 0.22),
}

# name: level of an average city of 3.7 million, elasticities to wealth and population, sd of the log level,
# growth a year, sd of the yearly AR(0.6) noise in logs
_COVARIATES = {
    "education_spending": (40.0, 0.5, 0.9, 0.15, 0.09, 0.06),
    "science_spending": (2.5, 1.5, 0.9, 0.40, 0.12, 0.15),
    "fiscal_revenue": (120.0, 1.3, 0.9, 0.15, 0.08, 0.06),
    "fiscal_expenditure": (230.0, 0.7, 0.8, 0.12, 0.09, 0.05),
    "patents_per_10k": (3.0, 1.4, 0.0, 0.40, 0.14, 0.15),
    "students_per_10k": (150.0, 0.7, 0.0, 0.50, 0.02, 0.04),
    "deposits": (1_500.0, 1.2, 1.0, 0.15, 0.10, 0.04),
    "loans": (1_000.0, 1.2, 1.0, 0.20, 0.12, 0.05),
    "broadband_users": (50.0, 0.5, 1.0, 0.15, 0.11, 0.08),
    "mobile_users": (320.0, 0.35, 1.0, 0.12, 0.05, 0.04),
    "telecom_revenue": (30.0, 0.6, 1.0, 0.15, 0.04, 0.08),
    "capital": (4_500.0, 0.9, 1.0, 0.15, 0.11, 0.03),
    "skilled_labour": (30.0, 0.6, 1.0, 0.20, 0.05, 0.04),
    "unskilled_labour": (170.0, 0.0, 1.0, 0.10, 0.00, 0.02),
    "trade_openness": (0.12, 1.0, 0.0, 0.60, 0.00, 0.12),
    "marketisation": (9.0, 0.2, 0.0, 0.08, 0.02, 0.03),
}

# A synthetic coast from south-west to north-east; its corners are the ports. Land lies to its west.
_COAST_LATITUDE = np.array([21.0, 22.4, 24.4, 27.9, 31.1, 34.8, 37.4, 39.0, 40.6, 43.2, 48.5])
_COAST_LONGITUDE = np.array([109.0, 114.0, 118.2, 121.0, 122.0, 119.8, 122.0, 118.0, 121.8, 130.5, 131.0])
_N_PORTS, _COASTAL_KM, _EARTH_KM = 10, 180.0, 6371.0088


@dataclass(frozen=True)
class _Cities:
    """Properties of the cities that do not change over the years; every array is ``[n_cities]``."""

    latitude: Array
    longitude: Array
    province: LongIntegers
    port_distance: Array
    rank: Array
    wealth: Array  # log, mean about 0
    population: Array  # 10,000 persons in 2010
    pilot_year: Array  # nan: never
    pilot_month: Array  # 1 to 12


def generate(
    *,
    effect: float,
    seed: int,
    cities: int,
    last_year: int,
    later_pilots: bool = False,
    heterogeneous: bool = False,
) -> pd.DataFrame:
    """The synthetic panel, ``cities * (last_year - 2009)`` rows sorted by city and year.

    Parameters
    ----------
    effect : float in [-0.2, 0.2]
        Rise of the expected rho' of pairs with one pilot (the module's docstring says how); ``False`` is 0
        and ``True`` the default.
    seed : int
        Same seed, same draws, on any machine and with any ``effect``.
    cities : int in [20, 20000]
        Numbers of pilots, ranks and provinces keep the shares they have among 254.
    last_year : int in [2019, 2040]
        Every column goes on after 2019.
    later_pilots : bool
        Whether further cities adopt in 2020 and 2022. All draws, and so the figures of all other cities, are
        the same with and without them.
    heterogeneous : bool
        Whether ``effect`` is larger for earlier cohorts and grows with time, see `demo_effects.true_effects`.

    Raises
    ------
    InputError
        A value outside its range.
    """
    effect = _size(effect)
    largest = MOST_HETEROGENEOUS if heterogeneous else 0.2
    _require("effect", effect, -largest, largest)
    _require("cities", cities, 20, 20_000)
    _require("last_year", last_year, 2019, 2040)
    _require("seed", seed, 0, 2**63 - 1)
    for option, value in (("later_pilots", later_pilots), ("heterogeneous", heterogeneous)):
        if value not in (False, True):
            raise InputError(
                f"{option} is {value}, neither true nor false",
                where=f"panel.options.{option}",
                remedy="say true or false",
            )
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(int(seed)).spawn(4)]
    years = np.arange(FIRST_YEAR, int(last_year) + 1, dtype=np.int64)
    fixed = _cities(streams[0], int(cities), BATCHES + LATER_BATCHES * bool(later_pilots))
    columns = _indicators(streams[1], fixed, years, effect, heterogeneous=bool(heterogeneous))
    columns |= _accounts(streams[2], fixed, years, columns)
    columns |= _covariates(streams[3], fixed, years)
    return _frame(fixed, years, columns)


def truth(
    *, effect: float, last_year: int, later_pilots: bool, heterogeneous: bool, **_: int | float | bool
) -> dict[str, dict[str, float]]:
    """True effects by cohort and year, of a panel with ``heterogeneous``; empty without, where it is ``effect``."""
    if not heterogeneous:
        return {}
    years = np.arange(FIRST_YEAR, int(last_year) + 1, dtype=np.int64)
    batches = BATCHES + LATER_BATCHES * bool(later_pilots)
    cohorts = [cohort for cohort in _cohorts(batches) if cohort <= last_year]
    effects = true_effects(_size(effect), years, cohorts, heterogeneous=True)
    return {
        str(cohort): {
            str(year): value for year, value in zip(years.tolist(), row, strict=True) if year >= cohort
        }
        for cohort, row in zip(cohorts, effects.tolist(), strict=True)
    }


def _size(effect: float) -> float:
    """``effect`` as a number: ``False`` is 0 and ``True`` the default."""
    return DEFAULTS["effect"] if effect is True else float(effect)


def _cohorts(batches: Batches) -> tuple[int, ...]:
    """Adoption years of batches, each once."""
    return tuple(dict.fromkeys(year for year, *_ in batches))


def _cities(rng: np.random.Generator, n: int, batches: Batches) -> _Cities:
    latitude, longitude, province = _places(rng, n)
    ports = _kilometres(latitude, longitude, _COAST_LATITUDE[:_N_PORTS], _COAST_LONGITUDE[:_N_PORTS]).min(1)
    size = rng.normal(0, 1, n)
    rank = np.ones(n)
    counts = [_scaled(count, n) for count in (4, 15, 17)]
    rank[np.argsort(-(size + rng.gumbel(0, 0.5, n)))[: sum(counts)]] = np.repeat([4.0, 3.0, 2.0], counts)
    bonus = rank.astype(int) - 1
    wealth = 0.42 * rng.normal(0, 1, n) + 0.12 * size - 0.0002 * ports + np.array([0, 0.25, 0.5, 0.6])[bonus]
    people = 370 * np.exp(0.55 * size - 0.1 + np.array([0, 0.1, 0.2, 0.8])[bonus])
    people = np.clip(people, 35, 3_300)
    year, month = _adoption(rng, batches, rank=rank, wealth=wealth, population=people)
    return _Cities(latitude, longitude, province, ports, rank, wealth, people, year, month)


def _places(rng: np.random.Generator, n: int) -> tuple[Array, Array, LongIntegers]:
    """Latitude, longitude, province ``[n]``: provinces thin out inland, cities scatter around their seats."""
    n_provinces = max(2, _scaled(31, n))
    seat_latitude = rng.uniform(22.5, 45.0, n_provinces)
    seat_longitude = np.maximum(_shore(seat_latitude) - 2.0 * rng.gamma(2.0, 2.2, n_provinces), 83.0)
    further = rng.integers(0, n_provinces, n - n_provinces)  # every province has one city before any has two
    province = np.sort(np.concatenate([np.arange(n_provinces), further]))
    latitude = np.clip(seat_latitude[province] + rng.normal(0, 1.4, n), 20.2, 48.0)
    longitude = seat_longitude[province] + rng.normal(0, 1.6, n)
    west_of_the_shore = np.minimum(longitude, _shore(latitude) - rng.exponential(0.6, n))
    return latitude, np.clip(west_of_the_shore, 80.0, None), province


def _scaled(count: int, n: int) -> int:
    """A number of the 254-city design at ``n`` cities, at least one."""
    return max(1, round(count * n / _DESIGN_CITIES))


def _shore(latitude: Array) -> Array:
    """Longitude of the coast at a latitude."""
    return np.asarray(np.interp(latitude, _COAST_LATITUDE, _COAST_LONGITUDE))


def _kilometres(lat_a: Array, lon_a: Array, lat_b: Array, lon_b: Array) -> Array:
    """Great-circle distances ``[n_a, n_b]``."""
    lat_a, lon_a, lat_b, lon_b = (np.radians(angle) for angle in (lat_a, lon_a, lat_b, lon_b))
    chord = np.sin((lat_a[:, None] - lat_b) / 2) ** 2
    chord += np.cos(lat_a)[:, None] * np.cos(lat_b) * np.sin((lon_a[:, None] - lon_b) / 2) ** 2
    return np.asarray(2 * _EARTH_KM * np.arcsin(np.sqrt(chord)))


def _adoption(
    rng: np.random.Generator, batches: Batches, *, rank: Array, wealth: Array, population: Array
) -> Array:
    """Year and month ``[2, n_cities]``: the higher the rank and the wealth, the likelier and the earlier."""
    n = len(rank)
    sizes = [_scaled(count, n) for *_, count in batches]
    score = 1.2 * (rank > 1) + 0.6 * rank + wealth + 0.4 * np.log(population) + rng.gumbel(0, 0.7, n)
    dates = np.full((2, n), np.nan)
    dates[:, np.argsort(-score)[: sum(sizes)]] = np.repeat(np.array(batches).T[:2], sizes, axis=1)
    return dates


def _indicators(
    rng: np.random.Generator, fixed: _Cities, years: LongIntegers, effect: float, *, heterogeneous: bool
) -> dict[str, Array]:
    """The nine indicators, each ``[n_cities, n_years]``."""
    n, n_years = len(fixed.rank), len(years)
    noise = _OWN_SD * rng.normal(0, 1, (n, len(_INDICATORS), n_years))
    noise += _SHARED_SD * rng.normal(0, 1, (n, 1, n_years))
    deviation = np.empty_like(noise)
    # Found by iteration: those of the first batches apart, so that the later ones change no bit of their figures.
    first, later = _cohorts(BATCHES), _cohorts(LATER_BATCHES)
    effects = [true_effects(effect, years, batch, heterogeneous=heterogeneous) for batch in (first, later)]
    filters = [*deviation_filters(years, effects[0]), *deviation_filters(years, effects[1])[1:]]
    groups = [np.isnan(fixed.pilot_year), *(fixed.pilot_year == year for year in first + later)]
    for group, filter_ in zip(groups, filters, strict=True):
        deviation[group] = noise[group] @ filter_.T
    path = national_path(years) + deviation
    pace = rng.uniform(0.75, 1.25, (n, 1))
    columns = {}
    for number, (name, (level, elasticity, spread, slope)) in enumerate(_INDICATORS.items()):
        scale = level * np.exp(elasticity * fixed.wealth + rng.normal(0, spread, n))
        columns[name] = scale[:, None] * (1 + slope * pace * path[:, number])
    columns["industrial_output"] *= fixed.population[:, None] / 1e4
    return columns


def _accounts(
    rng: np.random.Generator, fixed: _Cities, years: LongIntegers, indicators: dict[str, Array]
) -> dict[str, Array]:
    """Population, GDP, its deflator and the shares, consistent with the indicators."""
    n, elapsed = len(fixed.rank), years - FIRST_YEAR
    growth = 0.004 + 0.006 * fixed.wealth + rng.normal(0, 0.004, n)
    population = fixed.population[:, None] * np.exp(growth[:, None] * elapsed)
    inflation = rng.normal(0.026, 0.006, len(years)) + rng.normal(0, 0.008, (n, len(years)))
    deflator = np.exp(np.cumsum(np.where(elapsed > 0, inflation, 0.0), axis=1))
    gdp = indicators["gdp_per_capita"] * population / 1e4
    # Industry follows the trend of services, not their cycle: no control carries the effect.
    services = indicators["services_share"]
    goods = np.maximum(1 - 1.15 * (services - services @ annihilator(years)), 0.05)
    industry = 1.6 + rng.normal(0, 0.3, (n, 1)) + 0.1 * _noise(rng, n, len(years))
    return {
        "population": population,
        "gdp_real": gdp,
        "gdp_nominal": gdp * deflator,
        "gdp_deflator": deflator,
        "secondary_share": goods / (1 + np.exp(-industry)),
        "land_area": np.repeat(np.exp(rng.normal(9.4, 0.65, (n, 1))), len(years), axis=1),
        "exchange_rate": np.tile(6.5 * np.exp(0.03 * _noise(rng, 1, len(years))), (n, 1)),
    }


def _covariates(rng: np.random.Generator, fixed: _Cities, years: LongIntegers) -> dict[str, Array]:
    n, elapsed = len(fixed.rank), years - FIRST_YEAR
    size = np.log(fixed.population / 370)
    columns = {}
    for name, (level, wealth, people, spread, growth, noise) in _COVARIATES.items():
        base = wealth * fixed.wealth + people * size + rng.normal(0, spread, n)
        columns[name] = level * np.exp(base[:, None] + growth * elapsed + noise * _noise(rng, n, len(years)))
    columns["employment"] = columns["skilled_labour"] + columns["unskilled_labour"]
    return columns


def _noise(rng: np.random.Generator, n: int, n_years: int) -> Array:
    """AR(0.6) paths ``[n, n_years]`` of variance 1."""
    return np.asarray(rng.normal(0, 1, (n, n_years)) @ cycle_root(n_years).T)


def _frame(fixed: _Cities, years: LongIntegers, columns: dict[str, Array]) -> pd.DataFrame:
    n, n_years = len(fixed.rank), len(years)
    width = max(3, len(str(n)))
    constant = {
        "latitude": fixed.latitude,
        "longitude": fixed.longitude,
        "admin_rank": fixed.rank,
        "pilot_year": fixed.pilot_year,
        "pilot_month": fixed.pilot_month,
        "coastal": (fixed.port_distance < _COASTAL_KM).astype(float),
        "port_distance": fixed.port_distance,
    }
    names = {
        "city": [f"S{number:0{width}d}" for number in range(1, n + 1)],
        "province": [f"P{number:02d}" for number in fixed.province + 1],
    }
    series: dict[str, AnyArray] = {
        key: np.repeat(np.array(text, dtype=object), n_years) for key, text in names.items()
    }
    series["year"] = np.tile(years, n)
    series |= {key: np.repeat(values, n_years) for key, values in constant.items()}
    series |= {key: values.ravel() for key, values in columns.items()}
    return pd.DataFrame(series)


def _require(option: str, value: float, low: int | float, high: int | float) -> None:
    if isinstance(value, bool) or not low <= value <= high or (option != "effect" and value != int(value)):
        kind = "a number" if option == "effect" else "a whole number"
        raise InputError(
            f"{option} is {value}, but must be {kind} from {low} to {high}",
            where=f"panel.options.{option}",
            remedy=f"the default is {DEFAULTS[option]}",
        )
