"""Before it becomes the server, `winback serve` makes sure that somebody could ask and nobody else."""

from contextlib import closing

import pytest

from features.errors import InputError, RefusedError
from serving import server
from serving.database import open_database, owner_of
from serving.keys import KeyStore


class BecameTheServerError(Exception):
    """Stands in for the process that would have been replaced."""


@pytest.fixture
def became(monkeypatch) -> list:
    calls: list = []

    def execve(*call):
        calls.extend(call)
        raise BecameTheServerError

    monkeypatch.setattr(server.os, "execve", execve)
    monkeypatch.setattr(server, "open_answers", lambda programme, folder: closing_answers())
    return calls


def closing_answers():
    class Answers:
        def close(self):
            pass

    return Answers()


@pytest.fixture
def programme_file(shop, tmp_path):
    file = tmp_path / "programme.toml"
    file.write_text(shop.programme.path("programme.toml").read_text())
    return file


def add_a_key(programme_file) -> str:
    from features.programme import load_programme

    programme = load_programme(programme_file)
    with closing(open_database(programme)) as database:
        key, _ = KeyStore(database, owner_of(programme)).add("crm", ["score"])
        return key.id


def test_without_any_key_nothing_starts_and_how_to_make_one_is_said(programme_file, became):
    with pytest.raises(RefusedError, match="winback keys add --name crm --scope score"):
        server.serve(programme_file, port=3000)
    assert became == []


def test_with_a_key_it_starts(programme_file, became):
    add_a_key(programme_file)
    with pytest.raises(BecameTheServerError):
        server.serve(programme_file, port=3000, host="0.0.0.0")
    _, arguments, environment = became
    assert arguments[-5:] == ["--host", "0.0.0.0", "--port", "3000", "--do-not-track"]
    assert server.KEYS_VARIABLE not in environment


def test_without_keys_it_answers_this_machine_only(programme_file, became):
    with pytest.raises(BecameTheServerError):
        server.serve(programme_file, port=3000, asks_for_keys=False)
    assert became[2][server.KEYS_VARIABLE] == server.NO_KEYS
    with pytest.raises(InputError, match="this machine only"):
        server.serve(programme_file, port=3000, host="0.0.0.0", asks_for_keys=False)


def test_a_host_that_is_no_address_is_refused(programme_file, became):
    with pytest.raises(InputError, match="no IP address"):
        server.serve(programme_file, port=3000, host="everywhere")
