"""What somebody is signed in with: from when on it counts, and its end."""

from __future__ import annotations

from datetime import datetime

import msgspec

from adapters.graph.answers import NotThere
from adapters.graph.client import GraphClient
from adapters.graph.wire import moment
from joinery.errors import TryLater


class WireSessions(msgspec.Struct, rename="camel"):
    """The one property of a user; null where nothing was ever revoked."""

    sign_in_sessions_valid_from_date_time: str | None = None


_DECODER = msgspec.json.Decoder(WireSessions)


def valid_from(client: GraphClient, user_id: str) -> datetime | None:
    """Tokens and cookies from before this moment are worth nothing. It comes only when it is named. Raises TryLater for nobody."""
    try:
        user = client.read("GET", f"/users/{user_id}?$select=id,signInSessionsValidFromDateTime", _DECODER)
    except NotThere:
        raise _nobody() from None
    return moment(user.sign_in_sessions_valid_from_date_time)


def revoke(client: GraphClient, user_id: str) -> None:
    """Refresh tokens and cookies end within minutes; access tokens that were issued already live on for about an hour.

    Needs User.RevokeSessions.All. Whatever 2xx comes back is success ("user-revokesigninsessions", with a known issue about 204).
    """
    try:
        client.write("POST", f"/users/{user_id}/revokeSignInSessions")
    except NotThere:
        raise _nobody() from None


def _nobody() -> TryLater:
    return TryLater("Graph does not have somebody who was there a moment ago; its replicas disagree")
