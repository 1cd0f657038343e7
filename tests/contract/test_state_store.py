"""What every state store promises."""

from __future__ import annotations

import contextlib
import math
import threading
from datetime import datetime
from typing import Any

import pytest

from joinery.engine.ports import Commit, Row, StateStore
from joinery.engine.store_limits import COMMIT_BYTES_MAX, DOCUMENT_BYTES_MAX, KEY_LENGTH_MAX, SPELT_OUT, encoded
from joinery.errors import LostRace, StoreUnavailable

ADA = "acme|ada"


def commit(expected: str | None, commit_id: str, **changes: Any) -> Commit:
    return Commit(**{"partition": ADA, "head": {"n": commit_id}, "expected": expected, "commit_id": commit_id, **changes})


def rows(*names: str) -> tuple[Row, ...]:
    return tuple(Row(name=name, data={"is": name}) for name in names)


def names(found: tuple[Row, ...]) -> list[str]:
    return [row.name for row in found]


# --- reading and committing


def test_a_new_partition_reads_as_nothing(store: StateStore) -> None:
    snapshot = store.read(ADA)
    assert (snapshot.etag, snapshot.head, snapshot.rows) == (None, None, ())


def test_a_commit_replaces_the_head_and_puts_its_commit_id_into_it(store: StateStore) -> None:
    first = store.commit(commit(None, "c1", head={"seen": {"name": "Adä ✓"}, "open": [1, 2.5, True, None]}))
    snapshot = store.read(ADA)
    assert snapshot.head == {"seen": {"name": "Adä ✓"}, "open": [1, 2.5, True, None], "commit_id": "c1"}
    assert snapshot.etag == first
    second = store.commit(commit(first, "c2", head={"left": True}))
    assert store.read(ADA).head == {"left": True, "commit_id": "c2"}
    assert second != first


def test_a_commit_puts_replaces_and_deletes_rows_together(store: StateStore) -> None:
    etag = store.commit(commit(None, "c1", put=rows("run|1", "run|2", "run|3")))
    changed = Row(name="run|2", data={"is": "changed"})
    store.commit(commit(etag, "c2", put=(changed, *rows("run|4")), delete=("run|3", "run|never-there")))
    assert store.read(ADA).rows == (*rows("run|1"), changed, *rows("run|4"))


def test_a_look_reads_the_open_range_only_and_sorted(store: StateStore) -> None:
    store.commit(commit(None, "c1", put=rows("~closed|1", "z", "a", "Z", "~audit|1", "é", "intent|2", "intent|10")))
    assert names(store.read(ADA).rows) == ["Z", "a", "intent|10", "intent|2", "z"]


def test_partitions_do_not_see_each_other(store: StateStore) -> None:
    store.commit(commit(None, "c1", put=rows("a")))
    store.commit(commit(None, "c2", partition="acme|bob", put=rows("b")))
    store.put_index(ADA, "i", {})
    assert names(store.read(ADA).rows) == ["a"]
    assert names(store.scan("acme|bob", "")) == ["b"]


def test_what_was_handed_in_or_out_is_no_longer_shared(store: StateStore) -> None:
    head: dict[str, Any] = {"list": [1]}
    store.commit(commit(None, "c1", head=head))
    head["list"].append(2)
    assert "commit_id" not in head
    found = store.read(ADA).head
    assert found is not None
    found["list"].append(3)
    assert store.read(ADA).head == {"list": [1], "commit_id": "c1"}


# --- races


def test_a_head_that_is_not_the_expected_one_loses_the_race_and_changes_nothing(store: StateStore) -> None:
    etag = store.commit(commit(None, "c1"))
    store.commit(commit(etag, "c2"))
    for expected in (etag, None, "something else"):
        with pytest.raises(LostRace):
            store.commit(commit(expected, "c3", put=rows("a")))
    snapshot = store.read(ADA)
    assert snapshot.head == {"n": "c2", "commit_id": "c2"}
    assert snapshot.rows == ()


def test_expecting_a_head_where_there_is_none_loses_the_race(store: StateStore) -> None:
    etag = store.commit(commit(None, "c1", partition="acme|bob"))
    with pytest.raises(LostRace):
        store.commit(commit(etag, "c2"))
    assert store.read(ADA).etag is None


@pytest.mark.parametrize("in_a_new_partition", [True, False])
def test_a_repeat_after_a_lost_reply_is_success(store: StateStore, in_a_new_partition: bool) -> None:
    before = None if in_a_new_partition else store.commit(commit(None, "c0"))
    ours = commit(before, "c1", put=rows("a"))
    etag = store.commit(ours)
    assert store.commit(ours) == etag
    assert store.read(ADA).etag == etag
    assert names(store.read(ADA).rows) == ["a"]


def test_a_repeat_is_lost_once_somebody_else_committed_on_top(store: StateStore) -> None:
    ours = commit(None, "c1")
    store.commit(commit(store.commit(ours), "c2"))
    with pytest.raises(LostRace):
        store.commit(ours)


