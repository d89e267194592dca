"""The block ``model.options``: choices of estimators that compare cohorts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.estimate.estimators import ESTIMATORS, Estimator
from engine.spec.block import MOST_EVENT_YEARS, Block


class EstimatorOptions(Block):
    """Choices of estimators that compare cohorts with pairs that are not treated."""

    control: Literal["never", "not_yet"] | None = Field(
        None,
        description="compared with: pairs that are never treated, or all that are not treated yet; default: "
        + "; ".join(
            f"{estimator.control} for {name}"
            for name, estimator in ESTIMATORS.items()
            if "control" in estimator.options
        ),
    )
    base_period: Literal["varying", "universal"] = Field(
        "varying",
        description="before adoption an effect is the change since the previous year, or since the last year before "
        "adoption and anticipation, as from adoption on",
    )
    anticipation: int = Field(
        0, ge=0, le=MOST_EVENT_YEARS, description="years before adoption in which effects may begin"
    )
    weights: Literal["variance", "equal"] = Field(
        "variance",
        description="how cohorts are weighed: by the variance of treatment, as least squares does, or each treated "
        "pair equally",
    )
    cohorts: Literal["pair", "cities"] = Field(
        "pair",
        description="effects by the year in which a pair becomes treated, or by the adoption years of its two cities "
        "(`pair_group_time.parquet` and a heat map); averages are the same where both are defined, and `cities` also "
        "takes rules under which a pair's treatment changes twice",
    )

    def compare_types(self, estimator: Estimator) -> bool:
        """Whether an estimator takes cohorts by the adoption years of both cities."""
        return "cohorts" in estimator.options and self.cohorts == "cities"
