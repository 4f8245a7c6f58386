"""What ASP.NET Core's own tests pin down, as data: the resolver, mass revocation, names, the border of a payload.

From the tests of github.com/dotnet/aspnetcore, src/DataProtection: DefaultKeyResolverTests, XmlKeyManagerTests,
KeyRingProviderTests, KeyRingBasedDataProtectorTests, TimeLimitedDataProtectorTests.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest

from dpmiddleware.crypto.encryptors import Algorithm, AuthenticatedEncryptor
from dpmiddleware.crypto.secret import Secret
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import MalformedPayloadError, TamperedPayloadError, UnknownKeyError
from dpmiddleware.instants import Instant
from dpmiddleware.keys import document
from dpmiddleware.keys.key import Key, Revocation, apply_revocations
from dpmiddleware.keys.policy import RotationPolicy
from dpmiddleware.keys.rotation import plan, resolve
from dpmiddleware.purposes import TIME_LIMITED

POLICY = RotationPolicy()
ENCRYPTOR = AuthenticatedEncryptor(Secret(b"any"), Algorithm.AES_256_GCM.value)


def at(text: str) -> Instant:
    return Instant.parse(f"{text}Z")


def key(number: int, activation: str, expiration: str, *, creation: str = "", flaw: str = "") -> Key:
    """``flaw``: "revoked", or "broken" (its encryptor cannot be made)."""
    made = Key(UUID(int=number), at(creation or activation), at(activation), at(expiration), ENCRYPTOR)
    if flaw == "revoked":
        return replace(made, revocation=Revocation(made.id, None, ""))
    return replace(made, encryptor=None, problem="broken") if flaw == "broken" else made


@dataclass(frozen=True)
class Row:
    """default, fallback: numbers of keys; 0: none."""

    why: str
    now: str
    keys: tuple[Key, ...]
    default: int = 0
    fallback: int | None = None


TWO_YEARS = (key(1, "2015-03-01", "2016-03-01"), key(2, "2016-03-01", "2017-03-01"))
FAR = ("2010-01-01", "2010-01-01")
RESOLVER = [
    Row("no keys", "2016-02-20", ()),
    Row("the first is still in force", "2016-02-20T23:59:00", TWO_YEARS, 1),
    Row("within the skew the second one has begun", "2016-02-29T23:59:00", TWO_YEARS, 2),
    Row("within the skew, alone", "2016-02-29T23:59:00", TWO_YEARS[1:], 2),
    Row("five minutes are inside", "2015-02-28T23:55:00", TWO_YEARS[:1], 1),
    Row("an hour is not", "2015-02-28T23:00:00", TWO_YEARS[:1]),
    Row(
        "a revoked key is not replaced by an older one",
        "2015-04-01",
        (key(1, "2015-03-01", "2016-03-01"), key(2, "2015-03-02", "2016-03-01", flaw="revoked")),
    ),
    Row(
        "a broken key is not replaced by an older one",
        "2015-04-01",
        (key(1, "2015-03-01", "2016-03-01"), key(2, "2015-03-02", "2016-03-01", flaw="broken")),
    ),
    *(
        Row(
            f"the fallback is the newest that everybody knows, and not {flaw}",
            "2000-01-05",
            (
                key(1, *FAR, creation="2000-01-01"),
                key(2, *FAR, creation="2000-01-02"),
                key(3, *FAR, creation="2000-01-03", flaw=flaw),
                key(4, *FAR, creation="2000-01-04"),
            ),
            fallback=2,
        )
        for flaw in ("revoked", "broken")
    ),
    Row(
        "the oldest young key is the fallback where there is no old one",
        "2000-01-05",
        (
            key(1, *FAR, creation="2000-01-03", flaw="revoked"),
            key(2, *FAR, creation="2000-01-04"),
            key(3, *FAR, creation="2000-01-05"),
        ),
        fallback=2,
    ),
]


@pytest.mark.parametrize("row", [pytest.param(row, id=row.why) for row in RESOLVER])
def test_the_resolver_takes_the_pinned_key(row: Row) -> None:
    resolution = resolve(at(row.now), row.keys, POLICY)
    assert (0 if resolution.default is None else resolution.default.id.int) == row.default
    if row.fallback is not None:
        assert resolution.fallback is not None
        assert resolution.fallback.id.int == row.fallback


@pytest.mark.parametrize(
    ("hours_left", "successor", "made"),
    [
        pytest.param(84, None, False, id="the default lasts beyond the horizon"),
        pytest.param(60, 84, False, id="a successor lasts"),
        pytest.param(60, None, True, id="no successor"),
        pytest.param(60, 71, True, id="a successor that does not last either"),
    ],
)
def test_a_successor_is_made_ahead_of_time(hours_left: int, successor: int | None, made: bool) -> None:
    now = at("2015-03-01")
    ends = now + timedelta(hours=hours_left)
    keys = [replace(key(1, "2015-01-01", "2015-01-01"), expiration_date=ends)]
    if successor is not None:
        heir = key(2, "2015-01-02", "2015-01-02")
        keys.append(replace(heir, activation_date=ends, expiration_date=now + timedelta(hours=successor)))
    decided = plan(now, keys, (), POLICY)
    assert (decided.make is not None) is made
    if decided.make is not None:
        assert decided.make.activation == ends
        assert decided.make.expiration == now + timedelta(days=90)


def test_a_first_key_begins_now_and_lives_for_ninety_days() -> None:
    now = at("2015-03-01")
    new = plan(now, (), (), POLICY).make
    assert new is not None
    assert (new.activation, new.expiration) == (now, now + timedelta(days=90))


def test_a_mass_revocation_spares_the_key_made_at_its_very_moment() -> None:
    keys = [key(year, f"{year}-01-01", "2030-01-01") for year in (2015, 2016, 2017, 2018)]
    revocations = [
        Revocation(None, at("2014-01-01"), ""),
        Revocation(None, at("2017-01-01"), ""),
        Revocation(UUID(int=2018), at("2020-01-01"), ""),
    ]
    revoked = {each.id.int for each in apply_revocations(keys, revocations) if each.revocation is not None}
    assert revoked == {2015, 2016, 2018}


def test_a_mass_revocation_has_its_moment_in_its_name() -> None:
    moment = Instant.parse("2015-03-01T19:13:19.7573854-08:00")
    stored = document.dump(document.new_revocation(None, date=moment, reason=""))
    assert stored.name == "revocation-20150302T0313197573854Z"


def test_documents_of_one_key_are_named_after_it() -> None:
    key_id = uuid4()
    assert (
        document.dump(document.new_revocation(key_id, date=at("2020-01-01"), reason="")).name == f"revocation-{key_id}"
    )


@pytest.fixture
def dp() -> DataProtection:
    return DataProtection("shop", repository="memory:")


def test_the_border_of_a_payload(dp: DataProtection) -> None:
    protector = dp.create_protector("p")
    payload = protector.protect(b"x")
    for malformed in (b"", payload[:19], bytes([payload[0] + 1]) + payload[1:], payload[:3] + b"\xf1" + payload[4:]):
        with pytest.raises(MalformedPayloadError):
            protector.unprotect(malformed)
    with pytest.raises(UnknownKeyError):
        protector.unprotect(payload[:4] + bytes(16) + payload[20:])
    for tampered in (
        payload[:20],
        payload[:30],
        payload + b"\0",
        payload[:20] + bytes([payload[20] ^ 1]) + payload[21:],
    ):
        with pytest.raises(TamperedPayloadError):
            protector.unprotect(tampered)


def test_two_purposes_are_neither_one_nor_the_other_way_round(dp: DataProtection) -> None:
    payload = dp.create_protector("a", "b").protect(b"x")
    assert dp.create_protector("a").create_protector("b").unprotect(payload) == b"x"
    for other in (("ab",), ("b", "a"), ("a", "b", ""), ("a",)):
        with pytest.raises(TamperedPayloadError):
            dp.create_protector(*other).unprotect(payload)


def test_an_expiry_stands_before_the_data_as_ticks(dp: DataProtection) -> None:
    timed, inner = dp.create_protector("p").time_limited(), dp.create_protector("p", TIME_LIMITED)
    ends = datetime(2000, 1, 1, tzinfo=timezone.utc)
    assert inner.unprotect(timed.protect(b"\1\2\3\4\5", expires=ends)).hex() == "08c1220247e440000102030405"
    assert inner.unprotect(timed.protect(b"\1\2\3\4\5")).hex() == "2bca2875f4373fff0102030405"
    with pytest.raises(MalformedPayloadError):
        timed.unprotect(inner.protect(b"1234567"))


def test_the_purpose_of_time_limits_stays_the_last_one(dp: DataProtection) -> None:
    narrowed = dp.create_protector("p").time_limited().create_protector("x")
    assert dp.create_protector("p", "x").time_limited().unprotect(narrowed.protect("3 apples")) == "3 apples"
