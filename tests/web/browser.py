"""A visitor without a network: a cookie jar in front of cookie authentication, and the application as a function."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dpmiddleware.web import parts
from dpmiddleware.web.answer import Headers, Part
from dpmiddleware.web.cookies.text import SetCookie
from dpmiddleware.web.sign_in.authentication import CookieAuthenticator, RequestAuthentication
from dpmiddleware.web.sign_in.finishing import BoundSession
from dpmiddleware.web.sign_in.return_urls import WebRequest

__all__ = ["Answer", "Visitor", "finished"]

App = Callable[[RequestAuthentication], int | None]
"""Does something with the user of a request and says the status, 200 where it says none."""


@dataclass
class Answer:
    """The response."""

    status: int
    headers: list[tuple[str, str]]
    replaces_body: bool

    def all(self, name: str) -> list[str]:
        return [value for other, value in self.headers if other.lower() == name]

    def __getitem__(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2, f"{name} given twice"
        return values[0] if values else None

    @property
    def cookies(self) -> list[str]:
        return self.all("set-cookie")


def finished(part: Part, headers: Headers, status: int = 200) -> Answer:
    """The response with these headers as ``part`` changes it."""
    if not part.touched:
        part.close()
        return Answer(status, headers, replaces_body=False)
    answer = parts.finish(part, status, headers)
    return Answer(answer.status or status, answer.applied_to(headers), answer.body is not None)


@dataclass
class Visitor:
    """Somebody with a browser. ``jar``: name → value."""

    authenticator: CookieAuthenticator
    jar: dict[str, str] = field(default_factory=dict)
    session: BoundSession | None = None

    def visit(
        self,
        app: App = lambda auth: None,
        url: str = "/",
        *,
        requested_with: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, with the cookies of the jar; those of the answer go into it."""
        path, _, query = url.partition("?")
        sent = defaultdict(str, {"x-requested-with": requested_with})
        auth = self.authenticator.begin(
            WebRequest(self.header, path=path, query=query, header=sent.__getitem__, native="the request")
        )
        if self.session is not None:
            auth.attach(self.session)
        status = app(auth) or 200
        answer = finished(auth, list((headers or {}).items()), status)
        self.take(answer)
        return answer

    @property
    def header(self) -> bytes:
        return "; ".join(f"{name}={value}" for name, value in self.jar.items()).encode()

    def take(self, answer: Answer) -> None:
        for line in answer.cookies:
            cookie = SetCookie.parse(line)
            if cookie.value:
                self.jar[cookie.name] = cookie.value
            else:
                self.jar.pop(cookie.name, None)
