"""Cookies from before the switch to sealed ones: accepted until a date, through a farm that changes one by one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from dpmiddleware import telemetry
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.web.cookies.application_cookies import CookieProtection
from tests.clients import Jar, StoppedClock, set_cookies
from tests.web.browser import finished

DAYS = timedelta(days=1)
OLD = {"cookies": None}
"""A server without the middleware."""


class Farm:
    """Servers of a shop that counts the visits of a browser in its cookie ``n``, and signs out who has none."""

    def __init__(self, dp: DataProtection, clock: StoppedClock) -> None:
        self.dp, self.clock, self.jar = dp, clock, Jar(clock)
        self.until = clock.now() + 30 * DAYS

    def visit(self, server: dict[str, Any], name: str = "n") -> int:
        """One page of a server: its middleware's options, or `OLD`. Returns the count that the shop has seen."""
        sent = self.jar.header
        part = None if server is OLD else CookieProtection(self.dp, [name], **server).begin(sent.encode(), https=True)
        header = sent if part is None else part.header.decode()
        values = [value for key, _, value in (each.strip().partition("=") for each in header.split(";")) if key == name]
        count = int(values[0]) if values and values[0].isdigit() else 0
        headers = [("set-cookie", f"{name}={count + 1}; Path=/")]
        self.jar.take(headers if part is None else finished(part, headers).headers)
        return count

    def accepting(self, **options: Any) -> dict[str, Any]:
        return {"accept_unprotected_until": self.until, **options}

    @property
    def is_sealed(self) -> bool:
        return self.jar.header.startswith("n=CfDJ8")


@pytest.fixture
def farm(dp: DataProtection, clock: StoppedClock) -> Farm:
    return Farm(dp, clock)


def test_a_cookie_from_before_is_accepted_and_sealed_when_it_is_set_again(farm: Farm) -> None:
    farm.visit(OLD)
    assert farm.visit(farm.accepting()) == 1
    assert farm.is_sealed
    assert farm.visit(farm.accepting()) == 2
    assert farm.visit({}) == 3  # the option has been removed


def test_without_the_option_a_cookie_from_before_is_removed(farm: Farm) -> None:
    farm.visit(OLD)
    assert farm.visit({}) == 0


def test_after_the_date_a_cookie_from_before_is_removed(farm: Farm, clock: StoppedClock) -> None:
    farm.visit(OLD)
    server = farm.accepting()
    clock.advance(days=30)
    assert farm.visit(server) == 0
    assert farm.is_sealed


@pytest.mark.parametrize(
    ("one", "other", "is_kept"),
    [
        pytest.param("old", "accepts", False, id="old-servers-do-not-know-sealed-ones"),
        pytest.param("old", "writes", True, id="old-servers-and-the-first-step"),
        pytest.param("writes", "accepts", True, id="the-first-step-and-the-second"),
        pytest.param("accepts", "seals", True, id="the-second-step-and-the-last"),
    ],
)
def test_a_browser_that_goes_between_servers_keeps_its_count(farm: Farm, one: str, other: str, is_kept: bool) -> None:
    servers = {
        "old": OLD,
        "writes": farm.accepting(writes_unprotected=True),
        "accepts": farm.accepting(),
        "seals": {},
    }
    start = "old" if one == "old" else "accepts"
    farm.visit(servers[start])
    seen = [farm.visit(servers[each]) for each in (other, one, other, one)]
    if one == "accepts":  # what the last step seals, the second one opens
        assert seen == [1, 2, 3, 4]
    else:
        assert (seen == [1, 2, 3, 4]) is is_kept


def test_when_the_date_has_come_the_first_step_seals_too(farm: Farm, clock: StoppedClock) -> None:
    server = farm.accepting(writes_unprotected=True)
    farm.visit(server)
    assert not farm.is_sealed
    clock.advance(days=30)
    assert farm.visit(server) == 0
    assert farm.is_sealed


def seen_by_the_application(dp: DataProtection, header: str, until: datetime, *names: str) -> str:
    protection = CookieProtection(dp, names or ["n"], accept_unprotected_until=until)
    return protection.begin(header.encode("latin-1"), https=True).header.decode("latin-1")


