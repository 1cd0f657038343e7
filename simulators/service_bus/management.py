"""Requests on a link pair: tokens at ``$cbs``, and the operations at ``ENTITY/$management`` ("service-bus-amqp-request-response")."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from adapters.queues.messages import MessageNotFound, QueueMessage, SessionLock
from joinery.errors import LockLost, QueueUnavailable
from simulators.service_bus.entities import Entity
from simulators.service_bus.frames import Attach
from simulators.service_bus.links import ACCEPTED, Intake, Refusal
from simulators.service_bus.messages import (
    APPLICATION_PROPERTIES,
    PROPERTIES,
    VALUE,
    Sections,
    incoming,
    milliseconds,
    moment_of,
    outgoing,
    section,
)
from simulators.service_bus.values import Array, Described, Int, Malformed, Symbol, ULong

if TYPE_CHECKING:
    from simulators.service_bus.session import Session

_CORRELATION_ID = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request comes to: a status as in HTTP, and a map."""

    status: int
    body: Mapping[str, Any] | None = None


class Tokens(Intake):
    """Requests at ``$cbs``. Every token is good: this service has nothing to guard."""

    def take(self, content: bytes, message_format: int) -> Described:
        """Say that it is accepted."""
        request = _read(content)
        told = {"status-code": Int(202), "status-description": "Accepted"}
        _reply(self, request, told, None)
        return Described(ULong(ACCEPTED), [])


class Requests(Intake):
    """Requests at an entity's management node."""

    def __init__(self, session: Session, attach: Attach, management: Management) -> None:
        super().__init__(session, attach)
        self._management = management

    def take(self, content: bytes, message_format: int) -> Described:
        """Do what is asked, and answer."""
        request = _read(content)
        operation = str(request.application_properties.get("operation", "")).removeprefix("com.microsoft:")
        told: dict[str, Any]
        try:
            answer = self._management.answer(operation, request.value if isinstance(request.value, dict) else {})
            told, body = {"statusCode": Int(answer.status), "statusDescription": "OK"}, answer.body
        except Refusal as refusal:
            condition = Symbol(refusal.condition)
            told, body = {"statusCode": Int(refusal.status), "statusDescription": str(refusal), "errorCondition": condition}, None
        _reply(self, request, told, body)
        return Described(ULong(ACCEPTED), [])


