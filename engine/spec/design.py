"""Blocks of a job file about the pairs: outcome, sample, treatment, pair columns, matching."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

from pydantic import Field, model_validator

from engine.pairs.outcomes import OUTCOMES
from engine.pairs.regressors import REGRESSORS
from engine.spec.block import (
    MOST_EVENT_YEARS,
    Block,
    Column,
    Formula,
    Listed,
    ListedSome,
    Name,
    Year,
    formula_block,
    one_key,
)

WEIGHTED = tuple(name for name, kind in OUTCOMES.items() if kind.weighted)
STANDARDISED = tuple(name for name, kind in OUTCOMES.items() if kind.standardised)


_OutcomeKeys: Any = formula_block("OutcomeKeys", {name: kind.description for name, kind in OUTCOMES.items()})


class Outcome(_OutcomeKeys):
    """The dependent variable: an outcome of pairs of cities, or a column of the pair table.

    Exactly one of ``synchronization``, ``variation`` and ``column`` is given.
    """

    weight: Formula | None = Field(
        None, description=f"weight of a city in the {' or '.join(WEIGHTED)}, e.g. population"
    )
    window: Literal["full", "pre"] = Field(
        "full",
        description="years that standardise the series: all of the sample (paper), or those before the first adoption, "
        "so that no outcome depends on later data but through its series: a trend, an index and filled gaps are of all "
        "years, and a note says so",
    )
    infinite: Literal["drop", "clip", "error"] = Field(
        "drop",
        description="pair-years with an infinite outcome (equal values, the logarithm of zero): left out and counted, "
        "their distance clipped, or an error",
    )
    clip: float = Field(1e-6, gt=0, lt=1, description="smallest |z_i - z_j| with infinite: clip")
    column: str | None = Field(
        None, description="outcome of a pair_table job: a column, or arithmetic on columns"
    )

    @model_validator(mode="after")
    def _one_of(self) -> Outcome:
        if one_key(self, {**OUTCOMES, "column": None}) is None:
            raise ValueError(
                f"give exactly one of {' or '.join(OUTCOMES)} (panel jobs), or column (pair_table jobs)"
            )
        kind = None if self.kind is None else OUTCOMES[self.kind]
        if (kind is not None and kind.weighted) != (self.weight is not None):
            raise ValueError(f"{' or '.join(WEIGHTED)} and weight go together")
        if self.infinite == "clip" and not (kind and kind.standardised):
            raise ValueError(f"infinite: clip is for {' or '.join(STANDARDISED)}; use drop or error")
        return self

    @cached_property
    def kind(self) -> str | None:
        """Name of the outcome in `OUTCOMES`; None for pair tables."""
        return one_key(self, OUTCOMES)

    @property
    def series(self) -> str | None:
        """Formula of the city series behind the outcome; None for pair tables."""
        return None if self.kind is None else getattr(self, self.kind)

    @property
    def name(self) -> str:
        """Name in frames, tables and figures: ``synchronization of development``, or the column of a pair table."""
        return str(self.column) if self.kind is None else OUTCOMES[self.kind].label(str(self.series))

    @property
    def standardised(self) -> bool:
        """True where the series are standardised over ``window``."""
        return self.kind in STANDARDISED


class Gravity(Block):
    """Modified gravity screen: F_ij = (prod mass_i * prod mass_j)^(1/#mass) / distance_ij^2."""

    mass: ListedSome[Formula] = Field(description="masses of a city, e.g. population, gdp_real")
    year: Literal["mean", "first"] | Year = Field(
        "mean", description="masses of which year: the mean over the sample, the first year, or a named year"
    )
    keep: Literal["above_median", "all"] = Field(
        "above_median", description="pairs whose force is strictly above the median of all, or every pair"
    )


class Split(Block):
    """One of three classes of pairs, by a city column; a job with all three compares their coefficients.

    ``indicator`` and ``median`` make two kinds of cities, so that both, one or none of a pair's are of the
    first; ``terciles`` cuts the pairs of the sample into thirds by the mean of their two cities.
    """

    by: Formula = Field(description="city column")
    rule: Literal["indicator", "median", "terciles"] = Field(
        description="cities by a column of 0 and 1, or by its median; or pairs by thirds of their mean"
    )
    year: Literal["mean", "first"] | Year = Field(
        "mean", description="the column's value: mean over the sample, the first year, or a named year"
    )
    pairs: Literal["high", "mixed", "low"] = Field(
        description="both cities (high), one (mixed) or none (low) above the median or with indicator 1; "
        "upper, middle or lower third"
    )


class Pairs(Block):
    """The pairs of the sample: exclusion first, the gravity screen second, the split last."""

    exclude: Literal["both_treated", "none"] = Field(
        "none", description="both_treated: pairs of two adopters leave the sample"
    )
    gravity: Gravity | None = Field(None, description="gravity screen; needs latitude and longitude")
    split: Split | None = Field(None, description="one of three classes of pairs")


class Treatment(Block):
    """When cities adopt and by which rule a pair is treated; or when the pairs of a pair table are treated themselves.

    Exactly one of ``adoption``, ``status`` and ``unit_adoption`` is given.
    """

    adoption: Column | None = Field(
        None,
        description="column with the adoption year of a city, or of a pair_table job the year in which a pair becomes "
        "treated; empty means never",
    )
    status: Column | None = Field(
        None,
        description="column with a 0 or 1 for every city and year (of a pair_table job every pair and year), 1 from "
        "adoption on; a city, or pair, adopts in the first year of the file in which it has a 1",
    )
    unit_adoption: tuple[Column, Column] | None = Field(
        None,
        description="of a pair_table job: two columns with the adoption years of its first and second unit, empty for "
        "never; with a rule, so that adoption can be permuted among the units",
    )
    month: Name | None = Field(None, description="column with the month of adoption")
    cutoff: int | None = Field(
        None, ge=0, le=12, description="with month: adoption after this month counts from the next year"
    )
    rule: Literal["exactly_one", "both", "either", "count"] | None = Field(
        None,
        description="a pair is treated once exactly one, both, or either of its cities has adopted; count: 0, 1 or 2; "
        "needed, but where pairs are treated themselves",
    )
    name: Name = Field("policy", description="name of the term in tables")
    shift: int = Field(
        0,
        ge=-20,
        le=20,
        description="years added to every adoption year, those after the sample too: a placebo in time",
    )
    drop_treated: bool = Field(
        False, description="with a negative shift: leave out the rows that are in fact treated"
    )
    around: int | None = Field(
        None,
        ge=1,
        le=MOST_EVENT_YEARS,
        description="keep the years at most this far from a pair's adoption; never-treated pairs keep all",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Treatment:
        if sum(key is not None for key in (self.adoption, self.status, self.unit_adoption)) != 1:
            raise ValueError(
                "give exactly one of adoption (a column of years) and status (0 before adoption, 1 from then on), or "
                "of a pair_table job unit_adoption (two columns of years)"
            )
        if self.status is not None and self.month is not None:
            raise ValueError("month goes with adoption; a status says no month")
        if (self.month is None) != (self.cutoff is None):
            raise ValueError("month and cutoff go together")
        if self.drop_treated and self.shift >= 0:
            raise ValueError("drop_treated needs a negative shift")
        if (self.drop_treated or self.around) and self.rule == "count":
            raise ValueError("rule count has no single adoption year, which drop_treated and around need")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that say when a city, a pair, or the two units of a pair adopt."""
        return self.unit_adoption or (str(self.adoption or self.status),)

    @property
    def column(self) -> str:
        """The first of `columns`."""
        return self.columns[0]

    @property
    def key(self) -> str:
        """The key that names them."""
        keys = {"adoption": self.adoption, "status": self.status, "unit_adoption": self.unit_adoption}
        return next(f"treatment.{key}" for key, columns in keys.items() if columns is not None)

    @property
    def year_column(self) -> str:
        """The adoption years in the clean panel; of a status a name that no formula can have."""
        return self.adoption or f"first year of {self.status}"

    @property
    def pair_rule(self) -> str:
        """The rule; of pairs that are treated themselves ``either``: their year stands beside a unit of none."""
        return self.rule or "either"


_ControlKeys: Any = formula_block(
    "ControlKeys", {name: kind.description for name, kind in REGRESSORS.items()}
)


class Control(_ControlKeys):
    """A pair regressor made of a city column; exactly one of the keys is given."""

    @model_validator(mode="after")
    def _one_of(self) -> Control:
        if one_key(self, REGRESSORS) is None:
            raise ValueError(f"give exactly one of {', '.join(REGRESSORS)}")
        return self

    @cached_property
    def kind(self) -> str:
        """Name in `REGRESSORS`."""
        return str(one_key(self, REGRESSORS))

    @property
    def formula(self) -> str:
        """Formula of the city column."""
        return str(getattr(self, self.kind))

    @property
    def logged(self) -> bool:
        return REGRESSORS[self.kind].logged

    @property
    def standardised(self) -> bool:
        """True where the city series are standardised, so that the pair column may be infinite."""
        return REGRESSORS[self.kind].standardised


class Matching(Block):
    """Propensity-score matching of treated pairs, one to one, among the rows of the regression without it."""

    unit: Literal["pair", "pooled", "yearly"] = Field(
        description="match pairs (covariates of one year or averaged), pair-years pooled, or pair-years within a year"
    )
    covariates: Listed[Name] | None = Field(None, description="controls in the logit; default: all of them")
    year: Literal["mean", "first"] = Field(
        "mean", description="covariates of unit pair: mean over its rows, or its first row"
    )
    caliper: float | None = Field(
        None, gt=0, le=1000, description="largest distance, in standard deviations of the logit of the score"
    )
    replacement: bool = Field(True, description="an untreated pair may be the match of several treated ones")
    common_support: bool = Field(
        True, description="leave out the treated whose score lies outside the range of the untreated"
    )
    seed: int = Field(0, ge=0, lt=2**64, description="of the order in which the treated are matched")
