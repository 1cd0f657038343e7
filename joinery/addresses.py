"""Where the stand-ins and the functions of `joinery up` listen, kept in the data folder for the commands that ask them themselves."""

from __future__ import annotations

import json
from dataclasses import replace

from joinery.setting_checks import bad_url
from joinery.settings import Settings

_FILE = "stand-ins.json"
_KEPT = ("graph_url", "halo_url", "public_url")


def remember_addresses(settings: Settings) -> None:
    """Write them down. Raises OSError."""
    (settings.data / _FILE).write_text(json.dumps({name: getattr(settings, name) for name in _KEPT}), encoding="utf-8")


def with_addresses(settings: Settings) -> Settings:
    """Where settings name no address: that of the `joinery up` that last ran in this data folder, if it did."""
    try:
        kept = json.loads((settings.data / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return settings
    if not isinstance(kept, dict):
        return settings
    named = {name: kept[name] for name in _KEPT if isinstance(kept.get(name), str) and not getattr(settings, name)}
    if any(bad_url(address) for address in named.values()):
        # Somebody else's file.
        return settings
    return replace(settings, **named)
