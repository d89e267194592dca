"""Which cell of a job is meant: by label, id or number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine.errors import InputError

_SHOWN = 10  # cells that a message names


class CellName(NamedTuple):
    """The names of a cell."""

    id: str
    number: int
    label: str


def choose_cell(
    cells: Sequence[CellName], name: str | int | None, *, where: str, candidates: Sequence[int] = ()
) -> int:
    """Position of the cell that is meant.

    Parameters
    ----------
    cells : sequence of CellName
    name : str, int or None
        Label, id or number from 1; None where a single cell can be meant.
    where : str
        For the message.
    candidates : sequence of int
        Positions that can be meant where no name is given; default all.

    Raises
    ------
    InputError
        Where none, or several, can be meant.
    """
    everything = list(candidates) or list(range(len(cells)))
    if name is None:
        positions = everything
    else:
        text = str(name)
        positions = [at for at, cell in enumerate(cells) if text in (cell.id, str(cell.number), cell.label)]
    if len(positions) == 1:
        return positions[0]
    offered = positions or everything
    names = ", ".join(f"{cells[at].id} ({cells[at].label})" for at in offered[:_SHOWN])
    remainder = f" and {len(offered) - _SHOWN} more" if len(offered) > _SHOWN else ""
    problem = (
        f"{len(positions)} cells could be meant" if positions else f"no cell has the label or id '{name}'"
    )
    raise InputError(problem, where=where, remedy=f"give one of {names}{remainder}")
