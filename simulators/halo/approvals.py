"""Approvals: a process of ordered steps on a ticket, its rows, and the answers (`HaloITSM reference 7`).

Every start is a new round with its own `actionnumber`; the rows of earlier rounds are history. `seq` counts per ticket, through all rounds, so
that (ticket_id, seq) names a row. A step's rows are open together; a rejection ends the process, an acceptance opens the next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulators.halo import audit, events, tickets, users
from simulators.halo.action_rows import blank_action
from simulators.halo.errors import forbidden, not_found, refused
from simulators.halo.members import Doc
from simulators.halo.tenant import Caller, Tenant, new_guid

PENDING, ACCEPTED, REJECTED = 0, 1, 2
#: Who approves at a step. The vendor's numbers were not found: these are ours.
BY_AGENT, BY_CAB, BY_USER, BY_EMAIL, BY_MANAGER = 1, 2, 4, 5, 6
#: The outcomes of the system actions that an approval leaves on its ticket.
_REQUESTED, _ANSWERED = 16, 17


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """A ticket's approvals: the present round and what lies before it."""

    process_id: int
    step: int
    current: list[Doc]
    history: list[Doc]


def of_ticket(tenant: Tenant, ticket: Mapping[str, Any]) -> Approval:
    """The rows of a ticket as they are shown, by round and `seq`."""
    rows = [shown(tenant, row) for row in _rows(tenant, ticket["id"])]
    current = [row for row in rows if row["actionnumber"] == ticket["approval_round"]]
    last = current[-1] if current else {"approval_process_id": 0, "step_id": 0}
    history = [row for row in rows if row["actionnumber"] != ticket["approval_round"]]
    return Approval(process_id=last["approval_process_id"], step=last["step_id"], current=current, history=history)


def shown(tenant: Tenant, row: Mapping[str, Any]) -> Doc:
    """A row as it goes out; switches say what `result` is while it waits, and once it is answered."""
    switches = tenant.switches
    codes = {PENDING: None if switches.pending_is_null else PENDING, ACCEPTED: switches.approved_code, REJECTED: switches.rejected_code}
    return {**row, "result": codes[row["result"]]}


def start_if_asked(tenant: Tenant, who: Caller, ticket_id: int, row: Mapping[str, Any], *, action_number: int | None = None) -> None:
    """Start the process that a written ticket or action names in `new_approvalprocess`. 400 when it does not exist or nobody could answer."""
    wanted = row.get("new_approvalprocess") or 0
    if wanted <= 0 or tenant.fault("approval_ignored"):
        return
    process = tenant.row("approvalprocess", wanted)
    ticket = tenant.row("tickets", ticket_id)
    if process is None or not process["steps"] or ticket is None:
        raise refused(f"Approval process {wanted} does not exist.")
    if action_number is None:
        action = blank_action(tenant, who, ticket, _REQUESTED, "Approval Requested", system=True)
        tenant.put("actions", f"{ticket_id}/{action['id']}", action)
        action_number = int(action["id"])
    ticket = tickets.change(tenant, who, ticket_id, {"approval_round": action_number})
    _open_step(tenant, who, ticket, process, _steps(process)[0], row)


def answer(tenant: Tenant, who: Caller, row: Doc) -> Doc:
    """Take an answer, 1 or 2, to a row that waits; the first one counts. 404 for an unknown row, 403 for a stranger, 400 when it is too late."""
    found = tenant.row("approvals", f"{row.get('ticket_id') or 0}/{row.get('seq') or 0}")
    ticket = tenant.row("tickets", row.get("ticket_id") or 0)
    if found is None or ticket is None or ticket["deleted"] or row.get("actionnumber") not in (None, 0, found["actionnumber"]):
        raise not_found()
    codes = {tenant.switches.approved_code: ACCEPTED, tenant.switches.rejected_code: REJECTED}
    verdict = codes.get(row.get("result") or PENDING)
    if verdict is None:
        raise refused(f"result has to be {' (approved) or '.join(map(str, codes))} (rejected).")
    by = _answered_by(tenant, who, found)
    if found["result"] != PENDING:
        raise refused("This approval has been answered already.")
    if found["actionnumber"] != ticket["approval_round"] or _decided(tenant, ticket, found["step_id"]):
        raise refused("This approval is no longer in progress.")
    note = str(row.get("note") or row.get("approver_note") or "")
    done = found | by | {"result": verdict, "dateapproved": tenant.now(), "approver_note": note, "note": note}
    tenant.put("approvals", f"{done['ticket_id']}/{done['seq']}", done)
    audit.note_change(tenant, who, "faultapproval", done["uniqueid"], "result", PENDING, row["result"], ticket_id=done["ticket_id"])
    action = blank_action(tenant, who, ticket, _ANSWERED, "Approved" if done["result"] == ACCEPTED else "Rejected", system=True)
    tenant.put("actions", f"{done['ticket_id']}/{action['id']}", action | {"note": note})
    _go_on(tenant, who, ticket, done)
    return done


