"""Leverage and partial leverage of cities and provinces: hat matrices written out, and what they add up to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
import reference
from numpy.testing import assert_allclose

import engine

CONTROLS = ["edu", "dense"]


def leverages(folder: Path, frame: pd.DataFrame, by: str, **blocks: Any) -> pd.DataFrame:
    """The frame of influences of a job on a world."""
    job = worlds.job_of(frame, inference={"jackknife": {"by": by}}, **blocks)
    return engine.run(worlds.write(folder, frame, job)).influence


def literal(long: pd.DataFrame, regressors: list[str], groups: pd.Series) -> pd.DataFrame:
    """Sums of the hat matrix's diagonal over the rows of each group's pairs, and shares of squares by regressor."""
    net = reference.residuals(long, [*regressors, "y"])[regressors]
    rows, x = long.loc[net.index], net.to_numpy()
    hat = ((x @ np.linalg.inv(x.T @ x)) * x).sum(axis=1)
    others = [np.delete(x, place, axis=1) for place in range(x.shape[1])]
    of_others = [other @ np.linalg.lstsq(other, x[:, k], rcond=None)[0] for k, other in enumerate(others)]
    squares = (x - np.stack(of_others, axis=1)) ** 2
    table = {}
    for group in sorted(groups.unique()):
        in_group = (
            rows["city_i"].map(groups).eq(group).to_numpy() | rows["city_j"].map(groups).eq(group).to_numpy()
        )
        table[group] = [hat[in_group].sum(), *(squares[in_group].sum(axis=0) / squares.sum(axis=0))]
    return pd.DataFrame.from_dict(table, orient="index", columns=["leverage", *regressors])


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("by", ["city", "province"])
def test_leverages_are_those_of_the_hat_matrix(by: str, holes: bool, tmp_path: Path) -> None:
    frame = worlds.panel(3, holes=holes)
    found = leverages(tmp_path, frame, by)
    groups = frame.groupby("city")["city" if by == "city" else "province"].first()
    long, _ = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame))
    expected = literal(long, [*CONTROLS, "policy"], groups).loc[found["left_out"]]
    assert_allclose(found["leverage"], expected["leverage"], rtol=1e-9)
    assert_allclose(found["partial_leverage"], expected["policy"], rtol=1e-9)


def test_every_event_year_has_its_own(tmp_path: Path) -> None:
    frame = worlds.panel(3)
    model = {"estimator": "event_study", "window": [-3, 2]}
    found = leverages(tmp_path, frame, "city", model=model)
    groups = pd.Series({city: city for city in frame["city"].unique()})
    adopted = worlds.observed_adoption(frame)
    long, terms = oracle.relabelled(worlds.oracle_grid(frame), adopted, event=(-1, (-3, 2)))
    expected = literal(long, [*CONTROLS, *terms], groups)
    assert found["term"].nunique() == len(terms) == 5
    for term, rows in found.groupby("term"):
        assert_allclose(rows["partial_leverage"], expected.loc[rows["left_out"], str(term)], rtol=1e-9)
        assert_allclose(rows["leverage"], expected.loc[rows["left_out"], "leverage"], rtol=1e-9)


def test_cities_add_up_to_twice_the_regressors_and_an_only_adopter_is_nearly_all_there_is(
    tmp_path: Path,
) -> None:
    frame = worlds.panel(5)
    frame["pilot_year"] = np.where(frame["city"] == "city03", 2014.0, np.nan)
    found = leverages(tmp_path, frame, "city")
    assert_allclose(found["leverage"].sum(), 2 * 3)
    assert_allclose(found["partial_leverage"].sum(), 2)
    # Not all: year effects come from the pairs of others too.
    assert 0.9 < found.set_index("left_out").loc["city03", "partial_leverage"] < 1
