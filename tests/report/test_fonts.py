"""Chinese in figures, on a machine that has no font for it."""

from __future__ import annotations

import io
import logging
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from matplotlib.ft2font import FT2Font
from matplotlib.image import imread
from report_frames import event_study

from engine.report import figure_style
from engine.report.figure_style import figure_bytes
from engine.report.language.wording import words_of
from engine.report.outputs.event_study_plot import event_study_figure

LANGUAGE = Path(figure_style.__file__).with_name("language")


@pytest.fixture(autouse=True)
def _no_installed_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(figure_style, "_FURTHER", ())
    figure_style.chinese_fonts.cache_clear()
    figure_style._tell_missing.cache_clear()
    yield
    figure_style.chinese_fonts.cache_clear()


def sentences_of(entries: Mapping[str, object]) -> Iterator[str]:
    """Texts of tables within tables."""
    for entry in entries.values():
        if isinstance(entry, Mapping):
            yield from sentences_of(entry)
        else:
            yield str(entry)


def test_the_font_has_every_character_of_our_words() -> None:
    text = (LANGUAGE / "chinese.toml").read_text(encoding="utf-8")
    sentences = "".join(sentences_of(tomllib.loads(text)))
    has = FT2Font(str(figure_style._HAN_SANS_FILE)).get_charmap()
    assert not {character for character in sentences if character >= "\u2e80" and ord(character) not in has}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("form", ["pdf", "png"])
def test_a_chinese_figure_lacks_no_glyph(form: str, caplog: pytest.LogCaptureFixture) -> None:
    figure = event_study_figure(event_study(), title="亳州、衢州与儋州", outcome="gdp", words=words_of("zh"))
    with caplog.at_level(logging.WARNING):
        content = figure_bytes(figure, form)  # type: ignore[arg-type]
    assert not caplog.records
    if form == "pdf":
        assert b"DyadidHanSans" in content
        assert b"/Type3" not in content


def test_characters_are_drawn_and_are_no_boxes() -> None:
    """Pictures of two titles of as many characters differ; of characters without a glyph they are alike."""

    def picture(title: str) -> np.ndarray:
        figure = event_study_figure(event_study(), title=title, outcome="gdp", words=words_of("zh"))
        return np.asarray(imread(io.BytesIO(figure_bytes(figure, "png", dpi=60)), format="png"))

    assert (picture("试点城市") != picture("对照地区")).any()
    np.testing.assert_array_equal(picture("\U000ffffd" * 4), picture("\U000ffffc" * 4))


def test_a_character_beyond_the_font_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """By name, and once for a PDF and its PNG."""
    figure = event_study_figure(event_study(), title="\U00020000邑", outcome="gdp", words=words_of("zh"))
    with caplog.at_level(logging.WARNING):
        figure_bytes(figure, "pdf")
        figure_bytes(figure, "png")
    (record,) = caplog.records
    assert "no font can draw \U00020000 in a figure" in record.getMessage()
