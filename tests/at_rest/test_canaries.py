"""No output contains a secret: canaries are placed everywhere, and all output is searched for them."""

from __future__ import annotations

import copy
import itertools
import logging
import os
import pickle
import traceback
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12

from dpmiddleware import DataProtection
from dpmiddleware.cli import main
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import DataProtectionError
from dpmiddleware.keys.xml import parse
from dpmiddleware.testing.frames import forms
from tests.fakes import bad_document, id_of, key_document

MASTER_KEY = b"CANARY-master-key-" + bytes(range(200, 246))
STRONG = "CANARYstrongSecretOf36BytesInBase64Form+AAAAAAAA"
OTHER = "CANARYotherSecretOf36BytesInBase64Form++AAAAAAAA"
PLAINTEXT = "CANARY what a user has protected"
PASSWORDS = {"OF_STORE": "CANARYofstore", "OF_SIGNER": "CANARYofsigner", "OF_PFX": "CANARYofpfx"}
SIGNER_SEED = b"CANARY-signer-" + bytes(range(100, 118))


SECRETS = [
    MASTER_KEY,
    STRONG.encode(),
    OTHER.encode(),
    PLAINTEXT.encode(),
    SIGNER_SEED,
    *(p.encode() for p in PASSWORDS.values()),
]
CANARIES = [form for secret in SECRETS for form in forms(secret)]


class Shown:
    """All output: collected, and searched at the end."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def add(self, *texts: object) -> None:
        self._parts += [text if isinstance(text, bytes) else str(text).encode("utf-8", "replace") for text in texts]

    def add_error(self, error: BaseException) -> None:
        """Its message, hint, fields, and a traceback with the errors behind it."""
        self.add(error, repr(error), getattr(error, "hint", ""), vars(error), *traceback.format_exception(error))

    def add_object(self, one: object) -> None:
        """Its representations; also its pickle and its copy, if it has them."""
        self.add(repr(one), str(one), f"{one!r:>10}")
        for take in (pickle.dumps, copy.deepcopy):
            try:
                self.add(repr(take(one)))
            except Exception as error:  # noqa: BLE001 (whatever it says goes to be searched)
                self.add_error(error)

    @property
    def everything(self) -> bytes:
        return b"\n".join(self._parts)


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings of a ring full of canaries: its master key, its secret, its signer's key, their passwords."""
    for name in [name for name in os.environ if name.startswith("DPM_")]:
        monkeypatch.delenv(name)
    for name, value in PASSWORDS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OF_RING", STRONG)
    monkeypatch.setenv("OF_NEXT", OTHER)
    signer = Ed25519PrivateKey.from_private_bytes(SIGNER_SEED)
    private = signer.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSWORDS["OF_SIGNER"].encode()),
    )
    (tmp_path / "signer.pem").write_bytes(private)
    settings = {
        "application": "shop",
        "repository": str(tmp_path / "keys"),
        "key_wrapper": "secret:env:OF_RING",
        "signer": f"ed25519://{tmp_path}/signer.pem?password=env:OF_SIGNER",
    }
    made = DataProtection.from_config(settings)
    repository = made.repository
    wrapper = made.manager.wrappers[0]
    now = made.clock.now()
    known = key_document(now, secret=Secret(MASTER_KEY), wrapper=wrapper)
    element = parse(known.data)
    made.manager.commit([element], made.manager.read())
    return {**settings, "known": str(id_of(known)), "location": repository.location}


def settings_of(ring: dict[str, str]) -> dict[str, str]:
    return {name: ring[name] for name in ("application", "repository", "key_wrapper", "signer")}


def test_the_canaries_are_there(ring: dict[str, str]) -> None:
    """Otherwise the tests below would find nothing in any output."""
    opened = DataProtection.from_config(settings_of(ring))
    key = next(key for key in opened.manager.read().keys if str(key.id) == ring["known"])
    assert key.usable
    assert [canary for canary in CANARIES if canary in b64encode(b"before" + MASTER_KEY + b"behind")]
    with pytest.raises(DataProtectionError):
        DataProtection.from_config({**settings_of(ring), "signer": ring["signer"].replace("OF_SIGNER", "OF_PFX")})