def test_of_threads_that_commit_against_one_head_exactly_one_wins(store: StateStore) -> None:
    expected = None
    for attempt in range(20):
        won: list[str] = []
        start = threading.Barrier(4)

        def race(
            worker: int, attempt: int = attempt, expected: str | None = expected, start: threading.Barrier = start, won: list[str] = won
        ) -> None:
            start.wait()
            with contextlib.suppress(LostRace):
                won.append(store.commit(commit(expected, f"{attempt}-{worker}")))

        threads = [threading.Thread(target=race, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        expected = won[0]


# --- limits


def test_a_commit_has_at_most_a_hundred_rows_with_the_head_and_deletions(store: StateStore) -> None:
    etag = store.commit(commit(None, "c1", put=rows(*(f"r{n:03}" for n in range(99)))))
    with pytest.raises(ValueError, match="100 rows"):
        store.commit(commit(etag, "c2", put=rows(*(f"s{n:03}" for n in range(50))), delete=tuple(f"r{n:03}" for n in range(50))))
    assert store.read(ADA).etag == etag


def test_a_commit_has_at_most_two_mebibytes(store: StateStore) -> None:
    def parts(size: int) -> tuple[Row, ...]:
        return tuple(Row(name=f"r{n}", data={"x": "ä" * size}) for n in range(4))

    largest = parts(COMMIT_BYTES_MAX // 8 - 100)
    etag = store.commit(commit(None, "c1", put=largest))
    assert store.read(ADA).rows == largest
    with pytest.raises(ValueError, match="bytes"):
        store.commit(commit(etag, "c2", put=parts(COMMIT_BYTES_MAX // 8)))
    assert store.read(ADA).etag == etag


def test_a_commit_of_a_hundred_rows_full_of_odd_characters_is_taken(store: StateStore) -> None:
    """The worst frame around the most rows: every character has to be spelt out in keys, and takes three times its room on the wire."""
    odd = "ä\U0001f600"
    size = COMMIT_BYTES_MAX // 100 - 100
    many = tuple(Row(name=f"{n:03}|{odd * 35}", data={"x": odd * (size // 6)}) for n in range(99))
    store.commit(commit(None, "c1", partition=odd * 35, put=many))
    assert store.read(odd * 35).rows == many


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 300_000, DOCUMENT_BYTES_MAX])
def test_a_document_of_any_size_comes_back_whole(store: StateStore, size: int) -> None:
    text = ('"\\ä\U0001f600' * (size // 10))[: size // 3]
    text += "x" * (size - len(encoded({"x": text})))
    data = {"x": text}
    store.put_index("i", "k", data)
    etag = store.replace_shared("s", data, expected=None)
    store.commit(commit(None, "c1", put=(Row(name="a", data=data),)))
    assert store.read(ADA).rows == (Row(name="a", data=data),)
    assert store.read_shared("s") == (etag, data)
    (row,) = store.list_index("i")
    assert row.data == data


def test_a_document_that_is_larger_than_a_row_is_refused(store: StateStore) -> None:
    for attempt in (
        lambda: store.put_index("i", "k", {"x": "x" * DOCUMENT_BYTES_MAX}),
        lambda: store.replace_shared("s", {"x": "x" * DOCUMENT_BYTES_MAX}, expected=None),
        lambda: store.commit(commit(None, "c1", head={"x": "x" * DOCUMENT_BYTES_MAX})),
        lambda: store.commit(commit(None, "c1", put=(Row(name="a", data={"x": "x" * DOCUMENT_BYTES_MAX}),))),
    ):
        with pytest.raises(ValueError, match="a document has at most"):
            attempt()
    assert (store.read(ADA).etag, store.list_index("i"), store.read_shared("s")) == (None, (), (None, None))


def test_the_longest_key_is_taken_and_a_longer_one_is_not(store: StateStore) -> None:
    for sign, weight in (("x", 1), ("~", SPELT_OUT), (" ", SPELT_OUT), ("%", SPELT_OUT), ("ä", SPELT_OUT), ("\U0001f600", SPELT_OUT)):
        longest = sign * (KEY_LENGTH_MAX // weight)
        store.put_index(longest, longest, {"sign": sign})
        assert store.list_index(longest) == (Row(name=longest, data={"sign": sign}),)
        store.replace_shared(longest, {}, expected=None)
        store.commit(commit(None, "c1", partition=longest, put=rows(longest)))
        assert names(store.scan(longest, longest)) == [longest]
        with pytest.raises(ValueError, match="not a key"):
            store.put_index("i", longest + sign, {})


@pytest.mark.parametrize(
    "broken",
    [
        {"put": rows("a", "a")},
        {"put": rows("a"), "delete": ("a",)},
        {"put": rows("head")},
        {"delete": ("head",)},
        {"commit_id": ""},
        *(
            {"put": rows(name)}
            for name in ("", "a/b", "a\\b", "a#b", "a?b", "a\tb", "a\x00b", "a\x7fb", "a\x85b", "a\ud800b", "x" * 501, "ä" * 72)
        ),
        {"delete": ("a/b",)},
        {"partition": ""},
        {"partition": "a/b"},
        {"head": {"when": datetime(2026, 1, 5)}},  # noqa: DTZ001 — refused for its type
        {"head": {"number": math.nan}},
        {"head": {"set": {1}}},
        {"put": (Row(name="a", data={"text": "\ud800"}),)},
    ],
)
def test_what_some_store_could_not_hold_no_store_takes(store: StateStore, broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        store.commit(commit(None, **{"commit_id": "c1", **broken}))
    assert store.read(ADA).etag is None


def test_index_and_shared_names_are_checked_too(store: StateStore) -> None:
    for attempt in (
        lambda: store.put_index("due", "a/b", {}),
        lambda: store.put_index("a#b", "k", {}),
        lambda: store.put_index("due", "k", {"x": math.inf}),
        lambda: store.replace_shared("a?b", {}, expected=None),
    ):
        with pytest.raises(ValueError, match=r".+"):
            attempt()


# --- ranges, index rows, shared rows


def test_a_scan_gives_the_rows_with_a_prefix_page_by_page(store: StateStore) -> None:
    store.commit(commit(None, "c1", put=rows("~audit|1", "~audit|2", "~audit|3", "~audit|é\U0010fffd", "~audis", "~audiu", "~b", "a")))
    assert names(store.scan(ADA, "~audit|")) == ["~audit|1", "~audit|2", "~audit|3", "~audit|é\U0010fffd"]
    assert names(store.scan(ADA, "~audit|", after="~audit|1", limit=2)) == ["~audit|2", "~audit|3"]
    assert names(store.scan(ADA, "~audit|", after="~audit|3")) == ["~audit|é\U0010fffd"]
    assert store.scan(ADA, "~audit|", limit=0) == ()
    assert store.scan(ADA, "~audit|", limit=-1) == ()
    assert store.scan("acme|nobody", "") == ()


def test_a_scan_never_gives_the_head(store: StateStore) -> None:
    store.commit(commit(None, "c1", put=rows("hea", "heads")))
    assert names(store.scan(ADA, "")) == ["hea", "heads"]
    assert names(store.scan(ADA, "head")) == ["heads"]


def test_index_rows_are_put_replaced_listed_and_deleted(store: StateStore) -> None:
    for key in ("2026-01-05T08:00|b", "2026-01-05T08:00|a", "2026-01-05T09:00|c"):
        store.put_index("due", key, {"run": "old"})
    store.put_index("due", "2026-01-05T08:00|a", {"run": "new"})
    store.put_index("tickets", "2026", {})
    assert [(row.name[-1], row.data["run"]) for row in store.list_index("due")] == [("a", "new"), ("b", "old"), ("c", "old")]
    store.delete_index("due", "2026-01-05T08:00|b")
    store.delete_index("due", "2026-01-05T08:00|b")
    store.delete_index("nothing", "x")
    assert [row.name[-1] for row in store.list_index("due")] == ["a", "c"]


def test_an_index_lists_between_after_and_up_to(store: StateStore) -> None:
    for key in "abcde":
        store.put_index("i", key, {})
    store.put_index("i", "head", {})
    assert names(store.list_index("i", after="a", up_to="d")) == ["b", "c", "d"]
    assert names(store.list_index("i", after="b", limit=2)) == ["c", "d"]
    assert names(store.list_index("i", up_to="0")) == []
    assert names(store.list_index("i", up_to="")) == []
    assert names(store.list_index("i", prefix="he")) == ["head"]
    assert store.list_index("empty") == ()


def test_a_shared_row_is_replaced_under_its_etag(store: StateStore) -> None:
    assert store.read_shared("budget") == (None, None)
    with pytest.raises(LostRace):
        store.replace_shared("budget", {}, expected="1")
    first = store.replace_shared("budget", {"left": 300}, expected=None)
    with pytest.raises(LostRace):
        store.replace_shared("budget", {"left": 0}, expected=None)
    second = store.replace_shared("budget", {"left": 275}, expected=first)
    assert second != first
    with pytest.raises(LostRace):
        store.replace_shared("budget", {"left": 0}, expected=first)
    assert store.read_shared("budget") == (second, {"left": 275})
    assert store.read_shared("breaker") == (None, None)


def test_a_closed_store_is_unavailable(store: StateStore) -> None:
    store.close()  # type: ignore[attr-defined]
    for attempt in (
        lambda: store.read(ADA),
        lambda: store.commit(commit(None, "c1")),
        lambda: store.read_shared("x"),
        lambda: store.list_index("i"),
    ):
        with pytest.raises(StoreUnavailable):
            attempt()
