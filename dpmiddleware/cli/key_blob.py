"""``dpm key-blob create`` and ``verify``: a session key for an insecure disk. No ring is read or changed."""

from __future__ import annotations

import argparse
from pathlib import Path

from dpmiddleware.at_rest.key_blob_files import create_key_blob, signature_path, verify_key_blob
from dpmiddleware.cli.output import Console
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.verbs import ABOUT

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``key-blob create``, ``key-blob verify``."""
    blobs = verbs.group("key-blob", ABOUT["key-blob"])
    example = "dpm key-blob create session.blob --exchange exchange.pub --signer signer.pem"
    text = "create a session key, export it, and sign the blob"
    create = blobs.add("create", _create, text, examples=[example], ring=False)
    create.add_argument("blob", metavar="FILE", help="the blob to write; the signature is written next to it")
    text = "exchange key; its public half or its certificate is enough"
    create.add_argument("--exchange", metavar="FILE", required=True, help=text)
    create.add_argument("--signer", metavar="FILE", required=True, help="RSA private key of the signer")
    create.add_argument("--password", metavar="WHERE", help="password of the signer's file: env:NAME, or a file")
    create.add_argument("--oaep", action="store_true", help="use OAEP instead of PKCS#1 v1.5 (CRYPT_OAEP)")
    text = "verify that a trusted key signed the blob; nothing is decrypted"
    verify = blobs.add(
        "verify", _verify, text, examples=["dpm key-blob verify session.blob --trust signer.pub"], ring=False
    )
    verify.add_argument("blob", metavar="FILE", help="the blob")
    text = "public key of a trusted signer; can be repeated"
    verify.add_argument("--trust", metavar="FILE", action="append", required=True, help=text)


def _create(arguments: argparse.Namespace, console: Console) -> int:
    digest = create_key_blob(
        arguments.blob,
        exchange=arguments.exchange,
        signer=arguments.signer,
        password=arguments.password,
        oaep=arguments.oaep,
    )
    signature = signature_path(arguments.blob)
    options = f"exchange=/exchange.pem&trust=/signer.pub{'&padding=oaep' if arguments.oaep else ''}"
    lines = [
        f"created {arguments.blob}, SHA-256 {digest}",
        f"signature in {signature}; keep the two files together",
        f"to use it: --key-wrapper 'keyblob://{Path(arguments.blob).absolute()}?{options}'",
    ]
    console.result({"blob": arguments.blob, "signature": str(signature), "sha256": digest}, console.escaped(lines))
    return 0


def _verify(arguments: argparse.Namespace, console: Console) -> int:
    found = verify_key_blob(arguments.blob, arguments.trust)
    line = (
        f"{arguments.blob}: signed by {found.signer}, for an exchange key of {found.bits} bits, SHA-256 {found.digest}"
    )
    data = {"blob": arguments.blob, "signer": str(found.signer), "bits": found.bits, "sha256": found.digest}
    console.result(data, console.escaped([line]))
    return 0
