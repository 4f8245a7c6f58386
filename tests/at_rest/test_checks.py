"""What ``dpm check`` finds about key wrappers."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import NameOID

from dpmiddleware import DataProtection
from dpmiddleware.at_rest.aws_kms import AwsKmsKeyWrapper
from dpmiddleware.at_rest.certificates import CertificateKey
from dpmiddleware.at_rest.checks import weak_files, weaknesses
from dpmiddleware.at_rest.key_blob import KeyBlobKeyWrapper
from dpmiddleware.at_rest.openbao import OpenBaoKeyWrapper
from dpmiddleware.at_rest.secret_key import SecretKeyWrapper
from dpmiddleware.at_rest.x509 import X509KeyWrapper
from dpmiddleware.cli.check import findings_of
from dpmiddleware.cli.ring import RingView
from dpmiddleware.keys.interfaces import KeyWrapper
from dpmiddleware.keys.signers import load_signer
from tests.fakes import BoxWrapper
from tests.interop.vectors import VECTORS

NOW = datetime(2026, 11, 22, 15, tzinfo=timezone.utc)
posix = pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")


def codes(wrapper: KeyWrapper, now: datetime = NOW, *, wraps: bool = True) -> list[str]:
    return [found.code for found in weaknesses(wrapper, ring="shop", now=now, wraps=wraps)]


def certificate(bits: int, days: int) -> CertificateKey:
    key = rsa.generate_private_key(65537, bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop\x1b[2K")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - timedelta(900), NOW + timedelta(days))
    return CertificateKey(builder.sign(key, hashes.SHA256()), key)


def test_a_good_one_has_none(tmp_path: Path) -> None:
    path = tmp_path / "keys.pem"
    path.write_bytes((VECTORS / "certificates" / "second.pem").read_bytes())
    path.chmod(0o600)
    assert codes(X509KeyWrapper(path)) == []


def test_an_expired_certificate_that_wraps_is_found_and_an_old_one_is_not() -> None:
    old, new = certificate(3072, -1), certificate(3072, 1)
    assert codes(X509KeyWrapper.of([old])) == ["certificate_expired"]
    assert codes(X509KeyWrapper.of([new, old])) == []
    assert codes(X509KeyWrapper.of([old]), wraps=False) == []
    assert codes(X509KeyWrapper.of([new]), NOW + timedelta(days=2)) == ["certificate_expired"]


def test_a_short_rsa_key_is_found_and_shown_escaped() -> None:
    (found,) = weaknesses(X509KeyWrapper.of([certificate(1024, 1)]), ring="shop", now=NOW)
    assert found.code == "certificate_weak"
    assert "1024 bits" in found.text
    assert "\x1b" not in found.text


def test_a_key_that_is_enough_for_now_only_is_a_note() -> None:
    (found,) = weaknesses(X509KeyWrapper.of([certificate(2048, 1)]), ring="shop", now=NOW)
    assert (found.code, found.level) == ("certificate_short", "note")
    assert "2048 bits: enough until 2030" in found.text


def test_a_short_key_that_only_unwraps_does_not_keep_the_one_that_wraps_from_being_tried_out() -> None:
    blind = CertificateKey(certificate(3072, 1).certificate)
    assert codes(X509KeyWrapper.of([blind, certificate(1024, 1)])) == ["certificate_weak", "wrapper_unusable"]


def test_a_certificate_that_is_not_there_is_found() -> None:
    assert codes(X509KeyWrapper("/no/such.pem")) == ["certificate_unreadable", "wrapper_unusable"]


def test_a_certificate_that_cannot_unwrap_is_found_where_keys_are_made() -> None:
    wrapper = X509KeyWrapper.of([CertificateKey(certificate(3072, 1).certificate)])
    assert codes(wrapper) == ["wrapper_unusable"]
    assert codes(wrapper, wraps=False) == []


def test_a_disabled_kms_key_is_found_with_what_to_do() -> None:
    client = boto3.client("kms", region_name="eu-central-1")
    with Stubber(client) as stub:
        stub.add_client_error("encrypt", "DisabledException")
        (found,) = weaknesses(AwsKmsKeyWrapper("alias/shop", client=client), ring="shop", now=NOW)
    assert (found.code, "enable-key" in found.hint) == ("wrapper_unusable", True)


def test_dpm_check_asks_the_wrappers_of_the_ring() -> None:
    client = boto3.client("kms", region_name="eu-central-1")
    dp = DataProtection("shop", repository="memory:", key_wrapper=AwsKmsKeyWrapper("alias/shop", client=client))
    with Stubber(client) as stub:
        stub.add_client_error("encrypt", "DisabledException")
        found = findings_of(dp, RingView.of(dp))
    (unusable,) = [finding for finding in found if finding.code == "wrapper_unusable"]
    assert (unusable.level, "DisabledException" in unusable.text) == ("problem", True)


def test_a_wrapper_of_ones_own_is_tried_out_as_well() -> None:
    box = BoxWrapper()
    assert codes(box) == []
    box.broken = True
    assert codes(box) == ["wrapper_unusable"]


@posix
def test_secrets_that_others_can_read_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SECRET", "correct horse battery staple")
    path = tmp_path / "secret"
    path.write_text("correct horse battery staple")
    wrappers: list[KeyWrapper] = [
        SecretKeyWrapper("env:SHOP_SECRET", str(path)),
        KeyBlobKeyWrapper("/no/blob", exchange=path, trust=["/no/signer"]),
        OpenBaoKeyWrapper("https://bao.example", key="shop", token=str(path)),
    ]
    for mode, expected in ((0o600, []), (0o640, []), (0o644, ["secret_readable_by_others"])):
        path.chmod(mode)
        for wrapper in wrappers:
            assert codes(wrapper, wraps=False) == expected


@posix
def test_a_signers_file_that_others_can_read_is_found(tmp_path: Path) -> None:
    path = tmp_path / "signer.pem"
    key = ed25519.Ed25519PrivateKey.generate()
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    path.chmod(0o604)
    signer = load_signer(path)
    assert signer.path == path
    (found,) = weak_files([path])
    assert "0604" in found.text
