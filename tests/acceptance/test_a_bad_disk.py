"""The data folder's disk is full or read-only, at the start and in the middle of the work: a clear word, nothing lost, and it goes on by itself."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from product import Product, wait_until
from small_disk import SmallDisk
from tales import joined, left, made
from world import Someone

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not (shutil.which("unshare") and shutil.which("nsenter")), reason="no unshare and nsenter: small disks cannot be had"
    ),
]

_BRISK = {
    "JOINERY_CALL_DEADLINE_SECONDS": "1",
    "JOINERY_SEARCH_LAG_SECONDS": "0.3",
    "JOINERY_HALO_CLIENT_ID": "local",
    "JOINERY_HALO_CALLS": "0",
}


def laid_out(folder: Path, disk: SmallDisk) -> Product:
    """Ours on the small disk, the stand-ins on a good one."""
    return Product.lay_out(folder, apart=True, settings=_BRISK, launcher=disk.launcher)


def until_nobody_is_served(it: Product) -> list[Someone]:
    """People join until one of them gets no ticket: a log that was copied back just now has room for some megabytes, however full the disk is."""
    people: list[Someone] = []
    while len(people) < 40:
        one = made(it, f"New Comer{len(people)}")
        it.world.add(one)
        people.append(one)
        patience = time.monotonic() + 6
        while not it.world.tickets_of(one):
            if time.monotonic() > patience:
                return people
            time.sleep(0.2)
    raise AssertionError("the disk was not full")


def ends(it: Product) -> int:
    """Start it; the exit code it ends with by itself."""
    it.ours.start()
    return it.ours.popen.wait(timeout=60)


def test_a_disk_that_fills_up_under_the_work_loses_nothing_and_it_goes_on_by_itself(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "data", megabytes=24) as disk:
        it = laid_out(tmp_path, disk)
        try:
            it.start()
            leaver = made(it, "Lea Leaver")
            it.world.add(leaver)
            joined(it, leaver)
            process = it.ours.popen.pid
            under_way = made(it, "Una Underway")
            it.world.add(under_way)
            wait_until("work has begun", lambda: it.world.users_of(under_way), explain=it.story)
            disk.fill()
            newcomers = until_nobody_is_served(it)
            it.world.disable(leaver)
            time.sleep(4)
            assert it.ours.code is None, it.ours.output
            assert not it.world.tickets_of(newcomers[-1]), "the disk was not full"
            assert not it.world.tickets_of(leaver, "Offboarding"), "the disk was not full"
            disk.free()
            for one in (under_way, *newcomers):
                joined(it, one, within=150)
            left(it, leaver, within=150)
            assert len(it.world.tickets()) == 3 + len(newcomers)
            assert (it.health()[0], it.health()[1]["parked"]) == (200, 0)
            assert it.ours.popen.pid == process
            assert "Traceback" not in it.ours.output
        finally:
            it.end()


def test_a_full_disk_at_the_start_is_told_and_the_next_start_is_as_if_nothing_had_been(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "data", megabytes=8) as disk:
        it = laid_out(tmp_path, disk)
        try:
            it.start_stand_ins()
            disk.fill()
            assert ends(it) == 2, it.ours.output
            assert "Traceback" not in it.ours.output
            assert str(it.data) in it.ours.output and "No space left" in it.ours.output
            disk.free()
            it.start()
            one = made(it, "Ada After")
            it.world.add(one)
            joined(it, one)
        finally:
            it.end()


def test_a_disk_that_became_full_while_it_was_down_is_told_at_the_start_and_nothing_is_overwritten(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "data", megabytes=24) as disk:
        it = laid_out(tmp_path, disk)
        try:
            it.start()
            one = made(it, "Bea Before")
            it.world.add(one)
            joined(it, one)
            it.ours.kill()
            disk.fill()
            it.ours.start()
            time.sleep(4)
            assert "Traceback" not in it.ours.output
            assert it.ours.code in (None, 2), it.ours.output
            it.ours.kill()
            disk.free()
            it.ours.start()
            it.wait_ready()
            it.world.disable(one)
            left(it, one)
        finally:
            it.end()


def test_a_read_only_disk_at_the_start_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "data", megabytes=24) as disk:
        it = laid_out(tmp_path, disk)
        try:
            it.start()
            one = made(it, "Rea Donly")
            it.world.add(one)
            joined(it, one)
            it.ours.kill()
            before = {path.name: path.read_bytes() for path in disk.seen_from_outside.iterdir()}
            disk.remount("ro")
            printed = len(it.ours.output)
            assert ends(it) == 2, it.ours.output
            said = it.ours.output[printed:]
            assert "Traceback" not in said
            assert str(it.data) in said and "Read-only" in said and "--data" in said
            assert {path.name: path.read_bytes() for path in disk.seen_from_outside.iterdir()} == before
            disk.remount("rw")
            it.ours.start()
            it.wait_ready()
            it.world.disable(one)
            left(it, one)
        finally:
            it.end()
