"""Values that stand for others: which cells are replaced, which stay, and what is said of both."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sentences import english

from engine.errors import InputError
from engine.tables.recode import recoded

FRAME = pd.DataFrame(
    {
        "tier": ["直辖市", " 省会 ", "３", None, "地级市", "省会"],
        "code": [4, 3, 1, 2, 4, 3],
        "name": list("abcdef"),
    }
)


def test_values_are_replaced_by_their_text_and_others_stay() -> None:
    frame, notes, warnings = recoded(
        FRAME, {"tier": {"直辖市": 4, "省会": 3, "县": 1}}, source="a.csv", key="panel.recode"
    )
    assert frame["tier"].tolist() == [4, 3, "３", None, "地级市", 3]
    assert FRAME["tier"].tolist()[0] == "直辖市"
    assert english(notes) == ("a.csv: column 'tier': 3 cells recoded ('直辖市' = '4': 1, '省会' = '3': 2)",)
    assert english(warnings) == (
        "panel.recode.tier lacks 2 values of the column, which stay as they are: '3', '地级市'",
        "panel.recode.tier names 1 value that the column does not have: '县'",
    )


@pytest.mark.parametrize("dtype", [np.int64, np.float64, object, "str"])
def test_numbers_are_known_by_their_text(dtype: object) -> None:
    frame = FRAME.astype({"code": dtype})
    mapping = {"4": "high", "3": "middle", "1": "low", "2": "low"}
    out, _, _ = recoded(frame, {"code": mapping}, source="a.csv", key="pair_table.recode")
    assert out["code"].tolist() == ["high", "middle", "low", "low", "high", "middle"]


def test_a_column_that_is_recoded_whole_has_numbers() -> None:
    frame = FRAME[FRAME["tier"].notna()]
    mapping = {"直辖市": 4, "省会": 3, "3": 2, "地级市": 1.5}
    out, notes, warnings = recoded(frame, {"tier": mapping}, source="a.csv", key="panel.recode")
    assert out["tier"].dtype == np.float64
    assert out["tier"].tolist() == [4, 3, 2, 1.5, 3]
    assert out.index.tolist() == frame.index.tolist()
    assert (len(notes), warnings) == (1, ())


def test_values_are_not_recoded_twice() -> None:
    out, _, _ = recoded(FRAME, {"code": {"4": 3, "3": 4}}, source="a.csv", key="panel.recode")
    assert out["code"].tolist() == [3, 4, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"tyer": {"a": 1}},
            r"panel\.recode: there is no column 'tyer' in a\.csv\n  hint: did you mean 'tier'\?",
        ),
        ({"tier": {"省会": 1, "省会 ": 2}}, r"panel\.recode\.tier: '省会 ' is there twice"),
        ({"tier": {"": 1}}, r"panel\.recode\.tier: '' is no value: empty cells are missing and stay so"),
        ({"tier": {"a": 1, "\u3000": 2}}, r"panel\.recode\.tier: '\u3000' is no value"),
    ],
)
def test_mappings_that_are_refused(mapping: dict[str, dict[str, int | float | str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        recoded(FRAME, mapping, source="a.csv", key="panel.recode")
