"""One Chromium for all tests of this folder; shops for it, over http or https, under names that lead to this machine.

``*.test`` leads to 127.0.0.1 in this browser: ``shop.test`` and ``elsewhere.test`` are two sites, and neither has the
privileges that browsers give to 127.0.0.1 and localhost, where Secure cookies pass over http.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dpmiddleware import DataProtection
from example_apps.flask_shop import app as flask_shop
from example_apps.plants.serving import Certificate, serve_asgi, serve_wsgi
from example_apps.starlette_shop import app as starlette_shop
from tests.examples.customer import running
from tests.servers import Server

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
]
SHOPS: dict[str, tuple[Any, Any]] = {
    "flask": (flask_shop.make_app, serve_wsgi),
    "starlette": (starlette_shop.make_app, serve_asgi),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """For ``make pictures``, which names this folder: only then is the option read from here."""
    parser.addoption("--write-pictures", action="store_true", help="take the pictures in docs/pictures again")


@pytest.fixture(scope="module")
def browser(chromium: Server) -> Iterator[Any]:
    """It keeps pages for the back button as browsers of people do; Playwright would switch that off."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium.address, args=ARGUMENTS, ignore_default_args=["--disable-back-forward-cache"]
        )
        yield running
        running.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page in a profile of its own."""
    with browser.new_context(ignore_https_errors=True) as profile:
        profile.set_default_timeout(30_000)
        yield profile.new_page()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Self-made, for all names that end in .test."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "*.test")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("*.test")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    private.write_bytes(key.private_bytes(*plain))
    return Certificate(str(chain), str(private))


@pytest.fixture(scope="module")
def django_shop() -> Iterator[str]:
    """A process of its own, since Django's settings are its process's; with the cookies that it has by default."""
    with running("example_apps.django_shop") as url:
        yield url.replace("127.0.0.1", "shop.test")


class Town:
    """Opens shops and other sites; they close with the test."""

    def __init__(self, stack: ExitStack, certificate: Certificate, request: pytest.FixtureRequest) -> None:
        self._stack, self._certificate, self._request = stack, certificate, request
        self.data_protection = DataProtection("shop", repository="memory:")

    def shop(self, framework: str = "flask", *, https: bool = False, **cookies: Any) -> str:
        """The address of a shop at shop.test; ``cookies``: see the shops' make_app."""
        if framework == "django":
            assert (https, cookies) == (False, {}), "as its command starts it"
            return str(self._request.getfixturevalue("django_shop"))
        make_app, serve = SHOPS[framework]
        return self._open(serve, make_app(self.data_protection, **cookies), "shop.test", https=https)

    def site(self, app: Any, host: str, *, https: bool = False) -> str:
        """The address of any WSGI application under a name."""
        return self._open(serve_wsgi, app, host, https=https)

    def _open(self, serve: Any, app: Any, host: str, *, https: bool) -> str:
        url = self._stack.enter_context(serve(app, 0, self._certificate if https else None))
        return f"{'https' if https else 'http'}://{host}:{urlsplit(url).port}/"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What a test opens closes with it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def town(stack: ExitStack, certificate: Certificate, request: pytest.FixtureRequest) -> Town:
    """Where shops are opened; all on one ring."""
    return Town(stack, certificate, request)
