"""One JSON line per event; members appear as keyed hashes only."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

MEMBERS_NAMED: Final = 10
"""Of how many members a call's line holds the hashes."""

_FIELDS: Final = "fields"
_requests = logging.getLogger("winback.requests")


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON: time, level, logger, message, and what else was given."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class RequestLog:
    """Writes one line per request; members appear as hashes made with a secret.

    Parameters
    ----------
    secret
        Without it nobody can tell who a hash is; with it, lines about one member can be found.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def write(self, state: Mapping[str, Any], *, method: str, path: str, status: int, seconds: float) -> None:
        """Log a request: its id, the key's name, the route, the status, how long it took and whom it was about."""
        members: Sequence[str] = state.get("members", ())
        named = {"members": len(members), "member_hashes": [self.hashed(each) for each in members[:MEMBERS_NAMED]]}
        fields = {
            "request_id": state["request_id"],
            "key": state.get("key"),
            "method": method,
            "path": path,
            "status": status,
            "milliseconds": round(1000 * seconds, 3),
            **(named if members else {}),
        }
        _requests.info("request", extra={_FIELDS: fields})

    def hashed(self, member_id: str) -> str:
        """Return 16 hexadecimal digits that stand for a member."""
        return hashlib.blake2b(member_id.encode(), key=self._secret, digest_size=8).hexdigest()


def open_request_log(secret_file: Path) -> RequestLog:
    """Return a log whose hashes stay the same over restarts: the secret is kept in a file only its owner may read."""
    if not secret_file.exists():
        secret_file.parent.mkdir(parents=True, exist_ok=True)
        new = secret_file.with_name(f".{secret_file.name}.{os.getpid()}")
        new.touch(mode=0o600)
        new.write_text(secrets.token_hex(32))
        new.rename(secret_file)
    return RequestLog(bytes.fromhex(secret_file.read_text()))


def configure_logging() -> None:
    """Let everything this process logs, BentoML's own lines included, be JSON on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers, root.level = [handler], logging.INFO
    for name in ("bentoml", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    for name in ("uvicorn.access", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
