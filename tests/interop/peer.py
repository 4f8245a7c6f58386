"""Drives the real ASP.NET Core: a program that takes one JSON question a line and gives one JSON answer a line.

Its source and how to build it: ``aspnet_peer/README.md``. Found through the environment variable ``DPM_ASPNET_PEER``
(the path of the program), else as ``run`` in a sibling folder ``shared/aspnet-peer`` of the checkout.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

__all__ = ["ABSENT", "Peer", "PeerError", "PeerRing", "find_peer"]

CHECKOUT = Path(__file__).resolve().parents[2]
ABSENT = (
    "the ASP.NET Core peer is not present: build it (tests/interop/aspnet_peer/README.md) and set DPM_ASPNET_PEER, "
    "or put it in a sibling folder shared/aspnet-peer"
)
_ANSWER_WITHIN = 60.0  # seconds; a peer that hangs must not hang the tests


def find_peer() -> str | None:
    """The program, or ``None`` where there is none; ``FileNotFoundError`` where the variable names nothing."""
    named = os.environ.get("DPM_ASPNET_PEER")
    if named:
        if not os.access(named, os.X_OK):
            raise FileNotFoundError(f"DPM_ASPNET_PEER names no program: {named}")
        return named
    sibling = CHECKOUT.parent / "shared" / "aspnet-peer" / "run"
    return str(sibling) if os.access(sibling, os.X_OK) else None


class PeerError(Exception):
    """.NET threw. ``type``: the exception's full name; ``cause``: the message inside it, or ``None``."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer["error"])
        self.type: str | None = answer.get("type")
        self.cause: str | None = answer.get("cause")


class Peer:
    """One running program. Rings opened in it live as long as it does; use as a context manager."""

    def __init__(self, program: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [program, "rpc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, **environment},
        )
        self._names = (f"ring{n}" for n in itertools.count(1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the program; it leaves when its input ends."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):  # it has ended already
                self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """The answer to one question; `PeerError` where .NET throws."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        watchdog = threading.Timer(_ANSWER_WITHIN, self._process.kill)
        watchdog.start()
        try:
            stdin.write(json.dumps({"op": op, **fields}) + "\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        if not line:
            raise RuntimeError(f"the ASP.NET Core peer ended at {op}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(answer)
        return answer

    def open(self, store: dict[str, Any], **spec: Any) -> PeerRing:
        """A ring as an application would set it up; ``spec``: see ``Rings.cs``."""
        name = next(self._names)
        self.ask("open", ring=name, spec={"store": store, **spec})
        return PeerRing(self, name)

    def folder(self, path: Path, application: str | None = None, **spec: Any) -> PeerRing:
        """A ring in a folder."""
        return self.open({"kind": "fs", "path": str(path)}, **_with_application(application), **spec)

    def documents(self, documents: Sequence[str], application: str | None = None, **spec: Any) -> PeerRing:
        """A ring in memory that starts with ``documents``."""
        return self.open({"kind": "memory", "documents": list(documents)}, **_with_application(application), **spec)


def _with_application(application: str | None) -> dict[str, str]:
    return {} if application is None else {"app": application}


class PeerRing:
    """One ring inside the peer. Purposes are those given to CreateProtector, at least one."""

    def __init__(self, peer: Peer, name: str) -> None:
        self._peer = peer
        self._name = name

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """Any operation on this ring."""
        return self._peer.ask(op, ring=self._name, **fields)

    def protect(self, data: bytes, *purposes: str) -> bytes:
        """Protect(byte[])."""
        return _bytes(self.ask("protect", purposes=purposes, data=_text(data)))

    def unprotect(self, data: bytes, *purposes: str) -> bytes:
        """Unprotect(byte[])."""
        return _bytes(self.ask("unprotect", purposes=purposes, data=_text(data)))

    def protect_text(self, text: str, *purposes: str) -> str:
        """Protect(string): base64url."""
        return str(self.ask("protect.text", purposes=purposes, text=text)["text"])

    def unprotect_text(self, text: str, *purposes: str) -> str:
        """Unprotect(string)."""
        return str(self.ask("unprotect.text", purposes=purposes, text=text)["text"])

    def protect_timed(self, data: bytes, expires: str, *purposes: str) -> bytes:
        """ToTimeLimitedDataProtector().Protect(byte[], DateTimeOffset)."""
        return _bytes(self.ask("protect.timed", purposes=purposes, data=_text(data), expires=expires))

    def unprotect_timed(self, data: bytes, *purposes: str) -> tuple[bytes, str]:
        """ToTimeLimitedDataProtector().Unprotect(byte[], out expires)."""
        answer = self.ask("unprotect.timed", purposes=purposes, data=_text(data))
        return _bytes(answer), str(answer["expires"])

    def list_keys(self) -> list[dict[str, Any]]:
        """IKeyManager.GetAllKeys()."""
        return list(self.ask("key.list")["keys"])

    def usable(self) -> dict[str, bool]:
        """Key id → whether it can make an encryptor."""
        return {key["key"]: key["error"] is None for key in self.ask("key.usable")["keys"]}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(answer: dict[str, Any]) -> bytes:
    return base64.b64decode(answer["data"])
