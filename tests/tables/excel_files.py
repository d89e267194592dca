"""Workbooks for tests: written by openpyxl, changed by hand, or the smallest that have certain cells."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl


def workbook(path: Path, **sheets: list[list[object]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def edited(path: Path, part: str, change: Callable[[str], str]) -> Path:
    """The workbook with one part changed by hand."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[part] = change(parts[part].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def of_cells(path: Path, xml: str, *, texts: str = "", calc: str = "") -> Path:
    """The smallest workbook that has these rows, as XML."""
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns:r="{kind}"><sheets><sheet name="s" r:id="r1"/></sheets>{calc}</workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships><Relationship Id="r1" Type="{kind}/worksheet" Target="worksheets/a.xml"/>'
            f'<Relationship Id="r2" Type="{kind}/sharedStrings" Target="/xl/texts.xml"/></Relationships>',
        )
        archive.writestr("xl/texts.xml", f"<sst>{texts}</sst>")
        archive.writestr("xl/worksheets/a.xml", f"<worksheet><sheetData>{xml}</sheetData></worksheet>")
    return path
