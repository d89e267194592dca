"""The inference block from job file to frames: columns, draws, what may not move them, refusals, compilations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
import reference
from tolerances import BRUTE

import engine
from engine import pipeline
from engine.cli import main
from engine.errors import InputError
from engine.infer import draws, pair_permutation, permuted_influences, weighted
from engine.infer.draws import resampled_counts
from engine.stages.inference import pass_inputs

ALL = {
    "permutation": {"reps": 60, "seed": 5, "strata": ["province"]},
    "bootstrap": {"kind": "node", "reps": 40, "seed": 6},
    "jackknife": {"by": "province"},
}
SWEEP = {"model.controls": [[], ["edu", "dense"]]}
EVENTS = {"estimator": "event_study", "window": [-3, 2]}


def run(
    folder: Path,
    inference: Any,
    *,
    frame: pd.DataFrame | None = None,
    workers: int | None = None,
    **blocks: Any,
) -> Any:
    frame = worlds.panel() if frame is None else frame
    return engine.run(
        worlds.write(folder, frame, worlds.job_of(frame, inference=inference, **blocks)), workers=workers
    )


def close(found: engine.Results, expected: engine.Results) -> None:
    """Names, replicates and counts exactly; numbers to 1e-11, issue 3's bound for other orders of sums."""
    for name in ("inference", "draws", "influence"):
        one, other = getattr(found, name), getattr(expected, name)
        assert len(other) > 0
        apart = ["cell"]  # a hash of the job, which names its tiles
        pd.testing.assert_frame_equal(
            one.drop(columns=apart), other.drop(columns=apart), rtol=1e-11, atol=1e-11
        )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> engine.Results:
    return run(tmp_path_factory.mktemp("whole"), ALL, sweep=SWEEP)


# -- frames ------------------------------------------------------------------------------------------------


def test_columns_are_those_of_the_format(whole: engine.Results) -> None:
    assert list(whole.inference) == [
        "job", "cell", "term", "method", "reps", "statistic", "p_value", "conf_low", "conf_high", "mc_error",
    ]  # fmt: skip
    assert list(whole.draws) == ["cell", "method", "replicate", "term", "estimate", "statistic"]
    assert list(whole.influence) == [
        "cell", "term", "left_out", "estimate", "shift", "leverage", "partial_leverage",
    ]  # fmt: skip
    assert not whole.inference.duplicated(["cell", "term", "method"]).any()
    assert not whole.draws.duplicated(["cell", "method", "replicate", "term"]).any()
    drawn = whole.draws.groupby("method").size().to_dict()
    assert drawn == {"permutation": 2 * 60, "node": 2 * 40, "pair_shuffle": 2 * 500}


def test_files_hold_the_frames(whole: engine.Results, tmp_path: Path) -> None:
    written = pipeline.write(whole, tmp_path)
    assert written.folder == tmp_path
    for name in ("inference", "draws", "influence"):
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / f"{name}.parquet"), getattr(whole, name))


def test_rows_follow_from_draws_and_tables(whole: engine.Results) -> None:
    """Statistics are the table's dyadic t and coefficient; p-values and intervals are counted by hand."""
    table = whole.estimates[whole.estimates["term"] == "policy"].set_index(["cell", "errors"])
    rows = whole.inference.set_index(["cell", "method"])
    for cell in whole.estimates["cell"].unique():
        mine = whole.draws[whole.draws["cell"] == cell]
        dyadic = table.loc[(cell, "dyadic")]
        for method, column, value in (
            ("permutation", "statistic", dyadic["statistic"]),
            ("permutation_coefficient", "estimate", dyadic["estimate"]),
        ):
            row = rows.loc[(cell, method)]
            drawn = mine.loc[mine["method"] == "permutation", column].to_numpy()
            np.testing.assert_allclose(row["statistic"], value, rtol=BRUTE)
            assert row["reps"] == 60
            assert row["p_value"] == (1 + (np.abs(drawn) >= abs(value)).sum()) / 61
            assert row["mc_error"] == np.sqrt(row["p_value"] * (1 - row["p_value"]) / 61)
        node = mine[mine["method"] == "node"]
        error = (node["estimate"] - dyadic["estimate"]) / node["statistic"]
        assert (error.dropna() > 0).all()
        known = np.sort(node["statistic"].dropna())
        low, high = (known[int(np.ceil(level * len(known))) - 1] for level in (0.025, 0.975))
        row = rows.loc[(cell, "node")]
        np.testing.assert_allclose(
            row["conf_low"], dyadic["estimate"] - high * dyadic["std_error"], rtol=1e-12
        )
        np.testing.assert_allclose(
            row["conf_high"], dyadic["estimate"] - low * dyadic["std_error"], rtol=1e-12
        )


