"""The door: what Graph posts to us, decoded without trust ("change-notifications-delivery-webhooks").

Light to import, because the webhook answers within seconds of a cold start. Nothing in here becomes an address, and the only proof of
origin is ``clientState``; whoever forges a notification with it causes a read.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta, field

from adapters.graph.ids import guid

#: Bytes of one POST. A notification has about 600.
BODY_BYTES_MAX: Final = 256 * 1024
#: Notifications in one POST.
ITEMS_MAX: Final = 1000
#: Characters of a subscription or tenant id that we still take for one.
_ID_LENGTH_MAX: Final = 64

_RESOURCE = re.compile(r"/?(users|groups)(?:/([^/()']+)|\('([^/()']+)'\))(?:/.*)?", re.IGNORECASE | re.ASCII | re.DOTALL)


class BadBody(Exception):
    """The body is no notification: 400. The text is one sentence that repeats nothing of the body."""


class BodyTooLarge(Exception):
    """More bytes or more notifications than one POST may have: 413. The text is one sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeNotification:
    """One notification: a hint that something may have changed."""

    #: Informative only, and never proof of anything; empty if it was no printable text of up to 64 characters.
    subscription_id: str
    tenant_id: str
    #: ``updated`` or ``deleted``; empty in lifecycle notifications.
    change_type: str
    #: As sent, to be judged by ``is_genuine``.
    client_state: str | None
    #: ``user``, ``group``, or ``other`` for whatever we cannot act on.
    resource_kind: str
    #: Which user or group, a GUID in lower case; empty where the kind is ``other``.
    resource_id: str
    #: Who came into the group or left it; None where Graph did not say.
    member_ids: tuple[str, ...] | None
    #: ``reauthorizationRequired``, ``subscriptionRemoved`` or ``missed``; None in change notifications.
    lifecycle: str | None


class _Member(msgspec.Struct):
    # "@removed" is a text here and an object in delta query; we look at whoever is named, so its form does not matter.
    id: str | None = None


class _ResourceData(msgspec.Struct):
    id: str | None = None
    odata_type: str | None = field(default=None, name="@odata.type")
    members: list[_Member] | None = field(default=None, name="members@delta")


class _Notification(msgspec.Struct, rename="camel"):
    subscription_id: str | None = None
    tenant_id: str | None = None
    change_type: str | None = None
    client_state: str | None = None
    resource: str | None = None
    resource_data: _ResourceData | None = None
    lifecycle_event: str | None = None


class _Posted(msgspec.Struct):
    value: Annotated[list[_Notification], Meta(max_length=ITEMS_MAX)]


_POSTED: Final = msgspec.json.Decoder(_Posted)


def decode(body: bytes) -> list[ChangeNotification]:
    """The notifications of one POST, in their order. Members that we do not know are ignored.

    Raises:
        BodyTooLarge: over 256 KB (before any parsing) or over 1,000 notifications.
        BadBody: anything that is not what Graph sends.
    """
    if len(body) > BODY_BYTES_MAX:
        raise BodyTooLarge(f"the body has {len(body)} bytes; at most {BODY_BYTES_MAX} are read")
    try:
        # The decoder does not look into texts that it skips, so ask here whether it is UTF-8 throughout.
        body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadBody("the body is not UTF-8") from None
    try:
        posted = _POSTED.decode(body)
    except RecursionError:
        raise BadBody("the body is nested too deeply") from None
    except msgspec.ValidationError as error:
        reason = str(error)
        if "length <=" in reason:
            raise BodyTooLarge(f"the body has more than {ITEMS_MAX} notifications") from None
        raise BadBody(f"the body is no list of notifications: {reason}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BadBody("the body is not JSON") from None
    return [_notification(item) for item in posted.value]


def is_genuine(client_state: str | None, expected: Iterable[str]) -> bool:
    """Whether ``client_state`` is one of the accepted values, in a time that does not tell which or how nearly. Empty is never accepted."""
    given = (client_state or "").encode("utf-8", "surrogatepass")
    genuine = False
    for value in expected:
        same = hmac.compare_digest(given, value.encode("utf-8", "surrogatepass"))
        genuine |= same and bool(value)
    return genuine


def content_type_ok(header: str | None) -> bool:
    """Whether a Content-Type says JSON in UTF-8: ``application/json``, with or without parameters."""
    media_type, *parameters = (header or "").lower().split(";")
    if media_type.strip() != "application/json":
        return False
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            return False
    return True


def _notification(item: _Notification) -> ChangeNotification:
    kind, id_ = _resource(item)
    members = item.resource_data.members if item.resource_data and kind == "group" else None
    return ChangeNotification(
        subscription_id=_shown(item.subscription_id),
        tenant_id=_shown(item.tenant_id),
        change_type=_shown(item.change_type).lower(),
        client_state=item.client_state,
        resource_kind=kind,
        resource_id=id_,
        member_ids=None if members is None else _guids(member.id for member in members),
        lifecycle=_shown(item.lifecycle_event) or None,
    )


def _resource(item: _Notification) -> tuple[str, str]:
    """Kind and id, where path and data agree about both as far as each says something."""
    data = item.resource_data or _ResourceData()
    kinds: set[str] = set()
    ids: set[str | None] = set()
    if item.resource:
        # Its case differs from what was subscribed: "Users/…" against "/users".
        match = _RESOURCE.fullmatch(item.resource)
        if match is None:
            return "other", ""
        kinds.add(match[1].lower().removesuffix("s"))
        ids.add(guid(match[2] or match[3]))
    if data.odata_type:
        kinds.add(data.odata_type.rpartition(".")[2].lower())
    if data.id:
        ids.add(guid(data.id))
    if len(kinds) != 1 or len(ids) != 1:
        return "other", ""
    kind, id_ = kinds.pop(), ids.pop()
    return (kind, id_) if kind in ("user", "group") and id_ else ("other", "")


def _guids(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(known for known in map(guid, texts) if known is not None))


def _shown(text: str | None) -> str:
    """A short text that is safe in a log line, or nothing."""
    return text if text and len(text) <= _ID_LENGTH_MAX and text.isprintable() else ""
