"""``dpm keys revoke`` and ``dpm keys revoke-all``."""

from __future__ import annotations

import argparse
from uuid import UUID

from dpmiddleware.cli.output import Console
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.ring import RingView, open_ring
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.instants import Instant

__all__ = ["add_to", "date"]


def add_to(verbs: Verbs) -> None:
    """``revoke``, ``revoke-all``."""
    revoke = verbs.add("revoke", _revoke, "refuse every payload under one key")
    revoke.add_argument("key", metavar="KEY", type=_key_id, help="its whole id")
    revoke.add_argument("--unknown", action="store_true", help="also if the ring has no such key")
    everything = verbs.add("revoke-all", _revoke_all, "refuse every payload under the keys that there are")
    everything.add_argument(
        "--before", metavar="DATE", type=date, help="only keys created before it; UTC unless it says"
    )
    everything.add_argument("--future", action="store_true", help="the date may lie ahead")
    for parser in (revoke, everything):
        parser.add_argument("--reason", default="", help="stands in the document, for people")
        parser.add_argument("--yes", action="store_true", help="do not ask")


def date(text: str) -> Instant:
    """A date as an operator types it: XML Schema, a blank for the T allowed, UTC where no zone is given."""
    text = text.strip().replace(" ", "T")
    has_zone = text[-1:] in {"Z", "z"} or (text[-6:-5] in {"+", "-"} and text[-3:-2] == ":")
    try:
        return Instant.parse(text if has_zone else f"{text}Z")
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError("not a date such as 2026-11-22T10:00:00Z") from None


def _key_id(text: str) -> UUID:
    """The whole id of a key: what destroys takes no abbreviation."""
    try:
        return UUID(text.strip())
    except ValueError:
        raise argparse.ArgumentTypeError("not the whole id of a key; `dpm keys list` shows the ids") from None


def _revoke(arguments: argparse.Namespace, console: Console) -> int:
    dp, wanted = open_ring(arguments), arguments.key
    view = RingView.of(dp)
    key = view.find(str(wanted))
    if key is None and not arguments.unknown:
        console.error(f"the ring has no key {wanted}", "--unknown revokes it all the same")
        return 1
    state = "unknown here" if key is None else view.describe(key)
    if not console.confirmed(f"revoke {wanted} ({state})", yes=arguments.yes):
        return 1
    changed = dp.manager.revoke(wanted, arguments.reason)
    lines = [f"revoked {wanted}: refused everywhere within {_poll(dp)}" if changed else f"{wanted} was revoked already"]
    was_default = wanted == view.default
    if changed and was_default:
        lines.append("it was the default key: the next member that looks makes a new one, or `dpm keys create --now`")
    console.result({"revoked": str(wanted), "already": not changed, "was_default": was_default}, lines)
    return 0


def _poll(dp: DataProtection) -> str:
    return f"{dp.policy.poll.total_seconds():g} s"


def _revoke_all(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    scope = "all keys" if arguments.before is None else f"all keys created before {arguments.before}"
    if not console.confirmed(f"revoke {scope} in {dp.repository.location}", yes=arguments.yes):
        return 1
    done = dp.manager.revoke_all(arguments.before, arguments.reason, future=arguments.future)
    survivors = sorted(done.survivors, key=lambda key: key.creation_date)
    lines = [
        f"revoked every key created before {done.date}: {len(done.revoked)}; refused everywhere within {_poll(dp)}",
        f"created {done.new_key}",
        *(f"survives: {key.id}, created {key.creation_date}" for key in survivors),
    ]
    data = {
        "date": str(done.date),
        "revoked": [str(key.id) for key in sorted(done.revoked, key=lambda key: key.creation_date)],
        "survivors": [str(key.id) for key in survivors],
        "created": str(done.new_key),
    }
    console.result(data, lines)
    if survivors:
        console.error(f"{len(survivors)} keys survive", "without --before none does")
    return 1 if survivors else 0
