"""Creates the table of keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations.base import Operation

from dpmiddleware.django.key_table import CreateKeyTable


class Migration(migrations.Migration):
    """The first one."""

    initial = True
    dependencies: ClassVar[Sequence[tuple[str, str]]] = ()
    operations: ClassVar[Sequence[Operation]] = (CreateKeyTable(),)
