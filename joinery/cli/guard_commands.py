"""The commands with which people say how far Joinery may go: ``joinery rings``, ``joinery policy`` and ``joinery failed``."""

from __future__ import annotations

from typing import Annotated

import typer

from joinery.cli import examples
from joinery.cli.exits import end
from joinery.cli.options import PLAIN, Data, Json, PolicyFile

rings = typer.Typer(help="How far each workflow is trusted.", epilog=examples.RINGS, **PLAIN)
policy_edits = typer.Typer(help="Policy edits that wait to be applied.", epilog=examples.POLICY, **PLAIN)
failed = typer.Typer(help="Runs that failed, and can go on.", epilog=examples.FAILED, **PLAIN)

RingOf = Annotated[str, typer.Argument(help="For example leaver.", metavar="WORKFLOW")]
Whose = Annotated[
    list[str] | None, typer.Option("--person", metavar="WHO", help="Directory id, user principal name, mail or name; may be repeated.")
]
Everybody = Annotated[bool, typer.Option("--all", help="Everything that shadow saw of it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@rings.command("list", epilog=examples.RINGS_LIST)
def rings_list(policy: PolicyFile = None, data: Data = None, as_json: Json = False) -> None:
    """List the workflows with their rings.

    And how many facts shadow saw of each that still stand.
    """
    from joinery.cli.rings import list_rings

    end(lambda: list_rings(data, policy, as_json=as_json))


@rings.command("promote", epilog=examples.RINGS_PROMOTE)
def rings_promote(
    workflow: RingOf,
    person: Whose = None,
    everything: Everybody = False,
    yes: Yes = False,
    policy: PolicyFile = None,
    data: Data = None,
) -> None:
    """List what shadow saw of a workflow, and run what you choose.

    With what each would do. Exactly what is chosen begins within a minute; the rest waits. The ring itself is set in the policy file.
    """
    from joinery.cli.rings import Choice, decide
    from joinery.engine.promotion import Promotion

    choice = Choice(people=tuple(person or ()), everything=everything, yes=yes)
    end(lambda: decide(data, policy, workflow, choice, Promotion.RUN, reason=""))


@rings.command("drop", epilog=examples.RINGS_DROP)
def rings_drop(
    workflow: RingOf,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the audit.")],
    person: Whose = None,
    everything: Everybody = False,
    yes: Yes = False,
    policy: PolicyFile = None,
    data: Data = None,
) -> None:
    """Let nothing come of what shadow saw.

    Of what you choose: the people are taken as they are now.
    """
    from joinery.cli.rings import Choice, decide
    from joinery.engine.promotion import Promotion

    choice = Choice(people=tuple(person or ()), everything=everything, yes=yes)
    end(lambda: decide(data, policy, workflow, choice, Promotion.DROP, reason=reason))


@policy_edits.command("diff", epilog=examples.POLICY_DIFF)
def policy_diff(policy: PolicyFile = None, data: Data = None, as_json: Json = False) -> None:
    """Show what of the policy file waits to be applied, and what it would start."""
    from joinery.cli.policy import diff

    end(lambda: diff(data, policy, as_json=as_json))


@policy_edits.command("apply", epilog=examples.POLICY_APPLY)
def policy_apply(yes: Yes = False, policy: PolicyFile = None, data: Data = None) -> None:
    """List what an edited policy would start, and apply it.

    A new role group, another joiner group, a changed rule: none of them is a person's change, so what they start waits for this. Restart
    what runs with the edited file first, and let it sweep once.
    """
    from joinery.cli.policy import apply_policy

    end(lambda: apply_policy(data, policy, yes=yes))


@failed.command("list", epilog=examples.FAILED_LIST)
def failed_list(data: Data = None, as_json: Json = False) -> None:
    """List the runs that failed and whose matter still stands.

    Each with the person, when, why, and its tickets. What a later run took over, or what has ended since, is not listed.
    """
    from joinery.cli.failed import list_failed

    end(lambda: list_failed(data, as_json=as_json))


@failed.command("retry", epilog=examples.FAILED_RETRY)
def failed_retry(
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the audit.")],
    person: Annotated[
        str | None, typer.Option("--person", metavar="WHO", help="Directory id, user principal name, mail or name.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every run that is listed.")] = False,
    data: Data = None,
) -> None:
    """Let failed runs go on where they stopped.

    Within a minute, with the same tickets: what was done is not done again, and nobody is asked twice. Mend first what the reason names.
    """
    from joinery.cli.failed import retry_failed

    end(lambda: retry_failed(data, person=person, everything=everything, reason=reason))
