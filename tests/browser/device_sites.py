"""Sites with device-bound sign-ins for Chromium, and Chromium with keys in software.

Two features of Chromium are needed: the protocol, and keys in software where there is no TPM. Each alone does nothing.
The pin of the certificate is needed because ``ignore_https_errors`` does not reach the browser's own requests.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from dpmiddleware.data_protection import DataProtection
from dpmiddleware.web.device_bound.options import DeviceBound
from example_apps.plants.serving import Certificate, serve_asgi, serve_wsgi
from tests.browser.conftest import ARGUMENTS
from tests.frameworks.device_sites import REFRESH, SHELLS, TICKET, Pages

__all__ = ["Seen", "Site", "Tab", "arguments", "features", "short", "until"]

PROTOCOL, KEYS = "DeviceBoundSessions", "EnableBoundSessionCredentialsSoftwareKeysForManualTesting"
_hosts = itertools.count(1)


def features(*, quota: bool = False) -> list[str]:
    """Without ``quota`` there is no limit of six signatures in nine minutes."""
    return [PROTOCOL if quota else f"{PROTOCOL}:RefreshQuota/false", KEYS]


def arguments(certificate: Certificate, *enabled: str) -> list[str]:
    """What Chromium is started with."""
    public = x509.load_pem_x509_certificate(Path(certificate.chain).read_bytes()).public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(der).digest()).decode()
    return [
        *ARGUMENTS,
        f"--ignore-certificate-errors-spki-list={pin}",
        *([f"--enable-features={','.join(enabled)}"] if enabled else []),
    ]


def until(true: Callable[[], Any], tab: Tab | None = None, seconds: float = 10) -> Any:
    """Wait for something, and let the browser's events in meanwhile."""
    end = time.monotonic() + seconds
    while not (value := true()) and time.monotonic() < end:
        if tab is None:
            time.sleep(0.02)
        else:
            tab.page.wait_for_timeout(20)
    return value


def short(level: Any, seconds: float) -> DeviceBound:
    """A bound cookie that ends within a test, which no application may have: it is refreshed with every request."""
    options = DeviceBound(level, grace=timedelta(0))
    object.__setattr__(options, "short_lived", timedelta(seconds=seconds))
    return options


class Seen(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]


class Site:
    """A site under a host of its own, served over https. Its application can be replaced while it runs.

    log: the requests. broken: paths that a status or a WSGI application answers. pages: what the application saw.
    """

    def __init__(
        self,
        stack: ExitStack,
        certificate: Certificate,
        shell: str = "wsgi",
        *,
        device_bound: Any = "require",
        host: str = "",
        port: int = 0,
        dp: DataProtection | None = None,
        **options: Any,
    ) -> None:
        self.shell, self.options = shell, options
        self.host = host or f"shop{next(_hosts)}.test"
        self.dp = dp or DataProtection("shop", repository="memory:", key_wrapper="plain:")
        self.pages, self.log = Pages(), list[Seen]()
        self.broken: dict[str, Any] = {}
        self.level(device_bound)
        is_asgi = shell in {"asgi", "starlette", "quart"}
        serve, app = (serve_asgi, self._asgi()) if is_asgi else (serve_wsgi, self._wsgi)
        url = stack.enter_context(serve(app, port, certificate))
        self.port = urlsplit(url).port
        self.ticket = self.options.get("cookie", TICKET)
        self.bound, self.refresh = f"{self.ticket}.Bound", REFRESH

    def level(self, device_bound: Any) -> None:
        """Another release of the application."""
        self.app = SHELLS[self.shell](self.dp, self.pages, {"device_bound": device_bound, **self.options})

    def url(self, path: str = "/") -> str:
        return f"https://{self.host}:{self.port}{path}"

    def count(self, path: str, since: int = 0) -> int:
        return len(self.seen(path, since))

    def seen(self, path: str, since: int = 0) -> list[Seen]:
        return [each for each in self.log[since:] if each.path == path]

    def _wsgi(self, environ: Any, start_response: Any) -> Any:
        headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name[:5] == "HTTP_"}
        path = environ["PATH_INFO"]
        self.log.append(Seen(environ["REQUEST_METHOD"], path, headers))
        broken = self.broken.get(path)
        if isinstance(broken, int):
            start_response(f"{broken} Broken", [("Content-Length", "0")])
            return []
        return (broken or self.app)(environ, start_response)

    def _asgi(self) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "lifespan":
                headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
                self.log.append(Seen(scope.get("method", ""), scope["path"], headers))
                broken = self.broken.get(scope["path"])
                if isinstance(broken, int):
                    await send({"type": "http.response.start", "status": broken, "headers": []})
                    await send({"type": "http.response.body"})
                    return
            await self.app(scope, receive, send)

        return app


