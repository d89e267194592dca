"""Balance: numbers against literal sums and statsmodels; what is drawn and said is what the frame holds."""

from __future__ import annotations

import csv
import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import InputError
from engine.estimate.covariate_balance import balance
from engine.report.figure_style import figure_bytes
from engine.report.number_format import number
from engine.report.outputs.covariate_balance import balance_figure, balance_table, balance_text

NAMES = ("edu", "open", "tech")
ROUNDING = 1e-10
"""Relative: the same sums over some hundred rows, of columns whose mean is a hundred times their spread."""


def world(seed: int, n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns, treated, and frequencies as matching gives them: 1 or 0 for treated rows, 0 to 3 for controls."""
    rng = np.random.default_rng(seed)
    treated = rng.random(n) < 0.4
    x = rng.normal(size=(n, 3)) * [1, 0.1, 50] + np.outer(treated, [0.5, 0, -20]) + [0, 10, 1000]
    weight = np.where(treated, rng.integers(0, 2, n), rng.integers(0, 4, n)).astype(float)
    weight[np.flatnonzero(treated)[:2]] = 1
    weight[np.flatnonzero(~treated)[:2]] = 1
    return x, treated, weight


def frame(**changes: object) -> pd.DataFrame:
    return balance(*world(0), names=NAMES).assign(**changes)


# -- numbers -----------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_equals_repeated_rows_and_statsmodels(seed: int) -> None:
    x, treated, weight = world(seed)
    own = balance(x, treated, weight, names=NAMES)
    expected = []
    for name, column in zip(NAMES, x.T, strict=True):
        row: dict[str, object] = {"column": name}
        arms = [column[treated], column[~treated]]
        deviation = np.sqrt((arms[0].var(ddof=1) + arms[1].var(ddof=1)) / 2)
        for when, w in (("before", np.ones(len(x))), ("after", weight)):
            one, other = (np.repeat(column[arm], w[arm].astype(int)) for arm in (treated, ~treated))
            kept = w > 0
            fit = sm.WLS(column[kept], sm.add_constant(treated[kept].astype(float)), weights=w[kept]).fit()
            row |= {
                f"mean_treated_{when}": one.mean(),
                f"mean_control_{when}": other.mean(),
                f"smd_{when}": (one.mean() - other.mean()) / deviation,
                f"variance_ratio_{when}": one.var(ddof=1) / other.var(ddof=1),
                f"t_{when}": fit.tvalues[1],
            }
        expected.append(row)
    # A difference near zero is one of means that carry rounding.
    pd.testing.assert_frame_equal(own, pd.DataFrame(expected), rtol=ROUNDING, atol=1e-11, check_exact=False)


def test_weights_of_one_change_nothing() -> None:
    x, treated, _ = world(1)
    own = balance(x, treated, np.ones(len(x)), names=NAMES)
    for name in own.columns[1:6]:
        np.testing.assert_array_equal(own[name], own[name.replace("_before", "_after")])


def test_exact_copies_balance_exactly() -> None:
    x = np.array([[1.0], [4.0], [9.0], [4.0], [1.0], [7.0]])
    treated = np.array([True, True, False, False, False, False])
    own = balance(x, treated, np.array([1.0, 1, 0, 1, 1, 0]), names=["x"])
    assert own.loc[0, ["mean_treated_before", "mean_control_before"]].tolist() == [2.5, 5.25]
    assert own.loc[0, ["smd_after", "t_after"]].tolist() == [0, 0]
    assert own.loc[0, "variance_ratio_after"] == 1
    # Variances 4.5 and 12.25: (2.5 - 5.25) / sqrt(8.375).
    assert own.loc[0, "smd_before"] == pytest.approx(-2.75 / np.sqrt(8.375), rel=1e-15)


def test_what_has_no_variance_is_undefined() -> None:
    x = np.array([[1.0, 2.0], [1.0, 3.0], [1.0, 5.0], [1.0, 7.0]])
    treated = np.array([True, True, False, False])
    own = balance(x, treated, np.array([1.0, 0, 1, 0]), names=["flat", "x"]).set_index("column")
    assert own.loc["flat", ["mean_treated_before", "mean_control_after"]].tolist() == [1, 1]
    tenth = balance(np.full((7, 1), 0.1), np.arange(7) < 3, np.ones(7), names=["tenth"])
    assert tenth.filter(regex="smd|ratio|^t_").isna().all(axis=None)
    assert own.loc["flat", ["smd_before", "smd_after", "variance_ratio_before", "t_before"]].isna().all()
    # One row an arm has a mean, and no variance.
    assert own.loc["x", ["variance_ratio_after", "t_after"]].isna().all()
    assert own.loc["x", "smd_after"] == pytest.approx(-3 / np.sqrt(1.25), rel=1e-15)


def test_empty_arms_and_shapes_are_refused() -> None:
    x, treated, weight = world(0)
    with pytest.raises(
        InputError, match="balance: there are no treated rows, or no controls, after matching"
    ):
        balance(x, treated, np.where(treated, weight, 0), names=NAMES)
    with pytest.raises(InputError, match="or no controls, before matching"):
        balance(x, np.ones(len(x), dtype=bool), weight, names=NAMES)
    with pytest.raises(ValueError, match="expected columns"):
        balance(x, treated, weight, names=NAMES[:2])
    with pytest.raises(ValueError, match="expected columns"):
        balance(x, treated, weight[1:], names=NAMES)


# -- table -------------------------------------------------------------------------------------------------


def test_the_table_holds_every_number_of_the_frame() -> None:
    own = frame(variance_ratio_after=[1.0, np.nan, 2.0])
    table = balance_table(own, title="Table 3. Balance")
    header, *rows = csv.reader(io.StringIO(table.to_csv()))
    assert header == ["term", "row", "Treated", "Controls", "SMD", "Variance ratio", "t"]
    assert [row[1] for row in rows] == [f"{name}, {when}" for name in NAMES for when in ("before", "after")]
    measures = ("mean_treated", "mean_control", "smd", "variance_ratio", "t")
    values = [
        [record[f"{measure}_{when}"] for measure in measures]
        for record in own.to_dict("records")
        for when in ("before", "after")
    ]
    np.testing.assert_array_equal([[float(v or "nan") for v in row[2:]] for row in rows], values)
    text = table.to_text()
    assert text.startswith("Table 3. Balance\n")
    for value in own["smd_after"]:
        assert number(value) in text


# -- figure ------------------------------------------------------------------------------------------------


def test_the_figure_draws_both_differences_the_largest_on_top() -> None:
    own = frame(smd_before=[0.1, -0.9, 0.3], smd_after=[0.0, 0.05, np.nan])
    figure = balance_figure(own, title="T", subtitle="S", limit=0.2)
    (axes,) = figure.axes
    drawn = {line.get_label(): np.column_stack([line.get_xdata(), line.get_ydata()]) for line in axes.lines}
    np.testing.assert_array_equal(drawn["before matching"], [[0.1, 0], [0.3, 1], [-0.9, 2]])
    np.testing.assert_array_equal(drawn["after matching"], [[0.0, 0], [np.nan, 1], [0.05, 2]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["edu", "tech", "open"]
    upright = [line.get_xdata()[0] for line in axes.lines if line.get_label().startswith("_")]
    assert sorted(upright) == [-0.2, 0, 0.2]
    assert figure.get_suptitle().strip() == "T"
    assert [text.get_text() for text in axes.texts] == ["S"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "before matching",
        "after matching",
    ]


def test_equal_figures_give_equal_bytes() -> None:
    first, second = (figure_bytes(balance_figure(frame(), title="T"), "pdf") for _ in range(2))
    assert first == second
    assert b"/Type3" not in first


def test_the_figure_in_words() -> None:
    own = frame(smd_before=[0.1, -0.9, 0.3], smd_after=[0.0, 0.05, np.nan])
    said = balance_text(own)
    assert said.endswith(
        "open: -0.9000 before, 0.0500 after; tech: 0.3000 before, not defined after; "
        "edu: 0.1000 before, 0.0000 after."
    )


def test_frames_without_differences_are_refused() -> None:
    for call in (lambda own: balance_figure(own, title="T"), balance_text):
        with pytest.raises(
            InputError, match="balance: the column 'smd_after' is missing\n  hint: run the job"
        ):
            call(frame().drop(columns="smd_after"))
        with pytest.raises(InputError, match="no standardised difference is defined"):
            call(frame(smd_before=np.nan))
    with pytest.raises(InputError, match="the column 't_before' is missing"):
        balance_table(frame().drop(columns="t_before"), title="T")


def test_neither_jax_nor_matplotlib_is_imported_for_numbers() -> None:
    code = (
        "import sys, numpy as np\n"
        "import engine.report.outputs.covariate_balance as b, engine.estimate.covariate_balance as m\n"
        "b.balance_text(m.balance(np.arange(8.0)[:, None], np.arange(8) % 2 > 0, np.ones(8), names=['x']))\n"
        "assert 'matplotlib' not in sys.modules and 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
