"""``dpm check``: reports what makes a ring unfit for production. It reads the ring, and does not change it.

A *problem* is an error, a leak, or a loss at the next restart; it makes the exit status 1. A *note* is something that
an operator should know and decide. ``--against`` is in `dpmiddleware.cli.check_against`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Final

from dpmiddleware.at_rest.checks import weak_files, weaknesses
from dpmiddleware.cli.check_against import compare
from dpmiddleware.cli.command import Application, Command
from dpmiddleware.cli.finding import Finding
from dpmiddleware.cli.moments import moment
from dpmiddleware.cli.output import Console, counted
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.policy_options import add_policy_options
from dpmiddleware.cli.presence import Needs
from dpmiddleware.cli.ring import RingView, makes_keys, open_ring
from dpmiddleware.cli.said_before import is_news
from dpmiddleware.cli.verbs import ABOUT
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.default_location import container_mark, is_lost_with_container
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.keys.key import Key
from dpmiddleware.keys.policy import no_limit
from dpmiddleware.keys.reading import Reason
from dpmiddleware.keys.rotation import plan
from dpmiddleware.naming import OPTION, VARIABLE
from dpmiddleware.urls import ConfigurationURL

__all__ = ["Finding", "add_to", "findings_of", "report"]

_FAR: Final = timedelta(days=730)
"""A key that expires later than this protects longer than any rotation; .NET's documentation recommends 90 days."""
NOT_SEEN: Final = (
    "not checked: behind a proxy, Secure cookies need forwarded headers; "
    "cookies that scripts read (csrftoken) must not be wrapped"
)


def add_to(verbs: Verbs) -> None:
    """``check``."""
    parser = verbs.add(
        "check",
        _check,
        ABOUT["check"],
        examples=[
            "dpm check --repository redis://localhost/0 --key-wrapper x509:///etc/shop/keys.pem",
            "dpm check --repository redis://localhost/0 --against redis://localhost/1",
        ],
        notes=False,
        needs=Needs.ANYTHING,
    )
    add_policy_options(parser)
    text = "check instead whether the ring and the one in this repository read each other's payloads"
    parser.add_argument("--against", metavar="URL", help=text)


def _check(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments, auto_create_keys=arguments.against is None and makes_keys(arguments))
    if arguments.against is not None:
        return compare(dp, open_ring(arguments, auto_create_keys=False, repository=arguments.against), console)
    command: Command = arguments.command
    return report(dp, console, application=command.application if command.has_own_ring else None)


def report(
    dp: DataProtection,
    console: Console,
    signer: str | None = None,
    *,
    place: bool = True,
    application: Application | None = None,
) -> int:
    """Print all findings. Exit status: 1 if one is a problem, else 0.

    signer: URL of a signer whose file is examined, instead of the ring's own. place: whether the store itself is
    examined. application: whose cookies are examined.
    """
    where = list(_place(dp)) if place else []
    try:
        view = RingView.of(dp)
    except KeyManagementError as error:
        found = [*where, Finding(error.code, "problem", str(error), error.hint)]
    else:
        found = [*_signer(dp, signer), *where, *_in_the_ring(dp, view), *_cookies(application)]
    found = [
        replace(one, text=console.written(one.text), hint=console.written(one.hint)) for one in dict.fromkeys(found)
    ]
    problems = sum(finding.level == "problem" for finding in found)
    data = {
        "location": dp.repository.location,
        "ring": dp.ring,
        "fit": not problems,
        "findings": [asdict(finding) for finding in found],
    }
    lines = [f"{dp.repository.location}, ring {dp.ring or '(no name)'}"]
    for finding in found:
        if (
            finding.code == "not_seen"
            and not console.as_json
            and not is_news(finding.text, dp.repository.location, dp.ring)
        ):
            continue
        lines.append(f"{finding.level}: {finding.text}  [{finding.code}]")
        lines += [f"  hint: {finding.hint}"] if finding.hint else []
    lines.append("fit for production" if not problems else f"{problems} problem{'s' if problems > 1 else ''}")
    console.result(data, console.escaped(lines))
    return 1 if problems else 0


def findings_of(dp: DataProtection, view: RingView) -> list[Finding]:
    """All findings of a ring that could be read."""
    return [*_place(dp), *_in_the_ring(dp, view)]


