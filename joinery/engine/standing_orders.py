"""Our standing orders for notifications: made, renewed, and seen to soon where there are none."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from joinery.domain.moments import from_text, to_text
from joinery.engine.health import SUBSCRIBED
from joinery.engine.ports import Clock, Document, StateStore, Subscriptions
from joinery.errors import LostRace

#: The shared row that says when whoever finds no order is to try next.
_NEXT = "subscribing"
#: The timer that renews them runs at a start of its own, and has this long to make the first ones.
_PATIENCE = timedelta(minutes=2)
#: From one try to the next, for all workers together.
_PAUSE = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriptionUrls:
    """Where notifications shall go, the secret they carry, and a fingerprint of it all that may be stored."""

    notification_url: str
    lifecycle_url: str
    client_state: str
    fingerprint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StandingOrders:
    """Both subscriptions, and what we know of them."""

    store: StateStore
    subscriptions: Subscriptions
    urls: SubscriptionUrls
    clock: Clock

    def see_to(self, *, renew: bool = False) -> dict[str, datetime]:
        """Both exist, point here, and last; resource -> its end. Raises TryLater, Refused, StoreUnavailable."""
        etag, stored = self.store.read_shared(SUBSCRIBED)
        ends = self.subscriptions.ensure(
            notification_url=self.urls.notification_url,
            lifecycle_url=self.urls.lifecycle_url,
            client_state=self.urls.client_state,
            # Not known by us means not ours to trust: whatever stands there carries a secret that we do not know.
            changed=(stored or {}).get("fingerprint") != self.urls.fingerprint,
            renew=renew,
        )
        until = {resource: to_text(moment) for resource, moment in ends.items()}
        document: Document = {"fingerprint": self.urls.fingerprint, "ends": until}
        # Another worker may see to it in the same moment.
        with contextlib.suppress(LostRace):
            self.store.replace_shared(SUBSCRIBED, document, expected=etag)
        return dict(ends)

    def wanting(self) -> bool:
        """Whether there are none, and it is this caller's turn to make them: after a first deployment nobody should wait hours for the timer.

        Orders that carry another secret count as orders: while two releases run side by side, neither is to take the other's away each minute.
        Raises StoreUnavailable.
        """
        now = self.clock.now()
        ends = (self.store.read_shared(SUBSCRIBED)[1] or {}).get("ends", {})
        if sum(from_text(moment) > now for moment in ends.values()) >= 2:
            return False
        etag, stored = self.store.read_shared(_NEXT)
        if stored is not None and now < from_text(stored["at"]):
            return False
        upcoming = now + (_PATIENCE if stored is None else _PAUSE)
        with contextlib.suppress(LostRace):
            self.store.replace_shared(_NEXT, {"at": to_text(upcoming)}, expected=etag)
            return stored is not None
        return False
