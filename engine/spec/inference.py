"""The ``inference`` block of a job file: permutation tests, bootstraps, jackknife."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from engine.spec.block import MOST_CLASSES, Block, Listed, ListedSome


def _stratum(text: str) -> str:
    """``column`` or ``column:k``."""
    column, colon, number = text.partition(":")
    digits = number if len(number) <= 9 else "0"
    if not column or (colon and not (digits.isdecimal() and 2 <= int(digits) <= MOST_CLASSES)):
        raise ValueError(f"must be a column, or column:k with k classes from 2 to {MOST_CLASSES:,}")
    return text


Stratum = Annotated[str, AfterValidator(_stratum)]

_SEED = Field(0, ge=0, lt=2**64, description="draws are functions of seed, replicate and city alone")


class PermutationTest(Block):
    """Adoption dealt anew to the cities; the pairs, the screen and the year effects rebuilt in each draw."""

    reps: int = Field(9999, ge=1, le=10_000_000, description="draws")
    seed: int = _SEED
    strata: Listed[Stratum] = Field(
        [],
        description="columns constant in a city (province, admin_rank), or column:k for its k size classes",
    )
    screen: Literal["fixed", "recomputed"] = Field(
        "recomputed",
        description="the sample's own gravity threshold, or each draw's median over its eligible pairs",
    )
    terms: ListedSome[str] | None = Field(
        None, description="terms tested; default: the treatment, or all event years"
    )


class Bootstrap(Block):
    """Resampled cities (node), multipliers on city scores, wild clusters under the null, or the whole pipeline."""

    kind: Literal["node", "multiplier", "wild", "pipeline"] = "node"
    reps: int = Field(9999, ge=1, le=10_000_000, description="draws")
    seed: int = _SEED
    weights: Literal["rademacher", "webb", "mammen"] = Field(
        "rademacher", description="distribution of multipliers and wild signs"
    )
    interval: Literal["percentile", "percentile_t", "basic"] = Field(
        "percentile_t",
        description="of the bootstrap; kind pipeline has no t ratios and takes percentile instead",
    )

    @model_validator(mode="after")
    def _has_t_ratios(self) -> Self:
        needs_t = self.interval == "percentile_t" and "interval" in self.model_fields_set
        if needs_t and self.kind == "pipeline":
            raise ValueError("kind pipeline has no t ratios, so interval must be percentile or basic")
        return self


class Jackknife(Block):
    """Leave one city, or one group of cities, out: influence and CRV3 by group."""

    by: str = Field("city", description="city, province or any column constant in a city")


class Inference(Block):
    """Inference beyond the standard errors of ``model.errors``."""

    permutation: PermutationTest | None = None
    bootstrap: Bootstrap | None = None
    jackknife: Jackknife | None = None
