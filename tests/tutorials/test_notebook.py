"""The notebook runs from top to bottom as a newcomer has it, and calls everything that `dyadid` offers."""

from __future__ import annotations

import inspect
import re
import resource
from pathlib import Path
from typing import NamedTuple

import dyadid as dd
import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

NOTEBOOK = Path(__file__).parents[2] / "jobs" / "tutorials" / "notebook.ipynb"
MOST_SECONDS = 60  # of a processor: other tests run beside this one
# What a table is in a terminal and in a cell; `printed` is for `etable`.
_SHOWN_AS_THEY_ARE = {"text", "html", "printed"}


class Executed(NamedTuple):
    """What the cells gave, and the processor's seconds that they took."""

    outputs: list[dict[str, dict[str, str]]]
    seconds: float

    def of_kind(self, kind: str) -> list[str]:
        """Everything of a MIME type."""
        return [output["data"][kind] for output in self.outputs if kind in output.get("data", {})]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    before = seconds_of_children()
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    assert not list(folder.iterdir()), "the notebook writes beside itself"
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return Executed(outputs, seconds_of_children() - before)


def seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_it_runs_within_a_minute(executed: Executed) -> None:
    assert executed.seconds < MOST_SECONDS


def test_cells_show_tables_and_figures(executed: Executed) -> None:
    tables = [html for html in executed.of_kind("text/html") if 'class="dyadid"' in html]
    assert len(tables) >= 8
    assert len(executed.of_kind("image/png")) == 3
    joined = "".join(tables)
    assert "Pilot area" in joined
    assert "成对（dyadic）CR2" in joined
    told = [str(output["text"]) for output in executed.outputs if "text" in output]
    assert any("hint: map it under panel.columns" in text for text in told)
    assert not [text for text in told if "Traceback" in text]


def test_no_cell_is_stored_with_its_output() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.parametrize("owner", [dd.Job, dd.PanelJob, dd.Result, dd.Draws, dd.Table])
def test_every_method_is_used(owner: type) -> None:
    public = {name for name, value in vars(owner).items() if is_public(name) and is_used_by_name(value)}
    assert public
    assert public - words_of_code() <= _SHOWN_AS_THEY_ARE


def test_every_function_is_used() -> None:
    functions = {name for name in dir(dd) if is_public(name) and inspect.isfunction(getattr(dd, name))}
    assert {"run", "panel", "etable"} <= functions
    assert functions <= words_of_code()


def is_public(name: str) -> bool:
    return not name.startswith("_")


def is_used_by_name(value: object) -> bool:
    return isinstance(value, property) or inspect.isfunction(value)


def words_of_code() -> set[str]:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    return {
        word
        for cell in notebook.cells
        if cell.cell_type == "code"
        for word in re.findall(r"\w+", cell.source)
    }
