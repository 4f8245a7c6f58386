"""Run by a Python for Windows: reads a ring that .NET stores in the registry with DPAPI, and writes one for .NET.

Question: {"url", "wrapper", "payload", "application", "purpose"}. With a payload: {"plaintext", "types"} of it.
Without a payload, a new key is stored, and the answer is {"payload"} of that key.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from uuid import UUID

from dpmiddleware.at_rest.dpapi import DpapiKeyWrapper
from dpmiddleware.keys.interfaces import StoredDocument
from dpmiddleware.repositories.windows_registry import RegistryKeyRepository
from tests.at_rest.documents import bound, new_document


def main() -> None:
    question = json.load(sys.stdin)
    repository = RegistryKeyRepository.from_url(question["url"])
    wrapper = DpapiKeyWrapper.from_url(question["wrapper"])
    purposes = (question["application"], question["purpose"])
    if question["payload"]:
        payload = b64decode(question["payload"])
        texts = [stored.data.decode() for stored in repository.read().documents]
        opened = [bound(text, [wrapper], *purposes) for text in texts if _id(text) == payload[4:20]]
        print(json.dumps({"plaintext": b64encode(opened[0].decrypt(payload)).decode(), "types": _types(texts)}))
        return
    text = new_document(wrapper)
    key_id = text.partition('id="')[2].partition('"')[0]
    repository.commit(add=[StoredDocument(f"key-{key_id}", text.encode())], expected=repository.version())
    print(json.dumps({"payload": b64encode(bound(text, [wrapper], *purposes).encrypt(b"3 pears")).decode()}))


def _id(text: str) -> bytes:
    return UUID(text.partition('id="')[2].partition('"')[0]).bytes_le


def _types(texts: list[str]) -> list[str]:
    return [text.partition('decryptorType="')[2].partition(",")[0] for text in texts]


if __name__ == "__main__":
    main()
