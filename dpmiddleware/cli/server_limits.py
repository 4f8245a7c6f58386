"""Whether servers take the cookies that an application may write: its budgets beside the limits of the usual servers.

`dpm` does not see the servers, and a configuration file need not be that of the server that runs. So two things are
told: which default limits are below the budget of the application, and which limits the environment sets
(``GUNICORN_CMD_ARGS``, ``UVICORN_H11_MAX_INCOMPLETE_EVENT_SIZE``), from which the server takes them as well.

Limits: gunicorn 27, h11 0.16 (Uvicorn, Hypercorn), nginx 1.22, Apache 2.4; docs/deployment.md has the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from dpmiddleware.cli.finding import Finding

__all__ = ["LIMITS", "REST_OF_REQUEST", "Limit", "findings_of_limits"]

REST_OF_REQUEST: Final = 2048
"""Bytes of the request line and of the other headers, as browsers send them."""
_OF_FIELD: Final = len("Cookie: \r\n")
_NUMBER: Final = re.compile(r"[0-9]{1,12}")
_HINT: Final = "raise the limits of the servers on the way, as docs/deployment.md says, or lower max_total"


@dataclass(frozen=True, slots=True)
class Limit:
    """Of one server. bytes: its default. beside: bytes that count beside the cookies. setting: what changes it.

    variable: of the environment, from which the server takes it. is_option: whether it is among options there.
    """

    server: str
    bytes: int
    beside: int
    setting: str
    variable: str = ""
    is_option: bool = False

    def takes(self, cookies: int, limit: int) -> bool:
        """Whether a request with so many bytes of cookies is below a limit."""
        return cookies + self.beside <= limit


LIMITS: Final = (
    Limit(
        "gunicorn",
        8190,
        _OF_FIELD,
        "--limit-request-field_size",
        "GUNICORN_CMD_ARGS",
        is_option=True,
    ),
    Limit("nginx", 8192, _OF_FIELD, "large_client_header_buffers"),
    Limit("Apache", 8190, _OF_FIELD, "LimitRequestFieldSize"),
    Limit(
        "Uvicorn with h11",
        16_384,
        REST_OF_REQUEST,
        "--h11-max-incomplete-event-size",
        "UVICORN_H11_MAX_INCOMPLETE_EVENT_SIZE",
    ),
    Limit("Hypercorn", 16_384, REST_OF_REQUEST, "h11_max_incomplete_size"),
)


def findings_of_limits(budgets: Iterable[int], environment: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """What the servers do with the cookies of an application.

    budgets: ``max_total`` of its cookies. environment: by default this process's.
    """
    cookies = max(budgets, default=0)
    env = os.environ if environment is None else environment
    stated = {limit: _stated(limit, env) for limit in LIMITS}
    for limit, size in stated.items():
        if size is not None and not limit.takes(cookies, size):
            text = (
                f"the cookies may take {cookies:,} bytes, but {limit.variable} limits {limit.server} to {size:,}: "
                "a user whose cookies are longer gets an error for every page"
            )
            yield Finding("server_limit", "problem", text, f"set {limit.setting} {_enough(cookies, limit)} there")
    below = [
        f"{limit.server} ({limit.bytes:,})"
        for limit, size in stated.items()
        if size is None and not limit.takes(cookies, limit.bytes)
    ]
    if below:
        text = f"the cookies may take {cookies:,} bytes, more than the default limit of {', '.join(below)}"
        yield Finding("server_limit", "note", text, _HINT)


def _stated(limit: Limit, env: Mapping[str, str]) -> int | None:
    """The limit that a variable of the environment sets; ``None`` if it sets none. 0 is gunicorn's default."""
    text = env.get(limit.variable, "") if limit.variable else ""
    if limit.is_option:
        words = text.replace("=", " ").split()
        after = [value for name, value in pairwise(words) if name == limit.setting]
        text = after[-1] if after else ""
    number = int(text) if _NUMBER.fullmatch(text) else 0
    return number or None


def _enough(cookies: int, limit: Limit) -> int:
    """The next power of two that takes the cookies."""
    return 1 << (cookies + limit.beside - 1).bit_length()
