"""``dpm keys sign`` and ``dpm keys verify``: the signatures of the documents of a ring."""

from __future__ import annotations

import argparse

from dpmiddleware.cli.moments import moment
from dpmiddleware.cli.output import Console, counted, entries
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.presence import Needs, no_ring
from dpmiddleware.cli.ring import open_ring
from dpmiddleware.cli.usage import UsageError
from dpmiddleware.errors import DocumentSignatureError, MalformedDocumentError
from dpmiddleware.keys import document
from dpmiddleware.keys.document import KeyDocument, RevocationDocument
from dpmiddleware.keys.manager import KeyManager
from dpmiddleware.keys.policy import POLICY_SETTINGS, no_limit
from dpmiddleware.keys.ring_policy import PolicyDocument
from dpmiddleware.keys.sign_existing import ExistingDocuments, find_unsigned, sign
from dpmiddleware.printable import printable

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``sign``, ``verify``."""
    adopt = verbs.add(
        "sign",
        _sign,
        "show the documents that are not signed, then sign them",
        examples=["dpm keys sign --repository redis://localhost/0 --signer ed25519:///run/secrets/signer.pem"],
        needs=Needs.DOCUMENTS,
        changes=True,
    )
    adopt.add_argument("--yes", action="store_true", help="do not ask for confirmation: trust the store as it is")
    verify = verbs.add(
        "verify",
        _verify,
        "verify that a trusted signer signed every document, and that every key is usable",
        examples=["dpm keys verify --repository redis://localhost/0 --trusted-signer /etc/shop/signer.pub"],
        notes=False,
        needs=Needs.DOCUMENTS,
    )
    verify.add_argument("--signatures-only", action="store_true", help="do not unwrap the keys")


def _sign(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    manager, location = dp.manager, dp.repository.location
    found = find_unsigned(manager)
    if not (found.unsigned or found.signed or found.left_out):
        raise no_ring(dp)
    for aside in found.left_out:
        console.error(f"{aside.name} will not be signed: {aside.problem}")
    if not found.unsigned:
        line = f"nothing to sign in {location}; already signed: {found.signed}"
        console.result({"location": location, "signed": 0, "trusted": found.signed}, [line])
        return 1 if found.left_out else 0
    for line in _shown(found):
        console.message(line)
    action = f"sign {counted(len(found.unsigned), 'document')} in {location}"
    effect = "every member trusts them then, even if an attacker wrote them"
    if not console.confirmed(action, effect, yes=arguments.yes):
        return 1
    signed = sign(manager, found)
    newest = found.newest_creation
    lines = [f"signed {counted(signed, 'document')} in {location}"]
    if newest is not None:
        lines += [
            "If an attacker may have written to the store before, replace the keys:",
            console.written(f"run `dpm keys create --now`, then `dpm keys revoke-all --before {newest.next()}`."),
            "Users have to sign in again.",
        ]
    revoke_before = None if newest is None else str(newest.next())
    trusted = found.signed + signed
    data = {"location": location, "signed": signed, "trusted": trusted, "revoke_before": revoke_before}
    console.result(data, lines)
    return 1 if found.left_out else 0


def _shown(found: ExistingDocuments) -> list[str]:
    """The documents that would be trusted, revocations first."""
    ordered = sorted(found.unsigned, key=lambda one: isinstance(one, KeyDocument))
    return entries("UNSIGNED", [(one.stored.name or one.stored.locator, _in_words(one)) for one in ordered])


def _in_words(one: KeyDocument | RevocationDocument | PolicyDocument) -> str:
    if isinstance(one, PolicyDocument):
        policy = one.set.policy
        return "policy: " + ", ".join(f"{name} {no_limit(getattr(policy, name))}" for name in POLICY_SETTINGS)
    if isinstance(one, KeyDocument):
        return f"key {one.id}\ncreated {moment(one.creation_date)}, expires {moment(one.expiration_date)}"
    scope = "all keys created before its date" if one.key_id is None else f"key {one.key_id}"
    return f"revocation of {scope}\ndate {one.date or 'missing'}, reason: {printable(one.reason) or '-'}"


def _verify(arguments: argparse.Namespace, console: Console) -> int:
    dp = open_ring(arguments)
    manager = dp.manager
    if manager.verifier is None:
        raise UsageError("no signer is trusted: signatures cannot be verified", hint="use --trusted-signer signer.pub")
    problems, number = _signatures(manager)
    if not number:
        raise no_ring(dp)
    if not arguments.signatures_only:
        problems += _unusable(manager, {name for name, _ in problems})
    lines = [f"{manager.repository.location}: {counted(number, 'document')}, {counted(len(problems), 'problem')}"]
    lines += entries("DOCUMENT OR KEY", problems, console.written) if problems else []
    data = {"documents": number, "problems": [{"document": name, "problem": why} for name, why in problems]}
    console.result(data, lines)
    return 1 if problems else 0


def _unusable(manager: KeyManager, told: set[str]) -> list[tuple[str, str]]:
    """Documents that members set aside although they are signed, and keys that cannot be unwrapped. told: names."""
    reading = manager.read()
    found = [(aside.name, aside.problem) for aside in reading.set_aside if aside.name not in told]
    return found + [(str(key.id), key.problem) for key in reading.keys if key.problem and not key.revocation]


def _signatures(manager: KeyManager) -> tuple[list[tuple[str, str]], int]:
    """The documents without a trusted signature, each with its problem; and the number of all documents."""
    assert manager.verifier is not None  # noqa: S101 (checked by the caller)
    stored = manager.repository.read().documents
    problems: list[tuple[str, str]] = []
    for one in stored:
        try:
            manager.verifier.verify(document.load(one).element)
        except (DocumentSignatureError, MalformedDocumentError) as error:
            problems.append((one.name or one.locator, str(error)))
    return problems, len(stored)
