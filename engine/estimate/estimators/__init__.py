"""The estimators: a line each here, and a file of that name with the regression it runs.

Job files, plans, frames and reports read these lines, so that this file imports nothing: an estimator's functions
are loaded where they run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.estimate.estimator import EstimatorFunctions

INSTRUMENT = "instrument"
"""Name of the instrument's column; no control is called so."""
EVENT_OPTIONS = ("base", "window", "ends")
COMPARISON_OPTIONS = ("control", "base_period", "anticipation", "weights", "cohorts")


@dataclass(frozen=True)
class Estimator:
    """An estimator as a job file knows it.

    Attributes
    ----------
    name : str
        In ``model.estimator``, and of the file beside this one.
    label : str
        For the key reference; empty where the name says it all.
    options : tuple of str
        Keys of ``model`` and ``model.options`` that belong to estimators like this one.
    uses_instrument : bool
        It needs the job's instrument.
    needs_treatment : bool
        It cannot run with ``model.treatment: false``, nor on a pair table.
    absorbs : bool
        It takes effects beyond pair and year.
    by_event_time : bool
        Its coefficients are those of event years; with ``base`` among the options one of them is omitted.
    own_rows : bool
        It leaves out pair-years that others keep, whatever ``model.ends`` says.
    means_only : bool
        It compares means of the outcome, so that it has no controls, no lag and no matched sample.
    redrawn : tuple of str
        What can run it again, of ``permutation``, ``jackknife`` and the kinds of the bootstrap; all have multipliers.
    treatment_as_outcome : bool
        The treatment is regressed.
    reweights : bool
        Its rows are weighted anew until it converges, so that effects are absorbed row by row; for pair tables.
    has_interaction : bool
        Standard-error types that subtract the interaction of cities are known to hold for it.
    control : str
        ``never | not_yet``: pairs that it compares cohorts with where ``model.options.control`` says nothing.
    complete_pairs : bool
        Its pairs have all years: none are missing, nor left out by the treatment.
    diagnosed : bool
        Its coefficient can be taken apart (``model.diagnostics``).
    imputes : bool
        Its effects are fitted on untreated rows alone, so that it has neither a matched sample nor refits of groups.
    reverses : bool
        It takes treatments that switch off or have doses, of pairs that adopt twice.
    base : int or None
        Event year that it omits whatever the job file says.
    by_year : str
        The estimator whose estimates are its own with covariates by year; empty where it has them itself.
    """

    name: str
    label: str
    options: tuple[str, ...] = ()
    uses_instrument: bool = False
    needs_treatment: bool = True
    absorbs: bool = True
    by_event_time: bool = False
    own_rows: bool = False
    means_only: bool = False
    redrawn: tuple[str, ...] = ("permutation", "jackknife", "node", "wild", "two_way_wild", "pipeline")
    treatment_as_outcome: bool = False
    reweights: bool = False
    has_interaction: bool = True
    control: str = "never"
    complete_pairs: bool = False
    diagnosed: bool = False
    imputes: bool = False
    reverses: bool = False
    base: int | None = None
    by_year: str = ""

    @property
    def has_pair_sums(self) -> bool:
        """Samples without groups, scores of pairs and matched samples are read off the moments of a pass."""
        return not (self.means_only or self.imputes)

    @property
    def functions(self) -> EstimatorFunctions:
        """The functions of the estimator's file."""
        return _functions_of(self.name)


@cache
def _functions_of(name: str) -> EstimatorFunctions:
    functions: EstimatorFunctions = import_module(f"{__name__}.{name}").FUNCTIONS
    return functions


def _instrumental(
    name: str, label: str, *, treatment_as_outcome: bool = False, redrawn: tuple[str, ...] = ()
) -> Estimator:
    return Estimator(
        name,
        label,
        uses_instrument=True,
        absorbs=False,
        redrawn=redrawn,
        treatment_as_outcome=treatment_as_outcome,
    )


def _clean(name: str, label: str, *, options: tuple[str, ...]) -> Estimator:
    """An estimator of cohorts beside clean controls (`engine.estimate.clean_controls`)."""
    return Estimator(
        name,
        label,
        options=options,
        absorbs=False,
        by_event_time=True,
        own_rows=True,
        means_only=True,
        redrawn=("permutation", "node", "jackknife"),
        control="not_yet",
        complete_pairs=True,
    )


ESTIMATORS: Mapping[str, Estimator] = MappingProxyType(
    {
        estimator.name: estimator
        for estimator in (
            Estimator("twfe", "two-way fixed effects", needs_treatment=False, diagnosed=True),
            Estimator(
                "event_study",
                "a term for each year around adoption",
                options=EVENT_OPTIONS,
                by_event_time=True,
            ),
            Estimator(
                "sun_abraham",
                "event study by cohort, averaged by the cohorts' rows",
                options=EVENT_OPTIONS,
                by_event_time=True,
                own_rows=True,
                redrawn=("permutation", "node", "jackknife"),
            ),
            Estimator(
                "extended_twfe",
                "effects of each cohort and year from adoption on, averaged by the cohorts' rows",
                options=("window", "ends"),
                by_event_time=True,
                own_rows=True,
                redrawn=("permutation", "node", "jackknife"),
                by_year="imputation",
            ),
            Estimator(
                "imputation",
                "outcomes of treated pairs less those that untreated rows impute, averaged over rows; leads as a test",
                options=("window", "ends"),
                absorbs=False,
                by_event_time=True,
                own_rows=True,
                redrawn=("permutation", "node", "jackknife"),
                imputes=True,
            ),
            Estimator(
                "callaway_santanna",
                "effects of each cohort and year from comparisons with untreated pairs, and four averages of them",
                options=("control", "base_period", "anticipation", "cohorts"),
                absorbs=False,
                by_event_time=True,
                own_rows=True,
                means_only=True,
                redrawn=("permutation", "node", "jackknife"),
            ),
            _clean(
                "stacked",
                "sub-experiments of each cohort and its clean controls, with corrective weights",
                options=("base", "window", "control"),
            ),
            _clean(
                "local_projection",
                "changes of new adopters less those of clean controls, by event year",
                options=("base", "window", "control", "weights"),
            ),
            Estimator(
                "de_chaisemartin",
                "effects of a treatment that may switch off or have doses, by year since it first changes in a pair, "
                "and per unit of treatment",
                options=("window", "control"),
                absorbs=False,
                by_event_time=True,
                means_only=True,
                redrawn=("permutation", "node", "jackknife"),
                control="not_yet",
                complete_pairs=True,
                reverses=True,
                base=-1,
            ),
            _instrumental(
                "iv",
                "two-stage least squares, the instrument in place of the treatment",
                redrawn=("permutation",),
            ),
            _instrumental("first_stage", "the treatment on the instrument", treatment_as_outcome=True),
            _instrumental("reduced_form", "the outcome on the instrument"),
            Estimator(
                "poisson",
                "Poisson pseudo-maximum likelihood of an outcome from zero up, on pair tables",
                options=("offset",),
                needs_treatment=False,
                redrawn=(),
                reweights=True,
                has_interaction=False,
            ),
        )
    }
)
