"""What an installation has is enough: every package that the engine imports, or asks the version of, is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

from engine.runtime.source_code import NUMERIC_PACKAGES
from engine.stages import finished_runs, manifest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {"yaml": "pyyaml", "PIL": "pillow", "distributed": "dask", "dask_jobqueue": "dask-jobqueue"}
OF_NOTEBOOKS = {"ipython"}
"""Imported where it runs already."""
OF_DEPENDENCIES = {"jaxlib", "fsspec", "click", "toolz", "tornado", "pydantic_core", "httpx"}
"""Packages that come with another, which cannot do without."""


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[><=~;! ]", text)[0].lower() for text in requirements}


def imported() -> dict[str, set[str]]:
    """Modules of other packages that the engine imports, each with the files that do."""
    modules: dict[str, set[str]] = {}
    for path in sorted((ROOT / "engine").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found: list[str] = []
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found = [node.module]
            for name in found:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and top not in ("engine", "dyadid"):
                    modules.setdefault(top, set()).add(path.name)
    return modules


def test_every_import_is_of_a_declared_package() -> None:
    extras = {
        name
        for extra in ("text", "cluster", "gpu", "tables")
        for name in names(PROJECT["optional-dependencies"][extra])
    }
    allowed = names(PROJECT["dependencies"]) | extras | OF_DEPENDENCIES | OF_NOTEBOOKS
    undeclared = {
        module: files
        for module, files in imported().items()
        if DISTRIBUTIONS.get(module, module).lower() not in allowed
    }
    assert not undeclared


def test_every_version_that_a_run_states_is_of_an_installed_package() -> None:
    """A run once asked for the version of openpyxl, which only tests need, and failed where it was not."""
    allowed = names(PROJECT["dependencies"]) | {"dyadid", "distributed", "jaxlib"}
    asked = {*NUMERIC_PACKAGES, *manifest._PACKAGES, *finished_runs._PAINTERS}
    assert {name.lower() for name in asked} <= allowed
