"""The job file: frozen models, unknown keys refused, one class per block of the file.

``Job`` is the file as written (with ``extends`` already merged); ``sweep.py`` turns it into cells, each a
``Job`` without ``sweep`` and ``cases``. Names of columns are canonical names of the panel, or arithmetic on
them (``engine.tables.arithmetic``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, model_validator

from engine.errors import InputError
from engine.estimate.estimators import ESTIMATORS, Estimator
from engine.infer.errors import ERROR_TYPES, error_type, network
from engine.pairs.outcomes import OUTCOMES
from engine.pairs.year_slopes import with_slopes
from engine.spec.block import (
    MEMORY,
    MOST_NAMES,
    MOST_TERMS,
    Block,
    EventYear,
    JobName,
    Listed,
    ListedSome,
    Name,
    Terms,
    Year,
)
from engine.spec.consistency import check_pair_table, check_panel
from engine.spec.data import Index, PairTable, Panel
from engine.spec.design import Control, Matching, Outcome, Pairs, Treatment
from engine.spec.effects import (
    FixedEffect,
    absorbed,
    parse_effect,
    parse_effects,
    refuse_foreign,
)
from engine.spec.error_codes import ErrorKind
from engine.spec.estimator_options import EstimatorOptions
from engine.spec.figure_layout import FigureLayout
from engine.spec.inference import Inference
from engine.spec.table_layout import TableLayout
from engine.tables.arithmetic import Expression, parse

Effect = Annotated[str, AfterValidator(lambda text: parse_effect(text).text)]
AnyBlock = TypeVar("AnyBlock", bound=Block)
if TYPE_CHECKING:
    EstimatorName = str
else:  # pydantic reads the names, a type checker cannot
    EstimatorName = Literal[tuple(ESTIMATORS)]


def _has_errors(estimator: Estimator, code: str) -> bool:
    """Whether a standard-error type is defined for an estimator."""
    return estimator.has_interaction or not error_type(code).of_interaction


def _errors_of(estimator: Estimator) -> tuple[str, ...]:
    """Standard-error types of an estimator, in the order of the registry."""
    return tuple(code for code in ERROR_TYPES if _has_errors(estimator, code))


class Model(Block):
    """The regression: estimator, regressors, fixed effects, standard-error types."""

    estimator: EstimatorName = Field(
        next(iter(ESTIMATORS)),
        description="; ".join(f"{name}: {each.label}" for name, each in ESTIMATORS.items()),
    )
    treatment: bool = Field(
        True, description="false: adoption determines the sample, but the treatment is no regressor"
    )
    lag: int = Field(
        0,
        ge=0,
        le=10,
        description="years by which treatment and controls are lagged, within the sample: its first years then have no "
        "rows; of a pair table, calendar years by which the regressors are lagged within the pair, in all of the table",
    )
    controls: Terms[Name] | None = Field(None, description="names of controls; default: all of them")
    regressors: Terms[str] | None = Field(
        None, description="of a pair_table job: columns, or arithmetic on them"
    )
    by_year: Terms[str] = Field(
        [],
        description="controls, or regressors of a pair_table job, that have a slope in every year but the first, of "
        "the first value of the two cities, or of the pair of a table, in the sample: what began differently may move "
        "differently. extended_twfe takes the estimates of imputation then, which are those of its regression with "
        "covariates centred by cohort",
    )
    fixed_effects: Listed[Effect] = Field(
        ["pair", "year"],
        description="pair, with year or effects by year: city x year, <column> x year, <column>-pair x year, "
        "distance:k x year; of a pair_table any of pair, year, city x year, <column>, <column> x year: without pair, "
        "what is constant within pairs, such as distance, has a coefficient",
    )
    errors: ListedSome[ErrorKind] = Field(
        list(ERROR_TYPES),
        description="standard-error types, in the order of the rows of a table; beside these words "
        "{spatial: {distance: km, kernel: bartlett or uniform}}, for dependence between near cities, "
        "{network: {links: 2, kernel: uniform or bartlett}}, between cities so many links of panel.links apart, and "
        "{block_jackknife: {by: column}}, for dependence within groups of cities, {block_jackknife: {distance: km}}, "
        "within groups of cities no two of which are farther apart, or "
        "{block_jackknife: {order: column, length: cities}}, between cities next to each other in an order",
    )
    base: EventYear = Field(-1, description="event study: the omitted event year")
    window: tuple[EventYear, EventYear] = Field(
        (-5, 3), description="event study: first and last event year shown"
    )
    ends: Literal["bin", "drop"] = Field(
        "bin",
        description="event study: event years outside the window join its ends, or their rows are dropped",
    )
    options: EstimatorOptions = Field(EstimatorOptions(), description="choices of the estimator")
    leave_outs: Literal["refits", "one_step"] = Field(
        "refits",
        description="where effects are absorbed, the samples without a city of dyadic_cr2: refits takes the effects "
        "out anew, one_step holds them as the whole sample has them: fast, and too small where a city has much of a "
        "level; of poisson those of jackknife: one_step stops after a step of Newton's method",
    )
    offset: str | None = Field(
        None,
        description="poisson: a column, or arithmetic on columns, of the pair table whose coefficient is one: the "
        "logarithm of exposure",
    )
    diagnostics: Listed[Literal["goodman_bacon", "effect_weights"]] = Field(
        [],
        description="of two-way fixed effects. goodman_bacon: the comparisons of two groups over two periods whose "
        "weighted sum the coefficient is; effect_weights: the weight of each treated cohort and year, negative ones "
        "counted, and how much effects must differ for an average of zero",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="level of the confidence intervals")

    @model_validator(mode="after")
    def _consistent(self) -> Model:
        effects = parse_effects(self.fixed_effects)
        if "errors" not in self.model_fields_set:  # those that the estimator has
            object.__setattr__(self, "errors", list(_errors_of(self.registered)))
        undefined = [code for code in self.errors if not _has_errors(self.registered, code)]
        if undefined:
            available = ", ".join(_errors_of(self.registered))
            raise ValueError(
                f"errors {undefined[0]} are not defined for estimator {self.estimator}, which has {available}"
            )
        if absorbed(effects) and not self.registered.absorbs:
            raise ValueError(f"estimator {self.estimator} has the effects [pair, year] only")
        low, high = self.window
        if low >= high:
            raise ValueError(f"window [{low}, {high}] must ascend")
        if "base" in self.registered.options and not low <= self.base <= high:
            raise ValueError(f"base {self.base} lies outside the window [{low}, {high}]")
        if self.registered.needs_treatment and not self.treatment:
            raise ValueError(f"estimator {self.estimator} needs the treatment")
        if self.registered.means_only and self.lag:
            raise ValueError(
                f"estimator {self.estimator} has no lag; treatment.shift moves the adoption years"
            )
        return self

    @property
    def effects(self) -> tuple[FixedEffect, ...]:
        """Fixed effects that ``fixed_effects`` names, parsed."""
        return parse_effects(self.fixed_effects)

    @property
    def omitted_year(self) -> int | None:
        """Event year that is zero by construction; None where none is, or the estimator has no event years."""
        options = self.registered.options
        if "base" in options:
            return self.base
        is_universal = "base_period" in options and self.options.base_period == "universal"
        return -1 - self.options.anticipation if is_universal else self.registered.base

    @property
    def control(self) -> str:
        """Pairs that cohorts are compared with, ``never | not_yet``."""
        return self.options.control or self.registered.control

    @property
    def registered(self) -> Estimator:
        """The estimator's line in the registry; with ``by_year`` that of the one which then gives its estimates."""
        estimator = ESTIMATORS[self.estimator]
        return ESTIMATORS[estimator.by_year or self.estimator] if self.by_year else estimator

    @property
    def reads_links(self) -> bool:
        """Whether a standard-error type reads the links of cities."""
        return any(map(network.is_network, self.errors))

    @property
    def least_rows(self) -> int:
        """Rows of a pair that tell anything: two where its own effect takes one."""
        return 2 if any(effect.kind == "pair" for effect in self.effects) else 1

    @property
    def by_rows(self) -> bool:
        """Effects are absorbed row by row: there are others than pair and year, or weights change on the way."""
        return absorbed(self.effects) or self.registered.reweights


