"""``joinery worker``: everything that the functions do, without the Functions runtime. One or several, in containers or on servers of one's own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import NoReturn

from joinery.cli.exits import WELL
from joinery.cli.folder import held
from joinery.cli.logs import log_to_stderr
from joinery.cli.stopping import until_stopped
from joinery.cli.up import check, say, say_stopped, starting, wait_until_ready, within
from joinery.errors import ConfigurationError, Finding
from joinery.settings import Settings

#: After this many seconds a stop is no longer polite. Whoever stops a container mostly waits ten.
_STOP_MAX = 8.0


def run_worker(settings: Settings, *, listen: str) -> NoReturn:
    """Serve, handle and sweep until SIGINT or SIGTERM. Raises ConfigurationError with every finding."""
    from wiring import Local, build_local

    _check(settings)
    with until_stopped() as stop, held(settings.data, "up"):
        log_to_stderr()
        local: Local = starting(settings.data, lambda: build_local(settings, listen=listen))
        try:
            say(f"Joinery works: queue {settings.queue}, state in {settings.store}, functions on {local.host.url}")
            local.start()
            if wait_until_ready(local, stop):
                say("ready")
            stop.wait()
        finally:
            within(_STOP_MAX, local.close)
    say_stopped()
    logging.shutdown()
    # Threads of the SDK that still listen must not keep a process that is done: everything is committed.
    os._exit(WELL)


def _check(settings: Settings) -> None:
    findings: list[Finding] = []
    for name, url in (("JOINERY_GRAPH_URL", settings.graph_url), ("JOINERY_HALO_URL", settings.halo_url)):
        if not url:
            findings.append(Finding(place=name, problem="is not set", remedy="A worker has no stand-ins of its own; `joinery up` has."))
    examinations: list[Callable[[], None]] = [lambda: check(settings, {"--port": settings.port}), settings.check_complete]
    for examine in examinations:
        try:
            examine()
        except ConfigurationError as error:
            findings += [one for one in error.findings if all(one.place != other.place for other in findings)]
    if findings:
        raise ConfigurationError(findings)