def _in_the_ring(dp: DataProtection, view: RingView) -> list[Finding]:
    """All findings but those about the place of the keys."""
    looks = (_documents, _at_rest, _keys, _clock, _policy)
    found = [finding for look in looks for finding in look(dp, view)]
    return [*found, *_name(dp)]


def _cookies(application: Application | None) -> Iterator[Finding]:
    """The cookies of the application, if it was given."""
    look = None if application is None else application.findings
    yield from look() if look is not None else ()
    yield Finding("not_seen", "note", NOT_SEEN if look is None else NOT_SEEN.partition(";")[0])


def _place(dp: DataProtection) -> Iterator[Finding]:
    """The location of the keys."""
    repository, home = dp.repository, dp.home
    if home is not None:
        yield Finding("home", "note", home.why, "use --repository or DPM_REPOSITORY to choose the store")
    if repository.location == "memory:":
        text = "keys are only in memory: a restart signs all users out"
        yield Finding("keys_in_memory", "problem", text, "use --repository or DPM_REPOSITORY")
    folder = getattr(repository, "folder", None)
    if folder is not None and is_lost_with_container(str(folder)):
        where = f"in a container ({container_mark()}) but not on a volume"
        text = f"{repository.location} is {where}: the keys are lost with the container"
        yield Finding("lost_with_container", "problem", text, "mount a volume at this path")
    look = getattr(repository, "findings", None)
    try:
        for one in look() if look is not None else ():
            yield Finding(one.code, one.level, one.text, one.hint)
    except KeyManagementError as error:
        yield Finding(error.code, "problem", str(error), error.hint)


def _signer(dp: DataProtection, url: str | None) -> Iterator[Finding]:
    """Anyone who can read the key of the signer can sign."""
    own = getattr(dp.manager.signer, "path", None)
    path = own if url is None else ConfigurationURL.parse(url, "password").file()
    if path is not None:
        for weak in weak_files([path]):
            yield Finding(weak.code, "problem", weak.text, weak.hint)


def _documents(dp: DataProtection, view: RingView) -> Iterator[Finding]:
    """Documents in the store that are not used."""
    cures = {
        Reason.NOT_TRUSTED: "run `dpm keys sign`",
        Reason.NOT_WRAPPED: "run `dpm keys rewrap` with plain: among the old wrappers",
    }
    for aside in view.not_used:
        code = "document_refused" if aside.refused else "document_set_aside"
        hint = "repair the document, or remove it from the store"
        if aside.refused:
            hint = f"{cures[aside.reason]} if the document is yours; if not, someone else can write to the store"
        yield Finding(code, "problem", f"{aside.name}: {aside.problem}", hint)
    if view.reading.lost_revocation:
        text = f"{view.reading.lost_revocation}; it may be a revocation, so the ring is not loaded"
        yield Finding("revocation_unreadable", "problem", text, "repair the document, or remove it from the store")
    if view.reading.signed and dp.manager.verifier is None:
        text = "documents are signed, but no signer is trusted: a planted key would be accepted"
        yield Finding("signatures_ignored", "problem", text, "use --trusted-signer or DPM_TRUSTED_SIGNERS")


def _alive(view: RingView) -> list[Key]:
    """Keys that are neither revoked nor expired."""
    return [key for key in view.keys if key.revocation is None and view.now < key.expiration_date]


def _at_rest(dp: DataProtection, view: RingView) -> Iterator[Finding]:
    """Key wrapping and signatures."""
    alive = _alive(view)
    plain = sum(not key.wrapped for key in alive)
    if plain:
        text = f"{plain} of {counted(len(alive), 'key')} in the store {'is' if plain == 1 else 'are'} not wrapped"
        hint = "configure a key wrapper, create a new key, and revoke the old ones once their payloads have expired"
        yield Finding("keys_not_wrapped", "problem", text, hint)
    if not dp.manager.wrappers and dp.repository.location != "memory:":
        hint = "use --key-wrapper or DPM_KEY_WRAPPER"
        yield Finding("no_key_wrapper", "problem", "new keys will not be wrapped", hint)
    for number, wrapper in enumerate(dp.manager.wrappers):
        wraps = dp.manager.auto_create_keys and number == 0
        for weak in weaknesses(wrapper, ring=dp.ring, now=view.now.to_datetime(), wraps=wraps):
            yield Finding(weak.code, weak.level, weak.text, weak.hint)
    ours = sorted(t for w in dp.manager.wrappers[:1] for t in w.decryptor_types if t.startswith("dpmiddleware."))
    if ours:
        text = f".NET members of this farm cannot read keys wrapped as {ours[0]}"
        yield Finding("dotnet_cannot_unwrap", "note", text, "use x509, azurekv or dpapi in a farm with .NET members")
    if view.reading.keys and not view.reading.signed:
        text = "no document is signed: anyone who can write to the store can plant a key"
        yield Finding("not_signed", "note", text, "run `dpm keys sign`, and set --trusted-signer in every member")
    if view.reading.signed:
        text = "the ring is signed: .NET members cannot sign, so their key generation must be off"
        yield Finding("dotnet_does_not_sign", "note", text)


