"""One sign-in for Flask, Starlette and, if present, ASP.NET Core on one host, with a cookie jar."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest

from example_apps.shared_login.farm import open_farm
from tests.examples.customer import Customer, running
from tests.fakes import StoppedClock
from tests.interop.peer import ABSENT, find_peer

TICKET = ".AspNetCore.Cookies"
MEMBERS = ["flask", "starlette", "aspnet"]


class Visitor(Customer):
    """A visitor of the host that all members share."""

    def __init__(self, url: str, clock: StoppedClock, *, aspnet: bool) -> None:
        super().__init__(url)
        self.clock = clock
        self.members = MEMBERS if aspnet else MEMBERS[:2]

    def enter(self, member: str, *, much: bool = False) -> None:
        """Sign in at a member; ``much``: with more claims than one cookie holds."""
        if member == "aspnet":
            assert self.get(f"/login?name={'grace&pad=9000' if much else 'ada'}").status == 200
            return
        name, password = ("grace", "compiler") if much else ("ada", "analytical")
        assert self.post(f"/{member}/sign-in", name=name, password=password).path == f"/{member}/"

    def leave(self, member: str) -> None:
        """Sign out at a member."""
        page = self.get("/logout") if member == "aspnet" else self.post(f"/{member}/sign-out")
        assert page.status == 200

    def name_at(self, member: str) -> str | None:
        """The name that the visitor is signed in with at a member."""
        if member != "aspnet":
            name: str | None = json.loads(self.get(f"/{member}/who").text)["name"]
            return name
        return self.get("/secret").text.removeprefix("hello ") if self.get("/me").status == 200 else None

    def names(self, containing: str = TICKET) -> list[str]:
        return super().names(containing)

    @property
    def known_as(self) -> set[str | None]:
        """The names at all members."""
        return {self.name_at(member) for member in self.members}

    def later(self, **span: float) -> None:
        """Time passes."""
        self.set_clock(self.clock.moment + timedelta(**span))

    def set_clock(self, moment: datetime) -> None:
        self.clock.moment = moment
        if "aspnet" in self.members:
            assert self.get(f"/clock?now={quote(moment.isoformat())}").status == 200


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, StoppedClock]]:
    clock = StoppedClock(datetime.now(timezone.utc))
    with open_farm(tmp_path_factory.mktemp("keys"), aspnet=find_peer(), clock=clock) as url:
        yield url, clock


@pytest.fixture
def visitor(farm: tuple[str, StoppedClock]) -> Visitor:
    url, clock = farm
    visitor = Visitor(url, clock, aspnet=find_peer() is not None)
    visitor.set_clock(datetime.now(timezone.utc).replace(microsecond=0))
    return visitor


def of_members(argument: str) -> pytest.MarkDecorator:
    absent = pytest.mark.skipif(find_peer() is None, reason=ABSENT)
    return pytest.mark.parametrize(argument, [*MEMBERS[:2], pytest.param("aspnet", marks=absent)])


def test_at_first_nobody_is_known_anywhere(visitor: Visitor) -> None:
    assert visitor.known_as == {None}


@of_members("member")
def test_signed_in_at_any_member_one_is_known_at_all(visitor: Visitor, member: str) -> None:
    visitor.enter(member)
    assert visitor.names() == [TICKET]
    assert visitor.known_as == {"ada"}


@of_members("member")
def test_a_ticket_in_chunks_is_known_at_all(visitor: Visitor, member: str) -> None:
    visitor.enter(member, much=True)
    assert len(visitor.names()) >= 4, "a count and three chunks"
    assert visitor.known_as == {"grace"}


@of_members("signs_in")
@of_members("renews")
@pytest.mark.parametrize("much", [False, True], ids=["one cookie", "chunks"])
def test_any_member_renews_what_any_wrote(visitor: Visitor, signs_in: str, renews: str, much: bool) -> None:
    """A sign-in ends after fourteen days. A visit to one member after eight days extends it for all members."""
    visitor.enter(signs_in, much=much)
    visitor.later(days=8)
    assert visitor.name_at(renews)
    visitor.later(days=8)
    assert visitor.known_as == {"grace" if much else "ada"}
    visitor.later(days=15)
    assert visitor.known_as == {None}


@of_members("signs_in")
@of_members("signs_out")
def test_signed_out_at_any_member_one_is_known_at_none(visitor: Visitor, signs_in: str, signs_out: str) -> None:
    visitor.enter(signs_in, much=True)
    visitor.leave(signs_out)
    assert visitor.names() == []
    assert visitor.known_as == {None}


def test_a_shorter_ticket_of_another_member_leaves_no_chunk_behind(visitor: Visitor) -> None:
    visitor.enter("flask", much=True)
    visitor.enter("starlette")
    assert visitor.names() == [TICKET]
    assert visitor.known_as == {"ada"}


@pytest.mark.parametrize("member", ["flask", "starlette"])
def test_a_private_page_asks_a_stranger_to_sign_in_at_its_own_member(visitor: Visitor, member: str) -> None:
    assert visitor.get(f"/{member}/private").path == f"/{member}/sign-in?ReturnUrl=%2F{member}%2Fprivate"
    visitor.enter("starlette" if member == "flask" else "flask")
    page = visitor.get(f"/{member}/private")
    assert page.path == f"/{member}/private"
    assert "Only you can see this, ada." in page.text


@pytest.mark.parametrize("member", ["flask", "starlette"])
def test_a_wrong_password_signs_nobody_in(visitor: Visitor, member: str) -> None:
    page = visitor.post(f"/{member}/sign-in", name="ada", password="guessed")
    assert page.status == 403
    assert "name or the password is wrong" in page.text
    assert visitor.known_as == {None}


def test_the_command_runs_the_farm() -> None:
    with running("example_apps.shared_login") as url:
        visitor = Visitor(url, StoppedClock(datetime.now(timezone.utc)), aspnet=False)
        assert visitor.get("/").path == "/flask/"
        visitor.enter("starlette")
        assert visitor.name_at("flask") == "ada"
