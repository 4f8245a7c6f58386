"""Keys wrapped by Azure Key Vault: the SDK against a double over TLS, a vector of the package, malicious documents."""

from __future__ import annotations

import importlib.util
import time
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from dpmiddleware.at_rest.azure_key_vault import AzureKeyVaultKeyWrapper, _decrypt, _encrypt
from dpmiddleware.dotnet_types import plain_type_name
from dpmiddleware.errors import ConfigurationError, KeyUnwrapError, MissingExtraError
from dpmiddleware.keys.interfaces import KeyWrapper
from dpmiddleware.keys.xml import dump
from dpmiddleware.testing.contracts.key_wrapper import KeyWrapperContract
from dpmiddleware.testing.contracts.wrappings import BINDING, MASTER_KEY, master_key, reread, unwrapped
from tests.at_rest.key_vault_double import OAEP, TOKEN, KeyVault, self_signed
from tests.interop.vectors import load


class StaticCredential:
    """Returns the token that the double accepts."""

    def __init__(self, token: str = TOKEN) -> None:
        self._token = token

    def get_token(self, *scopes: str, **more: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("vault"))


@pytest.fixture
def vault(certificate: Path) -> Iterator[KeyVault]:
    double = KeyVault(certificate)
    double.rotate("shop")
    double.rotate("other")
    yield double
    double.close()


@pytest.fixture
def options(certificate: Path) -> dict[str, Any]:
    return {"connection_verify": str(certificate), "verify_challenge_resource": False, "retry_total": 0}


def on(vault: KeyVault, options: dict[str, Any], key: str = "shop", token: str = TOKEN) -> AzureKeyVaultKeyWrapper:
    return AzureKeyVaultKeyWrapper(vault.host, key, credential=StaticCredential(token), options=options)


def wrapped(wrapper: KeyWrapper) -> ET.Element:
    return wrapper.wrap(master_key(), BINDING)[1]


class TestContract(KeyWrapperContract):
    authenticates = False
    binds = False

    @pytest.fixture
    def wrapper(self, vault: KeyVault, options: dict[str, Any]) -> KeyWrapper:
        return on(vault, options)

    @pytest.fixture
    def stranger(self, vault: KeyVault, options: dict[str, Any]) -> KeyWrapper:
        return on(vault, options, "other")

    @pytest.fixture
    def unreachable(self, vault: KeyVault, options: dict[str, Any]) -> KeyWrapper:
        return on(vault, options, token="expired")

    @pytest.fixture
    def canaries(self) -> list[bytes]:
        return [TOKEN.encode()]


@pytest.mark.parametrize("case", load("keyvault")["cases"], ids=lambda case: case["why"])
def test_the_content_is_encrypted_as_upstream_does_it(case: dict[str, str]) -> None:
    key, iv, plaintext = (bytes.fromhex(case[name]) for name in ("key", "iv", "plaintext"))
    assert _encrypt(key, iv, plaintext) == b64decode(case["value_b64"])
    assert _decrypt(key, iv, b64decode(case["value_b64"])) == plaintext
    assert b64decode(case["wrapped_b64"]) == key[::-1]


def test_what_is_written_has_dotnets_form(vault: KeyVault, options: dict[str, Any]) -> None:
    decryptor_type, encrypted = on(vault, options).wrap(master_key(), BINDING)
    assert decryptor_type.startswith("Azure.Extensions.AspNetCore.DataProtection.Keys.AzureKeyVaultXmlDecryptor, ")
    assert [child.tag for child in encrypted if isinstance(child.tag, str)] == ["kid", "key", "iv", "value"]
    version, key = vault.keys["shop"][-1]
    assert encrypted.findtext("kid") == f"https://{vault.host}/keys/shop/{version}"
    content_key = key.decrypt(b64decode(encrypted.findtext("key") or ""), OAEP)
    assert len(content_key) == 16
    decryptor = Cipher(AES(content_key), CBC(b64decode(encrypted.findtext("iv") or ""))).decryptor()
    plaintext = decryptor.update(b64decode(encrypted.findtext("value") or ""))
    assert plaintext[: -plaintext[-1]] == b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>' + dump(master_key())


@pytest.mark.parametrize("size", [16, 24, 32])
def test_content_keys_of_each_aes_length_are_read(vault: KeyVault, options: dict[str, Any], size: int) -> None:
    version, key = vault.keys["shop"][-1]
    content_key, iv = bytes(range(size)), bytes(16)
    texts = {
        "kid": f"https://{vault.host}/keys/shop/{version}",
        "key": b64encode(key.public_key().encrypt(content_key, OAEP)).decode(),
        "iv": b64encode(iv).decode(),
        "value": b64encode(_encrypt(content_key, iv, b"\xef\xbb\xbf" + dump(master_key()))).decode(),
    }
    encrypted = ET.Element("encryptedKey")
    for name, text in texts.items():
        ET.SubElement(encrypted, name).text = text
    assert unwrapped(on(vault, options), encrypted) == MASTER_KEY


def test_after_the_vaults_key_was_rotated_old_keys_open_and_new_ones_use_it(
    vault: KeyVault, options: dict[str, Any]
) -> None:
    wrapper = on(vault, options)
    old = wrapped(wrapper)
    version = vault.rotate("shop")
    new = wrapped(wrapper)
    assert (new.findtext("kid") or "").endswith(version)
    assert unwrapped(wrapper, old) == unwrapped(wrapper, new) == MASTER_KEY