class Runtime(Block):
    """Limits of a run on this machine; results do not depend on the number of workers."""

    memory: str = Field("2GB", pattern=MEMORY, description="working memory of one process")
    tile: int | None = Field(
        None, ge=8, le=4096, description="cities along the edge of a tile; default: from memory"
    )


def _required(block: AnyBlock | None, key: str) -> AnyBlock:
    if block is None:
        raise InputError(f"this job has no {key}", where=key, remedy=f"add the block {key}")
    return block


_ONE_KIND = "give either panel or pair_table"


class Job(Block):
    """One job file, or one cell of its sweep."""

    job: JobName = Field(description="name of the output folder; never inherited")
    title: str = Field("", max_length=500, description="heading of tables; default: the name")
    panel: Panel | None = Field(None, description="city-year data")
    pair_table: PairTable | None = Field(None, description="a finished table of pairs, in place of a panel")
    years: tuple[Year, Year] | None = Field(None, description="first and last year of the sample")
    index: dict[Name, Index] = Field(
        {}, max_length=MOST_TERMS, description="entropy-weighted composites of city columns, by name"
    )
    outcome: Outcome = Field(description="dependent variable")
    pairs: Pairs = Field(Pairs(), description="pairs of the sample")
    treatment: Treatment | None = Field(None, description="adoption and treatment rule")
    controls: dict[Name, Control] = Field({}, max_length=MOST_TERMS, description="pair regressors, by name")
    instrument: Control | None = Field(None, description="pair regressor that instruments the treatment")
    matching: Matching | None = Field(None, description="propensity-score matching before the regression")
    model: Model = Field(Model(), description="the regression")
    sweep: dict[str, list[Any]] = Field(
        {},
        max_length=MOST_NAMES,
        description="dotted key: list of values; every combination is a cell, a column of the table",
    )
    cases: dict[str, dict[str, Any]] = Field(
        {}, description="name: dotted keys and values; each case is a cell, under every combination of sweep"
    )
    inference: Inference = Field(Inference(), description="permutation test, bootstrap, jackknife")
    table: TableLayout = Field(TableLayout(), description="rows and numbers of the printed table")
    figures: FigureLayout = Field(FigureLayout(), description="files, width and font of the figures")
    lang: Literal["en", "zh"] = Field("en", description="language of tables, figures, page and all messages")
    runtime: Runtime = Field(Runtime(), description="memory and tiles")

    @classmethod
    def contradiction(cls, document: Mapping[str, object]) -> str | None:
        """A job has one kind of data."""
        has_both = all(document.get(name) is not None for name in ("panel", "pair_table"))
        return _ONE_KIND if has_both else None

    @model_validator(mode="after")
    def _whole(self) -> Job:
        if self.panel is None and self.pair_table is None:
            raise ValueError(_ONE_KIND)
        if self.years and self.years[0] >= self.years[1]:
            raise ValueError(f"years [{self.years[0]}, {self.years[1]}] must ascend")
        check_pair_table(self) if self.pair_table else check_panel(self)
        refuse_foreign(self.model.effects, table=self.pair_table is not None)
        return self

    @property
    def panel_block(self) -> Panel:
        """The block ``panel``; raises InputError where a job has none."""
        return _required(self.panel, "panel")

    @property
    def table_block(self) -> PairTable:
        """The block ``pair_table``; raises InputError where a job has none."""
        return _required(self.pair_table, "pair_table")

    @property
    def treatment_block(self) -> Treatment:
        """The block ``treatment``; raises InputError where a job has none."""
        return _required(self.treatment, "treatment")

    @property
    def matching_block(self) -> Matching:
        """The block ``matching``; raises InputError where a job has none."""
        return _required(self.matching, "matching")

    @property
    def matched_on(self) -> list[str]:
        """Names of the controls that matching is on."""
        covariates = self.matching.covariates if self.matching else None
        return list(self.controls) if covariates is None else list(covariates)

    @property
    def used_controls(self) -> list[str]:
        """Names of the controls in the regression, in the order of the table."""
        return list(self.controls) if self.model.controls is None else list(self.model.controls)

    def column_names(self, slope_years: Sequence[int]) -> tuple[str, ...]:
        """Names of the columns of the regression beside its treatment, in the order of the table.

        ``slope_years``: of the sample, of which all but the first have a slope under ``model.by_year``.
        """
        names = self.model.regressors or self.used_controls
        return with_slopes(names, self.model.by_year, slope_years)

    def formulas(self) -> Iterator[tuple[str, Expression]]:
        """Every formula on panel columns with the key it stands under."""
        for name, index in self.index.items():
            for number, text in enumerate(index.entropy):
                yield f"index.{name}.entropy[{number}]", parse(text)
        for key in (*OUTCOMES, "weight"):
            text = getattr(self.outcome, key)
            if text:
                yield f"outcome.{key}", parse(text)
        for number, text in enumerate(self.pairs.gravity.mass if self.pairs.gravity else []):
            yield f"pairs.gravity.mass[{number}]", parse(text)
        for name, control in self.controls.items():
            yield f"controls.{name}", parse(control.formula)
        if self.instrument:
            yield "instrument", parse(self.instrument.formula)
        if self.pairs.split:
            yield "pairs.split.by", parse(self.pairs.split.by)
