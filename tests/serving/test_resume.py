"""A run that was killed goes on where it was, and readers see last week's decisions or this week's, whole."""

import errno
import itertools
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from builders import AS_OF, small_programme

from features.errors import OutputError
from features.programme import Programme, load_programme
from serving import parts
from serving.batch import score_programme
from serving.bundle_files import save_bundle, save_policy_table
from serving.database import StoreError
from serving.resolve import policy_file
from serving.store import Store, open_store

WEEK_BEFORE = "2025-12-29"
CHUNK_ROWS = 16


@pytest.fixture(scope="module")
def last_week(shop, tmp_path_factory) -> Path:
    """A folder with a programme whose week before is published."""
    folder = tmp_path_factory.mktemp("last_week")
    programme = small_programme(folder, shop.frames)
    save_bundle(shop.bundle, programme.path("bundle"))
    save_policy_table(shop.policy_table.model_copy(update={"as_of": shop.bundle.trained_until}), policy_file(programme))
    run(programme, WEEK_BEFORE)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(shop, last_week, tmp_path_factory) -> dict[str, list]:
    """What readers see after a run that nothing stopped."""
    programme = copied(last_week, tmp_path_factory.mktemp("uninterrupted"))
    run(programme)
    return seen(programme)


@pytest.fixture
def programme(last_week, tmp_path) -> Programme:
    return copied(last_week, tmp_path)


def copied(folder: Path, to: Path) -> Programme:
    shutil.copytree(folder, to, dirs_exist_ok=True)
    return small_programme(to, {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES})


TABLES = ("orders", "members", "order_lines", "events", "offers", "contacts")


def run(programme: Programme, as_of: str = AS_OF, **changed):
    folders = {"bundle_folder": programme.path("bundle"), "chunk_rows": CHUNK_ROWS, **changed}
    return score_programme(programme, programme.path("out"), as_of=as_of, **folders)


def seen(programme: Programme) -> dict[str, list]:
    """What readers of the store and of the file see."""
    file = programme.path("out") / f"as_of={AS_OF}" / "decisions.parquet"
    rows = pq.read_table(file).to_pylist() if file.exists() else []
    ids = pd.read_parquet(programme.path("members.parquet"))["member_id"]
    with closing(open_store(programme)) as store:
        publication, records = store.read(list(ids))
    stored = [publication.as_of.isoformat(), *sorted((record.member_id, record) for record in records.values())]
    return {"file": rows, "store": stored}


def hidden(programme: Programme) -> list[Path]:
    return [*programme.path("out").rglob(".*"), *programme.path("var").glob("*.parts/*")]


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Counting:
    """Fails at a call."""

    def __init__(self, call: int, fail, go_on) -> None:
        self.left, self.fail, self.go_on = call, fail, go_on

    def __call__(self, *args, **options):
        self.left -= 1
        return (self.fail if self.left == 0 else self.go_on)(*args, **options)


@pytest.mark.parametrize(
    ("place", "method", "call"),
    [(parts.pq, "write_table", 2), (parts.pq.ParquetWriter, "write_batch", 1)],
)
def test_a_full_disk_is_a_clear_error_what_stood_stands_and_the_next_run_goes_on(
    programme, uninterrupted, monkeypatch, place, method, call
):
    before = seen(programme)
    with monkeypatch.context() as patched:
        failing = Counting(call, full_disk, getattr(place, method))
        patched.setattr(place, method, lambda *args, **options: failing(*args, **options))
        with pytest.raises(OutputError, match=r"cannot write .*parquet: No space left on device; .* run again"):
            run(programme)
    assert seen(programme) == before
    run(programme)
    assert seen(programme) == uninterrupted
    assert hidden(programme) == []


@pytest.mark.parametrize("method", ["add", "finish"])
def test_a_database_that_is_gone_half_way_is_a_clear_error_and_the_next_run_goes_on(
    programme, uninterrupted, monkeypatch, method
):
    def gone(*_, **__):
        raise StoreError("the store failed: connection lost")

    with monkeypatch.context() as patched:
        failing = Counting(1 if method != "add" else 2, gone, getattr(Store, method))
        patched.setattr(Store, method, lambda *args, **options: failing(*args, **options))
        with pytest.raises(StoreError, match="connection lost"):
            run(programme)
    run(programme)
    assert seen(programme) == uninterrupted
    assert hidden(programme) == []


