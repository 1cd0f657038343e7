"""Something needs a person: one ticket per cause, with what to do first."""

from __future__ import annotations

from joinery.domain.tickets import OpenTicket
from joinery.engine.context import Context
from joinery.engine.recipes import workflow

#: Longer causes go on in the details.
_SUMMARY_MAX = 120


@workflow(version=1)
def alert(ctx: Context) -> None:
    """Runs once for each new cause; a cause that comes again within a day is counted and opens nothing."""
    raised = ctx.alert
    short = raised.cause if len(raised.cause) <= _SUMMARY_MAX else f"{raised.cause[: _SUMMARY_MAX - 1]}…"
    subject = raised.about.partition("#")[0]
    who = subject.removeprefix("person:")
    look = f"joinery audit show --person {who}" if subject.startswith("person:") else "joinery alerts list"
    ctx.do(
        "open the alert's ticket",
        OpenTicket(
            kind="alert",
            person=ctx.person,
            user_id=None,
            summary=f"Joinery needs a person: {short}",
            details="\n".join(
                (
                    raised.cause,
                    "",
                    f"First seen: {raised.at}",
                    f"First about: {subject}",
                    f"What happened there: {look}",
                    "What else this cause hit, and how often: joinery alerts list",
                    "",
                    "It is counted and opens no other ticket until it was quiet for a day.",
                )
            ),
        ),
    )
