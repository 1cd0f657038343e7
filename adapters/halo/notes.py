"""Notes on tickets: internal, said once, recognised by the key at their end."""

from __future__ import annotations

import html
from typing import Any

from adapters.halo import wire
from adapters.halo.answers import NotThere
from adapters.halo.client import HaloClient
from adapters.halo.deadline import Deadline
from adapters.halo.names import OUTCOME, Names
from joinery.domain.tickets import AddNote, EndTicket, NoteRef, ReadBack

#: Actions read from one ticket, newest first; a ticket's list is short.
ACTIONS_READ = 1000


class Notes:
    """What the desk does with notes."""

    def __init__(self, client: HaloClient, names: Names) -> None:
        self._client = client
        self._names = names

    def add(self, order: AddNote, key: str, deadline: Deadline) -> NoteRef:
        """Write the note, hidden from end users."""
        ticket_id = wire.object_id(order.ticket_id, "ticket")
        return NoteRef(ticket_id=str(ticket_id), id=str(self.write(ticket_id, order.text, key, deadline)))

    def write(self, ticket_id: int, words: str, key: str, deadline: Deadline, **carried: Any) -> int:
        """One action that says something and may carry more (an approval to start); its number on the ticket."""
        return wire.id_of(self.act(ticket_id, words, key, deadline, **carried), "POST /Actions")

    def act(self, ticket_id: int, words: str, key: str, deadline: Deadline, **carried: Any) -> wire.Row:
        """The same; what the desk answers."""
        row = {
            "ticket_id": ticket_id,
            "outcome_id": carried.get("outcome_id") or self._outcome(deadline),
            "note_html": f"{wire.paragraphs(words)}<p>{html.escape(wire.key_token(key))}</p>",
            "hiddenfromuser": True,
            **carried,
        }
        return self._client.post("/Actions", row, deadline=deadline)

    def _outcome(self, deadline: Deadline) -> int | str:
        """The outcome that leaves an internal note: its built-in id where a tenant renamed it (Halo reference section 4)."""
        profile = self._client.profile
        found = self._names.find(OUTCOME, *profile.note_outcomes, deadline=deadline)
        return found.id if found else profile.note_outcome_id

    def find(self, order: AddNote | EndTicket, key: str) -> tuple[NoteRef, ...]:
        """The notes on the ticket that carry the key, lowest id first."""
        ticket_id = wire.object_id(order.ticket_id, "ticket")
        return tuple(
            NoteRef(ticket_id=str(ticket_id), id=str(action_id)) for action_id in self.numbers(ticket_id, key, self._client.deadline())
        )

    def numbers(self, ticket_id: int, key: str, deadline: Deadline) -> list[int]:
        """The numbers of the ticket's actions that carry the key, lowest first."""
        return [wire.id_of(row, "GET /Actions") for row in self.rows(ticket_id, key, deadline)]

    def rows(self, ticket_id: int, key: str, deadline: Deadline) -> list[wire.Row]:
        """The ticket's actions that carry the key, the one with the lowest number first."""
        query: dict[str, str | int] = {"ticket_id": ticket_id, "count": ACTIONS_READ, "includehtmlnote": "true"}
        try:
            body = self._client.get("/Actions", query, deadline=deadline)
        except NotThere:
            return []
        found = [
            row
            for row in wire.rows_of(body, "/Actions")
            if wire.number(row.get("ticket_id", ticket_id)) == ticket_id
            and wire.number(row.get("id")) is not None
            and wire.key_token(key) in html.unescape(f"{wire.text(row, 'note')} {wire.text(row, 'note_html')}")
        ]
        return sorted(found, key=lambda row: wire.id_of(row, "GET /Actions"))

    def check(self, order: AddNote, key: str, result: NoteRef) -> ReadBack:
        """The note is in the ticket's list."""
        there = any(note.id == result.id for note in self.find(order, key))
        return ReadBack(ok=there, detail=f"note {result.id} is {'' if there else 'not '}on ticket {order.ticket_id}")
