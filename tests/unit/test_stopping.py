"""A command that is told to stop hears it, whichever thread the kernel tells."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from joinery.cli.stopping import until_stopped


@pytest.fixture(autouse=True)
def _sighup_has_its_usual_effect() -> Iterator[None]:
    """Under nohup the tests themselves have SIGHUP ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_another_thread_got_wakes_whoever_waits_for_the_stop(number: signal.Signals) -> None:
    with until_stopped() as stop:
        # By then the main thread waits, and is woken by nothing else.
        other = threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), number))
        other.start()
        assert stop.wait(20)
        other.join()


def test_a_signal_for_the_whole_process_and_a_second_one_are_heard_too() -> None:
    with until_stopped() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(20)


def test_whoever_started_it_with_nohup_keeps_it_when_the_terminal_closes() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with until_stopped() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN and not stop.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.wait(20)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_afterwards_the_signals_do_what_they_did_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    with until_stopped():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert signal.set_wakeup_fd(descriptor) == descriptor
    assert "stop-signals" not in [thread.name for thread in threading.enumerate()]
