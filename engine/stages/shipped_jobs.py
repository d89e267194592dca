"""The jobs that come with the package, for those who have no copy of the repository."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from engine.errors import InputError
from engine.runtime.files import write_bytes, writing

_PLACE = "share/dyadid/jobs/"  # below the environment's root, see pyproject.toml


def write_shipped_jobs(folder: Path) -> tuple[Path, ...]:
    """Copy the shipped jobs into a new folder, or an empty one; their paths, in order.

    Raises
    ------
    InputError
        Where something is in the folder already, or the package has no jobs with it.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(
            "this is a file, not a folder", where=str(folder), remedy="name a new folder by --paper"
        )
    if folder.exists() and any(folder.iterdir()):
        raise InputError("the folder is not empty", where=str(folder), remedy="name a new one by --paper")
    jobs = shipped_jobs()
    if not jobs:
        raise InputError(
            "this installation has no jobs with it",
            where="--paper",
            remedy="install dyadid with pip, or take the folder jobs/ of the repository",
        )
    paths = []
    with writing(folder):
        for name, path in sorted(jobs.items(), key=lambda job: (len(job[0].parts), job[0])):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            paths.append(write_bytes(target, path.read_bytes()))
    return tuple(paths)


def shipped_jobs() -> dict[Path, Path]:
    """Files of the shipped jobs by their names below ``jobs/``: those of the repository, or of what pip installed."""
    repository = Path(__file__).parents[2]
    if (repository / "pyproject.toml").exists():
        return {path.relative_to(repository / "jobs"): path for path in (repository / "jobs").rglob("*.yaml")}
    try:
        installed = metadata.files("dyadid") or []
    except metadata.PackageNotFoundError:
        return {}
    jobs = {}
    for path in installed:
        _, place, name = path.as_posix().rpartition(_PLACE)
        if place and path.suffix == ".yaml":
            jobs[Path(name)] = Path(str(path.locate()))
    return jobs
