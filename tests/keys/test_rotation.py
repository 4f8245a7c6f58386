"""Which key is created when: the search for a successor, and the rule that unreadable is never absent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmiddleware.crypto.encryptors import Algorithm, AuthenticatedEncryptor
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.errors import ConfigurationError
from dpmiddleware.instants import Instant
from dpmiddleware.keys.key import Key, KeyState, Revocation, apply_revocations
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.rotation import NewKey, Plan, plan, resolve, rotation_due

NOW = Instant.parse("2026-11-22T12:00:00Z")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
POLICY = RotationPolicy()
ENCRYPTOR = AuthenticatedEncryptor(Secret(b"any"), Algorithm.AES_256_GCM.value)


def key(
    number: int,
    *,
    activated: timedelta = -10 * DAY,
    expires: timedelta = 80 * DAY,
    created: timedelta | None = None,
    usable: bool = True,
    revoked: bool = False,
) -> Key:
    """A key whose dates differ from now by these spans; its number is its id."""
    key_id = UUID(int=number)
    return Key(
        key_id,
        NOW + (activated if created is None else created),
        NOW + activated,
        NOW + expires,
        encryptor=ENCRYPTOR if usable else None,
        problem="" if usable else "cannot be unwrapped",
        revocation=Revocation(key_id, NOW, "") if revoked else None,
    )


def planned(*keys: Key, revocations: Sequence[Revocation] = (), unreadable: str = "") -> Plan:
    return plan(NOW, keys, revocations, POLICY, unreadable=unreadable)


def number_of(found: Key | None) -> int | None:
    return None if found is None else found.id.int


# --- the default ------------------------------------------------------------------------------------------------------


def test_an_empty_ring_gets_a_key_that_is_active_at_once() -> None:
    assert planned() == Plan(None, NewKey(NOW, NOW, NOW + 90 * DAY))


@pytest.mark.parametrize(
    ("keys", "default", "fallback"),
    [
        pytest.param([], None, None, id="none"),
        pytest.param([key(1)], 1, None, id="one"),
        pytest.param([key(1), key(2, activated=-DAY)], 2, None, id="activated last"),
        pytest.param([key(2), key(1)], 1, None, id="of two activated together the smallest id"),
        pytest.param([key(1), key(2, activated=DAY, created=-DAY)], 1, None, id="not yet active"),
        pytest.param([key(1), key(2, activated=timedelta(minutes=5), created=-DAY)], 2, None, id="within the skew"),
        pytest.param(
            [key(1), key(2, activated=timedelta(minutes=5, microseconds=1), created=-DAY)],
            1,
            None,
            id="beyond the skew",
        ),
        pytest.param([key(1), key(2, activated=-DAY, revoked=True)], None, 1, id="the last one revoked"),
        pytest.param([key(1), key(2, activated=-DAY, usable=False)], None, 1, id="the last one unusable"),
        pytest.param([key(1), key(2, activated=-DAY, expires=timedelta(0))], None, 1, id="the last one expires now"),
        pytest.param([key(1, expires=-DAY)], None, None, id="an expired key is not its own fallback"),
        pytest.param([key(1, activated=DAY, created=-3 * DAY)], None, 1, id="a fallback that is not active yet"),
    ],
)
def test_the_default_is_the_key_that_was_activated_last_if_it_is_good(
    keys: list[Key], default: int | None, fallback: int | None
) -> None:
    resolution = resolve(NOW, keys, POLICY)
    assert (number_of(resolution.default), number_of(resolution.fallback)) == (default, fallback)


@given(st.permutations([key(1), key(2, activated=-DAY), key(3, usable=False), key(4, revoked=True)]))
def test_the_order_of_the_keys_does_not_matter(keys: list[Key]) -> None:
    assert number_of(resolve(NOW, keys, POLICY).default) == 2


# --- successors -------------------------------------------------------------------------------------------------------


def test_a_successor_is_made_when_72_hours_are_left() -> None:
    """Refresh (24 h) and propagation (2 d) before the expiry, active when the old one ends."""
    assert planned(key(1, expires=72 * HOUR)).make is None
    due = planned(key(1, expires=72 * HOUR - timedelta(microseconds=1)))
    assert due.make == NewKey(NOW, NOW + 72 * HOUR - timedelta(microseconds=1), NOW + 90 * DAY)
    assert number_of(due.protect_with) == 1


def test_a_successor_that_is_there_is_enough() -> None:
    heir = key(2, created=-HOUR, activated=DAY, expires=90 * DAY)
    assert planned(key(1, expires=DAY), heir).make is None


def test_a_successor_that_does_not_last_gets_one_of_its_own() -> None:
    heir = key(2, created=-HOUR, activated=DAY, expires=2 * DAY)
    assert planned(key(1, expires=DAY), heir).make is not None


def test_a_successor_that_comes_too_late_is_none() -> None:
    """A gap between the two: the new key closes it."""
    late = key(2, created=-HOUR, activated=2 * DAY, expires=90 * DAY)
    assert planned(key(1, expires=DAY), late).make == NewKey(NOW, NOW + DAY, NOW + 90 * DAY)


def test_a_revoked_successor_is_replaced() -> None:
    heir = key(2, created=-HOUR, activated=DAY, expires=90 * DAY, revoked=True)
    assert planned(key(1, expires=DAY), heir).make is not None


def test_a_successor_that_cannot_be_read_is_waited_for() -> None:
    """Other processes may be able to use it; a second one would divide the farm after the first one expires."""
    heir = key(2, created=-HOUR, activated=DAY, expires=90 * DAY, usable=False)
    waiting = planned(key(1, expires=DAY), heir)
    assert waiting.make is None
    assert str(heir.id) in waiting.blocked
    assert number_of(waiting.protect_with) == 1


def test_unreadable_documents_do_not_hold_up_a_successor() -> None:
    """The default key is known, and is active until every process has the successor."""
    assert planned(key(1, expires=DAY), unreadable="key-x cannot be read").make is not None
    assert planned(key(1, expires=DAY), key(3, usable=False)).make is not None


def test_a_revocation_of_all_dated_ahead_holds_up_a_successor() -> None:
    ahead = Revocation(None, NOW + DAY, "")
    blocked = planned(key(1, expires=DAY), revocations=[ahead])
    assert blocked.make is None
    assert "from the start" in blocked.blocked
    past = Revocation(None, NOW, "")
    assert planned(key(1, expires=DAY), revocations=[past]).make is not None


# --- a key that is the default at once --------------------------------------------------------------------------------


def test_an_expired_default_is_replaced_and_protects_until_then() -> None:
    due = planned(key(1, expires=-DAY))
    assert due.make == NewKey(NOW, NOW, NOW + 90 * DAY)
    assert number_of(due.protect_with) == 1


def test_a_key_is_preferred_over_what_stands_in_its_way() -> None:
    """A revoked key that is activated within the clock skew: the new one is activated a tick later."""
    ahead = key(1, activated=timedelta(minutes=4), created=-DAY, revoked=True)
    made = planned(ahead).make
    assert made is not None
    assert made.activation == ahead.activation_date.next()
    new = Key(UUID(int=9), made.creation, made.activation, made.expiration, ENCRYPTOR)
    assert resolve(NOW, [ahead, new], POLICY).default is new


@pytest.mark.parametrize(
    ("keys", "unreadable", "protects"),
    [
        pytest.param([key(1, usable=False)], "", None, id="a key that cannot be unwrapped"),
        pytest.param([], "key-x cannot be read", None, id="a document that may be a key"),
        pytest.param([key(1, expires=-DAY)], "key-x cannot be read", 1, id="beside an expired key"),
        pytest.param(
            [key(1), key(2, activated=-DAY, revoked=True), key(3, usable=False)], "", 1, id="beside a good one"
        ),
    ],
)
def test_nothing_is_made_beside_what_may_be_a_key(keys: list[Key], unreadable: str, protects: int | None) -> None:
    blocked = planned(*keys, unreadable=unreadable)
    assert blocked.make is None
    assert blocked.blocked
    assert number_of(blocked.protect_with) == protects


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(key(1, usable=False, expires=timedelta(0)), id="expired"),
        pytest.param(key(1, usable=False, revoked=True), id="revoked"),
    ],
)
def test_a_broken_key_that_nobody_would_use_does_not_count(broken: Key) -> None:
    assert planned(broken).make is not None


def test_a_key_that_would_be_revoked_at_birth_is_not_made() -> None:
    """One key per interval at most, not one per refresh until that date."""
    blocked = planned(revocations=[Revocation(None, NOW + DAY, "")])
    assert blocked.make is None
    assert "date in the future" in blocked.blocked


# --- when -------------------------------------------------------------------------------------------------------------


def test_the_next_rotation_is_72_hours_before_the_end_of_the_last_in_the_row() -> None:
    assert rotation_due(NOW, [key(1)], POLICY) == NOW + 77 * DAY
    heir = key(2, created=-HOUR, activated=80 * DAY, expires=160 * DAY)
    assert rotation_due(NOW, [key(1), heir], POLICY) == NOW + 157 * DAY
    assert rotation_due(NOW, [], POLICY) == NOW
    assert rotation_due(NOW, [key(1, usable=False)], POLICY) is None


LENGTHS = st.integers(8, 200).map(lambda days: days * DAY)


@given(LENGTHS, st.lists(st.integers(0, 90), min_size=1, max_size=8))
def test_however_seldom_anybody_looks_there_is_at_most_one_key_a_life(lifetime: timedelta, waits: list[int]) -> None:
    """From the second plan on, there is always a key that protects."""
    policy = RotationPolicy(lifetime=lifetime)
    now = NOW
    keys: list[Key] = []
    for number, wait in enumerate(waits):
        decided = plan(now, keys, (), policy)
        if decided.make is not None:
            new = decided.make
            keys.append(Key(UUID(int=number), new.creation, new.activation, new.expiration, ENCRYPTOR))
            assert new.creation <= new.activation < new.expiration
        assert plan(now, keys, (), policy).make is None
        assert plan(now, keys, (), policy).protect_with is not None
        now = now + wait * DAY
    assert len(keys) <= len(waits)


# --- the policy -------------------------------------------------------------------------------------------------------


def test_the_documented_defaults() -> None:
    """The values of ASP.NET Core, and a poll of ten seconds."""
    assert RotationPolicy() == RotationPolicy(
        lifetime=timedelta(days=90),
        propagation=timedelta(days=2),
        refresh=timedelta(hours=24),
        clock_skew=timedelta(minutes=5),
        poll=timedelta(seconds=10),
        max_stale=None,
    )


@pytest.mark.parametrize(
    "spans",
    [
        pytest.param({"lifetime": 7 * DAY - timedelta(microseconds=1)}, id="a life under a week"),
        pytest.param({"lifetime": 7 * DAY, "propagation": 6 * DAY}, id="no time left between two"),
        pytest.param({"lifetime": 7 * DAY, "refresh": 5 * DAY}, id="read too seldom"),
        pytest.param({"propagation": -DAY}, id="negative propagation"),
        pytest.param({"clock_skew": -DAY}, id="negative skew"),
        pytest.param({"refresh": timedelta(0)}, id="no refresh"),
        pytest.param({"poll": timedelta(0)}, id="no poll"),
        pytest.param({"max_stale": timedelta(0)}, id="stale at once"),
        pytest.param({"max_stale": timedelta(seconds=19)}, id="stale before two polls"),
        pytest.param({"max_stale": -DAY}, id="stale before it was read"),
    ],
)
def test_what_cannot_work_is_refused_at_start(spans: dict[str, timedelta]) -> None:
    with pytest.raises(ConfigurationError):
        RotationPolicy(**spans)


def test_the_shortest_policy_that_works() -> None:
    RotationPolicy(lifetime=7 * DAY, propagation=5 * DAY, clock_skew=timedelta(0), max_stale=timedelta(seconds=20))


# --- keys and revocations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (key(1), KeyState.ACTIVE),
        (key(1, activated=timedelta(0)), KeyState.ACTIVE),
        (key(1, activated=HOUR), KeyState.CREATED),
        (key(1, expires=timedelta(0)), KeyState.EXPIRED),
        (key(1, usable=False), KeyState.UNUSABLE),
        (key(1, usable=False, revoked=True, expires=-DAY), KeyState.REVOKED),
        (key(1, usable=False, expires=-DAY), KeyState.UNUSABLE),
    ],
)
def test_the_state_of_a_key_is_the_first_that_applies(one: Key, state: KeyState) -> None:
    assert one.state(NOW) is state


def test_a_revocation_of_all_spares_what_was_created_at_its_date_or_after() -> None:
    """Strictly before, to the tick; the date of a revocation of one key is ignored."""
    before, at, after = (key(n, created=n * timedelta(microseconds=1) - DAY) for n in (1, 2, 3))
    of_all = Revocation(None, at.creation_date, "all")
    assert [bool(k.revocation) for k in apply_revocations([before, at, after], [of_all])] == [True, False, False]
    tick_later = Revocation(None, at.creation_date.next(), "all")
    assert [bool(k.revocation) for k in apply_revocations([before, at, after], [tick_later])] == [True, True, False]
    single = Revocation(after.id, None, "one")
    assert [bool(k.revocation) for k in apply_revocations([before, at, after], [single])] == [False, False, True]


def test_of_several_revocations_of_all_the_latest_counts() -> None:
    dates = [Revocation(None, NOW - days * DAY, f"{days}") for days in (30, 3, 300)]
    (revoked,) = apply_revocations([key(1, created=-10 * DAY)], dates)
    assert revoked.revocation is not None
    assert revoked.revocation.reason == "3"


def test_a_revocation_is_never_taken_back() -> None:
    once = apply_revocations([key(1)], [Revocation(UUID(int=1), NOW, "first")])
    again = apply_revocations(once, [])
    assert again == once
    assert apply_revocations(once, [Revocation(UUID(int=1), NOW, "second")]) == once


@pytest.mark.parametrize(
    ("ahead", "made"),
    [
        pytest.param(timedelta(minutes=2), True, id="by a faster clock: the key is created at that date"),
        pytest.param(timedelta(minutes=5), True, id="by the fastest clock there may be"),
        pytest.param(timedelta(minutes=5, microseconds=1), False, id="by more: somebody meant it"),
    ],
)
def test_a_revocation_of_all_dated_a_little_ahead_blocks_nobody(ahead: timedelta, made: bool) -> None:
    """A revocation by a faster clock applies, and the next key is not revoked by it."""
    now = Instant.parse("2026-06-15T12:00:00Z")
    revocation = Revocation(None, now + ahead, "drill")
    decided = plan(now, (), (revocation,), RotationPolicy())
    assert (decided.make is not None) == made
    if decided.make is not None:
        assert decided.make.creation == decided.make.activation == now + ahead