class Management:
    """The operations on one entity, asked for on one session."""

    def __init__(self, entity: Entity, session: Session) -> None:
        self._entity = entity
        self._session = session
        self._operations: dict[str, Callable[[Mapping[str, Any]], Answer]] = {
            "peek-message": self._peek,
            "renew-lock": self._renew,
            "schedule-message": self._schedule,
            "cancel-scheduled-message": self._cancel,
            "receive-by-sequence-number": self._receive,
            "update-disposition": self._settle,
            "renew-session-lock": self._renew_session,
            "get-session-state": self._state,
            "set-session-state": self._set_state,
            "get-message-sessions": self._sessions,
        }

    def answer(self, operation: str, asked: Mapping[str, Any]) -> Answer:
        """Do it. Raises Refusal."""
        known = self._operations.get(operation)
        if known is None:
            raise Refusal("amqp:not-implemented", f"The operation '{operation}' is not known here.", 501)
        try:
            return known(asked)
        except LockLost as lost:
            what = "session" if self._entity.needs_session else "message"
            raise Refusal(f"com.microsoft:{what}-lock-lost", f"The lock of the {what} is lost.", 410) from lost
        except MessageNotFound as missing:
            raise Refusal("com.microsoft:message-not-found", str(missing), 404) from missing
        except QueueUnavailable as trouble:
            raise Refusal("com.microsoft:server-busy", "The queue cannot write now.", 503) from trouble
        except KeyError as missing:
            raise Refusal("amqp:invalid-field", f"The request lacks {missing}.") from missing
        except (Malformed, TypeError, ValueError) as wrong:
            raise Refusal("com.microsoft:argument-error", str(wrong)) from wrong

    def _peek(self, asked: Mapping[str, Any]) -> Answer:
        engine, start, count = self._entity.engine, asked["from-sequence-number"], asked["message-count"]
        if self._entity.dead:
            found = engine.dead_letters(from_sequence=start, max_count=count)
        else:
            found = engine.peek(from_sequence=start, max_count=count, session_id=asked.get("session-id"))
        return Answer(200 if found else 204, {"messages": [{"message": outgoing(message, locked=False)} for message in found]})

    def _renew(self, asked: Mapping[str, Any]) -> Answer:
        until = [self._entity.engine.renew(token.hex) for token in asked["lock-tokens"]]
        return Answer(200, {"expirations": Array(milliseconds(moment) for moment in until)})

    def _schedule(self, asked: Mapping[str, Any]) -> Answer:
        batch = [incoming(entry["message"]) for entry in asked["messages"]]
        numbers = [engine.send(batch) for engine in self._entity.engines]
        return Answer(200, {"sequence-numbers": Array(numbers[0])})

    def _cancel(self, asked: Mapping[str, Any]) -> Answer:
        self._entity.engine.cancel_scheduled(*asked["sequence-numbers"])
        return Answer(200)

    def _receive(self, asked: Mapping[str, Any]) -> Answer:
        engine = self._entity.engine
        lock = self._lock(asked) if self._entity.needs_session else None
        found = engine.receive_deferred(asked["sequence-numbers"], lock)
        if not asked.get("receiver-settle-mode", 1):
            for message in found:
                engine.complete(_token(message))
        return Answer(
            200,
            {"messages": [{"message": outgoing(one, locked=True), "lock-token": uuid.UUID(_token(one))} for one in found]},
        )

    def _settle(self, asked: Mapping[str, Any]) -> Answer:
        engine, status = self._entity.engine, asked["disposition-status"]
        for token in (one.hex for one in asked["lock-tokens"]):
            match status:
                case "completed":
                    engine.complete(token)
                case "abandoned":
                    engine.abandon(token)
                case "defered":
                    engine.defer(token)
                case "suspended":
                    engine.dead_letter(token, asked.get("deadletter-reason"), asked.get("deadletter-description"))
                case _:
                    raise ValueError(f"no disposition is called '{status}'")
        return Answer(200)

    def _renew_session(self, asked: Mapping[str, Any]) -> Answer:
        lock = self._entity.engine.renew_session(self._lock(asked))
        return Answer(200, {"expiration": milliseconds(lock.locked_until)})

    def _state(self, asked: Mapping[str, Any]) -> Answer:
        return Answer(200, {"session-state": self._entity.engine.session_state(self._lock(asked))})

    def _set_state(self, asked: Mapping[str, Any]) -> Answer:
        self._entity.engine.set_session_state(self._lock(asked), asked["session-state"])
        return Answer(200)

    def _sessions(self, asked: Mapping[str, Any]) -> Answer:
        # A moment beyond the calendar asks for every session, whatever its state.
        since = moment_of(asked.get("last-updated-time", 0))
        skip, top = int(asked.get("skip", 0)), int(asked.get("top", 100))
        found = self._entity.engine.sessions(updated_since=since if since is not None and since < _FAR_AWAY else None)[skip : skip + top]
        return Answer(200 if found else 204, {"skip": Int(skip), "sessions-ids": Array(found)})

    def _lock(self, asked: Mapping[str, Any]) -> SessionLock:
        outlet = self._session.lock_of(asked["session-id"])
        if outlet is None or outlet.lock is None:
            raise LockLost("the session is not locked on this connection")
        return outlet.lock


_FAR_AWAY = datetime(9000, 1, 1, tzinfo=UTC)


def _token(message: QueueMessage) -> str:
    if message.lock_token is None:
        raise AssertionError("a received message has a lock token")
    return message.lock_token


def _read(content: bytes) -> Sections:
    try:
        return Sections.of(content)
    except Malformed as wrong:
        raise Refusal("amqp:decode-error", str(wrong)) from wrong


def _reply(link: Intake, request: Sections, told: Mapping[str, Any], body: Any) -> None:
    replies = link.session.replies_at(link.address)
    if replies is None:
        raise Refusal("amqp:precondition-failed", "Nobody reads the answers of this node.")
    correlation = request.properties[0] if request.properties else None
    properties = [None] * _CORRELATION_ID + [correlation]
    replies.reply(section(PROPERTIES, properties) + section(APPLICATION_PROPERTIES, dict(told)) + section(VALUE, body))
