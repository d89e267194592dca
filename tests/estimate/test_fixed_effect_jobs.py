"""Jobs with more effects than pair and year: what they refuse before any pass, what stays possible, what is printed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import literal_effects as literal
import numpy as np
import pandas as pd
import pytest
from strategies import city_panel, pair_table, run_panel, run_table
from test_fixed_effects import CLOSE, NAMES, case_rows, panel, run_case

from engine.errors import InputError
from engine.stages import absorbed

BY_PROVINCE = ["pair", "year", "province-pair x year"]


@pytest.fixture
def no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: Any) -> None:
        raise AssertionError("a pass began")

    monkeypatch.setattr(absorbed, "estimate_absorbed", started)


def varying(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[(frame["city"] == "city03") & (frame["year"] > 2014), "province"] = "p9"
    return frame


def empty(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[frame["city"] == "city03", "province"] = ""
    return frame


def nowhere(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=["latitude", "longitude"])


def same(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


Change = Callable[[pd.DataFrame], pd.DataFrame]
LABELS: dict[str, tuple[Change, list[str], tuple[str, ...]]] = {
    "missing": (same, ["pair", "provinc x year"], ("needs column 'provinc'", "did you mean 'province'?")),
    "varying": (varying, BY_PROVINCE, ("'province' must be constant within a city, but city03 has both",)),
    "empty": (empty, BY_PROVINCE, ("have no 'province', which model.fixed_effects needs: city03",)),
    "no places": (nowhere, ["pair", "distance:3 x year"], ("model.fixed_effects: needs column 'latitude'",)),
}


@pytest.mark.usefixtures("no_pass")
@pytest.mark.parametrize("kind", LABELS)
def test_labels_and_places(kind: str) -> None:
    change, listed, expected = LABELS[kind]
    with pytest.raises(InputError) as caught:
        run_panel(change(panel(1)), pairs={"exclude": "none"}, model={"fixed_effects": listed})
    for text in expected:
        assert text in str(caught.value)


ASKED = {
    "inference.bootstrap kind node": {"bootstrap": {"kind": "node", "reps": 9}},
    "inference.bootstrap kind wild": {"bootstrap": {"kind": "wild", "reps": 9}},
    "inference.bootstrap kind two_way_wild": {"bootstrap": {"kind": "two_way_wild", "reps": 9}},
    "inference.bootstrap kind pipeline": {"bootstrap": {"kind": "pipeline", "reps": 9}},
    "inference.jackknife": {"jackknife": {"by": "city"}},
}


@pytest.mark.usefixtures("no_pass")
@pytest.mark.parametrize("kind", ASKED)
def test_draws_that_need_moments(kind: str) -> None:
    with pytest.raises(InputError) as caught:
        run_panel(panel(1), model={"fixed_effects": BY_PROVINCE}, inference=ASKED[kind])
    assert caught.value.problem == f"{kind} has pair and year effects only, not {', '.join(BY_PROVINCE)}"
    assert "inference.bootstrap kind multiplier" in (caught.value.remedy or "")
    assert (caught.value.where or "").endswith("cell 'small': model.fixed_effects")


@pytest.mark.usefixtures("no_pass")
def test_rows_that_do_not_fit() -> None:
    with pytest.raises(InputError, match=r"pair-years take .* GB .* more than runtime.memory allows"):
        run_panel(
            city_panel(1, 60),
            pairs={"exclude": "none"},
            model={"fixed_effects": ["pair", "city x year"]},
            runtime={"memory": "2MB"},
        )


def test_policy_of_whole_provinces_is_absorbed_by_name() -> None:
    """Seen only in the rows: without pairs of two treated cities the policy is a sum of province years."""
    frame = panel(1)
    frame["pilot_year"] = frame["province"].map({"p0": 2013.0, "p1": 2015.0})
    with pytest.raises(InputError) as caught:
        run_panel(
            frame,
            pairs={"exclude": "both_treated"},
            model={"fixed_effects": ["pair", "year", "province x year"]},
        )
    assert "'policy' has no variation left once pair, year, province x year are removed" in str(caught.value)
    assert "cell 'small': model.fixed_effects" in str(caught.value)
    assert "pairs.exclude: none keeps them" in str(caught.value)


def test_regressor_that_others_explain() -> None:
    frame = pair_table(1)
    frame["w"] = 2 * frame["x"] + frame["year"]
    with pytest.raises(InputError, match="'w' is collinear with x once pair, city x year are removed"):
        run_table(frame, model={"regressors": ["x", "w"], "fixed_effects": ["pair", "city x year"]})


def test_only_singletons() -> None:
    frame = pair_table(1)
    frame["row"] = [f"r{k}" for k in range(len(frame))]
    with pytest.raises(InputError, match="no row is left"):
        run_table(frame, model={"regressors": ["x", "w"], "fixed_effects": ["pair", "year", "row"]})


def test_multiplier_bootstrap_perturbs_the_city_scores() -> None:
    kind = "cities"
    model = {"fixed_effects": ["pair", "city x year"], "errors": ["dyadic"]}
    found = run_panel(
        panel(3),
        pairs={"exclude": "none"},
        model=model,
        inference={"bootstrap": {"kind": "multiplier", "reps": 400, "seed": 3}},
    )
    rows = found.inference.set_index("method")
    psi = literal.regression(case_rows(kind, False), NAMES, [literal.pair, literal.city_year]).psi
    of_city = (
        pd.concat([psi.groupby(end)["policy"].sum() for end in ("city_i", "city_j")]).groupby(level=0).sum()
    )
    np.testing.assert_allclose(
        rows.loc["target_se_node", "statistic"], np.sqrt((of_city**2).sum()), rtol=CLOSE
    )
    draws = found.draws["estimate"].to_numpy()
    # 400 draws know their own spread to 3.5 per cent; four times that.
    np.testing.assert_allclose(draws.std(), np.sqrt((of_city**2).sum()), rtol=0.14)


def test_table_names_the_effects(tmp_path: Path) -> None:
    run_panel(
        panel(3),
        {"out": tmp_path},
        model={"errors": ["pair", "dyadic"], "controls": []},
        cases={
            "plain": {},
            "provinces": {"model.fixed_effects": BY_PROVINCE},
            "cities": {"pairs.exclude": "none", "model.fixed_effects": ["pair", "city x year"]},
        },
    )
    table = pd.read_csv(next(tmp_path.rglob("table.csv")), index_col="row").drop(columns="term")
    said = {label: list(table.loc[label]) for label in table.index if str(label).endswith(" FE")}
    assert said == {
        "Pair FE": ["Yes", "Yes", "Yes"],
        "Year FE": ["Yes", "Yes", "Yes"],
        "province-pair x year FE": ["No", "Yes", "No"],
        "city x year FE": ["No", "No", "Yes"],
    }


def test_a_table_without_the_column() -> None:
    with pytest.raises(InputError) as caught:
        run_table(pair_table(1), model={"regressors": ["x", "w"], "fixed_effects": ["pair", "year", "route"]})
    assert "model.fixed_effects: 'route': there is no column 'route'" in str(caught.value)


def test_jackknife_refits_only_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run_case("cities", False).estimates

    def asked(*_: Any) -> None:
        raise AssertionError("a refit began")

    monkeypatch.setattr(absorbed, "leave_out_cities", asked)
    model = {"fixed_effects": ["pair", "city x year"], "errors": ["pair", "dyadic"]}
    found = run_panel(panel(3), pairs={"exclude": "none"}, model=model)
    expected = whole[whole["errors"].isin(["pair", "dyadic"])].reset_index(drop=True)
    numbers = ["term", "errors", "estimate", "std_error", "n_obs"]
    pd.testing.assert_frame_equal(found.estimates[numbers], expected[numbers], check_exact=True)
