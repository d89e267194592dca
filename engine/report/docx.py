"""Tables as a Word document: WordprocessingML written by hand, for three ruled lines a table need no library."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence

from engine.report.markup import escape
from engine.report.printed_table import PrintedTable

_MAIN = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_TYPES = (
    f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/word/document.xml" ContentType="{_OFFICE}.document.main+xml"/>'
    f'<Override PartName="/word/styles.xml" ContentType="{_OFFICE}.styles+xml"/></Types>'
)
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE_PARTS = (
    f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{_RELATION}/officeDocument" Target="word/document.xml"/></Relationships>'
)
_DOCUMENT_PARTS = (
    f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{_RELATION}/styles" Target="styles.xml"/></Relationships>'
)
_FONTS = '<w:rFonts w:ascii="Times New Roman" w:hAnsi="Times New Roman" w:eastAsia="SimSun"/>'
_STYLES = (
    f'<w:styles xmlns:w="{_MAIN}"><w:docDefaults><w:rPrDefault><w:rPr>{_FONTS}<w:sz w:val="18"/></w:rPr>'
    '</w:rPrDefault></w:docDefaults><w:style w:type="paragraph" w:default="1" w:styleId="Normal">'
    '<w:name w:val="Normal"/></w:style><w:style w:type="paragraph" w:styleId="Caption"><w:name w:val="caption"/>'
    '<w:basedOn w:val="Normal"/><w:pPr><w:keepNext/><w:spacing w:before="240" w:after="80"/></w:pPr>'
    '<w:rPr><w:b/><w:sz w:val="21"/></w:rPr></w:style></w:styles>'
)
# A4 across, in twentieths of a point: eight columns fit.
_PAGE = (
    '<w:sectPr><w:pgSz w:w="16838" w:h="11906" w:orient="landscape"/>'
    '<w:pgMar w:top="1134" w:right="1134" w:bottom="1134" w:left="1134" w:header="567" w:footer="567" w:gutter="0"/>'
    "</w:sectPr>"
)
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def docx_bytes(tables: Sequence[PrintedTable]) -> bytes:
    """All tables, one below the other, with captions and notes; equal tables give equal bytes."""
    body = "".join(_table(panel) for table in tables for panel in table.panels())
    document = f'<w:document xmlns:w="{_MAIN}"><w:body>{body}{_PAGE}</w:body></w:document>'
    parts = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": _PACKAGE_PARTS,
        "word/_rels/document.xml.rels": _DOCUMENT_PARTS,
        "word/styles.xml": _STYLES,
        "word/document.xml": document,
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in parts.items():
            # A fixed date: the time of writing is no result.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            package.writestr(entry, _HEAD + text, compress_type=zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _table(panel: PrintedTable) -> str:
    rows = "".join(_rows(panel))
    notes = "".join(_paragraph(note) for note in panel.notes)
    caption = _paragraph(panel.title, style="Caption") if panel.title else ""
    return (
        f'{caption}<w:tbl><w:tblPr><w:tblW w:w="5000" w:type="pct"/>'
        f'<w:tblCellMar><w:left w:w="40" w:type="dxa"/><w:right w:w="40" w:type="dxa"/></w:tblCellMar></w:tblPr>'
        f"<w:tblGrid>{'<w:gridCol/>' * (1 + len(panel.header))}</w:tblGrid>{rows}</w:tbl>{notes}{_paragraph('')}"
    )


def _rows(panel: PrintedTable) -> Iterator[str]:
    """Head and rows: a rule above and below the head, and one below the last row."""
    yield _row((panel.stub, *panel.header), top=12, bottom=6, head=True)
    for place, row in enumerate(panel.rows, start=1):
        label = f"\u2003{row.label}" if row.kind == "error" else row.label
        texts = (label, *(entry.text for entry in row.entries))
        yield _row(texts, top=0, bottom=12 if place == len(panel.rows) else 0)


def _row(texts: Sequence[str], *, top: int, bottom: int, head: bool = False) -> str:
    borders = "".join(
        f'<w:{side} w:val="single" w:sz="{size}" w:space="0" w:color="000000"/>'
        for side, size in (("top", top), ("bottom", bottom))
        if size
    )
    look = f"<w:tcPr><w:tcBorders>{borders}</w:tcBorders></w:tcPr>" if borders else ""
    label, *entries = texts
    cells = [_paragraph(label), *(_paragraph(entry, centred=True) for entry in entries)]
    repeated = "<w:tblHeader/>" if head else ""
    inner = "".join(f"<w:tc>{look}{cell}</w:tc>" for cell in cells)
    return f"<w:tr><w:trPr><w:cantSplit/>{repeated}</w:trPr>{inner}</w:tr>"


def _paragraph(text: str, *, style: str = "", centred: bool = False) -> str:
    styled = f'<w:pStyle w:val="{style}"/>' if style else ""
    placed = '<w:jc w:val="center"/>' if centred else ""
    lines = "<w:br/>".join(
        f'<w:t xml:space="preserve">{escape(line, quote=False)}</w:t>' for line in text.split("\n")
    )
    return f"<w:p><w:pPr>{styled}{placed}</w:pPr><w:r>{lines}</w:r></w:p>"
