"""The result every command's job hands to the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class JobResult:
    """A job's outcome: a record for machines, tables and warnings for people."""

    record: dict[str, Any]
    tables: dict[str, Rows] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
