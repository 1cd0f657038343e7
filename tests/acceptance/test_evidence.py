"""The audit of a real product: sealed, exported, erased beside the running process; and tampered with past the store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from product import Product, product, wait_until
from tales import joined, left

pytestmark = pytest.mark.servers

SETTINGS = {"JOINERY_TWIN_CHECK_SECONDS": "2", "JOINERY_SEAL_MINUTES": "0", "JOINERY_SEARCH_LAG_SECONDS": "0.3"}
WHO, MARK = "Quixotica Marker", b"quixotica"


@pytest.fixture
def lived(tmp_path: Path) -> Iterator[tuple[Product, str]]:
    """Somebody joined and left, and the tick of a restart has sealed it; with their id."""
    # Apart, so that the folder of ours holds nothing of the stand-ins.
    with product(tmp_path, apart=True, settings=SETTINGS) as it:
        one = it.world.person(WHO, manager=it.world.person("Bertil Boss"))
        agent = it.world.agent(one, "Administrator")
        it.world.add(one)
        joined(it, one)
        it.world.disable(one)
        left(it, one, agent=agent)
        it.wait_quiet()
        creates = 5
        wait_until("the twin checks are over", lambda: it.tale(one).count("  twin check ") == creates, explain=it.story)
        it.restart()
        yield it, one.id


def holding(it: Product) -> list[str]:
    return sorted(path.name for path in it.data.rglob("*") if path.is_file() and MARK in path.read_bytes().lower())


def test_a_person_is_erased_beside_the_running_process_and_the_audit_holds(lived: tuple[Product, str]) -> None:
    it, identity = lived
    assert it.command("audit", "verify").returncode == 0
    assert set(holding(it)) & {"state.db", "state.db-wal"}
    named = it.command("erase", "--person", WHO, "--reason", f"for {WHO}")
    assert named.returncode == 2 and "--reason: holds a name" in named.stderr
    erased = it.command("erase", "--person", identity, "--reason", "request 14")
    assert erased.returncode == 0 and "Erased from" in erased.stdout and identity in erased.stdout, erased
    assert holding(it) == []
    verdict = json.loads(it.command("audit", "verify", "--json").stdout)
    assert verdict["sound"] and verdict["entries"] > 10 and verdict["seals"] >= 1
    assert "erased" in it.command("audit", "show", "--operator").stdout
    assert it.command("erase", "--person", WHO, "--reason", "x").returncode == 1, "by name nobody is known any more"
    again = it.command("erase", "--person", identity, "--reason", "request 14")
    assert (again.returncode, again.stdout) == (0, f"Nothing was left to erase of {identity}.\n")
    exported = [json.loads(line) for line in it.command("audit", "export", "--person", identity).stdout.splitlines()]
    assert len(exported) == exported[0]["heads"][f"local|person:{identity}"]["seq"] + 1
    assert not any("personal" in line for line in exported)


def test_a_tail_cut_off_past_the_store_is_found_from_outside(lived: tuple[Product, str]) -> None:
    it, identity = lived
    assert it.ours.stop() == 0
    assert it.command("audit", "verify").returncode == 0
    who = f"local|person:{identity}"
    sealed = [json.loads(line)["heads"].get(who, {"seq": 0})["seq"] for line in (it.data / "seals.jsonl").read_text().splitlines()]
    last = max(sealed)
    with closing(sqlite3.connect(it.data / "state.db", isolation_level=None)) as raw:
        audit = [(f"p|{who}", f"{prefix}.{last:012d}", f"{prefix}/") for prefix in ("~audit", "~personal")]
        raw.executemany("DELETE FROM entity WHERE partition = ? AND name >= ? AND name < ?", audit)
        where = "FROM entity WHERE partition = ? AND name = ?"
        before = json.loads(raw.execute(f"SELECT data {where}", (f"p|{who}", f"~audit.{last - 1:012d}")).fetchone()[0])
        head = json.loads(raw.execute(f"SELECT data {where}", (f"p|{who}", "head")).fetchone()[0])
        forged = json.dumps({**head, "audit_seq": before["seq"], "audit_hash": before["hash"]}).encode()
        raw.execute("UPDATE entity SET data = ? WHERE partition = ? AND name = 'head'", (forged, f"p|{who}"))
    found = it.command("audit", "verify")
    assert found.returncode == 1
    assert found.stdout.startswith(f"{who}: entry {last} and everything after it is gone.")


def test_where_it_cannot_look_it_says_so_and_ends_with_2(lived: tuple[Product, str], tmp_path: Path) -> None:
    it, _ = lived
    (tmp_path / "a file").write_text("")
    done = it.command("audit", "verify", JOINERY_SEAL_FILE=str(tmp_path / "a file" / "seals.jsonl"))
    # The place is not there: the seals are gone, and the store remembers them.
    assert done.returncode == 1 and "seals: seal 1 and everything after it is gone" in done.stdout
    nowhere = it.command("audit", "verify", "--data", str(tmp_path / "nothing"))
    assert nowhere.returncode == 2 and "holds no state.db" in nowhere.stderr
    neither = it.command("audit", "export")
    assert neither.returncode == 2 and "takes one of" in neither.stderr
