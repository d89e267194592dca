"""Errors under dependence between near cities, against literal arithmetic on the rows of the pairs."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from oracle_neighbourhoods import literal
from strategies import pair_table, run_panel, run_table

from engine.errors import InputError
from engine.infer.errors import spatial
from engine.infer.errors.neighbourhoods import KERNELS, kernel_matrix
from engine.pairs import near_pairs
from engine.report.error_types import error_label, preferred, robust_and_conventional
from engine.report.language.wording import ENGLISH

EXACT = 1e-8


def kilometres(frame: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Great-circle distances by the spherical law of cosines."""
    place = np.radians(frame.groupby("city")[["latitude", "longitude"]].first())
    (lat, lon), names = place.to_numpy().T, list(place.index)
    cosine = np.sin(lat[:, None]) * np.sin(lat) + np.cos(lat[:, None]) * np.cos(lat) * np.cos(
        lon[:, None] - lon
    )
    distance = 6371.0088 * np.arccos(np.clip(cosine, -1, 1))
    np.fill_diagonal(distance, 0.0)
    return names, distance


PANELS: dict[str, dict[str, Any]] = {
    "whole": {},
    "holes": {"holes": True},
    "tiles": {"runtime": {"tile": 8}},
    "event study": {"model": {"estimator": "event_study", "window": [-2, 1]}},
}


@pytest.mark.parametrize(("distance", "kernel"), [(600, "uniform"), (750, "bartlett")])
@pytest.mark.parametrize("name", PANELS)
def test_panels(name: str, distance: float, kernel: str) -> None:
    blocks = dict(PANELS[name])
    frame = worlds.panel(holes=blocks.pop("holes", False))
    model = blocks.pop("model", {})
    kind = {"spatial": {"distance": distance, "kernel": kernel}}
    estimates = run_panel(frame, model={**model, "errors": ["pair", kind]}, **blocks).estimates
    code = f"spatial:{distance}:{kernel}"
    estimates = estimates[estimates["errors"] == code]
    event = {"event": (-1, (-2, 1))} if model else {}
    long, terms = oracle.relabelled(
        worlds.oracle_grid(frame), worlds.observed_adoption(frame), rule="exactly_one", **event
    )
    radii = {float(distance): 1.0}
    if kernel == "bartlett":
        radii = {0.0: 0.1, 150.0: 0.2, 300.0: 0.2, 450.0: 0.2, 600.0: 0.2, 750.0: 0.1}
    names, km = kilometres(frame)
    expected = literal(long, ["edu", "dense", *terms], names, km, radii)
    for column, values in expected.items():
        np.testing.assert_allclose(estimates[column].to_numpy(), values, rtol=EXACT, err_msg=column)


