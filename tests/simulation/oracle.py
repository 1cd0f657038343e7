"""The oracle: what the desk and the journals must hold, from HR's story and what the network did. It trusts no code of the engine.

Lost: something that had to be done was not. Wrong: something was done that was not to be done, or left in a state it may not be
in. Duplicated: something was done twice. A write that landed after its deadline may leave one object too many, which must then
have been found and marked within 20 minutes.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from joinery.domain.person import Person
from tests.simulation import faults as f
from tests.simulation.expected import ALONE, Stand, is_left_alone, possible_ends, stretches
from tests.simulation.journals import Memory, broken_chain, memory_of, moment
from tests.simulation.oracle_cut_off import cut_off
from tests.simulation.oracle_desk import judge_desk
from tests.simulation.oracle_guards import guarded, left_over
from tests.simulation.oracle_late import found_and_marked
from tests.simulation.oracle_roles import asked_for
from tests.simulation.story import MANAGERS, Character, scenes
from tests.simulation.verdict import Verdict

if TYPE_CHECKING:
    from tests.simulation.records import Outcome

#: Fields of a person that the memory of the last sighting must share with the directory.
_FIELDS = ("account_enabled", "department", "display_name", "employee_id", "mail", "user_principal_name", "user_type")


#: Workflow -> the kind of the tickets that it opens.
KINDS = {"joiner": "onboarding", "leaver": "offboarding", "mover": "move", "role_change": "role"}
#: What a step may ask for that has to be read back.
EFFECTS = {
    "EnsureUser", "FindUser", "OpenTicket", "AddNote", "DeactivateUser", "RetireAgent",
    "UpdateUser", "EnsureApprover", "EnsureAgent", "SetRoles", "AskApproval", "CloseTicket", "EndTicket",
}  # fmt: skip


def judge(outcome: Outcome) -> Verdict:
    """Compare everything."""
    verdict = Verdict()
    _nothing_left_behind(outcome, verdict)
    for name, rows in outcome.partitions.items():
        if broken := broken_chain(memory_of(rows)):
            verdict.wrong.append(f"{name}: {broken}")
    tickets_explained: set[str] = set()
    for character in outcome.history.story.people:
        _judge_person(outcome, character, verdict, tickets_explained)
    for ticket in outcome.desk.tickets:
        if ticket.id not in tickets_explained and ticket.kind != "alert":
            verdict.wrong.append(f"ticket {ticket.id} ({ticket.kind}, {ticket.key}) belongs to no run")
    _notes_once(outcome, verdict)
    verdict.take(left_over(outcome))
    return verdict


# --- the whole ---


def _nothing_left_behind(outcome: Outcome, verdict: Verdict) -> None:
    if not outcome.rested:
        verdict.lost.append("it never came to rest")
    # Whoever is none of our business any more may have a run that is held, and that asks again every hour.
    held = {f"local|person:{one.id}" for one in outcome.history.story.people if _is_alone(outcome, one)}
    # What waits for a person's word may be about a grant that ends by its date: it is looked at every hour.
    held |= {name for name, rows in outcome.partitions.items() if memory_of(rows).waits_for_a_word}
    # A reminder that is not needed any more still comes, and finds nothing to do.
    reminders = any(asked_for(one) for one in outcome.history.story.people)
    if outcome.waiting or outcome.dead or (outcome.scheduled and not held and not reminders):
        verdict.lost.append(f"the queue still holds {outcome.waiting} messages, {outcome.scheduled} scheduled, {outcome.dead} dead")
    for index in ("due", "open-runs"):
        for key in outcome.indexes.get(index, {}):
            if not any(name in key for name in held):
                verdict.lost.append(f"index {index} still has {key}")
    refusing = any(fault.kind in (f.BUS_REFUSES, f.BUS_TAKES_SOME) for fault in outcome.history.faults)
    for key, row in outcome.indexes.get("parked", {}).items():
        # Shown to a person, with a remedy: not lost. But only a bus that takes nothing back for hours is a reason.
        if not (refusing and row["reason"].startswith("dead-lettered: MaxDeliveryCountExceeded")):
            verdict.lost.append(f"parked: {key}: {row['reason']}")


def _is_alone(outcome: Outcome, character: Character) -> bool:
    return is_left_alone(character, outcome.ended_at)


def _notes_once(outcome: Outcome, verdict: Verdict) -> None:
    late = {landing.key for landing in outcome.landings if landing.late}
    for key, count in Counter(note.key for note in outcome.desk.notes).items():
        if count > 1 and key not in late:
            verdict.duplicated.append(f"note {key} stands {count} times")


# --- one person ---


def _judge_person(outcome: Outcome, character: Character, verdict: Verdict, explained: set[str]) -> None:
    identity = character.id
    memory = memory_of(outcome.partitions.get(f"local|person:{identity}", {}))
    ends = possible_ends(character, outcome.history.faults, outcome.ended_at)
    verdict.people += 1
    verdict.certain += len({(end.joins, end.leaves, end.stage) for end in ends}) == 1
    # Held, or not even that yet: it waits for an answer, and is held when that is due.
    alone = _is_alone(outcome, character) or memory.waits_for_a_word
    held = alone and all(run["waiting_for"] for run in memory.runs if run["status"] == "open")
    if memory.open_rows and not held:
        verdict.lost.append(f"{identity}: still open: {', '.join(memory.open_rows)}")
    _decided(outcome, identity, memory, ends, verdict)
    _knows_the_truth(character, memory, outcome, verdict)
    _flaps_are_doubted(outcome, identity, memory, verdict)
    by_hand = {user.id for user in outcome.desk.users if user.directory_id == identity}
    if not any(end.joins + end.leaves for end in ends):
        comings = [ticket for ticket in outcome.desk.tickets if ticket.kind in ("onboarding", "offboarding")]
        if any(f"Directory id: {identity}" in ticket.details for ticket in comings):
            verdict.wrong.append(f"{identity}: there is a ticket, and nothing had happened that asks for one")
        if by_hand - outcome.users_before.keys() and not asked_for(character) and identity not in MANAGERS:
            verdict.wrong.append(f"{identity}: there is a user, and nothing had happened that asks for one")
    for run in memory.runs:
        if run["status"] == "open" and held:
            # What was asked for before they were none of our business is looked up when they are again.
            keys = {step["key"] for step in memory.steps.get(run["seq"], []) if step["key"]}
            explained |= {ticket.id for ticket in outcome.desk.tickets if ticket.key in keys}
            continue
        _judge_run(outcome, identity, memory, run, verdict, explained)
    judge_desk(outcome, character, memory, verdict)
    verdict.take(guarded(outcome, character, memory, ends))
    verdict.take(cut_off(outcome, character, memory))


def _flaps_are_doubted(outcome: Outcome, identity: str, memory: Memory, verdict: Verdict) -> None:
    """What reverses a decision that is hardly older than a minute was believed at once."""
    if any(fault.kind == f.CLOCK_JUMP for fault in outcome.history.faults):
        return
    last: dict[str, tuple[str, datetime]] = {}
    returns = {entry["at"] for entry in memory.audit if entry["detail"].get("fact", {}).get("is") == "Returned"}
    for entry in memory.audit:
        fact = entry["detail"].get("fact", {}) if entry["action"] == "fact" else {}
        for turn in ("gained", "lost"):
            for group in fact.get(turn, ()) if fact.get("is") == "RolesChanged" else ():
                if turn == "lost" and entry["at"] in returns:
                    # Of old: what was decided about it before they left stands no more now that they are back.
                    continue
                if turn == "lost" and group in fact["gained"]:
                    # An earlier fact, whose run had not ended, goes on in this one.
                    continue
                before, at = last.get(group, (turn, moment(entry["at"])))
                if before != turn and moment(entry["at"]) - at < timedelta(seconds=55):
                    verdict.wrong.append(f"{identity}: {group} was {before} and {turn} within a minute, and both were believed")
                last[group] = (turn, moment(entry["at"]))


def _decided(outcome: Outcome, identity: str, memory: Memory, ends: set[Stand], verdict: Verdict) -> None:
    runs = Counter(run["workflow"] for run in memory.live)
    stage = memory.known.get("episode", {}).get("stage", "none").replace("prehire", "none")
    found = (runs["joiner"], runs["leaver"], stage)
    wanted = {(end.joins, end.leaves, end.stage) for end in ends}
    if found in wanted:
        return
    if (
        outcome.history.theme.kind
        and memory.waited_for_a_word
        and all(found[number] <= max(one[number] for one in wanted) for number in (0, 1))
    ):
        # A person had a say in it: the guards' part of the oracle knows what they said.
        return
    text = f"{identity}: (joiners, leavers, stage) {found} is none of {sorted(wanted)}"
    most = tuple(max(one[number] for one in wanted) for number in (0, 1))
    (verdict.wrong if found[0] > most[0] or found[1] > most[1] else verdict.lost).append(text)


def _knows_the_truth(character: Character, memory: Memory, outcome: Outcome, verdict: Verdict) -> None:
    last = scenes(character)[-1]
    if last.state != "here" or last.person is None:
        return
    seen, baseline = memory.known.get("seen"), memory.known.get("baseline")
    if seen is None:
        verdict.lost.append(f"{character.id}: is in the directory, and nobody looked")
        return
    unsteady = outcome.history.theme.unsteady
    if differs := _differences(last.person, seen, unsteady):
        verdict.lost.append(f"{character.id}: last seen with another {', '.join(differs)}")
    elif memory.waits_for_a_word:
        # Neither a rehearsal nor a hold is the decision.
        return
    elif stretches(character, outcome.ended_at)[-1].how != ALONE and (differs := _differences(last.person, baseline or {}, unsteady)):
        verdict.lost.append(f"{character.id}: last decided with another {', '.join(differs)}")


def _differences(person: Person, document: dict[str, Any], unsteady: frozenset[str]) -> list[str]:
    differs = [name for name in _FIELDS if document.get(name) != getattr(person, name)]
    if person.groups - unsteady != set(document.get("groups", ())) - unsteady:
        differs.append("groups")
    manager = (document.get("manager") or {}).get("id", "")
    if manager != (person.manager.id if person.manager else ""):
        differs.append("manager")
    return differs


def _judge_run(outcome: Outcome, identity: str, memory: Memory, run: dict[str, Any], verdict: Verdict, explained: set[str]) -> None:
    status, workflow = run["status"], run["workflow"]
    name = f"{identity}: {run['id']}"
    if run["mode"] == "shadow":
        _judge_rehearsal(outcome, name, memory, run, verdict)
        return
    if status not in ("verified", "superseded") and not _is_for_a_human(outcome, memory, run):
        verdict.lost.append(f"{name} ended {status}: {run.get('reason', '')}")
    if status == "verified":
        for step in memory.steps.get(run["seq"], []):
            # The question is decided: a note about it that was certainly not written needs not be.
            beside = step["asks"] == "AddNote" and step["state"] == "abandoned" and step["name"].startswith("get the approval")
            if step["asks"] in EFFECTS and not beside and (step["state"] != "done" or step["verified"] is not True):
                verdict.lost.append(f"{name} is verified, and its step {step['name']!r} is {step['state']}, verified {step['verified']}")
    openings = [step for step in memory.steps.get(run["seq"], []) if step["asks"] == "OpenTicket"]
    if not openings and status == "verified" and workflow in ("joiner", "leaver"):
        verdict.lost.append(f"{name} is verified and opened no ticket")
    for opening in openings:
        _judge_opening(outcome, identity, memory, run, opening, verdict, explained)


def _is_for_a_human(outcome: Outcome, memory: Memory, run: dict[str, Any]) -> bool:
    """It failed because of an agent made by hand with an address that the person had before: whose it is by now only a person can say."""
    troubles = [step.get("trouble") or "" for step in memory.steps.get(run["seq"], []) if step["state"] == "failed"]
    excuses = tuple(f"agent {agent} has an address that this person had before" for agent in outcome.agents_before)
    return bool(troubles) and all(any(excuse in trouble for excuse in excuses) for trouble in troubles)


def _judge_rehearsal(outcome: Outcome, name: str, memory: Memory, run: dict[str, Any], verdict: Verdict) -> None:
    if run["status"] != "planned":
        verdict.lost.append(f"{name} is a rehearsal and ended {run['status']}: {run.get('reason', '')}")
    # What is done about a membership has one key, whichever run does it.
    acted = {step["key"] for one in memory.live for step in memory.steps.get(one["seq"], [])}
    keys = {step["key"] for step in memory.steps.get(run["seq"], []) if step["key"]} - acted
    for landing in outcome.landings:
        if landing.key in keys and landing.asks != "FindUser":
            verdict.wrong.append(f"{name} is a rehearsal, and its {landing.asks} reached the desk")


def _judge_opening(
    outcome: Outcome, identity: str, memory: Memory, run: dict[str, Any], opening: dict[str, Any], verdict: Verdict, explained: set[str]
) -> None:
    name = f"{identity}: {run['id']}"
    tickets = [ticket for ticket in outcome.desk.tickets if ticket.key == opening["key"]]
    explained |= {ticket.id for ticket in tickets}
    ours = (opening.get("result") or {}).get("id") if opening["state"] == "done" else None
    if opening["state"] == "done" and ours not in {ticket.id for ticket in tickets}:
        verdict.lost.append(f"{name}: its ticket {ours} is not on the desk")
    kind = KINDS[run["workflow"]]
    for ticket in tickets:
        if ticket.kind != kind or f"Directory id: {identity}" not in ticket.details:
            verdict.wrong.append(f"{name}: ticket {ticket.id} is {ticket.kind}, or about somebody else")
        if not _intended_before(outcome, memory, opening["key"], _landed(outcome, ticket.id)):
            verdict.wrong.append(f"{name}: ticket {ticket.id} was opened before the audit said that it would be")
    # The lowest id is ours, whichever was made first.
    extra = [ticket for ticket in tickets if ticket.id != min((one.id for one in tickets), key=int)] if ours else tickets
    for ticket in extra:
        found_and_marked(outcome, memory, name, ticket.id, opening["key"], verdict)


def _landed(outcome: Outcome, ticket_id: str) -> float:
    return next(one.at for one in outcome.landings if one.asks == "OpenTicket" and one.id == ticket_id)


def _intended_before(outcome: Outcome, memory: Memory, key: str, landed: float) -> bool:
    entries = [one for one in memory.audit if one["action"] == "step intended" and one["detail"].get("key") == key]
    if any(fault.kind == f.CLOCK_JUMP for fault in outcome.history.faults):
        return bool(entries)
    # Seconds are counted in floats here, in microseconds there.
    then = outcome.start + timedelta(seconds=landed + 0.001)
    return any(moment(one["at"]) <= then for one in entries)
