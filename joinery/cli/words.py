"""The audit in words: one line per thing that happened, for somebody who watches or reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from joinery.engine.audit import AuditRecord


class Tone(StrEnum):
    """What a line means for whoever watches."""

    NEWS = "news"
    DONE = "done"
    PROVEN = "proven"
    WAITING = "waiting"
    CAREFUL = "careful"
    UNTOUCHED = "untouched"
    WRONG = "wrong"


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One line."""

    at: datetime
    who: str
    text: str
    tone: Tone


_LEFT = {
    "disabled": "has left: the account was disabled",
    "soft-deleted": "has left: the account was deleted",
    "gone": "has left: the account is gone",
}
#: Said at every look, or only the announcement of the next line.
_NOISE = frozenset({"nothing", "looked", "step intended", "approver sought"})
#: What says the same as the record before it, and what is added to that one's line.
_SAID_TWICE = {
    ("held", "alert"): "; somebody is alerted",
    ("approval approved", "approval decided"): "",
    ("approval refused", "approval decided"): "",
}


def tell(records: Iterable[AuditRecord], who: str) -> list[Told]:
    """The records of one person, oldest first, as lines; a step that was done and read back at once is one line."""
    lines: list[Told] = []
    #: Step done -> (where its line stands, what was done), while its read-back may still follow.
    open_steps: dict[tuple[str, str], tuple[int, str]] = {}
    fact_before, action_before = False, ""
    for record in records:
        if record.action in _NOISE:
            continue
        pair, action_before = (action_before, record.action), record.action
        if lines and pair in _SAID_TWICE:
            lines[-1] = replace(lines[-1], text=f"{lines[-1].text}{_SAID_TWICE[pair]}")
            continue
        key = (record.run, record.step)
        if record.action == "step verified" and key in open_steps:
            at, text = open_steps.pop(key)
            lines[at] = Told(at=record.at, who=who, text=f"{text}, read back", tone=Tone.DONE)
            continue
        text, tone = words_for(record)
        if record.action == "run started" and lines and fact_before:
            lines[-1] = Told(at=record.at, who=who, text=f"{lines[-1].text}; {text}", tone=tone)
            fact_before = False
            continue
        fact_before = record.action == "fact"
        if record.action == "step done":
            open_steps[key] = (len(lines), text)
        lines.append(Told(at=record.at, who=who, text=text, tone=tone))
    return lines


