"""Draws of a permutation test or bootstrap as an object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from engine.api.arguments import checked_arguments
from engine.api.printed import Table, notebook_figure
from engine.errors import InputError
from engine.report.language.wording import job_words, lang_of
from engine.report.outputs.inference_by_draws import inference_table
from engine.report.outputs.output import JobReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from engine.job_results import Results


@dataclass(frozen=True, repr=False, eq=False)
class DrawnResult:
    """Draws and what they say; printed, it is the table of p-values and intervals.

    Attributes
    ----------
    results : Results
        Of the run that made the draws.
    """

    results: Results

    @property
    def lang(self) -> str:
        """The language of the job."""
        return lang_of(self.results.manifest)

    @checked_arguments()
    def tidy(self) -> pd.DataFrame:
        """Every draw: cell, term, method, replicate, estimate and t ratio.

        The shuffle of pairs, which a permutation test shows for comparison and which is invalid, is in
        ``results.draws``.
        """
        draws = self.results.draws
        return draws[draws["method"] != "pair_shuffle"].reset_index(drop=True)

    @property
    def summary(self) -> pd.DataFrame:
        """One row a cell, term and method: statistic, p-value, interval, Monte Carlo error of p."""
        return self.results.inference

    @checked_arguments()
    def plot(self, *, title: str | None = None) -> Figure:
        """The density of placebo coefficients with the estimate in it; of a permutation test only."""
        from engine.report.outputs.placebo_density import last_placebo, placebo_figure

        report = self._report
        cell_placebo = last_placebo(report)
        if cell_placebo is None:
            raise InputError(
                "there are no permutation draws", where="draws", remedy="make them by `Result.permute`"
            )
        figure = placebo_figure(cell_placebo[1], title=title or "", words=report.words)
        return notebook_figure(figure)

    @property
    def _report(self) -> JobReport:
        return JobReport(self.results.frames, self.results.manifest, job_words(self.results.manifest))

    def __repr__(self) -> str:
        return repr(Table(inference_table(self._report)))

    def _repr_html_(self) -> str:
        return Table(inference_table(self._report))._repr_html_()
