"""How often a look asks Graph and Halo, counted by the stand-ins themselves."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import httpx

from benchmarks.figure import Figure
from joinery.engine.envelope import Envelope, EnvelopeKind, person_subject
from joinery.settings import Settings
from simulators.driver import GraphDriver
from wiring import build_app, build_stand_ins

_LOOKS = 50


def measure() -> Iterator[Figure]:
    """Somebody who joined and whose ticket is there is looked at again and again; nothing about them has changed."""
    # What the tenant says beside is for the log.
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        given: dict[str, Any] = {"data": folder, "graph_port": 0, "halo_port": 0, "settle_seconds": 0}
        outside = build_stand_ins(Settings.from_environment({}, **given), empty=True)
        given |= {"graph_url": outside.graph_url, "halo_url": outside.halo_url}
        given |= {"public_url": "https://joinery.example", "client_state": "c" * 64}
        parts = build_app(Settings.from_environment({}, **given))
        try:
            yield from _looks(parts, outside.graph_url, outside.halo_url)
        finally:
            parts.close()
            outside.close()
            logging.disable(logging.NOTSET)


def _looks(parts: Any, graph_url: str, halo_url: str) -> Iterator[Figure]:
    graph = GraphDriver(graph_url)
    mail = "ada@contoso.example"
    body = {"accountEnabled": True, "displayName": "Ada", "userPrincipalName": mail, "mail": mail, "employeeId": "E1"}
    person = graph.call("POST", "/users", body)["id"]
    graph.add_member(graph.group_id("ITSM-NewJoiner") or "", person)
    graph.close()
    for _ in range(3):
        # The first starts and ends the run; the others find what lags behind it.
        parts.app.handle(_look(parts, person))
    if not parts.app.reads.runs():
        raise RuntimeError("nobody joined")
    for url in (graph_url, halo_url):
        httpx.delete(f"{url}/_calls")
    milliseconds = []
    for _ in range(_LOOKS):
        message = _look(parts, person)
        began = time.perf_counter()
        parts.app.handle(message)
        milliseconds.append(1_000 * (time.perf_counter() - began))
    asked = {url: len(httpx.get(f"{url}/_calls").json()) for url in (graph_url, halo_url)}
    yield Figure(name="look without a change: calls to Graph", value=asked[graph_url] / _LOOKS, unit="calls", peer=1, peer_name="promised")
    yield Figure(name="look without a change: calls to Halo", value=asked[halo_url] / _LOOKS, unit="calls", peer=0, peer_name="promised")
    yield Figure(name="look without a change, the stand-in's time included, p50", value=median(milliseconds), unit="ms")


def _look(parts: Any, person: str) -> bytes:
    subject = person_subject(person)
    return Envelope(
        tenant=parts.settings.graph_tenant, subject=subject, kind=EnvelopeKind.LOOK, cause="benchmark", at=parts.app.clock.now()
    ).encode()
