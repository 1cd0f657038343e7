"""What a check is, what it finds, and how they are run: each on its own, whatever becomes of the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from joinery.doctor.patient import NotAsked, Patient
from joinery.errors import JoineryError

_log = logging.getLogger(__name__)

#: The page on which every check has a heading of its own, named as the check.
PAGE = "docs/doctor.md"


class State(StrEnum):
    """How one thing stands."""

    WELL = "well"
    #: It works, and somebody should look before it does not.
    WARNING = "warning"
    FAILED = "failed"
    #: It could not be asked; the cause says why.
    SKIPPED = "skipped"


#: From the least to the most that a person has to do.
_WEIGHT = (State.WELL, State.SKIPPED, State.WARNING, State.FAILED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that a check found: what was seen, what to do about it, and where to read on."""

    name: str
    state: State
    cause: str
    remedy: str = ""
    page: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a question answers; the run adds name and page."""

    state: State
    cause: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One check: its name, and whom it asks. It is skipped where one of ``needs`` failed or was skipped."""

    name: str
    ask: Callable[[Patient], Iterable[Found]]
    needs: tuple[str, ...] = ()
    #: What to do where it gets no answer.
    remedy: str = "Look at the address and the credentials, then try again."


def well(cause: str) -> Found:
    """As it should be."""
    return Found(state=State.WELL, cause=cause)


def warning(cause: str, remedy: str) -> Found:
    """It works, and somebody should look."""
    return Found(state=State.WARNING, cause=cause, remedy=remedy)


def failed(cause: str, remedy: str) -> Found:
    """It does not work, or not for long."""
    return Found(state=State.FAILED, cause=cause, remedy=remedy)


def skipped(cause: str, remedy: str = "") -> Found:
    """It could not be asked."""
    return Found(state=State.SKIPPED, cause=cause, remedy=remedy)


def examine(patient: Patient, questions: Sequence[Question], only: Iterable[str] = ()) -> Iterator[Check]:
    """Ask every question, or those named in ``only``, and give what each found; at least one for each, whatever happens."""
    wanted, unwell = frozenset(only), set[str]()
    for question in questions:
        if wanted and question.name not in wanted:
            continue
        found = _found(patient, question, unwell)
        if worst(one.state for one in found) in (State.FAILED, State.SKIPPED):
            unwell.add(question.name)
        for one in found:
            yield Check(
                name=question.name,
                state=one.state,
                cause=one.cause,
                remedy=one.remedy,
                page="" if one.state is State.WELL else f"{PAGE}#{question.name}",
            )


def worst(states: Iterable[State]) -> State:
    """The one that asks most of a person."""
    return max(states, key=_WEIGHT.index, default=State.WELL)


def _found(patient: Patient, question: Question, unwell: set[str]) -> list[Found]:
    for name in question.needs:
        if name in unwell:
            return [skipped(f"needs {name}, which did not pass")]
    found: list[Found] = []
    try:
        # One by one: what was found before it broke off is found.
        for one in question.ask(patient):
            found.append(one)  # noqa: PERF402 - extend() would do the same and not say why
        return found or [well("nothing to find")]
    except NotAsked as unasked:
        return [*found, skipped(unasked.side.why, unasked.side.remedy)]
    except JoineryError as error:
        return [*found, failed(str(error), question.remedy)]
    except Exception as error:
        # A check that stumbles is a defect of ours, and no reason not to make the others. The text of a stranger's exception may hold anything.
        _log.exception("a check stumbled", extra={"action": "check_stumbled", "check": question.name})
        remedy = "That is a defect in Joinery: report it with the trace from the log."
        return [*found, failed(f"the check itself stumbled ({type(error).__name__})", remedy)]
