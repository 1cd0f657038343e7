"""The command ``joinery doctor``."""

from __future__ import annotations

from typing import Annotated

import typer

from joinery.cli.exits import end
from joinery.cli.options import Data, Json, PolicyFile

Only = Annotated[list[str] | None, typer.Option("--only", metavar="CHECK", help="Only this check; may be given again.", show_default=False)]
Strict = Annotated[bool, typer.Option("--strict", help="A warning counts as a failure.")]


def doctor(only: Only = None, strict: Strict = False, data: Data = None, policy: PolicyFile = None, as_json: Json = False) -> None:
    """Say whether this deployment can do its work.

    Connections, permissions too few and too many, clocks, the way in for notifications, subscriptions, coverage, the names in the policy,
    and what ends soon. It changes nothing. docs/doctor.md tells of every check.
    """
    from joinery.cli.doctor import run_doctor

    end(lambda: run_doctor(data=data, policy=policy, only=tuple(only or ()), strict=strict, as_json=as_json))
