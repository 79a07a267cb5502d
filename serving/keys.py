"""Who may call the service: keys with names and scopes, of which the database keeps hashes only."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Final, Literal, cast, get_args

import sqlalchemy as sa

from features.errors import InputError
from serving.database import METADATA, Database

Scope = Literal["score", "write", "admin"]
"""What a key lets its holder do: read scores, decisions and explanations; send orders, events, offers and outcomes; or
everything, the console's actions included."""

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
_PREFIX: Final = "wb"
_ID_BYTES, _SECRET_BYTES = 4, 32
_NOBODY: Final = "0" * 64

_keys = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("scopes", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("created_at", sa.DateTime, nullable=False),
    sa.Column("revoked_at", sa.DateTime),
)


@dataclass(frozen=True)
class Key:
    """A key as it is known to everybody but its holder."""

    id: str
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    revoked_at: datetime | None = None

    def allows(self, scope: Scope) -> bool:
        """Tell whether the holder may do what needs a scope."""
        return scope in self.scopes or "admin" in self.scopes


@dataclass(frozen=True)
class KeyRing:
    """The keys that hold at one moment, by id, each with the hash of its text."""

    keys: Mapping[str, tuple[Key, str]]

    def find(self, text: str) -> Key | None:
        """Return the key of a text, None where there is none; how long it takes does not tell how near it came."""
        key, digest = self.keys.get(_id_in(text), (None, _NOBODY))
        return key if compare_digest(digest, _digest(text)) else None


class KeyStore:
    """A programme's keys in the database.

    Parameters
    ----------
    database
        Where they are kept.
    owner
        Whose keys; those of other programmes in the same database open nothing here.
    """

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = owner

    def add(self, name: str, scopes: Collection[Scope]) -> tuple[Key, str]:
        """Make a key; return it and its text, which is nowhere kept.

        Raises
        ------
        InputError
            If it would have no name or could do nothing.
        """
        if not (name.isprintable() and 0 < len(name) <= 64):
            raise InputError("a key needs a name of up to 64 printable characters: who holds it, such as crm")
        if not scopes:
            raise InputError(f"a key needs a scope: {', '.join(SCOPES)}")
        key = Key(secrets.token_hex(_ID_BYTES), name, frozenset(scopes), _now())
        text = f"{_PREFIX}_{key.id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
        row = {"id": key.id, "owner": self._owner, "name": name, "scopes": ",".join(sorted(scopes)),
               "digest": _digest(text), "created_at": key.created_at}  # fmt: skip
        with self._database.writing() as connection:
            connection.execute(sa.insert(_keys).values(row))
        return key, text

    def revoke(self, key_id: str) -> Key:
        """Make a key open nothing from now on.

        Raises
        ------
        InputError
            If there is no such key, or it was revoked before.
        """
        this = (_keys.c.id == key_id) & (_keys.c.owner == self._owner) & _keys.c.revoked_at.is_(None)
        with self._database.writing() as connection:
            changed = connection.execute(sa.update(_keys).where(this).values(revoked_at=_now()).returning(*_keys.c))
            row = changed.mappings().one_or_none()
        if row is None:
            raise InputError(f"no key {key_id!r} that still holds; `winback keys list` shows them")
        return _key(row)

    def all(self) -> list[Key]:
        """Return every key ever made, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(self._own().order_by(_keys.c.created_at, _keys.c.id)).mappings().all()
        return [_key(row) for row in rows]

    def ring(self) -> KeyRing:
        """Return the keys that hold now."""
        with self._database.reading() as connection:
            rows = connection.execute(self._own().where(_keys.c.revoked_at.is_(None))).mappings().all()
        return KeyRing({row["id"]: (_key(row), row["digest"]) for row in rows})

    def _own(self) -> sa.Select:
        return sa.select(_keys).where(_keys.c.owner == self._owner)


def _key(row: sa.RowMapping) -> Key:
    scopes = frozenset(cast(Scope, scope) for scope in row["scopes"].split(","))
    return Key(row["id"], row["name"], scopes, row["created_at"], row["revoked_at"])


def _id_in(text: str) -> str:
    prefix, _, rest = text.partition("_")
    return rest.partition("_")[0] if prefix == _PREFIX else ""


def _digest(text: str) -> str:
    """Hash a key's text. It is 256 bits of chance, which nobody can try out: a slow hash would only slow us down."""
    return hashlib.sha256(text.encode()).hexdigest()


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
