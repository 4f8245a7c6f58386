"""Keys encrypted by AWS KMS: moto's server with real encryption, and stubbed answers for what that does not enforce."""

from __future__ import annotations

import builtins
import importlib.util
import socket
import xml.etree.ElementTree as ET
from base64 import b64decode
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from dpmiddleware.at_rest.aws_kms import AwsKmsKeyWrapper
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError, MissingExtraError
from dpmiddleware.keys.interfaces import KeyWrapper
from dpmiddleware.testing.contracts.key_wrapper import KeyWrapperContract
from dpmiddleware.testing.contracts.wrappings import BINDING, MASTER_KEY, master_key, unwrapped
from tests.servers import Server

REGION = "eu-central-1"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "CANARYACCESSKEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def kms(moto_server: Server, _credentials: None) -> Any:
    """What an administrator does."""
    return boto3.client("kms", region_name=REGION, endpoint_url=moto_server.address)


def new_key(kms: Any) -> str:
    return str(kms.create_key()["KeyMetadata"]["KeyId"])


def wrapper_of(key: str, address: str) -> AwsKmsKeyWrapper:
    return AwsKmsKeyWrapper.from_url(f"awskms:///{key}?region={REGION}&endpoint={address}")


def wrapped(wrapper: KeyWrapper) -> ET.Element:
    return wrapper.wrap(master_key(), BINDING)[1]


class TestContract(KeyWrapperContract):
    @pytest.fixture
    def wrapper(self, kms: Any, moto_server: Server) -> KeyWrapper:
        return wrapper_of(new_key(kms), moto_server.address)

    @pytest.fixture
    def stranger(self, kms: Any, moto_server: Server) -> KeyWrapper:
        return wrapper_of(new_key(kms), moto_server.address)

    @pytest.fixture
    def unreachable(self) -> KeyWrapper:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return wrapper_of("shop", f"http://127.0.0.1:{probe.getsockname()[1]}")

    @pytest.fixture
    def canaries(self) -> list[bytes]:
        return [b"CANARYACCESSKEY"]


def test_a_key_is_named_by_id_alias_or_arn(kms: Any, moto_server: Server) -> None:
    key = new_key(kms)
    kms.create_alias(AliasName="alias/shop", TargetKeyId=key)
    arn = kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]
    encrypted = wrapped(wrapper_of(key, moto_server.address))
    for name in (key, "alias/shop", arn):
        assert unwrapped(wrapper_of(name, moto_server.address), encrypted) == MASTER_KEY


def test_a_blob_under_another_key_with_the_right_context_is_refused(kms: Any, moto_server: Server) -> None:
    """Anyone in the account with a key of their own could create one; the call names ours."""
    theirs = wrapped(wrapper_of(new_key(kms), moto_server.address))
    with pytest.raises(KeyUnwrapError, match="AccessDenied"):
        unwrapped(wrapper_of(new_key(kms), moto_server.address), theirs)


def test_what_is_bound_is_the_encryption_context(kms: Any, moto_server: Server) -> None:
    key = new_key(kms)
    encrypted = wrapped(wrapper_of(key, moto_server.address))
    context = {
        "dpmiddleware:ring": "shop",
        "dpmiddleware:key": str(BINDING.key_id),
        "dpmiddleware:digest": BINDING.digest.hex(),
    }
    blob = b64decode(encrypted.findtext("value") or "")
    assert b"masterKey" in kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"]


def test_a_key_that_is_not_there_is_an_error(kms: Any, moto_server: Server) -> None:
    with pytest.raises(KeyUnwrapError, match="NotFoundException") as caught:
        wrapped(wrapper_of("alias/none", moto_server.address))
    assert "no such KMS key" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("DisabledException", "enable-key"),
        ("KMSInvalidStateException", "cancel-key-deletion"),
        ("AccessDeniedException", "policy"),
        ("IncorrectKeyException", "the KMS key that wrapped this one"),
        ("InvalidCiphertextException", "changed"),
        ("ThrottlingException", "check the service"),
    ],
)
def test_each_refusal_of_the_service_says_what_to_do(code: str, hint: str) -> None:
    """Moto decrypts with a disabled key; these are the answers that AWS documents."""
    client = boto3.client("kms", region_name=REGION)
    wrapper = AwsKmsKeyWrapper("alias/shop", client=client)
    encrypted = ET.Element("kmsKey")
    ET.SubElement(encrypted, "value").text = "AAAA"
    with Stubber(client) as stub:
        stub.add_client_error("decrypt", code, "a message of the service", expected_params=None)
        with pytest.raises(KeyUnwrapError, match=f"refused: {code}") as caught:
            wrapper.unwrap(encrypted, BINDING)
    assert hint in caught.value.hint


def test_decryption_names_the_configured_key() -> None:
    client = boto3.client("kms", region_name=REGION)
    encrypted = ET.Element("kmsKey")
    ET.SubElement(encrypted, "value").text = "AAAA"
    expected = {
        "KeyId": "alias/shop",
        "CiphertextBlob": b"\0\0\0",
        "EncryptionContext": {
            "dpmiddleware:ring": "shop",
            "dpmiddleware:key": str(BINDING.key_id),
            "dpmiddleware:digest": BINDING.digest.hex(),
        },
    }
    with Stubber(client) as stub:
        stub.add_response("decrypt", {"Plaintext": b"<masterKey />"}, expected)
        AwsKmsKeyWrapper("alias/shop", client=client).unwrap(encrypted, BINDING)


def test_without_region_or_credentials_it_is_an_error(monkeypatch: pytest.MonkeyPatch, moto_server: Server) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(KeyUnwrapError, match="NoRegionError"):
        wrapped(AwsKmsKeyWrapper("alias/shop"))
    with pytest.raises(KeyUnwrapError, match="NoCredentialsError"):
        wrapped(wrapper_of("shop", moto_server.address))


@pytest.mark.parametrize("url", ["awskms:///", "awskms://alias/shop", "awskms:///alias/shop?key=x", "awskms:"])
def test_a_url_that_names_no_key_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        AwsKmsKeyWrapper.from_url(url)


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        AwsKmsKeyWrapper("alias/shop")
    assert "dpmiddleware[aws]" in caught.value.hint


def test_making_one_imports_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def guarded(name: str, *arguments: Any, **more: Any) -> Any:
        assert not name.startswith(("boto3", "botocore")), name
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", guarded)
    assert repr(AwsKmsKeyWrapper.from_url("awskms:///alias/shop")) == "<AwsKmsKeyWrapper alias/shop>"
