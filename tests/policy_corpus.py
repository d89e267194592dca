"""Three documents and seven instruments that are counted by hand: the common case of the policy-text tests."""

from __future__ import annotations

from pathlib import Path

from engine.text.dictionary import Dictionary, Instrument
from engine.text.read_documents import Document

DICTIONARY = Dictionary(
    (
        Instrument("supply", "talent", ("人才培养", "实训基地")),
        Instrument("supply", "funds", ("专项资金",)),
        Instrument("environment", "tax", ("免税", "出口退税")),
        Instrument("environment", "rules", ("监管",)),
        Instrument("environment", "finance", ("融资",)),
        Instrument("demand", "procurement", ("政府采购", "采购")),
        Instrument("demand", "pilots", ("试点", "示范区")),
    )
)
TEXTS = {
    "a.txt": "设立专项资金，用于人才培养。\n实训基地要扩大试点，试点工作由市里负责。",
    "b.txt": "加强市场监管。扩大政府采购，采购清单另行公布；人才培养不放松。",
    "c.txt": "对出口商品免税，落实出口退税。免税店纳入监管，金融资产不在此列。建设“示范区。”",
}
OWNERS = {"a.txt": ("Alpha", 2015), "b.txt": ("Alpha", 2017), "c.txt": ("Beta", 2016)}
DOCUMENTS = tuple(
    Document(file=file, city=city, year=year, title="", source="", text=TEXTS[file])
    for file, (city, year) in OWNERS.items()
)
# talent, funds, tax, rules, finance, procurement, pilots
COUNTS = {"a.txt": (2, 1, 0, 0, 0, 0, 2), "b.txt": (1, 0, 0, 1, 0, 2, 0), "c.txt": (0, 0, 3, 1, 0, 0, 1)}


def write_dictionary(path: Path) -> Path:
    rows = [f"{entry.kind},{entry.name},{';'.join(entry.terms)}" for entry in DICTIONARY.instruments]
    path.write_text("\n".join(["kind,instrument,terms", *rows]) + "\n", encoding="utf-8")
    return path


def listed() -> str:
    """The rows of ``documents.csv``."""
    return "\n".join(f"{file},{city},{year},," for file, (city, year) in OWNERS.items())
