"""``dyadid draw``: a draw made again has the numbers of its row in the run, and what it shows reproduces them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from tolerances import BRUTE

import engine
from engine import pipeline
from engine.errors import InputError
from engine.stages import estimate_pass

Command = Callable[..., tuple[int, str, str]]

REPS = 300  # more than one block of draws
SHOWN = (0, 17, 299)
AGAIN = 1e-11
"""Issue 3's bound: the same draw in a block of one, whose sums run in another order."""

SWEEP = {"model.controls": [[], ["edu", "dense"]]}
EVENTS = {"estimator": "event_study", "window": [-3, 2]}
PERMUTATION = {"reps": REPS, "seed": 5}
BOOTSTRAP = {"reps": REPS, "seed": 6}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "strata, node": (
        {"permutation": {**PERMUTATION, "strata": ["province"]}, "bootstrap": {**BOOTSTRAP, "kind": "node"}},
        {},
    ),
    "fixed screen, multiplier": (
        {
            "permutation": {**PERMUTATION, "screen": "fixed"},
            "bootstrap": {**BOOTSTRAP, "kind": "multiplier", "weights": "mammen"},
        },
        {},
    ),
    "event study, wild": (
        {"permutation": PERMUTATION, "bootstrap": {**BOOTSTRAP, "kind": "wild"}},
        {"model": EVENTS, "sweep": {}},
    ),
    "event study, two-way wild": (
        {"bootstrap": {**BOOTSTRAP, "kind": "two_way_wild", "weights": "webb"}},
        {"model": EVENTS, "sweep": {}},
    ),
    "pipeline": ({"bootstrap": {"kind": "pipeline", "reps": 18, "seed": 6}}, {}),
}


def write(folder: Path, inference: Any, **blocks: Any) -> Path:
    blocks = {"sweep": SWEEP, **blocks}
    return worlds.write(folder, worlds.panel(), worlds.job_of(worlds.panel(), inference=inference, **blocks))


@pytest.mark.parametrize("name", CASES)
def test_a_draw_is_its_row_of_the_run(name: str, tmp_path: Path) -> None:
    inference, blocks = CASES[name]
    job = write(tmp_path, inference, **blocks)
    every = engine.run(job).draws
    every, columns = every[every["method"] != "pair_shuffle"], ["term", "estimate", "statistic"]
    for (cell, method), rows in every.groupby(["cell", "method"]):
        identified = 0
        for replicate in SHOWN if method != "pipeline" else (0, 17):
            row = rows.loc[rows["replicate"] == replicate, columns].reset_index(drop=True)
            found = pipeline.draw(job, replicate=replicate, cell=cell, method=method).terms[columns]
            pd.testing.assert_frame_equal(found, row, rtol=AGAIN, atol=AGAIN)
            identified += int(row.iloc[:, 1:].notna().any(axis=None))
        assert identified >= 1
    asked = {method for kind, block in inference.items() for method in (block.get("kind", kind),)}
    assert set(every["method"]) == asked


# -- what is shown is what the numbers came from ------------------------------------------------------------


def frames(found: Any) -> tuple[dict[str, Any], dict[str, float]]:
    """What each city drew, and the numbers of the single term."""
    cities = found.cities.set_index("city").iloc[:, -1].to_dict()
    return cities, found.terms.iloc[0].to_dict()


@pytest.mark.parametrize("name", ["strata, node", "fixed screen, multiplier"])
def test_shown_adoption_screen_and_counts_give_the_coefficient(name: str, tmp_path: Path) -> None:
    """Deal what is shown, rebuild and refit by hand; truth likewise."""
    job, everything = write(tmp_path, CASES[name][0], sweep={}), worlds.oracle_grid(worlds.panel())
    assert everything.force is not None
    pairs = pd.DataFrame(everything.force.index.tolist(), columns=oracle.PAIR)

    def rebuilt(adopted: Any, threshold: float | None) -> tuple[list[float], list[float], float]:
        adopted = {city: np.inf if pd.isna(year) else float(year) for city, year in adopted.items()}
        long, _ = oracle.relabelled(everything, adopted, threshold=threshold)
        estimate, statistic, _ = oracle.studentised(long, ["edu", "dense", "policy"], ["policy"])
        eligible = oracle.eligible(pairs, adopted, exclude=True)
        middle = oracle.lower_middle(everything.force.to_numpy()[eligible])
        kept = len(long[oracle.PAIR].drop_duplicates())
        least = middle if threshold is None else threshold
        return [eligible.sum(), kept, np.log(least)], [estimate[0], statistic[0]], least

    for replicate in SHOWN:
        found = pipeline.draw(job, replicate=replicate)
        cities = found.cities.set_index("city")
        counts, numbers, least = rebuilt(cities["adopts_in_truth"].to_dict(), None)
        np.testing.assert_allclose(found.pairs["truth"], counts, rtol=BRUTE)
        np.testing.assert_allclose(
            found.terms[["estimate_in_truth", "statistic_in_truth"]].iloc[0].astype(float),
            numbers,
            rtol=BRUTE,
        )
        threshold = least if name.startswith("fixed") else None
        counts, numbers, _ = rebuilt(cities["adopts_in_draw"].to_dict(), threshold)
        np.testing.assert_allclose(found.pairs["draw"], counts, rtol=BRUTE)
        np.testing.assert_allclose(
            found.terms[["estimate", "statistic"]].iloc[0].astype(float), numbers, rtol=BRUTE
        )


