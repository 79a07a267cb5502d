"""A lock is held by one process, and by none that has died."""

import os
import signal
import subprocess
import sys

import pytest

from features.errors import RefusedError
from serving.locks import only_run

HOLDER = """
import sys, time
from pathlib import Path
from serving.locks import only_run
with only_run(Path(sys.argv[1]), "the run"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_run_is_refused_and_told_by_whom_until_the_first_ends(tmp_path):
    file = tmp_path / "var" / "winback.lock"
    told = pytest.raises(RefusedError, match=rf"scoring of x is running.*process {os.getpid()}")
    with only_run(file, "scoring of x"), told, only_run(file, "scoring of x"):
        pass
    with only_run(file, "scoring of x"):
        pass


def test_a_process_that_was_killed_holds_nothing(tmp_path):
    file = tmp_path / "winback.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(file)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RefusedError, match=str(holder.pid)), only_run(file, "the run"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with only_run(file, "the run"):
        pass


def test_a_lock_of_another_user_is_refused_and_says_whom_to_run_as(tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "open", denied)
    with pytest.raises(RefusedError, match="another user made; run as that user"), only_run(tmp_path / "l", "the run"):
        pass
