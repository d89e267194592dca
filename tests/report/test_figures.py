"""Figures: what is drawn is what the frame says; files are deterministic and hold their fonts."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.image import imread
from report_frames import event_study, sweep, undefined
from test_balance import frame as balance_frame

from engine.errors import InputError
from engine.report.figure_style import _tell_missing, figure_bytes, title_weight
from engine.report.number_format import number
from engine.report.outputs.city_influence import influence_figure
from engine.report.outputs.coefficient_plot import coefficient_figure, coefficient_text
from engine.report.outputs.covariate_balance import balance_figure
from engine.report.outputs.event_study_overlay import event_studies_figure
from engine.report.outputs.event_study_plot import EventYears, event_study_figure, event_years_text
from engine.report.outputs.placebo_density import Placebo, placebo_figure
from engine.report.palette import GREY, INK


def bars(axes):
    """Vertical bars by line width: an array of (x, low, high)."""
    found = {}
    for lines in axes.collections:
        if isinstance(lines, LineCollection):
            ends = np.array(lines.get_segments())
            found[float(lines.get_linewidth()[0])] = np.column_stack(
                [ends[:, 0, 0], ends[:, 0, 1], ends[:, 1, 1]]
            )
    return found


def points(axes, label):
    line = next(line for line in axes.lines if line.get_label() == label)
    return np.column_stack([line.get_xdata(), line.get_ydata()])


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_event_study_draws_both_bands_the_estimates_and_the_base():
    frame = event_study()
    figure = event_study_figure(frame, title="T")
    (axes,) = figure.axes
    shown = frame[frame["event_time"] != -1]
    columns = ["event_time", "conf_low", "conf_high"]
    drawn = bars(axes)
    np.testing.assert_allclose(drawn[9.0], shown.loc[shown["errors"] == "dyadic", columns], rtol=1e-15)
    np.testing.assert_allclose(drawn[1.6], shown.loc[shown["errors"] == "pair", columns], rtol=1e-15)
    columns = ["event_time", "band_low", "band_high"]
    np.testing.assert_allclose(drawn[0.9], shown.loc[shown["errors"] == "dyadic", columns], rtol=1e-15)
    ends = points(axes, "95% band of all years together")
    band = shown.loc[shown["errors"] == "dyadic", ["band_low", "band_high"]].to_numpy()
    np.testing.assert_allclose(ends[:, 1], band.T.ravel(), rtol=1e-15)
    estimates = shown.loc[shown["errors"] == "pair", ["event_time", "estimate"]]
    np.testing.assert_array_equal(points(axes, "estimate"), estimates)
    np.testing.assert_array_equal(points(axes, "reference period (−1)"), [[-1.0, 0.0]])
    base = next(line for line in axes.lines if line.get_label().startswith("reference period"))
    assert base.get_markerfacecolor() == "white"
    assert legend(figure) == [
        "95% band of all years together", "95% interval, dyadic-robust", "95% interval, pair-clustered", "estimate",
        "reference period (−1)",
    ]  # fmt: skip
    horizontal, vertical = axes.lines[:2]
    assert (list(horizontal.get_ydata()), list(vertical.get_xdata())) == ([0, 0], [-0.5, -0.5])


@pytest.mark.parametrize(("binned", "ends"), [(True, ("≤ −3", "≥ 2")), (False, ("−3", "2"))])
def test_end_labels_say_whether_they_are_binned(binned, ends):
    (axes,) = event_study_figure(event_study(), title="T", event_years=EventYears(binned=binned)).axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == [ends[0], "−2", "−1", "0", "1", ends[1]]


def test_the_base_may_be_absent_from_the_frame():
    frame = event_study()
    (axes,) = event_study_figure(frame[frame["event_time"] != -1], title="T").axes
    np.testing.assert_array_equal(axes.get_xticks(), [-3, -2, -1, 0, 1, 2])


def test_other_kinds_stand_in_for_absent_ones():
    frame = event_study()
    figure = event_study_figure(frame[frame["errors"].isin(["city", "jackknife"])], title="T", confidence=0.9)
    assert legend(figure)[:3] == [
        "90% band of all years together", "90% interval, jackknife CRV3", "90% interval, two-way city",
    ]  # fmt: skip
    only = event_study_figure(frame[frame["errors"] == "pair"], title="T")
    assert legend(only)[:2] == ["95% interval, pair-clustered", "estimate"]


def test_no_band_is_drawn_where_none_is_defined():
    frame = event_study().assign(band_low=np.nan, band_high=np.nan)
    figure = event_study_figure(frame, title="T")
    assert legend(figure)[0] == "95% interval, dyadic-robust"
    assert 0.9 not in bars(figure.axes[0])


def test_an_undefined_interval_is_marked_and_not_drawn():
    frame = event_study()
    frame = undefined(frame, (frame["errors"] == "dyadic") & (frame["event_time"] == 1))
    (axes,) = event_study_figure(frame, title="").axes
    assert 1.0 not in bars(axes)[9.0][:, 0]
    assert [(text.get_text(), text.xy[0]) for text in axes.texts] == [("n/a", 1.0)]


def test_coefficients_stand_at_their_columns_with_every_interval():
    frame = sweep(3)
    figure = coefficient_figure(frame, "x0", title="T")
    (axes,) = figure.axes
    for kind, label in (
        ("pair", "pair-clustered"), ("city", "two-way city"), ("dyadic", "dyadic-robust"),
        ("jackknife", "jackknife CRV3"),
    ):  # fmt: skip
        rows = frame[(frame["term"] == "x0") & (frame["errors"] == kind)]
        drawn = points(axes, label)
        np.testing.assert_array_equal(np.round(drawn[:, 0]), [2, 3])
        np.testing.assert_array_equal(drawn[:, 1], rows["estimate"])
    drawn = np.concatenate([np.array(lines.get_segments())[:, :, 1] for lines in axes.collections])
    expected = frame.loc[frame["term"] == "x0", ["conf_low", "conf_high"]].to_numpy()
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["(1)", "(2)", "(3)"]


def test_an_interval_far_longer_than_the_others_does_not_flatten_them():
    frame = sweep(4)
    chosen = (
        (frame["term"] == "policy")
        & (frame["errors"] == "dyadic")
        & (frame["cell"] == frame["cell"].iloc[-1])
    )
    long = frame.assign(
        conf_low=frame["conf_low"].mask(chosen, -400.0), conf_high=frame["conf_high"].mask(chosen, 500.0)
    )
    (usual,), (cut,) = (coefficient_figure(each, "policy", title="T").axes for each in (frame, long))
    assert np.ptp(cut.get_ylim()) < 2 * np.ptp(usual.get_ylim())
    triangles = [line for line in cut.lines if not line.get_clip_on()]
    assert [line.get_marker() for line in triangles] == ["v", "^"]
    assert {round(float(line.get_xdata()[0])) for line in triangles} == {4}
    assert all(line.get_clip_on() for line in usual.lines)


def test_of_two_intervals_the_long_one_is_cut_and_so_is_its_estimate():
    frame = sweep(2, kinds={"pair": 1.0})
    rows = frame[frame["term"] == "policy"]
    first, last = (rows["cell"] == rows["cell"].iloc[0], rows["cell"] == rows["cell"].iloc[-1])
    long = rows.assign(
        estimate=rows["estimate"].mask(last, 400.0),
        conf_low=rows["conf_low"].mask(last, -9000.0), conf_high=rows["conf_high"].mask(last, 9000.0),
    )  # fmt: skip
    (axes,) = coefficient_figure(long, "policy", title="T").axes
    assert np.ptp(axes.get_ylim()) < 3 * rows.loc[first, "conf_high"].iloc[0]
    assert sum(not line.get_clip_on() for line in axes.lines) == 2


def test_many_columns_thin_out_their_labels():
    frame = sweep(1, kinds={"pair": 1.0})
    many = [frame.assign(cell=f"c{place}") for place in range(100)]
    (axes,) = coefficient_figure(pd.concat(many), "policy", title="T").axes
    assert len(axes.get_xticks()) <= 40


@pytest.mark.parametrize("form", ["png", "pdf"])
def test_equal_figures_give_equal_bytes(form):
    first, second = (figure_bytes(event_study_figure(event_study(), title="T"), form) for _ in range(2))
    assert first == second
    assert b"CreationDate" not in first
    assert b"Matplotlib" not in first
    assert first.startswith(b"%PDF" if form == "pdf" else b"\x89PNG")


def test_png_keeps_its_resolution_and_its_colours_are_few():
    """Word and LaTeX take the size in print from the resolution."""
    from PIL import Image

    picture = Image.open(
        io.BytesIO(figure_bytes(event_study_figure(event_study(), title=""), "png", dpi=200))
    )
    assert picture.info["dpi"] == pytest.approx((200, 200), abs=0.1)
    assert picture.mode == "P"


def test_both_bands_differ_in_greyscale():
    png = figure_bytes(event_study_figure(event_study(), title=""), "png", dpi=100)
    grey = imread(io.BytesIO(png), format="png")[..., :3] @ [0.299, 0.587, 0.114]
    wide, narrow = (np.dot([int(c[k : k + 2], 16) for k in (1, 3, 5)], [0.299, 0.587, 0.114]) / 255
                    for c in ("#5598C8", "#0B2545"))  # fmt: skip
    assert min(1 - wide, wide - narrow) > 0.35
    assert np.isclose(grey, wide, atol=0.01).sum() > 500
    assert np.isclose(grey, narrow, atol=0.02).sum() > 50


def test_type_is_embedded_as_outlines_a_journal_takes():
    pdf = figure_bytes(event_study_figure(event_study(), title="T"), "pdf")
    assert b"/Type3" not in pdf
    assert b"/CIDFontType2" in pdf


@pytest.mark.filterwarnings("error")
def test_no_character_of_a_title_breaks_a_figure(caplog):
    _tell_missing.cache_clear()  # each is told once in a process
    figure = event_study_figure(
        event_study(), title="图 1 $x_ & 100% $", subtitle="\U000ffffd", outcome="协同 $"
    )
    with caplog.at_level(logging.WARNING):
        assert figure_bytes(figure, "pdf").startswith(b"%PDF")
    # No font has the last one, whatever is installed here.
    assert "no font can draw \U000ffffd in a figure" in caplog.text


def test_a_long_title_stays_inside_its_figure():
    """Title of a job and label of a cell: of every kind of figure that may get both."""
    long = (
        "Table 2. Location and human capital: pairs.split=students_per_10k: low: placebo, cities dealt anew"
    )
    left_out = pd.DataFrame({"left_out": ["P01", "P02"], "shift": [0.1, -0.2]})
    draws = np.linspace(-1, 1, 50)
    for figure in (
        influence_figure(left_out, term="policy", title=long, subtitle="S"),
        placebo_figure(Placebo("policy", 0.3, 0.2, 0.2, draws, draws / 2), title=long, subtitle="S"),
        placebo_figure(Placebo("policy", 0.3, 0.2, 0.2, draws), title=long, subtitle="S"),
        balance_figure(balance_frame(), title=long, subtitle="S"),
    ):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        texts = [figure._suptitle, *figure.axes[0].texts]
        for text in texts:
            box = text.get_window_extent(canvas.get_renderer())
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.width
        assert "dealt anew" in texts[0].get_text().replace("\n", " ")
        # The look of the figures with a `canvas`: a bold title, and the subtitle smaller and grey.
        looks = [(text.get_fontweight(), text.get_fontsize(), text.get_color()) for text in texts]
        assert looks == [("bold", 11, INK), ("normal", 9, GREY)]
        assert texts[1].get_text() == "S"


@pytest.mark.parametrize("n_panels", [1, 2])
def test_titles_of_the_panels_of_a_placebo_stay_over_their_panels(n_panels):
    draws = np.linspace(-1, 1, 50)
    placebo = Placebo("policy", 0.3, 0.0012, 0.0034, draws, draws if n_panels == 2 else None)
    figure = placebo_figure(placebo, title="T", subtitle="S")
    drawn_canvas = FigureCanvasAgg(figure)
    drawn_canvas.draw()
    boxes = [panel._left_title.get_window_extent(drawn_canvas.get_renderer()) for panel in figure.axes]
    assert len(boxes) == n_panels
    ends = [*(panel.get_window_extent().x0 for panel in figure.axes[1:]), figure.bbox.width]
    assert all(box.x1 < end - 5 for box, end in zip(boxes, ends, strict=True))


def drawn_labels(figure):
    """Labels of the event years that are drawn, by year, and their extents from left to right."""
    drawn_canvas = FigureCanvasAgg(figure)
    drawn_canvas.draw()
    (axes,) = figure.axes
    labels = {
        int(year): label
        for year, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if label.get_text()
    }
    boxes = [label.get_window_extent(drawn_canvas.get_renderer()) for label in labels.values()]
    return {year: label.get_text() for year, label in labels.items()}, boxes


@pytest.mark.parametrize("base", [-1, None, -3])
@pytest.mark.parametrize(
    ("first", "last"), [(-49, 20), (-12, 14), (-14, 15), (-16, 16), (-3, 40), (-120, 3), (-4, 5)]
)
def test_labels_of_event_years_never_overlap(first, last, base):
    years = [year for year in range(first, last + 1) if year != -1]  # which the frame has anyway
    figure = event_study_figure(
        event_study(years), title="T", event_years=EventYears(base), outcome="synchronization of gdp_growth"
    )
    labels, boxes = drawn_labels(figure)
    assert all(left.x1 + 2 < right.x0 for left, right in pairwise(boxes))
    assert {first, last, *([] if base is None else [base])} <= set(labels)
    assert labels[last] == f"≥ {last}"
    inner = [year for year in labels if year not in (first, last)]
    (step,) = {later - earlier for earlier, later in pairwise(inner)}
    assert {(year - (base or 0)) % step for year in inner} == {0}
    assert len(labels) >= min(10, last - first)


def test_few_event_years_have_all_their_labels():
    figure = event_study_figure(event_study([*range(-10, -1), *range(11)]), title="T")
    assert len(drawn_labels(figure)[0]) == 21


def test_figures_leave_the_global_state_of_matplotlib_alone():
    code = (
        "import sys, engine.report.figure_style as f, engine.report.outputs.coefficient_plot as c\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import matplotlib; before = matplotlib.rcParams.copy()\n"
        "from report_frames import sweep\n"
        "f.figure_bytes(c.coefficient_figure(sweep(2), 'policy', title='T'), 'pdf')\n"
        "assert matplotlib.rcParams.copy() == before; assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_text_alternatives_hold_the_numbers():
    frame = event_study()
    text = event_years_text(frame)
    for row in frame[frame["errors"] == "dyadic"].itertuples():
        assert f"year {row.event_time}: {number(row.estimate)} [{number(row.conf_low)}, " in text
    text = coefficient_text(sweep(3), "x1")
    assert text.startswith("Coefficient of x1; estimates with dyadic-robust intervals. column 3: -1.0000 [")
    assert "column 1:" not in text


def test_bad_frames_are_refused():
    frame = event_study()
    with pytest.raises(InputError, match="event_study: the column 'conf_low' is missing"):
        event_study_figure(frame.drop(columns="conf_low"), title="T")
    with pytest.raises(InputError, match="event_study: the column 'band_high' is missing"):
        event_study_figure(frame.drop(columns="band_high"), title="T")
    with pytest.raises(InputError, match="there are no rows"):
        event_study_figure(frame.iloc[:0], title="T")
    two = pd.concat([frame, event_study(cell="e1")])
    with pytest.raises(InputError, match="rows are of several cells"):
        event_study_figure(two, title="T")
    for call in (
        lambda: coefficient_figure(sweep(2), "nope", title="T"),
        lambda: coefficient_text(sweep(2), "nope"),
    ):
        with pytest.raises(InputError, match=r"there is no term 'nope'\n  hint: name one of: policy, x0"):
            call()


def test_a_chinese_title_has_one_weight_throughout() -> None:
    """The font of the package has no bold."""
    assert title_weight("图1 事件研究") == title_weight("Figure 1（续）") == "normal"
    assert title_weight("Figure 1. Years, €") == "bold"


def band_times(factor):
    """An event study whose bands are so many times as high as its intervals."""
    frame = event_study()
    for end in ("low", "high"):
        frame[f"band_{end}"] = frame["estimate"] + factor * (frame[f"conf_{end}"] - frame["estimate"])
    return frame


@pytest.mark.parametrize(("factor", "leaves"), [(1.3, False), (4.0, True)])
def test_a_band_that_would_press_the_intervals_together_leaves_the_figure(factor, leaves):
    frame = band_times(factor)
    figure = event_study_figure(frame, title="t")
    (axes,) = figure.axes
    bottom, top = axes.get_ylim()
    assert bottom <= frame["conf_low"].min() < frame["conf_high"].max() <= top  # intervals stay whole
    height = frame["conf_high"].max() - frame["conf_low"].min()
    assert top - bottom < (1.2 if leaves else 1.6) * height
    assert (frame["band_high"].max() > top) == leaves
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert ("band beyond the figure" in words) == leaves
    triangles = [
        line for line in axes.get_lines() if line.get_marker() in ("^", "v") and len(line.get_xdata())
    ]
    ends = sum(len(line.get_xdata()) for line in triangles)
    tested = frame[frame["std_error"] > 0].drop_duplicates("event_time")
    assert (0 < ends <= 2 * len(tested)) == leaves
    assert all(value in (bottom, top) for line in triangles for value in line.get_ydata())


def test_bands_of_several_studies_leave_their_figure_together():
    studies = {"a": band_times(4.0), "b": band_times(1.1)}
    figure = event_studies_figure(studies, title="t", base=-1)
    assert "band beyond the figure" in [text.get_text() for text in figure.legends[0].get_texts()]
    bottom, top = figure.axes[0].get_ylim()
    assert top - bottom < 1.3 * (studies["a"]["conf_high"].max() - studies["a"]["conf_low"].min())
