"""Which pairs a job is about: exclusion, gravity screen, split; and values of formulas on the panel."""

from __future__ import annotations

import numpy as np

from engine.arrays import AnyArray, Array
from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.notes import Note
from engine.pairs.gravity import GravityModel, PairSample, check_places, unit_vectors
from engine.pairs.pair_split import PairSplit, bounds_of_third
from engine.pairs.tiles import MapReduce, serial_map_reduce
from engine.pairs.treatment import Adoption, allowed_classes
from engine.spec import Job
from engine.spec.design import Gravity
from engine.tables.arithmetic import parse

_SERIAL_PAIRS = (
    20_000_000  # pairs whose forces take this process a second or two, less than to open a cluster
)
_CLASSES = ("low", "mixed", "high")


def values_of(panel: CityPanel, text: str, key: str, *, may_miss: bool) -> Array:
    """``[n_units, n_years]`` of a formula; raises InputError for cells it leaves undefined."""
    values = panel.evaluate(parse(text))
    bad = np.isinf(values) if may_miss else ~np.isfinite(values)
    if bad.any():
        unit, year = np.argwhere(bad)[0]
        raise InputError(
            f"'{text}' is undefined in {panel.units[unit]}, {panel.years[year]} ({int(bad.sum()):,} city-years in all)",
            where=key,
            remedy="lags, differences and growth lose the first sample year: define them under panel.columns, which "
            "sees earlier years; else look for the logarithm of zero or of a negative number, or a division by zero",
        )
    return values


def build_sample(
    panel: CityPanel,
    job: Job,
    adoption: Adoption,
    *,
    origin: AnyArray | None = None,
    map_reduce: MapReduce = serial_map_reduce,
) -> PairSample:
    """The pairs after exclusion and gravity screen; ``origin`` says which city a bootstrap copy is of.

    ``map_reduce`` runs the passes that locate the screen of a grid of more than `_SERIAL_PAIRS` pairs.
    """
    allowed = allowed_classes(adoption, job.pairs.exclude)
    screen = job.pairs.gravity
    gravity = _gravity(panel, screen, copies=origin is not None) if screen else None
    sample = PairSample(adoption.classes, allowed, gravity, origin=origin)
    if sample.n_eligible == 0:
        raise InputError(
            "no pair is left after pairs.exclude: both_treated, since every unit adopts",
            where="pairs.exclude",
            remedy="use exclude: none with another treatment rule",
        )
    if screen is None or screen.keep != "above_median":
        return sample
    return sample.screened(map_reduce if sample.n_pairs > _SERIAL_PAIRS else serial_map_reduce)


def _gravity(panel: CityPanel, screen: Gravity, *, copies: bool) -> GravityModel:
    latitude, longitude = panel.constant("latitude"), panel.constant("longitude")
    if not copies:
        check_places(panel.units, latitude, longitude)
    masses = [_one_year(panel, text, screen.year, key="pairs.gravity.year") for text in screen.mass]
    return GravityModel(np.mean(np.log(masses), axis=0), unit_vectors(latitude, longitude))


def _one_year(panel: CityPanel, text: str, year: str | int, *, key: str) -> Array:
    """``[n_units]`` value of a formula: the mean over the sample years, or that of one year."""
    values = panel.evaluate(parse(text))
    if year == "mean":
        finite = np.isfinite(values)
        n = finite.sum(axis=1)
        sums = np.where(finite, values, 0.0).sum(axis=1)
        return np.where(n > 0, sums / np.maximum(n, 1), np.nan)  # without the warning of an empty mean
    first = panel.years[0]
    sample_year = first if year == "first" else int(year)
    if sample_year not in panel.years:
        raise InputError(
            f"{sample_year} is not among the sample years {first} to {panel.years[-1]}",
            where=key,
            remedy="name a year of the sample, or mean or first",
        )
    return np.asarray(values[:, panel.years.index(sample_year)])


def build_split(panel: CityPanel, job: Job, sample: PairSample) -> PairSplit | None:
    """The class of pairs that the job selects, of the pairs that the screen left.

    Raises
    ------
    InputError
        For an indicator that is not 0 or 1, a column without a value, and a class without pairs.
    """
    split = job.pairs.split
    if split is None:
        return None
    value = _one_year(panel, split.by, split.year, key="pairs.split.year")
    strange = ~np.isfinite(value) if split.rule != "indicator" else ~np.isin(value, (0.0, 1.0))
    if strange.any():
        k = int(np.argmax(strange))
        raise InputError(
            f"'{split.by}' is {value[k]:g} in {panel.units[k]}",
            where="pairs.split.by",
            remedy="an indicator is 0 or 1; use rule: median or terciles for other columns"
            if split.rule == "indicator"
            else "give every city a value",
        )
    if split.rule == "median":
        value = (value > np.median(value)).astype(np.float64)
    i, j = sample.all_pairs()
    sums = value[i] + value[j]
    place = _CLASSES.index(split.pairs)
    cuts = -np.inf, 0.5, 1.5, np.inf
    third = place if split.rule == "terciles" else None
    bounds = (cuts[place], cuts[place + 1]) if third is None else bounds_of_third(sums, third)
    n_pairs = int(((sums > bounds[0]) & (sums <= bounds[1])).sum())
    if n_pairs == 0:
        raise InputError(
            f"no pair of the sample is {split.pairs} in '{split.by}'",
            where="pairs.split",
            remedy="check the column, the rule and the year",
        )
    return PairSplit(value, bounds, n_pairs, Note.of("split_class", part=split.pairs, column=split.by), third)
