"""A finished run, or a unit of work, is taken for what it was made from, and for nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import engine
from engine import pipeline
from engine.errors import InputError
from engine.runtime import source_code
from engine.runtime.files import STATE, recorded, write_text, write_with
from engine.runtime.source_code import _Snapshot
from engine.runtime.store import Store
from engine.runtime.worker_plugin import SameFacts  # noqa: F401  # Dask is loaded before the code is edited
from engine.spec import expand, load_job
from engine.stages import finished_runs as finished
from engine.stages.finished_runs import request_key

JOB = """\
job: pairs
pair_table: {source: trade.csv, unit_i: a, unit_j: b, year: year}
outcome: {column: trade}
model: {regressors: [policy], errors: [pair]}
"""


def table(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    names = [f"c{k}" for k in range(8)]
    rows = [(a, b, year) for a in names for b in names if a < b for year in range(2001, 2006)]
    frame = pd.DataFrame(rows, columns=["a", "b", "year"])
    frame["policy"] = (rng.random(len(frame)) < 0.4).astype(int)
    frame["trade"] = 0.5 * frame["policy"] + rng.normal(size=len(frame))
    return frame


@pytest.fixture
def job(tmp_path: Path) -> Path:
    table(1).to_csv(tmp_path / "trade.csv", index=False)
    (tmp_path / "pairs.yaml").write_text(JOB)
    return tmp_path / "pairs.yaml"


def policy(results: pipeline.Results) -> float:
    return float(results.estimates.set_index("term")["estimate"]["policy"])


def least_squares(frame: pd.DataFrame) -> float:
    """The same by dummies of pair and year, without the engine."""
    dummies = pd.get_dummies(frame["a"] + frame["b"], dtype=float).join(
        pd.get_dummies(frame["year"].astype(str), dtype=float).iloc[:, 1:]
    )
    x = np.column_stack([frame["policy"], dummies])
    return float(np.linalg.lstsq(x, frame["trade"].to_numpy(), rcond=None)[0][0])


def test_a_table_replaced_while_the_job_runs_is_not_taken_for_the_one_that_was_read(
    job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is that of the bytes that were parsed, whatever lies there when it is made."""
    prepare = pipeline.prepare_job

    def replaced_after_reading(*given: Any) -> Any:
        prepared = prepare(*given)
        table(2).to_csv(job.parent / "trade.csv", index=False)
        return prepared

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "prepare_job", replaced_after_reading)
        first = pipeline.run(job, out=job.parent / "out")
    assert policy(first) == pytest.approx(least_squares(table(1)), abs=1e-12)
    second = pipeline.run(job, out=job.parent / "out")
    assert not second.reused
    assert policy(second) == pytest.approx(least_squares(table(2)), abs=1e-12)
    assert pipeline.run(job, out=job.parent / "out").reused


def test_headers_of_a_builtin_table_are_part_of_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.cities import builtin
    from engine.stages.prepare_passes import prepare_job

    plan = expand(load_job(Path(engine.__file__).parents[1] / "jobs" / "euro.yaml"))
    before = request_key(plan, prepare_job(plan))
    load = builtin.load

    def exchanged(*given: Any, **options: Any) -> pd.DataFrame:
        frame = load(*given, **options)
        numbers = ["capital", "employment"]
        return frame.rename(columns=dict(zip(numbers, reversed(numbers), strict=True)))

    monkeypatch.setattr(builtin, "load", exchanged)
    assert request_key(plan, prepare_job(plan)) != before


def test_a_frame_of_another_job_is_not_read(job: Path) -> None:
    first = pipeline.run(job, out=job.parent / "out")
    stranger = pd.DataFrame({"cell": ["x"], "method": ["permutation"], "term": ["t"], "estimate": [1.0]})
    stranger.to_parquet(first.folder / "draws.parquet")
    again = pipeline.run(job, out=job.parent / "out")
    assert again.reused
    assert again.draws.empty
    pipeline.report(job.parent / "out")


def test_a_frame_that_was_changed_is_refused_by_report_and_made_again_by_run(job: Path) -> None:
    first = pipeline.run(job, out=job.parent / "out")
    path = first.folder / "estimates.parquet"
    before = path.read_bytes()
    changed = pd.read_parquet(path)
    changed["estimate"] *= 2
    changed.to_parquet(path, index=False)
    with pytest.raises(InputError, match=r"estimates\.parquet: is not what the run wrote"):
        pipeline.report(job.parent / "out")
    assert not pipeline.run(job, out=job.parent / "out").reused
    assert path.read_bytes() == before
    path.unlink()
    with pytest.raises(InputError, match=r"estimates\.parquet: there is no such file"):
        pipeline.report(job.parent / "out")


@pytest.mark.parametrize("name", ["table.txt", "figures.json", "manifest.json", "validation.json"])
@pytest.mark.parametrize("how", ["gone", "changed"])
def test_every_file_of_a_finished_run_counts(job: Path, name: str, how: str) -> None:
    first = pipeline.run(job, out=job.parent / "out")
    path = first.folder / name
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    assert not pipeline.run(job, out=job.parent / "out").reused
    assert path.is_file()
    assert pipeline.run(job, out=job.parent / "out").reused