def test_provinces_are_left_out_by_leaving_them_out(whole: engine.Results) -> None:
    frame = worlds.panel()
    province = frame.groupby("city")["province"].first()
    long, _ = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame))
    cells = list(whole.estimates["cell"].unique())
    for cell, controls in zip(cells, ([], ["edu", "dense"]), strict=True):
        found = whole.influence[whole.influence["cell"] == cell].set_index("left_out")
        here = oracle.studentised(long, [*controls, "policy"], ["policy"])[0][0]
        shifts = []
        for name in ("east", "middle", "west"):
            gone = set(province.index[province == name])
            rest = long[~long["city_i"].isin(gone) & ~long["city_j"].isin(gone)]
            estimate, _, error = oracle.studentised(rest, [*controls, "policy"], ["policy"])
            assert abs(found.loc[name, "estimate"] - estimate[0]) < BRUTE * error[0]
            shifts.append(estimate[0] - here)
        row = whole.inference.set_index(["cell", "method"]).loc[(cell, "jackknife_province")]
        np.testing.assert_allclose(
            row["statistic"], here / np.sqrt(2 / 3 * np.square(shifts).sum()), rtol=1e-9
        )


def test_a_city_without_pairs_is_no_jackknife_group(tmp_path: Path) -> None:
    """The block's statistic is the table's leave-one-city-out t, also where the screen leaves a city alone."""
    frame = worlds.panel()
    alone = frame["city"] == "city07"
    frame = frame.assign(population=np.where(alone, 1e-9, frame["population"]))
    found = run(tmp_path, {"jackknife": {"by": "city"}}, frame=frame)
    table = found.estimates[
        (found.estimates["errors"] == "jackknife") & (found.estimates["term"] == "policy")
    ]
    assert table["n_units"].item() == worlds.N_CITIES - 1
    np.testing.assert_allclose(found.inference["statistic"], table["statistic"], rtol=BRUTE)
    assert "city07" not in set(found.influence["left_out"])


def test_joint_p_value_of_an_event_study(tmp_path: Path) -> None:
    found = run(tmp_path, {"permutation": {"reps": 40}}, model=EVENTS)
    wide = found.draws[found.draws["method"] == "permutation"].pivot(
        index="replicate", columns="term", values="statistic"
    )
    assert wide.shape == (40, 5)
    rows = found.inference.set_index("method")
    here = rows.loc["permutation", "statistic"].abs().max()
    joint = rows.loc["permutation_max_t"]
    assert joint["term"] == "joint"
    assert joint["statistic"] == here
    largest = wide.abs().to_numpy().max(axis=1)
    largest = largest[np.isfinite(largest)]
    assert joint["p_value"] == (1 + (largest >= here).sum()) / (1 + len(largest))


def test_few_assignments_are_enumerated(tmp_path: Path) -> None:
    """One pilot can be any of sixteen cities: p is the share of the sixteen refits, exactly."""
    frame = worlds.panel().assign(pilot_year=np.where(worlds.panel()["city"] == "city03", 2014.0, np.nan))
    found = run(tmp_path, {"permutation": {"reps": 500}}, frame=frame)
    everything, t = worlds.oracle_grid(frame), {}
    for city in frame["city"].unique():
        adopted = {other: 2014.0 if other == city else np.inf for other in frame["city"].unique()}
        long, _ = oracle.relabelled(everything, adopted)
        t[city] = oracle.studentised(long, ["edu", "dense", "policy"], ["policy"])[1][0]
    values = np.array(list(t.values()))
    drawn = found.draws.loc[found.draws["method"] == "permutation", "statistic"].to_numpy()
    np.testing.assert_allclose(np.sort(drawn), np.sort(values), rtol=BRUTE)
    row = found.inference.set_index("method").loc["permutation"]
    assert row["p_value"] == (np.abs(values) >= abs(t["city03"]) * (1 - 1e-9)).mean()
    assert (row["mc_error"], row["reps"]) == (0.0, 16)


