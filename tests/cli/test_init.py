"""``dpm init``: what it asks, what it writes, and that it writes all of it or nothing."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dpmiddleware import DataProtection
from dpmiddleware.cli import main
from dpmiddleware.cli.init.answers import MADE_HERE
from dpmiddleware.data_protection import SETTINGS
from dpmiddleware.errors import RepositoryError
from dpmiddleware.repositories.files import FileKeyRepository
from tests.cli.test_cli import Terminal

BASIC = ("--application", "shop", "--repository", "store")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and no settings."""
    for name in SETTINGS:
        monkeypatch.delenv(f"DPM_{name.upper()}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def variables(file: Path) -> dict[str, str]:
    """What a shell sets that reads the file."""
    done = subprocess.run(
        ["sh", "-c", f"set -a; . {file}; env -0"], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True
    )
    pairs = (pair.split("=", 1) for pair in done.stdout.decode().split("\0") if pair)
    return {name: value for name, value in pairs if name.startswith("DPM_")}


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("wrapper", MADE_HERE)
@pytest.mark.parametrize("signed", ["--signed", "--not-signed"])
def test_the_application_and_the_job_share_the_ring_and_only_the_job_can_change_it(
    wrapper: str, signed: str, home: Path
) -> None:
    assert main(["init", "conf", *BASIC, "--key-wrapper", wrapper, signed]) == 0
    web, job = (variables(home / "conf" / f"{role}.env") for role in ("web", "job"))
    writer, reader = DataProtection.from_env(job), DataProtection.from_env(web)
    payload = writer.create_protector("cart").protect("3 apples")
    assert reader.create_protector("cart").unprotect(payload) == "3 apples"
    assert web["DPM_AUTO_CREATE_KEYS"] == "false"
    assert "DPM_SIGNER" not in web
    assert ("DPM_SIGNER" in job) == ("DPM_TRUSTED_SIGNERS" in web) == (signed == "--signed")
    (document,) = reader.repository.read().documents
    assert b"encryptedSecret" in document.data


def test_only_the_owner_reads_key_material_whatever_the_umask_is(home: Path) -> None:
    before = os.umask(0)
    try:
        assert main(["init", "conf", *BASIC]) == 0
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home / "conf" / "secrets").iterdir()}
    assert modes == {"keys.pem": 0o600, "signer.pem": 0o600, "signer.pub": 0o644, ".gitignore": 0o644}
    assert stat.S_IMODE((home / "conf" / "secrets").stat().st_mode) == 0o700


