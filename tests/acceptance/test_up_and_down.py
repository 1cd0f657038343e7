"""Starting, stopping, starting again: what a person at a terminal may rely on."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from product import Process, Product, free_ports, product, wait_until
from tales import joined, left, made

pytestmark = pytest.mark.servers

#: A call cut off by a stop is unknown until these are over.
_BRISK = {"JOINERY_CALL_DEADLINE_SECONDS": "2", "JOINERY_SEARCH_LAG_SECONDS": "0.3"}


def test_health_is_503_until_ready_and_the_command_says_ready(tmp_path: Path) -> None:
    it = Product.lay_out(tmp_path)
    try:
        it.ours.start()
        first = wait_until("health answers at all", lambda: it.health()[0])
        assert first == 503
        it.wait_ready()
        _, health = it.health()
        for counter in ("received", "dropped", "queued", "parked", "open_runs", "coverage"):
            assert counter in health
        wait_until("it says so", lambda: "\nready\n" in it.ours.output)
        assert it.ours.stop() == 0
        assert "Traceback" not in it.ours.output
    finally:
        it.end()


@pytest.mark.parametrize("apart", [False, True], ids=["in one process", "stand-ins apart"])
def test_a_restart_goes_on_in_the_same_world(tmp_path: Path, apart: bool) -> None:
    with product(tmp_path, apart=apart) as it:
        one = made(it, "Vera Before")
        agent = it.world.agent(one, "Administrator")
        it.world.add(one)
        joined(it, one)
        assert it.ours.stop() == 0
        if it.stand_ins is not None:
            assert it.stand_ins.stop() == 0
        it.start()
        joined(it, one)
        it.world.disable(one)
        left(it, one, agent=agent)


def test_what_changed_while_ours_was_down_is_done_after_the_next_start(tmp_path: Path) -> None:
    """Some by the stand-in's own delivery, some by the start-up sweep: nobody can tell, and nothing is done twice."""
    with product(tmp_path, apart=True) as it:
        before = made(it, "Bea Before")
        it.world.add(before)
        joined(it, before)
        assert it.ours.stop() == 0
        it.world.disable(before)
        meanwhile = made(it, "Mia Meanwhile")
        it.world.add(meanwhile)
        it.ours.start()
        it.wait_ready()
        joined(it, meanwhile)
        left(it, before)


def test_a_notification_sent_while_ours_was_down_is_delivered_later(tmp_path: Path) -> None:
    with product(tmp_path, apart=True) as it:
        assert it.ours.stop() == 0
        one = made(it, "Lena Later")
        it.world.add(one)
        it.ours.start()
        it.wait_ready()
        wait_until("the stand-in delivers what it kept", lambda: it.health()[1]["received"] >= 1, explain=it.story)
        joined(it, one)


def test_a_second_one_on_the_same_data_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with product(tmp_path) as it:
        done = it.command("up", "--empty", "--no-play", "--port", "0", "--graph-port", "0", "--halo-port", "0")
        assert done.returncode == 2
        assert str(it.data) in done.stderr
        assert "Traceback" not in done.stderr
        one = made(it, "Una Untouched")
        it.world.add(one)
        joined(it, one)


@pytest.mark.parametrize("apart", [False, True], ids=["in one process", "stand-ins apart"])
def test_what_a_killed_process_left_behind_refuses_nobody(tmp_path: Path, apart: bool) -> None:
    with product(tmp_path, apart=apart) as it:
        for number in range(2):
            one = made(it, f"Kira Killed{number}")
            it.world.add(one)
            it.ours.kill()
            if it.stand_ins is not None:
                it.stand_ins.kill()
            it.start()
            joined(it, one)


def test_sigterm_in_the_middle_of_work_ends_it_well(tmp_path: Path) -> None:
    with product(tmp_path, settings=_BRISK) as it:
        it.world.halo_faults({"match": {"method": "POST", "path": "/api/Tickets"}, "fault": "slow", "delay": 30})
        one = made(it, "Sven Slow")
        it.world.add(one)
        wait_until("its user is there", lambda: it.world.users_of(one), explain=it.story)
        assert it.ours.stop() == 0
        assert "Traceback" not in it.ours.output
        it.world.close()
        again = Product.lay_out(tmp_path, settings=_BRISK)
        try:
            again.start()
            again.world.halo_faults()
            joined(again, one)
        finally:
            again.end()


def test_nothing_listens_anywhere_but_on_this_machine(tmp_path: Path) -> None:
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    if not tables[0].exists():
        pytest.skip("no /proc/net on this machine")
    with product(tmp_path) as it:
        mine = {os.readlink(one) for one in Path(f"/proc/{it.ours.popen.pid}/fd").iterdir() if one.is_symlink()}
        rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
        listening = [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in mine]
        assert len(listening) == 3
        assert all(address.startswith("0100007F:") for address in listening)


def test_no_name_no_mail_and_no_secret_is_in_the_log(tmp_path: Path) -> None:
    with product(tmp_path) as it:
        one = made(it, "Zacharias Secretive")
        it.world.add(one)
        joined(it, one)
        it.world.disable(one)
        left(it, one)
        secret = (it.data / "client-state").read_text().strip()
        told = (it.log() + it.ours.output).lower()
        for private in ("zacharias", "secretive", secret.lower()):
            assert private not in told


def test_another_port_and_another_secret_make_the_subscriptions_anew(tmp_path: Path) -> None:
    """Notifications arrive after either; nobody has to wait for a sweep."""
    with product(tmp_path, apart=True) as it:
        it.ours.stop()
        other = replace(it, port=free_ports(1)[0])
        arguments = [str(other.port) if one == str(it.port) else one for one in it.ours.arguments]
        rotated: tuple[dict[str, str], ...] = ({}, {"JOINERY_CLIENT_STATE": "another" * 9})
        for settings in rotated:
            other.ours = Process(arguments=arguments, printed=tmp_path / "other.txt", settings=settings)
            try:
                other.ours.start()
                other.wait_ready()
                rows = other.world.graph("GET", "/subscriptions")["value"]
                assert [row["notificationUrl"] for row in rows] == [f"{other.url}/api/notifications"] * 2
                one = made(other, f"Porter Moved{len(settings)}")
                other.world.add(one)
                joined(other, one)
                _, health = other.health()
                assert health["received"] >= 1
                assert not health["dropped"]
            finally:
                other.ours.kill()


def test_stand_ins_that_die_and_come_back_are_nothing_but_a_pause(tmp_path: Path) -> None:
    with product(tmp_path, apart=True, settings=_BRISK) as it:
        assert it.stand_ins is not None
        one = made(it, "Paula Paused")
        agent = it.world.agent(one, "Administrator")
        it.world.halo_faults({"match": {"method": "POST", "path": "/api/Tickets"}, "fault": "slow", "delay": 1})
        it.world.add(one)
        wait_until("its user is there", lambda: it.world.users_of(one), explain=it.story)
        it.stand_ins.kill()
        assert it.health()[0] in (200, 503)
        it.start_stand_ins()
        it.world.halo_faults()
        joined(it, one)
        it.world.disable(one)
        left(it, one, agent=agent)
        assert "Traceback" not in it.log()
