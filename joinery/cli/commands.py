"""The commands: options in, one call, exit code out. What they do lies in the modules beside this one, imported on use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from joinery.cli import examples
from joinery.cli.doctor_command import doctor
from joinery.cli.exits import end
from joinery.cli.guard_commands import failed, policy_edits, rings
from joinery.cli.options import (
    PLAIN,
    Data,
    Empty,
    GraphPort,
    GraphUrl,
    HaloPort,
    HaloUrl,
    Json,
    NoPlay,
    PolicyFile,
    Port,
    SettleSeconds,
)
from joinery.cli.server_commands import stand_ins, worker


def show_version(wanted: bool) -> None:
    """Print the version and leave, where it was asked for."""
    if wanted:
        from joinery import __version__
        from joinery.cli.up import say

        say(f"joinery {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and exit.")]
Workflow = Annotated[str | None, typer.Argument(help="For example joiner or leaver; left out, all workflows.", metavar="WORKFLOW")]
Person = Annotated[
    str | None, typer.Option("--person", metavar="WHO", help="Directory id, user principal name, mail or name.", show_default=False)
]

app = typer.Typer(
    help="Turns identity changes into service-desk work that is done once, in order, and proven.",
    epilog=examples.JOINERY,
    add_completion=False,
    pretty_exceptions_enable=False,
    **PLAIN,
)
audit = typer.Typer(help="What happened and why.", epilog=examples.AUDIT, **PLAIN)
parked = typer.Typer(help="Messages that nobody could understand.", epilog=examples.PARKED, **PLAIN)
alerts = typer.Typer(help="What needs a person.", epilog=examples.ALERTS, **PLAIN)
held = typer.Typer(help="Changes that the breaker holds.", epilog=examples.HELD, **PLAIN)
app.add_typer(audit, name="audit")
app.add_typer(rings, name="rings")
app.add_typer(policy_edits, name="policy")
app.add_typer(held, name="held")
app.add_typer(failed, name="failed")
app.add_typer(alerts, name="alerts")
app.add_typer(parked, name="parked")


@app.callback()
def main(version: Version = False) -> None:
    """What holds for every command."""


@app.command(epilog=examples.UP)
def up(
    empty: Empty = None,
    no_play: NoPlay = None,
    port: Port = None,
    graph_port: GraphPort = None,
    halo_port: HaloPort = None,
    data: Data = None,
    settle_seconds: SettleSeconds = None,
    graph_url: GraphUrl = None,
    halo_url: HaloUrl = None,
    policy: PolicyFile = None,
) -> None:
    """Run everything on this machine, and play a day.

    Our functions, a pretend Graph and a pretend Halo on loopback ports, and SQLite in the data folder. It keeps running until Ctrl-C;
    the next start goes on with the same data.
    """
    from joinery.cli.up import plan, run_up

    end(
        lambda: run_up(
            plan(
                empty=empty,
                no_play=no_play,
                port=port,
                graph_port=graph_port,
                halo_port=halo_port,
                data=data,
                settle_seconds=settle_seconds,
                graph_url=graph_url,
                halo_url=halo_url,
                policy=policy,
            )
        )
    )


app.command("stand-ins", epilog=examples.STAND_INS)(stand_ins)
app.command(epilog=examples.WORKER)(worker)
app.command(epilog=examples.DOCTOR)(doctor)


@app.command(epilog=examples.DEMO)
def demo() -> None:
    """Play a day at full speed, and prove what was done.

    It is `joinery up` on free ports and in a temporary folder; only deadline, search lag and settle time are shortened.
    """
    from joinery.cli.demo import run_demo

    end(run_demo)


@app.command(epilog=examples.BASELINE)
def baseline(policy: PolicyFile = None, data: Data = None) -> None:
    """Take in everybody who is there already, on the first day.

    People and their groups, as they are now; nothing starts because of it, also for whoever is in the joiner or a role group. Afterwards
    a change starts exactly what changed. Whoever was decided on before is left alone, so it can be given again.
    """
    from joinery.cli.baseline import take_in

    end(lambda: take_in(data, policy))


@app.command(epilog=examples.PAUSE)
def pause(
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever finds it paused; health shows it.")],
    workflow: Workflow = None,
    data: Data = None,
) -> None:
    """Stop all effects, or those of one workflow.

    Intake goes on, and nothing is lost.
    """
    from joinery.cli.operate import pause as run

    end(lambda: run(data, workflow, reason))


@app.command(epilog=examples.RESUME)
def resume(
    workflow: Workflow = None,
    data: Data = None,
) -> None:
    """Let what was paused act again.

    What waited goes on within a minute.
    """
    from joinery.cli.operate import resume as run

    end(lambda: run(data, workflow))


@app.command(epilog=examples.BACKUP)
def backup(
    target: Annotated[Path, typer.Argument(metavar="DEST", help="A folder that does not exist yet.")],
    data: Data = None,
) -> None:
    """Copy what Joinery keeps, while it runs.

    State, queue and secret as of one moment, with a manifest. The stand-ins' worlds are not part of it.
    """
    from joinery.cli.backup import backup as run

    end(lambda: run(data, target))


@app.command(epilog=examples.RESTORE)
def restore(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A folder that `joinery backup` made.")],
    data: Data = None,
) -> None:
    """Put a backup into a data folder that holds no state yet.

    The next start looks at everybody again. What was done since the backup is found, not done twice.
    """
    from joinery.cli.backup import restore as run

    end(lambda: run(data, source))


@app.command("settings", epilog=examples.SETTINGS)
def show_settings(
    policy: PolicyFile = None,
    data: Data = None,
    online: Annotated[bool, typer.Option("--online", help="Ask directory and desk for the names in the policy, too.")] = False,
) -> None:
    """Print every setting, and check settings and policy.

    Each with its environment variable, its value (secrets as stars) and what it means.
    """
    from joinery.cli.reports import show_settings as run

    end(lambda: run(policy=policy, data=data, online=online))


@audit.command("show", epilog=examples.AUDIT_SHOW)
def audit_show(
    person: Person = None,
    operator: Annotated[bool, typer.Option("--operator", help="What operators did instead: pause, resume, erase.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Print what happened to one person, or what operators did.

    When, what, why, in which step and run.
    """
    from joinery.cli.reports import show_audit

    end(lambda: show_audit(data, person, operator=operator, as_json=as_json))


