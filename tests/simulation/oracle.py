"""The oracle: what the desk and the journals must hold, from HR's story and what the network did. It trusts no code of the engine.

Lost: something that had to be done was not. Wrong: something was done that was not to be done, or left in a state it may not be
in. Duplicated: something was done twice. A write that landed after its deadline may leave one object too many, which must then
have been found and marked within 20 minutes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from joinery.domain.person import Person
from tests.simulation import faults as f
from tests.simulation.expected import ACTIVE, ALONE, JOINER, Stand, is_left_alone, possible_ends, stretches
from tests.simulation.oracle_roles import asked_for, complaints
from tests.simulation.story import MINUTE, Character, scenes

if TYPE_CHECKING:
    from tests.simulation.world import Outcome

#: What landed after every deadline is found and marked within so many seconds.
FOUND_WITHIN = 20 * MINUTE
#: Fields of a person that the memory of the last sighting must share with the directory.
_FIELDS = ("account_enabled", "department", "display_name", "employee_id", "mail", "user_principal_name", "user_type")


#: Workflow -> the kind of the tickets that it opens.
KINDS = {"joiner": "onboarding", "leaver": "offboarding", "mover": "move", "role_change": "role"}
#: What a step may ask for that has to be read back.
EFFECTS = {
    "EnsureUser", "FindUser", "OpenTicket", "AddNote", "DeactivateUser", "RetireAgent",
    "UpdateUser", "EnsureApprover", "EnsureAgent", "SetRoles", "AskApproval", "CloseTicket",
}  # fmt: skip


@dataclass(kw_only=True, slots=True)
class Verdict:
    """What is not as it must be, in sentences; and what was tolerated."""

    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    #: Late writes that were found and marked in time.
    late_twins: int = 0
    #: People about whom only one end is possible, and all people.
    certain: int = 0
    people: int = 0

    @property
    def sentences(self) -> list[str]:
        """All complaints."""
        return [
            *(f"lost: {text}" for text in self.lost),
            *(f"wrong: {text}" for text in self.wrong),
            *(f"duplicated: {text}" for text in self.duplicated),
        ]

    @property
    def good(self) -> bool:
        """Nothing to complain about."""
        return not (self.lost or self.wrong or self.duplicated)


@dataclass(slots=True)
class _Memory:
    """What the store holds about one person, unpacked."""

    head: dict[str, Any]
    known: dict[str, Any]
    runs: list[dict[str, Any]]
    #: Run seq -> its steps.
    steps: dict[int, list[dict[str, Any]]]
    audit: list[dict[str, Any]]
    open_rows: list[str]


def judge(outcome: Outcome) -> Verdict:
    """Compare everything."""
    verdict = Verdict()
    _nothing_left_behind(outcome, verdict)
    for name, rows in outcome.partitions.items():
        _chain_is_whole(name, _memory(rows), verdict)
    tickets_explained: set[str] = set()
    for character in outcome.history.story.people:
        _judge_person(outcome, character, verdict, tickets_explained)
    for ticket in outcome.desk.tickets:
        if ticket.id not in tickets_explained and ticket.kind != "alert":
            verdict.wrong.append(f"ticket {ticket.id} ({ticket.kind}, {ticket.key}) belongs to no run")
    _notes_once(outcome, verdict)
    return verdict


def _memory(rows: dict[str, Any]) -> _Memory:
    runs: list[dict[str, Any]] = []
    steps: dict[int, list[dict[str, Any]]] = {}
    open_rows = []
    for name in sorted(rows):
        kind, _, rest = name.removeprefix("~").partition(".")
        if kind in ("run", "closed"):
            seq, _, step = rest.partition(".")
            (steps.setdefault(int(seq), []) if step else runs).append(rows[name])
        if name not in ("head", "known") and not name.startswith("~"):
            open_rows.append(name)
    audit = [rows[name] for name in sorted(rows) if name.startswith("~audit.")]
    return _Memory(rows.get("head", {}), rows.get("known", {}), sorted(runs, key=lambda run: run["seq"]), steps, audit, open_rows)


# --- the whole ---


def _nothing_left_behind(outcome: Outcome, verdict: Verdict) -> None:
    if not outcome.rested:
        verdict.lost.append("it never came to rest")
    # Whoever is none of our business any more may have a run that is held, and that asks again every hour.
    held = {f"local|person:{one.id}" for one in outcome.history.story.people if _is_alone(outcome, one)}
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


def _chain_is_whole(name: str, memory: _Memory, verdict: Verdict) -> None:
    before = ""
    for expected, record in enumerate(memory.audit, start=1):
        content = {key: value for key, value in record.items() if key != "hash"}
        content["at"] = _moment(record["at"]).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if record["seq"] != expected or record["prev"] != before or record["hash"] != hashlib.sha256(text.encode()).hexdigest():
            verdict.wrong.append(f"{name}: audit entry {expected} does not fit its chain")
            return
        before = record["hash"]
    if memory.head and (memory.head.get("audit_hash", ""), memory.head.get("audit_seq", 0)) != (before, len(memory.audit)):
        verdict.wrong.append(f"{name}: the head names another last audit entry")


def _notes_once(outcome: Outcome, verdict: Verdict) -> None:
    late = {landing.key for landing in outcome.landings if landing.late}
    for key, count in Counter(note.key for note in outcome.desk.notes).items():
        if count > 1 and key not in late:
            verdict.duplicated.append(f"note {key} stands {count} times")


# --- one person ---


def _judge_person(outcome: Outcome, character: Character, verdict: Verdict, explained: set[str]) -> None:
    identity = character.id
    memory = _memory(outcome.partitions.get(f"local|person:{identity}", {}))
    ends = possible_ends(character, outcome.history.faults, outcome.ended_at)
    verdict.people += 1
    verdict.certain += len({(end.joins, end.leaves, end.stage) for end in ends}) == 1
    # Held, or not even that yet: it waits for an answer, and is held when that is due.
    held = _is_alone(outcome, character) and all(run["waiting_for"] for run in memory.runs if run["status"] == "open")
    if memory.open_rows and not held:
        verdict.lost.append(f"{identity}: still open: {', '.join(memory.open_rows)}")
    _decided(identity, memory, ends, verdict)
    _knows_the_truth(character, memory, outcome, verdict)
    _flaps_are_doubted(outcome, identity, memory, verdict)
    by_hand = {user.id for user in outcome.desk.users if user.directory_id == identity}
    if not any(end.joins + end.leaves for end in ends):
        comings = [ticket for ticket in outcome.desk.tickets if ticket.kind in ("onboarding", "offboarding")]
        if any(f"Directory id: {identity}" in ticket.details for ticket in comings):
            verdict.wrong.append(f"{identity}: there is a ticket, and nothing had happened that asks for one")
        if by_hand - outcome.users_before.keys() and not asked_for(character):
            verdict.wrong.append(f"{identity}: there is a user, and nothing had happened that asks for one")
    for run in memory.runs:
        if run["status"] == "open" and held:
            # What was asked for before they were none of our business is looked up when they are again.
            keys = {step["key"] for step in memory.steps.get(run["seq"], []) if step["key"]}
            explained |= {ticket.id for ticket in outcome.desk.tickets if ticket.key in keys}
            continue
        _judge_run(outcome, identity, memory, run, verdict, explained)
    _judge_desk(outcome, character, memory, verdict)


def _flaps_are_doubted(outcome: Outcome, identity: str, memory: _Memory, verdict: Verdict) -> None:
    """What reverses a decision that is hardly older than a minute was believed at once."""
    if any(fault.kind == f.CLOCK_JUMP for fault in outcome.history.faults):
        return
    last: dict[str, tuple[str, datetime]] = {}
    for entry in memory.audit:
        fact = entry["detail"].get("fact", {}) if entry["action"] == "fact" else {}
        for turn in ("gained", "lost"):
            for group in fact.get(turn, ()) if fact.get("is") == "RolesChanged" else ():
                if turn == "lost" and group in fact["gained"]:
                    # An earlier fact, whose run had not ended, goes on in this one.
                    continue
                before, at = last.get(group, (turn, _moment(entry["at"])))
                if before != turn and _moment(entry["at"]) - at < timedelta(seconds=55):
                    verdict.wrong.append(f"{identity}: {group} was {before} and {turn} within a minute, and both were believed")
                last[group] = (turn, _moment(entry["at"]))


def _decided(identity: str, memory: _Memory, ends: set[Stand], verdict: Verdict) -> None:
    runs = Counter(run["workflow"] for run in memory.runs if run["mode"] == "live")
    stage = memory.known.get("episode", {}).get("stage", "none").replace("prehire", "none")
    found = (runs["joiner"], runs["leaver"], stage)
    wanted = {(end.joins, end.leaves, end.stage) for end in ends}
    if found in wanted:
        return
    text = f"{identity}: (joiners, leavers, stage) {found} is none of {sorted(wanted)}"
    most = tuple(max(one[number] for one in wanted) for number in (0, 1))
    (verdict.wrong if found[0] > most[0] or found[1] > most[1] else verdict.lost).append(text)


def _knows_the_truth(character: Character, memory: _Memory, outcome: Outcome, verdict: Verdict) -> None:
    last = scenes(character)[-1]
    if last.state != "here" or last.person is None:
        return
    seen, baseline = memory.known.get("seen"), memory.known.get("baseline")
    if seen is None:
        verdict.lost.append(f"{character.id}: is in the directory, and nobody looked")
        return
    if differs := _differences(last.person, seen):
        verdict.lost.append(f"{character.id}: last seen with another {', '.join(differs)}")
    elif stretches(character, outcome.ended_at)[-1].how != ALONE and (differs := _differences(last.person, baseline or {})):
        verdict.lost.append(f"{character.id}: last decided with another {', '.join(differs)}")


def _differences(person: Person, document: dict[str, Any]) -> list[str]:
    differs = [name for name in _FIELDS if document.get(name) != getattr(person, name)]
    if sorted(person.groups) != sorted(document.get("groups", ())):
        differs.append("groups")
    manager = (document.get("manager") or {}).get("id", "")
    if manager != (person.manager.id if person.manager else ""):
        differs.append("manager")
    return differs


def _judge_run(outcome: Outcome, identity: str, memory: _Memory, run: dict[str, Any], verdict: Verdict, explained: set[str]) -> None:
    status, workflow = run["status"], run["workflow"]
    name = f"{identity}: {run['id']}"
    if status not in ("verified", "superseded"):
        verdict.lost.append(f"{name} ended {status}: {run.get('reason', '')}")
    if status == "verified":
        steps = memory.steps.get(run["seq"], [])
        questions = tuple(f"{step['name']}: " for step in steps if step["asks"] == "approval" and step["state"] == "done")
        for step in steps:
            # Whoever was asked has answered: a note on the way to the answer that certainly was not written need not be.
            needless = step["asks"] == "AddNote" and step["state"] == "abandoned" and step["name"].startswith(questions)
            if step["asks"] in EFFECTS and not needless and (step["state"] != "done" or step["verified"] is not True):
                verdict.lost.append(f"{name} is verified, and its step {step['name']!r} is {step['state']}, verified {step['verified']}")
    openings = [step for step in memory.steps.get(run["seq"], []) if step["asks"] == "OpenTicket"]
    if not openings and status == "verified" and workflow in ("joiner", "leaver"):
        verdict.lost.append(f"{name} is verified and opened no ticket")
    for opening in openings:
        _judge_opening(outcome, identity, memory, run, opening, verdict, explained)


def _judge_opening(
    outcome: Outcome, identity: str, memory: _Memory, run: dict[str, Any], opening: dict[str, Any], verdict: Verdict, explained: set[str]
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
        _found_and_marked(outcome, memory, name, ticket.id, opening["key"], verdict)


def _landed(outcome: Outcome, ticket_id: str) -> float:
    return next(one.at for one in outcome.landings if one.asks == "OpenTicket" and one.id == ticket_id)


def _intended_before(outcome: Outcome, memory: _Memory, key: str, landed: float) -> bool:
    entries = [one for one in memory.audit if one["action"] == "step intended" and one["detail"].get("key") == key]
    if any(fault.kind == f.CLOCK_JUMP for fault in outcome.history.faults):
        return bool(entries)
    # Seconds are counted in floats here, in microseconds there.
    moment = outcome.start + timedelta(seconds=landed + 0.001)
    return any(_moment(one["at"]) <= moment for one in entries)


def _found_and_marked(outcome: Outcome, memory: _Memory, name: str, ticket: str, key: str, verdict: Verdict) -> None:
    """One ticket too many is forgiven if a late write brought it, and if it was marked soon."""
    late = [one.at for one in outcome.landings if one.key == key and one.late]
    if not late:
        verdict.duplicated.append(f"{name}: ticket {ticket} is one too many, and no write came late")
        return
    words = ("is a twin of", "after Joinery had given up")
    marks = {note.key for note in outcome.desk.notes if note.ticket_id == ticket and any(word in note.text for word in words)}
    told = [one for one in memory.audit if one["action"] == "twin found" and ticket in one["detail"].get("others", ())]
    refused = any(one["action"] == "alert" and f"the desk refused the note on {ticket}" in one["why"] for one in memory.audit)
    if told and refused and not marks:
        # The ticket takes no notes: whoever reads the alert is told all the same.
        verdict.late_twins += 1
        return
    if not marks and _leapt(outcome, max(late) - FOUND_WITHIN, max(late)):
        # By every clock that the worker has, the time in which it could land was over.
        return
    if not marks or not told:
        verdict.duplicated.append(f"{name}: ticket {ticket} is one too many, landed late, and was not marked")
        return
    marked_at = min(one.at for one in outcome.landings if one.key in marks)
    latest = max(late) + FOUND_WITHIN + _hindered(outcome, max(late))
    if marked_at > latest:
        verdict.duplicated.append(f"{name}: ticket {ticket} landed at {max(late):.0f} s and was marked only at {marked_at:.0f} s")
        return
    verdict.late_twins += 1


def _leapt(outcome: Outcome, since: float, until: float) -> bool:
    """Whether the worker's clock leapt ahead in that time: a jump began that is ahead, or one ended that is behind."""
    jumps = [fault for fault in outcome.history.faults if fault.kind == f.CLOCK_JUMP]
    return any(since <= (fault.at if fault.much > 0 else fault.end) <= until for fault in jumps)


