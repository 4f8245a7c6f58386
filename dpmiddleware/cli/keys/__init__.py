"""``dpm keys``: the verbs that list, change, move and sign the keys of a ring.

Each file is named after its verbs: ``list_show``, ``timeline``, ``create_rotate``, ``revoke`` (also ``revoke-all``),
``copy_export_import``, ``prune``, ``rewrap``, ``sign_verify``, ``policy`` (a group).
"""

from __future__ import annotations

from dpmiddleware.cli.keys import (
    copy_export_import,
    create_rotate,
    list_show,
    policy,
    prune,
    revoke,
    rewrap,
    sign_verify,
    timeline,
)
from dpmiddleware.cli.parsers import Verbs
from dpmiddleware.cli.verbs import ABOUT

__all__ = ["add_to"]


def add_to(verbs: Verbs) -> None:
    """Add the group ``keys`` and its verbs."""
    group = verbs.group("keys", ABOUT["keys"])
    for file in (list_show, timeline, create_rotate, revoke, copy_export_import, prune, rewrap, sign_verify, policy):
        file.add_to(group)