def withdraw(tenant: Tenant, ticket_id: int, seq: int) -> Doc:
    """Take a row away. 404 when it is not there."""
    found = tenant.row("approvals", f"{ticket_id}/{seq}")
    if found is None:
        raise not_found()
    tenant.drop("approvals", f"{ticket_id}/{seq}")
    return found


def is_approver(tenant: Tenant, who: Caller, row: Mapping[str, Any]) -> bool:
    """Whether the caller is the person a row names: by id, or by mail (one person may be user and agent)."""
    if who.kind == "application":
        return bool(row["agent_id"] == who.agent_id)
    own = tenant.row("users", who.user_id) if who.is_user else tenant.row("agents", who.agent_id)
    mail = str((own or {}).get("emailaddress" if who.is_user else "email") or "").casefold()
    same = (row["user_id"] == who.user_id) if who.is_user else (row["agent_id"] == who.agent_id)
    return same or (mail != "" and mail == str(row["emailaddress"]).casefold())


def _answered_by(tenant: Tenant, who: Caller, row: Doc) -> Doc:
    """What the answer says about who gave it; an agent who is not the approver overrides, which the row shows."""
    if who.is_user and not users.may_approve(tenant, tenant.row("users", who.user_id) or {}):
        raise forbidden()
    if is_approver(tenant, who, row):
        return {}
    approver = tenant.row("users", row["user_id"]) or {}
    if who.is_user:
        if approver.get("delegation_activated") and approver.get("delegation_user_id") == who.user_id:
            return {"delegated_by_uid": row["user_id"], "delegated_by_username": approver["name"], "user_id": who.user_id}
        raise forbidden()
    return {"admin_overridden": True, "admin_override_id": who.agent_id}


def _go_on(tenant: Tenant, who: Caller, ticket: Doc, row: Doc) -> None:
    """After an answer: wait for more votes, open the next step, or end the process."""
    verdict = _decided(tenant, ticket, row["step_id"])
    if verdict is None:
        return
    process = tenant.row("approvalprocess", row["approval_process_id"])
    steps = _steps(process or {"steps": []})
    step = next((one for one in steps if one["id"] == row["step_id"]), {})
    later = [one for one in steps if one["sequence"] > step.get("sequence", 0)]
    if verdict == ACCEPTED and process is not None and later:
        _open_step(tenant, who, ticket, process, later[0], {})
        return
    status = step.get("statusafteraccept" if verdict == ACCEPTED else "statusafterreject") or 0
    if status and not (process or {}).get("no_status_change"):
        ticket = tickets.change(tenant, who, ticket["id"], {"status_id": status})
    events.happened(tenant, who, events.APPROVAL_ACCEPTED if verdict == ACCEPTED else events.APPROVAL_REJECTED, ticket)


def _decided(tenant: Tenant, ticket: Doc, step_id: int) -> int | None:
    """ACCEPTED or REJECTED once a step of the present round has the votes it needs, else None."""
    rows = [row for row in _rows(tenant, ticket["id"]) if row["actionnumber"] == ticket["approval_round"] and row["step_id"] == step_id]
    for verdict, needed in ((REJECTED, "votes_required_to_reject"), (ACCEPTED, "votes_required_to_accept")):
        if rows and sum(row["result"] == verdict for row in rows) >= rows[0][needed]:
            return verdict
    return None


def _open_step(tenant: Tenant, who: Caller, ticket: Doc, process: Doc, step: Doc, target: Mapping[str, Any]) -> None:
    people = _people(tenant, ticket, step, target)
    if not people and step.get("autoapproveifnoapprovers"):
        people = [{"cab_id": 0, **_by_rule(tenant)}]
    if not people:
        raise refused(f"Nobody can answer the approval step {step['name']}.")
    if step.get("autoapproveforapprovalrequestor"):
        people = [person | _by_rule(tenant) if _asks_for_it(person, ticket, who) else person for person in people]
    cab = tenant.row("cab", people[0]["cab_id"]) or {}
    everybody = len(people) if cab.get("all_must_approve") else 0
    for person in people:
        seq = tenant.state.next(f"approvals of {ticket['id']}")
        row: Doc = {
            "ticket_id": ticket["id"],
            "seq": seq,
            "actionnumber": ticket["approval_round"],
            "approval_process_id": process["id"],
            "approval_process_guid": process["guid"],
            "approval_process_name": process["name"],
            "step_id": step["id"],
            "step_name": step["name"],
            "step_group_name": "",
            "type": step["type"],
            "agent_id": 0,
            "user_id": 0,
            "name": "",
            "emailaddress": "",
            "cab_id": 0,
            "role_id": 0,
            "role_name": "",
            "result": PENDING,
            "datetime": tenant.now(),
            "dateapproved": None,
            "note": "",
            "approver_note": "",
            "requestor_agent_id": who.agent_id,
            "requestor_user_id": who.user_id,
            "delegated_by_uid": 0,
            "delegated_by_username": "",
            "admin_overridden": False,
            "admin_override_id": 0,
            "adhoc": False,
            "is_mandatory": True,
            "emailstatus": 0,
            "lastreminderdatetime": None,
            "templateid": 0,
            "uniqueid": tenant.next_id("approval"),
            "votes_required_to_accept": everybody or cab.get("approvals_needed") or step.get("minapprovers") or 1,
            "votes_required_to_reject": cab.get("rejection_threshold") or 1,
        } | person
        tenant.put("approvals", f"{ticket['id']}/{seq}", row)
    if step.get("statusawaitingapproval") and not process.get("no_status_change"):
        ticket = tickets.change(tenant, who, ticket["id"], {"status_id": step["statusawaitingapproval"]})
    events.happened(tenant, who, events.APPROVAL_REQUESTED, ticket)
    if any(person.get("result") == ACCEPTED for person in people):
        _go_on(tenant, who, ticket, row)


