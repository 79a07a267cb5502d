"""Starts the service: BentoML on the loopback address, in place of the calling process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from features.programme import load_programme
from serving.answers import open_answers

PROGRAMME_VARIABLE = "WINBACK_PROGRAMME"
BUNDLE_VARIABLE = "WINBACK_BUNDLE"
HOST = "127.0.0.1"


def serve(programme_file: Path, *, port: int, bundle_folder: Path | None = None) -> NoReturn:
    """Check that everything the server needs is there and whole, then become the server until interrupted."""
    open_answers(load_programme(programme_file), bundle_folder).close()
    os.execve(sys.executable, command(port), environment(programme_file, bundle_folder))  # noqa: S606


def command(port: int) -> list[str]:
    """Return the command line of the server."""
    target = "serving.service:Winback"
    return [sys.executable, "-m", "bentoml", "serve", target, "--host", HOST, "--port", str(port), "--do-not-track"]


def environment(programme_file: Path, bundle_folder: Path | None = None) -> dict[str, str]:
    """Return the environment that tells the server what to serve."""
    settings = {PROGRAMME_VARIABLE: str(programme_file.resolve())}
    if bundle_folder is not None:
        settings[BUNDLE_VARIABLE] = str(bundle_folder.resolve())
    return {**os.environ, **settings}
