"""Every verb's help text has examples, and each example is a command that ``dpm`` understands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dpmiddleware.cli.main import command_line
from dpmiddleware.cli.parsers import Parser
from dpmiddleware.cli.usage import parse
from dpmiddleware.data_protection import SETTINGS

VERBS = command_line()[1].all
EXAMPLES = [(verb, example) for verb in VERBS for example in verb.get_default("examples")]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.prog)
def test_a_verb_has_an_example_in_its_help(verb: Parser) -> None:
    examples = verb.get_default("examples")
    assert examples
    assert all(f"\n  {example}\n" in verb.format_help() for example in examples)


@pytest.mark.parametrize(("verb", "example"), EXAMPLES, ids=lambda value: value if isinstance(value, str) else "")
def test_an_example_is_a_command_of_its_verb(verb: Parser, example: str) -> None:
    parser, verbs = command_line()
    name, *words = shlex.split(example)
    assert name == "dpm"
    assert parse(parser, [one.prog for one in verbs.all], words).parser.prog == verb.prog
    assert example.startswith(f"{verb.prog} ") or example == verb.prog
    assert len(example) <= 98, "it fits the documents"


def test_the_exit_statuses_of_every_verb_are_documented() -> None:
    assert first_column("| verb | 0 means") == [verb.prog.removeprefix("dpm ") for verb in VERBS]


def test_the_variable_of_every_setting_is_documented() -> None:
    assert sorted(first_column("| variable | option")) == sorted(f"DPM_{name.upper()}" for name in SETTINGS)


def first_column(heading: str) -> list[str]:
    """The names in the first column of a table of docs/dpm.md."""
    page = (Path(__file__).parents[2] / "docs" / "dpm.md").read_text("utf-8")
    table = page.partition(heading)[2].partition("\n\n")[0]
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
