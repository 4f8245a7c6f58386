"""``dpm check``: is this ring fit for production? Findings, and an exit status.

A *problem* makes the exit status 1: something leaks, is lost at the next restart, or is out of order. A *note* is what
an operator should have decided, not stumbled over. Reads the store; changes nothing and makes no key. ``--against``
asks another question: `dpmiddleware.cli.comparison`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final, Literal

from dpmiddleware.at_rest.checks import weak_files, weaknesses
from dpmiddleware.cli.check_against import compare
from dpmiddleware.cli.output import Console, moment
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.ring import RingView, open_ring, setting
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.default_location import is_lost_with_container
from dpmiddleware.errors import KeyManagementError
from dpmiddleware.keys.key import Key
from dpmiddleware.keys.rotation import plan
from dpmiddleware.urls import ConfigurationURL

__all__ = ["Finding", "add_to", "findings_of"]

NOT_SEEN: Final = (
    "not seen from here: behind a proxy, Secure cookies need forwarded headers to be honoured; "
    "cookies that scripts read (csrftoken) are not for wrapping"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. ``code``: for machines, stable."""

    code: str
    level: Literal["problem", "note"]
    text: str
    hint: str = ""


def add_to(verbs: Verbs) -> None:
    """``check``."""
    parser = verbs.add("check", _check, "is this ring fit for production?", notes=False)
    parser.add_argument(
        "--against", metavar="URL", help="instead: do this ring and the one in that repository read each other?"
    )


def _check(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments, auto_create_keys=False)
    if arguments.against is not None:
        return compare(dp, open_ring(arguments, auto_create_keys=False, repository=arguments.against), console)
    try:
        view = RingView.of(dp)
    except KeyManagementError as error:
        found = [*_place(dp), Finding(error.code, "problem", str(error), error.hint)]
    else:
        found = [*_signer(setting(arguments, "signer")), *findings_of(dp, view)]
    problems = sum(finding.level == "problem" for finding in found)
    data = {
        "location": dp.repository.location,
        "ring": dp.ring,
        "fit": not problems,
        "findings": [asdict(finding) for finding in found],
    }
    lines = [f"{dp.repository.location}, ring {dp.ring or '(without a name)'}"]
    for finding in found:
        lines.append(f"{finding.level}: {finding.text}  [{finding.code}]")
        lines += [f"  hint: {finding.hint}"] if finding.hint else []
    lines.append("fit for production" if not problems else f"{problems} problem{'s' if problems > 1 else ''}")
    console.result(data, console.escaped(lines))
    return 1 if problems else 0


def findings_of(dp: DataProtection, view: RingView) -> list[Finding]:
    """Everything that can be found in a ring that could be read."""
    looks = (_documents, _at_rest, _keys, _clock)
    found = [finding for look in looks for finding in look(dp, view)]
    return [*_place(dp), *found, *_name(dp), Finding("not_seen", "note", NOT_SEEN)]


def _place(dp: DataProtection) -> Iterator[Finding]:
    """Where the keys are, and why there."""
    repository, home = dp.repository, dp.home
    if home is not None:
        yield Finding("home", "note", home.why, "--repository, or DPM_REPOSITORY, says where")
    if repository.location == "memory:":
        text = "keys are in memory only: a restart logs everybody out"
        yield Finding("keys_in_memory", "problem", text, "--repository, or DPM_REPOSITORY")
    folder = getattr(repository, "folder", None)
    if folder is not None and is_lost_with_container(str(folder)):
        text = f"{repository.location} is in a container and on no volume: the keys are lost with the container"
        yield Finding("lost_with_container", "problem", text, "mount a volume there")
    look = getattr(repository, "findings", None)
    try:
        for text in look() if look is not None else ():
            yield Finding("store", "problem", text)
    except KeyManagementError as error:
        yield Finding(error.code, "problem", str(error), error.hint)


def _signer(url: str | None) -> Iterator[Finding]:
    """Who can read the signer's key can sign."""
    if url is not None:
        path = ConfigurationURL.parse(url, "password").file()
        for weak in weak_files([path]):
            yield Finding(weak.code, "problem", weak.text, weak.hint)


