"""Keys: shown once, hashed at rest, good for what their scopes say, and for nothing once revoked."""

import json
import sqlite3
from contextlib import closing

import pytest

from features.errors import InputError
from serving.database import Database
from serving.keys import KeyStore


@pytest.fixture
def database(tmp_path):
    with closing(Database(f"sqlite:///{tmp_path}/store.db")) as opened:
        yield opened


@pytest.fixture
def keys(database) -> KeyStore:
    return KeyStore(database, "shop")


def test_a_key_is_found_by_its_text_only(keys):
    key, text = keys.add("crm", ["score", "write"])
    assert keys.ring().find(text) == key
    assert (key.name, key.scopes) == ("crm", {"score", "write"})
    for wrong in ("", text[:-1], text + "x", f"wb_{key.id}_", key.id, text.upper(), "wb_ffffffff_" + text[12:], "密钥"):
        assert keys.ring().find(wrong) is None


def test_the_database_keeps_no_key(keys, tmp_path):
    _, text = keys.add("crm", ["score"])
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        kept = str(connection.execute("select * from api_keys").fetchall())
    assert text not in kept
    assert text.split("_", 2)[2] not in kept


@pytest.mark.parametrize(
    ("scopes", "opens"),
    [(["score"], {"score"}), (["write"], {"write"}), (["admin"], {"score", "write", "admin"})],
)
def test_a_key_opens_what_its_scopes_say_and_an_admins_opens_all(keys, scopes, opens):
    key, _ = keys.add("crm", scopes)
    assert {scope for scope in ("score", "write", "admin") if key.allows(scope)} == opens


def test_a_revoked_key_opens_nothing_and_stays_listed(keys):
    key, text = keys.add("crm", ["score"])
    _, other = keys.add("crm", ["score"])
    assert keys.revoke(key.id).revoked_at is not None
    assert keys.ring().find(text) is None
    assert keys.ring().find(other) is not None
    assert [known.revoked_at is None for known in keys.all()] == [False, True]
    with pytest.raises(InputError, match="winback keys list"):
        keys.revoke(key.id)


def test_a_key_of_one_programme_opens_nothing_of_another(keys, database):
    key, text = keys.add("crm", ["admin"])
    others = KeyStore(database, "other shop")
    assert others.ring().find(text) is None
    assert others.all() == []
    with pytest.raises(InputError):
        others.revoke(key.id)


@pytest.mark.parametrize(("name", "scopes"), [("", ["score"]), ("a\nb", ["score"]), ("x" * 65, ["score"]), ("crm", [])])
def test_a_key_without_a_name_or_a_purpose_is_refused(keys, name, scopes):
    with pytest.raises(InputError):
        keys.add(name, scopes)


def run(*arguments: str) -> int:
    from typer.testing import CliRunner

    from serving.cli import app

    return CliRunner().invoke(app, ["keys", *arguments]).exit_code


def test_the_command_line_makes_lists_and_revokes_keys(shop, tmp_path):
    programme, out = str(shop.programme.path("programme.toml")), tmp_path / "out.json"

    def told(*arguments: str) -> dict:
        assert run(*arguments, "--programme", programme, "--json", str(out)) == 0
        record: dict = json.loads(out.read_text())
        return record

    made = told("add", "--name", "crm", "--scope", "score", "--scope", "write")
    assert made["key"].startswith(f"wb_{made['id']}_")
    assert made["scopes"] == "score write"
    assert told("revoke", made["id"])["revoked_at"]
    (listed,) = told("list")["keys"]
    assert "key" not in listed
    assert listed["revoked_at"]
    assert run("add", "--name", "crm", "--scope", "everything", "--programme", programme) == 2
