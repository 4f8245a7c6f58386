"""How a part of a request answers on WSGI: `PartResponse` stands between the application and the server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final

from dpmiddleware.web import parts
from dpmiddleware.web.answer import Headers, Part
from dpmiddleware.web.sessions.cookie import RequestSession
from dpmiddleware.wsgi_exchange import ExcInfo, Write, status_line

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["SESSION_KEY", "PartResponse"]

SESSION_KEY: Final = "dpmiddleware.session"
"""Where the session is in the environment."""


class PartResponse:
    """``start_response`` for the application; changes the response as the part answers."""

    def __init__(self, start_response: StartResponse, part: Part, environ: WSGIEnvironment) -> None:
        self.started = False
        self._environ = environ
        self._part = part
        self._start_response = start_response
        self._held: tuple[str, Headers, ExcInfo | None] | None = None
        self._write: Write | None = None
        self._body: bytes | None = None

    def __call__(self, status: str, headers: Headers, exc_info: ExcInfo | None = None, /) -> Write:
        """Hold status and headers back. Once they are sent, only an error may replace them, as the server decides."""
        if self.started:
            return self._start_response(status, headers, exc_info)
        self._held = (status, headers, exc_info)
        return self._legacy_write

    def run(self, app: WSGIApplication, environ: WSGIEnvironment) -> Iterable[bytes]:
        """Call the application and start its response; its body is returned as it is wherever that is possible."""
        body = app(environ, self)
        try:
            if self._held is not None:
                self._start()
                whole: Iterable[bytes] = body
            else:
                pieces = iter(body)  # a generator calls start_response only when it is asked for its first piece
                first = next(pieces, b"")
                self._start()
                whole = _Body(chain((first,), pieces), body)
        except BaseException:
            _close(body)
            raise
        if self._body is None:
            return whole
        _close(body)
        return [self._body] if self._body else []

    def _start(self) -> None:
        if self.started or self._held is None:
            return
        line, headers, exc_info = self._held
        if type(self._part) is RequestSession:
            self._part.adopt(self._environ.get(SESSION_KEY))
        if self._part.touched:
            answer = parts.finish(self._part, int(line.partition(" ")[0]), headers)
            headers, self._body = answer._replace(added=answer.titled).applied_to(headers), answer.body
            if answer.status is not None:
                line = status_line(answer.status)
        else:
            self._part.close()
        self.started = True
        self._write = self._start_response(line, headers, *(() if exc_info is None else (exc_info,)))

    def _legacy_write(self, data: bytes) -> None:
        self._start()
        assert self._write is not None  # noqa: S101 (for the type checker: _start has set it)
        self._write(data if self._body is None else b"")


class _Body:
    """A body whose first piece has been taken already; closes what the application returned."""

    def __init__(self, pieces: Iterator[bytes], body: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """See PEP 3333."""
        _close(self._body)


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()