def _documents(dp: DataProtection, view: RingView) -> Iterator[Finding]:
    """What the store holds and nobody uses."""
    for aside in view.not_used:
        code = "document_refused" if aside.refused else "document_set_aside"
        hint = "repair it, or take it out of the store"
        if aside.refused:
            cure = (
                "`dpm keys rewrap`, with plain: among the old wrappers"
                if "wrapped" in aside.problem
                else "`dpm keys sign`"
            )
            hint = f"if it is yours: {cure}; if not, somebody else can write to the store"
        yield Finding(code, "problem", f"{aside.name}: {aside.problem}", hint)
    if view.reading.lost_revocation:
        text = f"{view.reading.lost_revocation}, and it may be a revocation: this ring is not loaded"
        yield Finding("revocation_unreadable", "problem", text, "repair the document or take it away")
    if view.reading.signed and dp.manager.verifier is None:
        text = "documents are signed, and nobody is trusted here: a planted key would be taken"
        yield Finding("signatures_ignored", "problem", text, "--trusted-signer, or DPM_TRUSTED_SIGNERS")


def _alive(view: RingView) -> list[Key]:
    """Keys that still protect or unprotect something that matters: neither revoked nor expired."""
    return [key for key in view.keys if key.revocation is None and view.now < key.expiration_date]


def _at_rest(dp: DataProtection, view: RingView) -> Iterator[Finding]:
    """Who can read the store can read every key that is not wrapped."""
    alive = _alive(view)
    clear = [key for key in alive if not key.wrapped]
    if clear:
        text = f"{len(clear)} of {len(alive)} keys lie in the store in clear"
        hint = "give a key wrapper, make a new key, revoke these when nobody holds payloads of theirs"
        yield Finding("keys_not_wrapped", "problem", text, hint)
    if not dp.manager.wrappers and dp.repository.location != "memory:":
        hint = "--key-wrapper, or DPM_KEY_WRAPPER"
        yield Finding("no_key_wrapper", "problem", "new keys will be stored in clear", hint)
    makes_keys = os.environ.get("DPM_AUTO_CREATE_KEYS", "").lower() not in {"false", "0", "no"}
    for number, wrapper in enumerate(dp.manager.wrappers):
        wraps = makes_keys and number == 0
        for weak in weaknesses(wrapper, ring=dp.ring, now=view.now.to_datetime(), wraps=wraps):
            yield Finding(weak.code, "problem", weak.text, weak.hint)
    ours = sorted(t for w in dp.manager.wrappers[:1] for t in w.decryptor_types if t.startswith("dpmiddleware."))
    if ours:
        text = f".NET members of this farm cannot read keys wrapped as {ours[0]}"
        yield Finding("dotnet_cannot_unwrap", "note", text, "a mixed farm wraps with x509, azurekv or dpapi")
    if view.reading.keys and not view.reading.signed:
        text = "nothing is signed: whoever can write to the store can plant a key"
        yield Finding("not_signed", "note", text, "`dpm keys sign`, and --trusted-signer in every member")
    if view.reading.signed:
        text = "the ring is signed: .NET members do not sign, so they run with key generation off"
        yield Finding("dotnet_does_not_sign", "note", text)


def _keys(dp: DataProtection, view: RingView) -> Iterator[Finding]:
    """Keys that cannot be used, and the one that protects."""
    for key in _alive(view):
        if not key.usable:
            hint = "is what it is wrapped with configured here?"
            yield Finding("key_unusable", "problem", f"key {key.id}: {key.problem}", hint)
    reading, now = view.reading, view.now
    decided = plan(now, reading.keys, reading.revocations, dp.policy, unreadable=reading.unreadable)
    if decided.blocked:
        yield Finding("making_blocked", "problem", f"a key is due and is not made: {decided.blocked}")
    elif decided.protect_with is None or decided.protect_with.expiration_date <= now:
        yield Finding("no_default_key", "note", "no key protects now: the next member that may make keys makes one")
    elif decided.make is not None:
        text = f"the default key expires {moment(decided.protect_with.expiration_date)} and a successor is due"
        yield Finding("successor_due", "note", text, "the next member that may make keys makes it")


def _clock(dp: DataProtection, view: RingView) -> Iterator[Finding]:
    """A key from the future means that a clock is wrong, here or where it was made."""
    ahead = [r.date for r in view.reading.revocations if r.key_id is None and r.date and r.date > view.now]
    latest = max((key.creation_date for key in view.reading.keys), default=view.now)
    if ahead:
        text = f"all keys created before {max(ahead)} are revoked, and that lies ahead: keys made until then are too"
        yield Finding("revocation_ahead", "problem", text)
    elif latest > view.now + dp.policy.clock_skew:
        text = f"the newest key was made {moment(latest)}, and here it is {moment(view.now)}"
        yield Finding("clock", "problem", text, "set the clock, here or where the key was made")


def _name(dp: DataProtection) -> Iterator[Finding]:
    if dp.application is None:
        text = "no application name: every application on this ring opens every other's payloads"
        yield Finding("no_application", "note", text, "--application, the same in the whole farm")
