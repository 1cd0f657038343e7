"""Notifications on their way: stored with the change that caused them, posted one after the other, retried."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from simulators.clock import SimClock, parse_instant
from simulators.faults import FaultBook
from simulators.state import Document, StateFile

log = logging.getLogger(__name__)

KIND = "notification"

#: Seconds before the first retry, doubled each time up to the longest pause.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
#: Seconds after which a notification is given up (page "change-notifications-delivery-webhooks").
GIVE_UP = 4 * 3600.0
#: Seconds for one answer of the receiver (the same page).
ANSWER_WITHIN = 10.0
#: Seconds that a reordered notification waits for a later one when the rule names no delay.
HELD_AT_MOST = 30.0
#: Copies that the fault `storm` makes.
STORM = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """One notification to be put in the outbox."""

    subscription: str
    url: str
    #: A changeNotification as the page of that name has it.
    notification: dict[str, Any]
    #: What a fault rule's path may name: the watched resource, the object, the receiver's path.
    paths: tuple[str, ...] = ()


class Outbox:
    """Undelivered notifications in the state, and the thread that delivers them.

    One subscription has one notification in flight, so its order holds unless a fault says otherwise. Pauses run on the wall clock; a delayed
    notification goes when the wall clock or the stand-in's own clock says so, whichever is first, so that moving the clock brings it on.
    """

    def __init__(self, state: StateFile, clock: SimClock, faults: FaultBook, wall: Callable[[], float] = time.time) -> None:
        self._state = state
        self._clock = clock
        self._faults = faults
        self._wall = wall
        self._news = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        state.watch(self._news.set)
        clock.watch(self._news.set)

    def put(self, post: Post, copies: int = 1) -> None:
        """Store a notification, `copies` times, as the faults in force have it; in the transaction of the change that caused it."""
        for _ in range(copies):
            self._put_one(post)

    def drop_for(self, subscription: str) -> None:
        """Forget what waits for a subscription that is no more."""
        for row in self._state.all(KIND):
            if row["subscription"] == subscription:
                self._state.delete(KIND, row["id"])

    def waiting(self) -> int:
        """How many are not delivered yet."""
        return self._state.count(KIND)

    def start(self) -> None:
        """Deliver on a thread of its own, also what an earlier process left behind."""
        if self._thread is None:
            self._stopping = False
            self._thread = threading.Thread(target=self._loop, name="graph-notifications", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop delivering; what waits stays in the state."""
        self._stopping = True
        self._news.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _put_one(self, post: Post) -> None:
        paths = ("", *post.paths)
        if self._faults.take_kind("drop", "POST", *paths) is not None:
            return
        copies = 1
        for kind, habit in (("duplicate", 1), ("storm", STORM)):
            rule = self._faults.take_kind(kind, "POST", *paths)
            if rule is not None:
                copies += habit if rule.copies is None else rule.copies
        delayed = self._faults.take_kind("delay", "POST", *paths)
        waits = self._waiting_for_a_partner(post.subscription)
        held = None if waits is not None else self._faults.take_kind("reorder", "POST", *paths)
        now = self._wall()
        for copy in range(copies):
            number = self._state.next(KIND)
            row: dict[str, Any] = {"id": str(number), "subscription": post.subscription, "url": post.url, "notification": post.notification}
            row |= {"since": now, "due": now, "own_due": None, "attempts": 0, "held_until": None, "partner": None, "delayed": False}
            if delayed is not None:
                own_due = (self._clock.now() + timedelta(seconds=delayed.delay)).isoformat()
                row |= {"since": now + delayed.delay, "due": now + delayed.delay, "own_due": own_due, "delayed": True}
            if held is not None and copy == 0:
                row["held_until"] = now + (held.delay or HELD_AT_MOST)
            self._state.put(KIND, row["id"], row)
            if waits is not None:
                self._state.put(KIND, waits["id"], {**waits, "partner": row["id"]})

    def _waiting_for_a_partner(self, subscription: str) -> Document | None:
        """A reordered notification that no later one has followed yet."""
        rows = (row for row in self._state.all(KIND) if row["subscription"] == subscription)
        return next((row for row in rows if row["held_until"] is not None and row["partner"] is None), None)

    def deliver_due(self, client: httpx.Client) -> float | None:
        """Deliver what is due now in the order of the changes; answers the wall-clock second of the next thing to do, None when nothing waits."""
        blocked: set[str] = set()
        next_moments: list[float] = []
        for listed in sorted(self._state.all(KIND), key=_turn):
            row = self._state.get(KIND, listed["id"])
            if self._stopping or row is None or row["subscription"] in blocked:
                continue
            if self._is_held(row):
                next_moments.append(float(row["held_until"]))
            elif self._is_due(row):
                retry_at = self._deliver(client, row)
                if retry_at is not None:
                    blocked.add(row["subscription"])
                    next_moments.append(retry_at)
            else:
                next_moments.append(float(row["due"]))
                # A delayed one lets others pass; one that is being retried keeps its place.
                if not row["delayed"] or row["attempts"]:
                    blocked.add(row["subscription"])
        return min(next_moments, default=None)

    def _is_held(self, row: Document) -> bool:
        """A reordered notification goes after the one that followed it, or when it has waited long enough for one."""
        if row["held_until"] is None or self._wall() >= row["held_until"]:
            return False
        return row["partner"] is None or self._state.get(KIND, row["partner"]) is not None

    def _is_due(self, row: Document) -> bool:
        if self._wall() >= row["due"]:
            return True
        return row["own_due"] is not None and self._clock.now() >= parse_instant(row["own_due"])

    def _deliver(self, client: httpx.Client, row: Document) -> float | None:
        """Post one; answers when it is to be tried again, None when it is done with."""
        sent = self._post(client, row["url"], {"value": [row["notification"]]})
        with self._state.transaction():
            present = self._state.get(KIND, row["id"])
            if present is None:
                return None  # its subscription was deleted meanwhile
            if sent or self._wall() - row["since"] > GIVE_UP:
                self._state.delete(KIND, row["id"])
                if not sent:
                    log.warning(
                        "a notification was given up", extra={"action": "notification_given_up", "subscription": row["subscription"]}
                    )
                return None
            attempts = present["attempts"] + 1
            retry_at: float = self._wall() + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 10))
            self._state.put(KIND, row["id"], {**present, "attempts": attempts, "due": retry_at, "own_due": None})
        return retry_at

    @staticmethod
    def _post(client: httpx.Client, url: str, body: dict[str, Any]) -> bool:
        try:
            return bool(client.post(url, json=body).is_success)
        except (httpx.HTTPError, httpx.InvalidURL):
            return False

    def _loop(self) -> None:
        with httpx.Client(timeout=ANSWER_WITHIN, follow_redirects=False, trust_env=False) as client:
            while not self._stopping:
                # What is committed or moved from here on sets it again, so nothing is slept over.
                self._news.clear()
                try:
                    next_moment = self.deliver_due(client)
                except Exception:
                    log.exception("delivering failed", extra={"action": "notification_delivery_failed"})
                    next_moment = self._wall() + FIRST_PAUSE
                if not self._stopping:
                    self._news.wait(None if next_moment is None else max(0.0, next_moment - self._wall()))


def _turn(row: Document) -> tuple[int, int]:
    """In the order of the changes, a reordered one right behind the one that followed it."""
    return (int(row["id"]), 0) if row["partner"] is None else (int(row["partner"]), 1)
