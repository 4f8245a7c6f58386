"""The interface of `_cbc_hmac.c`, for `dpmiddleware.crypto.encryptors`. The module exists only if it was built."""

from collections.abc import Callable
from typing import Final, NoReturn, final

LIBRARY: Final[str]
"""The version of OpenSSL in use."""

@final
class CbcHmac:
    """One key for one label. Thread-safe; cannot be pickled or copied."""

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
        """Prepare a key.

        cipher, digest: OpenSSL's names of a CBC cipher with blocks of 16 bytes, and of the hash for HMAC.
        master_key: at most 128 bytes.
        fixed: the part of the derivation's input before the key modifier.
        head: at most 64 bytes, written before each body.
        urandom: returns as many random bytes as it is asked for.
        refuse: called for a body that is not authentic; must raise.

        `ValueError` for sizes that this module does not support, `RuntimeError` if OpenSSL lacks an algorithm.
        """

    def encrypt(self, plaintext: bytes, /) -> bytes:
        """Encrypt a plaintext to ``head ‖ body``. `OverflowError` for 2 GiB or more."""

    def decrypt(self, payload: bytes, /) -> bytes:
        """Decrypt ``head ‖ body``. Calls ``refuse`` for every failure. The head is not checked."""
