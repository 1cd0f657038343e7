"""What the desk in memory does with tickets, their notes and their approvals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from joinery.domain.moments import to_text
from joinery.domain.policy import DeskPolicy
from joinery.domain.tickets import (
    AddNote,
    Answer,
    AskApproval,
    CloseTicket,
    EndTicket,
    NoteRef,
    OpenTicket,
    RoundRef,
    TicketRef,
    TicketState,
    Verdict,
)
from joinery.engine.memory_desk_things import AWAITING, DeskRound, DeskThings, DeskTicket
from joinery.errors import Refused


class DeskTickets:
    """Tickets, and the notes on them."""

    def __init__(self, things: DeskThings, policy: DeskPolicy) -> None:
        self._things = things
        self._policy = policy

    def open(self, order: OpenTicket, key: str) -> TicketRef:
        """A new ticket that carries the key."""
        if order.kind not in self._policy.tickets:
            raise Refused(f"policy.toml: [desk.tickets.{order.kind}] is missing")
        if order.user_id is not None:
            self._things.user(order.user_id)
        ticket = self._things.put_ticket(
            summary=f"{order.summary} [{key}]", kind=order.kind, details=order.details, user_id=order.user_id, key=key, to_do=order.to_do
        )
        return ref(ticket, how="created")

    def similar(self, order: OpenTicket, seen: Sequence[DeskTicket]) -> TicketRef | None:
        """An open ticket without a key for the same user and kind, if policy says to adopt it."""
        policy = self._policy.tickets.get(order.kind)
        if policy is None or not policy.adopt_similar or order.user_id is None:
            return None
        for ticket in sorted(seen, key=lambda ticket: int(ticket.id)):
            same = ticket.user_id == order.user_id and ticket.kind == order.kind
            if same and not ticket.key and not ticket.closed and not ticket.deleted:
                return ref(ticket, how="adopted")
        return None

    def note(self, order: AddNote | EndTicket, key: str) -> NoteRef:
        """A note with the next number of its ticket."""
        if self._things.ticket(order.ticket_id) is None:
            raise Refused(f"there is no ticket {order.ticket_id}")
        return NoteRef(ticket_id=order.ticket_id, id=self._things.say(order.ticket_id, order.text, key))

    def end(self, order: EndTicket, key: str) -> NoteRef:
        """A note, and closed."""
        made = self.note(order, key)
        self.close(CloseTicket(ticket_id=order.ticket_id))
        return made

    def close(self, order: CloseTicket) -> TicketRef:
        """Closed, with no approval that still waits."""
        ticket = self._things.ticket(order.ticket_id)
        if ticket is None:
            return TicketRef(id=order.ticket_id, how="absent")
        for present in ticket.rounds[-1:]:
            present.answers = [answer for answer in present.answers if answer.verdict is not Verdict.PENDING]
        if not ticket.closed:
            ticket.closed, ticket.status = True, "closed"
        return ref(ticket, how="closed")

    def wrong_opened(self, order: OpenTicket, key: str, result: TicketRef) -> str:
        """What is not as it was asked for; empty where all is well."""
        ticket = next((ticket for ticket in self._things.tickets if ticket.id == result.id), None)
        if ticket is None:
            return f"ticket {result.id} is not there"
        if ticket.deleted:
            return f"ticket {ticket.id} is deleted"
        if order.user_id is not None and ticket.user_id != order.user_id:
            return f"ticket {ticket.id} is for user {ticket.user_id}, not {order.user_id}"
        similar = result.how == "adopted" and not ticket.key and self._policy.tickets[order.kind].adopt_similar
        return "" if similar or ticket.key == key else f"ticket {ticket.id} does not carry our key"

    def wrong_closed(self, order: CloseTicket) -> str:
        """Still open, or an approval that still waits."""
        ticket = self._things.ticket(order.ticket_id)
        if ticket is None:
            return ""
        waits = any(answer.verdict is Verdict.PENDING for present in ticket.rounds[-1:] for answer in present.answers)
        wrong = (["is still open"] if not ticket.closed else []) + (["still waits for an approval"] if waits else [])
        return f"ticket {ticket.id} {', '.join(wrong)}" if wrong else ""

    def wrong_ended(self, order: EndTicket) -> str:
        """Still open."""
        ticket = self._things.ticket(order.ticket_id)
        return "" if ticket is None or ticket.closed else f"ticket {ticket.id} is still open"


class DeskApprovals:
    """Rounds of approval. The last of a ticket is in progress; one answer decides it."""

    def __init__(self, things: DeskThings) -> None:
        self._things = things

    def ask(self, ticket_id: str, user_ids: Sequence[str], key: str, text: str = "") -> RoundRef:
        """A new round, and what is said with it; an empty key is somebody else's."""
        ticket = self._things.ticket(ticket_id)
        if ticket is None:
            raise Refused(f"there is no ticket {ticket_id}")
        if not user_ids:
            raise Refused(f"nobody is named to approve on ticket {ticket_id}")
        for user_id in user_ids:
            if not self._things.user(user_id).active:
                raise Refused(f"user {user_id} cannot approve")
        number = str(1 + max((int(one.number) for one in ticket.rounds), default=0))
        asked = [Answer(asked=user_id, verdict=Verdict.PENDING) for user_id in dict.fromkeys(user_ids)]
        ticket.rounds.append(DeskRound(number=number, key=key, answers=asked))
        ticket.closed, ticket.status = False, AWAITING
        if text:
            self._things.say(ticket_id, text, key)
        return RoundRef(ticket_id=ticket_id, number=number)

    def found(self, order: AskApproval, key: str) -> tuple[RoundRef, ...]:
        """Our rounds with this key, the latest first; one that was taken back is none."""
        ticket = self._things.ticket(order.ticket_id)
        rounds = ticket.rounds if ticket else []
        return tuple(RoundRef(ticket_id=order.ticket_id, number=one.number) for one in reversed(rounds) if one.key == key and one.answers)

    def answer(self, ticket_id: str, user_id: str, approved: bool, *, how: str, by: str, words: str) -> None:
        """What a person does in front of the desk. Raises Refused where the desk would not take it."""
        ticket = self._things.ticket(ticket_id)
        present = ticket.rounds[-1] if ticket and ticket.rounds else DeskRound(number="")
        place = next((at for at, one in enumerate(present.answers) if one.asked == user_id), None)
        if ticket is None or place is None:
            raise Refused(f"nobody asked user {user_id} on ticket {ticket_id}")
        if any(one.verdict is not Verdict.PENDING for one in present.answers):
            raise Refused("this approval has been answered already")
        if how == "portal" and not self._things.user(user_id).approver:
            raise Refused(f"user {user_id} may not approve")
        verdict = Verdict.APPROVED if approved else Verdict.REJECTED
        nobody = how in ("automatic", "mail link")
        who = "" if nobody else by or user_id
        asked = present.answers[place]
        present.answers[place] = replace(asked, verdict=verdict, by=who, how=how, at=to_text(self._things.now()), words=words)
        ticket.status = str(verdict)

    def state(self, ticket_id: str) -> TicketState:
        """The present round; earlier ones are history."""
        ticket = self._things.ticket(ticket_id)
        if ticket is None:
            return TicketState(there=False)
        present = ticket.rounds[-1] if ticket.rounds else DeskRound(number="")
        # What was taken back leaves no round behind.
        number = present.number if present.answers else ""
        return TicketState(there=True, closed=ticket.closed, round=number, answers=tuple(present.answers))

    def awaiting(self) -> frozenset[str]:
        """Open tickets in the status that says so, whatever their rows say."""
        return frozenset(
            ticket.id for ticket in self._things.tickets if ticket.status == AWAITING and not ticket.closed and not ticket.deleted
        )

    def wrong_asked(self, order: AskApproval, result: RoundRef) -> str:
        """Whether the round is in progress and asks everybody."""
        state = self.state(order.ticket_id)
        if state.round != result.number:
            return f"round {result.number} on ticket {order.ticket_id} is not in progress"
        missing = [user_id for user_id in order.user_ids if all(answer.asked != user_id for answer in state.answers)]
        return f"round {result.number} on ticket {order.ticket_id} does not ask user {', '.join(missing)}" if missing else ""


def ref(ticket: DeskTicket, *, how: str) -> TicketRef:
    """How the engine names a ticket."""
    return TicketRef(id=ticket.id, url=f"memory:ticket/{ticket.id}", how=how)
