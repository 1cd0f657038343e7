"""``joinery up``: the functions, the stand-ins and, unless told otherwise, a day played before your eyes."""

from __future__ import annotations

import functools
import math
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from joinery.cli.exits import WELL, finding
from joinery.cli.folder import accounts_in, held
from joinery.cli.logs import log_to
from joinery.cli.options import flags, settings_from
from joinery.cli.ports import check_ports
from joinery.cli.stopping import until_stopped
from joinery.errors import ConfigurationError, Finding
from joinery.setting_checks import on_loopback

if TYPE_CHECKING:
    from joinery.settings import Settings
    from simulators.standing import StandIns
    from wiring import Local

T = TypeVar("T")

#: Settle time while a day is played and nothing was said: short enough to follow.
PLAY_SETTLE_SECONDS = 3.0
#: After this many seconds a stop is no longer polite: everything is committed, so nothing is lost by leaving at once.
_STOP_MAX = 4.0
#: After this many seconds without being ready, say what is missing.
_PATIENCE = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What one ``joinery up`` is to do."""

    settings: Settings
    empty: bool
    play: bool
    #: True where nobody gave a settle time and the short one of the play was taken.
    settle_shortened: bool

    @property
    def own_stand_ins(self) -> bool:
        """Whether the stand-ins run in this process."""
        return not (self.settings.graph_url and self.settings.halo_url)


def plan(*, empty: bool | None, no_play: bool | None, **given: Any) -> Plan:
    """Settings and switches, checked. Raises ConfigurationError with every finding."""
    switches, findings = flags(empty=empty, no_play=no_play)
    settings: Settings = settings_from(findings, **given)
    # Only pretend worlds are played with.
    play = not switches["empty"] and not switches["no_play"] and on_loopback(settings.graph_url) and on_loopback(settings.halo_url)
    shorten = play and settings.settle_seconds is None
    if shorten:
        settings = replace(settings, settle_seconds=PLAY_SETTLE_SECONDS)
    return Plan(settings=settings, empty=switches["empty"], play=play, settle_shortened=shorten)


def run_up(chosen: Plan) -> int:
    """Start, say where things listen, play, and run until SIGINT or SIGTERM. Raises ConfigurationError."""
    from joinery.cli.banner import banner

    with until_stopped() as stop, running(chosen) as local:
        accounts = accounts_in(chosen.settings.data) if chosen.empty and chosen.own_stand_ins else 0
        for line in banner(chosen, local, accounts):
            say(line)
        known = known_partitions(local) if chosen.play else frozenset()
        local.start()
        if wait_until_ready(local, stop):
            if chosen.play:
                from joinery.cli.show import play_a_day

                play_a_day(local, known, stop)
            else:
                say("ready")
        stop.wait()
    say_stopped()
    return WELL


def run_stand_ins(settings: Settings, *, empty: bool, bus_port: int | None = None) -> int:
    """Serve the stand-ins alone until SIGINT or SIGTERM. Raises ConfigurationError."""
    from joinery.cli.banner import stand_ins_banner
    from wiring import build_bus, build_stand_ins

    ports = {"--graph-port": settings.graph_port, "--halo-port": settings.halo_port}
    check(settings, ports if bus_port is None else ports | {"--bus-port": bus_port})
    with until_stopped() as stop, held(settings.data, "stand-ins"):
        log_to(settings.data / "stand-ins.log")
        stand_ins: StandIns = starting(settings.data, lambda: build_stand_ins(settings, empty=empty))
        closers = [stand_ins.close]
        try:
            bus = None
            if bus_port is not None:
                bus = starting(settings.data, lambda: build_bus(settings, bus_port))
                closers.append(bus.close)
            accounts = accounts_in(settings.data) if empty else 0
            for line in stand_ins_banner(settings, stand_ins, accounts, bus="" if bus is None else bus.connection_string):
                say(line)
            say("ready")
            stop.wait()
        finally:
            within(_STOP_MAX, functools.partial(_close_all, closers))
    say_stopped()
    return WELL


@contextmanager
def running(chosen: Plan) -> Iterator[Local]:
    """Everything built and listening, not yet started; closed at the end. Raises ConfigurationError."""
    from wiring import build_local

    settings = chosen.settings
    ports = {"--port": settings.port}
    if chosen.own_stand_ins:
        ports |= {"--graph-port": settings.graph_port, "--halo-port": settings.halo_port}
    check(settings, ports)
    with held(settings.data, "up", *(("stand-ins",) if chosen.own_stand_ins else ())):
        log_to(settings.data / "joinery.log")
        local: Local = starting(settings.data, lambda: build_local(settings, empty=chosen.empty))
        try:
            yield local
        finally:
            within(_STOP_MAX, local.close)


def check(settings: Settings, ports: dict[str, int]) -> None:
    """What real addresses need, policy and ports, before anything is opened. Raises ConfigurationError with every finding."""
    from wiring import policy_of, profile_of

    findings: list[Finding] = []
    writes = False
    try:
        writes = policy_of(settings).cut_off.writes
    except ConfigurationError as error:
        findings += error.findings
    findings = settings.missing(writes=writes) + findings
    for examine in (lambda: profile_of(settings), lambda: check_ports(ports)):
        try:
            examine()
        except ConfigurationError as error:
            findings += error.findings
    if findings:
        raise ConfigurationError(findings)


def starting(data: Path, build: Callable[[], T]) -> T:
    """What ``build`` makes; a port lost to another process, or a damaged file, becomes a finding."""
    try:
        return build()
    except OSError as error:
        raise finding("joinery up", f"cannot start ({error.strerror or error})", "Look at the ports and the data folder.") from None
    except sqlite3.DatabaseError as error:
        remedy = "Name another folder with --data, or move the damaged file away; it was left as it is."
        raise finding(str(data), f"holds a file that cannot be read ({error})", remedy) from None


def known_partitions(local: Local) -> frozenset[str]:
    """Whom an earlier process knew already."""
    return frozenset(known.partition for known in local.parts.app.reads.people())


def wait_until_ready(local: Local, stop: threading.Event, *, at_most: float = math.inf) -> bool:
    """Until health is 200; False if it was stopped before, or was not ready after ``at_most`` seconds."""
    waited, told = 0.0, False
    while not stop.is_set() and waited < at_most:
        ready, document = local.parts.app.health()
        if ready:
            return True
        if waited > _PATIENCE and not told:
            told = True
            say(f"waiting for {' and '.join(document['waiting_for'])}; {local.parts.settings.data / 'joinery.log'} says why")
        stop.wait(0.05)
        waited += 0.05
    return False


def within(seconds: float, close: Callable[[], None]) -> None:
    """Close; if that takes too long, leave the process with success: whatever was in hand is settled after the next start."""
    watchdog = threading.Timer(seconds, _leave)
    watchdog.daemon = True
    watchdog.start()
    try:
        close()
    finally:
        watchdog.cancel()


def _close_all(closers: list[Callable[[], None]]) -> None:
    for close in reversed(closers):
        close()


def _leave() -> None:
    say_stopped()
    os._exit(WELL)


def say_stopped() -> None:
    """That the command ended because it was told to. A terminal that was closed need not hear it."""
    try:
        # The terminal shows Ctrl-C as ^C, and leaves the cursor behind it.
        say(f"{chr(10) if sys.stdout.isatty() else ''}stopped")
    except OSError:
        # What is still buffered must not be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)  # noqa: T201 - a command speaks to its user