def sample() -> pd.DataFrame:
    frame = worlds.panel()
    return oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame))[0]


def test_shown_counts_give_the_resample(tmp_path: Path) -> None:
    job, refitted = write(tmp_path, CASES["strata, node"][0], sweep={}), 0
    for replicate in range(8):
        found = pipeline.draw(job, replicate=replicate, method="node")
        drawn, numbers = frames(found)
        assert sum(drawn.values()) == len(drawn) == worlds.N_CITIES
        if np.isnan(numbers["estimate"]):
            continue
        refitted += 1
        literal = oracle.resampled(sample(), drawn)
        estimate, _, error = oracle.studentised(literal, ["edu", "dense", "policy"], ["policy"])
        assert abs(numbers["estimate"] - estimate[0]) < BRUTE * error[0]
        expected = (estimate[0] - numbers["estimate_in_truth"]) / error[0]
        np.testing.assert_allclose(numbers["statistic"], expected, rtol=BRUTE, atol=BRUTE)
    assert refitted >= 4


def test_shown_signs_give_the_wild_statistic(tmp_path: Path) -> None:
    job = write(tmp_path, CASES["event study, wild"][0], sweep={})
    for replicate in SHOWN:
        signs, numbers = frames(pipeline.draw(job, replicate=replicate, method="wild"))
        assert set(signs.values()) == {-1.0, 1.0}
        given = {city: np.array([sign]) for city, sign in signs.items()}
        observed, drawn = oracle.wild_t(sample(), ["edu", "dense", "policy"], "policy", given)
        np.testing.assert_allclose(
            [numbers["statistic_in_truth"], numbers["statistic"]], [observed, drawn[0]], rtol=BRUTE
        )


def test_enumerated_assignments_are_numbered_as_in_the_run(tmp_path: Path) -> None:
    """Three pilots can be any of 560 threes: more than one block of them."""
    pilots = worlds.panel()["city"].isin(["city03", "city07", "city08"])
    frame = worlds.panel().assign(pilot_year=np.where(pilots, 2014.0, np.nan))
    job = worlds.write(tmp_path, frame, worlds.job_of(frame, inference={"permutation": {"reps": 600}}))
    every = engine.run(job).draws.query("method == 'permutation'").set_index("replicate")
    assert every.index.tolist() == list(range(560))
    seen = set()
    for replicate in (0, 17, 255, 256, 559):
        found = pipeline.draw(job, replicate=replicate)
        row = every.loc[[replicate], ["term", "estimate", "statistic"]].reset_index(drop=True)
        pd.testing.assert_frame_equal(found.terms[row.columns], row, rtol=AGAIN, atol=AGAIN)
        seen.add(tuple(found.cities.dropna(subset="adopts_in_draw")["city"]))
    assert (len(seen), {len(three) for three in seen}, found.reps) == (5, {3}, 560)
    with pytest.raises(InputError, match="there is no replicate 560: all 560 assignments were enumerated"):
        pipeline.draw(job, replicate=560)


def test_a_pair_table_has_draws_too(tmp_path: Path) -> None:
    from strategies import TABLE_JOB, pair_table

    table = {"source": "cities.parquet", "unit_i": "one", "unit_j": "other", "year": "year"}
    job = {**TABLE_JOB, "pair_table": table, "inference": {"bootstrap": {"kind": "node", "reps": 20}}}
    path = worlds.write(tmp_path, pair_table(1, directed=False), job)
    found, every = pipeline.draw(path, replicate=7), engine.run(path).draws
    row = every[every["replicate"] == 7].reset_index(drop=True)
    columns = ["term", "estimate", "statistic"]
    pd.testing.assert_frame_equal(found.terms[columns], row[columns], rtol=AGAIN, atol=AGAIN)
    assert found.cities["city"].tolist() == [f"u{k}" for k in range(9)]


# -- the command ---------------------------------------------------------------------------------------------

BOTH = {"permutation": PERMUTATION, "bootstrap": {"kind": "node", "reps": 20, "seed": 6}}


