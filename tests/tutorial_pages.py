"""Tutorials as a reader follows them: files to save, and commands with the output that the page quotes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TUTORIALS = ROOT / "jobs" / "tutorials"
_BLOCK = re.compile(
    r"(?:^(?:Save as |存为 )`([^`\n]+)`[:：]\n\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


class SavedFile(NamedTuple):
    """A block that the page says to save."""

    name: str
    text: str


class QuotedCommand(NamedTuple):
    """A line behind the prompt, and the lines of output below it that the page quotes; ``...`` stands for any."""

    words: list[str]
    quoted: list[str]

    @property
    def exit_code(self) -> int:
        """2 where the page quotes an error of the input, else 0."""
        return 2 if any(line.startswith(("error:", "错误：")) for line in self.quoted) else 0


def steps(page: Path) -> list[SavedFile | QuotedCommand]:
    """Everything that a reader does on a page, in order; a block that is neither saved nor a command is an error."""
    followed: list[SavedFile | QuotedCommand] = []
    for name, kind, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if name:
            followed.append(SavedFile(name, text))
        elif kind == "console":
            followed += commands(text)
        else:
            raise ValueError(f"{page.name}: a block of {kind or 'no language'} that no test runs")
    return followed


def commands(text: str) -> list[QuotedCommand]:
    """Commands of a console block."""
    _, *parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    lines = [part.splitlines() for part in parts]
    return [QuotedCommand(shlex.split(first), quoted) for first, *quoted in lines]


def missing_lines(quoted: list[str], printed: str) -> list[str]:
    """Quoted lines that the output lacks, or has in another order, or apart where the page leaves nothing out."""
    lines, place, missing, gap = printed.splitlines(), 0, list[str](), True
    for line in quoted:
        if line == "...":
            gap = True
            continue
        places = [index for index in range(place, len(lines)) if lines[index].rstrip() == line]
        if not places or (places[0] > place and not gap):
            missing.append(line)
        else:
            place = places[0] + 1
        gap = False
    return missing
