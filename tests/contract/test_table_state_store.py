"""What only the Table service can be asked: what it costs, what a lost answer means, and what is said where it cannot be used."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_service import LOST_REQUEST, LOST_RESPONSE, Azurite, Fault, Wire, tables_in

from adapters.stores.tables import TableStateStore
from joinery.engine.memory import FakeClock, MemoryStateStore
from joinery.engine.ports import Commit, Row
from joinery.errors import ConfigurationError, LostRace, StoreUnavailable

pytestmark = pytest.mark.servers

ADA = "acme|person:ada"


def commit(expected: str | None, commit_id: str, **changes: Any) -> Commit:
    return Commit(**{"partition": ADA, "head": {"n": commit_id}, "expected": expected, "commit_id": commit_id, **changes})


def rows(*names: str) -> tuple[Row, ...]:
    return tuple(Row(name=name, data={"is": name}) for name in names)


def names(found: tuple[Row, ...]) -> list[str]:
    return [row.name for row in found]


@pytest.fixture
def table(azurite: Azurite) -> str:
    return azurite.new_table()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def store(azurite: Azurite, table: str, wire: Wire) -> Iterator[TableStateStore]:
    made = tables_in(azurite.connection, table, wire=wire)
    made.open()
    wire.plan()
    yield made
    made.close()


@pytest.fixture
def other(azurite: Azurite, table: str) -> Iterator[TableStateStore]:
    """Another worker's store, on a wire of its own."""
    made = tables_in(azurite.connection, table)
    yield made
    made.close()


# --- what it costs


def test_everything_is_one_request(store: TableStateStore, wire: Wire) -> None:
    etag = store.commit(commit(None, "c1", put=rows("run.1", "run.2", "~audit.1")))
    asked: list[Callable[[], object]] = [
        lambda: store.read(ADA),
        lambda: store.commit(commit(etag, "c2", put=rows("run.3"), delete=("run.1", "run.2"))),
        lambda: store.scan(ADA, "~audit."),
        lambda: store.put_index("due", "k", {}),
        lambda: store.list_index("due", up_to="l"),
        lambda: store.delete_index("due", "k"),
        lambda: store.delete_index("due", "k"),
        lambda: store.read_shared("budget"),
        lambda: store.replace_shared("budget", {}, expected=None),
    ]
    for ask in asked:
        wire.plan()
        ask()
        assert len(wire.sent) == 1, wire.sent


def test_opening_costs_one_request_where_the_table_is_there_and_four_where_it_is_made(azurite: Azurite, table: str) -> None:
    for expected in (4, 1):
        wire = Wire()
        store = tables_in(azurite.connection, table, wire=wire)
        store.open()
        store.open()
        assert len(wire.sent) == expected, wire.sent
        store.close()


# --- answers that are lost


@pytest.mark.parametrize("in_a_new_partition", [True, False])
def test_a_commit_that_lost_its_reply_is_success(store: TableStateStore, wire: Wire, in_a_new_partition: bool) -> None:
    before = None if in_a_new_partition else store.commit(commit(None, "c0", put=rows("old")))
    wire.plan({1: LOST_RESPONSE})
    etag = store.commit(commit(before, "c1", put=rows("new"), delete=() if before is None else ("old",)))
    assert len(wire.sent) == 3  # the transaction, its repeat that is refused, and the look at the head
    snapshot = store.read(ADA)
    assert (snapshot.etag, names(snapshot.rows)) == (etag, ["new"])
    store.commit(commit(etag, "c2"))


def test_a_commit_that_was_never_sent_is_sent_again(store: TableStateStore, wire: Wire) -> None:
    wire.plan({1: LOST_REQUEST, 2: LOST_REQUEST})
    etag = store.commit(commit(None, "c1"))
    assert len(wire.sent) == 1
    assert store.read(ADA).etag == etag


def test_a_commit_whose_replies_are_all_lost_is_unavailable_and_its_repeat_is_success(azurite: Azurite, table: str) -> None:
    clock, wire = FakeClock(), Wire()

    def wait(seconds: float) -> None:
        clock.advance(seconds=seconds)

    store = tables_in(azurite.connection, table, wire=wire, clock=clock, sleep=wait)
    store.open()
    started = clock.monotonic()
    wire.always = LOST_RESPONSE
    ours = commit(None, "c1", put=rows("a"))
    with pytest.raises(StoreUnavailable):
        store.commit(ours)
    assert clock.monotonic() - started <= 5
    wire.always = Fault()
    etag = store.commit(ours)
    assert store.read(ADA).etag == etag
    assert names(store.read(ADA).rows) == ["a"]
    store.close()


