"""What the tests of blobs and of S3 share: another program that edits the text, and forms of the text."""

from __future__ import annotations

from abc import abstractmethod

from dpmiddleware.testing.contracts.store import Store

START, END = b'<?xml version="1.0" encoding="utf-8"?><repository>', b"</repository>"


class OneText(Store):
    """An object that holds a ``<repository>``, and a text editor."""

    keeps_names = False
    one_text = True

    @abstractmethod
    def load(self) -> bytes | None:
        """What the object holds; ``None`` if there is no object."""

    @abstractmethod
    def save(self, data: bytes) -> None:
        """Write the object unconditionally."""

    def append(self, name: str, data: bytes) -> None:
        text = self.load() or START + END
        self.save(text[: -len(END)] + data + END)

    def delete(self, data: bytes) -> None:
        self.replace(data, b"")

    def replace(self, old: bytes, new: bytes) -> None:
        text = self.load() or b""
        assert text.count(old) == 1
        self.save(text.replace(old, new))
