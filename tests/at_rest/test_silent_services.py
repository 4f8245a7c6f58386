"""Key services that never answer, or answer a byte now and then: a call ends, and threads do not pile up."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from dpmiddleware.at_rest import aws_kms, azure_key_vault
from dpmiddleware.at_rest.aws_kms import AwsKmsKeyWrapper
from dpmiddleware.at_rest.azure_key_vault import AzureKeyVaultKeyWrapper
from dpmiddleware.at_rest.openbao import OpenBaoKeyWrapper
from dpmiddleware.errors import KeyUnwrapError
from dpmiddleware.keys.interfaces import KeyWrapper
from dpmiddleware.testing.contracts.remote_repository import silent_server, store_threads
from dpmiddleware.testing.contracts.together import at_once
from dpmiddleware.testing.contracts.wrappings import BINDING, master_key
from tests.servers import LOOPBACK

HTTP = b"HTTP/1.1 200 OK\r\nX: "
TLS = b"\x16\x03\x03\x40\x00"
"""The head of a record of 16 KB."""


def openbao(port: int) -> KeyWrapper:
    return OpenBaoKeyWrapper(f"http://{LOOPBACK}:{port}", key="shop", token="env:SHOP_TOKEN", timeout=0.3)


def kms(port: int) -> KeyWrapper:
    return AwsKmsKeyWrapper("alias/shop", region="eu-central-1", endpoint=f"http://{LOOPBACK}:{port}")


def key_vault(port: int) -> KeyWrapper:
    credential: Any = SimpleNamespace(get_token=lambda *scopes, **options: None)
    return AzureKeyVaultKeyWrapper(f"{LOOPBACK}:{port}", "shop", credential=credential)


@pytest.mark.parametrize("dripping", [False, True], ids=["never answers", "sends a byte now and then"])
@pytest.mark.parametrize(("make", "drips"), [(openbao, HTTP), (kms, HTTP), (key_vault, TLS)])
def test_a_service_that_does_not_end_its_answer_is_abandoned(
    make: Callable[[int], KeyWrapper], drips: bytes, dripping: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SHOP_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "token")
    for module in (aws_kms, azure_key_vault):
        monkeypatch.setattr(module, "_SECONDS", 0.3)
    with silent_server(drips if dripping else None) as port:
        wrapper = make(port)

        def ask(_: int) -> None:
            for _ in range(4):
                with pytest.raises(KeyUnwrapError) as caught:
                    wrapper.wrap(master_key(), BINDING)
                assert "TimeoutError" in str(caught.value)
                assert caught.value.hint

        before = store_threads()
        assert at_once(1, ask, seconds=60) == [None]
        assert store_threads() <= before + 2
