"""The two walks, each end to end and in slow motion: from a store to a ring, from a Cookie header to the application.

Each stage is called by hand and by its name, and what the package does in one go has to come out the same.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from werkzeug.test import Client

import dpmiddleware
from dpmiddleware.crypto.encryptors import AuthenticatedEncryptor
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import DocumentSignatureError
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document, rotation
from dpmiddleware.keys.key import Key, Revocation, apply_revocations
from dpmiddleware.keys.ring import KeyRing
from dpmiddleware.keys.ring_policy import PolicyDocument
from dpmiddleware.keys.signature import TrustedSigners
from dpmiddleware.keys.signers import Ed25519Signer
from dpmiddleware.keys.wrapping import unwrap
from dpmiddleware.protection import base64url
from dpmiddleware.protection.payload import associated_data, head_of, key_id_of
from dpmiddleware.purposes import cookie
from dpmiddleware.repositories.files import FileKeyRepository
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.web.cookies import chunks
from dpmiddleware.web.cookies.protected import ProtectedCookie
from dpmiddleware.web.cookies.text import CookieSettings, find
from dpmiddleware.wsgi import SESSION_KEY, SessionMiddleware
from tests.fakes import BoxWrapper, StoppedClock, data_protection


def test_the_key_walk_from_a_folder_to_the_key_that_protects(tmp_path: Path) -> None:
    """A signed, wrapped ring in files: one key in use, one revoked, one that somebody planted."""
    # the shop has been running for a while
    clock, wrapper = StoppedClock(), BoxWrapper()
    signer = Ed25519Signer(ed25519.Ed25519PrivateKey.generate())
    shop = DataProtection("shop", repository=tmp_path, key_wrapper=wrapper, signer=signer, clock=clock)
    shop.current()
    first = shop.manager.create_key(activate_now=True)
    clock.advance(days=1)
    stolen = shop.manager.create_key(activate_now=True)
    shop.manager.revoke(stolen, "stolen")
    clock.advance(days=1)
    default = shop.manager.create_key(activate_now=True)
    DataProtection("shop", repository=tmp_path / "elsewhere", clock=clock).current()
    (planted,) = (tmp_path / "elsewhere").glob("key-*.xml")
    planted.rename(tmp_path / planted.name)

    # read: all documents of the store, and its version
    store = FileKeyRepository(tmp_path)
    snapshot = store.read()
    assert len(snapshot.documents) == 7  # the revoked key was the default: its successor is one of them
    assert snapshot.version == store.version()

    # load: documents that say what they are; their secrets are not opened yet
    loaded = [document.load(stored) for stored in snapshot.documents]
    assert {type(each).__name__ for each in loaded} == {"KeyDocument", "RevocationDocument"}

    # verify: a document without a trusted signature is not used
    trusted = TrustedSigners([signer.public_key], ring="shop")
    verified = [each for each in loaded if _verifies(trusted, each)]
    assert {each.stored.name for each in loaded} - {each.stored.name for each in verified} == {planted.stem}

    # unwrap: master keys, and the algorithm that each is for
    keys = [
        Key(each.id, each.creation_date, each.activation_date, each.expiration_date, _encryptor(each, wrapper))
        for each in verified
        if isinstance(each, document.KeyDocument)
    ]
    assert len(keys) == 5

    # apply revocations
    revocations = [Revocation.of(each) for each in verified if isinstance(each, document.RevocationDocument)]
    keys = list(apply_revocations(keys, revocations))
    assert [key.id for key in keys if key.revocation is not None] == [stolen]

    # resolve: the key that was activated last, if it is good
    now = Instant.of(clock.now())
    resolution = rotation.resolve(now, keys, shop.policy)
    assert resolution.default is not None
    assert resolution.default.id == default

    # the ring, as nobody can change it
    ring = KeyRing(
        "shop", tuple(keys), resolution.default, version=snapshot.version, good_until=now + timedelta(days=1)
    )
    assert ring.protecting_key().id == default
    assert ring.find(first.bytes_le) is not None
    assert ring.find(default.bytes_le) is resolution.default

    # and in one go
    fresh = DataProtection("shop", repository=tmp_path, key_wrapper=wrapper, signer=signer, clock=clock)
    assert {key.id: key.revocation for key in fresh.current().keys} == {key.id: key.revocation for key in ring.keys}
    assert fresh.current().protecting_key().id == default
    assert fresh.current().version == ring.version


def _encryptor(loaded: document.KeyDocument, wrapper: BoxWrapper) -> AuthenticatedEncryptor:
    suite, secret = unwrap(loaded, [wrapper], "shop")
    return AuthenticatedEncryptor(secret, suite)


def _verifies(
    trusted: TrustedSigners, loaded: document.KeyDocument | document.RevocationDocument | PolicyDocument
) -> bool:
    try:
        trusted.verify(loaded.element)
    except DocumentSignatureError:
        return False
    return True


def test_the_cookie_walk_from_a_header_to_what_the_application_sees() -> None:
    """A basket too large for one cookie, between cookies of others, one of them a forgery of it."""
    # yesterday the shop gave the browser a basket
    clock = StoppedClock()
    shop = data_protection(MemoryKeyRepository(), clock)
    protector = shop.create_protector(*cookie("basket"))
    basket = ProtectedCookie(CookieSettings("basket"), protector, ring="shop")
    apples = b"apples, " * 600
    lines = basket.seal(apples, b"", ())
    pairs = [line.partition(";")[0] for line in lines]
    assert len(pairs) > 1
    clock.advance(days=1)
    header = "; ".join(["theme=dark", *pairs, "tracker=1", "basket=forged"]).encode()

    # find: every value under the name, in order
    assert find(header, "theme") == ["dark"]
    assert len(find(header, "basket")) == 2

    # join: chunks become one value; the forgery stays one
    values = chunks.join("basket", lambda name: find(header, name))
    assert len(values) == 2
    assert "forged" in values
    (value,) = [each for each in values if each != "forged"]

    # unprotect: text to bytes, and the key that the payload names
    payload = base64url.decode(value)
    key = shop.current().find(key_id_of(payload))
    assert key is not None
    assert key.revocation is None
    assert key.encryptor is not None

    # decrypt: for this key and these purposes
    raw_id = key.id.bytes_le
    bound = key.encryptor.bind(associated_data(raw_id, protector.purposes), head_of(raw_id))
    assert bound.decrypt(payload) == apples
    assert protector.purposes == ("shop", "dpmiddleware.Cookie.v1", "basket")

    # and in one call: the value that opens is used, the one that does not is ignored
    opened = basket.open(header, bytes.decode)
    assert opened.content == apples.decode()
    assert not opened.expire


# --- the page that shows both walks ---------------------------------------------------------------------------

PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text("utf-8")
PACKAGE = Path(dpmiddleware.__file__).parent


def stages(title: str) -> list[tuple[str, str]]:
    """(file, function) of each row in the table of stages below a heading of the page."""
    section = PAGE.partition(f"## {title}")[2].partition("\n## ")[0]
    return re.findall(r"^\| [a-z ]+ \| `([\w/]+\.py): ([\w.]+)` \|", section, re.MULTILINE)


@contextmanager
def calls_traced() -> Iterator[list[tuple[str, str]]]:
    """The functions of the package that run, as (file, qualified name), in the order in which they are first called."""
    seen: dict[tuple[str, str], None] = {}

    def trace(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            seen.setdefault((path.relative_to(PACKAGE).as_posix(), frame.f_code.co_qualname))

    found: list[tuple[str, str]] = []
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        yield found
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        found += seen


def test_the_page_names_the_stages_of_the_key_walk_in_their_order(tmp_path: Path) -> None:
    wrapper, signer = BoxWrapper(), Ed25519Signer(ed25519.Ed25519PrivateKey.generate())
    old = DataProtection("shop", repository=tmp_path, key_wrapper=wrapper, signer=signer)
    old.manager.revoke(old.manager.create_key())
    with calls_traced() as called:
        DataProtection("shop", repository=tmp_path, key_wrapper=wrapper, signer=signer).current()
    listed = stages("The key walk")
    assert len(listed) == 9
    assert listed == [call for call in called if call in listed]


def test_the_page_names_the_stages_of_the_cookie_walk_in_their_order() -> None:
    """A session in chunks beside a forged one: with a single cookie in one piece some stages are skipped."""
    repository = MemoryKeyRepository()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        basket = environ[SESSION_KEY]
        basket["apples"] = basket.get("apples", 4000 * "a") + "a"
        start_response("200 OK", [])
        return []

    def member() -> Client:
        shop = DataProtection("shop", repository=repository)
        return Client(SessionMiddleware(application, data_protection=shop), use_cookies=False)

    lines = member().get("/").headers.getlist("Set-Cookie")
    header = "; ".join([*(line.partition(";")[0] for line in lines), "session=forged"])
    reader = member()
    with calls_traced() as called:
        reader.get("/", headers={"Cookie": header})
    listed = stages("The cookie walk")
    assert len(listed) == 12
    assert listed == [call for call in called if call in listed]


@pytest.mark.parametrize("where", sorted({*re.findall(r"`((?:[\w.]+/)*[\w.]+\.(?:py|c))", PAGE)}))
def test_the_page_names_files_that_exist(where: str) -> None:
    roots = (PACKAGE, PACKAGE / "web" / "sign_in", PACKAGE.parent)
    assert any((root / where).is_file() for root in roots)