def test_no_key_material_is_printed(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert main(["init", "conf", *BASIC]) == 0
    printed = "".join(capsys.readouterr())
    assert "PRIVATE" not in printed
    for name in ("keys.pem", "signer.pem"):
        lines = (home / "conf" / "secrets" / name).read_text().splitlines()
        assert not [line for line in lines if line in printed]


EXISTING = ["web.env", "secrets/signer.pem", "systemd/shop-keys.timer"]


@pytest.mark.parametrize("name", EXISTING)
def test_an_existing_file_is_named_and_nothing_is_written(
    name: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = home / "conf" / name
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    before = contents(home)
    assert main(["init", "conf", *BASIC, "--systemd"]) == 1
    assert f"already has {name}: nothing was written" in capsys.readouterr().err
    assert contents(home) == before
    assert there.read_text() == "mine"


def test_run_again_it_changes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "conf", *BASIC]) == 0
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert main(["init", "conf", *BASIC]) == 1
    assert "already has web.env, job.env, secrets/keys.pem" in capsys.readouterr().err
    assert main(["init", "other", *BASIC]) == 1
    assert "there is already a ring in" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_if_the_first_key_cannot_be_created_nothing_is_left(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise RepositoryError("cannot write to the store: Permission denied")

    monkeypatch.setattr(FileKeyRepository, "commit", refused)
    assert main(["init", "conf", *BASIC]) == 1
    assert "Permission denied" in capsys.readouterr().err
    assert contents(home) == []


def test_key_material_stays_if_a_key_may_need_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key was stored, and then something failed."""
    commit = FileKeyRepository.commit

    def late(self: FileKeyRepository, **changes: object) -> None:
        commit(self, **changes)  # type: ignore[arg-type]
        raise RepositoryError("the connection was lost")

    monkeypatch.setattr(FileKeyRepository, "commit", late)
    assert main(["init", "conf", *BASIC]) == 1
    reader = DataProtection.from_env(variables(home / "conf" / "web.env"))
    assert reader.create_protector("cart").protect("3 apples")


def test_if_a_file_cannot_be_written_nothing_is_left(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "conf").mkdir()
    (home / "conf" / "secrets").write_text("a file, where a folder should be")
    assert main(["init", "conf", *BASIC]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert contents(home) == ["conf", "conf/secrets"]


def test_it_asks_at_a_terminal_for_what_is_not_given(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("shop\nstore\nsecret:\nn\n"))
    assert main(["init", "conf"]) == 0
    assert capsys.readouterr().err == (
        "application name: store of the keys, such as redis://localhost/0: "
        "key wrapper: x509:, secret: or a key service [x509:]: sign key documents? y/n [y]: "
    )
    assert (home / "conf" / "secrets" / "ring.key").exists()
    assert not (home / "conf" / "secrets" / "signer.pem").exists()


REFUSED = {
    "": (2, "there is no application name, and standard input is not a terminal", "use --application"),
    "--application shop": (1, "no repository is named, so this would change the default place", "--repository"),
    "--application shop --repository memory:": (2, "keys in memory are lost", "--repository"),
    "--application ! --repository store": (2, "'!' has no letter or digit", "such as shop"),
    "--application shop --repository redis://:hunter2@h/0": (2, "contains a password", "?password=env:NAME"),
    "--application shop --repository rediz://h": (2, "--repository", "redis"),
    "--application shop --repository store --key-wrapper x510:": (2, "--key-wrapper", "x509"),
    "--application shop --repository store --serves shop": (2, "--serves is not MODULE:NAME", "--serves shop:app"),
    "--application shop --repository store --image a'b": (2, "--image is not the name", "--image"),
    "--application shop --repository store --kubernetes": (2, "does not name a server", "redis://redis:6379/0"),
    "--application shop --repository redis://h/0 --compose": (2, "a Redis of its own", "leave out"),
    "--application shop --repository store --systemd --key-wrapper secret:env:X": (2, "creates key material", "x509:"),
    "--application shop --repository sqlite:////srv/k.db --systemd": (2, "could not write", "the path of a folder"),
    "--application shop --repository file:///srv/keys --systemd": (2, "could not write", "the path of a folder"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_work_is_refused_before_anything_is_written(
    words: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, problem, hint = REFUSED[words]
    assert main(["init", "conf", *words.split()]) == status
    printed = capsys.readouterr().err
    assert problem in printed
    assert hint in printed.partition("hint:")[2]
    assert "hunter2" not in printed
    assert not (home / "conf").exists()


def test_a_folder_with_white_space_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "my conf", *BASIC]) == 2
    assert "has white space" in capsys.readouterr().err
    assert contents(home) == []


def test_a_unit_cannot_have_a_store_with_white_space(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "conf", "--application", "shop", "--repository", "my store", "--systemd"]) == 2
    assert "has white space" in capsys.readouterr().err
    assert main(["init", "conf", "--application", "shop", "--repository", "my store"]) == 0
    assert DataProtection.from_env(variables(home / "conf" / "web.env")).repository.location.endswith("/my store")


def test_the_result_is_json_if_asked_for(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "conf", *BASIC, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(home / "conf")
    assert {"web.env", "secrets/keys.pem"} <= set(told["files"])
    assert told["check"]["fit"] is True
    (key,) = DataProtection.from_env(variables(home / "conf" / "web.env")).manager.read().keys
    assert told["first_key"] == str(key.id)


def test_a_problem_that_the_check_finds_is_its_exit_status(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "conf", *BASIC, "--key-wrapper", "plain:"]) == 1
    assert "[keys_not_wrapped]" in capsys.readouterr().out
    assert (home / "conf" / "web.env").exists()


LINE_BREAKS = ("\n", "\r", "\x85", "\u2028", "\u2029", "\x7f", "\x1b", "\udca0")


@pytest.mark.parametrize("option", ["--application", "--repository", "--key-wrapper"])
@pytest.mark.parametrize("character", LINE_BREAKS, ids=ascii)
def test_a_line_break_of_any_kind_began_another_line_of_a_file(
    option: str, character: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--application": "shop", "--repository": "store", "--key-wrapper": "secret:"}
    given[option] += f"{character}x"
    assert main(["init", "conf", *(word for pair in given.items() for word in pair)]) == 2
    assert f"{option} has a line break" in capsys.readouterr().err
    assert contents(home) == []


def test_an_application_with_the_name_of_our_own_mark_kept_its_name(home: Path) -> None:
    words = ["--application", "PLACE-OF-KEY-MATERIAL", "--repository", "store", "--key-wrapper", "secret:"]
    assert main(["init", "conf", *words]) == 0
    assert variables(home / "conf" / "job.env")["DPM_APPLICATION"] == "PLACE-OF-KEY-MATERIAL"