def test_files_of_the_user_beside_the_results_are_no_results(job: Path) -> None:
    first = pipeline.run(job, out=job.parent / "out")
    (first.folder / "notes.txt").write_text("mine")
    assert not pipeline.run(job, out=job.parent / "out", fresh=True).reused
    (first.folder / "notes.txt").write_text("mine, again")
    assert pipeline.run(job, out=job.parent / "out").reused


def test_what_was_written_is_recorded_before_anyone_can_change_it(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "a.txt"
    with recorded() as outer:
        write_text(path, "first")
        with recorded() as inner:
            write_with(tmp_path / "b.txt", lambda temporary: temporary.write_text("second"))
        path.write_text("someone else")
    assert outer == {
        path: hashlib.sha256(b"first").hexdigest(),
        tmp_path / "b.txt": hashlib.sha256(b"second").hexdigest(),
    }
    assert list(inner) == [tmp_path / "b.txt"]


def test_a_unit_under_the_name_of_another_is_damaged(tmp_path: Path) -> None:
    """Its bytes are whole and its checksum is that of the other's bytes: the id alone is wrong."""
    store = Store(str(tmp_path))
    store.put("a" * 32, (1.0, 2.0))
    (path,) = tmp_path.glob("*.parquet")
    path.rename(tmp_path / path.name.replace("a" * 32, "b" * 32))
    moved = Store(str(tmp_path))
    assert moved.has("b" * 32)
    assert moved.get("b" * 32, tuple[float, ...]) is None
    assert moved.damaged == 1


@pytest.mark.parametrize("name", ["matplotlib"])
def test_what_draws_figures_is_in_the_key(job: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert pipeline.run(job, out=job.parent / "out").reused is False
    real = finished.package_version
    with monkeypatch.context() as patched:
        patched.setattr(finished, "package_version", lambda asked: "0" if asked == name else real(asked))
        assert not pipeline.run(job, out=job.parent / "out").reused
        assert pipeline.run(job, out=job.parent / "out").reused


@pytest.mark.parametrize("name", ["python", "scipy", "pyarrow", "numpy", "jaxlib", "pandas"])
def test_what_makes_numbers_is_in_the_version_of_the_code(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    code_version = source_code.code_version.__wrapped__
    before, real = code_version(), source_code.version
    if name == "python":
        fake = SimpleNamespace(python_version_tuple=lambda: ("3", "99", "0"))
        monkeypatch.setattr(source_code, "platform", fake)
    else:
        monkeypatch.setattr(source_code, "version", lambda asked: "0" if asked == name else real(asked))
    assert code_version() != before


def test_a_checkout_that_is_not_installed_has_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it runs on a machine that has the packages and nothing of ours; any other package must be there."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    installed = source_code.package_version("dyadid")
    monkeypatch.setattr(source_code, "version", missing)
    assert source_code.package_version("dyadid") == installed
    with pytest.raises(PackageNotFoundError):
        source_code.package_version("numpy")


def test_a_package_is_what_it_was_when_it_was_looked_at(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    module, data = tmp_path / "inner" / "a.py", tmp_path / "b.csv"
    module.write_text("x = 1")
    data.write_text("1,2")
    snapshot = _Snapshot(tmp_path)
    before = snapshot.digest
    assert not snapshot.changed()
    module.touch()
    (tmp_path / "a.pyc").write_text("compiled")
    assert not snapshot.changed()
    data.write_text("2,1")
    assert snapshot.changed()
    assert snapshot.digest == before
    data.write_text("1,2")
    assert not snapshot.changed()
    module.rename(tmp_path / "inner" / "c.py")
    assert snapshot.changed()
    assert _Snapshot(tmp_path).digest != before


EDITED_MEANWHILE = """
import sys
from pathlib import Path
from engine import pipeline
package = Path(pipeline.__file__).parent
def edit(label, done, total):
    target = package / "estimate" / "fit.py"
    if "# edited" not in target.read_text(encoding="utf-8"):
        target.write_text(target.read_text(encoding="utf-8") + "# edited\\n", encoding="utf-8")
results = pipeline.run(sys.argv[1], out=sys.argv[2], progress=edit if sys.argv[3] == "edit" else None)
print(results.reused, "changed on disk during the run" in str(results.manifest["warnings"]))
"""


def test_code_edited_during_a_run_leaves_nothing_to_be_found(job: Path, tmp_path: Path) -> None:
    """On a copy of the package, which is edited while a pass goes on."""
    package = tmp_path / "copy" / "engine"
    shutil.copytree(Path(engine.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))

    def run(how: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", EDITED_MEANWHILE, str(job), str(tmp_path / "out"), how],
            cwd=package.parent, env={"PATH": "", "PYTHONPATH": str(package.parent)}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run("edit") == "False True"
    state = tmp_path / "out" / "pairs" / STATE
    assert not (state / "finished.json").exists()
    log = [json.loads(line)["event"] for line in (state / "log.jsonl").read_text().splitlines()]
    assert log[-1] == "run finished"
    assert run("leave") == "False False"
    assert run("leave") == "True False"