@pytest.mark.parametrize("kind", ["multiplier", "wild"])
def test_other_bootstraps_have_their_rows(kind: str, tmp_path: Path) -> None:
    found = run(tmp_path, {"bootstrap": {"kind": kind, "reps": 99, "weights": "webb"}})
    row = found.inference.set_index("method").loc[kind]
    drawn = found.draws["statistic"].to_numpy()
    assert len(drawn) == row["reps"] == 99
    assert row["p_value"] == (1 + (np.abs(drawn) >= abs(row["statistic"])).sum()) / 100
    assert 0.2 < np.std(drawn) < 3  # t ratios, not rounding


# -- the whole pipeline --------------------------------------------------------------------------------------


def test_pipeline_draws_are_panels_built_by_hand(tmp_path: Path) -> None:
    """Resampled cities: weights of the index, standardisation, median screen and regression all anew."""
    frame, indicators = worlds.panel(4), ["output", "schools", "density"]
    found = run(
        tmp_path,
        {"bootstrap": {"kind": "pipeline", "reps": 6, "seed": 9}},
        frame=frame,
        index={"development": {"entropy": indicators}},
        outcome={"synchronization": "development"},
    )
    cities = sorted(frame["city"].unique())
    counts = resampled_counts(9, np.arange(6, dtype=np.int32), len(cities)).astype(int)
    drawn = found.draws.set_index("replicate")["estimate"]
    for replicate, row in enumerate(counts):
        copies = [
            frame[frame["city"] == city].assign(city=f"{city}#{k}")
            for city, n in zip(cities, row, strict=True)
            for k in range(n)
        ]
        panel = pd.concat(copies, ignore_index=True)
        panel = panel.assign(development=reference.entropy_index(panel, indicators))
        everything = oracle.grid(
            panel,
            series="development",
            adoption="pilot_year",
            controls=worlds.CONTROLS,
            masses=("population",),
        )
        origin = [everything.long[side].str.split("#").str[0] for side in oracle.PAIR]
        everything = oracle.Grid(everything.long[origin[0] != origin[1]], everything.force)
        long, _ = oracle.relabelled(everything, worlds.observed_adoption(panel))
        estimate, _, error = oracle.studentised(long, ["edu", "dense", "policy"], ["policy"])
        assert abs(drawn[replicate] - estimate[0]) < BRUTE * error[0]


# -- what may not move a draw ----------------------------------------------------------------------------------


@contextmanager
def blocks_of(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pass_inputs, "BLOCK", size)
        yield


@pytest.mark.parametrize("size", [7, 60])
def test_replicate_blocks(size: int, whole: engine.Results, tmp_path: Path) -> None:
    with blocks_of(size):
        close(run(tmp_path, ALL, sweep=SWEEP), whole)


def test_tiles(whole: engine.Results, tmp_path: Path) -> None:
    close(run(tmp_path, ALL, sweep=SWEEP, runtime={"tile": 8}), whole)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers(workers: int, whole: engine.Results, tmp_path: Path) -> None:
    with blocks_of(16):
        close(run(tmp_path, ALL, sweep=SWEEP, workers=workers), whole)


# -- refusals ----------------------------------------------------------------------------------------------

BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "unknown stratum": ({"permutation": {"strata": ["region"]}}, {}, "region"),
    "stratum of words": ({"permutation": {"strata": ["province:3"]}}, {}, "needs a number column"),
    "no classes": (
        {"permutation": {"strata": ["size:0"]}},
        {},
        "must be a column, or column:k with k classes from 2 to 1,000",
    ),
    "stratum that moves": (
        {"permutation": {"strata": ["schools"]}},
        {},
        "inference.permutation.strata groups cities by it",
    ),
    "a control, which no draw reassigns": (
        {"permutation": {"terms": ["edu"]}},
        {},
        "'edu' is a control, which stays as it is",
    ),
    "no such term": ({"permutation": {"terms": ["gdp"]}}, {}, "'gdp' is no term of cell"),
    "no draws": ({"permutation": {"reps": 0}}, {}, "inference.permutation.reps"),
    "no draws of a bootstrap": ({"bootstrap": {"reps": 0}}, {}, "inference.bootstrap.reps"),
    "negative seed": ({"permutation": {"seed": -1}}, {}, "inference.permutation.seed"),
    "unknown kind": ({"bootstrap": {"kind": "pairs"}}, {}, "inference.bootstrap.kind"),
    "unknown screen": ({"permutation": {"screen": "none"}}, {}, "inference.permutation.screen"),
    "unknown group": ({"jackknife": {"by": "region"}}, {}, "region"),
    "misspelt block": ({"permutations": {}}, {}, "permutations"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_blocks_are_refused_before_any_pass(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inference, blocks, message = BAD[name]

    def no_pass(*_: Any) -> None:
        raise AssertionError("a pass over the pairs began")

    monkeypatch.setattr(pipeline, "_estimate", no_pass)
    path = worlds.write(
        tmp_path, worlds.panel(), worlds.job_of(worlds.panel(), inference=inference, **blocks)
    )
    with pytest.raises(InputError, match=message):
        engine.run(path)
    monkeypatch.setattr("sys.argv", ["dyadid", "check", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert message.split()[0] in told


def test_a_directed_table_has_no_node_bootstrap(tmp_path: Path) -> None:
    from strategies import TABLE_JOB, pair_table

    table = {"source": "cities.parquet", "unit_i": "one", "unit_j": "other", "year": "year", "directed": True}
    job = {**TABLE_JOB, "pair_table": table, "inference": {"bootstrap": {"kind": "node"}}}
    with pytest.raises(InputError, match="node bootstrap is not defined for directed tables"):
        pipeline.check(worlds.write(tmp_path, pair_table(1, directed=True), job))


# -- compilation -------------------------------------------------------------------------------------------

KERNELS = {
    "threefry": draws._threefry,
    "influences": permuted_influences.add_influences,
    "weighted product": weighted._add_products,
    "weighted influences": weighted._add_influences,
    "shuffled pairs": pair_permutation.sums_by_label,
}


def test_kernels_compile_once_a_shape(tmp_path: Path) -> None:
    """More blocks of one length compile nothing; nor does the same run again. Shapes: a block, and what happened."""
    frame = worlds.panel(0, n_cities=13)  # a shape that no other test here has
    few, many = ({kind: {"reps": reps} for kind in ("permutation", "bootstrap")} for reps in (16, 80))

    def sizes() -> dict[str, int]:
        return {name: kernel._cache_size() for name, kernel in KERNELS.items()}

    with blocks_of(16):
        before = sizes()
        run(tmp_path, few, frame=frame)
        once = sizes()
        run(tmp_path, many, frame=frame)
        assert sizes() == once
    grown = {name: once[name] - before[name] for name in KERNELS}
    # Threefry: a block (permutations and resamples alike), what happened, and the two lengths of shuffle blocks.
    assert all(grown[name] <= 2 for name in set(KERNELS) - {"threefry"}), grown
    assert grown["threefry"] <= 4
    assert grown["influences"] >= 1


def test_a_pair_table_has_no_provinces_to_leave_out(tmp_path: Path) -> None:
    from strategies import TABLE_JOB, pair_table

    table = {"source": "cities.parquet", "unit_i": "one", "unit_j": "other", "year": "year"}
    job = {**TABLE_JOB, "pair_table": table, "inference": {"jackknife": {"by": "province"}}}
    with pytest.raises(InputError, match=r"inference\.jackknife\.by must be city"):
        pipeline.check(worlds.write(tmp_path, pair_table(1, directed=False), job))
