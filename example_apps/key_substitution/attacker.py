"""The attacker: they read and write the disk, know the public keys, and use this package.

They have no password, no private key and no key of the ring.
"""

from __future__ import annotations

import base64
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from werkzeug.test import Client
from werkzeug.wrappers import Response

from dpmiddleware import DataProtection
from dpmiddleware.at_rest.certificates import CertificateKey
from dpmiddleware.at_rest.cryptoapi import SimpleKeyBlob, sign_blob
from dpmiddleware.at_rest.key_blob import KeyBlobKeyWrapper
from dpmiddleware.at_rest.key_blob_files import signature_path
from dpmiddleware.at_rest.x509 import X509KeyWrapper
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.keys.signature import RingSigner
from dpmiddleware.keys.signers import Ed25519Signer
from dpmiddleware.keys.wrapping import wrap
from dpmiddleware.keys.xml import dump, parse
from dpmiddleware.repositories.memory import MemoryKeyRepository
from dpmiddleware.wsgi import AUTHENTICATION_KEY, PRINCIPAL_KEY, CookieAuthenticationMiddleware, Principal

from .archive import APPLICATION, COOKIE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["BlobAttacker", "RingAttacker"]

NAME: Final = "mallory"


class RingAttacker:
    """An attacker with write access to the folder of a key ring."""

    def __init__(self, keys: Path) -> None:
        self._folder = keys
        self._store = MemoryKeyRepository()
        self._ring = DataProtection(APPLICATION, repository=self._store)
        self.key_id: UUID | None = None

    def read_certificate(self) -> x509.Certificate:
        """The certificate that keys are wrapped with: every wrapped key contains it."""
        document = next(self._folder.glob("key-*.xml"))
        text = ET.parse(document).findtext(".//{http://www.w3.org/2000/09/xmldsig#}X509Certificate")  # noqa: S314 (the example's own file)
        assert text is not None
        return x509.load_der_x509_certificate(base64.b64decode(text))

    def plant(self, certificate: x509.Certificate, *, signed: bool = False) -> None:
        """Create a key that is newer than all others, and write it to the folder, wrapped like the others.

        signed: also sign it, with the attacker's own key.
        """
        self.key_id = self._ring.manager.create_key(activate_now=True)
        (stored,) = (each for each in self._store.read().documents if str(self.key_id) in (each.name or ""))
        document = parse(stored.data)
        wrap(document, X509KeyWrapper.of([CertificateKey(certificate)]), APPLICATION)
        if signed:
            own = Ed25519Signer(ed25519.Ed25519PrivateKey.generate())
            RingSigner(own, ring=APPLICATION).sign(document, self._ring.now())
        (self._folder / f"{stored.name}.xml").write_bytes(dump(document))

    def forge_cookie(self) -> str:
        """The cookie of an administrator, created with the planted key and a copy of the archive's middleware."""

        def sign_in(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            environ[AUTHENTICATION_KEY].sign_in(Principal(NAME, roles=["admin"]))
            return Response()(environ, start_response)

        given = self._copy_of_the_archive(sign_in).get("/").headers["Set-Cookie"]
        return given.partition("=")[2].partition(";")[0]

    def read_cookie(self, cookie: str) -> str | None:
        """The name in a cookie of the archive, or ``None`` if it does not open."""
        names: list[str | None] = []

        def look(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            names.append(environ[PRINCIPAL_KEY].name)
            return Response()(environ, start_response)

        self._copy_of_the_archive(look).get("/", headers={"Cookie": f"{COOKIE}={cookie}"})
        return names[0]

    def _copy_of_the_archive(self, application: WSGIApplication) -> Client:
        return Client(
            CookieAuthenticationMiddleware(application, data_protection=self._ring, cookie=COOKIE), use_cookies=False
        )


class BlobAttacker:
    """An attacker with the public exchange key, and with write access to the disk with the session key blob."""

    def __init__(self, blob: Path, keys: Path, exchange: rsa.RSAPublicKey) -> None:
        self._blob = blob
        self._keys = keys
        self._exchange = exchange
        self._session_key = Secret.random(32)

    def replace_blob(self) -> None:
        """Export the attacker's session key to the exchange key, and replace the blob with it.

        The keys that the old session key wraps are deleted: a service that cannot open them would notice.
        """
        self._blob.write_bytes(SimpleKeyBlob.export(self._session_key, self._exchange, oaep=False).to_bytes())
        shutil.rmtree(self._keys, ignore_errors=True)

    def sign_blob(self) -> None:
        """Sign the blob with the attacker's own key."""
        own = rsa.generate_private_key(65537, 2048)
        signature_path(self._blob).write_bytes(sign_blob(self._blob.read_bytes(), own))

    def read(self, application: str, purpose: str, payload: str) -> str:
        """Open a payload: the keys on the disk are wrapped with the attacker's session key.

        `UnprotectError` or `KeyManagementError` if it does not open.
        """
        own = rsa.generate_private_key(65537, 2048)
        private = own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        at_home = self._blob.parent / "attacker"
        at_home.mkdir()
        exchange, blob = at_home / "exchange.pem", at_home / "session.blob"
        exchange.write_bytes(private)
        blob.write_bytes(SimpleKeyBlob.export(self._session_key, own.public_key(), oaep=False).to_bytes())
        wrapper = KeyBlobKeyWrapper(blob, exchange=exchange, allow_unsigned=True)
        ring = DataProtection(application, repository=self._keys, key_wrapper=wrapper, auto_create_keys=False)
        return ring.create_protector(purpose).unprotect(payload)
