"""The ``inference`` block of a job file: permutation tests, bootstraps, jackknife."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from engine.infer.errors import spatial
from engine.spec.block import MOST_CLASSES, Block, EventYear, Listed, ListedSome


def _stratum(text: str) -> str:
    """``column`` or ``column:k``."""
    column, colon, number = text.partition(":")
    digits = number if len(number) <= 9 else "0"
    if not column or (colon and not (digits.isdecimal() and 2 <= int(digits) <= MOST_CLASSES)):
        raise ValueError(f"must be a column, or column:k with k classes from 2 to {MOST_CLASSES:,}")
    return text


Stratum = Annotated[str, AfterValidator(_stratum)]

NotNegative = Annotated[float, Field(ge=0, le=1e9)]

_SEED = Field(0, ge=0, lt=2**64, description="draws are functions of seed, replicate and city alone")


class PermutationTest(Block):
    """Adoption years randomly reassigned among the cities; pairs, screen and year effects rebuilt in each draw."""

    reps: int = Field(9999, ge=1, le=10_000_000, description="draws")
    seed: int = _SEED
    strata: Listed[Stratum] = Field(
        [],
        description="columns constant in a city (province, admin_rank), or column:k for its k size classes",
    )
    screen: Literal["fixed", "recomputed"] = Field(
        "recomputed",
        description="gravity threshold of the sample, or of each draw the median over its eligible pairs",
    )
    terms: ListedSome[str] | None = Field(
        None, description="terms that are tested; default: the treatment, or all event years"
    )


class Bootstrap(Block):
    """Bootstrap of cities, of their scores, or of the whole pipeline."""

    kind: Literal["node", "multiplier", "wild", "two_way_wild", "pipeline"] = Field(
        "node",
        description="node: cities are resampled (two copies of one form no pair); multiplier: city scores are "
        "perturbed; wild: first cities are the clusters, the null is imposed; two_way_wild: the null is imposed, and "
        "each city perturbs its own part of the residuals, both what is left to the pair; pipeline: each resample "
        "goes through index, standardisation and screen again",
    )
    reps: int = Field(9999, ge=1, le=10_000_000, description="draws")
    seed: int = _SEED
    weights: Literal["rademacher", "webb", "mammen"] = Field(
        "rademacher", description="distribution of multipliers and wild signs"
    )
    interval: Literal["percentile", "percentile_t", "basic"] = Field(
        "percentile_t",
        description="confidence interval; kind pipeline has no t ratios and takes percentile instead",
    )

    @model_validator(mode="after")
    def _has_t_ratios(self) -> Self:
        needs_t = self.interval == "percentile_t" and "interval" in self.model_fields_set
        if needs_t and self.kind == "pipeline":
            raise ValueError("kind pipeline has no t ratios, so interval must be percentile or basic")
        return self


class Jackknife(Block):
    """Leave one city, or one group of cities, out: influence and CRV3 by group."""

    by: str = Field("city", description="city, or any column that is constant in a city, e.g. province")


class ScoreCorrelations(Block):
    """How the scores of two pairs correlate, by common city and by distance of their cities: which error is needed."""

    distance: float = Field(1000, gt=0, le=spatial.FARTHEST_KM, description="km, the largest distance shown")
    bins: int = Field(10, ge=1, le=100, description="classes of distance, of equal width")


class Honest(Block):
    """Confidence sets of an event study's effect where trends may not have been parallel (Rambachan and Roth 2023).

    Of the errors that stars come from; years that are pooled at the ends of the window are left out.
    """

    kind: Literal["relative_magnitudes", "smoothness"] = Field(
        "relative_magnitudes",
        description="relative_magnitudes: from adoption on, trends differ from a year to the next by at most so many "
        "times the largest such change before; smoothness: the slope of the difference changes by at most so much",
    )
    sizes: ListedSome[NotNegative] | None = Field(
        None,
        description="so many times, or so much in units of the outcome; default: 0, 0.5, 1, 1.5 and 2, for smoothness "
        "these times a quarter of the effect's standard error",
    )
    effect: Literal["average"] | EventYear = Field(
        "average", description="the average from adoption on, or the effect of one event year"
    )
    direction: Literal["positive", "negative"] | None = Field(
        None, description="sign of the difference in trends from adoption on, where it is known"
    )
    course: Literal["increasing", "decreasing"] | None = Field(
        None, description="course of the difference in trends over all years, where it is known"
    )


class Inference(Block):
    """Inference beyond the standard errors of ``model.errors``."""

    permutation: PermutationTest | None = Field(None, description="permutation test")
    bootstrap: Bootstrap | None = Field(None, description="bootstrap")
    jackknife: Jackknife | None = Field(None, description="leave one city or group out")
    score_correlations: ScoreCorrelations | None = Field(
        None,
        description="correlations of pair scores by common city and by distance, a figure that says which "
        "standard error is needed; reads latitude and longitude",
    )
    honest: Honest | None = Field(
        None,
        description="event studies whose trends may not have been parallel: sets by how much they may differ",
    )