def test_an_unprotected_value_never_stands_beside_a_sealed_one(farm: Farm, dp: DataProtection) -> None:
    farm.visit(farm.accepting())
    sealed = farm.jar.header
    for header in (f"n=99; {sealed}", f"{sealed}; n=99"):
        assert seen_by_the_application(dp, header, farm.until) == "n=1"


@pytest.mark.parametrize("value", ["n=CfDJ8{}", "n=chunks-2; nC1=CfDJ8{}; nC2=x"], ids=["a-payload", "chunks"])
def test_a_sealed_value_that_does_not_open_is_not_passed_on(farm: Farm, dp: DataProtection, value: str) -> None:
    header = value.format("A" * 100) + "; n=99"
    assert seen_by_the_application(dp, header, farm.until) == ""


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("a=1; n=5; b=2", "a=1; n=5; b=2", id="beside-others"),
        pytest.param("n=5; n=6", "n=5; n=6", id="twice"),
        pytest.param('n="a b, c"', 'n="a b, c"', id="quoted"),
        pytest.param("n=\xe9 {json}", "n=\xe9 {json}", id="characters-that-cannot-be-sealed"),
        pytest.param("n=", "n=", id="empty"),
        pytest.param("x@n=7", "x@n=7", id="a-name-that-only-lenient-parsers-see"),
        pytest.param("n=CfDJ8 cut off; n=5", "n=5", id="a-payload-that-is-malformed"),
    ],
)
def test_what_is_accepted_reaches_the_application_as_it_was(
    farm: Farm, dp: DataProtection, header: str, expected: str
) -> None:
    assert seen_by_the_application(dp, header, farm.until) == expected


def test_an_unprotected_value_does_not_hide_one_that_has_to_be_sealed(farm: Farm, dp: DataProtection) -> None:
    """A lenient parser reads ``sid`` in a malformed part of another cookie."""
    sid = CookieProtection(dp, ["sid"]).seal(
        [("set-cookie", "sid=1")], CookieProtection(dp, ["sid"]).begin(b"", https=True)
    )
    [line] = [value for name, value in sid.added if name == "set-cookie"]
    header = f"n=5 sid=99; {line.partition(';')[0]}"
    assert seen_by_the_application(dp, header, farm.until, "n", "sid") == "sid=1"


def test_a_cookie_that_is_not_set_again_is_not_deleted(farm: Farm, dp: DataProtection) -> None:
    part = CookieProtection(dp, ["n"], **farm.accepting()).begin(b"n=5", https=True)
    assert part.header == b"n=5"
    assert set_cookies(finished(part, []).headers) == []


def test_accepted_and_late_cookies_are_counted(farm: Farm, clock: StoppedClock) -> None:
    def counted() -> tuple[int, int]:
        counts = telemetry.counts()
        return tuple(counts.get(("unprotected_cookie", each), 0) for each in ("accepted", "after_until"))  # type: ignore[return-value]

    before, server = counted(), farm.accepting()
    farm.visit(OLD)
    farm.visit(server)
    assert counted() == (before[0] + 1, before[1])
    farm.jar = Jar(clock)
    farm.visit(OLD)
    clock.advance(days=31)
    farm.visit(server)
    assert counted() == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"writes_unprotected": True}, "without accept_unprotected_until", id="no-date"),
        pytest.param({"accept_unprotected_until": datetime(2027, 1, 1)}, "no time zone", id="no-time-zone"),  # noqa: DTZ001
        pytest.param({"accept_unprotected_until": "2027-01-01"}, "accept_unprotected_until", id="text"),
    ],
)
def test_a_date_that_cannot_be_meant_is_refused(dp: DataProtection, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CookieProtection(dp, ["n"], **options)


def test_a_date_after_the_end_of_every_cookie_is_refused(dp: DataProtection) -> None:
    late = datetime.now().astimezone() + 401 * DAYS
    with pytest.raises(ConfigurationError, match="more than 400 days from now"):
        CookieProtection(dp, ["n"], accept_unprotected_until=late)
