"""``dpm keys sign`` and ``keys verify``: who vouches for the documents of a ring."""

from __future__ import annotations

import argparse

from dpmiddleware.cli.output import Console, counted, table
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.ring import UsageError, open_ring
from dpmiddleware.errors import DocumentSignatureError, MalformedDocumentError
from dpmiddleware.keys import document
from dpmiddleware.keys.adoption import Adoption, sign, unsigned_documents
from dpmiddleware.keys.document import KeyDocument, RevocationDocument
from dpmiddleware.keys.manager import KeyManager

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``sign``, ``verify``."""
    adopt = verbs.add("sign", _sign, "sign what nobody has signed yet, after showing it")
    adopt.add_argument("--yes", action="store_true", help="do not ask: trust whatever is in the store")
    verify = verbs.add(
        "verify", _verify, "is every document signed by somebody trusted, and every key usable?", notes=False
    )
    verify.add_argument("--signatures-only", action="store_true", help="unwrap nothing")


def _sign(arguments: argparse.Namespace, console: Console) -> int:
    manager = open_ring(arguments).manager
    adoption = unsigned_documents(manager)
    for aside in adoption.left_out:
        console.error(f"{aside.name} will not be signed: {aside.problem}")
    if not adoption.unsigned:
        console.result(
            {"signed": 0, "trusted": adoption.signed}, [f"nothing to sign; {adoption.signed} signed already"]
        )
        return 1 if adoption.left_out else 0
    for line in console.escaped(_shown(adoption)):
        console.message(line)
    question = f"sign these {counted(len(adoption.unsigned), 'document')}, and so trust them"
    if not console.confirmed(question, yes=arguments.yes):
        return 1
    signed = sign(manager, adoption)
    newest = adoption.newest_creation
    lines = [f"signed {counted(signed, 'document')}"]
    if newest is not None:
        lines.append(
            "whoever could write to the store may have planted one: `dpm keys create --now`, and when its users"
        )
        lines.append(f"can sign in again, `dpm keys revoke-all --before {newest.next()}` leaves none of them")
    revoke_before = None if newest is None else str(newest.next())
    console.result({"signed": signed, "trusted": adoption.signed + signed, "revoke_before": revoke_before}, lines)
    return 1 if adoption.left_out else 0


def _shown(adoption: Adoption) -> list[str]:
    """What would be trusted, revocations first."""
    ordered = sorted(adoption.unsigned, key=lambda one: isinstance(one, KeyDocument))
    return table(
        ("UNSIGNED", "WHAT IT IS"), [(one.stored.name or one.stored.locator, _in_words(one)) for one in ordered]
    )


def _in_words(one: KeyDocument | RevocationDocument) -> str:
    if isinstance(one, KeyDocument):
        return f"key {one.id}, created {one.creation_date}, expires {one.expiration_date}"
    whom = "every key created before then" if one.key_id is None else f"key {one.key_id}"
    return f"revocation of {whom}, {one.date or 'without a date'}: {one.reason or 'no reason'}"


def _verify(arguments: argparse.Namespace, console: Console) -> int:
    manager = open_ring(arguments).manager
    if manager.verifier is None:
        raise UsageError("nobody is trusted here, so nothing can be verified", hint="--trusted-signer signer.pub")
    problems, number = _signatures(manager)
    if not arguments.signatures_only:
        problems += [(str(key.id), key.problem) for key in manager.read().keys if key.problem and not key.revocation]
    lines = [f"{manager.repository.location}: {counted(number, 'document')}, {counted(len(problems), 'problem')}"]
    lines += table(("NOT GOOD", "WHY"), problems) if problems else []
    data = {"documents": number, "problems": [{"document": name, "problem": why} for name, why in problems]}
    console.result(data, lines)
    return 1 if problems else 0


def _signatures(manager: KeyManager) -> tuple[list[tuple[str, str]], int]:
    """(document, what is wrong with it) for each that is not signed by somebody trusted; and how many there are."""
    assert manager.verifier is not None  # noqa: S101 (asked by the caller)
    stored = manager.repository.read().documents
    problems: list[tuple[str, str]] = []
    for one in stored:
        try:
            manager.verifier.verify(document.load(one).element)
        except (DocumentSignatureError, MalformedDocumentError) as error:
            problems.append((one.name or one.locator, str(error)))
    return problems, len(stored)
