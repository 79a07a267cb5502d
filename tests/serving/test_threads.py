"""Threads that compute let those go first that answer at once."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.threads import TURN_SECONDS, share_closely, step_back


@pytest.fixture
def usual_turns():
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def test_turns_are_short(usual_turns):
    share_closely()
    assert sys.getswitchinterval() == pytest.approx(TURN_SECONDS)


def test_a_thread_steps_back_alone():
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    with ThreadPoolExecutor(1, initializer=step_back) as pool:
        assert pool.submit(niceness).result() > before
    assert niceness() == before
