"""How a command that goes on until it is told to stop learns of it."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def until_stopped() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set, in place of their usual effect. For the main thread.

    The interpreter runs handlers in the main thread, and a signal that the kernel gave to another one does not wake it where it waits for a
    lock: it would never stop. And a handler that sets the event could find the event's own lock held by the code that it interrupted. So the
    handlers do nothing, and a thread reads the descriptor to which the interpreter writes each signal, whoever got it.

    Under ``nohup`` SIGHUP is ignored, and stays so.
    """
    stop = threading.Event()
    reads, writes = socket.socketpair()
    writes.setblocking(False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS if not _is_nohup(number)}
    descriptor = signal.set_wakeup_fd(writes.fileno(), warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(reads, stop), name="stop-signals", daemon=True)
    listener.start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        writes.close()
        listener.join()
        reads.close()


def _is_nohup(number: signal.Signals) -> bool:
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


def _listen(reads: socket.socket, stop: threading.Event) -> None:
    while told := reads.recv(1):
        if told[0] in _SIGNALS:
            stop.set()
