"""What a start prints: where things listen, and how to drive them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from joinery.cli.words import counted

if TYPE_CHECKING:
    from joinery.cli.up import Plan
    from joinery.settings import Settings
    from simulators.standing import StandIns
    from wiring import Local


def banner(chosen: Plan, local: Local, accounts: int = 0) -> list[str]:
    """The lines that `joinery up` opens with; ``accounts`` is how many an empty world holds already."""
    settings = local.parts.settings
    pretend = "pretend " if chosen.own_stand_ins else ""
    lines = [
        "Joinery is up, on this machine only.",
        "",
        f"  functions       {local.host.url}/api/health",
        f"  {pretend + 'Graph':<15} {settings.graph_url}",
        f"  {pretend + 'Halo':<15} {settings.halo_url}",
        f"  data folder     {settings.data}",
        f"  log file        {settings.data / 'joinery.log'}",
    ]
    lines += _not_empty(accounts)
    if chosen.settle_shortened:
        lines.append(f"  settle time     {settings.settle_seconds:g} s while a day is played; --settle-seconds sets another (60 is usual)")
    elif settings.settle_seconds is not None:
        lines.append(f"  settle time     {settings.settle_seconds:g} s")
    if chosen.own_stand_ins:
        lines += driving(settings.graph_url, local.host.url)
    return [*lines, "", "Ctrl-C stops; the next start goes on with the same data.", ""]


def stand_ins_banner(settings: Settings, stand_ins: StandIns, accounts: int = 0, bus: str = "") -> list[str]:
    """The lines that `joinery stand-ins` opens with; ``accounts`` as above, ``bus``: how a pretend Service Bus is reached, where there is one."""
    over = [
        "",
        "With messages over its Service Bus (the keys in it are pretence):",
        "",
        f"  export JOINERY_QUEUE=servicebus ServiceBusConnection='{bus}'",
    ]
    return [
        "The stand-ins are up, on this machine only.",
        "",
        f"  pretend Graph   {stand_ins.graph_url}",
        f"  pretend Halo    {stand_ins.halo_url}",
        f"  data folder     {settings.data}",
        *_not_empty(accounts),
        "",
        "Start Joinery in another terminal:",
        "",
        f"  joinery up --graph-url {stand_ins.graph_url} --halo-url {stand_ins.halo_url} --data {settings.data}",
        *(over if bus else []),
        "",
    ]


def _not_empty(accounts: int) -> list[str]:
    """What `--empty` does not do: take away whom an earlier start, or somebody by hand, has made."""
    if not accounts:
        return []
    are = "is" if accounts == 1 else "are"
    return [f"  not empty       {counted(accounts, 'account')} {are} there from before; --empty seeds nobody, --data names another folder"]


def driving(graph_url: str, functions_url: str) -> list[str]:
    """Lines to paste into another terminal."""
    form = "grant_type=client_credentials&client_id=local&client_secret=local&scope=.default"
    cut = 'sed \'s/.*"access_token": *"\\([^"]*\\)".*/\\1/\''
    return [
        "",
        "Drive it from another terminal, as if it were the real thing (client local, secret local):",
        "",
        f"  TOKEN=$(curl -s {graph_url}/local/oauth2/v2.0/token -d '{form}' | {cut})",
        f"  curl -s -H \"Authorization: Bearer $TOKEN\" '{graph_url}/v1.0/users?$top=3&$select=id,displayName,accountEnabled'",
        f"  curl -s {functions_url}/api/health",
    ]
