"""Where the stand-ins of `joinery up` listen, kept in the data folder for the commands that ask the directory themselves."""

from __future__ import annotations

import json
from dataclasses import replace

from joinery.settings import Settings

_FILE = "stand-ins.json"


def remember_addresses(settings: Settings) -> None:
    """Write them down. Raises OSError."""
    (settings.data / _FILE).write_text(json.dumps({"graph_url": settings.graph_url, "halo_url": settings.halo_url}), encoding="utf-8")


def with_addresses(settings: Settings) -> Settings:
    """Where settings name no address: that of the stand-ins that `joinery up` last ran in this data folder, if it did."""
    try:
        kept = json.loads((settings.data / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return settings
    return replace(settings, graph_url=settings.graph_url or kept["graph_url"], halo_url=settings.halo_url or kept["halo_url"])
