"""Who is examined: settings and policy, and the sides that can be asked. The command puts it together; tests do it with the stand-ins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from joinery.errors import Finding

if TYPE_CHECKING:
    from joinery.domain.policy import Policy
    from joinery.engine.ports import Clock, MessageQueue, StateStore
    from joinery.settings import Settings


T = TypeVar("T")


class DirectoryApp(Protocol):
    """Our application in the directory. Every method raises TryLater or Refused."""

    def granted(self) -> frozenset[str] | None:
        """The application permissions that a token of ours carries; None where the token cannot be read."""

    def read_people(self) -> None:
        """Read one person, to see that it is allowed."""

    def read_groups(self) -> None:
        """Read one group."""

    def secret_ends(self, secret: str) -> datetime | None:
        """When the client secret ends, as far as it can be told from others; None where the application has none."""

    def certificate_end(self) -> datetime:
        """When the certificate that we sign in with ends, from its file."""

    def subscriptions(self, notification_url: str) -> Mapping[str, datetime]:
        """Resource -> when the subscription that points to this address ends."""


class DeskApp(Protocol):
    """Our application on the desk. Every method raises TryLater or Refused."""

    def sign_in(self) -> str:
        """Fetch a token and read who we are; gives the desk's release, empty where it does not say."""

    def scopes(self) -> frozenset[str] | None:
        """The scopes that the token has; None where the answer did not say."""

    def may_administer(self) -> bool:
        """Whether a list opens that only an administrator needs."""

    def has_field(self, name: str) -> bool:
        """Whether a custom field of this name can be seen."""

    def imported_groups(self) -> frozenset[str]:
        """Display names of the groups that the desk's own import maps."""


class Heard(Protocol):
    """What an address answered, and when."""

    @property
    def status(self) -> int:
        """Of HTTP."""

    @property
    def content_type(self) -> str:
        """The header; empty without one."""

    @property
    def body(self) -> str:
        """The text."""

    @property
    def date(self) -> datetime | None:
        """The header, aware; None without one that can be read."""

    @property
    def sent_at(self) -> datetime:
        """When it was asked, by our clock."""

    @property
    def took(self) -> timedelta:
        """Until the answer began."""


class Hearing(Protocol):
    """Plain HTTP to an address, without credentials. Raises TryLater where nobody answers."""

    def get(self, url: str) -> Heard:
        """GET, redirects not followed."""

    def post(self, url: str) -> Heard:
        """POST without a body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """Why one side cannot be asked from here."""

    why: str
    remedy: str


class NotAsked(Exception):
    """A check comes to a side that cannot be asked from here: it is skipped, and says why."""

    def __init__(self, side: Side) -> None:
        super().__init__(side.why)
        self.side = side


def asked(who: T | Side) -> T:
    """Whoever can be asked. Raises NotAsked."""
    if isinstance(who, Side):
        raise NotAsked(who)
    return who


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """Everything that can be asked."""

    settings: Settings
    policy: Policy
    clock: Clock
    hearing: Hearing
    #: What a deployment has to name, and nobody has set here.
    missing: tuple[Finding, ...] = ()
    store: StateStore | Side
    queue: MessageQueue | Side
    directory: DirectoryApp | Side
    #: The application that writes to the directory, where that is another one.
    writer: DirectoryApp | Side | None = None
    desk: DeskApp | Side
    #: Names of the policy that a side does not know.
    unknown_to_directory: Callable[[], list[Finding]]
    unknown_to_desk: Callable[[], list[Finding]]
    #: Whose clock -> an address that answers with a ``Date``, credentials or not.
    clocks: Mapping[str, str] = field(default_factory=dict)
    #: Where our functions are reached, without ``/api``; empty where nobody said so.
    public_url: str = ""
