"""Blocks of a job file about the pairs: outcome, sample, treatment, pair columns, matching."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from engine.spec.block import MOST_EVENT_YEARS, Block, Formula, Listed, ListedSome, Name, Year


class Outcome(Block):
    """The outcome: synchronization or variation of a city series, or a column of the pair table."""

    synchronization: Formula | None = Field(None, description="index name, column or arithmetic")
    variation: Formula | None = Field(
        None, description="city series whose weighted coefficient of variation within the pair is the outcome"
    )
    weight: Formula | None = Field(None, description="variation: weight of a city, e.g. population")
    window: Literal["full", "pre"] = Field(
        "full",
        description="years that standardise: all (paper), or those before the first adoption (no look-ahead)",
    )
    infinite: Literal["drop", "clip", "error"] = Field(
        "drop",
        description="pair-years with an infinite index, or outcome of a pair table: drop them, clip the distance, "
        "or stop",
    )
    clip: float = Field(1e-6, gt=0, lt=1, description="smallest |z_i - z_j| with infinite: clip")
    column: str | None = Field(
        None, description="outcome of a pair_table job: a column, or arithmetic on columns"
    )

    @model_validator(mode="after")
    def _one_of(self) -> Outcome:
        if sum(series is not None for series in (self.synchronization, self.variation, self.column)) != 1:
            raise ValueError(
                "give exactly one of synchronization or variation (panel jobs), or column (pair_table jobs)"
            )
        if (self.variation is None) != (self.weight is None):
            raise ValueError("variation and weight go together")
        if self.infinite == "clip" and self.synchronization is None:
            raise ValueError("infinite: clip is for synchronization; use drop or error")
        return self

    @property
    def series(self) -> str | None:
        """Formula of the city series behind the outcome; None for pair tables."""
        return self.synchronization or self.variation


class Gravity(Block):
    """Modified gravity screen: F_ij = (prod mass_i * prod mass_j)^(1/#mass) / distance_ij^2."""

    mass: ListedSome[Formula]
    year: Literal["mean", "first"] | Year = Field(
        "mean", description="masses of which year: the mean over the sample, the first year, or a named year"
    )
    keep: Literal["above_median", "all"] = "above_median"


class Split(Block):
    """One of three classes of pairs, by a city column that is read in one year or averaged.

    ``indicator`` and ``median`` make two kinds of cities, so that both, one or none of a pair's are of the
    first; ``terciles`` cuts the pairs of the sample into thirds by the mean of their two cities.
    """

    by: Formula
    rule: Literal["indicator", "median", "terciles"]
    year: Literal["mean", "first"] | Year = Field(
        "mean", description="the column's value: mean over the sample, the first year, or a named year"
    )
    pairs: Literal["high", "mixed", "low"] = Field(
        description="both cities (high), one (mixed) or none (low) above the median or with indicator 1; "
        "upper, middle or lower third"
    )


class Pairs(Block):
    """Which pairs are in the sample; exclusion comes first, the gravity screen second, the split last."""

    exclude: Literal["both_treated", "none"] = "none"
    gravity: Gravity | None = None
    split: Split | None = None


class Treatment(Block):
    """When a city adopts, and what makes a pair treated."""

    adoption: Name = Field(description="column with the adoption year of a city; empty means never")
    month: Name | None = Field(None, description="column with the month of adoption")
    cutoff: int | None = Field(
        None, ge=0, le=12, description="with month: adoption after this month counts from the next year"
    )
    rule: Literal["exactly_one", "both", "either", "count"]
    name: Name = Field("policy", description="what the term is called in tables")
    shift: int = Field(0, ge=-20, le=20, description="years added to every adoption year: a false timing")
    drop_treated: bool = Field(
        False, description="with a negative shift: leave out the rows that are treated in truth"
    )
    around: int | None = Field(
        None,
        ge=1,
        le=MOST_EVENT_YEARS,
        description="keep the years at most this far from a pair's adoption; never-treated pairs keep all",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Treatment:
        if (self.month is None) != (self.cutoff is None):
            raise ValueError("month and cutoff go together")
        if self.drop_treated and self.shift >= 0:
            raise ValueError("drop_treated needs a negative shift")
        if (self.drop_treated or self.around) and self.rule == "count":
            raise ValueError("rule count has no single adoption year, which drop_treated and around need")
        return self


class Control(Block):
    """A pair column of two city columns: -|difference| in logs or levels, their sum, or their synchronization."""

    neg_abs_log_diff: Formula | None = None
    neg_abs_diff: Formula | None = None
    sum: Formula | None = None
    synchronization: Formula | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Control:
        if sum(getattr(self, kind) is not None for kind in type(self).model_fields) != 1:
            raise ValueError(f"give exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def logged(self) -> bool:
        return self.neg_abs_log_diff is not None

    @property
    def kind(self) -> Literal["difference", "sum", "synchronization"]:
        """How the pair column comes of the two cities'."""
        if self.sum is not None:
            return "sum"
        return "difference" if self.synchronization is None else "synchronization"

    @property
    def formula(self) -> str:
        return self.neg_abs_log_diff or self.neg_abs_diff or self.sum or self.synchronization or ""


class Matching(Block):
    """Treated pairs are matched one to one with others by propensity score; the regression is on the matched."""

    unit: Literal["pair", "pooled", "yearly"] = Field(
        description="match pairs (covariates of one year or averaged), pair-years pooled, or within each year"
    )
    covariates: Listed[Name] | None = Field(None, description="controls in the logit; default: all of them")
    year: Literal["mean", "first"] = Field("mean", description="unit pair: covariates of which year")
    caliper: float | None = Field(
        None, gt=0, le=1000, description="largest distance, in standard deviations of the logit of the score"
    )
    replacement: bool = True
    common_support: bool = True
    seed: int = Field(0, ge=0, lt=2**64, description="order of the treated without replacement")
