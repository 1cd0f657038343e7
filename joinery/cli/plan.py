"""``joinery plan``: what would happen to one person, with every text, and why. Reads what is stored and asks nobody."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joinery.cli.exits import NOT_WELL, WELL, finding
from joinery.cli.orders import run_lines
from joinery.cli.reports import say_who_fits
from joinery.cli.stored import Stored, stored
from joinery.cli.timeline import name_of
from joinery.cli.up import say
from joinery.domain.moments import aware, to_text
from joinery.domain.person import Absence, Manager, Person, Sighting
from joinery.engine import codec
from joinery.planning import Plan

#: What may be imagined otherwise; the names are those of the fields.
FIELDS = (
    "display_name",
    "given_name",
    "surname",
    "mail",
    "user_principal_name",
    "department",
    "job_title",
    "manager",
    "company_name",
    "office_location",
    "employee_id",
    "employee_type",
    "user_type",
    "hire_date",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Imagined:
    """What is to be otherwise."""

    fields: tuple[str, ...] = ()
    add_groups: tuple[str, ...] = ()
    remove_groups: tuple[str, ...] = ()
    disable: bool = False
    enable: bool = False
    delete: bool = False


def plan(data: str | None, policy: str | None, who: str, imagined: Imagined, *, as_json: bool) -> int:
    """Print the plan for one person as they would be. Raises ConfigurationError for a field, group or flag that makes no sense."""
    with stored(data, policy=policy) as opened:
        found = opened.reads.find(who.strip())
        if len(found) != 1:
            say_who_fits(who, found)
            return NOT_WELL
        known = found[0]
        if known.person is None:
            say_who_fits(who, ())
            return NOT_WELL
        sighting, changes = imagine(opened, known.person, imagined)
        planned = opened.planner().plan(known.partition, sighting)
        rules = opened.in_force()
        waits = rules != opened.policy()
        paused = opened.pauses.read()
        if as_json:
            say(json.dumps(_as_document(known.person.id, changes, planned), indent=2, ensure_ascii=False))
            return WELL
        say(f"{name_of(known)} ({known.person.id}), as last seen{'' if not changes else ', but:'}")
        for change in changes:
            say(f"  {change}")
        say(f"\nWhy: {planned.why}")
        if planned.believed_at is not None:
            say(f"Believed at {planned.believed_at:%Y-%m-%d %H:%M:%S} UTC, if it lasts until then.")
        for fact, why in planned.recorded:
            say(f"{fact.kind}: only recorded ({why})")
        for run in planned.runs:
            say("")
            for line in run_lines(run, rules):
                say(line)
            if (reason := paused.reason_for(run.workflow)) is not None:
                say(f"  paused now: {reason}")
        if not planned.runs:
            say("Nothing would start.")
        if waits:
            say("\nAn edit of the policy waits and is not part of this: `joinery policy diff`.")
    return WELL


def imagine(opened: Stored, person: Person, imagined: Imagined) -> tuple[Sighting, list[str]]:
    """The person as they would be, and each difference as a line. Raises ConfigurationError."""
    if imagined.delete:
        return Absence(id=person.id, soft_deleted=True), ["deleted in the directory"]
    changes: list[str] = []
    now = person
    for text in imagined.fields:
        name, equals, value = text.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or name not in FIELDS:
            raise finding("--set", f"is {text!r}", f"Use FIELD=VALUE, FIELD one of: {', '.join(FIELDS)}.")
        now = now.evolve(**{name: _value(opened, name, value)})
        changes.append(f"{name}: {_shown(getattr(person, name))} -> {value or 'not set'}")
    watched = opened.policy().watched_groups
    for group in (*imagined.add_groups, *imagined.remove_groups):
        if group not in watched:
            raise finding("--add-group, --remove-group", f"{group!r} is in no rule of the policy", f"Use one of: {', '.join(watched)}.")
    now = now.evolve(groups=(now.groups | set(imagined.add_groups)) - set(imagined.remove_groups))
    changes += [f"in {group}" for group in imagined.add_groups] + [f"not in {group}" for group in imagined.remove_groups]
    if imagined.disable and imagined.enable:
        raise finding("joinery plan", "cannot both enable and disable", "Use one of them.")
    if imagined.disable or imagined.enable:
        now = now.evolve(account_enabled=imagined.enable)
        changes.append("enabled" if imagined.enable else "disabled")
    return now, changes


def _value(opened: Stored, name: str, value: str) -> Any:
    if name == "hire_date":
        try:
            return aware(datetime.fromisoformat(f"{value}T00:00:00+00:00" if "T" not in value else value)) if value else None
        except ValueError:
            raise finding("--set hire_date", f"is {value!r}", "Use a date: 2026-12-01.") from None
    if name != "manager":
        return value
    if not value:
        return None
    found = [known.person for known in opened.reads.find(value) if known.person is not None]
    if len(found) != 1:
        raise finding("--set manager", f"{value!r} is known as {len(found)} people", "Give the directory id or the mail of one.")
    boss = found[0]
    return Manager(id=boss.id, display_name=boss.display_name, mail=boss.mail, user_principal_name=boss.user_principal_name)


def _shown(value: Any) -> str:
    if isinstance(value, Manager):
        return value.display_name or value.id
    return str(value) if value else "not set"


def _as_document(person: str, changes: list[str], planned: Plan) -> dict[str, Any]:
    runs = [
        {
            "workflow": run.workflow,
            "fact": codec.tag(run.fact),
            "verdict": str(run.verdict),
            "why": run.why,
            "meets": dict(run.meets or {}),
            "steps": [
                {
                    "name": step.name,
                    "asks": step.asks,
                    "order": codec.to_document(step.order) if step.order is not None else None,
                    "result": codec.to_document(step.result) if codec.is_tagged(step.result) else step.result,
                }
                for step in run.steps
            ],
            "waits": [{"until": to_text(wait.until), "for": wait.what} for wait in run.waits],
            "trouble": run.trouble,
        }
        for run in planned.runs
    ]
    return {
        "person": person,
        "imagined": changes,
        "why": planned.why,
        "believed_at": to_text(planned.believed_at) if planned.believed_at else None,
        "recorded": [{"fact": codec.tag(fact), "why": why} for fact, why in planned.recorded],
        "runs": runs,
    }
