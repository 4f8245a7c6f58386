"""``dpm key-blob create`` and ``verify``: a session key for a disk that is assumed insecure. No ring is touched."""

from __future__ import annotations

import argparse
from pathlib import Path

from dpmiddleware.at_rest.key_blob import create_key_blob, signature_path, verify_key_blob
from dpmiddleware.cli.output import Console
from dpmiddleware.cli.parsers import Verbs

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``key-blob create``, ``key-blob verify``."""
    blobs = verbs.group("key-blob", "a session key, exported to an exchange key and signed")
    create = blobs.add("create", _create, "make a session key, export it, sign the blob, store both", ring=False)
    create.add_argument("blob", metavar="FILE", help="the blob to write; its signature is written beside it")
    create.add_argument(
        "--exchange", metavar="FILE", required=True, help="the exchange key; its public half or certificate will do"
    )
    create.add_argument("--signer", metavar="FILE", required=True, help="the signer's RSA private key")
    create.add_argument("--password", metavar="WHERE", help="of the signer's file: env:NAME, or a file")
    create.add_argument("--oaep", action="store_true", help="OAEP in place of PKCS#1 v1.5 (CRYPT_OAEP)")
    verify = blobs.add("verify", _verify, "did somebody trusted sign it? decrypts nothing", ring=False)
    verify.add_argument("blob", metavar="FILE", help="the blob")
    verify.add_argument(
        "--trust", metavar="FILE", action="append", required=True, help="who may have signed it; repeatable"
    )


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
        f"signed in {signature}; the two belong together",
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
