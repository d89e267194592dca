"""The heat map of effects by the adoption years of both cities: colours, hatches, lines, labels against the frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PatchCollection, QuadMesh

from engine.report.figure_style import figure_bytes
from engine.report.language.wording import ENGLISH, words_of
from engine.report.outputs.pair_group_time import heat_map, heat_map_text, type_label

NEVER = np.inf
TYPES = ((2013.0, 2013.0), (2013.0, 2015.0), (2013.0, NEVER), (2015.0, NEVER))


def effects(years=range(2010, 2018)):
    """Rule count; the last type has no controls from 2016 on."""
    rng = np.random.default_rng(1)
    rows = [
        (first, second, year, year - int(first), float((year >= first) + (year >= second)), 12)
        for first, second in TYPES
        for year in years
        if year != years[0]
    ]
    columns = ["adopted_i", "adopted_j", "year", "event_time", "treatment", "n_pairs"]
    frame = pd.DataFrame(rows, columns=columns).assign(estimate=rng.normal(size=len(rows)) / 10)
    gone = (frame["adopted_i"] == 2015) & (frame["year"] >= 2016)
    return frame.assign(
        estimate=frame["estimate"].mask(gone),
        reason=np.where(gone, "no_controls", ""),
        cell="a",
        errors="pair",
    )


def collections(axes, kind):
    return [collection for collection in axes.collections if type(collection) is kind]


def test_every_effect_has_its_cell_and_the_scale_is_centred_at_zero():
    frame = effects()
    axes = heat_map(frame, title="T").axes[0]
    (mesh,) = collections(axes, QuadMesh)
    low, high = mesh.get_clim()
    assert (low, high) == (-frame["estimate"].abs().max(), frame["estimate"].abs().max())
    first = frame["event_time"].min()
    drawn = mesh.get_array().reshape(len(TYPES), -1)
    for row in frame.itertuples():
        value = drawn[TYPES.index((row.adopted_i, row.adopted_j)), row.event_time - first]
        assert np.ma.is_masked(value) if np.isnan(row.estimate) else value == row.estimate
    assert drawn.count() == frame["estimate"].notna().sum()
    below, middle, above = (mesh.cmap(mesh.norm(value)) for value in (low, 0.0, high))
    assert below[0] > below[2]  # orange
    assert above[2] > above[0]  # blue
    assert np.ptp(middle[:3]) < 0.02


def test_what_nothing_identifies_is_hatched():
    frame = effects()
    figure = heat_map(frame, title="T")
    (hatched,) = collections(figure.axes[0], PatchCollection)
    assert hatched.get_hatch()
    corners = sorted(path.vertices[0].tolist() for path in hatched.get_paths())
    assert corners == [[0.5, 2.5], [1.5, 2.5]]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["not identified", "treatment changes"]
    whole = heat_map(frame[frame["estimate"].notna()], title="T")
    assert not collections(whole.axes[0], PatchCollection)
    assert [text.get_text() for text in whole.legends[0].get_texts()] == ["treatment changes"]


def test_lines_stand_where_the_treatment_changes():
    axes = heat_map(effects(), title="T").axes[0]
    (lines,) = collections(axes, LineCollection)
    ends = sorted((segment[0, 0], segment[:, 1].mean()) for segment in np.array(lines.get_segments()))
    assert ends == [(-0.5, 0.0), (-0.5, 1.0), (-0.5, 2.0), (-0.5, 3.0), (1.5, 1.0)]


@pytest.mark.parametrize(
    ("lang", "label", "across"),
    [
        ("en", "2013, never (12)", "Years since"),
        ("zh", "2013、从未处理 (12)", "距城市对的处理首次变化的年数"),
    ],
)
def test_labels_are_in_the_language_and_within_the_figure(lang, label, across):
    words = words_of(lang)
    figure = heat_map(effects(), title="T", subtitle="S", outcome="synchronization of output", words=words)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()][2] == label
    assert axes.get_xlabel().startswith(across)
    assert axes.get_xticklabels()[0].get_text() == "−4"
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for text in [axes.xaxis.label, axes.yaxis.label, *axes.get_yticklabels(), *figure.legends[0].get_texts()]:
        box = text.get_window_extent(canvas.get_renderer())
        assert 0 <= box.x0 <= box.x1 <= figure.bbox.width
        assert 0 <= box.y0 <= box.y1 <= figure.bbox.height


@pytest.mark.filterwarnings("error")
def test_many_types_and_no_effect_at_all_are_drawn():
    classes = [*range(2012, 2019), NEVER]
    types = [(float(i), float(j)) for k, i in enumerate(classes[:-1]) for j in classes[k:]]
    rows = [
        (*pair, year, year - int(pair[0]), float(year >= pair[0]), 3, "a", "pair", "")
        for pair in types
        for year in range(2009, 2021)
    ]
    columns = [
        "adopted_i",
        "adopted_j",
        "year",
        "event_time",
        "treatment",
        "n_pairs",
        "cell",
        "errors",
        "reason",
    ]
    frame = pd.DataFrame(rows, columns=columns).assign(estimate=0.1)
    assert figure_bytes(heat_map(frame, title="T"), "pdf").startswith(b"%PDF")
    none = frame.assign(estimate=np.nan)
    assert figure_bytes(heat_map(none, title="T"), "png").startswith(b"\x89PNG")
    assert heat_map_text(none).startswith("None of the 420 effects")


def test_the_figure_in_words():
    frame = effects()
    frame.loc[5, "estimate"] = -0.75
    row = frame.loc[5]
    years = type_label(row["adopted_i"], row["adopted_j"])
    assert heat_map_text(frame, ENGLISH) == (
        "Effects by the adoption years of the two cities: 26 of 28 types and years are identified; the largest in "
        f"absolute value, of {years} in {row['year']}, is -0.7500."
    )