@audit.command("verify", epilog=examples.AUDIT_VERIFY)
def audit_verify(data: Data = None, as_json: Json = False) -> None:
    """Check every audit chain, and name what was changed, is missing, reordered or truncated.

    Against itself, its head, the personal data that were not erased, and the seals outside.
    """
    from joinery.cli.evidence import verify

    end(lambda: verify(data, as_json=as_json))


@audit.command("export", epilog=examples.AUDIT_EXPORT)
def audit_export(
    person: Person = None,
    operator: Annotated[bool, typer.Option("--operator", help="What operators did.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="All chains: everybody's, and the operators'.")] = False,
    data: Data = None,
) -> None:
    """Print audit entries as JSON Lines, to be checked by somebody else.

    With names and addresses as far as they were not erased. docs/audit.md has a script of a few lines that checks it.
    """
    from joinery.cli.evidence import export

    end(lambda: export(data, person, operator=operator, everything=everything))


@app.command(epilog=examples.ERASE)
def erase(
    person: Annotated[str, typer.Option("--person", metavar="WHO", help="Directory id, user principal name, mail or name.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, without the person's name: it stays in the operators' audit.")],
    when_done: Annotated[
        bool, typer.Option("--when-done", help="If something is still open: do it by itself when that has ended.")
    ] = False,
    data: Data = None,
) -> None:
    """Erase a person's names, addresses and whatever else describes them.

    Ids, times and hashes stay, so the audit can still be verified. It is refused while a run or a late check is open. What the
    directory and the desk know is theirs; while the account exists, the next look brings back what it shows.
    """
    from joinery.cli.evidence import erase as run

    end(lambda: run(data, person, reason, when_done=when_done))


@parked.command("list", epilog=examples.PARKED_LIST)
def parked_list(data: Data = None, as_json: Json = False) -> None:
    """List the parked messages.

    Each with its reason and what can be done about it.
    """
    from joinery.cli.reports import list_parked

    end(lambda: list_parked(data, as_json=as_json))


@alerts.command("list", epilog=examples.ALERTS_LIST)
def alerts_list(data: Data = None, as_json: Json = False) -> None:
    """List the causes of alerts.

    Each with how often it struck, when, where and which ticket it opened; the latest first.
    """
    from joinery.cli.reports import list_alerts

    end(lambda: list_alerts(data, as_json=as_json))


@app.command("coverage", epilog=examples.COVERAGE)
def show_coverage(data: Data = None, as_json: Json = False) -> None:
    """Show up to when every change in the directory was told.

    Which span is covered by which delta link, where there was a hole, and of how many people the sweep was the first to tell.
    """
    from joinery.cli.coverage import show_coverage as run

    end(lambda: run(data, as_json=as_json))


@app.command("plan", epilog=examples.PLAN)
def show_plan(
    person: Annotated[str, typer.Option("--person", metavar="WHO", help="Directory id, user principal name, mail or name.")],
    fields: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="As if a field had this value.")] = None,
    add_group: Annotated[list[str] | None, typer.Option("--add-group", metavar="GROUP", help="As if they were in a group.")] = None,
    remove_group: Annotated[list[str] | None, typer.Option("--remove-group", metavar="GROUP", help="As if they were not.")] = None,
    disable: Annotated[bool, typer.Option("--disable", help="As if the account were disabled.")] = False,
    enable: Annotated[bool, typer.Option("--enable", help="As if it were enabled.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="As if it were deleted.")] = False,
    policy: PolicyFile = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show what would happen to one person, and why.

    The runs that would start, each step with its ticket's text, roles, approvers and timers, and what ring and breaker say. It plans from
    what is stored, with the policy file as it is now; it asks and changes nothing.
    """
    from joinery.cli.plan import Imagined, plan

    imagined = Imagined(
        fields=tuple(fields or ()),
        add_groups=tuple(add_group or ()),
        remove_groups=tuple(remove_group or ()),
        disable=disable,
        enable=enable,
        delete=delete,
    )
    end(lambda: plan(data, policy, person, imagined, as_json=as_json))


Who = Annotated[
    str | None, typer.Option("--person", metavar="WHO", help="Directory id, user principal name, mail or name.", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="Everything that is held.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it stands in the audit.")]


@held.command("list", epilog=examples.HELD_LIST)
def held_list(data: Data = None, as_json: Json = False) -> None:
    """List what is held, and what would happen.

    Each with the person, since when, why, and the steps that a release would start.
    """
    from joinery.cli.held import list_held

    end(lambda: list_held(data, as_json=as_json))


@held.command("release", epilog=examples.HELD_RELEASE)
def held_release(reason: Why, person: Who = None, everything: All = False, data: Data = None) -> None:
    """Let what is held run.

    Within a minute; it counts for the breaker all the same.
    """
    from joinery.cli.held import decide

    end(lambda: decide(data, "release", person=person, everything=everything, reason=reason))


@held.command("discard", epilog=examples.HELD_DISCARD)
def held_discard(reason: Why, person: Who = None, everything: All = False, data: Data = None) -> None:
    """Let nothing come of what is held.

    Within a minute; the person is taken as they are now.
    """
    from joinery.cli.held import decide

    end(lambda: decide(data, "discard", person=person, everything=everything, reason=reason))
