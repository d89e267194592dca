"""Wrong arguments of the library: each is an `InputError` that names it, with a hint, and never Python's own error."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dyadid as dd
import pandas as pd
import pytest
import yaml
from strategies import PANEL_JOB, city_panel, pair_table

from engine.api.arguments import checked_arguments

Fit = dd.Result
Job = dd.PanelJob
BLOCKS: dict[str, Any] = {**PANEL_JOB, "panel": {"source": "cities.parquet"}}
UNITS: dict[str, Any] = {"units": ("one", "other"), "year": "year"}
PAIRS = pair_table(0)
CITIES = city_panel(0)


def stated(**changes: Any) -> dd.PanelJob:
    """A job on a panel, with some arguments of `dd.panel` changed."""
    arguments: dict[str, Any] = {"adoption": "pilot_year", "rule": "exactly_one", **changes}
    return dd.panel(CITIES, **arguments).synchronization("output")


@pytest.fixture(scope="module")
def fit() -> Fit:
    return dd.feols("y ~ x", PAIRS, **UNITS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    CITIES.to_parquet(tmp_path / "cities.parquet")
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(BLOCKS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


OF_RESULTS: dict[str, tuple[Callable[[Any], object], str]] = {
    "table title": (lambda fit: fit.table(title=5), "title: must be text (got 5)"),
    "table by place": (lambda fit: fit.table("x"), "table: takes no arguments without a name (got 1)"),
    "table lang": (lambda fit: fit.table(lang="fr"), "there are no words in 'fr'"),
    "table keep": (lambda fit: fit.table(keep=[5]), r"table.keep[0]: must be text (got 5)"),
    "table labels": (lambda fit: fit.table(labels={"x": 5}), "table.labels.x: must be text (got 5)"),
    "table choice": (lambda fit: fit.table(digit=3), "unknown key 'digit', did you mean 'digits'?"),
    "table text": (lambda fit: fit.table().text(80), "text: takes no arguments without a name (got 1)"),
    "save type": (lambda fit: fit.table().save(3), "path: must be text or a path (got 3)"),
    "save ending": (lambda fit: fit.table().save("t.pdf"), "t.pdf: no table is written as '.pdf'"),
    "save folder": (lambda fit: fit.table().save("gone/t.txt"), "gone/t.txt: there is no folder gone"),
    "save empty": (lambda fit: fit.table().save(""), "path: the path is empty"),
    "plot width": (lambda fit: fit.plot(width="a"), "plot: there is no argument 'width'"),
    "plot near": (lambda fit: fit.plot(x_label="a"), "did you mean 'xlabel'?"),
    "plot ylabel": (lambda fit: fit.plot(ylabel=[1]), "ylabel: must be text (got a value of type list)"),
    "tidy option": (lambda fit: fit.tidy(error="foo"), "tidy: there is no argument 'error'"),
    "covariance type": (lambda fit: fit.covariance("foo"), "there are no errors 'foo' in the results"),
    "covariance cell": (lambda fit: fit.covariance(cell="b"), "cell: no cell has the label or id 'b'"),
    "errors type": (lambda fit: fit.errors(5), "types: must be text or a mapping whose keys are text or a list"),
    "errors none": (lambda fit: fit.errors([]), "errors: no type is named"),
    "errors list": (lambda fit: fit.errors(["pair", 5]), "types: must be text or a mapping whose keys"),
    "step twice": (lambda _: stated().twfe(estimator="ols"), "multiple values for argument 'estimator'"),
    "step by place": (lambda _: stated().twfe(["pair"]), "twfe: takes no arguments without a name (got 1)"),
    "pairs option": (lambda fit: fit.pairs(out=3), "pairs: there is no argument 'out'"),
    "pairs cell": (lambda fit: fit.pairs(1.5), "cell: must be text or a whole number (got 1.5)"),
    "results folder": (lambda fit: fit.save(None), "folder: must be text or a path (got None)"),
    "results file": (lambda fit: fit.save("job.yaml"), "folder: cannot write to the output folder job.yaml"),
    "draws title": (lambda fit: dd.Draws(fit.results).plot(title=5), "plot: title: must be text (got 5)"),
    "etable type": (lambda fit: dd.etable([fit, "x"]), "etable: str is no result that can stand in a table"),
    "etable title": (lambda fit: dd.etable([fit], title=5), "etable: title: must be text (got 5)"),
    "etable digits": (lambda fit: dd.etable([fit], digits="x"), "table.digits: must be a whole number"),
    "etable option": (lambda fit: dd.etable([fit], foo=5), "table.foo: unknown key 'foo'"),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_RESULTS)
def test_methods_of_results(name: str, fit: Fit, folder: Path) -> None:
    call, message = OF_RESULTS[name]
    refused(lambda: call(fit), message)


OF_FUNCTIONS: dict[str, tuple[Callable[[], object], str]] = {
    "read type": (lambda: dd.read(5), "read: path: must be text or a path (got 5)"),
    "read absent": (lambda: dd.read("missing.csv"), "missing.csv: there is no such file"),
    "read sheet": (lambda: dd.read("cities.parquet", sheet="a"), "only Excel files have sheets"),
    "read option": (lambda: dd.read("cities.parquet", sheets="a"), "did you mean 'sheet'?"),
    "panel type": (lambda: dd.panel([1, 2], adoption="a", rule="both"), "is of type list, no data frame"),
    "panel empty": (lambda: dd.panel(CITIES.iloc[:0], adoption="a", rule="both"), "the table has no rows"),
    "panel rule": (lambda: dd.panel(CITIES, adoption="a"), "panel: the argument 'rule' is missing"),
    "panel city": (lambda: stated(city=5), "panel: city: must be text (got 5)"),
    "panel column": (lambda: stated(adoption="pilot").twfe(), "needs column 'pilot', which is not in"),
    "outcome": (lambda: stated().synchronization(), "synchronization: the argument 'formula' is missing"),
    "controls": (lambda: stated().controls(a="log(x)"), "controls.a: 'log(x)' is no kind of pair regressor"),
    "step by place": (lambda: stated().exclude_both_treated(1), "takes no arguments without a name (got 1)"),
    "estimator": (lambda: stated().twef(), "PanelJob: a job has no 'twef'\n  hint: did you mean 'twfe'?"),
    "set key": (lambda: stated().set(5, 1), "set: key: must be text (got 5)"),
    "set value": (lambda: stated().set("model.lag"), "set: the argument 'value' is missing"),
    "set twice": (lambda: stated().set("model.lag", 1, key="a"), "set: the argument 'key' is given twice"),
    "set unknown": (lambda: stated().set("model.lags", 1), "unknown key 'lags', did you mean 'lag'?"),
    "yaml type": (lambda: stated().to_yaml(5), "to_yaml: path: must be text or a path (got 5)"),
    "yaml folder": (lambda: stated().to_yaml("gone/a.yaml"), "gone/a.yaml: there is no folder gone"),
    "job type": (lambda: dd.job(5), "a job is a path, a mapping or a Job, not int"),
    "job frames": (lambda: dd.job(BLOCKS, frames={5: CITIES}), "job: frames: must be a mapping whose keys"),
    "run type": (lambda: dd.run(5), "a job is a path, a mapping or a Job, not int"),
    "run absent": (lambda: dd.run("gone.yaml"), "gone.yaml: no such file"),
    "run panel": (lambda: dd.run(BLOCKS, panel="x"), "'panel': is of type str, no data frame"),
    "run out": (lambda: dd.run(BLOCKS, out=5), "run: out: must be text or a path (got 5)"),
    "run lang": (lambda: dd.run(BLOCKS, lang="fr"), "there are no words in 'fr'"),
    "run workers": (lambda: dd.run(BLOCKS, workers="a"), "run: workers: must be a whole number (got 'a')"),
    "run progress": (lambda: dd.run(BLOCKS, progress=5), "run: progress: must be a function (got 5)"),
    "run option": (lambda: dd.run(BLOCKS, worker=2), "did you mean 'workers'?"),
    "check option": (lambda: dd.check(BLOCKS, lang="en"), "check: there is no argument 'lang'"),
    "formula type": (lambda: dd.feols(5, PAIRS, **UNITS), "feols: formula: must be text (got 5)"),
    "formula units": (
        lambda: dd.feols("y ~ x", PAIRS, units="one", year="year"),
        "feols: units: must be a tuple of 2 texts (got 'one')",
    ),
    "formula column": (lambda: dd.feols("y ~ z", PAIRS, **UNITS), "there is no column 'z'"),
    "formula empty": (lambda: dd.fepois("y ~ x", PAIRS.iloc[:0], **UNITS), "the table has no rows"),
    "formula outcome": (lambda: dd.feols("y ~ x", PAIRS, outcome="y", **UNITS), "no argument 'outcome'"),
    "formula keywords": (lambda: dd.fepois("y ~ x", PAIRS), "fepois: the argument 'units' is missing"),
    "pair table": (
        lambda: dd.pair_table(PAIRS, units=5, year="year", outcome="y", regressors="x"),
        "pair_table: units: must be a tuple of 2 texts (got 5)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_FUNCTIONS)
def test_functions_and_steps(name: str, folder: Path) -> None:
    refused(*OF_FUNCTIONS[name])


OF_JOBS: dict[str, tuple[Callable[[Job], object], Mapping[str, object]]] = {
    "reps": (lambda job: job.twfe().permute(-1), {"inference.permutation.reps": -1}),
    "seed": (lambda job: job.twfe().permute(9, seed="a"), {"inference.permutation.seed": "a"}),
    "option": (lambda job: job.twfe().permute(9, foo=1), {"inference.permutation.foo": 1}),
    "kind": (lambda job: job.twfe().bootstrap(9, kind="foo"), {"inference.bootstrap.kind": "foo"}),
    "digits": (lambda job: job.twfe().table(digits="x"), {"table.digits": "x"}),
    "negative digits": (lambda job: job.twfe().table(digits=-1), {"table.digits": -1}),
    "labels": (lambda job: job.twfe().table(labels=5), {"table.labels": 5}),
    "stars": (lambda job: job.twfe().table(stars=5), {"table.stars": 5}),
    "rule": (lambda _: stated(rule="foo").twfe(), {"treatment.rule": "foo"}),
    "term": (lambda _: stated(term=5).twfe(), {"treatment.name": 5}),
    "years": (lambda _: stated(years=5).twfe(), {"years": 5}),
    "columns": (lambda _: stated(columns=5).twfe(), {"panel.columns": 5}),
    "fill": (lambda _: stated(fill="x").twfe(), {"panel.fill": "x"}),
    "formula": (lambda job: job.synchronization(5).twfe(), {"outcome.synchronization": 5}),
    "window": (lambda job: job.synchronization("output", window="x").twfe(), {"outcome.window": "x"}),
    "entropy": (lambda job: job.index("a", 5).twfe(), {"index.a.entropy": [5]}),
    "control": (lambda job: job.controls(edu=5).twfe(), {"controls.edu": 5}),
    "instrument": (lambda job: job.instrument(5).iv(), {"instrument": 5}),
    "mass": (lambda job: job.gravity(5).twfe(), {"pairs.gravity.mass": [5]}),
    "effect": (lambda job: job.fixed_effects(5).twfe(), {"model.fixed_effects": ["pair", 5]}),
    "unit": (lambda job: job.matching(5).twfe(), {"matching.unit": 5}),
    "estimator": (lambda job: job.estimate("foo"), {"model.estimator": "foo"}),
    "lag": (lambda job: job.twfe(lag="a"), {"model.lag": "a"}),
    "unknown": (lambda job: job.twfe(foo=5), {"model.foo": 5}),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_JOBS)
def test_keys_of_jobs_in_the_words_of_the_command_line(
    name: str, folder: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    call, keys = OF_JOBS[name]
    ((key, value),) = keys.items()
    text = refused(lambda: call(stated()), key)
    code, _, err = command("check", "job.yaml", "--set", f"{key}={json.dumps(value)}")
    head = f"{key.rpartition('.')[0]}." if key.endswith(".foo") else key
    assert code == 2
    assert text.partition(head)[2] == err.strip().partition(head)[2]


def refused(call: Callable[[], object], message: str) -> str:
    """The text of the error that a call ends in."""
    with pytest.raises(dd.InputError) as caught:
        call()
    text = str(caught.value)
    assert message in text
    assert caught.value.remedy
    return text


def test_an_absent_method_is_an_attribute_error_too() -> None:
    with pytest.raises(AttributeError, match="a job has no 'anything_else'"):
        stated().anything_else()
    assert not hasattr(stated(), "_repr_png_")


def test_every_public_function_and_method_is_checked() -> None:
    """A decorated function has the original under ``__wrapped__``."""
    public = [value for name, value in vars(dd).items() if name in dd.__all__]
    classes = [value for value in public if inspect.isclass(value) and not issubclass(value, Exception)]
    functions = [value for value in public if inspect.isfunction(value)]
    for owner in classes:
        methods = {
            name: value
            for base in owner.__mro__
            for name, value in vars(base).items()
            if not name.startswith("_")
        }
        functions += [value for value in methods.values() if inspect.isfunction(value)]
    unchecked = [value.__qualname__ for value in functions if not hasattr(value, "__wrapped__")]
    assert len(functions) > 30
    assert unchecked == ["Result.printed"]  # for `etable` alone, which has checked its choices


def test_numbers_of_numpy_and_any_list_are_taken() -> None:
    @checked_arguments()
    def function(count: int, names: list[str] | None = None, *, flag: bool = False) -> int:
        return count

    assert function(pd.Series([3]).max(), pd.Index(["a"]).tolist(), flag=True) == 3
    refused(lambda: function(True), "function: count: must be a whole number (got True)")


def test_columns_are_refused_beside_headers_that_are_renamed() -> None:
    frame = city_panel(0).rename(columns={"city": "城市"})
    job = dd.panel(frame, city="城市", adoption="pilot_year", rule="exactly_one", columns=["output"])
    with pytest.raises(dd.InputError, match=r"panel\.columns"):
        job.synchronization("output").twfe()
