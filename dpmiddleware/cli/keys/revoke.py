"""``dpm keys revoke`` and ``dpm keys revoke-all``: refuse every payload under a key, or under all keys."""

from __future__ import annotations

import argparse
from uuid import UUID

from dpmiddleware.cli.output import Console, counted
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.ring import RingView, open_ring
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.instants import Instant

__all__ = ["add_to", "date"]


def add_to(verbs: Verbs) -> None:
    """``revoke``, ``revoke-all``."""
    revoke = verbs.add("revoke", _revoke, "revoke one key: its payloads are refused")
    revoke.add_argument("key", metavar="KEY", type=_key_id, help="complete id of the key")
    revoke.add_argument("--unknown", action="store_true", help="revoke the id even if the ring has no such key")
    everything = verbs.add("revoke-all", _revoke_all, "revoke all existing keys, and create a new one")
    text = "revoke only keys created before this date (UTC unless it has a time zone)"
    everything.add_argument("--before", metavar="DATE", type=date, help=text)
    everything.add_argument("--future", action="store_true", help="allow a date in the future")
    for parser in (revoke, everything):
        parser.add_argument("--reason", default="", help="text to store in the revocation")
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")


def date(text: str) -> Instant:
    """An XML Schema date. A space may replace the T; without a time zone it is UTC."""
    text = text.strip().replace(" ", "T")
    has_zone = text[-1:] in {"Z", "z"} or (text[-6:-5] in {"+", "-"} and text[-3:-2] == ":")
    try:
        return Instant.parse(text if has_zone else f"{text}Z")
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError("must be a date such as 2026-11-22T10:00:00Z") from None


def _key_id(text: str) -> UUID:
    """The complete id of a key: a revocation cannot be undone, so no abbreviation is accepted."""
    try:
        return UUID(text.strip())
    except ValueError:
        raise argparse.ArgumentTypeError("must be the complete id of a key; `dpm keys list` shows the ids") from None


def _revoke(arguments: argparse.Namespace, console: Console) -> int:
    dp, wanted = open_ring(arguments), arguments.key
    view = RingView.of(dp)
    key = view.find(str(wanted))
    if key is None and not arguments.unknown:
        console.error(f"the ring has no key {wanted}", "use --unknown to revoke this id anyway")
        return 1
    state = "not in this ring" if key is None else view.describe(key)
    if not console.confirmed(f"revoke {wanted} ({state})", yes=arguments.yes):
        return 1
    changed = dp.manager.revoke(wanted, arguments.reason)
    lines = [f"revoked {wanted}; {_effect(dp)}" if changed else f"{wanted} is already revoked"]
    was_default = wanted == view.default
    default = RingView.of(dp).default if changed else view.default
    successor = None if default is None or default == view.default else str(default)
    if successor is not None:
        lines.append(f"it was the default key: {successor} was created and protects now")
    data = {"revoked": str(wanted), "already": not changed, "was_default": was_default, "successor": successor}
    console.result(data, lines)
    if default is None and was_default:
        console.error("no key protects now", "run `dpm check` for the reason, then `dpm keys create --now`")
        return 1
    return 0


def _effect(dp: DataProtection) -> str:
    return f"effective in every member within {dp.policy.poll.total_seconds():g} s"


def _revoke_all(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    scope = "all keys" if arguments.before is None else f"all keys created before {arguments.before}"
    if not console.confirmed(f"revoke {scope} in {dp.repository.location}", yes=arguments.yes):
        return 1
    done = dp.manager.revoke_all(arguments.before, arguments.reason, future=arguments.future)
    survivors = sorted(done.survivors, key=lambda key: key.creation_date)
    lines = [
        f"revoked all keys created before {done.date}: {counted(len(done.revoked), 'key')}; {_effect(dp)}",
        f"created {done.new_key}",
        *(f"not revoked: {key.id}, created {key.creation_date}" for key in survivors),
    ]
    data = {
        "date": str(done.date),
        "revoked": [str(key.id) for key in sorted(done.revoked, key=lambda key: key.creation_date)],
        "survivors": [str(key.id) for key in survivors],
        "created": str(done.new_key),
    }
    console.result(data, lines)
    if survivors:
        console.error(f"not revoked: {counted(len(survivors), 'key')}", "omit --before to revoke all keys")
    return 1 if survivors else 0
