"""An application that fails: ``/NAME`` raises the error of that name of `tests.every_error`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.every_error import error_of
from tests.live.apps.common import respond


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    name = environ["PATH_INFO"].strip("/")
    if name != "alive":
        raise error_of(name)
    return respond(start_response, "ok")
