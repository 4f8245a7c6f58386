"""The stores that key rings are kept in. Each implements `dpmiddleware.keys.interfaces.KeyRepository`.

====================  ============================================================================
memory.py             documents in this process
files.py              a folder with one file per document; folder.py: how such a folder is listed,
                      read and written; folder_lock.py: its lock, and private files
redis.py              a list in Redis or Valkey; redis_settings.py: whether the server keeps it
table.py              a table of a database: versions and commits, whichever library talks to the database
sql.py                a table through SQLAlchemy; sql_statements.py: what is said to it, in each dialect;
                      sql_place.py: which table is meant; sql_engine.py: what drivers differ in
django_database.py    a table through Django; django_table.py: its model, rows and connection
azure_blob.py, s3.py  an object in Azure Blob Storage or S3; one_document.py: what both share
windows_registry.py   values of a Windows registry key
documents.py          rules for documents that all stores follow: names, order, size
markup.py             documents as XML text, cut out of and put into one larger text
base.py               the base class: location, and errors in the same words
findings.py           what a repository says of its own store, for ``dpm check``
bounded.py            a call with a time limit
====================  ============================================================================

The tables below name the class of each URL scheme; `dpmiddleware.components` imports it when a URL needs it, so that
libraries of stores stay extras.
"""

from __future__ import annotations

from typing import Final

__all__ = ["REPOSITORIES", "SQL"]

REPOSITORIES: Final = {
    "memory": "repositories.memory.MemoryKeyRepository",
    "file": "repositories.files.FileKeyRepository",
    "redis": "repositories.redis.RedisKeyRepository",
    "rediss": "repositories.redis.RedisKeyRepository",
    "unix": "repositories.redis.RedisKeyRepository",
    "django": "repositories.django_database.DjangoKeyRepository",
    "azblob": "repositories.azure_blob.AzureBlobKeyRepository",
    "s3": "repositories.s3.S3KeyRepository",
    "registry": "repositories.windows_registry.RegistryKeyRepository",
}
"""URL scheme → module and class, below ``dpmiddleware``. A path without a scheme is opened like ``file``."""
SQL: Final = "repositories.sql.SqlKeyRepository"
"""The class of every scheme that SQLAlchemy has a dialect for."""