def _hindered(outcome: Outcome, since: float) -> float:
    """How long after a landing nobody could have marked it: what stands in the way, and the longest pause between two tries."""
    hinders = f.BLINDING | {f.DESK_DOWN, f.DESK_CUTS, f.DESK_THROTTLES, f.DESK_REFUSES, f.PAUSED}
    ways = [fault for fault in outcome.history.faults if fault.kind in hinders and fault.end >= since - 40 * MINUTE]
    near = [fault for fault in ways if fault.at <= since + FOUND_WITHIN + 60 * MINUTE]
    return sum(fault.lasts + fault.much + 40 * MINUTE for fault in near)


# --- the desk ---


def _judge_desk(outcome: Outcome, character: Character, memory: _Memory, verdict: Verdict) -> None:
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
    excused = bool(lates) and _told_after(outcome, memory, lates)
    active = [user for user in users if user.active]
    # Whoever moves, or is to have a role, becomes a user; and an agent, whose roles change.
    others = [run["seq"] for run in memory.runs if run["mode"] == "live" and run["workflow"] in ("mover", "role_change", "renamer")]
    excused = excused or bool(live and others and max(others) > live[-1]["seq"])
    last = live[-1] if live else None
    if last is None and others:
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
    told = stretches(character, outcome.ended_at)
    settled = told[-1].how in (JOINER, ACTIVE)
    for sort, sentence in complaints(outcome, character, agents, settled=settled):
        getattr(verdict, sort).append(sentence)


