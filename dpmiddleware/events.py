"""What to do about each event of `dpmiddleware.telemetry`: the hint of its log record.

An event that an error causes has the error's own hint, and the one here if the error has none. docs/troubleshooting.md
says more about each of them.
"""

from __future__ import annotations

from typing import Final

__all__ = ["HINTS", "HINTS_ON_REFUSALS", "NOTHING"]

NOTHING: Final = ""
"""The hint of an event that occurs in normal operation."""

HINTS: Final = {
    "key_created": NOTHING,
    "key_revoked": NOTHING,
    "key_pruned": NOTHING,
    "key_rewrapped": NOTHING,
    "ring_refreshed": NOTHING,
    "session_discarded": NOTHING,
    "signed_in": NOTHING,
    "signed_out": NOTHING,
    "sign_out_by_get": "sign out with a form that POSTs: any page can send a GET request for a user",
    "sign_in_renewed": NOTHING,
    "sign_in_ended": NOTHING,
    "refresh_failed": "check the store and the network; a ring that is loaded stays in use",
    "ring_stale": "check the store and the network; the reason is in the last record of refresh_failed",
    "ring_shrank": "restore the documents from a copy before any process is restarted: `dpm keys copy` or `import`",
    "document_set_aside": "repair the document, or remove it from the store",
    "document_refused": "sign or rewrap the document if it is yours; if not, find out who can write to the store",
    "key_unusable": "configure the wrapper that this key was wrapped with",
    "making_blocked": "repair what the problem names; `dpm keys list` shows the state of every key",
    "no_default_key": "run `dpm keys rotate --if-due` where keys may be created",
    "keys_in_memory": "set repository= to a store that outlives the process",
    "keys_not_wrapped": "set key_wrapper=, create a new key, and revoke the old ones once their payloads have expired",
    "session_change_lost": "change the session before the first byte of the body is sent",
    "signatures_ignored": "set trusted_signers= in every member",
    "policy_changed": NOTHING,
    "policy_differs": "change the ring with `dpm keys policy set`, or remove these settings",
    "environment_ignored": "create it with DataProtection.from_env(), or remove the variables",
    "ring_signed": "set trusted_signers= in every member, and signer= in those that create keys",
    "key_blob_unsigned": "create a signed blob: `dpm key-blob create --signer`; set trust= to the signer's public key",
    "key_blob_signed_by_exchange_key": "create the blob with a signer of its own, and set trust= to its public key",
    "cross_origin_refused": "see docs/cross-origin.md: trust the origin or exempt the path if it is yours",
    "cross_origin_disagreement": "set origins= to the public origins, or make the proxy pass Host on",
    "insecure_origin_trusted": "use https there: over http, anyone on the way to the user can send such a page",
    "unavailable": "see the last record of refresh_failed",
}

HINTS_ON_REFUSALS: Final = {
    "malformed": "look for another application that sets a cookie of this name, if it continues",
    "tampered": "check that all members have the same application name, purposes and cookie names, if it continues",
    "expired": NOTHING,
    "revoked_key": NOTHING,
    "unknown_key": "check that all members have the same repository; `dpm inspect` and `dpm keys list` show the keys",
    "unusable_key": "run `dpm keys list`: it shows why the key cannot be unwrapped",
    "ambiguous_cookie": "find out which application sets this cookie with another domain or path, if it continues",
}
"""For ``unprotect_refused``, by reason."""