def _people(tenant: Tenant, ticket: Doc, step: Doc, target: Mapping[str, Any]) -> list[Doc]:
    """Who answers a step: whom the start names, else whom the step names. 400 for somebody who does not exist."""
    prefix = "new_approvalprocess_"
    if several := target.get(prefix + "users"):
        return [_user(tenant, one.get("id") or 0) for one in several]
    if (user_id := target.get(prefix + "user_id") or 0) > 0:
        return [_user(tenant, user_id)]
    if (agent_id := target.get(prefix + "agent_id") or 0) > 0:
        return [_agent(tenant, agent_id)]
    if mail := target.get(prefix + "email"):
        return [_mail(mail)]
    if (cab_id := target.get(prefix + "cab_id") or 0) > 0:
        return _board(tenant, cab_id)
    if step["type"] == BY_AGENT and step.get("agent_id_or_cab_id"):
        return [_agent(tenant, step["agent_id_or_cab_id"])]
    if step["type"] == BY_CAB and step.get("agent_id_or_cab_id"):
        return _board(tenant, step["agent_id_or_cab_id"])
    if step.get("user_id"):
        return [_user(tenant, step["user_id"])]
    if step.get("emailaddress"):
        return [_mail(step["emailaddress"])]
    manager = (tenant.row("users", ticket["user_id"]) or {}).get("manager_email") if step["type"] == BY_MANAGER else None
    if manager:
        known = [
            user for user in tenant.rows("users") if str(user["emailaddress"]).casefold() == manager.casefold() and not user["inactive"]
        ]
        return [_user(tenant, known[0]["id"]) if known else _mail(manager)]
    return []


def _by_rule(tenant: Tenant) -> Doc:
    """What a row says that a rule of the step has accepted at once: no human did."""
    now = tenant.now()
    return {"result": ACCEPTED, "datetime": now, "dateapproved": now}


def _asks_for_it(person: Doc, ticket: Doc, who: Caller) -> bool:
    asking = {number for number in (ticket["user_id"], who.user_id) if number}
    return person.get("user_id") in asking or (who.agent_id > 0 and person.get("agent_id") == who.agent_id)


def _board(tenant: Tenant, cab_id: int) -> list[Doc]:
    members = (tenant.row("cab", cab_id) or {}).get("members") or []
    people = [_user(tenant, one["user_id"]) if one.get("user_id") else _agent(tenant, one.get("agent_id") or 0) for one in members]
    return [person | {"cab_id": cab_id} for person in people]


def _user(tenant: Tenant, user_id: int) -> Doc:
    user = tenant.row("users", user_id)
    if user is None or user["inactive"]:
        raise refused(f"User {user_id} cannot approve.")
    return {"user_id": user_id, "name": user["name"], "emailaddress": user["emailaddress"], "cab_id": 0}


def _agent(tenant: Tenant, agent_id: int) -> Doc:
    agent = tenant.row("agents", agent_id)
    if agent is None or agent["isdisabled"]:
        raise refused(f"Agent {agent_id} cannot approve.")
    return {"agent_id": agent_id, "name": agent["name"], "emailaddress": agent["email"], "cab_id": 0}


def _mail(address: str) -> Doc:
    return {"emailaddress": address, "name": address, "cab_id": 0}


def _steps(process: Mapping[str, Any]) -> list[Doc]:
    return sorted((dict(step) for step in process["steps"]), key=lambda step: int(step["sequence"]))


def _rows(tenant: Tenant, ticket_id: int) -> list[Mapping[str, Any]]:
    rows = [row for row in tenant.rows("approvals") if row["ticket_id"] == ticket_id]
    return sorted(rows, key=lambda row: (int(row["actionnumber"]), int(row["seq"])))


def new_step(tenant: Tenant, row: Doc, sequence: int) -> Doc:
    """A step of a process with everything that the engine reads filled in."""
    blank = {
        "type": BY_USER,
        "name": "Approval",
        "sequence": sequence,
        "user_id": 0,
        "emailaddress": "",
        "agent_id_or_cab_id": 0,
        "minapprovers": 1,
        "autoapproveforapprovalrequestor": False,
        "autoapproveifnoapprovers": False,
    }
    statuses = {"statusawaitingapproval": 17, "statusafteraccept": 18, "statusafterreject": 19}
    given = {name: value for name, value in row.items() if value is not None}
    return blank | statuses | given | {"id": given.get("id") or tenant.next_id("approvalstep"), "guid": new_guid()}
