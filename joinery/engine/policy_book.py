"""Which policy is acted upon: the file's, but for rules that wait to be applied. What was applied is kept in a shared row."""

from __future__ import annotations

import contextlib
import threading
from datetime import datetime, timedelta

from joinery.domain.edits import Rules, in_force, kept, rules_of, waiting
from joinery.domain.moments import from_text, to_text
from joinery.domain.policy import Policy
from joinery.engine import codec
from joinery.engine.ports import Clock, Document, StateStore
from joinery.errors import LostRace

#: Stored in a shared row: learned at import.
_RULES = codec.stored(Rules)

#: The shared row, and the cause of a look at somebody whom an applied edit strikes.
RULES, APPLIED = "policy-rules", "policy applied"
#: How long one process believes what it read from the store.
_REREAD = timedelta(seconds=30)


class PolicyBook:
    """The policy in force. Thread-safe."""

    def __init__(self, policy: Policy, *, store: StateStore, clock: Clock) -> None:
        #: As the file says.
        self.written = policy
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._in_force = policy
        self._read_at: datetime | None = None

    def now(self) -> Policy:
        """The policy that is acted upon. Raises StoreUnavailable."""
        with self._lock:
            now = self._clock.now()
            if self._read_at is None or now - self._read_at >= _REREAD:
                self._take()
                self._read_at = now
            return self._in_force

    def waits(self) -> tuple[str, ...]:
        """What of the file waits to be applied, a line each. Raises StoreUnavailable."""
        applied = applied_rules(self._store.read_shared(RULES)[1])
        return tuple(waiting(applied, self.written)) if applied else ()

    def refresh(self) -> None:
        """Somebody may have applied an edit a moment ago. Raises StoreUnavailable."""
        with self._lock:
            self._read_at = None

    def _take(self) -> None:
        etag, document = self._store.read_shared(RULES)
        # Where nothing was ever applied, nobody has been acted upon by other rules.
        applied = applied_rules(document) or rules_of(self.written)
        self._in_force = in_force(applied, self.written)
        stays, stored = kept(applied, self.written), written_rules(document)
        if stored is None or (applied, stored[0]) != (stays, rules_of(self.written)):
            # Another worker may start in the same moment; what it writes is as good, and what it does not know waits.
            with contextlib.suppress(LostRace):
                self._store.replace_shared(RULES, _document(stays, self.written, self._clock.now()), expected=etag)


def applied_rules(document: Document | None) -> Rules | None:
    """The rules in force, by the shared row."""
    return codec.from_document(document["applied"], _RULES) if document else None


def written_rules(document: Document | None) -> tuple[Rules, datetime] | None:
    """The rules of the file with which the engine at work started, and since when."""
    return (codec.from_document(document["written"], _RULES), from_text(document["at"])) if document else None


def apply(store: StateStore, policy: Policy, clock: Clock) -> None:
    """From now on the rules of this policy are in force. Raises LostRace or StoreUnavailable."""
    etag, document = store.read_shared(RULES)
    fresh = _document(rules_of(policy), policy, clock.now())
    store.replace_shared(RULES, {**fresh, "at": (document or fresh)["at"]}, expected=etag)


def _document(applied: Rules, written: Policy, now: datetime) -> Document:
    return {"applied": codec.to_document(applied), "written": codec.to_document(rules_of(written)), "at": to_text(now)}