def _keys(dp: DataProtection, view: RingView) -> Iterator[Finding]:
    """Keys that cannot be used, and the state of the default key."""
    for key in _alive(view):
        if not key.usable:
            hint = key.hint or "repair the document, or restore it from a backup"
            yield Finding("key_unusable", "problem", f"key {key.id}: {key.problem}", hint)
    reading, now, policy = view.reading, view.now, dp.manager.policy_in(view.reading)
    decided = plan(now, reading.keys, reading.revocations, policy, unreadable=reading.unreadable)
    if decided.blocked:
        yield Finding("making_blocked", "problem", f"a key is due but is not created: {decided.blocked}")
    elif decided.protect_with is None or decided.protect_with.expiration_date <= now:
        yield _no_default_key(view)
    elif decided.make is not None:
        text = f"the default key expires {moment(decided.protect_with.expiration_date)} and a successor is due"
        yield Finding("successor_due", "note", text, "run `dpm keys rotate --if-due`, or wait for the next member")
    endless = [key for key in _alive(view) if key.usable and now + _FAR < key.expiration_date]
    if endless:
        date = moment(endless[0].expiration_date)
        text = f"{counted(len(endless), 'key')} of more than two years: key {endless[0].id} protects until {date}"
        hint = "create a key with the usual lifetime: `dpm keys create`; it protects once every member has read it"
        yield Finding("key_never_rotates", "note", text, hint)
    if reading.loss:
        hint = "restore the documents from a backup, or revoke these keys again with `dpm keys revoke KEY --unknown`"
        yield Finding("ring_shrank", "problem", reading.loss, hint)


def _no_default_key(view: RingView) -> Finding:
    """An empty store may be a mistyped place, or have lost its ring: no hint starts a new ring there by itself."""
    if view.keys:
        text = "no valid key protects: members that only read answer 503 until another member creates one"
        hint = "run `dpm keys rotate --if-due`, or start a member that may create keys"
    else:
        text = f"{view.reading.location} has no key: members that only read answer 503 until one is created"
        hint = "correct --repository if the ring is elsewhere; run `dpm keys create` to start a new ring"
    return Finding("no_default_key", "problem", text, hint)


def _clock(dp: DataProtection, view: RingView) -> Iterator[Finding]:
    """Dates in the future: a clock is wrong, here or where the document was written."""
    ahead = [r.date for r in view.reading.revocations if r.key_id is None and r.date and r.date > view.now]
    latest = max((key.creation_date for key in view.reading.keys), default=view.now)
    if ahead:
        text = f"all keys created before {max(ahead)} are revoked; this is in the future, so new keys are revoked, too"
        yield Finding("revocation_ahead", "problem", text)
    elif latest > view.now + dp.manager.policy_in(view.reading).clock_skew:
        text = f"the newest key was created {moment(latest)}, but the time here is {moment(view.now)}"
        yield Finding("clock", "problem", text, "correct the clock of this machine, or of the one that created the key")


def _policy(dp: DataProtection, view: RingView) -> Iterator[Finding]:
    """Settings that the ring's own policy overrides."""
    used = dp.manager.policy_in(view.reading)
    for name in dp.manager.policy_differences(view.reading):
        own, kept = no_limit(getattr(dp.policy, name)), no_limit(getattr(used, name))
        text = f"{name} is {own} in these settings, but {kept} in the policy of the ring, which counts"
        hint = f"leave out {OPTION.write(name)} and {VARIABLE.write(name)}, or change the ring: `dpm keys policy set`"
        yield Finding("policy_differs", "note", text, hint)


def _name(dp: DataProtection) -> Iterator[Finding]:
    if dp.application is None:
        text = "no application name: each application that uses this ring can open the payloads of the others"
        yield Finding("no_application", "note", text, "use --application, with the same name in the whole farm")
