"""A mistyped place in every kind of store: the verb says so, and nothing is in the store afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from dpmiddleware.cli import main
from dpmiddleware.components import repository_from
from dpmiddleware.printable import without_password
from tests.fakes import take_away
from tests.repositories.test_sql import database
from tests.servers import Server

VERBS = {
    "list": (),
    "export": (),
    "rotate": ("--if-due",),
    "revoke-all": ("--yes",),
    "revoke": ("11111111-2222-3333-4444-555555555555", "--unknown", "--yes"),
    "prune": ("--older-than", "1d", "--yes"),
}


@pytest.fixture(params=["redis", "postgresql", "mariadb", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a store without anything in it; ``{name}`` is what is mistyped."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/{{name}}.db"
    elif request.param == "redis":
        server: Server = request.getfixturevalue("redis_server")
        yield f"{server.address}/0?key={uuid4()}-{{name}}"
    else:
        server = request.getfixturevalue("postgres_server" if request.param == "postgresql" else "mariadb_server")
        for url in database(server):
            yield f"{url}?table={{name}}"


def test_a_mistyped_place_is_said_and_stays_empty(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong = (["--application", "shop", "--repository", store.format(name=name)] for name in ("keys", "kyes"))
    assert main(["keys", "create", *right]) == 0
    before = repository_from(right[-1]).read()
    capsys.readouterr()
    for verb, words in VERBS.items():
        assert main(["keys", verb, *words, *wrong]) == 1, verb
        printed = capsys.readouterr()
        assert without_password(wrong[-1]) in printed.err, verb
        assert printed.out == "", verb
    assert repository_from(right[-1]).read() == before
    take_away(repository_from(right[-1]))


def test_a_mistyped_database_is_not_created(tmp_path: Path) -> None:
    for verb, words in VERBS.items():
        assert main(["keys", verb, *words, "--application", "shop", "--repository", f"sqlite:///{tmp_path}/x.db"]) == 1
    assert list(tmp_path.iterdir()) == []
