"""The life of a key: stored, trusted, unwrapped, chosen, revoked; and the current ring of a process.

================  =========================================================================================
file              what is in it
================  =========================================================================================
interfaces.py     what the ring needs from outside: repository, key wrapper, signer and verifier of documents
xml.py            XML: bounded parsing, writing, the canonical form that is signed
descriptor.py     the ``<descriptor>`` in a key document: algorithm and unencrypted master key
document.py       key and revocation documents: load, create, write
signers.py        the keys that sign documents, and their algorithms
signature.py      the signature of a document: sign, verify
wrapping.py       the master key inside a key document: wrap, unwrap, replace the wrapping
key.py            a key and a revocation in memory; which keys a revocation applies to
reading.py        the result of reading a store, with the documents that are not used
reader.py         reads a store: the key walk, from documents to keys
rotation.py       which key protects, and when the next one is due: pure functions of time and keys
ring.py           all keys at one moment, immutable
loading.py        from a reading to the ring
manager.py        reads the ring and changes it: create and revoke keys
maintenance.py    the work of an operator: rotate, copy, prune, wrap again
sign_existing.py  sign the documents of a ring that was not signed so far
freshness.py      use the ring, check it, wait, or fail: one decision from state and time
waiting.py        how long one request may wait
refresh.py        one refresh at a time, and waiting for it
health.py         status and gauges of a ring
provider.py       the current ring of a process, kept fresh
================  =========================================================================================

`dpmiddleware.keys.reader.KeyReader` takes the steps from a store to keys, `dpmiddleware.keys.manager.KeyManager` those
from keys to a ring, and `dpmiddleware.keys.provider.KeyRingProvider` keeps the ring current.
"""