def test_a_race_that_is_lost_while_the_reply_is_lost_is_told_as_such(store: TableStateStore, other: TableStateStore, wire: Wire) -> None:
    etag = store.commit(commit(None, "c0"))
    theirs: list[str] = []
    wire.plan({1: Fault(instead=LOST_REQUEST.instead), 2: Fault(first=lambda: theirs.append(other.commit(commit(etag, "theirs"))))})
    with pytest.raises(LostRace):
        store.commit(commit(etag, "ours", put=rows("a")))
    assert store.read(ADA).etag == theirs[0]
    assert store.read(ADA).rows == ()


def test_a_shared_row_whose_reply_was_lost_is_ours(store: TableStateStore, other: TableStateStore, wire: Wire) -> None:
    wire.plan({1: LOST_RESPONSE})
    first = store.replace_shared("budget", {"left": 300}, expected=None)
    wire.plan({1: LOST_RESPONSE})
    second = store.replace_shared("budget", {"left": 275}, expected=first)
    assert store.read_shared("budget") == (second, {"left": 275})
    wire.plan({1: Fault(first=lambda: other.replace_shared("budget", {"left": 275}, expected=second))})
    with pytest.raises(LostRace):
        # The other one wrote the very same content: only the id of the write tells them apart.
        store.replace_shared("budget", {"left": 275}, expected=second)


@pytest.mark.parametrize("fault", [LOST_REQUEST, LOST_RESPONSE])
def test_index_rows_are_written_and_deleted_once_through_lost_answers(store: TableStateStore, wire: Wire, fault: Fault) -> None:
    wire.plan({1: fault})
    store.put_index("due", "k", {"x": 1})
    wire.plan({1: fault})
    assert names(store.list_index("due")) == ["k"]
    wire.plan({1: fault})
    store.delete_index("due", "k")
    assert store.list_index("due") == ()


# --- deletions


def test_deleting_rows_that_are_not_there_costs_a_look_and_a_second_transaction(store: TableStateStore, wire: Wire) -> None:
    """The service fails a whole transaction where one row to delete is missing; the port does not."""
    etag = store.commit(commit(None, "c1", put=rows("a", "b")))
    wire.plan()
    etag = store.commit(commit(etag, "c2", put=rows("c"), delete=("a", "gone", "zz", "é")))
    assert len(wire.sent) == 3
    assert names(store.read(ADA).rows) == ["b", "c"]
    wire.plan({2: LOST_RESPONSE, 3: LOST_RESPONSE, 4: LOST_RESPONSE})
    store.commit(commit(etag, "c3", delete=("b", "gone")))
    assert names(store.read(ADA).rows) == ["c"]


def test_a_head_that_was_replaced_between_the_look_and_the_second_transaction_loses(
    store: TableStateStore, other: TableStateStore, wire: Wire
) -> None:
    etag = store.commit(commit(None, "c1", put=rows("a")))
    wire.plan({3: Fault(first=lambda: other.commit(commit(etag, "theirs", put=rows("gone"))))})
    with pytest.raises(LostRace):
        store.commit(commit(etag, "ours", delete=("a", "gone")))
    assert names(store.read(ADA).rows) == ["a", "gone"]


# --- several pages


def fill(store: TableStateStore, count: int) -> str:
    etag: str | None = None
    for start in range(0, count, 99):
        many = rows(*(f"run.{n:06}" for n in range(start, min(start + 99, count))))
        etag = store.commit(commit(etag, f"fill-{start}", put=many))
    return etag or ""


def test_a_partition_of_several_pages_is_read_whole_or_again(store: TableStateStore, other: TableStateStore, wire: Wire) -> None:
    etag = fill(store, 1100)
    wire.plan()
    assert len(store.read(ADA).rows) == 1100
    assert len(wire.sent) == 3  # two pages, and whether the head is still the one of the first
    moved: list[str] = []
    wire.plan({2: Fault(first=lambda: moved.append(other.commit(commit(etag, "theirs", delete=("run.000000", "run.001099")))))})
    snapshot = store.read(ADA)
    assert (snapshot.etag, len(snapshot.rows)) == (moved[0], 1098)
    assert len(store.scan(ADA, "run.", limit=5000)) == 1098
    assert names(store.scan(ADA, "run.", after="run.000998", limit=3)) == ["run.000999", "run.001000", "run.001001"]


def test_a_partition_that_changes_under_every_read_is_unavailable_for_now(
    store: TableStateStore, other: TableStateStore, wire: Wire
) -> None:
    etags = [fill(store, 1100)]
    change = Fault(first=lambda: etags.append(other.commit(commit(etags[-1], f"theirs-{len(etags)}"))))
    wire.plan({2: change, 5: change, 8: change})
    with pytest.raises(StoreUnavailable, match="changed while it was read"):
        store.read(ADA)
    assert store.read(ADA).etag == etags[-1]


