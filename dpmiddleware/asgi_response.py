"""How a part of a request waits and answers on ASGI: `PartResponse` stands between the application and the server.

Nothing waits on the event loop: coroutine functions are awaited, plain functions run in a worker thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import Final, TypeVar

from starlette.concurrency import run_in_threadpool

from dpmiddleware.asgi_exchange import Message, Scope, Send, decoded, encoded
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.keys.provider import KeyRingProvider
from dpmiddleware.web.answer import LOOKED_AT, VARIES, Part
from dpmiddleware.web.sessions.cookie import RequestSession
from dpmiddleware.web.steps import Steps

__all__ = ["STARTS", "PartResponse", "drive", "ungrouped"]

_T = TypeVar("_T")

STARTS: Final = {"http.response.start", "websocket.accept", "websocket.http.response.start"}
"""Messages that carry the headers of a response."""
_LOOKED_AT: Final = {name.encode("latin-1") for name in LOOKED_AT}
_VARY: Final = (b"vary", b"Cookie")


class PartResponse:
    """The response of the application, changed as the part answers."""

    __slots__ = ("_body", "_part", "_ring", "_scope", "_send", "started")

    def __init__(self, ring: KeyRingProvider, send: Send, part: Part, scope: Scope) -> None:
        self._scope = scope
        self.started = False
        self._body: bytes | None = None
        self._part = part
        self._ring = ring
        self._send = send

    def send(self, message: Message) -> Awaitable[None]:
        """``send`` for the application: see ASGI. It makes a coroutine only where something has to be waited for."""
        if self.started or message["type"] not in STARTS:
            if not self.started and message["type"] == "websocket.close":
                self._refused()
            return self._send(message if self._body is None else self._replaced(message, self._body))
        part = self._part
        if type(part) is RequestSession:
            session, found = part.session, self._scope.get("session")
            if found is not session:
                part.adopt(found)
            is_touched = session.touched  # `touched` of the part, without its frame
        else:
            is_touched = part.touched
        if is_touched:
            steps = part.work(message.get("status", 101))
            if steps is not None or self._ring.wait_is_due(None):  # no ring to seal with, or its version is in doubt
                return self._start_later(message, steps)
            message = self._changed(message)
        else:
            part.close()
        self.started = True
        return self._send(message)

    def _refused(self) -> None:
        """A websocket is closed before it was accepted. If that is for an outage, the middleware closes it."""
        if self._part.touched and self._part.failure is not None:
            raise self._part.failure
        self.started = True

    async def _start_later(self, message: Message, steps: Steps[object] | None) -> None:
        try:
            if steps is not None:
                if self._ring.wait_is_due(None):
                    await run_in_threadpool(self._ring.wait, None)
                await drive(steps)
        except KeyManagementError as error:
            self._part.failure = error
            raise
        if self._ring.wait_is_due(None):
            message = await run_in_threadpool(self._changed, message)
        else:
            message = self._changed(message)
        self.started = True
        await self._send(message)

    def _changed(self, message: Message) -> Message:
        """The start of the response as the part answers."""
        headers = message.get("headers", ())
        looked_at = [header for header in headers if header[0].lower() in _LOOKED_AT]
        try:
            answer = self._part.answer(message.get("status", 101), decoded(looked_at) if looked_at else [])
        except KeyManagementError as error:
            self._part.failure = error
            raise
        if answer is VARIES:
            return {**message, "headers": [*headers, _VARY]}
        if answer.dropped or answer.body is not None:
            headers = [header for header in headers if not answer.drops(header[0].decode("latin-1").lower())]
        self._body = answer.body
        changed = {**message, "headers": [*headers, *encoded(answer.added)]}
        if answer.status is not None and "status" in message:
            changed["status"] = answer.status
        return changed

    def _replaced(self, message: Message, body: bytes) -> Message:
        """A message of the application's body, with what is left of the answer's in place of its data."""
        self._body = b""
        kind = "http.response.body" if message["type"].startswith("http") else message["type"]
        return {"type": kind, "body": body, "more_body": message.get("more_body", False)}


def ungrouped(error: Exception) -> Exception:
    """The error that a group consists of; the group itself if there are several.

    An application that serves a connection in a task group, as Quart does from 0.23, raises its errors in a group.
    """
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


async def drive(steps: Steps[_T]) -> _T:
    """Make all calls of ``steps``: await coroutine functions, run plain functions in a worker thread."""
    try:
        call = next(steps)
        while True:
            try:
                if inspect.iscoroutinefunction(call.function):
                    answer = await call.function(*call.arguments)
                else:
                    answer = await run_in_threadpool(call.function, *call.arguments)
                    answer = await answer if inspect.isawaitable(answer) else answer
            except Exception as error:  # noqa: BLE001 (the steps decide; what they do not catch is raised from here)
                call = steps.throw(error)
            else:
                call = steps.send(answer)
    except StopIteration as stop:
        result: _T = stop.value
        return result
