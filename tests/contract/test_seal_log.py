"""One contract, every log of the seals: it only grows, and only for the one who knows where it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from table_service import new_container

from adapters.stores.seal_blob import BlobSealLog
from adapters.stores.seal_file import FileSealLog
from joinery.engine.memory import MemorySealLog
from joinery.engine.ports import SealLog
from joinery.errors import LostRace, SealUnavailable

#: Name -> how to make one for a test.
SEAL_LOGS: dict[str, Callable[[pytest.FixtureRequest], SealLog]] = {
    "memory": lambda request: MemorySealLog(),
    "file": lambda request: FileSealLog(request.getfixturevalue("tmp_path") / "outside" / "seals.jsonl"),
    "blob": lambda request: BlobSealLog(new_container(request.getfixturevalue("blob_azurite").connection)),
}


@pytest.fixture(params=["memory", "file", pytest.param("blob", marks=pytest.mark.servers)])
def log(request: pytest.FixtureRequest) -> SealLog:
    return SEAL_LOGS[request.param](request)


def test_a_log_that_nobody_wrote_to_is_empty(log: SealLog) -> None:
    assert (log.size(), log.read()) == (0, b"")


def test_what_was_appended_is_read_from_anywhere(log: SealLog) -> None:
    log.append(b"one\n", at=0)
    log.append(b"two\n", at=4)
    assert (log.size(), log.read(), log.read(4)) == (8, b"one\ntwo\n", b"two\n")


@pytest.mark.parametrize("at", [0, 3, 5])
def test_an_append_at_another_place_than_the_end_is_refused_and_writes_nothing(log: SealLog, at: int) -> None:
    log.append(b"one\n", at=0)
    with pytest.raises(LostRace):
        log.append(b"two\n", at=at)
    assert log.read() == b"one\n"


def test_of_many_who_append_at_one_end_exactly_one_does(log: SealLog) -> None:
    log.append(b"first\n", at=0)
    lost = []

    def append(number: int) -> None:
        try:
            log.append(b"%d\n" % number, at=6)
        except LostRace:
            lost.append(number)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lost) == 7 and log.size() == 8


def test_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "seals.jsonl"
    FileSealLog(path).append(b"one\n", at=0)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written_is_said_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    log = FileSealLog(tmp_path / "a file" / "seals.jsonl")
    with pytest.raises(SealUnavailable, match="a file"):
        log.append(b"one\n", at=0)
