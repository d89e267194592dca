"""Treatment of a pair, as a function of the adoption years of its two units.

Cities fall into adoption classes g (one a cohort, and the never-treated). A pair's treatment path is a
function of its two classes alone, so every treatment term is a table ``[class, class, year]`` and no pair
ever stores one: with year dummies E and the path d of classes (g, h), D_ij = E d_gh.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.arrays import Array, Flags, Integers
from engine.pairs.clean_comparisons import CleanComparisons

NEVER = np.inf


@dataclass(frozen=True)
class Adoption:
    """Adoption classes of the units.

    Attributes
    ----------
    years : float64 ``[n_classes]``
        Adoption year of each class, ascending, ``inf`` for never (always present, last).
    classes : int32 ``[n_units]``
        Class of each unit.
    of_pairs : int32 ``[n_pairs]`` or None
        Class of each pair, where pairs are treated themselves and not by their units' adoption. All units are then of
        the class never, and the pair's class takes the place of its partner's: see from either unit.
    """

    years: Array
    classes: Integers
    of_pairs: Integers | None = None

    @cached_property
    def has_pairs(self) -> Flags:
        """``[n_classes, n_classes]`` two classes with a city each, or one class with two; or the pairs' own classes."""
        if self.of_pairs is not None:
            exists = np.zeros((len(self.years), len(self.years)), dtype=bool)
            exists[-1] = exists[:, -1] = np.bincount(self.of_pairs, minlength=len(self.years)) > 0
            return exists
        size = np.bincount(self.classes, minlength=len(self.years))
        return np.asarray(np.outer(size, size) - np.diag(size) > 0)

    def counts(self) -> dict[str, int]:
        """Units, or pairs that are treated themselves, in each class, by adoption year or ``never``."""
        owners = self.classes if self.of_pairs is None else self.of_pairs
        size = np.bincount(owners, minlength=len(self.years))
        return dict(zip(map(year_name, self.years.tolist()), size.tolist(), strict=True))


@dataclass(frozen=True)
class Terms:
    """Treatment terms of a regression.

    Attributes
    ----------
    names : tuple of str
    table : float64 ``[n_classes, n_classes, n_years, n_terms]``
        Value of each term in each year for a pair of each two classes; symmetric in the classes.
    event_times : tuple of int
        Years since adoption, of event-study terms; else empty.
    cohorts, years : tuple of int
        Where each term is of one cohort and year: position of the cohort (`engine.estimate.cohorts.Partition`), and the
        year; else empty.
    clean_comparisons : CleanComparisons or None
        Where the estimates are not coefficients of the terms, but compare the cohorts whose years these are.
    """

    names: tuple[str, ...]
    table: Array
    event_times: tuple[int, ...] = ()
    cohorts: tuple[int, ...] = ()
    years: tuple[int, ...] = ()
    clean_comparisons: CleanComparisons | None = None

    @property
    def single_path(self) -> Array | None:
        """``[n_classes, n_classes, n_years]`` of the only term; None where there are several."""
        return self.table[..., 0] if len(self.names) == 1 else None


def adoption_classes(adoption_year: Array, last_year: int) -> Adoption:
    """Group units by adoption year; missing, or later than the last year that counts, is never.

    Parameters
    ----------
    adoption_year : float64 ``[n_units]``
    last_year : int
        Last year of the sample, or later where a placebo in time brings later adoption into it.
    """
    year = np.where(adoption_year <= last_year, adoption_year, NEVER)  # NaN compares false
    years = np.unique(np.append(year, NEVER))
    return Adoption(years, np.searchsorted(years, year).astype(np.int32))


def allowed_classes(adoption: Adoption, exclude: str) -> Flags:
    """``[n_classes, n_classes]``: which pairs of classes stay; ``both_treated`` drops two ever-treated units."""
    treated = adoption.years < NEVER
    both_treated = treated[:, None] & treated[None, :]
    return ~both_treated if exclude == "both_treated" else np.ones_like(both_treated)


def policy_paths(adoption: Adoption, years: Array, rule: str) -> Array:
    """``[n_classes, n_classes, n_years]`` treatment of a pair under ``exactly_one | both | either | count``."""
    treated = (years[None, :] >= adoption.years[:, None]).astype(np.float64)
    treated_i, treated_j = treated[:, None, :], treated[None, :, :]
    match rule:
        case "exactly_one":
            return np.abs(treated_i - treated_j)
        case "both":
            return treated_i * treated_j
        case "either":
            return np.maximum(treated_i, treated_j)
        case "count":
            return treated_i + treated_j
    raise ValueError(f"unknown treatment rule {rule!r}")


def pair_adoption(adoption: Adoption, rule: str) -> Array:
    """``[n_classes, n_classes]`` year in which a pair becomes treated; ``inf`` for never."""
    year_i, year_j = adoption.years[:, None], adoption.years[None, :]
    return np.maximum(year_i, year_j) if rule == "both" else np.minimum(year_i, year_j)


def year_name(adopted: float) -> str:
    """An adoption year, or ``never``."""
    return "never" if adopted == NEVER else f"{adopted:.0f}"


def event_name(term: str, event_time: int) -> str:
    """Name of an event-study term, e.g. ``policy[-3]`` or ``policy[+0]``."""
    return f"{term}[{event_time:+d}]"


def event_paths(
    adopted: Array, years: Array, *, term: str, base: int, window: tuple[int, int]
) -> tuple[Terms, Flags]:
    """Event-time dummies 1[t - adoption = l], ends binned, base omitted.

    Parameters
    ----------
    adopted : float64 ``[n_classes, n_classes]``
        From `pair_adoption`.
    years : float64 ``[n_years]``
    term, base, window
        Name of the treatment, omitted event year, first and last event year.

    Returns
    -------
    Terms
        One term an event year of the window other than the base.
    Flags
        ``[n_classes, n_classes, n_years]``, false where the event year lies outside the window (the rows
        that ``ends: drop`` removes; never-treated pairs have none).
    """
    event = years - adopted[:, :, None]  # -inf where never treated
    event_times = [time for time in range(window[0], window[1] + 1) if time != base]
    ever = np.isfinite(adopted)[:, :, None]
    binned = np.where(ever, np.clip(event, *window), np.nan)
    table = np.stack([(binned == time).astype(np.float64) for time in event_times], axis=-1)
    in_window = ~ever | ((event >= window[0]) & (event <= window[1]))
    return Terms(tuple(event_name(term, time) for time in event_times), table, tuple(event_times)), in_window
