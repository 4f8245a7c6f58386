"""What the errors of a file system mean for a folder of keys, and what to do about each."""

from __future__ import annotations

import errno
from typing import Final

__all__ = ["explained"]

_ENOTSUPP: Final = 524
"""What Linux's NFS and some drivers report for an operation that they do not have; Python knows no name for it."""
_READ_ONLY_HINT: Final = (
    "allow this user to write there, or let another process create the keys: auto_create_keys=False here, "
    "`dpm keys create` there"
)
_HINTS: Final = {
    errno.ENOSPC: "free some space; until then no key can be created",
    errno.EDQUOT: "free some space or raise the quota; until then no key can be created",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.EACCES: _READ_ONLY_HINT,
    errno.EPERM: _READ_ONLY_HINT,
    errno.EROFS: _READ_ONLY_HINT,
    errno.ENOTDIR: "name a folder; there is a file at this path",
    errno.EEXIST: "name a folder; there is a file at this path",
    errno.EIO: "check the disk and the mount",
    **dict.fromkeys(
        (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EXDEV, errno.EMLINK, _ENOTSUPP),
        "use another mount or another store: this mount cannot create a file exclusively or rename one",
    ),
}


def explained(error: OSError, doing: str) -> tuple[object, str]:
    """The problem in words, and the hint. doing: ``read`` or ``write to``."""
    hint = _HINTS.get(error.errno or 0, "check that the folder exists and its disk is healthy")
    if doing == "read" and error.errno in {errno.EACCES, errno.EPERM}:
        hint = "allow this user to list the folder and read its files"
    problem = "the mount does not support this (ENOTSUPP)" if error.errno == _ENOTSUPP else error.strerror
    return problem or error, hint
