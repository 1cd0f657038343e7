"""Several reads in one ``$batch`` call ("json-batching"): at most 20 items, each with its own status, in any order.

Each item is throttled alone, so those that were are asked again, alone, within the time that one call has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from adapters.graph.answers import Asking, Passing, error_for, error_text, pause_before, retry_after
from adapters.graph.client import ATTEMPTS_MAX, GraphClient
from joinery.engine.ports import Clock
from joinery.errors import TryLater

Decoded = TypeVar("Decoded")

#: Items that one batch may hold.
ITEMS_MAX = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One read: a path relative to the base address, and a JSON body where it is a POST."""

    id: str
    method: str
    path: str
    body: object = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemAnswer:
    """What one item was answered."""

    status: int
    body: bytes
    headers: Mapping[str, object] = field(default_factory=dict)

    def decode(self, decoder: msgspec.json.Decoder[Decoded], clock: Clock) -> Decoded:
        """The content of a good answer. Raises the error that a bad one becomes, NotThere among them, or TryLater if it is unreadable."""
        if (error := self.error(clock)) is not None:
            raise error
        try:
            return decoder.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise TryLater(f"Graph's answer to an item of a batch cannot be understood ({type(error).__name__})") from None

    def error(self, clock: Clock) -> Exception | None:
        """What a bad answer becomes; None for a good one."""
        if 200 <= self.status < 300:
            return None
        code, message = error_text(self.body)
        return error_for(self.status, code, message, asking=Asking.READ, after=retry_after(self.headers, clock.now()))


class _WireAnswer(msgspec.Struct):
    id: str
    status: int
    headers: dict[str, object] | None = None
    body: msgspec.Raw = msgspec.Raw(b"null")


class _WireAnswers(msgspec.Struct):
    responses: list[_WireAnswer]


_ANSWERS = msgspec.json.Decoder(_WireAnswers)


def ask(client: GraphClient, items: Sequence[Item], clock: Clock) -> dict[str, ItemAnswer]:
    """Send the items in one call and return the answer of each by id; those in trouble that passes are asked again.

    Raises:
        TryLater: the batch as a whole was not answered, or not every item was.
        Refused: the batch as a whole was refused.
    """
    if len(items) > ITEMS_MAX:
        raise ValueError(f"a batch holds at most {ITEMS_MAX} requests, not {len(items)}")
    ends_at = client.until()
    answers = _ask_once(client, items, ends_at)
    if any(answer.status == 401 for answer in answers.values()):
        # The gateway let the token in and the directory behind it did not: a revoked token looks like this.
        client.renew_token()
        answers = _ask_once(client, items, ends_at)
    for attempt in range(1, ATTEMPTS_MAX):
        errors = {item.id: answers[item.id].error(clock) for item in items}
        pauses = {name: pause_before(attempt, error) for name, error in errors.items() if isinstance(error, Passing)}
        if not pauses or not client.rest(max(pauses.values()), ends_at):
            break
        answers |= _ask_once(client, [item for item in items if item.id in pauses], ends_at)
    return answers


def _ask_once(client: GraphClient, items: Sequence[Item], ends_at: float) -> dict[str, ItemAnswer]:
    body = {"requests": [_wire(item) for item in items]}
    reply = client.read("POST", "/$batch", _ANSWERS, body=body, deadline=client.left(ends_at))
    answers = {
        answer.id.lower(): ItemAnswer(status=answer.status, body=bytes(answer.body), headers=answer.headers or {})
        for answer in reply.responses
    }
    missing = [item.id for item in items if item.id.lower() not in answers]
    if missing:
        raise TryLater(f"Graph left {len(missing)} of {len(items)} requests of a batch unanswered")
    return {item.id: answers[item.id.lower()] for item in items}


def _wire(item: Item) -> dict[str, object]:
    wire: dict[str, object] = {"id": item.id, "method": item.method, "url": item.path}
    if item.body is not None:
        wire["headers"] = {"Content-Type": "application/json"}
        wire["body"] = item.body
    return wire