def test_pairs_that_do_not_fit_in_memory_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs are added to the sums of neighbourhoods as often as those held are many."""
    kinds: list[Any] = [{"spatial": {"distance": 750}}, {"block_jackknife": {"distance": 400}}]
    settings: dict[str, Any] = {"model": {"errors": ["dyadic_cr2", *kinds]}, "runtime": {"tile": 8}}
    together = run_panel(worlds.panel(), **settings).estimates
    monkeypatch.setattr(near_pairs, "_HELD_BYTES", 1)
    piecewise = run_panel(worlds.panel(), **settings).estimates
    pd.testing.assert_frame_equal(together, piecewise, rtol=1e-11, atol=0)
    assert together["errors"].nunique() == 3
    assert together["std_error"].notna().all()


def test_a_distance_below_all_is_the_default_error() -> None:
    """No two cities are near, so that J is of each alone."""
    kind = {"spatial": {"distance": 0.001, "kernel": "uniform"}}
    estimates = run_panel(worlds.panel(), model={"errors": ["dyadic_cr2", kind]}).estimates
    by_type = {code: rows.reset_index(drop=True) for code, rows in estimates.groupby("errors")}
    for column in ("std_error", "dof", "effective_adopters"):
        np.testing.assert_allclose(
            by_type["spatial:0.001:uniform"][column], by_type["dyadic_cr2"][column], rtol=1e-9
        )


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_distance_beyond_the_map_has_no_error(kernel: str) -> None:
    """No sample is left, and what would stand in for their steps adds up to zero."""
    kind = {"spatial": {"distance": 20_000, "kernel": kernel}}
    results = run_panel(worlds.panel(), model={"errors": ["dyadic_cr2", kind]})
    rows = results.estimates[results.estimates["errors"].str.startswith("spatial")]
    assert rows["std_error"].isna().all()
    assert rows["p_value"].isna().all()
    assert any(
        "the neighbourhoods are too wide there for errors of near cities" in text
        for text in results.manifest["warnings"]
    )


def test_stars_come_from_spatial_errors_where_no_other_robust_type_is() -> None:
    kind = {"spatial": {"distance": 600, "kernel": "uniform"}}
    results = run_panel(worlds.panel(), model={"errors": ["pair", kind]})
    assert preferred(results.estimates["errors"]) == "spatial:600:uniform"
    assert robust_and_conventional(results.estimates["errors"]) == ("spatial:600:uniform", "pair")
    assert preferred(["pair", "dyadic", "spatial:600:uniform"]) == "dyadic"
    assert error_label("spatial:600:uniform", ENGLISH) == "spatial, uniform 600 km"


def test_cities_at_one_place_are_left_out_alone_at_radius_zero() -> None:
    matrix = kernel_matrix(spatial.radii_of("spatial:500:bartlett"), np.zeros((2, 2)))
    np.testing.assert_allclose(matrix, [[1, 0.9], [0.9, 1]])


def test_kernels() -> None:
    distances = np.array([[0.0, 250.0, 501.0]])
    np.testing.assert_allclose(kernel_matrix(spatial.radii_of("spatial:500:uniform"), distances), [[1, 1, 0]])
    np.testing.assert_allclose(
        kernel_matrix(spatial.radii_of("spatial:500:bartlett"), distances), [[1, 0.5, 0]]
    )
    km = np.concatenate([[0.0], np.linspace(1, 500, 40)])
    found = kernel_matrix(spatial.radii_of("spatial:500:bartlett"), km[None])[0]
    assert np.abs(found - (1 - km / 500)).max() <= 0.1 + 1e-12


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"spatial": {}}, "distance is missing"),
        ({"spatial": {"distance": 0}}, "must be km above 0"),
        ({"spatial": {"distance": True}}, "must be km above 0"),
        ({"spatial": {"distance": 30_000}}, "must be km above 0"),
        ({"spatial": {"distance": 300, "kernel": "gauss"}}, "must be bartlett or uniform"),
        ({"spatial": {"distance": 300, "kind": "x"}}, "unknown key 'kind'"),
        ({"spatial": 300}, "must be a word, or {spatial:"),
        ({"kilometres": {}}, "must be a word, or {spatial:"),
        ("spatial:x:bartlett", "must be km above 0"),
        ("spatial", "must be 'pair'"),
    ],
)
def test_wrong_entries_are_refused_by_name(entry: object, said: str) -> None:
    with pytest.raises(InputError, match=r"model.errors\[0\]") as caught:
        run_panel(worlds.panel(), model={"errors": [entry]})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"fixed_effects": ["pair", "province x year"]}, "effects beyond pair and year"),
        ({"estimator": "sun_abraham", "window": [-2, 1]}, "estimator sun_abraham"),
    ],
)
def test_regressions_without_them_are_refused(model: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match="spatial errors are not defined for") as caught:
        run_panel(worlds.panel(), model={**model, "errors": ["pair", {"spatial": {"distance": 300}}]})
    assert said in str(caught.value)


def test_pair_tables_have_no_places() -> None:
    model = {"regressors": ["x", "w"], "errors": [{"spatial": {"distance": 300}}]}
    with pytest.raises(InputError, match="pair tables, whose units have neither coordinates nor columns"):
        run_table(pair_table(3), model=model)


def test_the_code_of_a_manifest_is_taken() -> None:
    estimates = run_panel(worlds.panel(), model={"errors": ["spatial:600:uniform"]}).estimates
    assert set(estimates["errors"]) == {"spatial:600:uniform"}


def test_coordinates_are_read_without_a_gravity_screen() -> None:
    """They were read for the screen alone, and a plain panel was refused."""
    kind = {"spatial": {"distance": 600}}
    whole = {"exclude": "both_treated"}
    plain, kept_all = (
        run_panel(worlds.panel(), model={"errors": [kind]}, pairs={**whole, **screen}).estimates
        for screen in ({}, {"gravity": {"mass": ["population"], "keep": "all"}})
    )
    np.testing.assert_allclose(plain["std_error"], kept_all["std_error"], rtol=1e-12)


def test_a_variance_at_its_floor_is_told() -> None:
    """The floor of a quarter of the interaction was an error like any other, with stars."""
    kinds = ["dyadic_cr2", {"spatial": {"distance": 900, "kernel": "uniform"}}]
    told = []
    for seed in range(12):
        results = run_panel(worlds.panel(seed), model={"errors": kinds}, pairs={"exclude": "both_treated"})
        told += [text for text in results.manifest["warnings"] if "the least that it may be" in text]
    assert told
    assert any("edu" in text or "dense" in text or "policy" in text for text in told)
