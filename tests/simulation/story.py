"""HR's story: who comes, changes, goes and comes back, and when; made from a seed, and told without any engine.

Times are seconds since the first morning. What the directory shows at any moment follows from the acts alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from joinery.domain.person import Manager, Person

JOINERS, PROTECTED = "ITSM-NewJoiner", "ITSM-BreakGlass"
ROLES = ("ITSM-Admins", "ITSM-ChangeManagers", "ITSM-ServiceDesk")
GROUPS = (JOINERS, PROTECTED, *ROLES)

#: Everybody whom the story names as a manager.
MANAGERS = tuple(f"m{number}" for number in range(1, 5))

DEPARTMENTS = ("Finance", "Sales", "Legal", "Research")
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """One thing that HR or the directory's administrators do."""

    at: float
    #: create, change, enter, exit, delete (can be restored), restore, purge (for good).
    what: str
    #: For create and change: the fields with their new values.
    fields: tuple[tuple[str, Any], ...] = ()
    #: For enter and exit; for create the groups at birth, separated by commas.
    group: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Character:
    """Somebody, or something, that has an account; with all that happens to it."""

    id: str
    #: What is on the desk before the story begins: a user linked to the account, one without a link, with or without an agent.
    desk: str = ""
    acts: tuple[Act, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """Everybody, and when the last act is over."""

    people: tuple[Character, ...]
    length: float


@dataclass(frozen=True, slots=True)
class Scene:
    """What is the case about one person from ``start`` on: ``unborn``, ``here`` (with how), ``deleted``, ``gone``."""

    start: float
    state: str
    person: Person | None = None


def scenes(character: Character) -> list[Scene]:
    """The person's true history, one scene per act, the earliest first; it begins before anything happened."""
    found = [Scene(float("-inf"), "unborn")]
    for act in character.acts:
        found.append(_after(found[-1], act, character.id))
    return found


def _after(scene: Scene, act: Act, identity: str) -> Scene:
    person = scene.person
    match act.what:
        case "create":
            groups = frozenset(filter(None, act.group.split(",")))
            return Scene(act.at, "here", Person(id=identity, groups=groups, **dict(act.fields)))
        case "delete":
            return Scene(act.at, "deleted", person)
        case "purge":
            return Scene(act.at, "gone", person)
        case "restore":
            return Scene(act.at, "here", person)
        case "change":
            person = replace(person, **dict(act.fields)) if person else None
        case "enter":
            person = replace(person, groups=person.groups | {act.group}) if person else None
        case "exit":
            person = replace(person, groups=person.groups - {act.group}) if person else None
    return Scene(act.at, scene.state, person)


def invent(rng: random.Random, people: int) -> Story:
    """A story about so many people, over some hours or up to three days."""
    length = rng.choice((4 * HOUR, 12 * HOUR, DAY, 3 * DAY))
    # A burst: a whole intake on one morning, in the same minute.
    burst = rng.uniform(0, length / 2)
    characters = tuple(_invent(rng, f"p{number:02d}", length, burst) for number in range(people))
    return Story(people=characters, length=max([length, *(act.at for one in characters for act in one.acts)]))


def _invent(rng: random.Random, identity: str, length: float, burst: float) -> Character:
    kind = rng.choices(("member", "late", "guest", "service", "protected", "unknown", "shared"), (70, 8, 5, 4, 5, 5, 3))[0]
    staff = rng.random() < 0.3
    desk = rng.choice(("", "user", "stranger", "agent")) if staff and kind == "member" else ""
    fields = _birth(rng, identity, kind)
    groups = [name for name, chance in ((JOINERS, 0.55), *((role, 0.12) for role in ROLES)) if rng.random() < chance]
    if kind == "protected" and "breakglass" not in fields["user_principal_name"]:
        groups.append(PROTECTED)
    born = -1.0 if staff else burst + rng.uniform(0, 60) if rng.random() < 0.4 else rng.uniform(0, length * 0.7)
    create = Act(at=born, what="create", fields=tuple(fields.items()), group=",".join(groups))
    acts = [create]
    scene = _after(Scene(float("-inf"), "unborn"), create, identity)
    at = max(born, 0.0)
    for _ in range(rng.randint(1, 9)):
        at += _pause(rng)
        if at > length or scene.state == "gone":
            break
        for act in _next(rng, scene, at, kind, renames=not desk):
            acts.append(act)
            scene = _after(scene, act, identity)
            at = act.at
    return Character(id=identity, desk=desk, acts=tuple(acts))


def _pause(rng: random.Random) -> float:
    """Long enough to be certain of, mostly; sometimes so short that nobody may notice."""
    shape = rng.random()
    if shape < 0.2:
        return rng.uniform(0.5, 90)
    if shape < 0.45:
        return rng.uniform(90, 20 * MINUTE)
    return rng.uniform(20 * MINUTE, 8 * HOUR)


def _birth(rng: random.Random, identity: str, kind: str) -> dict[str, Any]:
    prefix = {"service": "svc-", "shared": "shared-"}.get(kind, "")
    if kind == "protected" and rng.random() < 0.5:
        prefix = "breakglass-"
    fields: dict[str, Any] = {
        "user_principal_name": f"{prefix}{identity}@contoso.example",
        "mail": f"{prefix}{identity}@contoso.example",
        "display_name": identity.title(),
        "department": rng.choice((*DEPARTMENTS, "")),
        "employee_id": "" if kind in ("late", "unknown", "guest", "service") else f"E-{identity}",
        "user_type": "Guest" if kind == "guest" else "Member",
        "account_enabled": rng.random() < 0.85,
    }
    if rng.random() < 0.5:
        fields["manager"] = manager_of(rng)
    return fields


def manager_of(rng: random.Random) -> Manager:
    """One of those who lead."""
    number = rng.randint(1, 4)
    return Manager(id=f"m{number}", display_name=f"Manager {number}", mail=f"m{number}@contoso.example")


def _next(rng: random.Random, scene: Scene, at: float, kind: str, *, renames: bool) -> Iterator[Act]:
    """One thing that may happen to somebody who is like this; a flap is several in a few seconds."""
    person = scene.person
    if person is None:
        return
    if scene.state == "deleted":
        yield Act(at=at, what=rng.choice(("restore", "restore", "purge")))
        return
    if kind == "late" and not person.employee_id:
        yield Act(at=at, what="change", fields=(("employee_id", f"E-{person.id}"),))
        return
    if not person.account_enabled:
        yield rng.choice(
            (
                Act(at=at, what="change", fields=(("account_enabled", True),)),
                Act(at=at, what="change", fields=(("account_enabled", True),)),
                Act(at=at, what="delete"),
                Act(at=at, what="purge"),
            )
        )
        return
    match rng.choices(
        ("disable", "delete", "purge", "group", "role", "move", "rename", "flap", "protect"), (20, 10, 6, 22, 12, 10, 6, 8, 2)
    )[0]:
        case "disable":
            yield Act(at=at, what="change", fields=(("account_enabled", False),))
        case "delete":
            yield Act(at=at, what="delete")
            if rng.random() < 0.3:
                yield Act(at=at + rng.uniform(1, 5), what="purge")
        case "purge":
            yield Act(at=at, what="purge")
        case "group":
            yield _toggle(person, JOINERS, at)
        case "role":
            yield _toggle(person, rng.choice(ROLES), at)
        case "move":
            fields: tuple[tuple[str, Any], ...] = (("department", rng.choice(DEPARTMENTS)), ("manager", manager_of(rng)))
            yield Act(at=at, what="change", fields=fields)
        case "rename":
            yield Act(at=at, what="change", fields=(("display_name", f"{person.id.title()} {rng.randint(1, 99)}"),))
            if renames and rng.random() < 0.3:
                address = f"{person.user_principal_name.split('@')[0].split('+')[0]}+{rng.randint(1, 99)}@contoso.example"
                yield Act(at=at + 1, what="change", fields=(("mail", address), ("user_principal_name", address)))
        case "flap":
            group = rng.choice((JOINERS, *ROLES))
            inside = group in person.groups
            for _ in range(rng.randint(2, 5)):
                yield Act(at=at, what="exit" if inside else "enter", group=group)
                inside = not inside
                at += rng.uniform(1, 20)
        case "protect":
            yield _toggle(person, PROTECTED, at)


def _toggle(person: Person, group: str, at: float) -> Act:
    return Act(at=at, what="exit" if group in person.groups else "enter", group=group)
