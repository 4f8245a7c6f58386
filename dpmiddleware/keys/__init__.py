"""The life of a key: stored, trusted, unwrapped, chosen, revoked.

The key walk, in the order of the files: `interfaces` (repository) → `document` → `signature` → at rest → `key` →
`rotation` → `ring`, driven by `manager`, kept current by `provider`.
"""
