"""The options that several commands share. Each names its environment variable; the option wins."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from joinery.errors import Finding

#: What every group of commands shares.
PLAIN: dict[str, Any] = {
    "rich_markup_mode": None,
    "no_args_is_help": True,
    "context_settings": {"help_option_names": ["-h", "--help"], "max_content_width": 110},
}

Port = Annotated[
    int | None,
    typer.Option("--port", help="Port of the functions; 0 takes a free one. Default 7071. (env: JOINERY_PORT)", show_default=False),
]
BusPort = Annotated[
    int | None, typer.Option("--bus-port", help="Port of a pretend Service Bus, 0 for a free one; without it there is none.")
]
Listen = Annotated[str, typer.Option("--listen", metavar="ADDRESS", help="Address of the functions: 0.0.0.0 in a container.")]
GraphPort = Annotated[
    int | None, typer.Option("--graph-port", help="Port of the pretend Graph. Default 7081. (env: JOINERY_GRAPH_PORT)", show_default=False)
]
HaloPort = Annotated[
    int | None, typer.Option("--halo-port", help="Port of the pretend Halo. Default 7082. (env: JOINERY_HALO_PORT)", show_default=False)
]
Data = Annotated[
    str | None, typer.Option("--data", metavar="FOLDER", help="The data folder. Default .joinery. (env: JOINERY_DATA)", show_default=False)
]
Empty = Annotated[
    bool | None,
    typer.Option("--empty", help="Seed no people, only what policy needs; nothing is played. (env: JOINERY_EMPTY)", show_default=False),
]
NoPlay = Annotated[
    bool | None, typer.Option("--no-play", help="Play nothing: print `ready` and stay quiet. (env: JOINERY_NO_PLAY)", show_default=False)
]
SettleSeconds = Annotated[
    float | None,
    typer.Option(
        "--settle-seconds",
        help="Settle time of a new joiner, and the pause before a second look. Default 60, or 3 while a day is played. (env: JOINERY_SETTLE_SECONDS)",
        show_default=False,
    ),
]
GraphUrl = Annotated[
    str | None,
    typer.Option("--graph-url", help="A Graph that runs elsewhere, without /v1.0. (env: JOINERY_GRAPH_URL)", show_default=False),
]
HaloUrl = Annotated[
    str | None, typer.Option("--halo-url", help="A Halo that runs elsewhere, without /api. (env: JOINERY_HALO_URL)", show_default=False)
]
PolicyFile = Annotated[
    str | None,
    typer.Option("--policy", metavar="FILE", help="The policy file. Default config/policy.toml. (env: JOINERY_POLICY)", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_YES, _NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


def flags(**given: bool | None) -> tuple[dict[str, bool], list[Finding]]:
    """Switches from the command line, or else from ``JOINERY_<NAME>``; with a finding for each that is neither yes nor no."""
    chosen, findings = {}, []
    for name, value in given.items():
        env = f"JOINERY_{name.upper()}"
        text = os.environ.get(env, "").strip().casefold()
        chosen[name] = text in _YES if value is None else value
        if value is None and text not in (*_YES, *_NO):
            findings.append(Finding(place=env, problem=f"is {text!r}", remedy="Use 1 or 0 (or yes or no)."))
    return chosen, findings


def settings_from(findings: list[Finding] | None = None, **given: Any) -> Any:
    """The Settings of environment and options. Raises ConfigurationError with every finding, ``findings`` first."""
    from joinery.errors import ConfigurationError
    from joinery.settings import Settings

    found = list(findings or ())
    try:
        settings = Settings.from_environment(os.environ, **given)
    except ConfigurationError as error:
        raise ConfigurationError([*found, *error.findings]) from None
    if found:
        raise ConfigurationError(found)
    return settings
