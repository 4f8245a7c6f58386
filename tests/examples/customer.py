"""A running shop, and a customer with a cookie jar."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Page(NamedTuple):
    """The answer of a shop after redirects: status, path with query, text."""

    status: int
    path: str
    text: str

    @property
    def main(self) -> str:
        """The text from the heading on, without the styles."""
        return self.text.partition("<main")[2]


class Customer:
    """Keeps cookies as a browser does, follows redirects, and sends forms, with the CSRF token if there is one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.jar = CookieJar()
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.jar))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str) -> Page:
        """Get a page."""
        return self._ask(urllib.request.Request(urllib.parse.urljoin(self.url, path)))

    def post(self, path: str, **form: str) -> Page:
        """Send a form."""
        tokens = [("csrfmiddlewaretoken", cookie.value) for cookie in self.jar if cookie.name == "csrftoken"]
        body = urllib.parse.urlencode([*tokens, *form.items()]).encode()
        return self._ask(urllib.request.Request(urllib.parse.urljoin(self.url, path), body))

    def sign_in(self, name: str = "ada", password: str = "analytical", to: str = "/sign-in", **form: str) -> Page:
        """Sign in with the form."""
        self.get(to)
        return self.post(to, name=name, password=password, **form)

    def who(self) -> str | None:
        """The name in the page header of the shop."""
        found = re.search(r'<a href="/account">(\w+)</a>', self.get("/").text)
        return None if found is None else found[1]

    def names(self, containing: str) -> list[str]:
        """Names of cookies in the jar."""
        return sorted(cookie.name for cookie in self.jar if containing in cookie.name)

    def _ask(self, request: urllib.request.Request) -> Page:
        try:
            response = self._opener.open(request, timeout=30)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            return Page(response.status, response.url.removeprefix(self.url.rstrip("/")), response.read().decode())


@contextmanager
def running(module: str, *arguments: str) -> Generator[str]:
    """Run ``python -m module``. The value of the context is the address that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            printed = ""
            while "open http://" not in printed:
                line = process.stdout.readline()
                assert line, f"{module} ended by itself: {process.stderr and process.stderr.read()[-2000:]}"
                printed = line
            yield printed.split()[1]
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
