"""Every verb's help text has examples, and each example is a command that ``dpm`` understands."""

from __future__ import annotations

import shlex

import pytest

from dpmiddleware.cli.main import command_line
from dpmiddleware.cli.parsers import Parser
from dpmiddleware.cli.usage import parse

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