def counted(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def words_for(record: AuditRecord) -> tuple[str, Tone]:
    """One record as a sentence, and what it means."""
    step, why = record.step, record.why
    match record.action:
        case "fact":
            return _fact(record)
        case "run started":
            return f"{record.detail.get('workflow', 'a run')} begins", Tone.NEWS
        case "step done":
            return f"{step}: {_result(record.detail.get('result') or {})}", Tone.DONE
        case "step verified":
            return f"{step}: read back" + (f", {why}" if why else ""), Tone.DONE
        case "step adopted":
            return f"{step}: it is there already, and is not made again", Tone.CAREFUL
        case "step unknown":
            return f"{step}: no answer, it may have happened; looking before anything is repeated", Tone.CAREFUL
        case "step not found":
            return f"{step}: it did not happen; doing it now", Tone.CAREFUL
        case "step overtaken":
            return f"{step}: {why}", Tone.CAREFUL
        case "step abandoned":
            return f"{step}: did not happen, and must not any more", Tone.CAREFUL
        case "step delayed":
            return f"{step}: not now, will be tried again ({why})", Tone.CAREFUL
        case "step unverified":
            return f"{step}: answered with success, but {why}", Tone.WRONG
        case "step failed":
            return f"{step}: given up ({why})", Tone.WRONG
        case "alert":
            return f"alert: {step}: {why}" if step else f"alert: {why}", Tone.WRONG
        case "run verified":
            return f"{_workflow(record)} is done: {_all_steps(record)} read back", Tone.PROVEN
        case "run planned":
            return f"{_workflow(record)} was rehearsed in shadow; nothing outside was touched", Tone.WAITING
        case "run unverified":
            return f"{_workflow(record)} ended unverified", Tone.WRONG
        case "run failed":
            return f"{_workflow(record)} failed: {why}", Tone.WRONG
        case "run overtaken":
            return f"{_workflow(record)} is overtaken; what it began is settled first", Tone.CAREFUL
        case "run updated":
            return f"{_workflow(record)} {why}", Tone.NEWS
        case "run reopened":
            return f"{_workflow(record)} goes on: {why}", Tone.NEWS
        case "run not reopened":
            return f"{_workflow(record)} cannot go on: {why}", Tone.CAREFUL
        case "run superseded":
            return f"{_workflow(record)} was overtaken and is closed", Tone.CAREFUL
        case "left alone":
            return f"left alone, {why}", Tone.UNTOUCHED
        case "waiting":
            return why, Tone.WAITING
        case "twin check":
            return f"{step}: looked for a twin, {why}", Tone.WAITING
        case "held":
            return f"held by the breaker: {why}", Tone.UNTOUCHED
        case "hold ended" | "hold discarded":
            return f"no longer held: {why}", Tone.NEWS
        case "approval asked":
            users = ", ".join(map(str, record.detail.get("users") or ()))
            return f"{step}: user {users} is asked, and nothing is given before the answer", Tone.WAITING
        case "approval approved" | "approval refused" | "approval decided":
            return f"{step}: {why}", Tone.NEWS
        case "approval not counted" | "approval too late":
            return f"{step}: {why}", Tone.CAREFUL
        case "approval reminder":
            return f"{step}: nobody has answered yet, and whoever is asked is reminded", Tone.WAITING
        case "approval escalated":
            more = "the next manager up is asked too" if record.detail.get("to") else "there is no other manager to ask"
            return f"{step}: nobody has answered yet; {more}", Tone.WAITING
        case "role decided":
            return f"the role of {why}", Tone.NEWS
        case "late read":
            return f"{step}: looked once more, {why}", Tone.WAITING
        case "twin found":
            return f"{step}: {len(record.detail.get('others') or ())} more with the same key, marked", Tone.WRONG
        case action:
            return ": ".join(part for part in (action, step, why) if part), Tone.NEWS


def _all_steps(record: AuditRecord) -> str:
    number = record.detail.get("steps", 0)
    return "its one step" if number == 1 else f"all {number} steps"


def _workflow(record: AuditRecord) -> str:
    return record.run.partition("-")[0] or "a run"


def _fact(record: AuditRecord) -> tuple[str, Tone]:
    fact: dict[str, Any] = record.detail.get("fact") or {}
    # Where a run starts, the proof of what kind of identity it is stands beside the fact.
    ending = "" if "identity" in record.detail else f"; recorded, nothing starts ({record.why})"
    fields = ", ".join(str(name).replace("_", " ") for name in fact.get("fields") or ())
    match fact.get("is"):
        case "Joined":
            text = "has joined"
        case "Left":
            text = _LEFT.get(str(fact.get("how")), "has left")
        case "Returned":
            text = "is back after leaving"
        case "Completed":
            text = f"{fields} filled in soon after joining: that completes the onboarding, it is no move"
        case "Moved":
            text = f"moved ({fields})"
        case "Renamed":
            text = f"is called something else now ({fields})"
        case "RolesChanged":
            gained, lost = (", ".join(map(str, fact.get(name) or ())) for name in ("gained", "lost"))
            text = "roles changed: " + " and ".join(
                part for part in (f"gained {gained}" if gained else "", f"lost {lost}" if lost else "") if part
            )
        case other:
            text = str(other)
    return text + ending, Tone.NEWS


def _result(result: dict[str, Any]) -> str:
    """What came of a step; its kind shows in its members."""
    how = str(result.get("how") or "")
    if "roles_removed" in result:
        agents = ", ".join(map(str, result.get("ids") or ()))
        taken = f" disabled, {counted(result['roles_removed'], 'role')} taken away" if result["roles_removed"] else ""
        return f"agent {agents}{taken}" if agents else "there is no agent"
    if "foreign" in result:
        return (
            f"agent {result.get('id')} has {', '.join(result.get('roles') or ()) or 'no role'}" if result.get("id") else "there is no agent"
        )
    if "number" in result:
        return f"approval on ticket {result.get('ticket_id')} begun"
    if "ticket_id" in result:
        return f"note on ticket {result['ticket_id']}"
    if result.get("id") is None:
        return "there is none"
    if "url" in result:
        return f"ticket {result['id']} {how}".rstrip()
    return f"user {result['id']} {how}".rstrip()
