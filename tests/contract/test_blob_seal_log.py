"""What only append blobs can be asked: how the log goes on when one is full, what a lost answer means, and that nothing is ever overwritten."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError
from table_service import LOST_REQUEST, LOST_RESPONSE, ROOT, Azurite, Wire, new_container

from adapters.stores.seal_blob import BlobSealLog, seal_container
from joinery.cli.stored import stored
from joinery.engine.seals import SEALED, Sealer, read_seals
from joinery.errors import ConfigurationError, LostRace, SealUnavailable
from joinery.settings import Settings
from joinery.testing import World, person
from wiring import build_app

pytestmark = pytest.mark.servers

#: Blocks of one blob, see tests/azurite/few_blocks.js.
BLOCKS = 3


@dataclass(kw_only=True)
class Noting(Wire):
    """Notes each request with what it is conditional on."""

    requests: list[Any] = field(default_factory=list)

    def send(self, inner: Any, request: Any, **options: Any) -> Any:
        self.requests.append(request)
        return super().send(inner, request, **options)


@pytest.fixture
def wire() -> Noting:
    return Noting()


@pytest.fixture
def log(blob_azurite: Azurite, wire: Noting) -> BlobSealLog:
    made = new_container(blob_azurite.connection, wire=wire)
    wire.requests.clear()
    return BlobSealLog(made)


def fill(log: BlobSealLog, lines: int) -> bytes:
    """So many lines, each with one append; returns all of them."""
    written = b""
    for number in range(lines):
        log.append(b"line %d\n" % number, at=len(written))
        written += b"line %d\n" % number
    return written


def test_where_a_blob_is_full_the_log_goes_on_in_the_next_and_is_read_as_one(log: BlobSealLog) -> None:
    written = fill(log, 2 * BLOCKS + 1)
    assert log.size() == len(written)
    full = len(written) // (2 * BLOCKS + 1) * BLOCKS
    for start in (0, full - 1, full, full + 1, 2 * full, len(written) - 1, len(written), len(written) + 1):
        assert log.read(start) == written[start:]


def test_of_many_who_append_where_a_blob_is_full_exactly_one_does(log: BlobSealLog) -> None:
    end = len(fill(log, BLOCKS))
    outcomes: list[str] = []

    def append(number: int) -> None:
        try:
            log.append(b"%d\n" % number, at=end)
            outcomes.append("added")
        except LostRace:
            outcomes.append("lost")

    threads = [threading.Thread(target=append, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["added", *["lost"] * 5]
    assert log.size() == end + 2


def test_nothing_is_sent_that_a_container_of_protected_appends_would_refuse(log: BlobSealLog, wire: Noting) -> None:
    """It lets new blobs be made and blocks be added ("immutable-container-level-worm-policies"); the rest would be refused there."""
    written = fill(log, 2 * BLOCKS + 1)
    with pytest.raises(LostRace):
        log.append(b"late\n", at=0)
    assert log.read() == written

    changing = [request for request in wire.requests if request.method not in ("GET", "HEAD")]
    assert len(changing) == 2 * BLOCKS + 1 + 2 + 3, "each line, two blocks that found their blob full, three blobs"
    for request in changing:
        adds = "comp=appendblock" in request.url and "x-ms-blob-condition-appendpos" in request.headers
        assert request.method == "PUT" and (adds or request.headers["If-None-Match"] == "*"), request.url


def test_somebody_elses_blobs_in_the_container_are_no_seals(blob_azurite: Azurite) -> None:
    container = new_container(blob_azurite.connection)
    container.upload_blob("seals-notes.txt", b"mine")
    container.upload_blob("seals-00007.jsonl", b"a block blob")
    assert BlobSealLog(container).size() == 0


@pytest.mark.parametrize(("fault", "lines"), [(LOST_REQUEST, 1), (LOST_RESPONSE, 2)])
def test_after_a_lost_answer_the_next_seal_follows_the_last_that_was_written(
    log: BlobSealLog, wire: Noting, fault: Any, lines: int
) -> None:
    world = World()
    sealer = Sealer(world.store, log, clock=world.clock)
    for somebody in ("ada", "ben"):
        world.put(person(somebody, groups=("ITSM-NewJoiner",)))
        world.look(somebody)
    # Three lists (how long it is, how it ends, which blob is the last), a new blob, and the block.
    wire.plan({5: fault})
    with pytest.raises(SealUnavailable, match="no answer"):
        sealer.seal()
    assert wire.met and len(wire.sent) == (4 if fault is LOST_REQUEST else 5)
    wire.plan()

    assert sealer.seal() == 2
    book = read_seals(log.read(), remembered=world.store.read_shared(SEALED)[1])
    assert (len(book.seals), book.broken, book.torn) == (lines, None, 0)


def test_a_container_that_is_missing_is_named_and_not_made(blob_azurite: Azurite) -> None:
    log = BlobSealLog(seal_container(connection=blob_azurite.connection, name="not-there"))
    for _ in range(2):
        with pytest.raises(SealUnavailable, match=r"127\.0\.0\.1:\d+ not-there: 404 ContainerNotFound .*make the container"):
            log.append(b"one\n", at=0)


def test_credentials_that_do_not_suffice_are_said_with_the_role_that_does(blob_azurite: Azurite) -> None:
    wrong = blob_azurite.connection.replace(blob_azurite.key, "aHVzaC1odXNo")
    with pytest.raises(SealUnavailable, match=r"403 AuthorizationFailure .*Storage Blob Data Contributor") as caught:
        BlobSealLog(seal_container(connection=wrong)).size()
    assert "aHVzaC1odXNo" not in str(caught.value)


def test_a_service_that_does_not_answer_is_asked_once(log: BlobSealLog, wire: Noting) -> None:
    wire.plan({1: LOST_REQUEST})
    with pytest.raises(SealUnavailable, match="no answer"):
        log.size()
    assert log.size() == 0


def test_what_the_product_seals_there_the_command_finds_there(
    blob_azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.suppress(ResourceExistsError):
        seal_container(connection=blob_azurite.connection).create_container()
    nowhere = dict.fromkeys(("JOINERY_GRAPH_URL", "JOINERY_HALO_URL", "JOINERY_PUBLIC_URL"), "http://127.0.0.1:9")
    given = {"JOINERY_DATA": str(tmp_path), "JOINERY_SEALS_CONNECTION": blob_azurite.connection, "JOINERY_CLIENT_STATE": "hush-hush"}
    for name, value in (nowhere | given).items():
        monkeypatch.setenv(name, value)
    with contextlib.closing(build_app(Settings.from_environment(os.environ))) as parts:
        with stored(None) as state:
            state.log.record("paused", "tonight", by="an operator")
        parts.app.tick()
    with stored(None) as state:
        verdict = state.verifier.verify()
    assert (verdict.seals, verdict.unsealed, verdict.breaks) == (1, 0, ())


def test_whoever_never_seals_loads_no_client_for_blobs() -> None:
    code = (
        "import sys; from adapters.stores.seals import open_seals; "
        "log = open_seals(None, url='https://acme.blob.core.windows.net/seals'); log.close(); print('azure.storage.blob' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr[-2000:]


def test_a_text_that_is_no_connection_string_is_refused_without_being_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        seal_container(connection="hush-hush")
    assert "hush" not in str(caught.value)
