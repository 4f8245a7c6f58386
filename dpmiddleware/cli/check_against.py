"""``dpm check --against``: whether two rings can read each other's payloads. Run it before two slots are swapped.

Each ring protects a canary and opens that of the other, as an application would. No key is created.
"""

from __future__ import annotations

from dpmiddleware.cli.output import Console
from dpmiddleware.data_protection import DataProtection
from dpmiddleware.errors import DataProtectionError, UnknownKeyError
from dpmiddleware.purposes import CHECK

__all__ = ["compare"]

_CANARY = "canary"


def compare(one: DataProtection, other: DataProtection, console: Console) -> int:
    """Print whether each ring opens what the other protects. Exit status 0 if both do."""
    answers = [(one, other, _refusal(one, other)), (other, one, _refusal(other, one))]
    lines = [
        f"{reader.repository.location} {'refuses' if why else 'opens'} payloads of {writer.repository.location}"
        for writer, reader, why in answers
    ]
    data = [
        {"written_by": writer.repository.location, "read_by": reader.repository.location, "problem": why}
        for writer, reader, why in answers
    ]
    console.result({"agree": not any(why for _, _, why in answers), "answers": data}, lines)
    problems = dict.fromkeys(why for _, _, why in answers if why)
    for why in problems:
        console.error(why)
    return 1 if problems else 0


def _refusal(writer: DataProtection, reader: DataProtection) -> str:
    """Why ``reader`` does not open what ``writer`` protects now; empty if it does."""
    try:
        payload = writer.create_protector(CHECK).protect(_CANARY)
        reader.create_protector(CHECK).unprotect(payload)
    except UnknownKeyError as error:
        return (
            f"{reader.repository.location} does not have the key {error.key_id} that {writer.repository.location}"
            " protects with: after a swap, its cookies are refused"
        )
    except DataProtectionError as error:
        return str(error)
    return ""
