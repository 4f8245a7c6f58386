"""The verbs on the ring of an application: the same in every command, and on no other ring than that one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from dpmiddleware.cli import main
from dpmiddleware.cli.command import Application, Command
from dpmiddleware.cli.main import command_line
from dpmiddleware.cli.option_names import RING_OPTIONS, as_own
from dpmiddleware.cli.parsers import Parser
from dpmiddleware.cli.usage import parse
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.naming import ARGUMENT, DJANGO, FLASK, OPTION, VARIABLE, Naming
from dpmiddleware.repositories.markup import edit
from tests.cli.commands import COMMANDS
from tests.cli.places import PLACES, SECRETS, Place, make_signer, sign_all
from tests.cli.test_truth import ROWS, ring_verbs

RING_VERBS = [verb for verb in ring_verbs() if verb != "init"]
"""``init`` makes a new ring; it has options of its own."""
VERBS = [verb.prog.removeprefix("dpm ") for verb in command_line()[1].all]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that name another ring: nobody reads them here."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DPM_REPOSITORY", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("DPM_APPLICATION", "blog")
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)


def not_needed() -> Application:
    raise AssertionError("no verb of this test needs the application")


def own(folder: Path, **more: str) -> DataProtection:
    """The application's object: it creates no key by itself."""
    return DataProtection.from_config(
        {"application": "shop", "repository": str(folder), "key_wrapper": "secret:env:RING_SECRET", **more},
        auto_create_keys=False,
    )


def words_of(verb: str, place: Place) -> list[str]:
    """The words after a verb, as in the table of `test_truth`, and the files that they name."""
    home = place.folder.parent
    make_signer(home)
    (home / "yesterday.xml").write_bytes(edit(b"", place.store.read().documents, ()))
    token = place.ring().create_protector("p").protect("3 apples")
    if ROWS[verb].signed:  # its only words name the signer, which is the application's
        return []
    return [word.format(home=home, key=place.key, token=token) for word in ROWS[verb].words]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_in_every_command(verb: str, command: str, tmp_path: Path) -> None:
    run, typed = COMMANDS[command]
    done = run(own(tmp_path / "keys"), [*verb.split(), "--help"])
    assert done.status == 0
    assert done.out.startswith(f"usage: {typed} {verb} [-h]")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("verb", RING_VERBS)
def test_a_verb_works_on_the_ring_of_the_application(verb: str, command: str, tmp_path: Path) -> None:
    """The words are those of the table of `test_truth`, and so is what status 0 promises."""
    place, row = PLACES["in order"](tmp_path), ROWS[verb]
    words, trusted = words_of(verb, place), {}
    if row.signed:
        sign_all(place)
        trusted = {"trusted_signers": str(tmp_path / "signer.pub")}
    done = COMMANDS[command][0](own(place.folder, **trusted), [*verb.split(), *words])
    printed = done.out + done.messages
    assert done.status == (1 if verb == "keys policy remove" else 0), printed
    if verb not in {"keys policy remove", "keys import"}:
        assert row.holds(place, printed)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("verb", RING_VERBS)
@pytest.mark.parametrize("name", [name for name in RING_OPTIONS if name != "signer"])
def test_an_option_that_would_name_another_ring_is_refused(name: str, verb: str, command: str, tmp_path: Path) -> None:
    place = PLACES["in order"](tmp_path)
    before = place.store.version()
    done = COMMANDS[command][0](
        own(place.folder), [*verb.split(), *words_of(verb, place), OPTION.write(name), "another"]
    )
    assert done.status == 2, done
    assert f"`{OPTION.write(name)}` is not used here" in done.messages
    assert place.store.version() == before


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("verb", RING_VERBS)
def test_where_the_application_names_no_place_no_folder_is_created(verb: str, command: str, tmp_path: Path) -> None:
    words = words_of(verb, PLACES["in order"](tmp_path / "another"))
    shop = DataProtection("shop", trusted_signers=[tmp_path / "another" / "signer.pub"])
    done = COMMANDS[command][0](shop, [*verb.split(), *words])
    assert done.status == 1, done
    assert f"{tmp_path}/.aspnet/DataProtection-Keys" in done.out + done.messages
    assert not (tmp_path / ".aspnet").exists()


def test_the_application_stays_as_it_is(tmp_path: Path) -> None:
    """A verb that needs another part leaves its object alone, and uses its repository."""
    place = PLACES["in order"](tmp_path)
    dp = own(place.folder)
    made = dp.with_parts(auto_create_keys=True, key_wrapper="secret:env:NEXT_SECRET plain:")
    assert made.repository is dp.repository
    assert (dp.manager.auto_create_keys, made.manager.auto_create_keys) == (False, True)
    assert dp.manager.wrappers != made.manager.wrappers
    assert made.manager.allow_plain
    assert not dp.manager.allow_plain


