"""The shape of an action, for those that people write and those that the system leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.halo.members import Doc
from simulators.halo.tenant import Caller, Tenant, new_guid


def blank_action(tenant: Tenant, who: Caller, ticket: Mapping[str, Any], outcome_id: int, outcome: str, *, system: bool = False) -> Doc:
    """A new action of a ticket with the next number, not yet stored."""
    return {
        "ticket_id": ticket["id"],
        "id": tenant.state.next(f"actions of {ticket['id']}"),
        "guid": new_guid(),
        "outcome": outcome,
        "outcome_id": outcome_id,
        "who": who.name,
        "who_type": 0 if who.is_user else 1,
        "who_agentid": who.agent_id,
        "datetime": tenant.now(),
        "note": "",
        "note_html": "",
        "hiddenfromuser": False,
        "important": False,
        "timetaken": 0.0,
        "old_status": ticket["status_id"],
        "new_status": ticket["status_id"],
        "new_status_name": tenant.name_of("status", ticket["status_id"]),
        "actionby_agent_id": who.agent_id,
        "actionby_user_id": who.user_id,
        "actionby_application_id": tenant.shown_application(who),
        "issystem": system,
        "attachment_count": 0,
        "customfields": [],
    }
