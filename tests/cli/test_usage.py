"""The nearest verb or option is named for one that does not exist; no word that may be a password is repeated."""

from __future__ import annotations

import pytest

from dpmiddleware.cli import main

MISTYPED = {
    "lst": "did you mean `dpm keys list`?",
    "rotate --if-due": "did you mean `dpm keys rotate`?",
    "revoke": "did you mean `dpm keys revoke`?",
    "key list": "did you mean `dpm keys`?",
    "chekc": "did you mean `dpm check`?",
    "keys ls": "did you mean `dpm keys list`?",
    "keys revok-all": "did you mean `dpm keys revoke-all`?",
    "keys slot-swap": "did you mean `dpm demo slot-swap`?",
    "demo slotswap": "did you mean `dpm demo slot-swap`?",
    "keys list --repo x": "did you mean --repository?",
    "keys list --keywrapper=x": "did you mean --key-wrapper?",
    "keys copy --two other": "did you mean --to?",
    "keys revoke --reasn lost": "did you mean --reason?",
    "check --agianst x": "did you mean --against?",
    "check -r x": "run `dpm check --help`",
    "--repository=x keys list": "put options after the verb",
    "--json keys list": "put options after the verb",
    "xyzzy": "run `dpm --help`",
    "keys xyzzy": "run `dpm keys --help`",
    "keys list --xyzzy": "run `dpm keys list --help`",
    "keys list keys": "run `dpm keys list --help`",
    "keys copy": "run `dpm keys copy --help`",
}


@pytest.mark.parametrize("words", MISTYPED)
def test_the_nearest_verb_or_option_is_named(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    printed = capsys.readouterr()
    assert printed.err.splitlines()[1:] == [f"dpm: hint: {MISTYPED[words]}"]
    assert printed.out == ""


SECRET = "hunter2"


@pytest.mark.parametrize(
    "words",
    [
        [SECRET],
        ["keys", SECRET],
        ["keys", "list", SECRET],
        ["keys", "list", f"--{SECRET}"],
        ["keys", "list", f"-{SECRET}"],
        ["keys", "list", f"--repositry={SECRET}"],
        ["keys", "list", "--repositry", f"redis://:{SECRET}@localhost/0"],
        ["keys", "copy", "--two", SECRET],
        ["keys", "prune", "--older-than", SECRET],
        ["keys", "create", "--lifetime", SECRET],
        ["keys", "revoke", SECRET],
        ["keys", "timeline", "--width", SECRET],
        ["keys", "list", f"--json={SECRET}"],
        [f"--password={SECRET}", "keys", "list"],
    ],
    ids=" ".join,
)
def test_a_word_that_is_not_understood_is_not_repeated(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert SECRET not in "".join(capsys.readouterr())
