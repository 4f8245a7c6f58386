"""docs/recipes.md: the recipes with their files, and the table with versions and cookies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from tests.servers import ROOT
from tests.test_documents_run import blocks

__all__ = ["FILES", "PAGE", "PROTECTED", "VERSIONS", "File"]

PAGE: Final = ROOT / "docs" / "recipes.md"
_SECTION: Final = re.compile(r"^### (?P<name>.+)\n(?P<text>(?:(?!#{2,3} ).*\n)*)", re.MULTILINE)
_PLACE: Final = re.compile(
    r"# (?P<name>[\w./]+)(?:, (?P<place>at the end|before|instead of)(?: (?P<line>[^…\n]+)…?.*)?)?\n"
)
_ROW: Final = re.compile(
    r"^\| \[(?P<recipe>[^\]]+)\]\([^)]+\) \| (?P<versions>[^|]+) \| (?P<protected>[^|]+) \|$", re.MULTILINE
)


class File(NamedTuple):
    """A block of a recipe, which begins with a comment that says where it goes.

    name: of the file. place: ``at the end`` of it, or ``before`` or ``instead of`` a line; nothing: the block is the
    whole file. line: how that line begins. text: the whole block
    """

    name: str
    place: str
    line: str
    text: str

    def put_into(self, folder: Path) -> None:
        """Do what the comment says."""
        path = folder / self.name
        before, after = path.read_text("utf-8") if self.place else "", ""
        if self.line:
            before, found, after = before.partition(f"\n{self.line}")
            assert found, f"no line of {self.name} begins with {self.line}"
            after = after.partition("\n")[2] if self.place == "instead of" else f"{self.line}{after}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{before}\n{self.text}\n{after}", "utf-8")


def _files() -> dict[str, list[File]]:
    found: dict[str, list[File]] = {}
    content = PAGE.read_text("utf-8")
    sections = [(content.count("\n", 0, match.start()), match["name"]) for match in _SECTION.finditer(content)]
    for block in blocks(PAGE):
        place = _PLACE.match(block.text)
        if block.language == "python" and place:
            recipe = [name for line, name in sections if line < block.line][-1]
            file = File(place["name"], place["place"] or "", (place["line"] or "").strip(), block.text)
            found.setdefault(recipe, []).append(file)
    return found


FILES: Final = _files()
"""Recipe to its files, in the order of the page."""

_ROWS: Final = list(_ROW.finditer(PAGE.read_text("utf-8")))

VERSIONS: Final = {row["recipe"]: dict(re.findall(r"`([\w.-]+)` ([\w.]+)", row["versions"])) for row in _ROWS}
"""Recipe to the distributions and versions that the page names."""

PROTECTED: Final = {row["recipe"]: set(re.findall(r"`(\w+)`", row["protected"])) for row in _ROWS}
"""Recipe to the cookies that it protects."""
