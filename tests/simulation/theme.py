"""What people do to Joinery itself in a history: how far it is trusted, policy edits, and waves that it has to stop.

All in words of the story: what a policy file says, when it is deployed, and when an operator comes by. The oracle reads the same words.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tests.simulation.story import DEPARTMENTS, HOUR, JOINERS, MANAGERS, MINUTE, Act, Character, Story, manager_of, scenes

#: The pilot's group, and one that stands for no role until a policy says so.
PILOT, PROBLEMS = "ITSM-Pilot", "ITSM-ProblemManagers"
#: Who passes the breaker.
URGENT = "ITSM-Urgent"
WORKFLOWS = ("joiner", "mover", "renamer", "role_change", "leaver")

RINGS, EDIT, WAVE = "rings", "edit", "wave"
#: How many histories of a hundred have each of them.
_SHARES = {RINGS: 12, EDIT: 8, WAVE: 12}
#: In such a share, whatever their theme, managers leave and the wrong people answer.
_RESTLESS = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleRule:
    """What a group stands for."""

    role: str
    #: The manager has to agree.
    asks: bool = False
    team: str = "Service Desk"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How many leavers may begin within an hour and within a day; how many of anything else within an hour, and which share of the people."""

    hourly: int
    daily: int
    wave: int
    share: float


