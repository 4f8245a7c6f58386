"""Issue: after a release that changes a cookie's domain, path or partition, users hold two cookies of one name.

They could neither sign in again nor sign out. The right outcome: after one sign-in they are in, after one sign-out they
are out, and the cookies from before the release are gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.live.browser import Browser, Jar
from tests.live.changes import CHANGES
from tests.live.serving import Site, gunicorn, uvicorn


class Case(NamedTuple):
    """What a cookie holds, on which server, and what the release changes about it."""

    server: str
    kind: str
    change: str


SESSIONS = ("session", "flask-session", "django-session")
TICKETS = ("ticket", "reference", "flask-ticket", "django-ticket")
OTHERS = ("wrapped", "flask-migrated")
ON_UVICORN = ("session", "ticket", "reference", "wrapped")
IN_SHORT = ("domain-added", "path-widened", "partitioned", "everything")
CASES = [
    *(Case("gunicorn", kind, change) for kind in ON_UVICORN for change in CHANGES),
    *(Case("uvicorn", kind, change) for kind in ON_UVICORN for change in IN_SHORT),
    *(
        Case("gunicorn", kind, change)
        for kind in ("flask-session", "flask-ticket", "flask-migrated")
        for change in IN_SHORT
    ),
    *(Case("gunicorn", "django-ticket", change) for change in IN_SHORT),
    *(Case("gunicorn", "django-session", change) for change in IN_SHORT[:2]),  # Django has no partitioned sessions
]


class User:
    """A user of the site before and after the release."""

    def __init__(self, site: Site, case: Case) -> None:
        self.browser = Browser(site.port, headers={"X-Kind": case.kind, "X-Change": case.change})

    def before(self, page: str) -> str:
        """What a page of the old release says."""
        return self._ask(page, "old")

    def after(self, page: str) -> str:
        """What a page of the new release says."""
        return self._ask(page, "new")

    def _ask(self, page: str, release: str) -> str:
        answer = self.browser.get(f"/app/{page}", X_Release=release)
        assert answer.status == 200, answer
        return answer.text

    @property
    def cookies(self) -> list[str]:
        """The names of their cookies."""
        return self.browser.jar.names()


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("ring"))


@pytest.fixture(scope="module")
def gunicorn_site(ring: str) -> Iterator[Site]:
    with gunicorn("tests.live.apps.releases:app", RING=ring) as site:
        yield site


@pytest.fixture(scope="module")
def uvicorn_site(ring: str) -> Iterator[Site]:
    with uvicorn("tests.live.apps.releases_asgi:app", RING=ring) as site:
        yield site


@pytest.fixture
def user(request: pytest.FixtureRequest) -> User:
    case: Case = request.param
    return User(request.getfixturevalue(f"{case.server}_site"), case)


def for_each(*kinds: str) -> pytest.MarkDecorator:
    """Run a test with each of these kinds of cookies and each change."""
    cases = [case for case in CASES if case.kind in kinds]
    return pytest.mark.parametrize("user", cases, indirect=True, ids=["-".join(case) for case in cases])


@for_each(*SESSIONS, *TICKETS, *OTHERS)
def test_who_signs_in_again_after_the_release_is_in(user: User) -> None:
    user.before("login?name=ada")
    assert user.before("me") == "ada"
    user.after("login?name=ada")
    assert user.after("me") == "ada"


@for_each(*SESSIONS, *TICKETS, *OTHERS)
def test_another_user_who_signs_in_after_the_release_is_in(user: User) -> None:
    user.before("login?name=ada")
    user.after("login?name=bob")
    assert user.after("me") == "bob"


@for_each(*SESSIONS, *TICKETS, *OTHERS)
def test_who_signs_out_after_the_release_is_out(user: User) -> None:
    user.before("login?name=ada")
    user.after("logout")
    assert user.after("me") == "nobody"
    assert user.cookies == []


@for_each(*SESSIONS, *TICKETS, *OTHERS)
def test_who_signs_in_and_out_after_the_release_is_out(user: User) -> None:
    """The old cookie signed the user in again as soon as the new one was gone."""
    user.before("login?name=ada")
    user.browser.days = 1
    user.after("login?name=ada")
    user.after("logout")
    assert user.after("me") == "nobody"
    assert user.cookies == []


@for_each(*SESSIONS, *TICKETS, "wrapped")
def test_with_the_cookies_of_two_users_nobody_is_in_until_somebody_signs_in(user: User) -> None:
    """A browser holds both if the second user signed in through another release at the same time."""
    user.before("login?name=ada")
    both, user.browser.jar = user.browser.jar, Jar()
    user.after("login?name=bob")
    both.cookies.update(user.browser.jar.cookies)
    user.browser.jar = both
    assert user.cookies == ["auth", "auth"]
    assert user.after("me") == "nobody"
    user.after("login?name=bob")
    assert user.after("me") == "bob"
    user.after("logout")
    assert (user.after("me"), user.cookies) == ("nobody", [])


@for_each("session", "flask-session", *TICKETS)
def test_a_renewal_after_the_release_keeps_the_user_in(user: User) -> None:
    """Eight days after the sign-in, any page renews the cookie under the new settings."""
    user.before("login?name=ada")
    user.browser.days = 8
    assert user.after("me") == "ada"
    user.browser.days = 8.1
    assert user.after("me") == "ada"
    user.after("logout")
    assert (user.after("me"), user.cookies) == ("nobody", [])


@for_each(*SESSIONS)
def test_what_is_written_after_the_release_is_in_the_session(user: User) -> None:
    user.before("login?name=ada")
    user.before("write?cart=apple")
    user.after("write?cart=pear")
    assert user.after("me") == "ada pear"
    user.after("write?cart=plum")
    assert user.after("me") == "ada plum"
    assert user.cookies == ["auth"]
