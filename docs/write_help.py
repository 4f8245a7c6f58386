"""Writes the help text of every verb into dpm.md. Run by ``make help-page``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.test_documents_run import every_verb, help_of  # noqa: E402 (importable through the line above)

PAGE = ROOT / "docs" / "dpm.md"
_FIRST = "\n## `dpm`\n"


def main() -> None:
    """Write the help texts. What is above the first of them is written by hand, and stays."""
    parts = [PAGE.read_text("utf-8").partition(_FIRST)[0]]
    for verb in every_verb():
        name = " ".join(("dpm", *verb))
        parts.append(f"\n## `{name}`\n\n```console\n$ {name} --help\n{help_of(verb)}```\n")
    PAGE.write_text("".join(parts), "utf-8")


if __name__ == "__main__":
    main()
