"""The errors users see. Each names what is wrong, where, and what to do about it."""

from __future__ import annotations


class WinbackError(Exception):
    """Base of every error that is the user's to fix; the command line prints it without a traceback."""

    exit_code = 2


class InputError(WinbackError):
    """The programme file, a table or a request does not fit the contract."""


class RefusedError(WinbackError):
    """The request is well formed, but answering it would be wrong (stale model, unreleased week, failed gate)."""

    exit_code = 4


class PassingError(WinbackError):
    """A disk, a database or what else a run needs failed; what was done is kept, and another try may succeed."""

    exit_code = 5


class OutputError(PassingError):
    """What a run makes cannot be written."""
