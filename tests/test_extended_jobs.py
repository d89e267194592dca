"""The jobs of jobs/extended against pyfixest on pairs that the reference builds, and tables joined to a panel.

A smaller country keeps it fast; the full counts are those of the last test of the jobs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import reference
from designs import CONTROLS, JOBS, SMALL, sample
from peers import against_brute_force, against_pyfixest, cell
from sentences import english

import engine
from engine.cities import builtin
from engine.errors import InputError
from engine.pipeline import check
from engine.spec import expand, load_job, spec_hash
from engine.stages.policy_text import DEMO_NAME, write_policy_text
from engine.tables.read import file_hash

ALL, EVENTS = JOBS / "extended" / "all_pilots.yaml", JOBS / "extended" / "event_study_all.yaml"
CELLS = list(itertools.product((2019, 2023), (6, 12)))
FEWER_CELLS = "sweep={years: [[2010, 2019], [2010, 2023]], treatment.cutoff: [6, 12]}"
REGRESSORS = [*CONTROLS, "policy"]
FEWER = f"panel.options.cities={SMALL}"
KINDS = ["supply", "environment", "demand"]


@pytest.fixture(scope="module")
def results() -> engine.Results:
    return engine.run(ALL, overrides=[FEWER, FEWER_CELLS])


def pairs(last: int, cutoff: int) -> pd.DataFrame:
    """The pairs of the small country: a city adopts in the next year where its month comes after the cutoff."""
    table = builtin.load("china_demo", cities=SMALL, last_year=2023, later_pilots=True)
    table = table[table["year"] <= last]
    start = [
        year + 1 if month > cutoff else year
        for year, month in zip(table["pilot_year"], table["pilot_month"], strict=True)
    ]
    return sample(table.assign(start=start), adoption="start").long


# ---------------------------------------------------------------- the jobs


@pytest.mark.parametrize("number", range(4))
def test_every_span_and_cutoff(number: int, results: engine.Results) -> None:
    long = pairs(*CELLS[number])
    against_pyfixest(cell(results, number), long, REGRESSORS)
    against_brute_force(cell(results, number), long, REGRESSORS, kinds=["dyadic"])


def test_event_study_of_all_batches() -> None:
    long, dummies = reference.event_dummies(
        pairs(2023, 12), rule="exactly_one", base=-1, window=(-5, 5), ends="bin"
    )
    found = cell(engine.run(EVENTS, overrides=[FEWER]))
    against_pyfixest(found, long, [*CONTROLS, *dummies])
    against_brute_force(found, long, [*CONTROLS, *dummies], kinds=["dyadic"])


def test_a_longer_sample_computes_everything_anew_and_says_so(results: engine.Results) -> None:
    """A span in the sweep is the job of that span alone; the others share no row with it."""
    alone = engine.run(ALL, overrides=[FEWER, "years=[2010, 2019]", "treatment.cutoff=12"])
    numbers = ["estimate", "std_error"]
    one, first, last = (
        cell(found, number)["dyadic"][numbers] for found, number in ((alone, 0), (results, 1), (results, 3))
    )
    pd.testing.assert_frame_equal(one, first, check_exact=True)
    assert (first != last).all().all()
    said = [
        f"standardised over the years 2010 to {last}: results of other spans are recomputed from the data, not "
        "appended to these, and not comparable with them row by row"
        for last in (2019, 2023)
    ]
    assert results.manifest["notes"] == said
    assert alone.manifest["notes"] == said[:1]
    assert (
        results.manifest["more_data"] == []
    )  # one table, read once, though every span prepares its own panel


def test_years_before_adoption_alone_standardise() -> None:
    found = engine.run(
        ALL, overrides=[FEWER, "years=[2010, 2023]", "treatment.cutoff=12", "outcome.window=pre"]
    )
    assert found.manifest["notes"][0].startswith(
        "standardised over the years 2010 to 2023 before the first adoption: results of other spans"
    )


def test_full_country() -> None:
    """Pairs after every filter: 55, 101 and 161 pilots of 254 cities, fewer where the last do not count yet."""
    plan, prepared = check(ALL)
    expected = list(itertools.product((2019, 2021, 2023), (0, 6, 12)))
    assert [(cell.job.years[1], cell.job.treatment.cutoff) for cell in plan.cells] == expected
    pilots = [34, 34, 55, 101, 101, 101, 161, 161, 161]
    for one, treated in zip(prepared, pilots, strict=True):
        never = 254 - treated
        eligible = treated * never + never * (never - 1) // 2
        assert [step.pairs for step in one.steps] == [32_131, eligible, eligible // 2]


def test_jobs_are_in_the_readme() -> None:
    text = (JOBS / "README.md").read_text("utf-8")
    for path in sorted((JOBS / "extended").glob("*.yaml")):
        assert f"extended/{path.name}" in text
        assert expand(load_job(path)).loaded.job.job == f"extended_{path.stem}"


# ---------------------------------------------------------------- joined tables


def joining(folder: Path, source: str, *, more: str = "") -> Path:
    path = folder / "joined.yaml"
    path.write_text(
        f"extends: {JOBS / 'paper' / 'column6.yaml'}\n"
        "job: joined\n"
        f"panel: {{join: [{{source: '{source}', missing: 0}}]}}\n{more}",
        encoding="utf-8",
    )
    return path


def test_a_joined_table_is_on_record(tmp_path: Path) -> None:
    pd.DataFrame({"city": ["S001", "S040", "Z"], "x": [1.0, 2.0, 3.0]}).to_csv(
        tmp_path / "x.csv", index=False
    )
    job = joining(tmp_path, "x.csv", more="controls: {x: {sum: x}}\n")
    found = engine.run(job, overrides=[FEWER, "model.controls=[edu]"])
    assert found.manifest["data"]["source"] == "builtin:china_demo"
    assert found.manifest["more_data"] == [
        {
            "source": "x.csv",
            "description": "x.csv",
            "synthetic": False,
            "sha256": file_hash(tmp_path / "x.csv"),
        }
    ]
    told = "x.csv: 1 of its 3 cities is not in the panel: Z"
    assert told in found.manifest["warnings"]
    assert told in found.validation["warnings"]


def test_a_table_that_ends_before_the_sample_is_told(tmp_path: Path) -> None:
    job = joining(tmp_path, "builtin:policy_demo", more="controls: {supply: {sum: policy_supply}}\n")
    _, (one,) = check(job, overrides=["panel.options.last_year=2021", "years=[2010, 2021]"])
    (joined,) = one.pass_cells.data.joined
    assert (joined.name, joined.synthetic) == ("builtin:policy_demo", True)
    assert english(one.pass_cells.data.validation.warnings)[0] == (
        "builtin:policy_demo ends in 2019, the sample in 2021: the years between have no row of it"
    )


def test_a_joined_file_is_found_beside_the_job_and_leaves_no_path_in_its_id(tmp_path: Path) -> None:
    plans = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        plans.append(expand(load_job(joining(tmp_path / name, "x.csv"))))
        (table,) = plans[-1].cells[0].job.panel.join
        assert table.source == str(tmp_path / name / "x.csv")
    assert plans[0].cells[0].id == plans[1].cells[0].id
    assert spec_hash(plans[0]) == spec_hash(plans[1])


def test_an_unknown_table_is_named_under_its_key(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"panel.join: there is no built-in data set 'pilot'\n.*builtin:pilots"
    ):
        check(joining(tmp_path, "builtin:pilot"))


# ---------------------------------------------------------------- policy texts


def test_policy_demo_is_what_the_documents_give(tmp_path: Path) -> None:
    """Zero means no instrument in force: exactly the city-years that the shipped table leaves out."""
    write_policy_text(DEMO_NAME, out=tmp_path, panel="builtin:china_demo", pool="all")
    made = pd.read_csv(tmp_path / "indices.csv")
    inside = (made[KINDS] != 0).any(axis=1)
    made = made.rename(columns={kind: f"policy_{kind}" for kind in KINDS})
    expected = made[inside].round(9).reset_index(drop=True)
    pd.testing.assert_frame_equal(builtin.load("policy_demo"), expected, check_exact=True)
    in_force = pd.read_csv(tmp_path / "counts.csv").groupby(["city", "kind"])["count"].sum().unstack() > 0
    last = made[made["year"] == 2019].set_index("city")[[f"policy_{kind}" for kind in KINDS]] > 0
    np.testing.assert_array_equal(last.loc[in_force.index], in_force[KINDS])
    assert not last.drop(index=in_force.index).any().any()


def test_the_command_writes_what_the_function_does(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    options = ["--panel", "builtin:china_demo", "--weights-over", "all", "--out", "texts"]
    code, out, err = command("policy-text", DEMO_NAME, *options)
    assert (code, err) == (0, "")
    line = "policy-text: 12 documents, 152 passages of 15 instruments, 254 cities, 2010 to 2019"
    assert out == f"{line}, written to texts\n"
    write_policy_text(DEMO_NAME, out=tmp_path / "own", panel="builtin:china_demo", pool="all")
    for path in (tmp_path / "own").iterdir():
        assert (tmp_path / "texts" / path.name).read_bytes() == path.read_bytes()
    code, out, err = command("policy-text", DEMO_NAME, "--weights-over", "some")
    assert (code, out) == (2, "")
    assert "--weights-over: weights over 'some'" in err
