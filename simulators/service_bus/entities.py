"""The queues and topics of a namespace: each queue an engine with a journal of its own, each subscription of a topic a queue."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from adapters.queues.engine import QueueEngine
from adapters.queues.journal import SqliteJournal
from adapters.queues.ledger import QueueRules
from joinery.engine.ports import Clock
from joinery.errors import ConfigurationError, Finding

#: The largest message of a queue that names no limit: that of the Premium tier. A file may set the 262144 of the Standard tier.
_MESSAGE_BYTES_MAX = 1_048_576
_DEAD_LETTERS = "/$deadletterqueue"

#: A queue of the cloud as it is made where nothing else is said ("service-bus-messaging", queue properties).
_DEFAULTS = QueueRules(
    requires_session=False, lock_duration=timedelta(seconds=60), max_delivery_count=10, message_bytes_max=_MESSAGE_BYTES_MAX
)

_SECONDS = {"lock_duration": "lock_duration", "duplicate_window": "duplicate_window", "default_ttl": "default_time_to_live"}
_PLAIN = {
    "requires_session": "requires_session",
    "max_delivery_count": "max_delivery_count",
    "dead_letter_on_expiry": "dead_letter_on_expiry",
    "max_message_bytes": "message_bytes_max",
}


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that is sent to or received from."""

    #: One queue; the queues of all subscriptions where it is a topic.
    engines: tuple[QueueEngine, ...]
    #: Its dead letters are meant.
    dead: bool = False
    #: A topic is sent to only.
    topic: bool = False

    @property
    def engine(self) -> QueueEngine:
        """The one queue."""
        return self.engines[0]

    @property
    def needs_session(self) -> bool:
        """Whether its receivers lock a session; dead letters are read without one."""
        return self.engine.rules.requires_session and not self.dead


class Namespace:
    """All entities, found by their address.

    Args:
        entities: the document of ``read_entities``; in place of a queue's object there may be its ``QueueRules``.
        folder: where the journals are; None keeps everything in memory.
    """

    def __init__(self, entities: Mapping[str, Any], clock: Clock, *, folder: Path | None = None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._entities: dict[str, Entity] = {}
        for name, rules in entities.get("queues", {}).items():
            self._add(name, _engine(name, rules, clock, folder))
        for name, topic in entities.get("topics", {}).items():
            subscriptions = {
                f"{name}/Subscriptions/{subscription}": _engine(f"{name}/Subscriptions/{subscription}", rules, clock, folder)
                for subscription, rules in topic.get("subscriptions", {}).items()
            }
            for path, engine in subscriptions.items():
                self._add(path, engine)
            self._entities[name.lower()] = Entity(tuple(subscriptions.values()), topic=True)

    def find(self, address: str) -> Entity | None:
        """By the path below the namespace, whatever its case."""
        return self._entities.get(address.strip("/").lower())

    def engine(self, name: str) -> QueueEngine:
        """A queue by its name. Raises KeyError."""
        return self._entities[name.lower()].engine

    @property
    def engines(self) -> Iterable[QueueEngine]:
        """All queues."""
        return (entity.engine for entity in self._entities.values() if not entity.topic and not entity.dead)

    def next_change(self) -> float:
        """In how many seconds time alone changes something in any of them."""
        return min((change for engine in self.engines if (change := engine.next_change()) is not None), default=math.inf)

    def close(self) -> None:
        """Close every journal."""
        for engine in self.engines:
            engine.close()

    def _add(self, name: str, engine: QueueEngine) -> None:
        self._entities[name.lower()] = Entity((engine,))
        self._entities[name.lower() + _DEAD_LETTERS] = Entity((engine,), dead=True)


def read_entities(path: Path) -> dict[str, Any]:
    """Queues and topics from a JSON file: ``{"queues": {NAME: RULES}, "topics": {NAME: {"subscriptions": {NAME: RULES}}}}``.

    RULES: ``requires_session``, ``lock_duration`` (seconds), ``max_delivery_count``, ``duplicate_window`` (seconds), ``default_ttl`` (seconds),
    ``dead_letter_on_expiry``, ``max_message_bytes``, all optional. Raises ConfigurationError.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _wrong(str(path), f"cannot be read: {error}") from error
    if not isinstance(document, dict) or document.keys() - {"queues", "topics"}:
        raise _wrong(str(path), 'is no JSON object with "queues" and "topics"')
    return document


def _engine(name: str, rules: Mapping[str, Any] | QueueRules, clock: Clock, folder: Path | None) -> QueueEngine:
    journal = None if folder is None else SqliteJournal(folder / f"{quote(name.lower(), safe='')}.db")
    return QueueEngine(clock, journal, _rules(name, rules), name=name)


def _rules(name: str, rules: Mapping[str, Any] | QueueRules) -> QueueRules:
    if isinstance(rules, QueueRules):
        return rules
    if unknown := rules.keys() - _SECONDS.keys() - _PLAIN.keys():
        raise _wrong(f"queue {name}", f"has no property {', '.join(sorted(unknown))}")
    found: dict[str, Any] = {_PLAIN[key]: value for key, value in rules.items() if key in _PLAIN}
    try:
        found |= {_SECONDS[key]: timedelta(seconds=value) if value else None for key, value in rules.items() if key in _SECONDS}
        return replace(_DEFAULTS, **found)
    except (TypeError, ValueError) as error:
        raise _wrong(f"queue {name}", str(error)) from error


def _wrong(place: str, problem: str) -> ConfigurationError:
    remedy = "Write it as docs/stand-ins.md shows."
    return ConfigurationError([Finding(place=place, problem=problem, remedy=remedy)])