class Tab:
    """A tab of Chromium, and what happens to the device-bound sessions of its browser.

    events: kind (creation, refresh, challenge, termination), whether it succeeded, the session, the site, and details.
    """

    def __init__(self, context: Any) -> None:
        self.page = context.new_page()
        self.events: list[dict[str, Any]] = []
        self._cdp = context.new_cdp_session(self.page)
        self._cdp.send("Network.enable")
        self._cdp.send("Network.enableDeviceBoundSessions", {"enable": True})
        self._cdp.on("Network.deviceBoundSessionEventOccurred", self._add)

    def _add(self, event: dict[str, Any]) -> None:
        member = next(name for name in event if name.endswith("EventDetails"))
        kind = member.removesuffix("EventDetails")
        told = {"kind": kind, "succeeded": event["succeeded"], "id": event.get("sessionId"), "site": event["site"]}
        self.events.append({**told, **event[member]})

    def event(
        self, kind: str, site: Site, since: int = 0, *, seconds: float = 10, of: str = ""
    ) -> dict[str, Any] | None:
        """The first event of a kind at this site, after ``since`` events. of: the identifier of the session."""

        def found() -> dict[str, Any] | None:
            domain = ".".join(site.host.split(".")[-2:])  # Chromium names a session by it
            wanted = (kind, f"https://{domain}")
            own = (each for each in self.events[since:] if not of or each["id"] == of)
            return next((each for each in own if (each["kind"], each["site"]) == wanted), None)

        result: dict[str, Any] | None = until(found, self, seconds)
        return result

    def goto(self, url: str) -> str:
        """As if the URL had been typed; where it ended."""
        self.page.goto(url)
        return str(self.page.url)

    def follow(self, url: str, arrives: Callable[[str], bool]) -> str:
        """A link on the page that is shown, until the browser is where it should arrive."""
        self.page.evaluate(
            "url => { const a = document.createElement('a'); a.href = url; document.body.append(a); a.click() }", url
        )
        self.page.wait_for_url(arrives)
        self.page.wait_for_load_state()
        return str(self.page.url)

    def js(self, expression: str) -> Any:
        return self.page.evaluate(expression)

    def who(self) -> Any:
        return self.js("fetch('/who').then(r => r.json())")

    def jar(self, site: Site) -> dict[str, dict[str, Any]]:
        """All that a thief of cookies gets."""
        cookies = self._cdp.send("Network.getCookies", {"urls": [site.url()]})["cookies"]
        return {cookie["name"]: cookie for cookie in cookies}

    def put(self, site: Site, cookie: dict[str, Any], **changed: Any) -> None:
        kept = ("name", "value", "path", "secure", "httpOnly", "sameSite", "expires")
        given = {name: value for name, value in {**cookie, **changed}.items() if name in kept and value != -1}
        assert self._cdp.send("Network.setCookie", {"url": site.url(str(given["path"])), **given})["success"]

    def forget(self, site: Site, path: str = "/") -> None:
        """Take the bound cookie away, as if it had ended."""
        self._cdp.send("Network.deleteCookies", {"name": site.bound, "url": site.url(path)})

    def lose_key(self, site: Site, identifier: str) -> None:
        """Take the browser's session away; the cookies stay."""
        self._cdp.send("Network.deleteDeviceBoundSession", {"key": {"site": f"https://{site.host}", "id": identifier}})

    def sign_in(self, site: Site, user: str = "ada", *, bound: bool = True, more: str = "") -> str:
        """Sign in, and wait until the session is registered and confirmed. Its identifier."""
        since = len(self.events)
        self.goto(site.url(f"/login?user={user}{more}"))
        if not bound:
            return ""
        event = self.event("creation", site, since)
        assert event is not None, "nothing was registered"
        assert event["succeeded"], event
        assert until(lambda: site.bound in self.jar(site), self)
        self.who()
        refreshed = self.event("refresh", site, since, of=event["id"])
        assert refreshed is not None, "the first refresh comes at once"
        assert refreshed["succeeded"], refreshed
        return str(event["id"])


@contextmanager
def chromium(executable: str, certificate: Certificate, *enabled: str) -> Generator[Any]:
    """A browser of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=arguments(certificate, *enabled))
        try:
            yield running
        finally:
            running.close()