def test_the_command_shows_cities_pairs_and_coefficients(command: Command, tmp_path: Path) -> None:
    job = write(tmp_path, BOTH, sweep={})
    found = pipeline.draw(job, replicate=17)
    code, out, err = command("draw", "job.yaml", "--replicate", "17", "--out", "deep/draw.csv")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == f"small ({found.request.cell.id}): permutation, replicate 17 of 300, seed 5".split()
    told = found.cities.astype(object).where(found.cities.notna(), "never").astype(str)
    assert lines[2] == ["city", "adopts", "in", "truth", "in", "the", "draw"]
    moved = told[(told.iloc[:, 1:] != "never").any(axis=1)]
    stop = 3 + len(moved)
    assert lines[3:stop] == moved.to_numpy().tolist()
    assert lines[stop] == f"{len(told) - len(moved)} cities adopt in neither".split()
    shown = {" ".join(line[:-2]): line[-2:] for line in lines[stop + 3 : -1]}
    numbers = {
        **{what: pair for what, *pair in found.pairs.itertuples(index=False)},
        "policy: coefficient": found.terms[["estimate_in_truth", "estimate"]].iloc[0].tolist(),
        "policy: t": found.terms[["statistic_in_truth", "statistic"]].iloc[0].tolist(),
    }
    assert list(shown) == list(numbers)
    for what, texts in shown.items():  # ten digits are printed
        np.testing.assert_allclose([float(text) for text in texts], numbers[what], rtol=1e-9)
    assert lines[-1] == ["cities:", "deep/draw.csv"]
    written = pd.read_csv("deep/draw.csv", dtype={"adopts_in_truth": "Int64", "adopts_in_draw": "Int64"})
    pd.testing.assert_frame_equal(written, found.cities)


@pytest.mark.parametrize(("kind", "column"), [("node", "times_drawn"), ("multiplier", "multiplier")])
def test_the_command_groups_cities_by_what_they_drew(
    kind: str, column: str, command: Command, tmp_path: Path
) -> None:
    write(tmp_path, {"bootstrap": {**BOOTSTRAP, "kind": kind}}, sweep={})
    code, out, err = command("draw", "job.yaml", "--replicate", "3", "--method", kind, "--out", "draw.csv")
    assert (code, err) == (0, "")
    written = pd.read_csv("draw.csv")
    assert written.columns.tolist() == ["city", column]
    names = column.replace("_", " ")
    groups = written.groupby(column)["city"]
    expected = [f"{names} {v:.4g} ({len(c)} cities): {', '.join(c)}" for v, c in groups]
    lines = out.splitlines()
    assert lines[2 : 2 + len(expected)] == expected
    assert lines[-1] == "cities: draw.csv"
    assert not [line for line in lines if "pairs after" in line]


BAD = {
    "negative": ([], ["--replicate", "-1"], "--replicate: there is no replicate -1"),
    "beyond": ([], ["--replicate", "300"], "hint: give 0 to 299"),
    "beyond of the other method": ([], ["--replicate", "20", "--method", "node"], "hint: give 0 to 19"),
    "no such method": ([], ["--replicate", "0", "--method", "wild"], "it has permutation and node"),
    "no such cell": ([], ["--replicate", "0", "--cell", "all"], "no cell has the label or id 'all'"),
    "no inference": (["inference={}"], ["--replicate", "0"], "cell 'small' makes no draws"),
    "several cells": (
        ["sweep={model.controls: [[], [edu]]}"],
        ["--replicate", "0"],
        "--cell: 2 cells could be meant",
    ),
    "a folder to write": ([], ["--replicate", "0", "--out", "."], "--out: . is a folder"),
    "a file in the way": ([], ["--replicate", "0", "--out", "job.yaml/x.csv"], "cannot write to the output"),
    "no number": ([], ["--replicate", "all"], "should be a valid integer"),
    "nothing asked": ([], [], "Missing option '--replicate'"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_draw_is_refused(
    name: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides, argv, message = BAD[name]
    write(tmp_path, BOTH, sweep={})

    def no_pass(*_: Any) -> None:
        raise AssertionError("a pass over the pairs began")

    monkeypatch.setattr(estimate_pass, "estimate_pass", no_pass)
    code, out, err = command(
        "draw", "job.yaml", *argv, *(part for text in overrides for part in ("--set", text))
    )
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_a_cell_is_named_by_label_or_id(command: Command, tmp_path: Path) -> None:
    write(tmp_path, BOTH)
    _, _, err = command("draw", "job.yaml", "--replicate", "0")
    listed = err.split("give one of ")[1].split(", ")
    shown = []
    for entry in listed:
        code, label = entry.strip().rstrip(")").split(" (")
        by_id, by_label = (
            command("draw", "job.yaml", "--replicate", "0", "--cell", cell) for cell in (code, label)
        )
        assert by_id == by_label
        assert by_id[1].startswith(f"{label} ({code}): permutation, replicate 0 of 300, seed 5\n")
        shown.append(by_id[1])
    assert len(set(shown)) == 2


def test_a_folder_of_jobs_is_not_a_job(command: Command, tmp_path: Path) -> None:
    path = write(tmp_path, BOTH)
    (tmp_path / "other.yaml").write_text(path.read_text())
    code, out, err = command("draw", ".", "--replicate", "0")
    assert (code, out) == (2, "")
    assert "holds 2 jobs" in err
