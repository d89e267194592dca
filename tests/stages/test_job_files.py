"""Files of a job: what an earlier run drew does not stand beside what this one has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from engine.report.outputs.output import FigureOutput, JobReport, Output
from engine.stages import job_files

Draw = Callable[..., set[str]]


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Draws figures of these names, and says which pictures the folder has; ``broken`` is one that fails."""

    def drawn(*names: str, broken: str = "") -> set[str]:
        def bytes_of(figure: Figure, form: str) -> bytes:
            if figure.get_label() == broken:
                raise ValueError("no font")
            return form.encode()

        figures = [FigureOutput(name, name, "text", Figure(label=name)) for name in names]
        output = Output(reads=(), figures=lambda _: iter(figures))
        monkeypatch.setattr(job_files, "figure_bytes", bytes_of)
        monkeypatch.setattr(job_files, "outputs_of", lambda _: [output])
        job_files.write_figures(JobReport({}, {}), tmp_path)
        return {path.name for path in tmp_path.iterdir() if path.suffix in (".pdf", ".png")}

    return drawn


def test_figures_of_an_earlier_run_go(draw: Draw, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(b"a picture of the user")
    assert draw("a", "b") == {"a.pdf", "a.png", "b.pdf", "b.png", "mine.png"}
    assert draw("b") == {"b.pdf", "b.png", "mine.png"}
    assert draw() == {"mine.png"}


def test_one_that_is_not_drawn_again_goes_too(draw: Draw) -> None:
    draw("a", "b")
    assert draw("a", "b", broken="b") == {"a.pdf", "a.png"}


@pytest.mark.parametrize("content", ["{", "[1]", "[{}]", json.dumps([{"name": "../x"}])])
def test_a_damaged_list_of_figures_takes_nothing(content: str, draw: Draw, tmp_path: Path) -> None:
    outside = tmp_path.parent / "x.png"
    outside.write_bytes(b"elsewhere")
    (tmp_path / "figures.json").write_text(content)
    assert draw("a") == {"a.pdf", "a.png"}
    assert outside.exists()
