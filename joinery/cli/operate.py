"""``joinery pause`` and ``joinery resume``."""

from __future__ import annotations

import getpass

from joinery.cli.exits import NOT_WELL, WELL, finding
from joinery.cli.stored import stored
from joinery.cli.up import say
from joinery.engine.pauses import ALL


def pause(data: str | None, workflow: str | None, reason: str) -> int:
    """Stop effects. Raises ConfigurationError for an unknown workflow or an empty reason."""
    _check(workflow)
    if not reason.strip():
        raise finding("--reason", "is empty", 'Say why, for whoever finds it paused: --reason "Halo is being upgraded".')
    with stored(data) as opened:
        # The audit first: what is in force can always be explained.
        opened.log.record("paused", reason.strip(), by=user(), workflow=workflow or ALL)
        opened.pauses.pause(workflow or ALL, reason.strip())
    say(f"Paused: {workflow or 'all workflows'}. Intake goes on, and nothing is lost.")
    say(f"`joinery resume{f' {workflow}' if workflow else ''}` lets {'it' if workflow else 'them'} act again.")
    return WELL


def resume(data: str | None, workflow: str | None) -> int:
    """Let it act again. Raises ConfigurationError for an unknown workflow."""
    _check(workflow)
    with stored(data) as opened:
        was = (workflow or ALL) in opened.pauses.read().reasons
        if was:
            opened.log.record("resumed", "", by=user(), workflow=workflow or ALL)
            opened.pauses.resume(workflow or ALL)
        still = opened.pauses.read().reasons
    what = workflow or "all workflows"
    say(f"Resumed: {what}." if was else f"Not paused: {what}.")
    for name, reason in sorted(still.items()):
        say(f"Still paused: {'all workflows' if name == ALL else name} ({reason}).")
    return WELL if was else NOT_WELL


def user() -> str:
    """Who is at the keyboard, as far as the system knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _check(workflow: str | None) -> None:
    from workflows import CATALOGUE

    names = sorted({one.name for one in CATALOGUE.values()})
    if workflow is not None and workflow not in names:
        raise finding("WORKFLOW", f"is {workflow!r}", f"Use one of: {', '.join(names)}; or leave it out for all.")