def _told_after(outcome: Outcome, memory: _Memory, landed: list[float]) -> bool:
    """Somebody was told within 20 minutes of one of these landings."""
    alerts = [(_moment(one["at"]) - outcome.start).total_seconds() for one in memory.audit if one["action"] == "alert"]
    return any(at <= told <= at + FOUND_WITHIN + _hindered(outcome, at) for at in landed for told in alerts)


def _leave_is_told(outcome: Outcome, identity: str, memory: _Memory, live: list[dict[str, Any]], verdict: Verdict) -> None:
    """Whoever works on the onboarding of somebody who left meanwhile must read it on the ticket."""
    for run, following in itertools.pairwise(live):
        if (run["workflow"], run["status"]) != ("joiner", "superseded") or following["status"] != "verified":
            continue
        for ticket in _tickets_of(memory, run):
            if not any(note.ticket_id == ticket and "has left before" in note.text for note in outcome.desk.notes):
                verdict.lost.append(f"{identity}: ticket {ticket} of the overtaken {run['id']} does not say that the person left")


def _tickets_of(memory: _Memory, run: dict[str, Any]) -> Iterator[str]:
    for step in memory.steps.get(run["seq"], []):
        if step["asks"] == "OpenTicket" and step["state"] == "done":
            yield step["result"]["id"]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