# --- beside the double

SIGNS = "ab|~ %.'&\u00e9\uff5e\U0001f600"
KEYS, TEXTS = st.text(alphabet=SIGNS, min_size=1, max_size=4), st.text(alphabet=SIGNS, max_size=3)
VALUES = st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.integers() | st.text(max_size=5), max_size=3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    commits=st.lists(st.tuples(VALUES, st.dictionaries(KEYS, VALUES, max_size=4), st.sets(KEYS, max_size=2)), max_size=3),
    asked=st.lists(st.tuples(TEXTS, TEXTS, st.none() | TEXTS, st.integers(-1, 5)), min_size=1, max_size=3),
)
def test_the_double_and_the_table_give_the_same_answers(
    azurite: Azurite, commits: list[tuple[dict[str, Any], dict[str, Any], set[str]]], asked: list[tuple[str, str, str | None, int]]
) -> None:
    answers: list[list[Any]] = [[], []]
    for store, said in zip((MemoryStateStore(), tables_in(azurite.connection, azurite.new_table())), answers, strict=True):
        etag = None
        for turn, (head, put, delete) in enumerate(commits):
            put_rows = tuple(Row(name=name, data=data) for name, data in put.items())
            try:
                etag = store.commit(commit(etag, f"c{turn}", head=head, put=put_rows, delete=tuple(delete)))
                for row in put_rows:
                    store.put_index("i", row.name, row.data)
            except ValueError:
                said.append("refused")
        said += [store.read(ADA).head, store.read(ADA).rows]
        for prefix, after, up_to, limit in asked:
            said.append(store.scan(ADA, prefix, after=after, limit=limit))
            said.append(store.list_index("i", prefix=prefix, after=after, up_to=up_to, limit=limit))
        store.close()
    assert answers[0] == answers[1]


# --- processes

RACE = """
import os, sys
sys.path.insert(0, "tests")
from table_service import tables_in
from joinery.engine.ports import Commit, Row
from joinery.errors import LostRace
store = tables_in(os.environ["CONNECTION"], sys.argv[1])
store.open()
print("ready", flush=True)
for number, line in enumerate(sys.stdin):
    row = Row(name=f"r{number:06}", data={"by": sys.argv[2]})
    ours = Commit(partition="acme|person:ada", expected=line.strip() or None, commit_id=f"{sys.argv[2]}-{number}", head={}, put=(row,))
    try:
        print("won", store.commit(ours), flush=True)
    except LostRace:
        print("lost", flush=True)
"""


def test_of_two_processes_that_commit_against_one_etag_exactly_one_wins(azurite: Azurite, table: str, other: TableStateStore) -> None:
    """From the first moment on: both make the table together, and many rounds follow."""
    root = Path(__file__).resolve().parents[2]
    both = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, table, name],
            cwd=root,
            env={"CONNECTION": azurite.connection, "PYTHONPATH": str(root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("left", "right")
    ]

    def answers() -> list[str]:
        return sorted(process.stdout.readline().strip() for process in both if process.stdout is not None)

    try:
        assert answers() == ["ready", "ready"]
        expected = ""
        for _ in range(100):
            for process in both:
                assert process.stdin is not None
                process.stdin.write(f"{expected}\n")
                process.stdin.flush()
            lost, won = answers()
            assert (lost, won.partition(" ")[0]) == ("lost", "won")
            expected = won.removeprefix("won ")
    finally:
        for process in both:
            process.communicate(timeout=30)
    assert other.read(ADA).etag == expected
    assert len(other.read(ADA).rows) == 100


def test_sixteen_threads_share_one_store_and_keep_their_connections(store: TableStateStore, caplog: pytest.LogCaptureFixture) -> None:
    """As many as the functions host has. A connection that is made anew for every call costs a handshake, and the SDK warns of it."""
    done: list[str] = []

    def work(name: str) -> None:
        etag = None
        for turn in range(10):
            etag = store.commit(commit(etag, f"{name}-{turn}", partition=name))
            assert store.read(name).etag == etag
        done.append(name)

    threads = [threading.Thread(target=work, args=(f"acme|person:{number}",)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 16
    assert [record.getMessage() for record in caplog.records if record.name.startswith("urllib3")] == []


# --- what cannot be used


def test_workers_that_start_together_make_one_table(azurite: Azurite, table: str) -> None:
    stores = [tables_in(azurite.connection, table) for _ in range(6)]
    start = threading.Barrier(len(stores))
    opened: list[TableStateStore] = []

    def open_one(store: TableStateStore) -> None:
        start.wait()
        store.open()
        store.put_index("i", str(len(opened)), {})
        opened.append(store)

    threads = [threading.Thread(target=open_one, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == len(stores)
    for store in stores:
        store.close()


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"PartitionKey": "recipes", "RowKey": "soup"}, "holds rows of another program"),
        ({"PartitionKey": "v|", "RowKey": "h", "version": 2}, "written by another release (version 2, this one knows 1)"),
    ],
)
def test_a_table_that_is_not_ours_to_use_is_refused_and_left_as_it_is(
    azurite: Azurite, table: str, row: dict[str, Any], problem: str
) -> None:
    client = TableClient.from_connection_string(azurite.connection, table)
    client.create_table()
    client.create_entity(row)
    with pytest.raises(ConfigurationError) as refused:
        tables_in(azurite.connection, table).open()
    (finding,) = refused.value.findings
    assert problem in finding.problem
    assert table in finding.place
    assert finding.remedy
    assert [dict(entity) for entity in client.list_entities()] == [row]
    client.close()


def test_without_create_a_missing_table_is_a_finding_and_stays_missing(azurite: Azurite, table: str) -> None:
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="holds no state"):
            tables_in(azurite.connection, table, create=False).open()


