"""Steps 5, 6, 7, 13 and 14 of a probe: its ticket is opened, found again, noted on, looked up in the history, and closed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from adapters.halo import wire
from adapters.halo.answers import BadRequest
from adapters.halo.client import HaloClient
from adapters.halo.names import CLIENT, FIELD, SITE, STATUS, TEAM, TICKET_TYPE
from adapters.halo.probe_access import CLOSING, NOTE_OUTCOME
from adapters.halo.probe_bench import LATE, Bench, FailedStep
from adapters.halo.tenant_profile import STRATEGIES
from joinery.domain.person import Person
from joinery.domain.tickets import AddNote, CloseTicket, EndTicket, OpenTicket, TicketRef, ToDo
from joinery.errors import OutcomeUnknown, Refused, TryLater

#: Nobody in particular: the ticket is the site's general user's.
_NOBODY = Person(id="joinery-probe")
_PAGE_MAX = 100


def open_ticket(bench: Bench) -> str:
    """One ticket that carries a key, if it can be closed again. Where its answer is lost, it is looked for."""
    bench.must_have(TICKET_TYPE.title, TEAM.title, CLIENT.title, SITE.title, CLOSING)
    order = OpenTicket(
        kind=bench.plan.kind,
        person=_NOBODY,
        user_id=None,
        summary="Joinery tries what this desk can do",
        details="Made by a probe, which closes it by itself. Nobody has anything to do.",
        to_do=(ToDo(text="Nothing", owner="Nobody", when=""),),
    )
    tickets, found_later = bench.tickets(), ""
    bench.ticket_lost = True
    try:
        ref = tickets.open(order, bench.key, bench.client.deadline())
    except (TryLater, Refused):
        bench.ticket_lost = False
        raise
    except OutcomeUnknown as error:
        ref, found_later = _lost(bench, error), ", found after its answer was lost"
    bench.ticket_id, bench.ticket_lost = int(ref.id), False
    seen = tickets.check(order, bench.key, ref)
    if not seen.ok:
        raise FailedStep(seen.detail, "Let no rule of the desk rewrite a new ticket's summary, type or task list.")
    ticket = tickets.read(bench.ticket_id, bench.client.deadline()) or {}
    bench.first_status = wire.number(ticket.get("status_id"))
    return f"{seen.detail}{found_later}, in status {bench.first_status}"


def find_ticket(bench: Bench) -> str:
    """By each way alone, and how long each took; and how many rows a page has."""
    number = str(bench.ticket())
    seconds: dict[str, float] = {}
    ways = [way for way in STRATEGIES if way != "field" or bench.names.find(FIELD, bench.plan.key_field)]
    for since in bench.waits():
        for way in (way for way in ways if way not in seconds):
            # A new look each time: one that was refused the search by field asks by the summary from then on.
            if any(found.id == number for found in bench.tickets(strategies=(way,)).find(bench.key, quick=True)):
                seconds[way] = since
        if len(seconds) == len(ways):
            break
    page = _page_size(bench)
    if not seconds:
        raise FailedStep(
            f"not found within {bench.plan.wait_max.total_seconds():.0f} s; {page}",
            "Give the application the right to list tickets of this type, or wait longer: set JOINERY_SEARCH_LAG_SECONDS to what it takes.",
        )
    if seconds.keys() != {"recent"}:
        # The newest page alone would miss, an hour later, what a slow index finds by then; what is missed is made twice.
        bench.learn(strategies=tuple(way for way in STRATEGIES if way in seconds))
    bench.search_lag = timedelta(seconds=max(seconds.values()))
    told = ", ".join(f"by {way} after {seconds[way]:.0f} s" if way in seconds else f"not by {way}" for way in STRATEGIES)
    return f"found {told}; {page}"


def leave_note(bench: Bench) -> str:
    """A private note, read back, and under which name the desk shows us beside it."""
    number = bench.ticket()
    bench.must_have(NOTE_OUTCOME)
    notes, deadline = bench.notes(), bench.client.deadline()
    written = notes.add(AddNote(ticket_id=str(number), text="A note of the probe."), bench.key, deadline)
    row = next((row for row in notes.rows(number, bench.key, deadline) if str(row.get("id")) == written.id), None)
    if row is None:
        raise FailedStep(f"note {written.id} is not on ticket {number}", "Let no rule of the desk rewrite or remove private notes.")
    if "hiddenfromuser" in row and not wire.true(row, "hiddenfromuser"):
        raise FailedStep(f"note {written.id} is shown to end users", "Name an outcome that leaves a private note in [notes] outcomes.")
    bench.application = wire.text(row, "actionby_application_id")
    if not bench.application:
        return f"note {written.id}; it does not say which application left it"
    bench.learn(application="" if wire.same(bench.application, bench.client.client_id) else bench.application)
    return f"note {written.id}; it names our application{' by its client id' if not bench.client.profile.application else ''}"


def read_history(bench: Bench) -> str:
    """``/Audit``, whose filters are not published, so none is sent."""
    bench.must_be_signed_in()
    rows = wire.rows_of(bench.client.get("/Audit"), "/Audit")
    if bench.ticket_id is None:
        return f"{len(rows)} rows"
    ours = sum(wire.number(row.get("ticket_id")) == bench.ticket_id for row in rows)
    return f"{len(rows)} rows, {ours} of them about ticket {bench.ticket_id}"


def close_by_each_way(bench: Bench) -> str:
    """By its status, opened again, and by an action; where that takes an outcome of its own, by the first one that closes."""
    number = bench.ticket()
    by_status = _closes(bench, close_by="status")
    if by_status and not _reopened(bench, number):
        return f"ticket {number} is closed by its status and was not opened again, so that an action closes is not known"
    by_action = NOTE_OUTCOME not in bench.missing and _closes(bench, close_by="action", close_outcome="")
    profile = bench.client.profile
    if by_status and by_action and (profile.close_by, profile.close_outcome) != ("either", ""):
        return f"ticket {number} is closed by its status and by an action alike, so that the way of the profile stays"
    if by_action:
        bench.learn(close_by="either" if by_status else "action", close_outcome="")
        return f"ticket {number} is closed by {'its status and by an action alike' if by_status else 'an action alone'}"
    if by_status:
        if not _closes(bench, close_by="status"):
            raise FailedStep(f"ticket {number} closed by its status once, and not again", "Close it by hand, and look at its workflow.")
        bench.learn(close_by="status")
        return f"ticket {number} is closed by its status alone"
    for name in dict.fromkeys(name for name in (bench.client.profile.close_outcome, *_closing_outcomes(bench)) if name):
        if _closes(bench, close_by="action", close_outcome=name):
            bench.learn(close_by="action", close_outcome=name)
            return f"ticket {number} is closed by an action with an outcome of its own"
    raise FailedStep(f"ticket {number} is closed neither by its status nor by an action", "Look at which outcomes its workflow has.")


def end_ticket(bench: Bench) -> None:
    """What is left of the ticket is closed. Raises Refused where it stays open, or where one may be that nobody saw."""
    if bench.ticket_id is None and bench.ticket_lost:
        found = bench.tickets().find(bench.key)
        if not found:
            raise Refused(f"one whose summary ends with [{bench.key}] may be there: look for it, and close it by hand")
        bench.ticket_id = int(found[0].id)
    if bench.ticket_id is None:
        return
    order = CloseTicket(ticket_id=str(bench.ticket_id))
    if bench.approvals().check_closed(order).ok:
        return
    bench.approvals().close(order, bench.key, bench.client.deadline())
    if not (seen := bench.approvals().check_closed(order)).ok:
        raise Refused(f"{seen.detail}: close it by hand")


# --- below: how -------------------------------------------------------------------------------------------------------


def _lost(bench: Bench, error: OutcomeUnknown) -> TicketRef:
    for _ in bench.waits():
        if found := bench.tickets().find(bench.key):
            return found[0]
    raise error


def _page_size(bench: Bench) -> str:
    """As many rows as there are or as a page takes; some desks say themselves to how many they cut."""
    client = bench.taking(page_size=_PAGE_MAX)
    body = client.get("/Tickets", wire.page_query(client, {"order": "id", "orderdesc": "true"}, 1))
    rows = len(wire.rows_of(body, "/Tickets"))
    said = wire.number(body.get("page_size")) if isinstance(body, dict) else None
    total = wire.number(body.get("record_count")) if isinstance(body, dict) else None
    if said is not None and rows <= said < _PAGE_MAX and said > 0:
        size = said
    elif rows >= _PAGE_MAX or said == _PAGE_MAX:
        size = _PAGE_MAX
    elif total is not None and 0 < rows < total and _goes_on(client, body):
        size = rows
    else:
        return "how long a page is, is not known: there are too few tickets"
    bench.learn(page_size=size)
    return f"a page has {size} rows"


def _goes_on(client: HaloClient, first: Any) -> bool:
    """Whether a second page has other rows: a count alone may be wrong, or count what we may not see."""
    second = client.get("/Tickets", wire.page_query(client, {"order": "id", "orderdesc": "true"}, 2))
    return bool({row.get("id") for row in wire.rows_of(second, "/Tickets")} - {row.get("id") for row in wire.rows_of(first, "/Tickets")})


def _closes(bench: Bench, **habits: str) -> bool:
    """Whether the ticket is closed after it was closed in this way; a 400 is the workflow's answer, any other refusal a missing right."""
    approvals, number = bench.approvals(**habits), str(bench.ticket())
    try:
        if habits["close_by"] == "status":
            approvals.close(CloseTicket(ticket_id=number), bench.key, bench.client.deadline())
        else:
            approvals.end(EndTicket(ticket_id=number, text="Closed by the probe."), bench.key, bench.client.deadline())
    except BadRequest:
        return False
    if approvals.check_ended(EndTicket(ticket_id=number, text="")).ok:
        return True
    # What shows late would be taken for the next way's effect.
    bench.pause(LATE)
    return approvals.check_ended(EndTicket(ticket_id=number, text="")).ok


def _reopened(bench: Bench, number: int) -> bool:
    if bench.first_status is None:
        return False
    try:
        bench.client.post("/Tickets", {"id": number, "status_id": bench.first_status}, deadline=bench.client.deadline())
    except BadRequest:
        return False
    return not bench.approvals().check_ended(EndTicket(ticket_id=str(number), text="")).ok


def _closing_outcomes(bench: Bench) -> list[str]:
    """The outcomes that put a ticket into the status that closes."""
    closed = bench.names.find(STATUS, bench.plan.desk.closed_status)
    rows = wire.rows_of(bench.client.get("/Outcome"), "/Outcome")
    return [
        name
        for row in rows
        if closed is not None
        and wire.number(row.get("newstatus")) == closed.id
        and (name := wire.text(row, "name") or wire.text(row, "outcome"))
    ]