def test_the_public_key_is_fetched_once_a_version(vault: KeyVault, options: dict[str, Any]) -> None:
    wrapper = on(vault, options)
    encrypted = wrapped(wrapper)
    vault.asked.clear()
    for _ in range(3):
        unwrapped(wrapper, encrypted)
    assert [path.partition("?")[0].count("unwrapkey") for path in vault.asked] == [0, 1, 1, 1]


def test_without_the_permission_to_get_it_unwraps_and_does_not_wrap(vault: KeyVault, options: dict[str, Any]) -> None:
    encrypted = wrapped(on(vault, options))
    vault.get_is_forbidden = True
    assert unwrapped(on(vault, options), encrypted) == MASTER_KEY
    with pytest.raises(KeyUnwrapError) as caught:
        wrapped(on(vault, options))
    assert caught.value.hint


FOREIGN = {
    "another host": "https://vault.example/keys/shop/{v}",
    "another port": "https://127.0.0.1:1/keys/shop/{v}",
    "http": "http://{h}/keys/shop/{v}",
    "userinfo": "https://{h}@vault.example/keys/shop/{v}",
    "userinfo before ours": "https://x@{h}/keys/shop/{v}",
    "ours as a folder": "https://vault.example/{h}/keys/shop/{v}",
    "ours as a query": "https://vault.example?https://{h}/keys/shop/{v}",
    "a longer host": "https://{h}.vault.example/keys/shop/{v}",
    "another key": "https://{h}/keys/other/{v}",
    "a secret": "https://{h}/secrets/shop/{v}",
    "no version": "https://{h}/keys/shop/",
    "not even a slash": "https://{h}/keys/shop",
    "dots": "https://{h}/keys/shop/../{v}",
    "a path behind it": "https://{h}/keys/shop/{v}/unwrapkey",
    "a query behind it": "https://{h}/keys/shop/{v}?x",
    "a fragment behind it": "https://{h}/keys/shop/{v}#x",
    "escapes": "https://{h}/keys/shop/%2e%2e",
    "a line end": "https://{h}/keys/shop/{v}\n\n{v}",
    "a backslash": "https://{h}\\@vault.example/keys/shop/{v}",
    "another version": "https://{h}/keys/shop/\u0661\u0662",
    "nothing": "",
}


@pytest.mark.parametrize("kid", [pytest.param(kid, id=name) for name, kid in FOREIGN.items()])
def test_a_foreign_key_id_is_unreadable_and_no_connection_is_made(
    vault: KeyVault, options: dict[str, Any], kid: str
) -> None:
    wrapper = on(vault, options)
    encrypted = reread(wrapped(wrapper))
    element = encrypted.find("kid")
    assert element is not None
    element.text = kid.format(h=vault.host, v=vault.keys["shop"][-1][0])
    vault.asked.clear()
    with pytest.raises(KeyUnwrapError, match=r"^the key is wrapped by .*, which is not https://"):
        wrapper.unwrap(encrypted, BINDING)
    assert vault.asked == []


def test_case_of_host_and_name_does_not_matter() -> None:
    wrapper = AzureKeyVaultKeyWrapper("Shop", "DP", credential=StaticCredential())
    assert wrapper._version("https://shop.vault.azure.net/keys/dp/0123456789abcdef") == "0123456789abcdef"


def test_a_version_that_is_gone_is_an_error(vault: KeyVault, options: dict[str, Any]) -> None:
    encrypted = wrapped(on(vault, options))
    vault.keys["shop"].clear()
    with pytest.raises(KeyUnwrapError, match="ResourceNotFoundError 404"):
        unwrapped(on(vault, options), encrypted)


def test_all_failures_of_the_content_look_alike(vault: KeyVault, options: dict[str, Any]) -> None:
    wrapper = on(vault, options)
    seen = set()
    for name, text in (("value", "AAAA"), ("value", b64encode(bytes(32)).decode()), ("iv", "AAAA"), ("value", "")):
        encrypted = reread(wrapped(wrapper))
        element = encrypted.find(name)
        assert element is not None
        element.text = text
        with pytest.raises(KeyUnwrapError) as caught:
            wrapper.unwrap(encrypted, BINDING)
        seen.add((str(caught.value), caught.value.hint))
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("assembly", "rest"),
    [
        ("Azure.Extensions.AspNetCore.DataProtection.Keys", "Version=1.2.4.0, PublicKeyToken=92742159e12e44c8"),
        ("Microsoft.AspNetCore.DataProtection.AzureKeyVault", "Version=3.1.24.0, Culture=neutral"),
    ],
)
def test_both_packages_of_dotnet_are_known(assembly: str, rest: str) -> None:
    name = f"{assembly}.AzureKeyVaultXmlDecryptor, {assembly}, {rest}"
    assert plain_type_name(name) in AzureKeyVaultKeyWrapper.from_url("azurekv://shop/dp").decryptor_types


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("azurekv://shop/dp", "https://shop.vault.azure.net/keys/dp"),
        ("azurekv://shop.vault.azure.cn/dp", "https://shop.vault.azure.cn/keys/dp"),
    ],
)
def test_a_url_names_vault_and_key(url: str, shown: str) -> None:
    assert repr(AzureKeyVaultKeyWrapper.from_url(url)) == f"<AzureKeyVaultKeyWrapper {shown}>"


@pytest.mark.parametrize(
    "url", ["azurekv:///dp", "azurekv://shop", "azurekv://shop/dp/v1", "azurekv://u:p@shop/dp", "azurekv://shop/dp?x=1"]
)
def test_a_url_that_names_no_key_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        AzureKeyVaultKeyWrapper.from_url(url)


def test_without_the_sdk_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        AzureKeyVaultKeyWrapper("shop", "dp")
    assert "dpmiddleware[azure]" in caught.value.hint
