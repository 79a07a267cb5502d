"""``winback keys``: makes, lists and revokes the keys that open the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from serving.console import PROGRAMME_FILE, JsonOption, ProgrammeOption, command

if TYPE_CHECKING:
    from serving.keys import Key, KeyStore, Scope

app = typer.Typer(help="Keys that open the service.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Option(help="Who will hold it, such as crm.")],
    scope: Annotated[list[str], typer.Option(help="What it opens: score, write or admin; may be given again.")],
    programme: ProgrammeOption = PROGRAMME_FILE,
    json: JsonOption = None,
) -> None:
    """Make a key and show it, once: only its hash is kept."""
    from features.errors import InputError
    from serving.keys import SCOPES

    with command(json) as report, _opened(programme) as keys:
        if unknown := sorted(set(scope) - set(SCOPES)):
            raise InputError(f"no such scope: {', '.join(unknown)}; there are {', '.join(SCOPES)}")
        key, text = keys.add(name, [cast("Scope", each) for each in scope])
        report.record = {**_row(key), "key": text}
        report.say(f"key {key.id} for {key.name}; it is shown this once:")
        report.say(text)


@app.command("list")
def list_(programme: ProgrammeOption = PROGRAMME_FILE, json: JsonOption = None) -> None:
    """Show every key that was made, and whether it still holds."""
    with command(json) as report, _opened(programme) as keys:
        rows = [_row(key) for key in keys.all()]
        report.record = {"keys": rows}
        report.table("keys", rows)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="Its id, as `winback keys list` shows it.")],
    programme: ProgrammeOption = PROGRAMME_FILE,
    json: JsonOption = None,
) -> None:
    """Make a key open nothing any more; a running service notices within seconds."""
    with command(json) as report, _opened(programme) as keys:
        revoked = keys.revoke(key)
        report.record = _row(revoked)
        report.say(f"key {revoked.id} of {revoked.name} opens nothing any more")


@contextmanager
def _opened(programme_file: Path) -> Iterator[KeyStore]:
    from features.programme import load_programme
    from serving.database import open_database, owner_of
    from serving.keys import KeyStore

    programme = load_programme(programme_file)
    database = open_database(programme)
    try:
        yield KeyStore(database, owner_of(programme))
    finally:
        database.close()


def _row(key: Key) -> dict[str, str | None]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": " ".join(sorted(key.scopes)),
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "revoked_at": key.revoked_at.isoformat(timespec="seconds") if key.revoked_at else None,
    }