def interrupted(programme: Programme, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until the disk is full, after two spans."""
    with monkeypatch.context() as patched:
        failing = Counting(3, full_disk, pq.write_table)
        patched.setattr(parts.pq, "write_table", lambda *args, **options: failing(*args, **options))
        with pytest.raises(OutputError):
            run(programme)


@pytest.fixture
def written(monkeypatch) -> list[int]:
    """The spans that are written while a test runs."""
    numbers: list[int] = []
    original = parts.Parts.write

    def write(self: parts.Parts, number: int, decisions: pa.Table) -> None:
        original(self, number, decisions)
        numbers.append(number)

    monkeypatch.setattr(parts.Parts, "write", write)
    return numbers


def test_what_is_done_is_not_done_again(programme, uninterrupted, written, monkeypatch):
    interrupted(programme, monkeypatch)
    run(programme)
    assert written == [0, 1, 2]
    assert seen(programme) == uninterrupted


def test_with_other_data_it_begins_anew(programme, written, monkeypatch):
    interrupted(programme, monkeypatch)
    orders = pd.read_parquet(programme.path("orders.parquet"))
    orders.assign(net_amount=orders["net_amount"] + 1).to_parquet(programme.path("orders.parquet"))
    run(programme)
    assert written == [0, 1, 0, 1, 2]
    assert hidden(programme) == []


@contextmanager
def moments(at_each: Callable[[], None]) -> Iterator[None]:
    """Call at each moment in which something of a run is about to become lasting: SQL statements and renamed files."""

    def renamed(file: Path, target: Path) -> Path:
        at_each()
        return rename(file, target)

    def stated(*_: object) -> None:
        at_each()

    rename = Path.replace
    sa.event.listen(sa.Engine, "before_cursor_execute", stated)
    Path.replace = renamed
    try:
        yield
    finally:
        Path.replace = rename
        sa.event.remove(sa.Engine, "before_cursor_execute", stated)


def run_until(moment: int, file: Path) -> None:
    """Run, and be killed at a moment."""
    left = itertools.count(moment, -1)
    with moments(lambda: os.kill(os.getpid(), signal.SIGKILL) if next(left) == 0 else None):
        run(load_programme(file))


def apart(call: str, programme: Programme) -> subprocess.CompletedProcess[bytes]:
    """Call a function of this module in a process of its own; its last argument is the programme's file."""
    here = Path(__file__).parent
    paths = f"import sys; sys.path[:0] = [{str(here.parent)!r}, {str(here)!r}]"
    file = str(programme.path("programme.toml"))
    code = f"{paths}; import pathlib, test_resume; test_resume.{call}, pathlib.Path({file!r}))"
    return subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=120)


def killed(programme: Programme, moment: int) -> None:
    """Run in a process of its own that is killed at a moment."""
    ended = apart(f"run_until({moment}", programme)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.fixture(scope="module")
def moments_of_a_run(last_week, tmp_path_factory) -> tuple[int, int]:
    """How many moments a run has, and the first of its publication."""
    count, publication = itertools.count(), []

    def step(what: str) -> None:
        if what == "publishing":
            publication.append(next(count))

    with moments(lambda: next(count)):
        run(copied(last_week, tmp_path_factory.mktemp("counted")), step=step)
    return next(count) - 1, publication[0]


def assert_killed_and_resumed(programme: Programme, moment: int, uninterrupted: dict[str, list]) -> None:
    before = seen(programme)
    killed(programme, moment)
    now = seen(programme)
    assert all(now[reader] in (before[reader], uninterrupted[reader]) for reader in now)
    run(programme)
    assert seen(programme) == uninterrupted
    assert hidden(programme) == []


def test_a_killed_run_is_gone_on_with_and_readers_see_one_publication_whole(programme, uninterrupted, moments_of_a_run):
    assert_killed_and_resumed(programme, moments_of_a_run[0] // 2, uninterrupted)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_a_run_killed_at_any_moment_is_gone_on_with(programme, uninterrupted, moments_of_a_run, seed):
    """Every other time it is killed while it publishes."""
    last, publication = moments_of_a_run
    moment = random.Random(seed).randrange(publication if seed % 2 else 0, last)
    assert_killed_and_resumed(programme, moment, uninterrupted)


@pytest.mark.long
def test_at_every_moment_readers_see_one_publication_whole(programme, uninterrupted):
    before, sights, reading = seen(programme), [], []

    def look() -> None:
        if not reading:
            reading.append(True)
            sights.append(seen(programme))
            reading.clear()

    with moments(look):
        run(programme)
    for reader in before:
        told = [sight[reader] for sight in sights]
        switched = told.index(uninterrupted[reader])
        assert all(sight == before[reader] for sight in told[:switched])
        assert all(sight == uninterrupted[reader] for sight in told[switched:])


def limited_run(limit: int, file: Path) -> None:
    """Run where no file may grow beyond a limit, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    run(load_programme(file))


@pytest.mark.long
@pytest.mark.parametrize("limit", [8_000, 60_000, 100_000])
def test_files_that_cannot_grow_end_a_run_clearly_and_the_next_goes_on(programme, uninterrupted, limit):
    before = seen(programme)
    ended = apart(f"limited_run({limit}", programme)
    assert re.search(r"(OutputError: cannot write|StoreError: the store)", ended.stderr.decode()), ended.stderr.decode()
    assert seen(programme) == before
    run(programme)
    assert seen(programme) == uninterrupted
    assert hidden(programme) == []
