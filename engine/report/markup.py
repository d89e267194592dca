"""Text of job files and data as HTML and XML: markup is escaped, control characters are written out."""

from __future__ import annotations

import html

from engine.characters import visible


def escape(text: str, *, quote: bool = True) -> str:
    """Text for HTML and XML, whatever it holds; with ``quote`` for attributes too."""
    return html.escape(visible(text), quote=quote)
