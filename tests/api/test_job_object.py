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
        (city_panel(0).assign(year=[[2010]] * 112), "column 'year' holds values of type list"),
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


# -- a job is what it was when it was made


def test_later_changes_of_data_and_mapping_do_not_reach_a_job(folder: Path) -> None:
    """A result drew and made its pairs of the caller's live frame, whatever had become of it."""
    frame, document = city_panel(0), {**BLOCKS, "model": {"lag": 0}}
    job = dd.job(document, panel=frame)
    result = job.run()
    draws = result.permute(9).tidy()
    frame["output"] = frame["schools"] * 3
    document["model"]["lag"] = 2
    pd.testing.assert_frame_equal(job.run().tidy(), result.tidy())
    pd.testing.assert_frame_equal(result.permute(9).tidy(), draws)
    pd.testing.assert_frame_equal(result.pairs(), job.pairs())


def test_a_file_that_changed_since_is_no_data_of_the_result(folder: Path) -> None:
    result = dd.run("job.yaml")
    city_panel(5).to_parquet("cities.parquet")
    for asked in (result.pairs, lambda: result.permute(9)):
        with pytest.raises(dd.RunError, match="the data are others now"):
            asked()


def test_a_mapping_again_is_the_same_job(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Files by their full paths; a data frame is passed again, and not mistaken for the file that it replaced."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    document = dd.job("job.yaml").to_dict()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        city_panel(7).to_parquet("cities.parquet")
        pd.testing.assert_frame_equal(dd.run(document).tidy(), dd.run(folder / "job.yaml").tidy())
    with pytest.raises(dd.InputError, match="'frame:panel' stands for a data frame"):
        dd.run(dd.job("job.yaml", panel=city_panel(1)).to_dict())


def test_steps_are_laid_upon_each_other_in_their_order(folder: Path) -> None:
    job = dd.panel("cities.parquet", adoption="pilot_year", rule="exactly_one").synchronization("output")
    late, early = job.set("model.lag", 1).twfe(lag=2), job.twfe(lag=2)
    assert late.glance()["n_obs"].iloc[0] == early.glance()["n_obs"].iloc[0]
    assert job.variation("schools", weight="population").to_dict()["outcome"].keys() == {
        "variation",
        "weight",
    }
    framed = dd.job("job.yaml", panel=city_panel(3))
    by_file = framed.set("panel.source", str(folder / "cities.parquet")).run()
    pd.testing.assert_frame_equal(by_file.tidy(), dd.run("job.yaml").tidy())


def test_changes_that_a_case_would_undo_are_refused(folder: Path) -> None:
    cases: dict[str, Any] = {"a": {}, "b": {"model.lag": 1}}
    stated = dd.job({**BLOCKS, "cases": cases})
    for job in (stated, dd.job(stated.to_yaml("c.yaml"))):
        with pytest.raises(dd.InputError, match=r"the case 'b' sets model\.lag too"):
            job.set("model.lag", 2).run()
    screens: list[object] = [None, {"mass": ["population"]}]
    cases = {"a": {"pairs": {"gravity": None}}}
    for block in ({"cases": cases}, {"sweep": {"pairs.gravity": screens}}):
        for key, value in (("pairs.gravity.mass", ["schools"]), ("pairs.gravity", {"mass": ["schools"]})):
            if "sweep" in block and key == "pairs.gravity":
                continue  # the sweep gives way
            with pytest.raises(dd.InputError, match=r"pairs\.gravity"):
                dd.job({**BLOCKS, **block}).set(key, value).run()
    cases = {"b": {"panel": {"source": "cities.parquet"}}}
    with pytest.raises(dd.InputError, match="the data frame 'panel' has no use"):
        dd.run({**BLOCKS, "cases": cases}, panel=city_panel(0))
    with pytest.raises(dd.InputError, match="sweeps over its source"):
        dd.run({**BLOCKS, "sweep": {"panel.source": ["cities.parquet"]}}, panel=city_panel(0))


def test_numbers_of_numpy_are_numbers(folder: Path) -> None:
    job = dd.panel(
        city_panel(0), adoption="pilot_year", rule="exactly_one", years=tuple(np.array([2010, 2016]))
    )
    job = job.synchronization("output").set("model.lag", np.int64(1))
    assert job.to_yaml("n.yaml").exists()
    assert len(job.twfe().permute(np.int64(9), seed=np.int64(1)).tidy()) == 9


# -- odd frames


def odd_frame() -> pd.DataFrame:
    frame = city_panel(0)
    return frame.assign(
        lists=[[1]] * len(frame),
        period=pd.PeriodIndex(frame["year"].astype(str), freq="Y"),
        span=pd.IntervalIndex.from_breaks(np.arange(len(frame) + 1)),
        imaginary=frame["output"] * 1j,
        mixed=pd.Categorical([1, "a"] * (len(frame) // 2)),
        sparse=pd.arrays.SparseArray(frame["schools"]),
        truth=pd.Series([True, None] * (len(frame) // 2), dtype=object),
    )


def test_only_columns_that_are_read_must_be_plain(folder: Path) -> None:
    job, expected = dd.job("job.yaml", panel=odd_frame()), dd.run("job.yaml").tidy()
    pd.testing.assert_frame_equal(job.run().tidy(), expected)
    controls = {"edu": {"neg_abs_log_diff": "sparse"}, "dense": {"neg_abs_diff": "density"}}
    pd.testing.assert_frame_equal(job.set("controls", controls).run().tidy(), expected)
    columns = {"panel": {"source": "frame:panel", "columns": {"year": "period"}}}
    by_period = dd.run({**BLOCKS, **columns}, panel=odd_frame().drop(columns="year"))
    pd.testing.assert_frame_equal(by_period.tidy(), expected)
    with pytest.raises(dd.InputError, match="column 'lists' holds values of type list") as caught:
        job.set("controls", {"dense": {"neg_abs_diff": "lists"}}).run()
    assert "give each cell one number" in str(caught.value)


def test_odd_columns_are_written(folder: Path) -> None:
    assert dd.job("job.yaml", panel=odd_frame()).to_yaml("odd.yaml").exists()
    assert dd.check("odd.yaml").endswith("ok")
    assert pd.read_parquet("odd_panel.parquet")["truth"].dropna().unique().tolist() == [1.0]


@pytest.mark.parametrize("header", ["did", "已 试点"])
def test_a_status_in_place_of_years(folder: Path, header: str) -> None:
    frame = city_panel(0)
    with_status = frame.assign(**{header: frame["pilot_year"] <= frame["year"]}).drop(columns="pilot_year")
    by_year = dd.panel(frame, adoption="pilot_year", rule="exactly_one").synchronization("output").twfe()
    by_status = dd.panel(with_status, status=header, rule="exactly_one").synchronization("output").twfe()
    pd.testing.assert_frame_equal(by_status.tidy(), by_year.tidy())
    for columns in ({}, {"adoption": "pilot_year", "status": header}):
        with pytest.raises(dd.InputError, match="exactly one of adoption and status"):
            dd.panel(frame, rule="both", **columns)


def test_an_index_that_repeats_columns_is_none(folder: Path) -> None:
    frame = city_panel(0).set_index(["city", "year"], drop=False)
    pd.testing.assert_frame_equal(dd.run("job.yaml", panel=frame).tidy(), dd.run("job.yaml").tidy())


# -- names


def test_an_unnamed_job_has_no_folder(folder: Path) -> None:
    job = dd.job({key: value for key, value in BLOCKS.items() if key != "job"})
    with pytest.raises(dd.InputError, match="the job has no name"):
        job.run(out="out")


def test_names_of_their_own_are_not_taken_twice() -> None:
    for columns in ({"city": "town"}, {"year_of_adoption": "x"}):
        with pytest.raises(dd.InputError, match="is a name of its own here"):
            dd.panel("a.csv", adoption="试点 年份", rule="both", city="城市", columns=columns)
