"""Errors under dependence between linked cities, against literal arithmetic on the rows of the pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
import yaml
from oracle_neighbourhoods import literal
from strategies import PANEL_JOB, city_panel

import engine
from engine.errors import InputError
from engine.infer.errors import network
from engine.infer.errors.neighbourhoods import kernel_matrix
from engine.report.error_types import error_label
from engine.report.language.wording import ENGLISH, words_of

EXACT = 1e-8


def links(frame: pd.DataFrame, seed: int = 5, share: float = 0.15) -> pd.DataFrame:
    """Some links of the cities of a panel, each once, in no order."""
    rng = np.random.default_rng(seed)
    names = sorted(frame["city"].unique())
    i, j = np.triu_indices(len(names), 1)
    drawn = rng.random(len(i)) < share
    ends = np.array(names)[np.stack([i[drawn], j[drawn]])]
    swapped = np.where(rng.random(ends.shape[1]) < 0.5, ends, ends[::-1])
    return pd.DataFrame({"from": swapped[0], "to": swapped[1]})


def ways(names: list[str], table: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Links of the shortest ways, by taking one link more at a time."""
    adjacent = np.eye(len(names), dtype=bool)
    for first, second in zip(table["from"], table["to"], strict=True):
        adjacent[names.index(first), names.index(second)] = adjacent[
            names.index(second), names.index(first)
        ] = True
    lengths, reached = np.full(adjacent.shape, np.inf), np.eye(len(names), dtype=bool)
    for length in range(len(names)):
        lengths[reached & np.isinf(lengths)] = length
        reached = reached.astype(int) @ adjacent.astype(int) > 0
    return lengths


def run(
    folder: Path, frame: pd.DataFrame, table: pd.DataFrame, block: dict[str, Any], **blocks: Any
) -> engine.Results:
    """Results of a job on a panel with a table of links."""
    frame.to_parquet(folder / "cities.parquet")
    table.to_csv(folder / "links.csv", index=False)
    balance = "keep" if frame.isna()["output"].any() else "drop"
    panel = {"source": "cities.parquet", "balance": balance, "links": {"source": "links.csv", **block}}
    path = folder / "job.yaml"
    path.write_text(
        yaml.safe_dump({**PANEL_JOB, "panel": panel, **blocks}, allow_unicode=True, sort_keys=False)
    )
    return engine.run(path)


ROWS = {"unit_i": "from", "unit_j": "to"}
PANELS: dict[str, dict[str, Any]] = {
    "whole": {},
    "holes": {"holes": True},
    "tiles": {"runtime": {"tile": 8}},
    "event study": {"model": {"estimator": "event_study", "window": [-2, 1]}},
}


@pytest.mark.parametrize(
    ("kind", "radii"),
    [
        ({"links": 1}, {1.0: 1.0}),
        ({"links": 2, "kernel": "bartlett"}, {0.0: 1 / 3, 1.0: 1 / 3, 2.0: 1 / 3}),
    ],
)
@pytest.mark.parametrize("name", PANELS)
def test_panels(name: str, kind: dict[str, Any], radii: dict[float, float], tmp_path: Path) -> None:
    blocks = dict(PANELS[name])
    frame = worlds.panel(holes=blocks.pop("holes", False))
    model = blocks.pop("model", {})
    table = links(frame)
    results = run(
        tmp_path, frame, table, ROWS, model={**model, "errors": ["pair", {"network": kind}]}, **blocks
    )
    code = f"network:{kind['links']}:{kind.get('kernel', 'uniform')}"
    estimates = results.estimates[results.estimates["errors"] == code]
    event = {"event": (-1, (-2, 1))} if model else {}
    long, terms = oracle.relabelled(
        worlds.oracle_grid(frame), worlds.observed_adoption(frame), rule="exactly_one", **event
    )
    names = sorted(frame["city"].unique())
    expected = literal(long, ["edu", "dense", *terms], names, ways(names, table), radii)
    assert np.isfinite(expected["std_error"]).all()
    for column, values in expected.items():
        np.testing.assert_allclose(estimates[column].to_numpy(), values, rtol=EXACT, err_msg=column)


def test_spatial_and_network_errors_of_one_job_are_those_of_two(tmp_path: Path) -> None:
    frame = worlds.panel()
    table = links(frame)
    spatial, of_links = {"spatial": {"distance": 600}}, {"network": {"links": 1}}
    together = run(tmp_path, frame, table, ROWS, model={"errors": [spatial, of_links]}).estimates
    alone = run(tmp_path, frame, table, ROWS, model={"errors": [of_links]}).estimates
    mixed = together[together["errors"] == "network:1:uniform"].reset_index(drop=True)
    pd.testing.assert_frame_equal(mixed[["term", "std_error", "dof"]], alone[["term", "std_error", "dof"]])
    assert together.groupby("errors")["std_error"].first().nunique() == 2


