"""Where a job or the service finds its model and policy table, and how it sees that there are new ones.

Models are in the registry or in a plain folder, which is served without MLflow; the policy table is one JSON file.
"""

from __future__ import annotations

from pathlib import Path

from features.errors import RefusedError
from features.programme import Programme
from serving.bundle import ModelBundle
from serving.bundle_files import load_bundle, load_policy_table
from serving.mlflow_home import database_file, on_a_server
from serving.policy_table import PolicyTable
from serving.registry import champion_number, load_champion

Stamp = tuple[tuple[int, int, int] | int | None, ...]
"""What changes when files do: each one's inode, size and time of change; None for one that is not there.

Of a server it is the champion's number.
"""


def resolve_bundle(programme: Programme, folder: Path | None = None) -> ModelBundle:
    """Load the bundle in a folder, or the registry's champion when no folder is named.

    Raises
    ------
    RefusedError
        If there is none, it is not whole, or it is another programme's.
    """
    bundle = load_champion(programme) if folder is None else load_bundle(folder)
    _refuse_foreign(f"model {bundle.version}", bundle.programme_name, programme, again="winback train")
    return bundle


def resolve_policy_table(programme: Programme) -> PolicyTable | None:
    """Load the programme's policy table; None when effects were never estimated.

    Raises
    ------
    RefusedError
        If it is not whole, or it is another programme's.
    """
    file = policy_file(programme)
    if not file.exists():
        return None
    table = load_policy_table(file)
    _refuse_foreign(f"the policy table {file}", table.programme_name, programme, again="winback effects")
    return table


def bundle_stamp(programme: Programme, folder: Path | None = None) -> Stamp:
    """Return what changes when `resolve_bundle` may find another bundle; only a server is asked through MLflow.

    Raises
    ------
    TrackingError
        If a server tracks the models and does not answer.
    """
    if folder is not None:
        return _stamp(*sorted(folder.glob("*")))
    if on_a_server(programme):
        return (champion_number(programme),)
    database = database_file(programme)
    return _stamp(database, database.with_name(f"{database.name}-wal"))


def policy_stamp(programme: Programme) -> Stamp:
    """Return what changes when `resolve_policy_table` may find another table."""
    return _stamp(policy_file(programme))


def policy_file(programme: Programme) -> Path:
    """Return where the programme's policy table is kept."""
    return programme.path("var") / programme.output.model / "policy.json"


def _refuse_foreign(what: str, owner: str, programme: Programme, *, again: str) -> None:
    if owner != programme.name:
        raise RefusedError(
            f"{what} is programme {owner!r}'s, not {programme.name!r}'s; name a `model` of its own under [output] "
            f"of the programme file, and run `{again}`"
        )


def _stamp(*files: Path) -> Stamp:
    return tuple(_state(file) for file in files)


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