def test_credentials_are_a_finding_at_first_and_a_wait_later(azurite: Azurite, table: str) -> None:
    """A mistyped key is told at once; one that is changed under a running worker makes messages wait, because nobody loses them then."""
    wrong = azurite.connection.replace(azurite.key, "d3Jvbmc=")
    with pytest.raises(ConfigurationError, match="cannot be used") as refused:
        tables_in(wrong, table).open()
    assert "d3Jvbmc=" not in str(refused.value)
    store = tables_in(azurite.connection, table)
    store.open()
    # Azurite changes no key while it runs.
    store._calls = tables_in(wrong, table)._calls
    with pytest.raises(StoreUnavailable, match="403"):
        store.read(ADA)


def test_a_table_that_was_deleted_under_us_is_unavailable_and_not_made_anew(azurite: Azurite, table: str, store: TableStateStore) -> None:
    """An empty table would take everybody in anew."""
    client = TableClient.from_connection_string(azurite.connection, table)
    client.delete_table()
    for ask in (lambda: store.read(ADA), lambda: store.commit(commit(None, "c1")), lambda: store.put_index("i", "k", {})):
        with pytest.raises(StoreUnavailable):
            ask()
    client.close()


def test_a_damaged_row_is_unavailable_and_says_so(azurite: Azurite, table: str, store: TableStateStore) -> None:
    store.commit(commit(None, "c1"))
    client = TableClient.from_connection_string(azurite.connection, table)
    client.upsert_entity({"PartitionKey": f"p|{ADA}", "RowKey": "h", "json": "{"})
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        store.read(ADA)
    client.close()


# --- time


def test_a_service_that_never_answers_is_given_up_within_the_deadline(azurite: Azurite, table: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        elsewhere = azurite.connection.replace(f":{azurite.port}/", f":{silent.getsockname()[1]}/")
        store = tables_in(elsewhere, table, deadline=timedelta(seconds=0.3))
        with pytest.raises(StoreUnavailable, match="does not answer"):
            store.read(ADA)
        store.close()


class _Busy(BaseHTTPRequestHandler):
    """Says 503, with the pause that the server was given."""

    def do_GET(self) -> None:
        self.send_response(503)
        if pause := self.server.pause:  # type: ignore[attr-defined]
            self.send_header("Retry-After", pause)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *said: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(("pause", "asked", "after"), [("", 6, None), ("2", 3, timedelta(seconds=2)), ("30", 1, timedelta(seconds=30))])
def test_a_busy_service_is_asked_again_within_the_deadline_and_never_before_the_moment_it_names(
    azurite: Azurite, table: str, pause: str, asked: int, after: timedelta | None
) -> None:
    clock, wire = FakeClock(), Wire()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Busy) as busy:
        busy.pause = pause  # type: ignore[attr-defined]
        threading.Thread(target=busy.serve_forever, daemon=True).start()
        elsewhere = azurite.connection.replace(f":{azurite.port}/", f":{busy.server_port}/")
        store = tables_in(elsewhere, table, wire=wire, clock=clock, sleep=lambda seconds: clock.advance(seconds=seconds))
        with pytest.raises(StoreUnavailable, match="503") as caught:
            store.read(ADA)
        assert (len(wire.sent), caught.value.after) == (asked, after)
        assert clock.monotonic() <= 5
        store.close()
        busy.shutdown()
