"""XML Encryption (W3C xmlenc-core) in the one form that .NET writes for a certificate::

    <EncryptedData Type="…xmlenc#Element" xmlns="http://www.w3.org/2001/04/xmlenc#">
      <EncryptionMethod Algorithm="…xmlenc#aes256-cbc" />
      <KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#">
        <EncryptedKey xmlns="http://www.w3.org/2001/04/xmlenc#">
          <EncryptionMethod Algorithm="…xmlenc#rsa-1_5" />                           or …xmlenc#rsa-oaep-mgf1p
          <KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#">
            <X509Data><X509Certificate>base64 of DER</X509Certificate></X509Data>
          </KeyInfo>
          <CipherData><CipherValue>base64 of RSA(session key)</CipherValue></CipherData>
        </EncryptedKey>
      </KeyInfo>
      <CipherData><CipherValue>base64 of content</CipherValue></CipherData>
    </EncryptedData>

    content := IV (16) ‖ AES-256-CBC(session key, plaintext ‖ random × (n - 1) ‖ n)     n = 1…16, ISO 10126

Nothing in this format is authenticated. A session key that does not decrypt is replaced by a random one, so that the
result reveals nothing about RSA padding.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from dpmiddleware.at_rest import rsa_keys
from dpmiddleware.at_rest.elements import attribute, child, decode
from dpmiddleware.errors import KeyUnwrapError

__all__ = ["EncryptedData"]

_XENC: Final = "http://www.w3.org/2001/04/xmlenc#"
_XMLDSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
_SHA1: Final = _XMLDSIG + "sha1"
_AES: Final = _XENC + "aes256-cbc"
_PKCS1: Final = _XENC + "rsa-1_5"
_OAEP: Final = _XENC + "rsa-oaep-mgf1p"
_PADDINGS: Final[dict[str, padding.AsymmetricPadding]] = {_PKCS1: rsa_keys.PKCS1, _OAEP: rsa_keys.OAEP}
_KEY_SIZE: Final = 32
_BLOCK: Final = 16


@dataclass(frozen=True, slots=True)
class EncryptedData:
    """The parts of an ``<EncryptedData>``.

    method: the algorithm URI of the session key's encryption.
    certificate: DER; names the private key, nothing else of it is used.
    encrypted_key: the session key, encrypted with RSA.
    content: IV and ciphertext.
    """

    method: str
    certificate: bytes
    encrypted_key: bytes
    content: bytes

    @classmethod
    def encrypt(cls, plaintext: bytes, certificate: bytes, key: rsa.RSAPublicKey, *, oaep: bool) -> EncryptedData:
        """Encrypt under a new session key.

        plaintext: what to encrypt.
        certificate: DER, to name the private key by.
        key: the certificate's public key.
        oaep: encrypt the session key with OAEP instead of PKCS#1 v1.5.
        """
        method, session_key = _OAEP if oaep else _PKCS1, os.urandom(_KEY_SIZE)
        return cls(method, certificate, key.encrypt(session_key, _PADDINGS[method]), _encrypt(session_key, plaintext))

    @classmethod
    def parse(cls, data: ET.Element) -> EncryptedData:
        """Take an element apart. `KeyUnwrapError` for another form or algorithm."""
        if data.tag != f"{{{_XENC}}}EncryptedData":
            raise KeyUnwrapError("the wrapping is not an <EncryptedData>", hint="check who changed the document")
        attribute(data, "Type", _XENC + "Element")
        attribute(child(data, f"{{{_XENC}}}EncryptionMethod"), "Algorithm", _AES)
        key = child(child(data, f"{{{_XMLDSIG}}}KeyInfo"), f"{{{_XENC}}}EncryptedKey")
        transport = child(key, f"{{{_XENC}}}EncryptionMethod")
        method = attribute(transport, "Algorithm", *_PADDINGS)
        for digest in transport:  # other programs write OAEP's default digest
            attribute(digest, "Algorithm", _SHA1)
        x509_data = child(child(key, f"{{{_XMLDSIG}}}KeyInfo"), f"{{{_XMLDSIG}}}X509Data")
        certificate = child(x509_data, f"{{{_XMLDSIG}}}X509Certificate")
        value = [child(child(parent, f"{{{_XENC}}}CipherData"), f"{{{_XENC}}}CipherValue") for parent in (key, data)]
        return cls(method, decode(certificate), decode(value[0]), decode(value[1]))

    def to_element(self) -> ET.Element:
        """Return the element."""
        data = ET.Element(f"{{{_XENC}}}EncryptedData", {"Type": _XENC + "Element"})
        ET.SubElement(data, f"{{{_XENC}}}EncryptionMethod", {"Algorithm": _AES})
        key_info = ET.SubElement(data, f"{{{_XMLDSIG}}}KeyInfo")
        key = ET.SubElement(key_info, f"{{{_XENC}}}EncryptedKey")
        ET.SubElement(key, f"{{{_XENC}}}EncryptionMethod", {"Algorithm": self.method})
        x509_data = ET.SubElement(ET.SubElement(key, f"{{{_XMLDSIG}}}KeyInfo"), f"{{{_XMLDSIG}}}X509Data")
        ET.SubElement(x509_data, f"{{{_XMLDSIG}}}X509Certificate").text = b64encode(self.certificate).decode("ascii")
        for parent, value in ((key, self.encrypted_key), (data, self.content)):
            cipher_data = ET.SubElement(parent, f"{{{_XENC}}}CipherData")
            ET.SubElement(cipher_data, f"{{{_XENC}}}CipherValue").text = b64encode(value).decode("ascii")
        return data

    def decrypt(self, key: rsa_keys.RsaPrivateKey) -> bytes | None:
        """Decrypt with one private-key operation; ``None`` if it fails. `KeyUnwrapError` if the key cannot be used."""
        random_key = os.urandom(_KEY_SIZE)
        session_key = rsa_keys.decrypt(key, self.encrypted_key, _PADDINGS[self.method]) or b""
        return _decrypt(session_key if len(session_key) == _KEY_SIZE else random_key, self.content)


def _encrypt(session_key: bytes, plaintext: bytes) -> bytes:
    iv = os.urandom(_BLOCK)
    missing = _BLOCK - len(plaintext) % _BLOCK
    encryptor = Cipher(AES(session_key), CBC(iv)).encryptor()
    padded = plaintext + os.urandom(missing - 1) + bytes([missing])
    return iv + encryptor.update(padded) + encryptor.finalize()


def _decrypt(session_key: bytes, content: bytes) -> bytes | None:
    """In ISO 10126 padding, only the last byte has a meaning; the others are random."""
    if len(content) % _BLOCK or len(content) < 2 * _BLOCK:
        return None
    decryptor = Cipher(AES(session_key), CBC(content[:_BLOCK])).decryptor()
    padded = decryptor.update(content[_BLOCK:]) + decryptor.finalize()
    return padded[: -padded[-1]] if 1 <= padded[-1] <= _BLOCK else None
