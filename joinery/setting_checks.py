"""What may be wrong with an address or a connection string in a setting. No sentence repeats a secret."""

from __future__ import annotations

import base64
import ipaddress
import re
from urllib.parse import urlsplit


def bad_url(url: str) -> str:
    """What is wrong with an address, in words that repeat no secret; empty where it is sound."""
    if not url:
        return ""
    if any(sign in url for sign in "@?#"):
        return "carries a user name, a password, a query or a fragment"
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not re.search(r"[\s\\]", url)
        # No name server is asked for an empty part, or for one of more than 63 characters (RFC 1035, 2.3.4): it ends in no error of a network's.
        sound = sound and all(0 < len(part) < 64 for part in (parts.hostname or "").removesuffix(".").split("."))
    except ValueError:
        # Brackets around no IPv6 address, or a port that is no number up to 65535.
        sound = False
    if not sound:
        return f"is {url!r}"
    if parts.scheme == "http" and not on_loopback(url):
        return f"is {url!r}, without encryption"
    return ""


def bad_alert_url(url: str) -> str:
    """What is wrong with an address for alerts; empty where it is sound.

    Such an address may carry its secret in the path or in the query, so it is never repeated.
    """
    return "is no https address" if url and bad_url(url.partition("?")[0]) else ""


def bad_connection(text: str, *, service: str = "Table") -> str:
    """What is wrong with a storage connection string, in words that repeat none of it; empty where it is sound."""
    if not text or text.strip().casefold() == "usedevelopmentstorage=true":
        return ""
    pairs = [part.partition("=") for part in text.strip().rstrip(";").split(";")]
    has = {name.strip().casefold(): value.strip() for name, sign, value in pairs if sign}
    if len(has) < len(pairs):
        return "is no list of NAME=VALUE;"
    endpoint = f"{service}Endpoint"
    if not (has.get("accountname") and has.get("accountkey")) and not (has.get("sharedaccesssignature") and has.get(endpoint.casefold())):
        return f"names neither AccountName and AccountKey nor {endpoint} and SharedAccessSignature"
    try:
        base64.b64decode(has.get("accountkey", ""), validate=True)
    except ValueError:
        return "has an AccountKey that is no base64"
    if bad_url(has.get(endpoint.casefold(), "")):
        return f"has a {endpoint} that is no address, or one without encryption"
    return ""


def bad_bus_connection(text: str) -> str:
    """What is wrong with a Service Bus connection string, in words that repeat none of it; empty where it is sound."""
    if not text:
        return ""
    pairs = [part.partition("=") for part in text.strip().rstrip(";").split(";")]
    has = {name.strip().casefold(): value.strip() for name, sign, value in pairs if sign}
    if len(has) < len(pairs):
        return "is no list of NAME=VALUE;"
    if not re.fullmatch(r"sb://[^/\s@?#]+/?", has.get("endpoint", ""), re.IGNORECASE):
        return "names no Endpoint=sb://HOST"
    if not (has.get("sharedaccesskeyname") and has.get("sharedaccesskey")) and not has.get("sharedaccesssignature"):
        return "names neither SharedAccessKeyName and SharedAccessKey nor SharedAccessSignature"
    return ""


def on_loopback(url: str) -> bool:
    """Whether a sound address is on this machine; an empty one means the stand-in, which is. A name that only looks like an address is not."""
    host = urlsplit(url).hostname or "127.0.0.1"
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