#: Group -> what it stands for, where no policy was edited.
ROLES_AT_FIRST = {
    "ITSM-ServiceDesk": RoleRule(role="Service Desk"),
    "ITSM-ChangeManagers": RoleRule(role="Change Manager", asks=True),
    "ITSM-Admins": RoleRule(role="Administrator", asks=True),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What a policy file says."""

    #: The ring of the workflows in ``narrow``: shadow, pilot, departments; the others act for everyone.
    ring: str = "everyone"
    narrow: tuple[str, ...] = ()
    departments: tuple[str, ...] = ()
    #: None: a whole company may go.
    limits: Limits | None = None
    roles: tuple[tuple[str, RoleRule], ...] = tuple(ROLES_AT_FIRST.items())
    #: Seconds.
    settle: float = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """An operator comes by."""

    at: float
    #: rings: what shadow saw; held: what the breaker holds; apply: the edited policy.
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Theme:
    """One history's guards; nothing at all: everything acts, and nobody comes by."""

    kind: str = ""
    rules: Rules = Rules()
    #: When another policy file is deployed, and what it says.
    edits: tuple[tuple[float, Rules], ...] = ()
    visits: tuple[Visit, ...] = ()
    #: When all delta links expire: everybody is looked at again, whether anything is new about them or not.
    resyncs: tuple[float, ...] = ()
    #: Managers leave while they are asked, and others answer in their place.
    restless: bool = False
    #: Whoever leaves is cut off in the directory.
    cut_off: bool = False

    @property
    def all_rules(self) -> tuple[Rules, ...]:
        """One after the other."""
        return (self.rules, *(rules for _, rules in self.edits))

    @property
    def unsteady(self) -> frozenset[str]:
        """Groups that were not watched all the time: what was last seen of them may be old."""
        if not self.kind:
            return frozenset()
        watched = [{group for group, _ in rules.roles} for rules in self.all_rules]
        return frozenset({PILOT, URGENT, PROBLEMS, *(set.union(*watched) - set.intersection(*watched))})


def dress(rng: random.Random, story: Story) -> tuple[Story, Theme]:
    """Give a story a theme, or none. The people of a theme with plain lives take the place of others, so that it stays as long as it was."""
    kind = rng.choices(["", *_SHARES], [100 - sum(_SHARES.values()), *_SHARES.values()])[0]
    theme = Theme()
    if kind:
        kept = replace(story, people=story.people[: (len(story.people) + 1) // 2])
        story, theme = {RINGS: _rings, EDIT: _edit, WAVE: _wave}[kind](rng, kept)
        resyncs = (rng.uniform(0.3, 1.0) * story.length for _ in range(rng.randint(1, 3)))
        theme = replace(theme, resyncs=tuple(sorted(resyncs)))
    if rng.random() < _RESTLESS:
        story, theme = replace(story, people=(*story.people, *_managers(rng, story.length))), replace(theme, restless=True)
    ends = [story.length, *(act.at for one in story.people for act in one.acts), *(visit.at for visit in theme.visits)]
    return replace(story, length=max(ends)), theme


def _rings(rng: random.Random, story: Story) -> tuple[Story, Theme]:
    narrow = rng.choice((("leaver",), ("joiner",), ("joiner", "leaver"), WORKFLOWS))
    ring = rng.choice(("shadow", "pilot", "departments"))
    departments = (rng.choice(DEPARTMENTS),) if ring == "departments" else ()
    first = Rules(ring=ring, narrow=narrow, departments=departments)
    widened = rng.uniform(0.4, 0.7) * story.length
    edits = [(widened, Rules())]
    if ring == "shadow" and rng.random() < 0.4:
        # One step more: a pilot comes first.
        edits.insert(0, (widened * rng.uniform(0.5, 0.9), Rules(ring="pilot", narrow=narrow)))
    people = [_given(rng, one, PILOT, 0.3) for one in story.people]
    for number in range(rng.randint(6, 9)):
        groups = [PILOT] if rng.random() < 0.3 else []
        # Before the ring is wider, mostly; what comes after simply acts.
        moment = rng.uniform(0.05, 0.9) * widened if rng.random() < 0.7 else rng.uniform(widened, story.length)
        if rng.random() < 0.4:
            people.append(_plain(rng, number, born=moment, groups=[*groups, JOINERS]))
        else:
            people.append(_plain(rng, number, groups=groups, then=(Act(at=moment, what="change", fields=(("account_enabled", False),)),)))
    visits = [Visit(at=rng.uniform(0.2, 1.0) * story.length, what=RINGS) for _ in range(rng.randint(1, 3))]
    visits.append(Visit(at=widened + rng.uniform(0, 0.5) * (story.length - widened), what=RINGS))
    return replace(story, people=tuple(people)), Theme(kind=RINGS, rules=first, edits=tuple(edits), visits=tuple(visits))


def _edit(rng: random.Random, story: Story) -> tuple[Story, Theme]:
    roles = dict(ROLES_AT_FIRST)
    settle = 60.0
    match what := rng.choice(("added", "added", "removed", "asks", "settle", "team")):
        case "added":
            roles[PROBLEMS] = RoleRule(role="Problem Manager", asks=rng.random() < 0.4)
        case "removed":
            del roles[rng.choice(("ITSM-ServiceDesk", "ITSM-ChangeManagers"))]
        case "settle":
            settle = rng.uniform(60, 180)
        case _:
            group = rng.choice(("ITSM-ServiceDesk", "ITSM-ChangeManagers"))
            changed = replace(roles[group], asks=not roles[group].asks) if what == "asks" else replace(roles[group], team="Identity")
            roles[group] = changed
    edited = rng.uniform(0.2, 0.6) * story.length
    of = PROBLEMS if what == "added" else rng.choice(("ITSM-ServiceDesk", "ITSM-ChangeManagers"))
    people = [_given(rng, one, PROBLEMS, 0.25) for one in story.people]
    for number in range(rng.randint(5, 8)):
        if rng.random() < 0.6:
            people.append(_plain(rng, number, groups=[of]))
        else:
            enters = Act(at=rng.uniform(0.05, 0.95) * story.length, what="enter", group=of)
            people.append(_plain(rng, number, groups=[JOINERS] if rng.random() < 0.3 else [], then=(enters,)))
    visits = tuple(
        Visit(at=edited + rng.uniform(10 * MINUTE, story.length - edited + HOUR), what="apply") for _ in range(rng.randint(0, 2))
    )
    edits = ((edited, Rules(roles=tuple(roles.items()), settle=settle)),)
    return replace(story, people=tuple(people)), Theme(kind=EDIT, edits=edits, visits=visits)


def _wave(rng: random.Random, story: Story) -> tuple[Story, Theme]:
    limits = Limits(hourly=rng.randint(1, 4), daily=rng.randint(3, 8), wave=rng.randint(2, 6), share=0.1)
    begins = rng.uniform(0.2, 0.7) * story.length
    how = rng.choice(("disabled", "disabled", "gone", "moved"))
    back = begins + rng.uniform(0.5, 5) * HOUR if how != "moved" and rng.random() < 0.3 else 0.0
    whole = rng.uniform(0.5, 1.0)

    def struck(character: Character) -> Character:
        at = begins + rng.uniform(0, 60)
        last = scenes(character)[-1]
        if last.state != "here" or last.person is None or not last.person.account_enabled or last.start > begins or rng.random() > whole:
            return character
        match how:
            case "disabled":
                acts = [Act(at=at, what="change", fields=(("account_enabled", False),))]
            case "gone":
                acts = [Act(at=at, what="delete")]
            case _:
                acts = [Act(at=at, what="change", fields=(("department", "Elsewhere"), ("manager", manager_of(rng))))]
        if back:
            # The source is mended: whoever waits for a decision by then needs none.
            acts.append(
                Act(at=back + rng.uniform(0, 60), what="restore")
                if how == "gone"
                else Act(at=back + rng.uniform(0, 60), what="change", fields=(("account_enabled", True),))
            )
        elif rng.random() < 0.15 and how != "moved":
            # What was held is also tidied away.
            acts.append(Act(at=begins + rng.uniform(0.2, 6) * HOUR, what="purge"))
        return replace(character, acts=(*character.acts, *acts))

    plain = [
        _plain(rng, number, groups=[group for group, share in ((URGENT, 0.15), (JOINERS, 0.2)) if rng.random() < share])
        for number in range(rng.randint(7, 12))
    ]
    people = tuple(struck(one) for one in (*story.people, *plain))
    after = max(story.length - begins, 2 * HOUR)
    visits = [
        Visit(at=begins + (rng.uniform(60, 10 * MINUTE) if rng.random() < 0.4 else rng.uniform(0.05, 1) * after), what="held")
        for _ in range(rng.randint(1, 4))
    ]
    return replace(story, people=people), Theme(kind=WAVE, rules=Rules(limits=limits), visits=tuple(visits))


def _managers(rng: random.Random, length: float) -> Iterator[Character]:
    """Those who lead, some of whom leave; of these some come back."""
    for identity in MANAGERS:
        fields = {
            "user_principal_name": f"{identity}@contoso.example",
            "mail": f"{identity}@contoso.example",
            "display_name": f"Manager {identity[1:]}",
            "employee_id": f"E-{identity}",
            "user_type": "Member",
            "account_enabled": True,
        }
        acts = [Act(at=-1.0, what="create", fields=tuple(fields.items()))]
        if rng.random() < 0.6:
            at = rng.uniform(0.1, 0.95) * length
            gone = rng.random() < 0.3
            acts.append(Act(at=at, what="delete") if gone else Act(at=at, what="change", fields=(("account_enabled", False),)))
            if rng.random() < 0.3:
                back = at + rng.uniform(2 * MINUTE, 6 * HOUR)
                acts.append(Act(at=back, what="restore") if gone else Act(at=back, what="change", fields=(("account_enabled", True),)))
        yield Character(id=identity, acts=tuple(acts))


def _given(rng: random.Random, character: Character, group: str, share: float) -> Character:
    """In that group from birth, with so much of a chance."""
    birth, *later = character.acts
    if rng.random() >= share:
        return character
    return replace(character, acts=(replace(birth, group=",".join(filter(None, (birth.group, group)))), *later))


def _plain(rng: random.Random, number: int, *, born: float = -1.0, groups: Iterable[str] = (), then: tuple[Act, ...] = ()) -> Character:
    """Somebody to whom hardly anything happens, so that what has to become of them is certain."""
    identity = f"q{number:02d}"
    fields = {
        "user_principal_name": f"{identity}@contoso.example",
        "mail": f"{identity}@contoso.example",
        "display_name": identity.title(),
        "department": rng.choice(DEPARTMENTS),
        "employee_id": f"E-{identity}",
        "user_type": "Member",
        "account_enabled": True,
        "manager": manager_of(rng),
    }
    birth = Act(at=born, what="create", fields=tuple(fields.items()), group=",".join(groups))
    return Character(id=identity, desk=rng.choice(("", "user")) if born < 0 else "", acts=(birth, *then))
