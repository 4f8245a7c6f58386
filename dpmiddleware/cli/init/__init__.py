"""``dpm init``: write the configuration of an application and of its job, their key material, and the first key.

==============  ==================================================================================
answers.py      what is asked, or told by options
material.py     the certificate or secret that wraps keys, and the key of the signer
values.py       what the names in the templates stand for, on each platform
templates.py    which files each platform has, and how a template becomes a file
new_files.py    all files, or none
first_ring.py   the first key, and ``dpm check``, with the settings that were written
templates/      the files themselves
==============  ==================================================================================

Nothing is overwritten. If the first key cannot be created, the files are removed again.
"""

from __future__ import annotations

import argparse
import io
import json

from dpmiddleware.cli.init.answers import Answers, answers_from
from dpmiddleware.cli.init.first_ring import FirstRing
from dpmiddleware.cli.init.new_files import NewFiles
from dpmiddleware.cli.init.templates import PLATFORMS, files_of, next_steps
from dpmiddleware.cli.output import Console
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.presence import Needs
from dpmiddleware.cli.verbs import ABOUT

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """``init``."""
    init = verbs.add(
        "init",
        _init,
        ABOUT["init"],
        examples=[
            "dpm init --application shop --repository redis://localhost/0",
            "dpm init /etc/shop --application shop --repository redis://localhost/0 --systemd",
            "dpm init --application shop --compose --serves shop:app",
        ],
        ring=False,
        needs=Needs.ROOM,
        changes=True,
    )
    text = "where the files are written; no existing file is overwritten (default: this folder)"
    init.add_argument("folder", metavar="FOLDER", nargs="?", default=".", help=text)
    asked = init.add_argument_group("what is asked at a terminal, if it is not given")
    asked.add_argument("--application", metavar="NAME", help="application name (or DPM_APPLICATION)")
    asked.add_argument("--repository", metavar="URL", help="store of the keys, still empty (or DPM_REPOSITORY)")
    text = "x509: or secret: creates a certificate or a secret; otherwise a key service (default: x509:)"
    asked.add_argument("--key-wrapper", metavar="URL", help=text)
    signed = asked.add_mutually_exclusive_group()
    text = "sign key documents, and create the key of the signer (default)"
    signed.add_argument("--signed", action="store_true", default=None, help=text)
    text = "do not sign key documents: anyone who can write to the store can plant a key"
    signed.add_argument("--not-signed", action="store_false", dest="signed", default=None, help=text)
    _add_platforms(init)


def _add_platforms(init: argparse.ArgumentParser) -> None:
    group = init.add_argument_group("platform")
    one = group.add_mutually_exclusive_group()
    for name, platform in PLATFORMS.items():
        if name:
            one.add_argument(f"--{name}", action="store_const", const=name, dest="platform", help=platform.help_text)
    init.set_defaults(platform="")
    group.add_argument(
        "--serves", metavar="MODULE:NAME", default="app:app", help="what gunicorn serves (default: app:app)"
    )
    group.add_argument("--image", metavar="IMAGE", help="image for Kubernetes (default: the application's name)")


def _init(arguments: argparse.Namespace, console: Console) -> int:
    answers = answers_from(arguments, console)
    new = NewFiles(answers.folder, files_of(answers))
    new.refuse_existing()
    with FirstRing(answers) as ring:
        ring.refuse_a_ring()
        new.write()
        try:
            first_key = ring.create()
        except BaseException:
            if ring.is_empty():
                new.undo()
            raise
        checked = io.StringIO()
        status = ring.check(Console(as_json=console.as_json, out=checked))
    found = checked.getvalue()
    data = {"folder": str(new.folder), "files": new.names, "first_key": first_key}
    data["check"] = json.loads(found) if console.as_json and found else None
    lines = [*_written(answers, new), *ring.told, *found.splitlines(), "", *next_steps(answers)]
    console.result(data, console.escaped(lines))
    return status


def _written(answers: Answers, new: NewFiles) -> list[str]:
    """What is where. No file of key material is shown, only named."""
    return [f"wrote the configuration of {answers.application} to {new.folder}:", *(f"  {name}" for name in new.names)]
