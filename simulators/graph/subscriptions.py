"""Subscriptions: made after a handshake, renewed, reauthorised, gone without a word; and whom a change concerns."""

import ipaddress
import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx

from simulators.clock import SimClock, parse_instant, write_instant
from simulators.graph.errors import GraphError, bad_request, not_found
from simulators.graph.outbox import Outbox, Post
from simulators.graph.wire import Reply, Request
from simulators.state import Document, StateFile

KIND = "subscription"
#: Ids of those that were asked to authorise anew and have not: nothing is told to them until they do.
_UNAUTHORISED = "unauthorised"

#: Directory objects (pages "change-notifications-overview" and "subscription").
SHORTEST = timedelta(minutes=45)
LONGEST = timedelta(minutes=41_760)
LONGEST_CLIENT_STATE = 128
#: Seconds for the handshake.
HANDSHAKE_WITHIN = 10.0

_RESOURCE = re.compile(r"(users|groups)(?:/([0-9a-f-]{36}))?(?:/(members|owners))?")
_KNOWN = {"changeType", "resource", "notificationUrl", "lifecycleNotificationUrl", "expirationDateTime", "clientState"}
_TOLERATED = _KNOWN | {"latestSupportedTlsVersion", "includeResourceData"}
_EPOCH = datetime(1, 1, 1, tzinfo=UTC)


