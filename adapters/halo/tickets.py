"""Tickets: opened in one call with everything in them, and found again by the key they carry."""

from __future__ import annotations

import json
import re

from adapters.halo import wire
from adapters.halo.answers import BadRequest, NotThere
from adapters.halo.client import HaloClient
from adapters.halo.deadline import Deadline
from adapters.halo.names import FIELD, NAMES_KEPT, TEAM, TICKET_TYPE, Names
from adapters.halo.places import place_of
from adapters.halo.users import Users
from joinery.domain.policy import DeskPolicy, TicketPolicy
from joinery.domain.tickets import OpenTicket, ReadBack, TicketRef, ToDo
from joinery.errors import Refused

#: A search with at most this many rows is looked at row by row where the rows do not show custom fields.
_FEW = 10

#: How a key ends a summary: 80 bits in base32, with something of the deployment around it.
_ANY_KEY = re.compile(r"\[[^\[\]]*[A-Z2-7]{16}[^\[\]]*\]\s*$", re.IGNORECASE)


class Tickets:
    """What the desk does with tickets."""

    def __init__(self, client: HaloClient, names: Names, users: Users, policy: DeskPolicy, *, deployment: str, key_field: str) -> None:
        self._client = client
        self._names = names
        self._users = users
        self._policy = policy
        self._deployment = deployment
        self._key_field = key_field
        #: Until when (monotonic) this tenant is known to refuse a search by our field.
        self._no_field_search_until = 0.0

    def open(self, order: OpenTicket, key: str, deadline: Deadline) -> TicketRef:
        """One POST: summary, details, task list, type, team, user and key. Its own task list only, no template's."""
        policy, policy_key = self._policy_for(order)
        row: wire.Row = {
            "summary": f"{wire.line(order.summary, wire.LINE_LIMIT - len(wire.key_token(key)) - 1)} {wire.key_token(key)}",
            "details_html": wire.paragraphs(order.details),
            "tickettype_id": self._names.resolve(
                TICKET_TYPE, policy.ticket_type, policy_key=f"{policy_key} ticket_type", deadline=deadline
            ).id,
            "team": self._names.resolve(TEAM, policy.team, policy_key=f"{policy_key} team", deadline=deadline).name,
            "third_party_id_string": key,
            "todo_list": [_row_of(to_do, number) for number, to_do in enumerate(order.to_do, start=1)],
            "donotapplytemplateintheapi": True,
            **self._requester(order, deadline),
        }
        if field := self._names.find(FIELD, self._key_field, deadline=deadline):
            row["customfields"] = [{"id": field.id, "value": key}]
        written = self._client.post("/Tickets", row, deadline=deadline)
        return self._ref(wire.id_of(written, "POST /Tickets"), how="created")

    def find(self, key: str, *, quick: bool = False, ours: str | None = None) -> tuple[TicketRef, ...]:
        """Every ticket that carries the key in full, lowest id first.

        Searches lag behind and filters may be ignored, so three questions are put, and each candidate is read on its own.
        Deleted tickets are only asked for where no other is found: one that still lives is always the better answer.
        ``quick`` puts one question, for the look before a first create. The one with the id ``ours`` is not read once more.
        """
        deadline = self._client.deadline()
        candidates: set[int] = set()
        for query in self._questions(key, deadline):
            try:
                rows = wire.page(self._client, "/Tickets", query, deadline=deadline)
            except BadRequest:
                if "advanced_search" not in query:
                    raise
                self._no_field_search_until = self._client.clock.monotonic() + NAMES_KEPT.total_seconds()
                continue
            candidates |= {wire.id_of(row, "GET /Tickets") for row in rows if self._may_carry(row, key, few=len(rows) <= _FEW)}
            if quick:
                break
        found = [one for one in sorted(candidates) if str(one) == ours or self._carries(self.read(one, deadline), key)]
        if not found and not quick:
            deleted = wire.page(self._client, "/Tickets", {"deleted": "true", "search_summary": key}, deadline=deadline)
            # A deleted ticket cannot be read on its own everywhere; its row shows the summary, and that is compared in full.
            found = sorted({wire.id_of(row, "GET /Tickets") for row in deleted if self._carries(row, key)})
        return tuple(self._ref(ticket_id, how="adopted") for ticket_id in found)

    def find_similar(self, order: OpenTicket) -> TicketRef | None:
        """An open ticket of the same type for the same user that nobody's key claims; None unless policy says to adopt such."""
        policy, policy_key = self._policy_for(order)
        if not policy.adopt_similar or order.user_id is None:
            return None
        deadline = self._client.deadline()
        user_id = wire.object_id(order.user_id, "user")
        type_id = self._names.resolve(TICKET_TYPE, policy.ticket_type, policy_key=f"{policy_key} ticket_type", deadline=deadline).id
        query = {"user_id": user_id, "requesttype_id": type_id, "open_only": "true"}
        for row in sorted(wire.page(self._client, "/Tickets", query, deadline=deadline), key=lambda row: wire.id_of(row, "GET /Tickets")):
            if wire.number(row.get("user_id")) != user_id or wire.number(row.get("tickettype_id")) != type_id:
                continue
            ticket = self.read(wire.id_of(row, "GET /Tickets"), deadline)
            if (
                ticket is not None
                and wire.number(ticket.get("user_id")) == user_id
                and wire.number(ticket.get("tickettype_id")) == type_id
                and not wire.true(ticket, "hasbeenclosed")
                and not wire.true(ticket, "deleted")
                and not self._has_any_key(ticket)
            ):
                return self._ref(wire.id_of(ticket, "GET /Tickets"), how="adopted")
        return None

    def check(self, order: OpenTicket, key: str, result: TicketRef) -> ReadBack:
        """There, not deleted, for the right user, with the key and the whole task list."""
        ticket = self.read(wire.object_id(result.id, "ticket"), self._client.deadline())
        if ticket is None:
            return ReadBack(ok=False, detail=f"ticket {result.id} is not there")
        wrong = []
        if wire.true(ticket, "deleted"):
            wrong.append("is deleted")
        if order.user_id is not None and wire.number(ticket.get("user_id")) != wire.number(order.user_id):
            wrong.append(f"is for user {ticket.get('user_id')}, not {order.user_id}")
        similar = result.how == "adopted" and self._policy_for(order)[0].adopt_similar and not self._has_any_key(ticket)
        if not similar:
            rows = ticket.get("todo_list")
            there = len(rows) if isinstance(rows, list) else 0
            if there < len(order.to_do):
                wrong.append(f"has {there} of {len(order.to_do)} tasks")
            if not self._carries(ticket, key):
                wrong.append("does not carry our key")
        if wrong:
            return ReadBack(ok=False, detail=f"ticket {result.id} {', '.join(wrong)}")
        return ReadBack(ok=True, detail=f"ticket {result.id} is there{', opened by somebody else' if similar else ''}")

    def read(self, ticket_id: int, deadline: Deadline) -> wire.Row | None:
        """One ticket in full; None where it is not there."""
        try:
            ticket = wire.one(self._client, f"/Tickets/{ticket_id}", {"includedetails": "true", "nocache": "true"}, deadline=deadline)
        except NotThere:
            return None
        return ticket if wire.number(ticket.get("id")) == ticket_id else None

    # --- below: how -----------------------------------------------------------------------------------------------

    def _policy_for(self, order: OpenTicket) -> tuple[TicketPolicy, str]:
        policy_key = f"[desk.tickets.{order.kind}]"
        policy = self._policy.tickets.get(order.kind)
        if policy is None:
            raise Refused(f"policy.toml: {policy_key} is missing. It has: {', '.join(sorted(self._policy.tickets)) or 'none'}")
        return policy, policy_key

    def _requester(self, order: OpenTicket, deadline: Deadline) -> wire.Row:
        """User with their own client and site (a named user needs its site, reference 3.2), else the site's general user."""
        if order.user_id is None:
            place = place_of(order.person, self._policy, self._names, deadline=deadline)
            return {"client_id": place.client_id, "site_id": place.site_id}
        return self._users.place(order.user_id, deadline=deadline)

    def _questions(self, key: str, deadline: Deadline) -> list[dict[str, str | int]]:
        """By custom field, by the end of the summary, and the newest tickets, or what of it the profile names; at least one."""
        by_field = json.dumps([{"filter_name": self._key_field, "filter_type": 2, "filter_value": key}])
        questions: dict[str, dict[str, str | int]] = {
            "field": {"advanced_search": by_field},
            "summary": {"search_summary": key},
            "recent": {"order": "id", "orderdesc": "true"},
        }
        may_ask_field = self._client.clock.monotonic() >= self._no_field_search_until
        if "field" in self._client.profile.strategies and not (
            may_ask_field and self._names.find(FIELD, self._key_field, deadline=deadline)
        ):
            del questions["field"]
        return [questions[name] for name in self._client.profile.strategies if name in questions] or [questions["summary"]]

    def _may_carry(self, row: wire.Row, key: str, *, few: bool) -> bool:
        """Worth reading in full: it shows the key, or it is one of few and does not show its custom fields."""
        shows = key in wire.text(row, "summary") or key in (wire.text(row, "third_party_id_string"), self._key_of(row))
        return shows or (few and "customfields" not in row)

    def _carries(self, ticket: wire.Row | None, key: str) -> bool:
        return ticket is not None and (wire.key_token(key) in wire.text(ticket, "summary") or self._key_of(ticket) == key)

    def _has_any_key(self, ticket: wire.Row) -> bool:
        summary = wire.text(ticket, "summary")
        return bool(self._key_of(ticket) or _ANY_KEY.search(summary) or f"[{self._deployment}-" in summary)

    def _key_of(self, row: wire.Row) -> str:
        """The value of our custom field."""
        return wire.custom_field(row, self._key_field)

    def _ref(self, ticket_id: int, *, how: str) -> TicketRef:
        return TicketRef(id=str(ticket_id), url=self._client.ticket_url(ticket_id), how=how)


def _row_of(to_do: ToDo, number: int) -> wire.Row:
    """A row of the task list: who in ``group_name``, when in words behind the text."""
    when = f" — {wire.line(to_do.when, 80)}" if to_do.when.strip() else ""
    words = wire.line(to_do.text, wire.LINE_LIMIT - len(when)) + when
    return {"text": words, "group_name": wire.line(to_do.owner, 100), "sequence": number, "done": False}
