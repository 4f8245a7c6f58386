"""Bytes in, bytes out: no files, no clock, no knowledge of keys' dates.

`encryptors` encrypts and authenticates one payload (`_cbc_hmac.c` is its compiled form), `derivation` derives subkeys
from a master key, and `secret` holds key bytes.
"""
