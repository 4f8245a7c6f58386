"""Outages that an ASGI application does not simply raise: in a group of errors, or kept to itself in a websocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
from starlette.testclient import TestClient

from dpmiddleware.asgi import CookieAuthenticationMiddleware, SessionMiddleware
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import KeyManagementError
from tests.clients import DownRepository, StoppedClock
from tests.frameworks.test_asgi import ask, scope_of

COOKIE: Final = {"session": "CfDJ8" + "A" * 80}


def reading(then: Callable[[KeyManagementError], Awaitable[None]], dp: DataProtection) -> Any:
    """An application that reads its session in a task of a group, as Quart does, and does something with the outage."""

    async def read(scope: Any) -> None:
        try:
            scope["session"].get("a")
        except KeyManagementError as error:
            await then(error)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(read(scope))

    return SessionMiddleware(app, data_protection=dp)


async def grouped_again(error: KeyManagementError) -> None:
    raise ExceptionGroup("inner", [error])


async def raised(error: KeyManagementError) -> None:
    raise error


@pytest.mark.parametrize("then", [raised, grouped_again])
def test_an_outage_in_a_group_of_tasks_is_answered_503(then: Any, clock: StoppedClock) -> None:
    app = reading(then, DataProtection("shop", repository=DownRepository(), clock=clock))
    assert TestClient(app, cookies=COOKIE).get("/").status_code == 503


async def beside_another(error: KeyManagementError) -> None:
    raise ExceptionGroup("two", [error, ValueError("of the application")])


async def in_its_place(_: KeyManagementError) -> None:
    raise ValueError("of the application")


@pytest.mark.parametrize("then", [beside_another, in_its_place])
def test_an_error_of_the_application_in_a_group_of_tasks_stays_an_error(then: Any, clock: StoppedClock) -> None:
    app = reading(then, DataProtection("shop", repository=DownRepository(), clock=clock))
    with pytest.raises(ExceptionGroup) as caught:
        TestClient(app, cookies=COOKIE).get("/")
    assert caught.group_contains(ValueError, match="of the application")


@pytest.mark.parametrize(("reads", "code"), [(False, 1008), (True, 1013)])
def test_a_websocket_that_the_application_turns_away_is_closed_once(
    reads: bool, code: int, clock: StoppedClock
) -> None:
    """In an outage with the code for it, if the application has met the outage."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if reads:
            with contextlib.suppress(KeyManagementError):
                scope["session"].get("a")
        await send({"type": "websocket.close", "code": 1008})

    dp = DataProtection("shop", repository=DownRepository(), clock=clock)
    inner = CookieAuthenticationMiddleware(SessionMiddleware(app, data_protection=dp), data_protection=dp)
    cookie = f"session={COOKIE['session']}".encode()
    sent = asyncio.run(ask(inner, scope_of("/ws", cookie, kind="websocket")))
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", code)]
