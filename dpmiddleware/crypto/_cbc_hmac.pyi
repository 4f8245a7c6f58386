"""What `_cbc_hmac.c` offers; it is there only where it was built. `dpmiddleware.crypto.encryptors` uses it."""

from collections.abc import Callable
from typing import Final, NoReturn, final

LIBRARY: Final[str]
"""Version of the OpenSSL that is in use."""

@final
class CbcHmac:
    """One key for one label. Safe for several threads; cannot be pickled or copied."""

    def __new__(
        cls,
        cipher: str,
        digest: str,
        master_key: bytes,
        fixed: bytes,
        head: bytes,
        urandom: Callable[[int], bytes],
        refuse: Callable[[], NoReturn],
        /,
    ) -> CbcHmac:
        """``cipher``, ``digest``: OpenSSL's names of a CBC cipher with blocks of 16 bytes, and of the HMAC's hash.

        ``master_key``: 128 bytes at most. ``fixed``: what stands before the key modifier in the derivation.
        ``head``: 64 bytes at most, put before each body. ``refuse`` is called for a body that is not authentic.

        `ValueError`: sizes that are not known here; `RuntimeError`: OpenSSL does not have the algorithm.
        """

    def encrypt(self, plaintext: bytes, /) -> bytes:
        """Plaintext in, ``head ‖ body`` out. `OverflowError` from 2 GiB on."""

    def decrypt(self, payload: bytes, /) -> bytes:
        """``head ‖ body`` in, plaintext out; what ``refuse`` raises, for every cause. The head is not looked at."""
