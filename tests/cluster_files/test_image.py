"""The Dockerfile, without a container engine: linted, what it copies is there, and its Python is one that is tested.

Its RUN line was carried out by hand, see cluster/kubernetes/README.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[2]
FILE = ROOT / "cluster/Dockerfile"


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, str]]:
    with FILE.open("rb") as stream:
        parser = DockerfileParser(fileobj=stream)
        return [
            (one["instruction"], one["value"]) for one in parser.structure if one["instruction"] != "COMMENT"
        ]


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint comes as a wheel for some platforms only")
    found = subprocess.run([hadolint, FILE], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_what_it_copies_is_there_and_goes_to_the_builder(steps: list[tuple[str, str]]) -> None:
    copied = [
        value.split()[:-1] for name, value in steps if name == "COPY" and not value.startswith("--from=")
    ]
    names = {name for group in copied for name in group}
    assert names
    for name in names:
        assert (ROOT / name).exists()
    lines = FILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == names


def test_packages_files_need_nothing_else() -> None:
    """What pyproject.toml names at the top is copied."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {project["readme"], *project["license-files"], "pyproject.toml"}
    (first,) = [line for line in FILE.read_text().splitlines() if line.startswith("COPY pyproject.toml")]
    assert wanted == set(first.split()[1:-1])


def test_python_is_pinned_and_allowed(steps: list[tuple[str, str]]) -> None:
    bases = [value for name, value in steps if name == "FROM"]
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:\$\{PYTHON\}-slim-\w+( AS build)?", base) for base in bases)
    (pinned,) = [
        value.partition("=")[2] for name, value in steps if name == "ARG" and value.startswith("PYTHON=")
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least = project["requires-python"].removeprefix(">=")
    assert tuple(map(int, pinned.split("."))) >= tuple(map(int, least.split(".")))
    extras = {
        value.partition("=")[2] for name, value in steps if name == "ARG" and value.startswith("EXTRAS=")
    }
    assert extras <= project["optional-dependencies"].keys()


def test_does_not_run_as_root_and_takes_no_secret(steps: list[tuple[str, str]]) -> None:
    assert [value for name, value in steps if name == "USER"] == ["10001:10001"]
    names = [value for name, value in steps if name in ("ARG", "ENV")]
    assert not re.search(r"(?i)token|password|secret|key", " ".join(names))


def test_the_same_image_in_every_example() -> None:
    """Driver, profile and the command that builds it have one tag: that of this version."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    texts = [
        (ROOT / "cluster" / name).read_text()
        for name in ("kubernetes.yaml", "kubernetes/driver.yaml", "Dockerfile")
    ]
    for text in texts:
        assert set(re.findall(r"/dyadid:([\w.]+)", text)) == {version}
