"""The results of a run as an object: tables, figures, covariances, draws, and the standard errors that are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import pandas as pd

from engine.api.arguments import checked_arguments, checked_path
from engine.api.drawn_result import DrawnResult
from engine.api.printed import Table, notebook_figure
from engine.api.table_choices import checked_choices
from engine.arrays import Integers
from engine.errors import InputError
from engine.notes import Note, Value
from engine.report.error_types import error_label, preferred
from engine.report.language.stored_notes import sentences
from engine.report.language.wording import ENGLISH, job_words, lang_of
from engine.report.markup import escape
from engine.report.outputs.output import JobReport
from engine.report.outputs.regression_table import ordered_terms, table_of
from engine.report.printed_table import PrintedTable
from engine.report.table_style import EVERYTHING, TableChoices
from engine.runtime.files import output_folder
from engine.spec.cell_choice import CellName, choose_cell
from engine.spec.data_frames import plain
from engine.spec.error_codes import error_code

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from engine.job_results import Results

UNNAMED = "job"
"""Name of a job that was given none; it is no title."""
_WARNINGS = 10  # below a table
_TIDY = ("term", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "dof")
_GLANCE = ("outcome", "estimator", "n_obs", "n_pairs", "n_units", "r2", "r2_within")
_STATISTICS = {"N": "n_obs", "r2": "r2", "r2_within": "r2_within", "n_pairs": "n_pairs", "n_units": "n_units"}


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """Results of a job; printed, it is the table.

    Attributes
    ----------
    results : Results
        Frames, manifest and validation report, as `engine.run` gives them.
    again : callable
        Runs the job with keys changed, a mapping of dotted key to value.
    pair_years : callable
        Makes the pair-year table of a cell.
    shown : tuple of str
        Standard-error types that tables, figures and `tidy` show; empty for those of the job.
    """

    results: Results
    again: Callable[[Mapping[str, object]], Result]
    pair_years: Callable[[str | None], pd.DataFrame]
    shown: tuple[str, ...] = ()

    @property
    def lang(self) -> str:
        """The language of the job."""
        return lang_of(self.results.manifest)

    # -- numbers

    @property
    def estimates(self) -> pd.DataFrame:
        """One row a cell, term and standard-error type: every type that was computed."""
        return self.results.estimates

    @property
    def warnings(self) -> list[str]:
        """Sentences that a reader of the results must know."""
        return sentences(self.results.manifest, "warning", job_words(self.results.manifest))

    @property
    def error_types(self) -> list[str]:
        """Standard-error types that were computed."""
        return list(dict.fromkeys(self.estimates["errors"].tolist()))

    @checked_arguments()
    def tidy(self) -> pd.DataFrame:
        """One row a cell and term, with the standard error, test and interval of one type: the first that is shown.

        Without a choice by `errors` it is the preferred type of each cell.

        Columns ``term, estimate, std_error, statistic, p_value, conf_low, conf_high, dof, errors``; of a sweep also
        ``cell``, its label.
        """
        codes = {cell: self._first_shown(cell) for cell in self._labels}
        names = (self.estimates[name].tolist() for name in ("cell", "errors", "term"))
        shown = [row for row in enumerate(zip(*names, strict=True)) if codes[row[1][0]] == row[1][1]]
        cells, terms = [cell for _, (cell, _, _) in shown], [term for _, (_, _, term) in shown]
        by_term = ordered_terms(terms, main=self.results.manifest["treatment"])
        order = _order((cells, dict.fromkeys(cells)), (terms, by_term)).tolist()
        rows = self.estimates[[*_TIDY, "errors"]].take([shown[place][0] for place in order])
        frame = rows.reset_index(drop=True)
        frame["dof"] = frame["dof"].astype(float)
        if len(self._labels) > 1:
            frame.insert(0, "cell", [self._labels[cells[place]] for place in order])
        return frame

    @checked_arguments()
    def glance(self) -> pd.DataFrame:
        """One row a cell: outcome, estimator, numbers of rows, pairs and units, R2."""
        rows = self.estimates.drop_duplicates("cell")
        frame = rows[list(_GLANCE)].reset_index(drop=True)
        frame.insert(0, "cell", [self._labels[cell] for cell in rows["cell"]])
        return frame

    @checked_arguments()
    def covariance(
        self, errors: str | Mapping[str, object] | None = None, cell: str | int | None = None
    ) -> pd.DataFrame:
        """The covariance matrix of the coefficients, terms by terms, under a standard-error type."""
        frame = self.results.frames["covariance"]
        cell_id = self._cell(cell)
        code = self._computed(errors) if errors else self._first_shown(cell_id)
        rows = frame[(frame["errors"] == code) & (frame["cell"] == cell_id)]
        terms = list(dict.fromkeys(rows["term"]))
        return rows.pivot(index="term", columns="other", values="covariance").loc[terms, terms]

    @checked_arguments()
    def errors(self, *types: str | Mapping[str, object] | Sequence[str | Mapping[str, object]]) -> Result:
        """The same results with other standard-error types shown; nothing is computed again.

        A type is named as the job names it: a word, or a mapping such as ``{"spatial": {"distance": 300}}``.

        Raises
        ------
        InputError
            For a type that the job did not compute.
        """
        shown = tuple(
            self._computed(error_type)
            for entry in types
            for error_type in ([entry] if isinstance(entry, str | Mapping) else entry)
        )
        if not shown:
            raise InputError(
                "no type is named", where="errors", remedy=f"name some of {', '.join(self.error_types)}"
            )
        for cell, label in self._labels.items():
            if not set(shown) & set(self.results.types_of[cell]):
                raise InputError(
                    f"cell '{label}' has none of the errors {', '.join(shown)}",
                    where="errors",
                    remedy=f"it has {', '.join(self.results.types_of[cell])}",
                )
        return replace(self, shown=shown)

    # -- draws and pairs

    @checked_arguments("reps", "seed")
    def permute(self, reps: int = 9999, *, seed: int = 0, **options: object) -> DrawnResult:
        """Permutation test: adoption years reassigned among the cities, everything rebuilt in each draw.

        ``strata``, ``screen`` and ``terms`` are options, as under ``inference.permutation``.
        """
        return self._draws("permutation", {"reps": reps, "seed": seed, **options})

    @checked_arguments("reps", "kind", "seed")
    def bootstrap(
        self, reps: int = 9999, *, kind: str = "node", seed: int = 0, **options: object
    ) -> DrawnResult:
        """Bootstrap of cities; ``interval`` and ``weights`` are options, as under ``inference.bootstrap``."""
        return self._draws("bootstrap", {"kind": kind, "reps": reps, "seed": seed, **options})

    def _draws(self, method: str, block: Mapping[str, object]) -> DrawnResult:
        return DrawnResult(self.again({"inference": None, f"inference.{method}": block}).results)

    @checked_arguments()
    def pairs(self, cell: str | int | None = None) -> pd.DataFrame:
        """The pair-year table behind the regression of a cell: units, year, outcome, treatment, regressors."""
        return self.pair_years(self._cell(cell))

    # -- tables and figures

    @checked_arguments("choices")
    def table(
        self, *, title: str | None = None, lang: str | None = None, **choices: Unpack[TableChoices]
    ) -> Table:
        """The table of coefficients; choices that are not made here are those of the block ``table`` of the job.

        Parameters
        ----------
        title : str, optional
        lang : str, optional
            ``en`` or ``zh``; default: that of the job.
        choices
            ``labels`` (printed names by term or series); ``keep``, ``drop``, ``order`` (names of terms, or expressions:
            those printed, left out, printed first); ``digits`` (decimals); ``stars`` (standard-error type of the
            stars, or ``none``); ``errors`` (types printed); ``notes`` (further ones); ``columns`` (headings).
        """
        report = self._report(lang)
        unnamed = self.results.title == UNNAMED
        shown_title = ("" if unnamed else None) if title is None else title
        return Table(
            table_of(report, style=report.table_style.changed(checked_choices(choices)), title=shown_title)
        )

    def printed(self, choices: TableChoices, *, lang: str, units: str) -> PrintedTable:
        """The table as a value, without title, headings and further notes, for `etable`, which names the units."""
        report = self._report(lang)
        report = replace(report, words=replace(report.words, units=units))
        style = replace(report.table_style.changed(choices), columns=(), notes=(), units=units)
        return table_of(report, style=style, title="")

    @checked_arguments()
    def plot(
        self,
        cell: str | int | None = None,
        *,
        title: str | None = None,
        xlabel: str | None = None,
        ylabel: str | None = None,
        lang: str | None = None,
    ) -> Figure:
        """The first figure of a report of the job (event study, curve, main coefficient over the cells), of matplotlib.

        With ``cell``, its label, number or id, the figure is of that cell alone. Without ``title`` the figure has none:
        a caption stands below it in print.
        """
        from engine.report.figure_choices import chosen, fit
        from engine.report.outputs.coefficient_plot import coefficient_figure
        from engine.report.outputs.event_study_plot import EVENT_STUDY_PLOT
        from engine.report.outputs.main_result import main_rows
        from engine.report.outputs.registry import outputs_of

        report = self._report(lang)
        report = replace(report, manifest={**report.manifest, "title": title or ""})
        outputs = outputs_of(report)
        if cell is not None:
            report, outputs = report.of_cell(self._cell(cell)), [EVENT_STUDY_PLOT]
        with chosen(replace(report.figure_choices, title=True)):
            figures = (
                file.figure for output in outputs if output.is_of(report) for file in output.figures(report)
            )
            figure = next(figures, None) or coefficient_figure(
                report.frames["estimates"],
                str(main_rows(report)["term"].iloc[0]),
                title=title or "",
                confidence=report.confidence,
                words=report.words,
                columns=report.columns,
            )
            axes = figure.axes[0]
            if xlabel is not None:
                axes.set_xlabel(xlabel)
            if ylabel is not None:
                axes.set_ylabel(ylabel)
            fit(figure)
        return notebook_figure(figure)

    @checked_arguments()
    def save(self, folder: str | Path) -> Path:
        """Write every file that a run leaves, into this folder: frames, tables, figures, manifest."""
        from engine import pipeline

        folder = output_folder(checked_path(folder, where="save: folder"), where="save: folder")
        pipeline.write(self.results, folder)
        return folder

    # -- how it is shown

    def __repr__(self) -> str:
        return repr(self.table()) + "".join(f"{line}\n" for line in self._warning_lines)

    def _repr_html_(self) -> str:
        paragraphs = "".join(f"<p>{escape(line)}</p>" for line in self._warning_lines)
        return self.table()._repr_html_() + paragraphs

    @property
    def _warning_lines(self) -> list[str]:
        """Warnings as they stand below the table: the first, and how many more there are."""
        texts: list[Value] = [*self.warnings]
        n_further = len(texts) - _WARNINGS
        if n_further > 0:
            texts[_WARNINGS:] = [Note.of("warnings_further", count=n_further, attribute=".warnings")]
        worded = job_words(self.results.manifest).note
        return [worded(Note.of("warning_line", text=text)) for text in texts]

    def _report(self, lang: str | None) -> JobReport:
        """The report, of the shown types where the user chose some."""
        words = job_words(self.results.manifest, lang)
        if not self.shown:
            return JobReport(self.results.frames, self.results.manifest, words)
        frames = {
            name: _of_types(frame, self.shown) if "errors" in frame else frame
            for name, frame in self.results.frames.items()
        }
        table = {
            key: value for key, value in self.results.manifest.get("table", {}).items() if key != "errors"
        }
        return JobReport(frames, {**self.results.manifest, "table": table}, words)

    def _first_shown(self, cell: str) -> str:
        """The type of `tidy`: the first that the user chose, else the preferred one that the table prints."""
        present = self.results.types_of[cell]
        style = EVERYTHING.changed(self.results.manifest.get("table", {}))
        printed = [code for code in style.errors or present if code in present]
        return next(
            (code for code in self.shown if code in present), preferred(printed or present) or present[0]
        )

    @property
    def _labels(self) -> dict[str, str]:
        """Label of each cell by its id."""
        return {cell["cell"]: cell["label"] for cell in self.results.manifest["cells"]}

    def _cell(self, name: str | int | None) -> str:
        """The id of a cell, by label, id or number."""
        cells = [
            CellName(cell["cell"], cell["number"], cell["label"]) for cell in self.results.manifest["cells"]
        ]
        return cells[choose_cell(cells, name, where="cell")].id

    def _computed(self, error_type: str | Mapping[str, object]) -> str:
        try:
            code = str(error_code(plain(error_type)))
        except ValueError as problem:
            raise InputError(str(problem), where="errors") from None
        if code not in self.error_types:
            raise InputError(
                f"there are no errors '{code}' in the results",
                where="errors",
                remedy=f"they have {', '.join(self.error_types)}; others must be among model.errors",
            )
        return code

    # -- beside fits of other packages: the plug-in interface of maketables

    @property
    def __maketables_coef_table__(self) -> pd.DataFrame:
        cell = self._cell(None)
        rows = self.estimates[self.estimates["errors"] == self._first_shown(cell)]
        rows = rows[rows["cell"] == cell]
        names = {
            "estimate": "b", "std_error": "se", "statistic": "t", "p_value": "p", "conf_low": "ci95l",
            "conf_high": "ci95u",
        }  # fmt: skip
        return rows.rename(columns=names).set_index("term")[list(names.values())].rename_axis("Coefficient")

    def __maketables_stat__(self, key: str) -> object:
        name = _STATISTICS.get(key)
        return None if name is None else self.estimates[name].iloc[0]

    @property
    def __maketables_depvar__(self) -> str:
        return str(self.estimates["outcome"].iloc[0])

    @property
    def __maketables_fixef_string__(self) -> str:
        return "+".join(self.results.manifest["cells"][0]["fixed_effects"])

    @property
    def __maketables_vcov_info__(self) -> dict[str, str]:
        return {"vcov_type": error_label(self._first_shown(self._cell(None)), ENGLISH)}

    @property
    def __maketables_default_stat_keys__(self) -> list[str]:
        return ["N", "r2"]


def _of_types(frame: pd.DataFrame, codes: Sequence[str]) -> pd.DataFrame:
    """The rows of some standard-error types, the types in this order within each cell and term."""
    rows = frame[frame["errors"].isin(codes)]
    terms = {"term": rows["term"].unique()} if "term" in rows else {}
    return _in_order(rows, cell=rows["cell"].unique(), **terms, errors=codes)


def _in_order(rows: pd.DataFrame, **values: Iterable[str]) -> pd.DataFrame:
    """The rows sorted by columns, each by the order in which its values are given; equal rows stay as they stand."""
    return rows.iloc[_order(*((rows[name].tolist(), listed) for name, listed in values.items()))]


def _order(*columns: tuple[Sequence[str], Iterable[str]]) -> Integers:
    """Places of rows sorted by columns, given with their values in order; equal rows stay as they stand."""
    ranks = []
    for values, listed in columns:
        rank = {value: place for place, value in enumerate(listed)}
        ranks.append([rank.get(value, len(rank)) for value in values])
    return np.lexsort(ranks[::-1]).astype(np.int32)