def test_nothing_of_the_library_shows_a_secret(
    ring: dict[str, str], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Objects and their pickles, errors and their tracebacks, logs."""
    caplog.set_level(logging.DEBUG)
    shown = Shown()
    dp = DataProtection.from_config(settings_of(ring))
    protector = dp.create_protector("Shop.Cart")
    token = protector.protect(PLAINTEXT)
    current = dp.current()
    for one in (
        *(dp, dp.manager, dp.provider, dp.repository, dp.manager.signer, dp.manager.verifier, dp.manager.wrappers[0]),
        *(protector, protector.time_limited(), current, *current.keys, dp.manager.read(), dp.health()),
        *(key.encryptor for key in current.keys),
        Secret(MASTER_KEY),
    ):
        shown.add_object(one)
    for damaged in (token[:-2] + "AA", token[:40], "CfDJ8" + "A" * 60, "", "🍐"):
        provoke(shown, lambda damaged=damaged: protector.unprotect(damaged))
    provoke(shown, lambda: dp.create_protector("Shop.Other").unprotect(token))
    dp.manager.revoke(current.keys[0].id, "lost")
    for changed in ("OF_PFX", "NOT_SET"):
        wrong = {**settings_of(ring), "key_wrapper": f"secret:env:{changed}"}
        provoke(shown, lambda wrong=wrong: DataProtection.from_config(wrong).create_protector("p").protect(PLAINTEXT))
    captured = capfd.readouterr()
    shown.add(caplog.text, captured.out, captured.err, *(vars(record) for record in caplog.records))
    assert b"CfDJ8" not in shown.everything, "payloads are not shown either"
    assert [canary for canary in CANARIES if canary in shown.everything] == []


def provoke(shown: Shown, call: Any) -> None:
    """What must fail, and its output."""
    with pytest.raises(DataProtectionError) as caught:
        call()
    shown.add_error(caught.value)


WRONG = [
    pytest.param({"key_wrapper": "secret:env:NOT_SET"}, id="no secret"),
    pytest.param({"key_wrapper": "secret:env:OF_PFX"}, id="another secret"),
    pytest.param({"key_wrapper": "x509://{folder}/shop.pfx?password=env:OF_PFX"}, id="a certificate"),
    pytest.param({"key_wrapper": "x509://{folder}/shop.pfx?password=env:OF_SIGNER"}, id="another password"),
    pytest.param({"signer": "ed25519://{folder}/signer.pem?password=env:OF_PFX"}, id="a signer's other password"),
    pytest.param({"signer": "ed25519://{folder}/signer.pem?password=CANARYofsigner"}, id="a password in a URL"),
    pytest.param({"repository": "redis://shop:CANARYofstore@127.0.0.1:9/0"}, id="Redis is down"),
    pytest.param({"repository": "redis://127.0.0.1:9/0?password=CANARYofstore"}, id="a password of Redis"),
    pytest.param({"repository": "postgresql+psycopg://shop:CANARYofstore@127.0.0.1:9/x"}, id="PostgreSQL is down"),
    pytest.param({"repository": "nodialect://shop:CANARYofstore@nowhere/x"}, id="a scheme that nobody knows"),
]
VERBS = [
    *(("keys", verb) for verb in ("list", "timeline", "verify", "create")),
    ("keys", "show", "{known}"),
    ("keys", "rotate", "--if-due"),
    ("keys", "sign", "--yes"),
    ("keys", "export"),
    ("keys", "export", "--in-clear"),
    ("keys", "copy", "--to", "{folder}/other"),
    ("keys", "rewrap", "--to", "secret:env:OF_NEXT"),
    ("keys", "prune", "--older-than", "1d", "--yes"),
    ("keys", "revoke", "{known}", "--yes", "--reason", "lost"),
    ("keys", "revoke-all", "--yes"),
    ("inspect", "{token}"),
    ("check",),
]


def run_everything(ring: dict[str, str], folder: Path, token: str) -> None:
    """Each verb, as text and as JSON, with any result."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings_of(ring).items()]
    for verb, flags in itertools.product(VERBS, ([], ["--json"])):
        words = [w.format(known=ring["known"], folder=folder, token=token) for w in verb]
        main([*words, *([] if verb[0] == "inspect" else options), *flags])


def test_no_verb_shows_a_secret_where_all_is_well(
    ring: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    token = DataProtection.from_config(settings_of(ring)).create_protector("p").protect(PLAINTEXT)
    run_everything(ring, tmp_path, token)
    captured = capfd.readouterr()
    shown = (captured.out + captured.err + caplog.text).encode()
    assert ring["known"].encode() in shown
    assert [canary for canary in CANARIES if canary in shown] == []


@pytest.mark.parametrize("wrong", WRONG)
def test_no_verb_shows_a_secret_where_something_is_wrong(
    wrong: dict[str, str],
    ring: dict[str, str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, logger="dpmiddleware")
    key = rsa.generate_private_key(65537, 2048)
    protected = serialization.BestAvailableEncryption(PASSWORDS["OF_PFX"].encode())
    (tmp_path / "shop.pfx").write_bytes(pkcs12.serialize_key_and_certificates(None, key, None, None, protected))
    broken = bad_document()
    (tmp_path / "keys" / f"{broken.name}.xml").write_bytes(broken.data)
    changed = {name: value.format(folder=tmp_path) for name, value in wrong.items()}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in {**settings_of(ring), **changed}.items()]
    for verb in (["keys", "list"], ["keys", "create"], ["check"], ["check", "--json"]):
        main([*verb, *options])
    captured = capfd.readouterr()
    shown = (captured.out + captured.err + caplog.text).encode()
    assert b"dpm: error: " in shown or b"problem" in shown
    assert [canary for canary in CANARIES if canary in shown] == []


def test_a_ring_that_is_taken_along_shows_no_secret(
    ring: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """``keys import``: an export, where it can be opened and where it cannot, and a text that is not an export."""
    caplog.set_level(logging.DEBUG, logger="dpmiddleware")
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings_of(ring).items()]
    assert main(["keys", "export", *options]) == 0
    exported, broken = tmp_path / "ring.xml", tmp_path / "broken.xml"
    exported.write_text(capfd.readouterr().out, "utf-8")
    broken.write_text(f"<repository><key><masterKey>{b64encode(MASTER_KEY).decode()}", "utf-8")
    attempts: tuple[list[object], ...] = (
        [exported],
        [exported, "--json"],
        [exported, "--key-wrapper=secret:env:OF_NEXT", "--signer="],
        [exported, f"--signer=ed25519://{tmp_path}/signer.pem?password=env:OF_PFX"],
        [broken],
        [tmp_path / "signer.pem"],
    )
    outcomes = [
        main(["keys", "import", *options, f"--repository={tmp_path}/{number}", *map(str, words)])
        for number, words in enumerate(attempts)
    ]
    assert outcomes[:2] == [0, 0]
    assert all(outcomes[3:])
    captured = capfd.readouterr()
    shown = (captured.out + captured.err + caplog.text).encode()
    assert b"dpm: error: " in shown
    assert [canary for canary in CANARIES if canary in shown] == []


def test_key_blobs_show_no_secret(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """``key-blob``: the session key, the signer's password and its key; with the right password and with others."""
    caplog.set_level(logging.DEBUG, logger="dpmiddleware")
    monkeypatch.setattr(os, "urandom", lambda size: (MASTER_KEY * size)[:size])
    for name, value in PASSWORDS.items():
        monkeypatch.setenv(name, value)
    key = rsa.generate_private_key(65537, 2048)
    signer, exchange, blob = tmp_path / "signer.pem", tmp_path / "exchange.pem", tmp_path / "session.key"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    password = serialization.BestAvailableEncryption(PASSWORDS["OF_SIGNER"].encode())
    signer.write_bytes(key.private_bytes(pem, pkcs8, password))
    exchange.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    create = ["key-blob", "create", str(blob), f"--exchange={exchange}", f"--signer={signer}"]
    assert main([*create, "--password=env:OF_PFX"]) != 0
    assert main([*create, "--password=env:NOT_SET"]) != 0
    assert main([*create, "--password=env:OF_SIGNER"]) == 0
    assert main([*create, "--password=env:OF_SIGNER", "--json"]) in {0, 1}
    assert main(["key-blob", "verify", str(blob), f"--trust={exchange}"]) == 0
    assert main(["key-blob", "verify", str(blob), f"--trust={signer}"]) != 0
    captured = capfd.readouterr()
    shown = (captured.out + captured.err + caplog.text).encode()
    numbers = key.private_numbers()
    private = [number.to_bytes(-(-number.bit_length() // 8), "big") for number in (numbers.d, numbers.p, numbers.q)]
    canaries = [*CANARIES, *(form for secret in (MASTER_KEY[:32], *private) for form in forms(secret))]
    assert [canary for canary in canaries if canary in shown] == []
