"""The draws that `plan` counts are those that a run makes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import engine
from engine import pipeline
from engine.runtime.execute import Machine
from engine.stages.describe import plan_lines
from engine.stages.draw_counts import draw_counts, n_tested
from engine.stages.run_time import expected_stages, run_seconds, work_seconds

JOB = """
job: counted
panel: {source: cities.csv}
outcome: {synchronization: gdp}
treatment: {adoption: pilot, rule: either}
controls: {edu: {neg_abs_diff: schools}}
model: {errors: [pair, dyadic]}
sweep: {pairs.exclude: [both_treated, none], model.controls: [[], [edu]]}
"""
LABELS = {"permutations": "permutations", "bootstrap": "node bootstrap draws"}


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Eight cities, two of which adopt: 28 assignments."""
    rng = np.random.default_rng(3)
    years = np.arange(2010, 2016)
    rows = pd.DataFrame(
        {
            "city": np.repeat([f"c{k}" for k in range(8)], len(years)),
            "year": np.tile(years, 8),
            "pilot": np.repeat([2012, 2012, *[np.nan] * 6], len(years)),
            "batch": np.repeat([1, 1, *[0] * 6], len(years)),
            "gdp": rng.normal(size=48).cumsum() + 50,
            "schools": rng.uniform(1, 9, 48),
        }
    )
    rows.to_csv(tmp_path / "cities.csv", index=False)

    def write(inference: str) -> Path:
        path = tmp_path / "job.yaml"
        path.write_text(f"{JOB}inference: {inference}\n")
        return path

    return write


