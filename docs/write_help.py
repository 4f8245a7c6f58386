"""Writes dpm.md: the help text of every verb. Run by ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.test_documents_run import every_verb, help_of  # noqa: E402 (importable through the line above)

_HEAD = """# The command `dpm`

`dpm` manages key rings. Options describe the ring. Where an option is missing, the variable `DPM_APPLICATION`,
`DPM_REPOSITORY`, `DPM_KEY_WRAPPER`, `DPM_SIGNER`, `DPM_TRUSTED_SIGNERS` or `DPM_RING` is used; an unknown variable
`DPM_…` is refused. The exit status is 0 for success, 1 if the command was refused or failed, and 2 for wrong usage.
`--json` prints the result as JSON. No verb prints protected data, and no verb except `dpm keys export --in-clear`
prints a master key.
[Operations](operations.md) shows the verbs in use.

`make docs` writes this page.
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