def test_a_matrix_says_what_rows_say(tmp_path: Path) -> None:
    frame = worlds.panel()
    table = links(frame)
    names = sorted(frame["city"].unique())
    adjacent = (ways(names, table) == 1).astype(int)
    shuffled = np.random.default_rng(1).permutation(len(names))
    matrix = pd.DataFrame(adjacent[shuffled], columns=names).assign(city=np.array(names)[shuffled])
    matrix = matrix[["city", *reversed(names)]]
    model = {"errors": [{"network": {"links": 2, "kernel": "uniform"}}]}
    of_rows = run(tmp_path, frame, table, ROWS, model=model)
    of_matrix = run(tmp_path, frame, matrix, {}, model=model)
    upper = matrix.copy()
    upper[names] = np.where(np.array(names)[shuffled][:, None] < np.array(names), upper[names], 0)
    of_half = run(tmp_path, frame, upper, {}, model=model)
    for results in (of_matrix, of_half):
        pd.testing.assert_frame_equal(
            results.estimates.drop(columns="cell"), of_rows.estimates.drop(columns="cell")
        )


def test_the_identity_of_a_run_has_the_links(tmp_path: Path) -> None:
    frame = worlds.panel()
    model = {"errors": [{"network": {"links": 1}}]}
    first = run(tmp_path, frame, links(frame), ROWS, model=model)
    second = run(tmp_path, frame, links(frame, seed=6), ROWS, model=model)
    assert (first.estimates["std_error"] != second.estimates["std_error"]).any()
    hashes = [
        entry["sha256"]
        for results in (first, second)
        for entry in results.manifest["more_data"]
        if entry["source"] == "links.csv"
    ]
    assert len(hashes) == len(set(hashes)) == 2


def test_kernels() -> None:
    lengths = np.array([[0.0, 1.0, 2.0, 3.0, np.inf]])
    for code, expected in (
        ("network:2:uniform", [1, 1, 1, 0, 0]),
        ("network:2:bartlett", [1, 2 / 3, 1 / 3, 0, 0]),
        ("network:1:bartlett", [1, 1 / 2, 0, 0, 0]),
    ):
        np.testing.assert_allclose(kernel_matrix(network.radii_of(code), lengths), [expected])


def test_labels_in_both_languages() -> None:
    assert error_label("network:2:bartlett", ENGLISH) == "network, bartlett 2 links"
    assert "网络" in error_label("network:2:bartlett", words_of("zh"))


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"network": {}}, "links is missing"),
        ({"network": {"links": 0}}, "must be a whole number from 1 to 10"),
        ({"network": {"links": 1.5}}, "must be a whole number from 1 to 10"),
        ({"network": {"links": True}}, "must be a whole number from 1 to 10"),
        ({"network": {"links": 1, "kernel": "gauss"}}, "must be bartlett or uniform"),
        ({"network": {"distance": 300}}, "unknown key 'distance'"),
        ("network:x:bartlett", "must be a whole number from 1 to 10"),
        ("network", "must be 'pair'"),
    ],
)
def test_wrong_entries_are_refused_by_name(entry: object, problem: str, tmp_path: Path) -> None:
    frame = worlds.panel()
    with pytest.raises(InputError, match=r"model.errors\[0\]") as caught:
        run(tmp_path, frame, links(frame), ROWS, model={"errors": [entry]})
    assert problem in str(caught.value)


def test_errors_without_links_and_links_without_errors_are_refused(tmp_path: Path) -> None:
    frame = worlds.panel()
    with pytest.raises(
        InputError, match=r"panel.links.*has no meaning in this job: it is for city panels with errors"
    ):
        run(tmp_path, frame, links(frame), ROWS)
    frame.to_parquet(tmp_path / "cities.parquet")
    (tmp_path / "job.yaml").write_text(
        yaml.safe_dump(
            {**PANEL_JOB, "panel": {"source": "cities.parquet"}, "model": {"errors": ["network:1:uniform"]}}
        )
    )
    with pytest.raises(InputError, match=r"errors network need panel\.links"):
        engine.run(tmp_path / "job.yaml")


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ({"fixed_effects": ["pair", "province x year"]}, "effects beyond pair and year"),
        ({"estimator": "sun_abraham", "window": [-2, 1]}, "estimator sun_abraham"),
    ],
)
def test_regressions_without_them_are_refused(model: dict[str, Any], problem: str, tmp_path: Path) -> None:
    frame = worlds.panel()
    with pytest.raises(InputError, match="network errors are not defined for") as caught:
        run(
            tmp_path,
            frame,
            links(frame),
            ROWS,
            model={**model, "errors": ["pair", {"network": {"links": 1}}]},
        )
    assert problem in str(caught.value)


def test_links_that_reach_everybody_have_no_error(tmp_path: Path) -> None:
    frame = worlds.panel()
    names = sorted(frame["city"].unique())
    chain = pd.DataFrame({"from": names[:-1], "to": names[1:]})
    results = run(
        tmp_path, frame, chain, ROWS, model={"errors": [{"network": {"links": 10, "kernel": "uniform"}}]}
    )
    assert results.estimates["std_error"].isna().any()
    assert any("neighbourhoods are too wide" in text for text in results.manifest["warnings"])


def test_a_data_frame_of_links_and_a_sweep(tmp_path: Path) -> None:
    """A sweep over errors of which one alone reads the links."""
    frame = city_panel(0, 16)
    job = {
        **PANEL_JOB,
        "panel": {"source": "frame:panel", "links": {"source": "frame:neighbours", **ROWS}},
        "sweep": {"model.errors": [["dyadic_cr2"], [{"network": {"links": 1}}]]},
    }
    results = engine.run(job, frames={"panel": frame, "neighbours": links(frame)})
    assert set(results.estimates["errors"]) == {"dyadic_cr2", "network:1:uniform"}