@pytest.fixture
def replicates(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Replicates that the machine is given, by kind."""
    made: Counter[str] = Counter()
    reduce = Machine.reduce

    def counting(
        self: Machine, leaf: Any, setting: Any, tasks: Any, *rest: Any, label: str, **more: Any
    ) -> Any:
        tasks = list(tasks)
        if label in LABELS:
            made[LABELS[label]] += sum(len(task) for task in tasks)
        return reduce(self, leaf, setting, tasks, *rest, label=label, **more)

    monkeypatch.setattr(Machine, "reduce", counting)
    return made


@pytest.mark.parametrize(
    ("inference", "each", "exact"),
    [
        (
            "{permutation: {reps: 19}, bootstrap: {kind: node, reps: 11}}",
            {"permutations": 19, "node bootstrap draws": 11},
            False,
        ),
        ("{permutation: {reps: 99}}", {"permutations": 28}, True),
    ],
)
def test_the_run_makes_what_the_plan_counts(
    inference: str,
    each: dict[str, int],
    exact: bool,
    written: Callable[[str], Path],
    replicates: Counter[str],
) -> None:
    path = written(inference)
    plan, prepared = pipeline.check(path)
    counts = [count for group in prepared for count in draw_counts(group)]
    planned: Counter[str] = Counter()
    for count in counts:
        planned[count.kind] += count.draws
    begun: list[str] = []

    def progress(label: str, n_done: int, _: int) -> None:
        begun.extend([label] * (n_done == 0))

    results = engine.run(path, progress=progress)
    assert planned == replicates == {kind: 2 * draws for kind, draws in each.items()}
    assert all(count.exact == exact for count in counts if count.kind == "permutations")
    made = results.draws[results.draws["method"] == "permutation"]
    permuted = [count for count in counts if count.kind == "permutations"]
    assert len(made) == sum(count.draws * count.cells for count in permuted)
    lines = list(plan_lines(plan, prepared))
    total = 2 * each["permutations"]
    assert f"in all {total} permutations, {2 * total} estimates of a cell" in lines
    assert "from start to end on two cores" in lines[-1]
    assert "rough" in lines[-1]
    assert 0 < work_seconds(prepared) < run_seconds(prepared)
    labels = [label for label, _ in expected_stages(prepared)]
    draws = ["permutations", "bootstrap"] if "bootstrap" in inference else ["permutations"]
    assert labels == ["moments"] * 2 + draws * 2 + ["results"]
    assert [label for label in begun if label in labels] == labels[:-1]


@pytest.mark.parametrize(
    ("overrides", "label", "n_passes", "n_stages"),
    [
        ([], "permutations", 2, 2),
        (["pairs.exclude=none", "model.fixed_effects=[pair, city x year]"], "permutations", 1, 2),  # refits
        (["inference.bootstrap={kind: two_way_wild, reps: 9}"], "bootstrap", 2, 4),
    ],
)
def test_draws_that_cells_make_one_by_one_are_a_stage_each(
    overrides: list[str], label: str, n_passes: int, n_stages: int, written: Callable[[str], Path]
) -> None:
    """Two cells a pass; together the stages take what the draws are counted, and a little each."""
    _, prepared = pipeline.check(written("{permutation: {reps: 19}}"), overrides=overrides)
    assert len(prepared) == n_passes
    stages = [seconds for stage, seconds in expected_stages(prepared) if stage == label]
    assert len(stages) == n_stages
    counts = [count for one_pass in prepared for count in draw_counts(one_pass)]
    counted = sum(count.seconds for count in counts if label in count.kind)
    assert sum(stages) > counted > 0


def test_blocks_that_differ_are_counted_apart(
    written: Callable[[str], Path], replicates: Counter[str]
) -> None:
    path = written("{permutation: {reps: 9}}")
    path.write_text(
        path.read_text().replace(
            "sweep: {pairs.exclude: [both_treated, none], ", "sweep: {inference.permutation.seed: [1, 2], "
        )
    )
    _, prepared = pipeline.check(path)
    counts = [count for group in prepared for count in draw_counts(group)]
    assert [(count.draws, count.cells) for count in counts] == [(9, 2), (9, 2)]
    engine.run(path)
    assert replicates == {"permutations": 18}


def test_more_draws_and_more_cells_take_longer(written: Callable[[str], Path]) -> None:
    def seconds(inference: str, *overrides: str) -> float:
        prepared = pipeline.check(written(inference), overrides=overrides)[1]
        return sum(count.seconds for one_pass in prepared for count in draw_counts(one_pass))

    few, many = (seconds(f"{{permutation: {{reps: {reps}, strata: [batch]}}}}") for reps in (1, 20))
    assert few == many  # one assignment keeps the strata
    few, many = (seconds(f"{{bootstrap: {{reps: {reps}}}}}") for reps in (100, 10_000))
    assert many > 10 * few
    for kind in ("multiplier", "wild", "two_way_wild", "pipeline"):
        few, many = (seconds(f"{{bootstrap: {{kind: {kind}, reps: {reps}}}}}") for reps in (1000, 100_000))
        assert many > 10 * few
    one = seconds("{bootstrap: {reps: 10000}}", "sweep.model.controls=[[]]")
    assert seconds("{bootstrap: {reps: 10000}}") > 1.3 * one


def test_cells_of_other_treatments_are_permuted_apart(
    written: Callable[[str], Path], replicates: Counter[str]
) -> None:
    path = written("{permutation: {reps: 9}}")
    sweep = "sweep: {treatment.shift: [0, -1], "
    path.write_text(path.read_text().replace("sweep: {pairs.exclude: [both_treated, none], ", sweep))
    _, prepared = pipeline.check(path, overrides=["pairs.exclude=none"])
    counts = [count for group in prepared for count in draw_counts(group)]
    assert [(count.draws, count.cells) for count in counts] == [(9, 2), (9, 2)]
    engine.run(path, overrides=["pairs.exclude=none"])
    assert replicates["permutations"] == 18


@pytest.mark.parametrize(("n_cells", "n_listed"), [(24, 24), (25, 6)])
def test_a_plan_lists_few_cells_unless_all_are_asked(
    n_cells: int, n_listed: int, written: Callable[[str], Path], command: Callable[..., tuple[int, str, str]]
) -> None:
    path = written("{}")
    levels = ", ".join(f"0.{level}" for level in range(60, 60 + n_cells))
    sweep = f"sweep: {{model.confidence: [{levels}]}}"
    path.write_text(re.sub("sweep: .*", sweep, path.read_text()))
    code, out, err = command("plan", str(path))
    lines = out.splitlines()
    numbers = [line.split()[0] for line in lines if "model.confidence=" in line]
    assert (code, err, numbers) == (0, "", [str(number) for number in range(1, n_listed + 1)])
    told = [line for line in lines if "--cells" in line]
    assert told == (["  and 19 more cells; --cells lists all of them"] if n_cells == 25 else [])
    all_lines = command("plan", str(path), "--cells")[1].splitlines()
    assert sum("model.confidence=" in line for line in all_lines) == n_cells
    assert not any("--cells" in line for line in all_lines)
    assert all_lines[-2:] == lines[-2:]


@pytest.mark.parametrize(
    "estimator",
    [
        "twfe", "event_study", "sun_abraham", "extended_twfe", "imputation", "callaway_santanna", "stacked",
        "local_projection", "de_chaisemartin",
    ],
)  # fmt: skip
@pytest.mark.parametrize("named", [False, True])
def test_the_coefficients_that_permutations_test_are_counted(
    estimator: str, named: bool, written: Callable[[str], Path]
) -> None:
    """Averages over cohorts, not the effects behind them; of a test that names its terms, these."""
    model = f"{{estimator: {estimator}, controls: [], window: [-2, 1], errors: [dyadic]}}"
    path = written("{permutation: {reps: 3}}")
    text = path.read_text(encoding="utf-8").replace("model: {errors: [pair, dyadic]}", f"model: {model}")
    text = re.sub(r"sweep: .*\n", "pairs: {exclude: none}\n", text)
    if estimator in ("twfe", "callaway_santanna"):
        text = text.replace(", window: [-2, 1]", "")
    path.write_text(text, encoding="utf-8")
    if named:
        term = "policy" if estimator == "twfe" else "policy[+0]"
        path.write_text(text.replace("reps: 3", f'reps: 3, terms: ["{term}"]'), encoding="utf-8")
    _, [prepared] = pipeline.check(path)
    drawn = engine.run(path).draws
    tested = drawn.loc[drawn["method"] == "permutation", "term"].nunique()
    no_year_before = (
        estimator == "callaway_santanna" and not named
    )  # the first event year, which no plan can know
    assert n_tested(prepared, prepared.pass_cells.cells[0]) == tested + no_year_before
