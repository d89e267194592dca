"""Directed pair tables: errors against a literal double loop over ordered pairs that share a unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from peers import against_brute_force, against_pyfixest, cell
from tolerances import BRUTE

import engine

TRADE = """
job: trade
pair_table: {source: trade.csv, unit_i: city_i, unit_j: city_j, year: year, directed: true}
outcome: {column: ln_trade}
model: {estimator: twfe, regressors: [rta, tariff]}
"""
X = ["rta", "tariff"]


def trade(*, share_missing: float = 0.15, seed: int = 10) -> pd.DataFrame:
    """Ordered pairs of 13 countries in 7 years, correlated within countries, with some dyads one-way only."""
    random = np.random.default_rng(seed)
    n, years = 13, 7
    export, imports = random.normal(0, 1, (2, n, years)).cumsum(axis=2)
    agreement = random.integers(1, years + 4, (n, n))
    agreement = np.minimum(agreement, agreement.T)  # both directions enter an agreement together
    rows = []
    for i in range(n):
        for j in range(n):
            one_way = i > j and (i + j) % 5 == 0
            if i == j or one_way:
                continue
            for t in range(years):
                rta = float(t >= agreement[i, j])
                tariff = random.normal() + 0.3 * imports[j, t]
                y = 0.2 * rta - 0.1 * tariff + export[i, t] + imports[j, t] + random.normal()
                rows.append((f"u{i:02d}", f"u{j:02d}", 2000 + t, y, rta, tariff))
    frame = pd.DataFrame(rows, columns=["city_i", "city_j", "year", "ln_trade", *X])
    return frame[random.random(len(frame)) >= share_missing]


def run(folder: Path, table: pd.DataFrame) -> engine.Results:
    table.to_csv(folder / "trade.csv", index=False)
    (folder / "job.yaml").write_text(TRADE, encoding="utf-8")
    return engine.run(folder / "job.yaml")


@pytest.mark.parametrize("share_missing", [0.0, 0.15])
def test_directed_table(tmp_path: Path, share_missing: float) -> None:
    table = trade(share_missing=share_missing)
    results = run(tmp_path, table)
    against_pyfixest(cell(results), table, X, outcome="ln_trade")
    against_brute_force(cell(results), table, X, outcome="ln_trade")


def test_dyadic_errors_by_the_double_sum_written_out(tmp_path: Path) -> None:
    """Every two ordered pairs that share a unit in either position, the reverse of a pair among them."""
    table = trade()
    rows = table.assign(pair=table["city_i"] + table["city_j"]).reset_index(drop=True)
    pair, year = pd.get_dummies(rows["pair"], dtype=float), pd.get_dummies(rows["year"], dtype=float)
    effects = np.hstack([pair.to_numpy(), year.to_numpy()[:, 1:]])
    columns = rows[[*X, "ln_trade"]].to_numpy()
    columns = columns - effects @ np.linalg.lstsq(effects, columns, rcond=None)[0]
    x, y = columns[:, :-1], columns[:, -1]
    coefficients = np.linalg.lstsq(x, y, rcond=None)[0]
    scores = {
        ends: (x[group.index] * (y - x @ coefficients)[group.index, None]).sum(axis=0)
        for ends, group in rows.groupby(["city_i", "city_j"])
    }
    meat = np.zeros((2, 2))
    for (i, j), one in scores.items():
        for (k, m), other in scores.items():
            if {i, j} & {k, m}:
                meat += np.outer(one, other)
    bread = np.linalg.inv(x.T @ x)
    n, units = len(rows), 13
    factor = units / (units - 1) * (n - 1) / (n - len(X) - 7)
    errors = np.sqrt(np.diag(bread @ meat @ bread * factor))
    own = cell(run(tmp_path, table))
    np.testing.assert_allclose(own["dyadic"].loc[X, "std_error"], errors, rtol=BRUTE)
    np.testing.assert_allclose(own["dyadic"].loc[X, "estimate"], coefficients, rtol=BRUTE)
    # One dyad's two directions are two clusters of pair errors but related in dyadic ones.
    assert (own["pair"]["n_pairs"] == len(scores)).all()
    assert (own["pair"]["dof"] == len(scores) - 1).all()
