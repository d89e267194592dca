"""Every job of jobs/paper against pyfixest, linearmodels and statsmodels, on pairs that the reference builds.

A smaller country keeps it fast; the full counts are those of the last tests.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import reference
from designs import CONTROLS, INDICATORS, JOBS, SMALL, cities, design, sample
from linearmodels.iv import IV2SLS
from oracle_matching import plain_search, score
from peers import Cell, against_brute_force, against_pyfixest, cell
from tolerances import BRUTE, PEER

import engine
from engine.infer.draws import permuted_classes
from engine.pipeline import check

PAPER = JOBS / "paper"
REGRESSORS = [*CONTROLS, "policy"]


@cache
def run(job: str, *overrides: str) -> engine.Results:
    return engine.run(
        PAPER / f"{job}.yaml", overrides=[f"panel.options.cities={SMALL}", "inference={}", *overrides]
    )


def ours(job: str, number: int) -> Cell:
    return cell(run(job), number)


def beside(long: pd.DataFrame, column: pd.Series, name: str) -> pd.DataFrame:
    """The frame with a city-year column of both cities, ``name_i`` and ``name_j``; index (city, year)."""
    for side in ("i", "j"):
        wanted = pd.MultiIndex.from_arrays([long[f"city_{side}"], long["year"]])
        long = long.assign(**{f"{name}_{side}": column.reindex(wanted).to_numpy()})
    return long


def by_city_year(values: pd.Series | None = None, *, column: str = "") -> pd.Series:
    table = cities(SMALL)
    own = table[column] if values is None else values
    return pd.Series(own.to_numpy(), index=pd.MultiIndex.from_frame(table[["city", "year"]]))


def first_adoption(long: pd.DataFrame) -> pd.Series:
    return long[["adoption_i", "adoption_j"]].min(axis=1)


@pytest.mark.parametrize("number", range(4))
def test_false_timing(number: int) -> None:
    shift, dropped = [-3, -4][number % 2], number >= 2
    long = design(SMALL).long
    adopted = first_adoption(long)
    long = long.assign(policy=(long["year"] >= adopted + shift).astype(float))
    long = long[long["year"] < adopted] if dropped else long
    against_pyfixest(ours("false_timing", number), long, REGRESSORS)
    against_brute_force(ours("false_timing", number), long, REGRESSORS, kinds=["dyadic"])


@pytest.mark.parametrize(("number", "around"), [(0, 3), (1, 4)])
def test_windows(number: int, around: int) -> None:
    long = design(SMALL).long
    since = (long["year"] - first_adoption(long)).abs()
    long = long[(since <= around) | np.isinf(since)]
    against_pyfixest(ours("windows", number), long, REGRESSORS)
    against_brute_force(ours("windows", number), long, REGRESSORS, kinds=["dyadic"])


def test_other_outcome() -> None:
    table = cities(SMALL)
    index = reference.entropy_index(table, INDICATORS)
    long = beside(design(SMALL).long, by_city_year(pd.Series(index)), "d")
    long = beside(long, by_city_year(column="population"), "p")
    share = long["p_i"] / (long["p_i"] + long["p_j"])
    mean = share * long["d_i"] + (1 - share) * long["d_j"]
    variance = share * (long["d_i"] - mean) ** 2 + (1 - share) * (long["d_j"] - mean) ** 2
    long = long.assign(y=np.sqrt(variance) / mean)
    against_pyfixest(ours("other_outcome", 0), long, ["policy"])
    against_pyfixest(ours("other_outcome", 1), long, REGRESSORS)
    against_brute_force(ours("other_outcome", 1), long, REGRESSORS, kinds=["dyadic"])


@pytest.mark.parametrize(("number", "rule"), [(0, "either"), (1, "exactly_one")])
def test_both_pilot(number: int, rule: str) -> None:
    long = design(SMALL, rule=rule, exclude_both_treated=False).long
    against_pyfixest(ours("both_pilot", number), long, REGRESSORS)


def test_weak_ties() -> None:
    long = design(SMALL, gravity=None).long
    against_pyfixest(ours("weak_ties", 0), long, ["policy"])
    against_pyfixest(ours("weak_ties", 1), long, REGRESSORS)


def test_lags() -> None:
    long = design(SMALL).long.sort_values(["city_i", "city_j", "year"])
    lagged = long.groupby(["city_i", "city_j"])[REGRESSORS].shift(1)
    long = long.assign(**{name: lagged[name] for name in REGRESSORS}).dropna(subset=["policy"])
    against_pyfixest(ours("lags", 0), long, ["policy"])
    against_pyfixest(ours("lags", 1), long, REGRESSORS)
    against_brute_force(ours("lags", 1), long, REGRESSORS, kinds=["dyadic", "jackknife"])


@pytest.mark.parametrize("job", ["table2", "table3"])
def test_splits(job: str) -> None:
    """Each class against pyfixest, and all of them together are the whole sample, none in two."""
    table = cities(SMALL).set_index(["city", "year"])
    long, total = design(SMALL).long, {}
    for number, entry in enumerate(run(job).manifest["cells"]):
        by, rule, year, wanted = _split_of(job, number)
        column = table.eval(by).unstack("year")
        value = column.mean(axis=1) if year == "mean" else column.iloc[:, 0]
        if rule == "median":
            value = (value > np.median(value)).astype(float)
        both = long["city_i"].map(value) + long["city_j"].map(value)
        cuts = [0.5, 1.5]
        if rule == "terciles":
            cuts = list(np.quantile(both.groupby([long["city_i"], long["city_j"]]).first(), [1 / 3, 2 / 3]))
        kind = np.select([both > cuts[1], both > cuts[0]], ["high", "mixed"], "low")
        own = long[kind == wanted]
        total[by] = total.get(by, 0) + len(own)
        if own["policy"].nunique() > 1:
            against_pyfixest(cell(run(job), number), own, REGRESSORS)
            against_brute_force(cell(run(job), number), own, REGRESSORS, kinds=["dyadic"])
        assert entry["label"]
    assert set(total.values()) == {len(long)}


def _split_of(job: str, number: int) -> tuple[str, str, str, str]:
    from engine.spec import expand, load_job

    split = expand(load_job(PAPER / f"{job}.yaml")).cells[number].job.pairs.split
    assert split is not None
    return split.by, split.rule, str(split.year), split.pairs


def test_contrasts_of_a_split_by_literal_double_sums() -> None:
    """Covariance over classes: pairs of different classes that share a city, every product written out."""
    n = 90  # fewer cities have classes whose dyadic variance is not positive
    results = run("table2", f"panel.options.cities={n}")
    frame = results.frames["contrasts"]
    own = frame[(frame["split"] == "students_per_10k") & (frame["term"] == "policy")].set_index("classes")
    long = design(n).long
    table = cities(n).groupby("city")["students_per_10k"].mean()
    high = (table > np.median(table)).astype(int)
    kind = long["city_i"].map(high) + long["city_j"].map(high)
    found = {k: reference.estimate(long[kind == k], REGRESSORS) for k in (2, 1, 0)}
    pieces = {k: _influences(one) for k, one in found.items()}
    names = {2: "high", 1: "mixed", 0: "low"}
    for a, b in ((2, 1), (2, 0), (1, 0)):
        cross = sum(x * y for (p, x) in pieces[a].items() for (q, y) in pieces[b].items() if set(p) & set(q))
        factor = np.sqrt(
            np.prod([x.n_cities / (x.n_cities - 1) * x.parameters for x in (found[a], found[b])])
        )
        k = len(REGRESSORS) - 1
        variance = found[a].dyadic()[k, k] + found[b].dyadic()[k, k] - 2 * cross * factor
        row = own.loc[f"{names[a]} - {names[b]}"]
        np.testing.assert_allclose(
            row["difference"], found[a].coefficients[k] - found[b].coefficients[k], rtol=PEER
        )
        np.testing.assert_allclose(row["std_error"], np.sqrt(variance), rtol=BRUTE)


def _influences(found: reference.Estimate) -> dict[tuple[str, str], float]:
    """Influence of each pair on the last coefficient, with the factor of its own degrees of freedom."""
    own = found.scores[found.names].to_numpy() @ found.bread[-1]
    return dict(zip(found.scores[["city_i", "city_j"]].itertuples(index=False, name=None), own, strict=True))


def test_instrument_against_linearmodels_and_pyfixest() -> None:
    table = cities(SMALL)
    z = by_city_year(table["port_distance"] * table["exchange_rate"])
    long = beside(design(SMALL).long, z, "z")
    long = long.assign(instrument=long["z_i"] + long["z_j"])
    names = [*CONTROLS, "instrument"]
    against_pyfixest(ours("instrument", 0), long, names, outcome="policy")
    against_pyfixest(ours("instrument", 1), long, names)
    partialled = reference.residuals(long, ["y", *REGRESSORS, "instrument"])
    pair = long["city_i"].astype(str) + "|" + long["city_j"].astype(str)
    model = IV2SLS(
        partialled["y"], partialled[list(CONTROLS)], partialled["policy"], partialled["instrument"]
    ).fit(cov_type="clustered", clusters=pd.factorize(pair)[0], debiased=False)
    iv = ours("instrument", 2)["pair"]
    np.testing.assert_allclose(iv.loc[REGRESSORS, "estimate"], model.params[REGRESSORS], rtol=PEER)
    n, g, k = len(long), pair.nunique(), len(REGRESSORS) + long["year"].nunique()
    factor = np.sqrt(g / (g - 1) * (n - 1) / (n - k))
    np.testing.assert_allclose(
        iv.loc[REGRESSORS, "std_error"], model.std_errors[REGRESSORS] * factor, rtol=PEER
    )
    strength = run("instrument").frames["instrument"].set_index("errors")
    first = ours("instrument", 0)
    for kind in ("pair", "city", "dyadic", "jackknife"):
        t = first[kind].loc["instrument", "statistic"]
        np.testing.assert_allclose(strength.loc[kind, "f_statistic"], t**2, rtol=BRUTE)


def test_the_jackknife_of_the_instrument_by_literal_refits() -> None:
    table = cities(SMALL)
    z = by_city_year(table["port_distance"] * table["exchange_rate"])
    long = beside(design(SMALL).long, z, "z")
    long = long.assign(instrument=long["z_i"] + long["z_j"])
    names = sorted(set(long["city_i"]) | set(long["city_j"]))
    refits = np.array([_iv(long[(long["city_i"] != c) & (long["city_j"] != c)]) for c in names])
    step = refits - _iv(long)
    errors = np.sqrt((len(names) - 1) / len(names) * (step**2).sum(axis=0))
    own = ours("instrument", 2)["jackknife"].loc[REGRESSORS]
    np.testing.assert_allclose(own["estimate"], _iv(long), rtol=PEER)
    np.testing.assert_allclose(own["std_error"], errors, rtol=1e-7)


def _iv(long: pd.DataFrame) -> np.ndarray:
    part = reference.residuals(long, ["y", *REGRESSORS, "instrument"])
    w, x = part[[*CONTROLS, "instrument"]].to_numpy(), part[REGRESSORS].to_numpy()
    return np.linalg.solve(w.T @ x, w.T @ part["y"].to_numpy())


def test_mechanisms() -> None:
    """Synchronization of another series as outcome, and as regressor without the treatment."""
    table = cities(SMALL)
    ratio = by_city_year(table["capital"] / table["employment"])
    table = table.assign(own=ratio.to_numpy())
    other = sample(table, series="own").long
    against_pyfixest(ours("table4", 2), other, REGRESSORS)
    long = design(SMALL).long
    keys = ["city_i", "city_j", "year"]
    long = long.merge(other[[*keys, "y"]].rename(columns={"y": "capital_sync"}), on=keys)
    against_pyfixest(ours("table4", 3), long, ["capital_sync", *CONTROLS])
    against_brute_force(ours("table4", 3), long, ["capital_sync", *CONTROLS], kinds=["dyadic"])


MATCHING_UNITS = ["pair", "pooled", "yearly"]


def matched_rows(long: pd.DataFrame, unit: str, ever: pd.Series | None = None) -> pd.DataFrame:
    """Rows with weights ``w`` from matching these rows and no others; ``ever`` treated where not as they say."""
    long = long.sort_values(["city_i", "city_j", "year"])
    pair = long["city_i"].astype(str) + "|" + long["city_j"].astype(str)
    treated = (long["policy"].groupby(pair).transform("max") > 0) if ever is None else ever.loc[long.index]
    x = long[list(CONTROLS)]
    if unit == "pair":
        of_pair, pair_is_treated = x.groupby(pair).mean(), treated.groupby(pair).first().to_numpy()
        weight_of_pair = plain_search(score(of_pair, pair_is_treated), pair_is_treated)
        weight = pair.map(pd.Series(weight_of_pair, index=of_pair.index)).to_numpy()
    else:
        groups = long["year"].to_numpy() if unit == "yearly" else None
        weight = plain_search(score(x, treated), treated.to_numpy(), groups=groups)
    return long.assign(w=weight)[weight > 0]


@pytest.mark.parametrize("number", range(3))
def test_matching_against_statsmodels_and_a_plain_search(number: int) -> None:
    matched = matched_rows(design(SMALL).long, MATCHING_UNITS[number])
    against_pyfixest(ours("matching", number), matched, REGRESSORS, weights="w")


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("timing", ["around", "shift", "drop_treated"])
def test_matching_takes_the_rows_that_timing_leaves(timing: str, number: int) -> None:
    """No control stays for a treated pair-year that is in no regression."""
    long = design(SMALL).long
    adopted = first_adoption(long)
    if timing == "around":
        keys, rows = (
            ["treatment.around=2"],
            (long["year"] - adopted).abs().pipe(lambda d: (d <= 2) | np.isinf(d)),
        )
    else:
        drop = timing == "drop_treated"
        keys = ["treatment.shift=-3", f"treatment.drop_treated={str(drop).lower()}"]
        long = long.assign(policy=(long["year"] >= adopted - 3).astype(float))
        rows = (long["year"] < adopted) | (not drop)
    pair = [long["city_i"], long["city_j"]]
    ever = long["policy"].groupby(pair).transform("max") > 0
    matched = matched_rows(long[rows], MATCHING_UNITS[number], ever)
    against_pyfixest(cell(run("matching", *keys), number), matched, REGRESSORS, weights="w")


@pytest.mark.parametrize("number", range(3))
def test_matching_is_within_the_class_of_a_split(number: int) -> None:
    """Steps of the sample never grow, and partners are of the class."""
    coastal = cities(SMALL).groupby("city")["coastal"].first()
    long = design(SMALL).long
    mixed = long[long["city_i"].map(coastal) + long["city_j"].map(coastal) == 1]
    results = run("matching", "pairs.split={by: coastal, rule: indicator, pairs: mixed}")
    matched = matched_rows(mixed, MATCHING_UNITS[number])
    against_pyfixest(cell(results, number), matched, REGRESSORS, weights="w")
    steps = [step["pairs"] for step in results.manifest["counts"][number]["steps"]]
    assert steps == sorted(steps, reverse=True)


@pytest.mark.parametrize("unit", MATCHING_UNITS)
def test_matching_passes_over_rows_without_an_outcome(tmp_path: Path, unit: str) -> None:
    table = cities(SMALL).astype({"patents_per_10k": float})
    lacking = np.random.default_rng(5).random(len(table)) < 0.06
    table["output"] = table["gdp_real"].mask(lacking)
    table.to_csv(tmp_path / "cities.csv", index=False)
    keys = [f"panel.source={tmp_path / 'cities.csv'}", "panel.options=null", "panel.balance=keep"]
    keys += ["outcome.synchronization=log(output)", f"matching.unit={unit}", "sweep={}"]
    results = engine.run(PAPER / "matching.yaml", overrides=[*keys, "inference={}"])
    long = sample(table.assign(series=np.log(table["output"])), series="series").long
    observed = long[np.isfinite(long["y"])]
    matched = matched_rows(
        observed, unit, long["policy"].groupby([long["city_i"], long["city_j"]]).transform("max") > 0
    )
    against_pyfixest(cell(results, 0), matched, REGRESSORS, weights="w")


def test_row_weights_of_a_pair_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    long = design(SMALL).long[["city_i", "city_j", "year", "y", "policy"]]
    long = long.assign(w=rng.choice([0.5, 1.0, 2.0, 3.5], len(long)))
    long.to_csv(tmp_path / "table.csv", index=False)
    text = (
        "job: weighted\n"
        "pair_table: {source: table.csv, unit_i: city_i, unit_j: city_j, year: year, weight: w}\n"
        "outcome: {column: y}\nmodel: {regressors: [policy]}\n"
    )
    (tmp_path / "job.yaml").write_text(text)
    against_pyfixest(cell(engine.run(tmp_path / "job.yaml")), long, ["policy"], weights="w")


def test_counts_of_the_paper() -> None:
    counts = {
        job: [
            entry["steps"][-1]["rows"]
            for entry in engine.run(PAPER / f"{job}.yaml", overrides=["inference={}"]).manifest["counts"]
        ]
        for job in ("weak_ties", "table2", "table3")
    }
    assert set(counts["weak_ties"]) == {306_460}
    for job in ("table2", "table3"):
        assert [sum(counts[job][:3]), sum(counts[job][3:])] == [153_230, 153_230]


def test_permutations_of_a_split_rebuild_the_sample_and_keep_the_class() -> None:
    """A draw deals adoption anew; exclusion and screen follow, the class of a pair stays. Refit by the reference."""
    settings = [
        "inference.permutation.reps=6",
        "inference.permutation.seed=3",
        "inference.permutation.terms=null",
    ]
    job = PAPER / "table2.yaml"
    options = [
        f"panel.options.cities={SMALL}",
        "inference.bootstrap=null",
        "inference.jackknife=null",
        *settings,
    ]
    results = engine.run(job, overrides=options)
    plan, prepared = check(job, overrides=options)
    number = 4  # one city above the median of human capital
    one = next(one for one in prepared if plan.cells[number] in one.pass_cells.cells)
    assert one.adoption is not None
    drawn = permuted_classes(3, np.arange(6, dtype=np.int32), one.adoption.classes, None)
    table = cities(SMALL)
    value = table.groupby("city")["students_per_10k"].mean()
    high = (value > np.median(value)).astype(int)
    draws = results.draws
    own = draws[(draws["cell"] == plan.cells[number].id) & (draws["method"] == "permutation")]
    for row, classes in enumerate(drawn):
        years = pd.Series(one.adoption.years[classes], index=sorted(table["city"].unique()))
        dealt = table.assign(pilot_year=table["city"].map(years.replace(np.inf, np.nan)))
        long = sample(dealt).long
        long = long[long["city_i"].map(high) + long["city_j"].map(high) == 1]
        found = reference.estimate(long, REGRESSORS)
        covariance = found.dyadic()
        if covariance[-1, -1] <= 0:
            covariance = found.city_sums()
        np.testing.assert_allclose(own["estimate"].iloc[row], found.coefficients[-1], rtol=PEER)
        statistic = found.coefficients[-1] / np.sqrt(covariance[-1, -1])
        np.testing.assert_allclose(own["statistic"].iloc[row], statistic, rtol=PEER)
