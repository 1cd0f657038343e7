"""The queue's journal: whatever happened, the engine that opens the file next stands where the last one stood, without its locks."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from adapters.queues.engine import QueueEngine
from adapters.queues.journal import KIND, SqliteJournal
from adapters.queues.ledger import QueueRules
from adapters.queues.messages import NewMessage, QueueMessage
from adapters.stores.sqlite import SqliteStateStore
from joinery.engine.memory import FakeClock
from joinery.errors import ConfigurationError, LockLost, QueueUnavailable

ROOT = Path(__file__).resolve().parents[2]
WINDOW = timedelta(seconds=100)


def message(body: str, session: str = "ada", *, message_id: str | None = None, scheduled_for: datetime | None = None) -> NewMessage:
    return NewMessage(body=body.encode(), session_id=session, message_id=message_id or body, scheduled_for=scheduled_for)


def token(received: QueueMessage) -> str:
    assert received.lock_token is not None
    return received.lock_token


def test_after_a_restart_locked_messages_are_available_at_once_with_their_count_as_it_was(tmp_path: Path) -> None:
    clock = FakeClock()
    first = QueueEngine(clock, SqliteJournal(tmp_path / "queue.db"))
    first.send([message("1"), message("2")])
    lock = first.accept_session()
    assert lock
    first.abandon(token(first.receive(lock)[0]))
    first.receive(lock, max_count=2)
    first.close()
    second = QueueEngine(clock, SqliteJournal(tmp_path / "queue.db"))
    again = second.accept_session()
    assert again
    assert [(m.body, m.delivery_count) for m in second.receive(again, max_count=2)] == [(b"1", 1), (b"2", 0)]
    with pytest.raises(LockLost):
        second.renew_session(lock)
    second.close()


def test_everything_about_a_message_survives_and_sequence_numbers_are_not_used_again(tmp_path: Path) -> None:
    clock = FakeClock()
    first = QueueEngine(clock, SqliteJournal(tmp_path / "queue.db"))
    rich = replace(
        message("1", scheduled_for=clock.now() + timedelta(microseconds=1)),
        properties={"b": b"\x00", "t": "ä", "i": -1, "f": 0.5, "n": None},
    )
    first.send([rich, message("2")])
    found = first.peek()
    first.cancel_scheduled(1)
    lock = first.accept_session()
    assert lock
    first.complete(token(first.receive(lock)[0]))
    first.close()
    second = QueueEngine(clock, SqliteJournal(tmp_path / "queue.db"))
    assert second.send([rich]) == [3]
    assert second.peek() == [replace(found[0], sequence_number=3)]
    second.close()


def test_message_ids_survive_a_restart_and_are_forgotten_after_their_window(tmp_path: Path) -> None:
    clock = FakeClock()

    def opened() -> QueueEngine:
        return QueueEngine(clock, SqliteJournal(tmp_path / "queue.db"), QueueRules(duplicate_window=WINDOW))

    first = opened()
    first.send([message("1")])
    first.close()
    second = opened()
    assert second.send([message("1")]) == [0]
    clock.advance(WINDOW)
    second.send([message("2")])
    second.close()
    journal = SqliteJournal(tmp_path / "queue.db")
    assert journal.load().taken_ids == (("2", clock.now()),)
    journal.close()


def test_of_two_engines_on_one_file_the_second_to_write_is_refused(tmp_path: Path) -> None:
    clock = FakeClock()
    first, second = (QueueEngine(clock, SqliteJournal(tmp_path / "queue.db")) for _ in range(2))
    first.send([message("1")])
    for _ in range(2):
        with pytest.raises(QueueUnavailable, match="another process"):
            second.send([message("2")])
    first.send([message("3")])
    third = QueueEngine(clock, SqliteJournal(tmp_path / "queue.db"))
    third.send([message("4")])
    with pytest.raises(QueueUnavailable, match="another process"):
        first.send([message("5")])
    assert [found.body for found in third.peek()] == [b"1", b"3", b"4"]
    for engine in (first, second, third):
        engine.close()


def _flipped_body(path: Path) -> None:
    content = path.read_bytes()
    assert b"a telling body" in content
    path.write_bytes(content.replace(b"a telling body", b"a sellinG body"))


def _garbled(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xa5" * (len(content) - 100))


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4096])


def _without_a_table(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE taken_id")
    connection.close()


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={KIND.version + 1}")
    connection.close()


def _a_state_store(path: Path) -> None:
    path.unlink()
    SqliteStateStore(path).close()


@pytest.mark.parametrize("harm", [_flipped_body, _garbled, _cut_off, _without_a_table, _newer, _a_state_store])
def test_a_damaged_or_foreign_journal_is_refused_with_its_place_and_left_as_it_is(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    path = tmp_path / "queue.db"
    engine = QueueEngine(FakeClock(), SqliteJournal(path))
    engine.send([message("a telling body")])
    engine.close()
    harm(path)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError) as refused:
        QueueEngine(FakeClock(), SqliteJournal(path))
    (finding,) = refused.value.findings
    assert finding.place == str(path)
    assert finding.remedy
    assert path.read_bytes() == before


def test_a_journal_that_is_locked_takes_nothing_and_recovers(tmp_path: Path) -> None:
    engine = QueueEngine(FakeClock(), SqliteJournal(tmp_path / "queue.db", busy_timeout=timedelta(milliseconds=20)))
    other = sqlite3.connect(tmp_path / "queue.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(QueueUnavailable, match="locked"):
        engine.send([message("1")])
    other.execute("ROLLBACK")
    other.close()
    assert engine.send([message("1")]) == [1]
    engine.close()


# --- processes

WORKER = """
import sys
from adapters.queues.engine import QueueEngine
from adapters.queues.journal import SqliteJournal
from adapters.queues.messages import NewMessage
from adapters.system import SystemClock

