"""Terms of several cells in one table: equal sets once, and terms of one name but different paths apart."""

from __future__ import annotations

import numpy as np

from engine.estimate.terms import Term, column_terms, distinct, names_of, unite_terms
from engine.pairs.treatment import Terms


def test_sets_are_told_apart_by_their_paths_not_by_their_names() -> None:
    rng = np.random.default_rng(0)
    paths = rng.normal(size=(2, 2, 4, 3))
    first, twin = (Terms(("policy",), paths[..., :1].copy()) for _ in range(2))
    moved = Terms(("policy",), paths[..., 1:2])
    events = Terms(("policy[-2]", "policy[+0]"), paths[..., 1:], (-2, 0))
    table, cells = unite_terms([first, moved, twin, events])
    np.testing.assert_array_equal(table, np.concatenate([paths[..., :2], paths[..., 1:]], axis=-1))
    assert cells[0] == cells[2] != cells[1]
    assert distinct(cells) == (
        Term("policy", 0),
        Term("policy", 1),
        Term("policy[-2]", 2, -2),
        Term("policy[+0]", 2, 0),
    )
    assert names_of(distinct(cells)) == ("policy", "policy", "policy[-2]", "policy[+0]")


def test_a_term_is_printed_as_its_name() -> None:
    assert f"{Term('policy[+0]', 3, 0)}" == "policy[+0]"
    assert [term.is_treatment for term in (*column_terms(["edu"]), Term("edu", 0))] == [False, True]
