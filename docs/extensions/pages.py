"""The pages of the site are those of the code host. Two things change when Sphinx reads them.

- The first page is README.md. Each of its sections becomes a table of contents, in the same order: there is one list.
- A link out of the folder leads to the code host.

A link to README.md leads to the first page.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from sphinx.application import Sphinx

_FIRST: Final = "index"
_SECTION: Final = re.compile(r"^## (?P<title>.+)\n(?P<text>(?:(?!## ).*\n?)*)", re.MULTILINE)
_ROW: Final = re.compile(r"^\| \[(?P<title>[^]]+)\]\((?P<page>[\w/-]+)\.(?:md|rst)\)", re.MULTILINE)
_OUTSIDE: Final = re.compile(r"\]\(\.\./(?=[\w.])")


def contents(page: str) -> str:
    """The sections of a page of tables, as hidden tables of contents."""
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {section['title']}\n\n"
        + "".join(f"{row['title'].replace('`', '')} <{row['page']}>\n" for row in _ROW.finditer(section["text"]))
        + "```\n"
        for section in _SECTION.finditer(page)
        if _ROW.search(section["text"])
    )


def link_to_code_host(page: str, code_host: str) -> str:
    """Links to files above this folder become links to the code host."""
    return _OUTSIDE.sub(lambda _: f"]({code_host}", page)


def read_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Handle ``source-read``: the text of a page, before it is parsed."""
    if name == _FIRST:
        readme = Path(app.srcdir) / "README.md"
        app.env.note_dependency(str(readme))
        source[0] = readme.read_text("utf-8")
        source[0] += contents(source[0])
    source[0] = link_to_code_host(source[0], app.config.code_host).replace("](README.md", f"]({_FIRST}.md")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_config_value("code_host", "", "env")
    app.connect("source-read", read_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
