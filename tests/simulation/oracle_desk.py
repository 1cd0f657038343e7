"""What the desk must hold about one person."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.simulation.expected import ACTIVE, JOINER, stretches
from tests.simulation.journals import Memory
from tests.simulation.oracle_late import told_after
from tests.simulation.oracle_roles import complaints
from tests.simulation.story import MANAGERS, Character, scenes
from tests.simulation.verdict import Verdict

if TYPE_CHECKING:
    from tests.simulation.records import Outcome


def judge_desk(outcome: Outcome, character: Character, memory: Memory, verdict: Verdict) -> None:
    """Users, agents, and what stands on the tickets."""
    identity = character.id
    desk = outcome.desk
    addresses = {
        text.casefold() for scene in scenes(character) if scene.person for text in (scene.person.mail, scene.person.user_principal_name)
    }
    users = [
        user for user in desk.users if user.directory_id == identity or (not user.directory_id and user.address.casefold() in addresses)
    ]
    agents = [agent for agent in desk.agents if agent.address.casefold() in addresses]
    if len(users) > 1:
        verdict.duplicated.append(f"{identity}: users {', '.join(user.id for user in users)}")
    live = [run for run in memory.runs if run["mode"] == "live" and run["workflow"] in ("joiner", "leaver")]
    # A user whom a late write brought to life, or put to sleep, is found like any other late write: somebody is told.
    lates = [
        one.at for one in outcome.landings if one.late and one.asks in ("EnsureUser", "DeactivateUser") and one.person in ("", identity)
    ]
    excused = bool(lates) and told_after(outcome, memory, lates)
    active = [user for user in users if user.active]
    # Whoever moves, or is to have a role, becomes a user; and an agent, whose roles change.
    others = [run["seq"] for run in memory.runs if run["mode"] == "live" and run["workflow"] in ("mover", "role_change", "renamer")]
    excused = excused or bool(live and others and max(others) > live[-1]["seq"])
    last = live[-1] if live else None
    told = stretches(character, outcome.ended_at)
    settled = told[-1].how in (JOINER, ACTIVE)
    # Whoever is back may be asked to approve, and becomes a user again.
    excused = excused or (settled and identity in MANAGERS)
    if last is None and (others or identity in MANAGERS):
        # Whoever is asked to approve becomes a user too.
        pass
    elif last is None:
        if any(user.id not in outcome.users_before for user in users):
            verdict.wrong.append(f"{identity}: has a user, and no run made one")
        if any(outcome.users_before.get(user.id) is not user.active for user in users):
            verdict.wrong.append(f"{identity}: the user was touched, and no run touched it")
    elif last["status"] == "verified" and last["workflow"] == "joiner" and not active and not excused:
        verdict.lost.append(f"{identity}: joined last, and has no active user")
    elif last["status"] == "verified" and last["workflow"] == "leaver" and active and not excused:
        verdict.lost.append(f"{identity}: left last, and user {active[0].id} is active")
    left = any(run["workflow"] == "leaver" and run["status"] == "verified" for run in live)
    begun = any(run["workflow"] == "leaver" for run in live)
    left_last = max([run["seq"] for run in live if run["workflow"] == "leaver"], default=0)
    back = any(run["workflow"] == "role_change" and run["seq"] > left_last for run in memory.runs)
    for agent in agents:
        if left and (agent.enabled or agent.roles) and not back:
            verdict.lost.append(f"{identity}: left, and agent {agent.id} has {len(agent.roles)} roles, enabled {agent.enabled}")
        if not begun and not others and outcome.agents_before.get(agent.id) != (agent.enabled, agent.roles):
            verdict.wrong.append(f"{identity}: agent {agent.id} was touched, and nobody left")
    _leave_is_told(outcome, identity, memory, live, verdict)
    verdict.take(complaints(outcome, character, agents, settled=settled and not memory.waited_for_a_word))


def _leave_is_told(outcome: Outcome, identity: str, memory: Memory, live: list[dict[str, Any]], verdict: Verdict) -> None:
    """Whoever works on the onboarding of somebody who left meanwhile must read it on the ticket."""
    for run, following in itertools.pairwise(live):
        if (run["workflow"], run["status"]) != ("joiner", "superseded") or following["status"] != "verified":
            continue
        for ticket in _tickets_of(memory, run):
            if not any(note.ticket_id == ticket and "has left before" in note.text for note in outcome.desk.notes):
                verdict.lost.append(f"{identity}: ticket {ticket} of the overtaken {run['id']} does not say that the person left")


def _tickets_of(memory: Memory, run: dict[str, Any]) -> Iterator[str]:
    for step in memory.steps.get(run["seq"], []):
        if step["asks"] == "OpenTicket" and step["state"] == "done":
            yield step["result"]["id"]
