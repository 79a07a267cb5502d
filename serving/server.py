"""Starts the service: BentoML on the loopback address unless told otherwise, in place of the calling process."""

from __future__ import annotations

import os
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

from features.errors import InputError, RefusedError
from features.programme import Programme, load_programme
from serving.answers import open_answers
from serving.database import open_database, owner_of
from serving.keys import KeyStore

PROGRAMME_VARIABLE = "WINBACK_PROGRAMME"
BUNDLE_VARIABLE = "WINBACK_BUNDLE"
KEYS_VARIABLE, NO_KEYS = "WINBACK_KEYS", "none"
OWN_PROGRAMME, OWN_BUNDLE = "programme.toml", "bundle"
"""Names of the programme file and the model that lie beside the packages in a Bento."""
HOST = "127.0.0.1"


def serve(
    programme_file: Path, *, port: int, host: str = HOST, bundle_folder: Path | None = None, asks_for_keys: bool = True
) -> NoReturn:
    """Check that everything the server needs is there and whole, then become the server until interrupted.

    Raises
    ------
    InputError
        If the host is no IP address, or nobody would be asked for a key at one that others reach.
    RefusedError
        If keys are asked for and there is none, there is no whole model, or model or policy cannot decide as of now.
    """
    _refuse_unguarded(host, asks_for_keys=asks_for_keys)
    programme = load_programme(programme_file)
    if asks_for_keys:
        _require_a_key(programme)
    open_answers(programme, bundle_folder).close()
    settings = environment(programme_file, bundle_folder, asks_for_keys=asks_for_keys)
    os.execve(sys.executable, command(port, host), settings)  # noqa: S606


def command(port: int, host: str = HOST) -> list[str]:
    """Return the command line of the server."""
    target = "serving.service:Winback"
    return [sys.executable, "-m", "bentoml", "serve", target, "--host", host, "--port", str(port), "--do-not-track"]


def environment(
    programme_file: Path, bundle_folder: Path | None = None, *, asks_for_keys: bool = True
) -> dict[str, str]:
    """Return the environment that tells the server what to serve, and to whom."""
    settings = {PROGRAMME_VARIABLE: str(programme_file.resolve())}
    if bundle_folder is not None:
        settings[BUNDLE_VARIABLE] = str(bundle_folder.resolve())
    if not asks_for_keys:
        settings[KEYS_VARIABLE] = NO_KEYS
    return {**os.environ, **settings}


def served() -> tuple[Path, Path | None]:
    """Return the programme file and the bundle's folder to serve: as the environment says, else those of a Bento."""
    own = Path(__file__).parents[1]
    if PROGRAMME_VARIABLE not in os.environ:
        return own / OWN_PROGRAMME, own / OWN_BUNDLE
    folder = os.environ.get(BUNDLE_VARIABLE)
    return Path(os.environ[PROGRAMME_VARIABLE]), Path(folder) if folder else None


def _refuse_unguarded(host: str, *, asks_for_keys: bool) -> None:
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError as error:
        raise InputError(f"{host!r} is no IP address; 127.0.0.1 is this machine, 0.0.0.0 all its networks") from error
    if not (asks_for_keys or is_loopback):
        raise InputError(f"without keys the service answers this machine only, not {host}")


def _require_a_key(programme: Programme) -> None:
    database = open_database(programme)
    try:
        if not KeyStore(database, owner_of(programme)).ring().keys:
            raise RefusedError(
                "there is no key yet, so nobody could ask; make one with `winback keys add --name crm --scope score`, "
                "or answer this machine without keys with `winback serve --no-keys`"
            )
    finally:
        database.close()
