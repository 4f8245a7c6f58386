"""Every use of a cryptographic primitive in the package stands on the page *Cryptography used here*, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dpmiddleware"
PAGE = (ROOT / "docs" / "cryptography.md").read_text("utf-8")

LIBRARIES = {"cryptography", "hashlib", "hmac", "random", "secrets"}
"""Where primitives come from. A library of another name is found by `test_no_other_library_is_used`."""
OTHERS = re.compile(
    r"\b(Crypto|Cryptodome|nacl|ecdsa|jwt|jose|joserfc|passlib|bcrypt|argon2|pyaes|tink|pyseto|OpenSSL)\b"
)
NO_PRIMITIVES = {
    *("CipherAlgorithm", "InvalidSignature", "InvalidTag", "NameOID", "PrivateKeyTypes", "PublicKeyTypes"),
    *("Encoding", "NoEncryption", "PrivateFormat", "PublicFormat"),
    *("serialization.Encoding", "serialization.PublicFormat", "serialization.load_der_public_key"),
    *("serialization.load_pem_private_key", "serialization.load_pem_public_key", "pkcs12.load_key_and_certificates"),
    *("x509.BasicConstraints", "x509.Certificate", "x509.CertificateBuilder", "x509.Name", "x509.NameAttribute"),
    *("x509.load_der_x509_certificate", "x509.load_pem_x509_certificate", "x509.load_pem_x509_certificates"),
    *("x509.random_serial_number", "padding.AsymmetricPadding", "hashlib._Hash"),
    *("ec.EllipticCurvePrivateKey", "ec.EllipticCurvePublicKey", "ec.EllipticCurvePublicNumbers"),
    *("UnsupportedAlgorithm", "utils.encode_dss_signature"),
    *("rsa.RSAPrivateKey", "rsa.RSAPublicKey", "rsa.RSAPrivateNumbers", "rsa.RSAPublicNumbers"),
}
"""Types, formats and errors. What computes something is a primitive."""


def uses_in(source: str) -> Iterator[str]:
    """The names from cryptographic libraries in a module, as its code writes them: ``AESGCM``, ``hashlib.sha256``."""
    tree = ast.parse(source)
    modules = {"os"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {name.asname or name.name for name in node.names if name.name.partition(".")[0] in LIBRARIES}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in LIBRARIES:
            is_hazmat = (node.module or "").startswith("cryptography")
            for name in node.names:
                if is_hazmat and name.name.islower():
                    modules.add(name.asname or name.name)
                else:
                    yield name.name if is_hazmat else f"{node.module}.{name.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield f"{node.value.id}.{node.attr}"


def primitives_in(source: str) -> set[str]:
    found = set(uses_in(source)) - NO_PRIMITIVES
    found = {name for name in found if not name.startswith("os.") or name in {"os.urandom", "os.getrandom"}}
    return found | ({"sha1 in a server"} if re.search(r"\bsha1hex\(|\bsha1\(concat", source) else set())


def in_the_code() -> set[tuple[str, str]]:
    """Primitive and module, without the suffix of its file."""
    found = {
        ("random" if name.startswith("random.") else name, path.relative_to(PACKAGE).with_suffix("").as_posix())
        for path in PACKAGE.rglob("*.py")
        for name in primitives_in(path.read_text("utf-8"))
    }
    return found | {("OpenSSL in C", name) for name in cores() if "EVP_" in (PACKAGE / name).read_text("utf-8")}


def cores() -> list[str]:
    return [path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.c"))]


def on_the_page() -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for line in PAGE.partition("## Where each primitive is used")[2].splitlines():
        if not line.startswith("| `"):
            continue
        names, modules, _ = (cell.strip() for cell in line.strip("| ").split(" | "))
        suffix = " in a server" if "in a server" in names else " in C" if "in C" in names else ""
        found |= {(name + suffix, module) for name in re.findall("`([^`]+)`", names) for module in modules.split(", ")}
    return found


def test_each_use_of_a_primitive_is_listed() -> None:
    assert in_the_code() - on_the_page() == set(), "add a line to docs/cryptography.md, or do without"


def test_each_listed_use_is_there() -> None:
    assert on_the_page() - in_the_code() == set(), "the code no longer does this"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import hashlib\nhashlib.md5(b'')", {"hashlib.md5"}),
        ("import hashlib as h\nh.new('md5')", {"h.new"}),
        ("from hashlib import md5", {"hashlib.md5"}),
        ("def f():\n    from cryptography.hazmat.primitives.ciphers.aead import AESSIV", {"AESSIV"}),
        ("from cryptography.hazmat.primitives import hashes\nhashes.MD5()", {"hashes.MD5"}),
        ("from cryptography.hazmat.primitives.asymmetric import dsa\ndsa.DSAPrivateKey", {"dsa.DSAPrivateKey"}),
        ("import os\nos.urandom(3)\nos.path", {"os.urandom"}),
        ('x = "redis.sha1hex(y)"', {"sha1 in a server"}),
    ],
)
def test_a_new_use_would_be_seen(source: str, expected: set[str]) -> None:
    assert primitives_in(source) == expected


def test_no_other_library_is_used() -> None:
    imports = re.compile(r"^\s*(?:import|from) (\w+)", re.MULTILINE)
    for path in PACKAGE.rglob("*.py"):
        assert not OTHERS.search(" ".join(imports.findall(path.read_text("utf-8")))), path


def test_nothing_uses_md5() -> None:
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.c")]:
        assert not re.search(r"\bmd5\b", path.read_text("utf-8"), re.IGNORECASE), path


def test_the_core_names_one_algorithm_itself() -> None:
    """The cipher and the digest come from the key's suite."""
    fetched = {
        name
        for core in cores()
        for name in re.findall(r'EVP_\w+_fetch\(NULL, "?(\w+)"?, NULL\)', (PACKAGE / core).read_text("utf-8"))
    }
    assert fetched == {"SHA512", "cipher", "digest"}
