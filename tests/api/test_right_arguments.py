"""Right arguments in the forms that people have them in: arrays, series, generators, paths, error types with values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

import dyadid as dd
import numpy as np
import pandas as pd
import pytest
from strategies import pair_table

NEAR = {"spatial": {"distance": 900}}


@pytest.fixture(scope="module")
def fit(job: dd.PanelJob) -> dd.Result:
    return job.twfe(errors=["pair", "dyadic_cr2", NEAR])


@pytest.mark.parametrize(
    "terms",
    [pd.Index(["pilot", "edu"]), np.array(["pilot", "edu"]), ("pilot", "edu")],
    ids=lambda v: type(v).__name__,
)
def test_lists_of_a_table(fit: dd.Result, terms: object) -> None:
    expected = fit.table(keep=["pilot", "edu"], columns=["A"]).text()
    assert fit.table(keep=terms, columns=pd.Series(["A"])).text() == expected  # type: ignore[arg-type]
    assert fit.table(keep=(name for name in ["pilot", "edu"]), columns=["A"]).text() == expected  # type: ignore[arg-type]


def test_labels_as_a_series(fit: dd.Result) -> None:
    labels = pd.Series({"pilot": "Pilot area"})
    assert fit.table(labels=labels).text() == fit.table(labels=labels.to_dict()).text()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "shown", [NEAR, [NEAR], np.array(["spatial:900:bartlett"])], ids=["one", "list", "array"]
)
def test_error_types_with_values_in_tables(fit: dd.Result, shown: object) -> None:
    expected = fit.table(errors=["spatial:900:bartlett"], stars="spatial:900:bartlett").text()
    assert fit.table(errors=shown, stars=NEAR).text() == expected  # type: ignore[arg-type]
    assert dd.etable([fit], errors=shown).text() == dd.etable([fit], errors=["spatial:900:bartlett"]).text()  # type: ignore[arg-type]


@pytest.mark.parametrize("together", [tuple, pd.Series, lambda fits: np.array(fits, dtype=object), iter])
def test_several_results(fit: dd.Result, together: Callable[[list[dd.Result]], object]) -> None:
    assert dd.etable(together([fit, fit]), title=None).text() == dd.etable([fit, fit]).text()


def test_errors_in_a_list(fit: dd.Result) -> None:
    pd.testing.assert_frame_equal(fit.errors(["pair"]).tidy(), fit.errors("pair").tidy())


def test_results_are_compared_as_objects(fit: dd.Result) -> None:
    assert fit in [fit]
    assert fit != fit.errors("pair")
    assert len({fit, fit}) == 1


@pytest.mark.parametrize("units", [pd.Index, np.array, pd.Series, list])
def test_units_of_a_formula(units: Callable[[list[str]], object]) -> None:
    tidy, expected = (
        dd.feols(
            "y ~ x | pair + one^year + other^year", pair_table(0), units=names, year="year", errors="pair"
        ).tidy()  # type: ignore[arg-type]
        for names in (units(["one", "other"]), ("one", "other"))
    )
    pd.testing.assert_frame_equal(tidy, expected)


def test_paths_and_numbers_of_numpy(job: dd.PanelJob, tmp_path: Path) -> None:
    file = job.set("job", "steps").to_yaml(PurePosixPath(tmp_path / "steps.yaml"))  # type: ignore[arg-type]
    expected = job.twfe(errors=["pair"]).tidy()
    result = dd.run(
        PurePosixPath(file),  # type: ignore[arg-type]
        out=tmp_path / "out",
        store=tmp_path / "store",
        fresh=np.True_,  # type: ignore[arg-type]
    )
    np.testing.assert_array_equal(result.errors("pair").tidy()["std_error"], expected["std_error"])
    assert (tmp_path / "store").is_dir()
    (tmp_path / "a.csv").write_text("a,b\nnote,\nnote,\n1,2\n", encoding="utf-8")
    assert len(dd.read(PurePosixPath(tmp_path / "a.csv"), skip_rows=range(2, 4))) == 1  # type: ignore[arg-type]