class Subscriptions:
    """The subscriptions of one pretend tenant. `quota` is how many one application may have."""

    def __init__(
        self, state: StateFile, clock: SimClock, outbox: Outbox, *, tenant_id: str, quota: Callable[[], int], burst: Callable[[], int]
    ) -> None:
        self._state = state
        self._clock = clock
        self._outbox = outbox
        self._tenant_id = tenant_id
        self._quota = quota
        self._burst = burst

    # the API

    def create(self, request: Request) -> Reply:
        """POST /subscriptions: 201; 400 for a wrong member or a failed handshake, 403 over the quota, 409 for a twin. Opens no transaction meanwhile."""
        row = self._checked(request.json_object())
        self._refuse_twin(row)
        for url in filter(None, (row["notificationUrl"], row["lifecycleNotificationUrl"])):
            _shake_hands(url)
        with self._state.transaction():
            self._refuse_twin(row)
            self._state.put(KIND, row["id"], row)
        return Reply(status=201, body={"@odata.context": f"{request.base}/$metadata#subscriptions/$entity", **row})

    def browse(self, request: Request) -> Reply:
        """GET /subscriptions; clientState is not told."""
        rows = [{**row, "clientState": None} for row in self.current()]
        return Reply(body={"@odata.context": f"{request.base}/$metadata#subscriptions", "value": rows})

    def read(self, request: Request) -> Reply:
        """GET /subscriptions/{id}; clientState is not told."""
        row = self._get(request.segments[1])
        return Reply(body={"@odata.context": f"{request.base}/$metadata#subscriptions/$entity", **row, "clientState": None})

    def renew(self, request: Request) -> Reply:
        """PATCH /subscriptions/{id} with expirationDateTime: 200 with the object."""
        row = self._get(request.segments[1])
        body = request.json_object()
        if {name for name in body if "@" not in name} != {"expirationDateTime"}:
            raise bad_request("Only expirationDateTime of a subscription can be updated.", "InvalidRequest")
        renewed = {**row, "expirationDateTime": self._expiry(body["expirationDateTime"])}
        self._state.put(KIND, row["id"], renewed)
        self._state.delete(_UNAUTHORISED, row["id"])
        return Reply(body={"@odata.context": f"{request.base}/$metadata#subscriptions/$entity", **renewed})

    def reauthorize(self, request: Request) -> Reply:
        """POST /subscriptions/{id}/reauthorize: 200 without a body; the expiry stays."""
        self._state.delete(_UNAUTHORISED, self._get(request.segments[1])["id"])
        return Reply()

    def delete(self, request: Request) -> Reply:
        """DELETE /subscriptions/{id}: 204."""
        self._remove(self._get(request.segments[1]))
        return Reply(status=204)

    # what happens

    def current(self) -> list[Document]:
        """Those that have not expired."""
        now = self._clock.now()
        return [row for row in self._state.all(KIND) if parse_instant(row["expirationDateTime"]) > now]

    def drop_expired(self) -> None:
        """Expired ones vanish without a word, in a transaction."""
        alive = {row["id"] for row in self.current()}
        for row in self._state.all(KIND):
            if row["id"] not in alive:
                self._remove(row)

    def announce(self, kind: str, key: str, change_type: str, *, created: bool = False, members: Sequence[Mapping[str, Any]] = ()) -> None:
        """Store a notification for everybody who watches this object, in the transaction of its change."""
        now = self._clock.now()
        collection = kind.capitalize() + "s"
        place = f"{collection}/{key}"
        data: dict[str, Any] = {"@odata.type": f"#Microsoft.Graph.{kind.capitalize()}", "@odata.id": place, "id": key}
        data |= {"organizationId": self._tenant_id, "eventTime": _seven_digits(now), "sequenceNumber": _ticks(now)}
        if members:
            data["members@delta"] = list(members)
        for row in self.current():
            if change_type not in row["changeType"].split(",") or not _concerns(row["resource"], place.lower(), bool(members)):
                continue
            if self._state.get(_UNAUTHORISED, row["id"]) is not None:
                continue
            notification = {"changeType": change_type, "clientState": row["clientState"], "resource": place, "resourceData": data}
            notification |= self._envelope(row)
            paths = (row["resource"], "/" + row["resource"].lstrip("/"), place, "/" + place, urlsplit(row["notificationUrl"]).path)
            post = Post(subscription=row["id"], url=row["notificationUrl"], notification=notification, paths=paths)
            self._outbox.put(post, self._burst() if created else 1)

    def lifecycle(self, event: str, subscription: str | None) -> int:
        """Send a lifecycle event to one subscription or to all that have a URL for it; answers to how many. In a transaction."""
        sent = 0
        for row in self.current():
            url = row["lifecycleNotificationUrl"]
            if url is None or (subscription is not None and row["id"] != subscription.lower()):
                continue
            if event == "subscriptionRemoved":
                self._remove(row)
            if event == "reauthorizationRequired":
                self._state.put(_UNAUTHORISED, row["id"], {"id": row["id"]})
            notification = {"lifecycleEvent": event, "clientState": row["clientState"], **self._envelope(row)}
            self._outbox.put(Post(subscription=row["id"], url=url, notification=notification, paths=(urlsplit(url).path,)))
            sent += 1
        return sent

    def _envelope(self, row: Document) -> dict[str, Any]:
        expiry = row["expirationDateTime"].replace("Z", "+00:00")
        return {"subscriptionId": row["id"], "subscriptionExpirationDateTime": expiry, "tenantId": self._tenant_id}

    def _get(self, key: str) -> Document:
        found = next((row for row in self.current() if row["id"] == key.lower()), None)
        if found is None:
            raise not_found(key)
        return found

    def _remove(self, row: Document) -> None:
        self._state.delete(KIND, row["id"])
        self._state.delete(_UNAUTHORISED, row["id"])
        self._outbox.drop_for(row["id"])

    def _refuse_twin(self, row: Mapping[str, Any]) -> None:
        present = self.current()
        watched = (_plain(row["resource"]), set(row["changeType"].split(",")))
        for other in present:
            if (_plain(other["resource"]), set(other["changeType"].split(","))) == watched:
                message = f"Subscription with id {other['id']} already exists for the requested combination of changeType and resource."
                raise GraphError(409, "Conflict", message)
        if len(present) >= self._quota():
            message = (
                f"Subscription operation failed: the limit of {self._quota()} subscriptions per application and tenant has been reached."
            )
            raise GraphError(403, "Forbidden", message)

    def _checked(self, body: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in body.items() if "@" not in name and value is not None}
        for name in given:
            if name not in _TOLERATED:
                raise bad_request(f"Property '{name}' is not valid for this subscription.", "InvalidRequest")
        for name in ("changeType", "resource", "notificationUrl", "expirationDateTime"):
            if name not in given:
                raise bad_request(f"The property '{name}' is required.", "InvalidRequest")
        for name in _KNOWN & set(given):
            if not isinstance(given[name], str):
                raise bad_request(f"The value of '{name}' is not valid.", "InvalidRequest")
        if given.get("includeResourceData"):
            raise bad_request("Azure Active Directory workload is not enabled for rich notifications.", "InvalidRequest")
        changes = [part.strip().lower() for part in given["changeType"].split(",")]
        if not set(changes) <= {"created", "updated", "deleted"}:
            raise bad_request(f"changeType '{given['changeType'][:60]}' is not valid.", "InvalidRequest")
        if not _RESOURCE.fullmatch(_plain(given["resource"])):
            raise bad_request(f"Resource '{given['resource'][:100]}' is not supported.", "InvalidRequest")
        if len(given.get("clientState", "")) > LONGEST_CLIENT_STATE:
            raise bad_request(f"clientState is longer than {LONGEST_CLIENT_STATE} characters.", "InvalidRequest")
        for name in ("notificationUrl", "lifecycleNotificationUrl"):
            if name in given and not _may_post_to(given[name]):
                raise bad_request(f"{name} must be an https URL (http only on the loopback).", "InvalidRequest")
        return {
            "id": str(uuid.uuid4()),
            "resource": given["resource"],
            "applicationId": str(uuid.uuid5(uuid.UUID(self._tenant_id), "application")),
            "changeType": ",".join(dict.fromkeys(changes)),
            "clientState": given.get("clientState"),
            "notificationUrl": given["notificationUrl"],
            "notificationQueryOptions": None,
            "lifecycleNotificationUrl": given.get("lifecycleNotificationUrl"),
            "expirationDateTime": self._expiry(given["expirationDateTime"]),
            "creatorId": str(uuid.uuid5(uuid.UUID(self._tenant_id), "service principal")),
            "includeResourceData": None,
            "latestSupportedTlsVersion": given.get("latestSupportedTlsVersion", "v1_2"),
            "encryptionCertificate": None,
            "encryptionCertificateId": None,
            "notificationUrlAppId": None,
        }

    def _expiry(self, text: object) -> str:
        now = self._clock.now()
        try:
            asked = parse_instant(text) if isinstance(text, str) else now
        except ValueError:
            asked = now
        if asked <= now:
            raise bad_request("The value of 'expirationDateTime' is not a moment in the future.", "InvalidRequest")
        if asked > now + LONGEST:
            raise bad_request("Subscription expiration can only be 41760 minutes in the future.", "InvalidRequest")
        return write_instant(max(asked, now + SHORTEST))


