"""Writes dpm.md: the help text of every verb, as the program prints it. Run by ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.test_documents_run import every_verb, help_of  # noqa: E402 (found through the line above)

_HEAD = """# The command `dpm`

Looks after key rings. Which ring is said by options, or by the variables `DPM_APPLICATION`, `DPM_REPOSITORY`,
`DPM_KEY_WRAPPER`, `DPM_SIGNER`, `DPM_TRUSTED_SIGNERS` and `DPM_RING`. Exit status: 0 done, 1 refused or failed, 2 wrong
usage. `--json` gives the answer as JSON. No verb prints what a user protected, nor a master key (but `dpm keys export
--in-clear`, which was told to).
[Operations](operations.md) shows the verbs at work.

This page is written by `make docs`.
"""


def main() -> None:
    """Write the page."""
    parts = [_HEAD]
    for verb in every_verb():
        name = " ".join(("dpm", *verb))
        parts.append(f"\n## `{name}`\n\n```console\n$ {name} --help\n{help_of(verb)}```\n")
    (ROOT / "docs" / "dpm.md").write_text("".join(parts), "utf-8")


if __name__ == "__main__":
    main()