engine = QueueEngine(SystemClock(), SqliteJournal(sys.argv[1]))
number = int(sys.argv[2])
while True:
    batch = [NewMessage(body=str(n).encode(), session_id=f"s{n % 3}", message_id=str(n)) for n in range(number, number + 3)]
    engine.send(batch)
    print("sent", number, number + 1, number + 2, flush=True)
    number += 3
    lock = engine.accept_session()
    for received in engine.receive(lock, max_count=2):
        print("completing", received.body.decode(), flush=True)
        engine.complete(received.lock_token)
        print("completed", received.body.decode(), flush=True)
    engine.release_session(lock)
"""


@pytest.mark.servers
def test_a_killed_process_loses_no_taken_message_and_resurrects_no_completed_one(tmp_path: Path) -> None:
    chance = random.Random(11)
    sent: set[int] = set()
    completed: set[int] = set()
    attempted: set[int] = set()
    number = 0
    for _ in range(8):
        command = [sys.executable, "-c", WORKER, str(tmp_path / "queue.db"), str(number)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(chance.randrange(1, 80))]
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read()
        process.wait(timeout=30)
        process.stdout.close()
        for line in [*lines, *rest.splitlines(keepends=True)]:
            if line.endswith("\n"):
                word, *numbers = line.split()
                {"sent": sent, "completing": attempted, "completed": completed}[word].update(map(int, numbers))
        journal = SqliteJournal(tmp_path / "queue.db")
        kept = {int(found.body) for found in journal.load().messages}
        journal.close()
        assert sent - attempted <= kept
        assert not completed & kept
        number = max([*sent, *kept]) + 1
        sent |= kept  # taken, though the kill came before the answer


DISK_FULL = """
import resource, signal, sys
from adapters.queues.embedded import EmbeddedQueue
from adapters.queues.engine import QueueEngine
from adapters.queues.journal import SqliteJournal
from adapters.system import SystemClock
from joinery.engine.ports import Outgoing
from joinery.errors import QueueUnavailable

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
queue = EmbeddedQueue(QueueEngine(SystemClock(), SqliteJournal(sys.argv[1])))
message, taken = Outgoing(body=b"x" * 1500, session_id="ada"), 0
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    while True:
        queue.send([message])
        taken += 1
except QueueUnavailable:
    pass
assert taken > 3, taken
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
queue.send([message])
assert queue.waiting() == taken + 1
print("resumed", taken + 1)
"""


@pytest.mark.servers
@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a Unix thing")
def test_a_full_disk_refuses_the_sender_loses_nothing_and_resumes_by_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DISK_FULL, str(tmp_path / "queue.db")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    journal = SqliteJournal(tmp_path / "queue.db")
    assert f"resumed {len(journal.load().messages)}" == done.stdout.strip()
    journal.close()