def _plain(resource: str) -> str:
    return resource.strip("/").lower()


def _concerns(resource: str, place: str, membership: bool) -> bool:
    """Whether a watched resource covers a changed object, such as users/8a1c…"""
    watched = _plain(resource)
    if watched.endswith("/members"):
        return membership and watched == f"{place}/members"
    return watched in (place.split("/")[0], place)


def _may_post_to(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises ValueError for a port that is none
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    try:
        return parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def _shake_hands(url: str) -> None:
    """Page "change-notifications-delivery-webhooks", endpoint validation: 400 unless the decoded token comes back as plain text in time."""
    token = f"Validation: Testing client application reachability for subscription Request-Id: {uuid.uuid4()} 100% <&>"
    joined = f"{url}{'&' if urlsplit(url).query else '?'}validationToken={quote_plus(token)}"
    refused = "Subscription validation request failed. "
    try:
        with httpx.Client(timeout=HANDSHAKE_WITHIN, follow_redirects=False, trust_env=False) as client:
            answer = client.post(joined, headers={"Content-Type": "text/plain; charset=utf-8"}, content=b"")
    except (httpx.HTTPError, httpx.InvalidURL) as failed:
        raise bad_request(
            f"{refused}The notification endpoint could not be reached ({type(failed).__name__}).", "ValidationError"
        ) from None
    if answer.status_code != 200:
        raise bad_request(f"{refused}Notification endpoint must respond with 200 OK to validation request.", "ValidationError")
    if answer.headers.get("content-type", "").split(";")[0].strip().lower() != "text/plain" or answer.text != token:
        raise bad_request(f"{refused}The response must be the decoded validation token as text/plain.", "ValidationError")


def _ticks(moment: datetime) -> int:
    """100 ns ticks since year 1: what sequenceNumber really is (Graph reference 1.4)."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 10


def _seven_digits(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def lifecycle_event(raw: bytes) -> tuple[str, str | None]:
    """The body of POST /_lifecycle: the event and the subscription, None for all. Raises ValueError with a sentence."""
    known = ("missed", "subscriptionRemoved", "reauthorizationRequired")
    body = json.loads(raw)
    if not isinstance(body, dict) or body.get("event") not in known or not isinstance(body.get("subscription"), (str, type(None))):
        raise ValueError(f'the body is {{"event": …, "subscription": an id or absent}}; event is one of {", ".join(known)}')
    return body["event"], body.get("subscription")
