"""The operation of a migration that creates the table of keys, unless there is one.

The table may have been made by Entity Framework Core, or by a ring under a URL of SQLAlchemy; it is then used as it is.
Going back leaves the table alone, because its rows are keys: without them, everybody is signed out.

The state of the migrations has no model, so ``makemigrations`` finds nothing to do, and no table is ever altered.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from dpmiddleware.repositories.django_table import VENDORS, key_model
from dpmiddleware.repositories.sql_statements import TABLE

__all__ = ["CreateKeyTable"]


class CreateKeyTable(Operation):
    """Create the table if it is absent, in each database where the routers allow it."""

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Nothing: no model is in the state."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Create the table."""
        connection: Any = schema_editor.connection
        model = key_model()
        if connection.vendor not in VENDORS or not self.allow_migrate_model(connection.alias, model):
            return
        if not schema_editor.collect_sql and _exists(connection):
            return
        schema_editor.create_model(model)
        if connection.vendor == "mysql":  # the default may not hold all of Unicode
            schema_editor.execute(f"ALTER TABLE {schema_editor.quote_name(TABLE)} CONVERT TO CHARACTER SET utf8mb4")

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Leave the keys where they are."""

    def describe(self) -> str:
        """What ``migrate --plan`` shows."""
        return f"Create the table {TABLE}, unless it exists"


def _exists(connection: Any) -> bool:
    with connection.cursor() as cursor:
        names: list[str] = connection.introspection.table_names(cursor)
    fold = connection.features.ignores_table_name_case
    return (TABLE.casefold() in map(str.casefold, names)) if fold else TABLE in names