def test_a_signer_that_the_application_does_not_trust_is_refused(tmp_path: Path) -> None:
    place = PLACES["in order"](tmp_path)
    make_signer(tmp_path)
    (tmp_path / "signer.pub").rename(tmp_path / "trusted.pub")
    dp = own(place.folder, trusted_signers=str(tmp_path / "trusted.pub"))
    words = ["keys", "sign", "--yes", "--signer", f"ed25519://{tmp_path}/signer.pem"]
    make_signer(tmp_path)
    done = COMMANDS["flask"][0](dp, words)
    assert done.status == 2
    assert "does not trust the signer" in done.messages


@pytest.mark.parametrize("command", COMMANDS)
def test_the_default_place_is_not_changed(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It depends on the account that runs the command."""
    monkeypatch.delenv("DPM_REPOSITORY")
    done = COMMANDS[command][0](DataProtection("shop"), ["keys", "create"])
    assert done.status == 1
    assert "no repository is named" in done.messages
    assert "DPM_REPOSITORY" not in done.messages
    assert "--repository" not in done.messages
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", command_line(Command("manage.py dataprotection", not_needed))[1].all)
def test_the_examples_of_an_application_are_commands_of_it(verb: Parser) -> None:
    parser, verbs = command_line(Command("manage.py dataprotection", not_needed))
    for example in verb.get_default("examples"):
        words = shlex.split(example)
        assert words[:2] == ["manage.py", "dataprotection"]
        arguments = parse(parser, [one.prog for one in verbs.all], words[2:])
        assert all(getattr(arguments, name, None) is None for name in RING_OPTIONS if name != "signer")


# --- names ------------------------------------------------------------------------------------------------------------

WRITTEN: dict[str, tuple[Naming, str]] = {
    "use --key-wrapper or DPM_KEY_WRAPPER": (DJANGO, 'set DATA_PROTECTION["key_wrapper"]'),
    "use --repository or DPM_REPOSITORY to name the store": (FLASK, "set DATA_PROTECTION_REPOSITORY to name the store"),
    "correct --repository (DPM_REPOSITORY), or run `dpm keys create`": (
        VARIABLE,
        "correct DPM_REPOSITORY, or run `shop tool keys create`",
    ),
    "use --application, with the same name": (ARGUMENT, "set application=, with the same name"),
    "leave out --poll and DPM_POLL, or change the ring": (FLASK, "leave out DATA_PROTECTION_POLL, or change the ring"),
    "--poll '3x' is not a duration": (DJANGO, "--poll '3x' is not a duration"),
    "add the wrapper to key_wrapper=": (FLASK, "add the wrapper to DATA_PROTECTION_KEY_WRAPPER"),
    'pass ring="shop", the same name': (DJANGO, 'pass DATA_PROTECTION["ring"]="shop", the same name'),
    "use --yes to confirm, `--repository` stays": (DJANGO, "use --yes to confirm, `--repository` stays"),
    "payload refused ring=shop where=session": (DJANGO, "payload refused ring=shop where=session"),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_message_has_the_names_of_the_application(text: str) -> None:
    naming, written = WRITTEN[text]
    assert as_own(text, "shop tool", naming) == written
    assert as_own(written, "shop tool", naming) == written, "twice is the same as once"


@pytest.mark.parametrize("command", ["manage.py", "flask"])
def test_no_text_of_check_names_an_option_or_dpm(command: str, tmp_path: Path) -> None:
    """An empty ring without a wrapper, a name or a signer: the most hints."""
    dp = DataProtection(None, repository=tmp_path / "keys")
    run, typed = COMMANDS[command]
    for words in (["check"], ["check", "--json"], ["keys", "list"]):
        done = run(dp, words)
        printed = done.out + done.messages
        assert done.status == 1
        assert not re.search(r"--[a-z]+|`dpm |DPM_", printed), printed
        assert f"`{typed} keys create`" in printed


def test_nothing_is_opened_for_a_verb_without_a_ring(capsys: pytest.CaptureFixture[str]) -> None:
    """``key-blob`` and ``demo`` work although the application has no ring."""

    assert main(["key-blob", "verify", "no.blob", "--trust", "no.pub"], Command("shop tool", not_needed)) == 1
    assert capsys.readouterr().err.startswith("shop tool: error:")
