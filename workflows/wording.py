"""Words that several recipes put into tickets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from joinery.domain.cut_off import CutOff, End, Kept, in_words
from joinery.domain.person import Person
from joinery.engine.context import Outcome
from joinery.engine.journal import StepState


def facts_table(person: Person, opening: str) -> str:
    """The opening sentence, then one line per fact that a person working on the ticket needs."""
    manager = person.manager
    lines = {
        "Name": person.name,
        "Sign-in name": person.user_principal_name,
        "Mail": person.mail,
        "Manager": f"{manager.display_name} <{manager.mail or manager.user_principal_name}>" if manager else "not set in the directory",
        "Start": f"{person.hire_date:%Y-%m-%d}" if person.hire_date else "not set in the directory",
        "Job title": person.job_title,
        "Department": person.department or "not set in the directory",
        "Company": person.company_name,
        "Office": person.office_location,
        "Employee id": person.employee_id,
        "Worker type": person.employee_type,
        "Directory id": person.id,
    }
    return "\n".join((opening, "", *(f"{name}: {value}" for name, value in lines.items() if value)))


#: How cutting somebody off in the directory ended, where it did not simply succeed.
_CUT_OFF = {
    End.PLANNED: "would be done",
    End.GONE: "nothing more to do, the account is gone",
    End.ENABLED: "not done, for the account is enabled again",
    End.LEFT_ALONE: "not done, for the account is one that nothing touches by now",
    End.REFUSED: "given up, for the directory refused it or did not show it for two days; please do it by hand",
}
#: Why somebody is still in a group, and what the help desk can do.
_KEPT = {
    Kept.POLICY: "policy keeps them in",
    Kept.LICENSED: "licences hang on it: see to the mailbox first, then take them out",
    Kept.DYNAMIC: "its membership rule decides: change the attribute that it asks for",
    Kept.SYNCED: "mastered on premises: take them out there",
    Kept.ROLE_ASSIGNABLE: "roles of the directory can be assigned to it: a privileged administrator has to take them out",
    Kept.MAIL_ENABLED: "mail-enabled: take them out in the mail system",
    Kept.REFUSED: "the directory refused it: please take them out by hand",
}


def what_was_done(outcomes: Iterable[Outcome], cut_off: Mapping[str, CutOff | None] | None = None) -> str:
    """One line per effect so far, with what a later read said about it; then what was cut off in the directory, by the step's name."""
    lines = ["Joinery did this:"]
    for outcome in outcomes:
        if outcome.state is not StepState.DONE:
            lines.append(f"- {outcome.name}: not done yet, will be tried again")
        elif outcome.verified:
            lines.append(f"- {outcome.name}: done, and read back")
        else:
            lines.append(f"- {outcome.name}: answered with success, does not show yet")
    for name, done in (cut_off or {}).items():
        lines += _cut_off_lines(name, done)
    return "\n".join(lines)


def _cut_off_lines(name: str, done: CutOff | None) -> Iterator[str]:
    if done is None:
        yield f"- {name}: not done yet, will be tried again"
        return
    yield f"- {name}: {_CUT_OFF.get(done.end, 'done, and read back')}"
    if done.removed:
        # Whoever comes back needs them again.
        yield f"    {'would be left' if done.end is End.PLANNED else 'left'}: {in_words(done.names, done.removed)}"
    for kept in done.kept:
        yield f"    still in: {in_words(kept.names, kept.count)} ({_KEPT[kept.why]})"
