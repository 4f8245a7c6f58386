"""Docstrings of this package as reStructuredText.

They are nearly that already: two backticks for code, one for a reference. Lists of parameters are written with one line
for each (``name: what it is``), and become fields.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sphinx.application import Sphinx

_PARAMETERS: Final = re.compile(r"(?P<names>(?:``)?[a-z_]+(?:``)?(?:, (?:``)?[a-z_]+(?:``)?)*): (?P<text>\S.*)")
_KINDS: Final = {"class", "exception", "function", "method"}


def with_fields(lines: list[str]) -> list[str]:
    """Make fields of the paragraphs that begin as ``name: …``. Their other lines continue a parameter, or begin one."""
    written: list[str] = []
    in_list = False
    for number, line in enumerate(lines):
        begins = number == 0 or not lines[number - 1].strip()
        found = _PARAMETERS.fullmatch(line)
        in_list = bool(line.strip()) and (in_list or (begins and found is not None))
        if in_list and found:
            names = found["names"].replace("`", "").split(", ")
            written += [f":param {name}: {found['text']}" for name in names]
        else:
            written.append(f"    {line}" if in_list else line)
    return written


def rewrite(_app: Sphinx, kind: str, _name: str, _found: object, _options: object, lines: list[str]) -> None:
    """Handle ``autodoc-process-docstring``."""
    if kind in _KINDS:
        lines[:] = with_fields(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
