"""The route of the application itself, which an application may read that was granted it."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from simulators.clock import SimClock, write_instant
from simulators.graph.errors import bad_request, denied, not_found
from simulators.graph.tokens import CLIENT_ID, CLIENT_SECRET, WRITER_ID
from simulators.graph.wire import Reply, Request
from simulators.state import Document, StateFile

#: What lets an application read applications, its own too ("application-get"); the first is the least.
READERS = frozenset(
    {"Application.Read.All", "Application.ReadWrite.OwnedBy", "Application.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
)
#: A client secret lasts two years at most where a person makes it.
_SECRET_LASTS = timedelta(days=730)
_KIND = "application"


class Applications:
    """Our applications, the one that reads and the one that writes, and their client secrets."""

    def __init__(self, state: StateFile, clock: SimClock, roles_of: Callable[[str], frozenset[str]]) -> None:
        self._state = state
        self._roles_of = roles_of
        with state.transaction():
            for client in (CLIENT_ID, WRITER_ID):
                if state.get(_KIND, client) is None:
                    state.put(_KIND, client, _application(client, clock.now()))

    def read(self, request: Request) -> Reply:
        """GET /applications(appId='{client id}'), with or without $select."""
        if not self._roles_of(request.headers.get("authorization", "")) & READERS:
            raise denied()
        name, _, value = request.segments[1].partition("=")
        found = self._state.get(_KIND, value if name == "appId" else "")
        if found is None:
            raise not_found(request.segments[1])
        chosen = [one.strip() for one in request.query.get("$select", "").split(",") if one.strip()] or list(found)
        if unknown := [one for one in chosen if one not in found]:
            raise bad_request(f"Could not find a property named '{unknown[0]}' on type 'microsoft.graph.application'.")
        context = f"{request.base}/$metadata#applications/$entity"
        return Reply(body={"@odata.context": context, **{one: found[one] for one in chosen}})


def _application(client: str, made: datetime) -> Document:
    secret = {
        "displayName": "Joinery",
        "endDateTime": write_instant(made + _SECRET_LASTS),
        "hint": CLIENT_SECRET[:3],
        "keyId": str(uuid.uuid4()),
        "secretText": None,
        "startDateTime": write_instant(made),
    }
    return {"id": str(uuid.uuid4()), "appId": client, "displayName": "Joinery", "passwordCredentials": [secret]}
