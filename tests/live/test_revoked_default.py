"""Issue: revoking the default key where others make the keys was 503 for everybody, up to a day.

Readers on gunicorn and uvicorn, and an operator with `dpm` who is the only one that writes. The right outcome: the
readers' pages keep answering, with another key.
"""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from typing import Any
from uuid import uuid4

import pytest

from dpmiddleware.cli import main
from tests.frameworks import sites
from tests.live.browser import Browser, ask
from tests.live.serving import Site
from tests.servers import Server, wait_for

SHELLS = {"gunicorn": sites.WSGI, "uvicorn": sites.ASGI}
STOLEN = 3
"""Default keys that are revoked, one after the other."""


class Farm:
    """Two readers of one ring, and the operator."""

    def __init__(self, small_sites: dict[str, Site], redis: Server) -> None:
        self.sites, self.ring = small_sites, f"reader-{uuid4()}"
        self._options = ["--application", "shop", "--repository", f"{redis.address}/0?key={self.ring}", "--json"]

    def dpm(self, *words: str, status: int = 0) -> Any:
        """What a command says, as JSON."""
        with redirect_stdout(io.StringIO()) as output:
            assert main([*words, *self._options]) == status, output.getvalue()
        return json.loads(output.getvalue())

    def default_of(self, server: str) -> str:
        """The default key that a reader has."""
        said = ask(self.sites[server].port, f"/state?ring={self.ring}", {"Host": "x"}).json()
        return str(said["default"]) if said["status"] == "ok" else said["status"]

    def wait_until_all_have(self, key: str, users: list[Browser]) -> None:
        """Until every reader protects with this key. Meanwhile, pages are served and strangers can sign in."""

        def all_have() -> bool:
            for user in users:
                answer = user.get("/")
                assert (answer.status, answer.text) in {(200, "ada"), (200, "None")}, answer
                assert Browser(user.port, headers=user.headers).get("/in").text == "ada"
            return all(self.default_of(server) == key for server in self.sites)

        wait_for("the readers to have the key", all_have)

    def strangers(self) -> list[Browser]:
        """One new user of each reader and shell."""
        return [
            Browser(self.sites[server].port, headers={"X-Outer": shell, "X-Ring": self.ring})
            for server, shells in SHELLS.items()
            for shell in shells
        ]


@pytest.fixture
def farm(small_sites: dict[str, Site], redis: Server) -> Farm:
    return Farm(small_sites, redis)


def test_readers_keep_answering_when_the_default_key_is_revoked(farm: Farm) -> None:
    default = farm.dpm("keys", "create")["id"]
    farm.wait_until_all_have(default, [])
    for _ in range(STOLEN):
        users = farm.strangers()
        assert {user.get("/in").text for user in users} == {"ada"}
        said = farm.dpm("keys", "revoke", default, "--reason", "stolen", "--yes")
        assert said["was_default"]
        farm.wait_until_all_have(said["successor"], users)
        assert {user.get("/").text for user in users} == {"None"}  # signed out: an attacker may have signed in so
        assert {user.get("/in").text for user in users} == {"ada"}
        assert {user.get("/").text for user in users} == {"ada"}
        default = said["successor"]
    findings = {each["code"] for each in farm.dpm("check", status=1)["findings"]}
    assert "no_default_key" not in findings


def test_readers_keep_answering_when_all_keys_are_revoked(farm: Farm) -> None:
    default = farm.dpm("keys", "create")["id"]
    farm.wait_until_all_have(default, [])
    users = farm.strangers()
    assert {user.get("/in").text for user in users} == {"ada"}
    created = farm.dpm("keys", "revoke-all", "--yes")["created"]
    farm.wait_until_all_have(created, users)
    assert {user.get("/in").text for user in users} == {"ada"}
