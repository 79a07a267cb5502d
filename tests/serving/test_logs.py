"""Logs are JSON, one line each, and tell nobody who a member is."""

import json
import logging
import stat
import sys

from serving.logs import JsonFormatter, RequestLog, open_request_log


def test_a_fault_is_one_line_with_its_traceback():
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        record = logging.LogRecord("winback", logging.ERROR, "", 1, "request %s failed", ("a1",), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["message"]) == ("error", "request a1 failed")
    assert "ValueError: broken" in told["traceback"]


def test_hashes_stay_the_same_over_restarts_and_their_secret_is_its_owners_only(tmp_path):
    file = tmp_path / "var" / "log.secret"
    first, again = open_request_log(file).hashed("m1"), open_request_log(file).hashed("m1")
    assert first == again
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert open_request_log(tmp_path / "other.secret").hashed("m1") != first
    assert RequestLog(b"").hashed("m2") != RequestLog(b"").hashed("m1")
