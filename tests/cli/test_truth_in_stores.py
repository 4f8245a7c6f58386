"""A mistyped place in every kind of store: the verb says so, and nothing is in the store afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
import sqlalchemy

from dpmiddleware.cli import main
from dpmiddleware.components import repository_from
from dpmiddleware.printable import without_password
from tests.cli.places import make_signer
from tests.cli.test_truth import ring_verbs
from tests.fakes import take_away
from tests.repositories.test_sql import database
from tests.servers import Server

CHANGE_OR_READ = {
    "list": (),
    "export": (),
    "rotate": ("--if-due",),
    "revoke-all": ("--yes",),
    "revoke": ("11111111-2222-3333-4444-555555555555", "--unknown", "--yes"),
    "prune": ("--older-than", "1d", "--yes"),
}


READ = {
    "keys list": (),
    "keys show": ("11111111",),
    "keys timeline": (),
    "keys export": (),
    "keys verify": ("--trusted-signer", "{home}/signer.pub"),
    "keys policy show": (),
    "inspect": ("CfDJ8AAAAAAAAAAAAAAAAAAAAAAA",),
    "check": (),
}
"""The verbs that only read."""


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
    for verb, words in CHANGE_OR_READ.items():
        assert main(["keys", verb, *words, *wrong]) == 1, verb
        printed = capsys.readouterr()
        assert without_password(wrong[-1]) in printed.err, verb
        assert printed.out == "", verb
    assert repository_from(right[-1]).read() == before
    take_away(repository_from(right[-1]))


def test_no_verb_that_reads_creates_anything(store: str, tmp_path: Path) -> None:
    """Not even an empty table, file or list: a place that is looked at stays as it was."""
    url = store.format(name="kyes")
    make_signer(tmp_path)
    before = what_is_there(url)
    for verb, words in READ.items():
        said = [word.format(home=tmp_path) for word in words]
        assert main([*verb.split(), *said, "--application", "shop", "--repository", url]) == 1, verb
    assert what_is_there(url) == before


def what_is_there(url: str) -> set[str]:
    """The names of what a server or a database has: keys or tables; of SQLite, the files as well."""
    if url.startswith("redis"):
        return {key.decode() for key in redis.Redis.from_url(url.partition("?")[0]).scan_iter() if b"kyes" in key}
    path = url.removeprefix("sqlite:///")
    if path != url and not Path(path).exists():
        return set()
    engine = sqlalchemy.create_engine(url.partition("?")[0])
    try:
        return {path, *sqlalchemy.inspect(engine).get_table_names()}
    finally:
        engine.dispose()


def test_every_verb_that_reads_a_ring_is_tried() -> None:
    assert set(READ) == {verb for verb, changes in ring_verbs().items() if not changes} - {"keys copy"}


def test_a_mistyped_database_is_not_created(tmp_path: Path) -> None:
    for verb, words in CHANGE_OR_READ.items():
        assert main(["keys", verb, *words, "--application", "shop", "--repository", f"sqlite:///{tmp_path}/x.db"]) == 1
    assert list(tmp_path.iterdir()) == []
