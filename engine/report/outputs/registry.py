"""All outputs, in the order of files and page."""

from __future__ import annotations

from engine.report.outputs.city_influence import CITY_INFLUENCE
from engine.report.outputs.class_contrasts import CLASS_CONTRASTS
from engine.report.outputs.coefficient_plot import COEFFICIENT_PLOT
from engine.report.outputs.comparison_scatter import GOODMAN_BACON
from engine.report.outputs.covariance_matrix import COVARIANCE_MATRIX
from engine.report.outputs.covariate_balance import COVARIATE_BALANCE
from engine.report.outputs.error_comparison import ERROR_COMPARISON
from engine.report.outputs.event_study_overlay import EVENT_STUDY_OVERLAY
from engine.report.outputs.event_study_plot import EVENT_STUDY_PLOT
from engine.report.outputs.event_year_table import EVENT_YEAR_TABLE
from engine.report.outputs.group_time_effects import GROUP_TIME_EFFECTS
from engine.report.outputs.honest_trends import HONEST_TRENDS
from engine.report.outputs.inference_by_draws import INFERENCE_BY_DRAWS
from engine.report.outputs.instrument_strength import INSTRUMENT_STRENGTH
from engine.report.outputs.joint_tests import JOINT_TESTS
from engine.report.outputs.main_result import MAIN_RESULT
from engine.report.outputs.multiple_tests import MULTIPLE_TESTS
from engine.report.outputs.output import JobReport, Output, TableOutput
from engine.report.outputs.pair_group_time import PAIR_GROUP_TIME
from engine.report.outputs.placebo_density import PLACEBO_DENSITY
from engine.report.outputs.pretrend_tests import PRETREND_POWER
from engine.report.outputs.propensity_matching import PROPENSITY_MATCHING
from engine.report.outputs.regression_table import REGRESSION_TABLE
from engine.report.outputs.score_correlations import SCORE_CORRELATIONS
from engine.report.outputs.specification_curve import SPECIFICATION_CURVE
from engine.report.outputs.weight_summary import EFFECT_WEIGHT_SUMMARY, EFFECT_WEIGHTS

OUTPUTS = (
    MAIN_RESULT,
    REGRESSION_TABLE,
    ERROR_COMPARISON,
    EVENT_YEAR_TABLE,
    EVENT_STUDY_PLOT,
    EVENT_STUDY_OVERLAY,
    GROUP_TIME_EFFECTS,
    PAIR_GROUP_TIME,
    JOINT_TESTS,
    HONEST_TRENDS,
    PRETREND_POWER,
    GOODMAN_BACON,
    EFFECT_WEIGHT_SUMMARY,
    SPECIFICATION_CURVE,
    COEFFICIENT_PLOT,
    INSTRUMENT_STRENGTH,
    CLASS_CONTRASTS,
    PROPENSITY_MATCHING,
    COVARIATE_BALANCE,
    INFERENCE_BY_DRAWS,
    MULTIPLE_TESTS,
    PLACEBO_DENSITY,
    CITY_INFLUENCE,
    SCORE_CORRELATIONS,
    COVARIANCE_MATRIX,
    EFFECT_WEIGHTS,
)
STORED_FRAMES = {output.stores.name: output.stores for output in OUTPUTS if output.stores is not None}
"""Frames of a job's folder, by name."""


def outputs_of(report: JobReport) -> list[Output]:
    """The outputs that a job has."""
    return [output for output in OUTPUTS if output.is_of(report)]


def report_tables(report: JobReport) -> list[TableOutput]:
    """Tables of a job; the first is that of the coefficients."""
    return [table for output in _tabulated(report) for table in output.tables(report)]


def report_sentences(report: JobReport) -> list[str]:
    """The tables of a job in words."""
    return [sentence for output in _tabulated(report) for sentence in output.sentences(report)]


def report_headlines(report: JobReport) -> list[str]:
    """The results of a job in few sentences."""
    return [sentence for output in _tabulated(report) for sentence in output.headlines(report)]


def _tabulated(report: JobReport) -> list[Output]:
    outputs = outputs_of(report)
    return [output for output in outputs if output.stands_alone(report)] or outputs
