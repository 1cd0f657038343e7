"""The command ``joinery doctor``."""

from __future__ import annotations

from typing import Annotated

import typer

from joinery.cli.exits import end, finding
from joinery.cli.options import Data, Json, PolicyFile

Only = Annotated[list[str] | None, typer.Option("--only", metavar="CHECK", help="Only this check; may be given again.", show_default=False)]
Strict = Annotated[bool, typer.Option("--strict", help="A warning counts as a failure.")]
Probe = Annotated[
    bool, typer.Option("--probe-halo", help="Find out the habits of a Halo instead, by 15 steps that write into it: in a sandbox.")
]
Profile = Annotated[str | None, typer.Option("--profile", metavar="FILE", help="With --probe-halo: write what was found there.")]
Yes = Annotated[bool, typer.Option("--yes", help="With --probe-halo: do not ask.")]
ProbeUser = Annotated[
    str, typer.Option("--probe-user", metavar="MAIL", help="A test user, set inactive and active again.", show_default=False)
]
ProbeAgent = Annotated[
    str, typer.Option("--probe-agent", metavar="MAIL", help="A test agent, given a role and freed of it.", show_default=False)
]
ProbeRole = Annotated[str, typer.Option("--probe-role", metavar="NAME", help="That role; the agent must not have it.", show_default=False)]
ProbeApprover = Annotated[
    str, typer.Option("--probe-approver", metavar="MAIL", help="A test user who may approve, and is asked.", show_default=False)
]
ProbeWebhook = Annotated[
    str, typer.Option("--probe-webhook", metavar="URL", help="Where a test webhook posts; nothing has to answer.", show_default=False)
]


def doctor(
    only: Only = None,
    strict: Strict = False,
    data: Data = None,
    policy: PolicyFile = None,
    as_json: Json = False,
    probe_halo: Probe = False,
    profile: Profile = None,
    yes: Yes = False,
    probe_user: ProbeUser = "",
    probe_agent: ProbeAgent = "",
    probe_role: ProbeRole = "",
    probe_approver: ProbeApprover = "",
    probe_webhook: ProbeWebhook = "",
) -> None:
    """Say whether this deployment can do its work.

    Connections, permissions too few and too many, clocks, the way in for notifications, subscriptions, coverage, the names in the policy,
    and what ends soon. It changes nothing, unless --probe-halo is given. docs/doctor.md tells of every check.
    """
    from joinery.cli.doctor import run_doctor
    from joinery.cli.halo_probe import ProbeOrder, run_halo_probe

    order = ProbeOrder(
        profile=profile or "", user=probe_user, agent=probe_agent, role=probe_role, approver=probe_approver, webhook=probe_webhook
    )

    def run() -> int:
        if probe_halo and (only or strict):
            raise finding(
                "--probe-halo", "is given beside --only or --strict", "It is made alone; give the others in a command of their own."
            )
        if probe_halo:
            return run_halo_probe(order, data=data, policy=policy, yes=yes, as_json=as_json)
        if yes or order != ProbeOrder():
            raise finding("doctor", "is given --profile, --yes or --probe-… without --probe-halo", "Add --probe-halo, or leave them out.")
        return run_doctor(data=data, policy=policy, only=tuple(only or ()), strict=strict, as_json=as_json)

    end(run)
