"""One job, however it is said: a file, a mapping, an object, a data frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dyadid as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from strategies import PANEL_JOB, city_panel, pair_table

BLOCKS: dict[str, Any] = {**PANEL_JOB, "panel": {"source": "cities.parquet"}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a panel and a job file on it, which is the working folder."""
    city_panel(0).to_parquet(tmp_path / "cities.parquet")
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(BLOCKS, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(result: dd.Result, folder: Path) -> dict[str, bytes]:
    """Frames and tables of a result as files."""
    result.save(folder)
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.suffix in (".parquet", ".txt", ".csv")
    }


def test_file_mapping_object_and_frame_give_the_same_bytes(folder: Path) -> None:
    results = {
        "file": dd.run("job.yaml"),
        "mapping": dd.run(BLOCKS),
        "object": dd.job(BLOCKS).run(),
        "pandas": dd.run("job.yaml", panel=city_panel(0)),
        "arrow": dd.run(BLOCKS, panel=pa.Table.from_pandas(city_panel(0))),
        "written": dd.run(dd.job("job.yaml").to_yaml("again.yaml")),
    }
    contents = {name: written(result, folder / name) for name, result in results.items()}
    for name, files in contents.items():
        same = {
            file: content for file, content in contents["file"].items() if name != "written" or file != "x"
        }
        assert files.keys() == same.keys()
        if name == "written":  # the source is named in full, which the ids of cells read
            frames = [pd.read_parquet(folder / each / "estimates.parquet") for each in ("file", name)]
            pd.testing.assert_frame_equal(*(frame.drop(columns="cell") for frame in frames))
        else:
            assert files == contents["file"], name


def test_a_frame_is_copied_and_known_by_its_content(folder: Path) -> None:
    frame = city_panel(0)
    job = dd.job("job.yaml", panel=frame)
    before = job.run()
    changed = dd.run("job.yaml", panel=frame.assign(output=frame["output"] * 2 + frame["schools"]))
    hashes = [result.results.manifest["data"]["sha256"] for result in (before, changed)]
    assert hashes[0] != hashes[1]
    out = [dd.run("job.yaml", panel=frame, out="out").results.reused for _ in range(2)]
    out.append(dd.run("job.yaml", panel=frame.assign(schools=frame["schools"] + 1), out="out").results.reused)
    assert out == [False, True, False]


def test_a_job_written_from_a_frame_reads_it(tmp_path: Path) -> None:
    frame = city_panel(1).rename(columns={"city": "城市"})
    job = dd.panel(frame, city="城市", adoption="pilot_year", rule="exactly_one").exclude_both_treated()
    specified = job.synchronization("output").controls(edu="neg_abs_log_diff(schools)").specify("twfe")
    direct = specified.run()
    path = specified.to_yaml(tmp_path / "t1.yaml")
    assert (tmp_path / "t1_panel.parquet").exists()
    np.testing.assert_array_equal(dd.run(path).tidy()["std_error"], direct.tidy()["std_error"])


def test_the_steps_say_what_a_file_says(folder: Path) -> None:
    steps = (
        dd.panel("cities.parquet", adoption="pilot_year", rule="exactly_one")
        .exclude_both_treated()
        .gravity("population")
        .synchronization("output")
        .controls(edu="neg_abs_log_diff(schools)", dense="neg_abs_diff(density)")
    )
    pd.testing.assert_frame_equal(steps.twfe().tidy(), dd.run("job.yaml").tidy())
    assert steps.set("model.lag", 1).run().glance()["n_obs"].iloc[0] < steps.run().glance()["n_obs"].iloc[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "is of type int, no data frame"),
        (
            pd.DataFrame({"city": ["a"], "year": [[2010]]}),
            "column 'year' holds a value of type list in row 0",
        ),
        (city_panel(0).iloc[:0], "the table has no rows"),
        (pd.concat([city_panel(0), city_panel(0)[["output"]]], axis=1), "the header 'output' is repeated"),
        (city_panel(0).assign(output="x"), "'x' is not a number"),
    ],
)
def test_what_is_no_panel_is_refused(folder: Path, data: object, message: str) -> None:
    with pytest.raises(dd.InputError, match=message):
        dd.run("job.yaml", panel=data)


def test_frames_without_a_place_and_places_without_a_frame_are_refused(folder: Path) -> None:
    with pytest.raises(dd.InputError, match="no table of the job is called frame:more"):
        dd.run("job.yaml", frames={"more": city_panel(0)})
    with pytest.raises(dd.InputError, match="no block pair_table"):
        dd.run("job.yaml", pair_table=pair_table(0))
    with pytest.raises(dd.InputError, match="'frame:panel' stands for a data frame, but none of that name"):
        dd.run({**BLOCKS, "panel": {"source": "frame:panel"}})
    with pytest.raises(dd.InputError, match=r"panel\.encoding: has no meaning in this job"):
        dd.run({**BLOCKS, "panel": {"source": "cities.csv", "encoding": "gb18030"}}, panel=city_panel(0))
    with pytest.raises(dd.InputError, match="a job is a path, a mapping or a Job"):
        dd.run(3)  # type: ignore[arg-type]
    with pytest.raises(dd.InputError, match="'log\\(x\\)' is no kind of pair regressor"):
        dd.panel("cities.parquet", adoption="pilot_year", rule="both").controls(a="log(x)")


def test_a_named_index_becomes_columns_and_categories_their_values(folder: Path) -> None:
    frame = city_panel(0)
    categorical = frame.assign(city=frame["city"].astype("category"), year=frame["year"].astype("Int64"))
    for data in (categorical.set_index(["city", "year"]), frame.set_index(frame.index + 7)):
        pd.testing.assert_frame_equal(dd.run("job.yaml", panel=data).tidy(), dd.run("job.yaml").tidy())


def test_joined_tables_are_frames_by_name(folder: Path) -> None:
    frame = city_panel(0)
    panel = {"source": "cities.parquet", "join": [{"source": "frame:places"}]}
    places = frame[["city", "latitude", "longitude"]].drop_duplicates()
    without = frame.drop(columns=["latitude", "longitude"])
    result = dd.run({**BLOCKS, "panel": panel}, panel=without, frames={"places": places})
    pd.testing.assert_frame_equal(result.tidy(), dd.run("job.yaml").tidy())


def test_check_reports_and_refuses(folder: Path) -> None:
    assert dd.check("job.yaml").endswith("ok")
    with pytest.raises(dd.InputError, match="pilot_yeer"):
        dd.check({**BLOCKS, "treatment": {"adoption": "pilot_yeer", "rule": "exactly_one"}})


def test_the_package_shows_what_there_is() -> None:
    assert "panel" in dir(dd)
    assert not [name for name in dir(dd) if name.startswith("annotations")]
    assert dd.__version__[0].isdigit()
    assert (Path(dd.__file__).parent / "py.typed").exists()
