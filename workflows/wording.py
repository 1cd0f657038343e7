"""Words that several recipes put into tickets."""

from __future__ import annotations

from collections.abc import Iterable

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


def what_was_done(outcomes: Iterable[Outcome]) -> str:
    """One line per effect so far, with what a later read said about it."""
    lines = ["Joinery did this:"]
    for outcome in outcomes:
        if outcome.state is not StepState.DONE:
            lines.append(f"- {outcome.name}: not done yet, will be tried again")
        elif outcome.verified:
            lines.append(f"- {outcome.name}: done, and read back")
        else:
            lines.append(f"- {outcome.name}: answered with success, does not show yet")
    return "\n".join(lines)
