"""The links of a panel's cities, from the table that a job names for its network errors."""

from __future__ import annotations

import pandas as pd

from engine.cities.links import CityLinks, LinkColumns, read_links
from engine.cities.panel import CityPanel
from engine.notes import Note
from engine.spec import Job
from engine.stages.source import SourceTable
from engine.tables.join import join_notes


def links_of(
    job: Job, panel: CityPanel, source: SourceTable, table: SourceTable | None, *, city: str
) -> tuple[CityLinks | None, list[Note]]:
    """The links of the panel's cities, None where the job reads none, and notes on cities that the panel lacks.

    Parameters
    ----------
    job : Job
    panel : CityPanel
    source, table : SourceTable
        Of the panel, and of the links.
    city : str
        The column of the panel's table with the names of cities.
    """
    block = job.panel_block
    if table is None or block.links is None:
        return None, []
    entry, merge = block.links, block.merge_names
    columns = LinkColumns(entry.unit_i, entry.unit_j, entry.strength, entry.at_least)
    read = [entry.unit_i, entry.unit_j, entry.strength] if entry.unit_i else table.frame.columns
    table.refuse_broken(name for name in read if name is not None)
    links = read_links(table.frame, panel.units, columns, source=table.label, merge=merge, rules=table.rules)
    named = pd.DataFrame({"city": links.names})
    last = panel.years[-1]
    notes = join_notes(source.frame, named, source=table.name, city=city, last=last, merge=merge)
    return links, notes
