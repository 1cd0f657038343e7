"""Secrets that `joinery up` makes by itself, so that nobody has to invent them to try it."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import replace

from joinery.errors import ConfigurationError, Finding
from joinery.settings import Secret, Settings


def with_client_state(settings: Settings) -> Settings:
    """One secret per data folder, made at the first start and kept."""
    if settings.client_state:
        return settings
    kept = settings.data / "client-state"
    if not kept.exists():
        kept.touch(mode=0o600)
    value = kept.read_bytes().decode("ascii", "replace").strip()
    if value and not re.fullmatch("[0-9a-f]{64}", value):
        remedy = "Remove the file: the next start makes a new secret and subscribes anew with it."
        raise ConfigurationError([Finding(place=str(kept), problem="holds something else than a secret that Joinery made", remedy=remedy)])
    if not value:
        value = secrets.token_hex(32)
        kept.write_text(value, encoding="utf-8")
    return replace(settings, client_state=Secret(value))


def with_desk_webhook(settings: Settings) -> Settings:
    """What lets the pretend desk tell us of answers, made of the clientState; what settings name stays."""
    if settings.desk_webhook_secret:
        return settings

    def made(purpose: str) -> Secret:
        return Secret(hmac.new(settings.client_state.reveal().encode(), purpose.encode(), hashlib.sha256).hexdigest())

    return replace(
        settings,
        desk_webhook_secret=made("the path of the desk's webhook"),
        desk_webhook_user="joinery",
        desk_webhook_password=made("the password of the desk's webhook"),
    )
