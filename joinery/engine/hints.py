"""What a notification asks us to look at: a hint at most, and one look for all hints about one subject in one post."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from joinery.engine.envelope import ALERTS, Envelope, EnvelopeKind, group_subject, person_subject
from joinery.engine.groups import GroupBook
from joinery.engine.intake import Hint
from joinery.engine.ports import Clock
from joinery.errors import StoreUnavailable

#: More members in one notification than this, and the whole group is compared instead.
_MEMBERS_MAX = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class HintReader:
    """Makes envelopes of hints."""

    tenant: str
    groups: GroupBook
    clock: Clock

    def envelopes(self, hints: Iterable[Hint], *, lifecycle: bool) -> tuple[list[Envelope], list[str]]:
        """What is to be handled, and of each hint that was dropped the reason."""
        envelopes: dict[tuple[str, str], Envelope] = {}
        dropped = []
        for hint in hints:
            envelope, reason = self._envelope_for(hint, lifecycle=lifecycle)
            if envelope is None:
                dropped.append(reason)
            else:
                key = (envelope.subject, envelope.cause)
                envelopes[key] = _merged(envelopes[key], envelope) if key in envelopes else envelope
        return list(envelopes.values()), dropped

    def _envelope_for(self, hint: Hint, *, lifecycle: bool) -> tuple[Envelope | None, str]:
        now = self.clock.now()
        if not hint.genuine:
            return None, "wrong clientState"
        if hint.about == "lifecycle":
            cause = f"lifecycle {hint.id}"
            return Envelope(tenant=self.tenant, subject=ALERTS, kind=EnvelopeKind.OPERATE, cause=cause, at=now), ""
        if lifecycle:
            return None, "not a lifecycle event"
        if hint.about == "person":
            subject = person_subject(hint.id)
            return Envelope(tenant=self.tenant, subject=subject, kind=EnvelopeKind.LOOK, cause="notification", at=now), ""
        if hint.about == "group":
            if not self._watches(hint.id):
                return None, "group not watched"
            members = hint.members if hint.members and len(hint.members) <= _MEMBERS_MAX else ()
            subject = group_subject(hint.id)
            kind = EnvelopeKind.LOOK_GROUP
            return Envelope(tenant=self.tenant, subject=subject, kind=kind, cause="notification", at=now, members=members), ""
        return None, "neither a person nor a group"

    def _watches(self, group_id: str) -> bool:
        try:
            return self.groups.watches(group_id)
        except StoreUnavailable:
            # Better one look too many than a notification lost: the handler asks again.
            return True


def _merged(first: Envelope, second: Envelope) -> Envelope:
    """Two notifications about one subject: the members of both, or a full comparison if either asks for one."""
    if not first.members or not second.members:
        members: tuple[str, ...] = ()
    else:
        members = tuple(dict.fromkeys((*first.members, *second.members)))
    return replace(first, members=members if len(members) <= _MEMBERS_MAX else ())
