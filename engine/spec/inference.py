"""The ``inference`` block of a job file: permutation tests, bootstraps, jackknife."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.spec.block import Block

_SEED = Field(0, ge=0, lt=2**64, description="draws are functions of seed, replicate and city alone")


class PermutationTest(Block):
    """Adoption dealt anew to the cities; the pairs, the screen and the year effects rebuilt in each draw."""

    reps: int = Field(9999, ge=1, le=10_000_000)
    seed: int = _SEED
    strata: list[str] = Field(
        [],
        description="columns constant in a city (province, admin_rank), or column:k for its k size classes",
    )
    screen: Literal["fixed", "recomputed"] = Field(
        "recomputed",
        description="the sample's own gravity threshold, or each draw's median over its eligible pairs",
    )
    terms: list[str] | None = Field(
        None, description="terms tested; default: the treatment, or all event years"
    )


class Bootstrap(Block):
    """Resampled cities (node), multipliers on city scores, wild clusters under the null, or the whole pipeline."""

    kind: Literal["node", "multiplier", "wild", "pipeline"] = "node"
    reps: int = Field(9999, ge=1, le=10_000_000)
    seed: int = _SEED
    weights: Literal["rademacher", "webb", "mammen"] = Field(
        "rademacher", description="distribution of multipliers and wild signs"
    )
    interval: Literal["percentile", "percentile_t", "basic"] = "percentile_t"


class Jackknife(Block):
    """Leave one city, or one group of cities, out: influence and CRV3 by group."""

    by: str = Field("city", description="city, province or any column constant in a city")


class Inference(Block):
    """What is asked beyond the standard errors of ``model.errors``."""

    permutation: PermutationTest | None = None
    bootstrap: Bootstrap | None = None
    jackknife: Jackknife | None = None
