"""What the page of the shop and the control room share: their stylesheets, and how a key is named."""

from __future__ import annotations

from html import escape
from pathlib import Path

__all__ = ["file", "named_key", "style"]

_HERE = Path(__file__).parent


def file(name: str) -> str:
    """The text of a file beside this one."""
    return _HERE.joinpath(name).read_text("utf-8")


def style(name: str) -> str:
    """A stylesheet, after the one that both pages have."""
    return file("look.css") + file(name)


def named_key(key: str, ring: str = "unknown") -> str:
    """HTML: the beginning of the id of a key in the colour of its ring, and the whole id for a mouse that rests there.

    ring: ``production``, ``staging``, ``shared``; ``unknown`` if the key is in no ring that is known here.
    """
    return f'<code class="key {escape(ring)}" title="{escape(key)}">{escape(key[:8])}…</code>'
