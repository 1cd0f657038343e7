"""The ports of one worker process, with the weather in front of them: every call passes a gate, where the process may die or stand still."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from adapters.queues.messages import NewMessage
from joinery.domain.tickets import AddNote, AskApproval, EndTicket, EnsureUser, OpenTicket
from joinery.engine.memory import FakeClock, MemoryStateStore
from joinery.engine.ports import DeadLetter, Outgoing
from joinery.errors import OutcomeUnknown, QueueUnavailable, Refused, StoreUnavailable, TryLater
from tests.simulation import faults as f

if TYPE_CHECKING:
    from tests.simulation.world import Simulation

_STORE = ("read", "commit", "scan", "put_index", "delete_index", "list_index", "read_shared", "replace_shared")
_CUT_OFF = ("groups_of", "sessions_valid_from", "remove_member", "revoke_sessions")
_DIRECTORY = ("look", "resolve_groups", "people_delta", "groups_delta", "people_in", "people_among", "reports_of", *_CUT_OFF)


class ProcessClock:
    """The wall clock of our processes, which may be wrong; the monotonic one never is."""

    def __init__(self, true: FakeClock) -> None:
        self._true = true
        self.error = timedelta(0)

    def now(self) -> datetime:
        """What we take for now."""
        return self._true.now() + self.error

    def monotonic(self) -> float:
        """Seconds that passed."""
        return self._true.monotonic()


class Gated:
    """Wraps the named methods of a port: gate, weather, call, gate."""

    def __init__(self, simulation: Simulation, worker: str, port: str, inner: Any, methods: Iterable[str]) -> None:
        self._inner = inner
        for name in methods:
            setattr(self, name, self._wrapped(simulation, worker, f"{port}.{name}", getattr(inner, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _wrapped(self, simulation: Simulation, worker: str, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        gate = simulation.gate

        def call(*args: Any, **kwargs: Any) -> Any:
            gate(worker, name)
            try:
                return act(*args, **kwargs)
            finally:
                gate(worker, name, after=True)

        return call


def gated_store(simulation: Simulation, worker: str) -> Any:
    """The one store behind this process's gate."""
    return Gated(simulation, worker, "store", Store(simulation), _STORE)


def gated_directory(simulation: Simulation, worker: str) -> Any:
    """The directory behind this process's gate."""
    return Gated(simulation, worker, "directory", Directory(simulation), _DIRECTORY)


def gated_queue(simulation: Simulation, worker: str) -> Any:
    """The sending side of the queue behind this process's gate."""
    return Gated(simulation, worker, "queue", Queue(simulation), ("send",))


def gated_desk(simulation: Simulation, worker: str) -> Any:
    """The desk behind this process's gate."""
    return Gated(simulation, worker, "desk", Desk(simulation, worker), ("find", "find_similar", "read_back", "ticket_state", "awaiting"))


class Store:
    """The memory store, which may be out, or keep its answer to itself."""

    def __init__(self, simulation: Simulation) -> None:
        self._weather = simulation.weather
        self._inner: MemoryStateStore = simulation.store

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._weather.strikes(f.STORE_BLIP):
                raise StoreUnavailable("one call failed")
            return act(*args, **kwargs)

        setattr(self, name, call)
        return call

    def commit(self, commit: Any) -> str:
        """Atomic as ever; but the answer may be lost."""
        if self._weather.strikes(f.STORE_BLIP):
            raise StoreUnavailable("one call failed")
        etag = self._inner.commit(commit)
        if self._weather.strikes(f.COMMIT_REPLY_LOST):
            raise StoreUnavailable("it was committed, and the answer was lost")
        return etag


class Queue:
    """The sending side of the session queue."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def send(self, messages: Iterable[Outgoing]) -> None:
        """All of them, none of them, or some of them and then an error."""
        simulation = self._simulation
        batch = list(messages)
        weather = simulation.weather
        refused = weather.has(f.BUS_DOWN) or weather.has(f.BUS_REFUSES)
        if weather.has(f.BUS_TAKES_SOME) and simulation.chance(0.5):
            refused = True
            self._take(batch[: simulation.pick(len(batch) + 1)])
        if refused:
            raise QueueUnavailable("the bus does not answer")
        self._take(batch)

    def _take(self, batch: list[Outgoing]) -> None:
        simulation = self._simulation
        if batch:
            simulation.engine.send(
                NewMessage(body=one.body, session_id=one.session_id, message_id=simulation.message_id(), scheduled_for=one.not_before)
                for one in batch
            )

    def waiting(self) -> int | None:
        """Active messages."""
        return self._simulation.engine.counts().active

    def scheduled(self) -> int | None:
        """Scheduled messages."""
        return self._simulation.engine.counts().scheduled

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """What the bus gave up on."""
        dead = self._simulation.engine.dead_letters()
        return tuple(DeadLetter(id=str(one.sequence_number), body=one.body, reason=one.dead_letter_reason or "") for one in dead)

    def remove_dead_letter(self, letter_id: str) -> None:
        """Forget one."""
        self._simulation.engine.remove_dead_letter(int(letter_id))


class Directory:
    """Two replicas: one is up to date, the other lags while a window says so. Who answers is chance."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def __getattr__(self, name: str) -> Any:
        simulation = self._simulation
        fresh, late = getattr(simulation.fresh, name), getattr(simulation.late, name)
        if name in ("remove_member", "revoke_sessions"):
            return getattr(simulation.cutting, name)
        # A link belongs to the replica that gave it.
        linked = name.endswith("_delta")

        def call(*args: Any, **kwargs: Any) -> Any:
            weather = simulation.weather
            if weather.has(f.DIRECTORY_DOWN):
                raise TryLater("the directory does not answer", after=timedelta(seconds=5))
            if weather.has(f.DIRECTORY_REFUSES):
                raise Refused("the directory refuses")
            if linked:
                return (late if simulation.delta_is_late else fresh)(*args, **kwargs)
            stale = simulation.lagging and simulation.chance(0.5)
            if stale:
                simulation.count(f.STALE)
            return (late if stale else fresh)(*args, **kwargs)

        setattr(self, name, call)
        return call


@dataclass(frozen=True, kw_only=True, slots=True)
class Landing:
    """A write that reached the desk: when, what for, and whether nobody waited for it any longer."""

    at: float
    #: Class of the order.
    asks: str
    key: str
    #: The person whom the order names; empty where it names a ticket or a user of the desk.
    person: str
    #: Id of what was made or changed; empty for none.
    id: str
    #: It landed after its deadline.
    late: bool


class Desk:
    """The desk behind a network: asks and answers get lost, or come late."""

    def __init__(self, simulation: Simulation, worker: str) -> None:
        self._simulation = simulation
        self._worker = worker
        self.search_lag = simulation.desk.search_lag

    def find(self, order: Any, key: str, *, quick: bool = False, ours: str | None = None) -> Any:
        """As the desk has it."""
        self._reachable(reading=True)
        return self._simulation.desk.find(order, key, quick=quick, ours=ours)

    def find_similar(self, order: Any) -> Any:
        """As the desk has it."""
        self._reachable(reading=True)
        return self._simulation.desk.find_similar(order)

    def read_back(self, order: Any, key: str, result: Any) -> Any:
        """As the desk has it."""
        self._reachable(reading=True)
        return self._simulation.desk.read_back(order, key, result)

    def ticket_state(self, ticket_id: str) -> Any:
        """As the desk has it."""
        self._reachable(reading=True)
        return self._simulation.desk.ticket_state(ticket_id)

    def awaiting(self) -> Any:
        """As the desk has it."""
        self._reachable(reading=True)
        return self._simulation.desk.awaiting()

    def perform(self, order: Any, key: str, *, within: timedelta) -> Any:
        """Within its deadline, or not."""
        simulation = self._simulation
        # The deadline was reckoned before a process that now stands still can know. Whoever asks for less than no time gets no excuse.
        deadline = simulation.now + within.total_seconds() if within > timedelta(0) else float("inf")
        simulation.gate(self._worker, "desk.perform")
        try:
            return self._perform(order, key, deadline)
        finally:
            simulation.gate(self._worker, "desk.perform", after=True)

    def _perform(self, order: Any, key: str, deadline: float) -> Any:
        simulation, weather = self._simulation, self._simulation.weather
        self._reachable(reading=False)
        asks = type(order).__name__
        if simulation.now > deadline and not simulation.chance(0.3):
            raise OutcomeUnknown("the deadline passed while we stood still, and closed the socket")
        if weather.strikes(f.LOST_REQUEST, asks) or (weather.has(f.DESK_CUTS) and simulation.chance(0.3)):
            raise OutcomeUnknown("the connection was lost")
        late = weather.strikes(f.LANDS_LATE, asks)
        if late is not None:
            simulation.agenda.at(simulation.now + late.much, lambda: self._land_late(order, key, deadline))
            raise OutcomeUnknown("the connection was lost; it lands later")
        result = self._land(order, key, deadline)
        if weather.strikes(f.LOST_RESPONSE, asks) or (weather.has(f.DESK_CUTS) and simulation.chance(0.3)):
            raise OutcomeUnknown("the answer was lost")
        return result

    def _land(self, order: Any, key: str, deadline: float) -> Any:
        simulation = self._simulation
        result = simulation.desk.perform(order, key, within=timedelta(seconds=10))
        if isinstance(order, AskApproval):
            simulation.managers.asked(order.ticket_id, order.user_ids)
        person = order.person.id if hasattr(order, "person") else ""
        made = "" if getattr(result, "id", None) is None else str(result.id)
        if isinstance(order, (OpenTicket, EnsureUser, AddNote, EndTicket)) or made:
            landing = Landing(
                at=simulation.now, asks=type(order).__name__, key=key, person=person, id=made, late=simulation.now > deadline + 0.001
            )
            simulation.landings.append(landing)
            if landing.late:
                simulation.count("late landings")
        return result

    def _land_late(self, order: Any, key: str, deadline: float) -> None:
        try:
            self._land(order, key, deadline)
        except Refused:
            # What is refused by then simply never happens.
            return

    def _reachable(self, *, reading: bool) -> None:
        simulation, weather = self._simulation, self._simulation.weather
        if weather.has(f.DESK_DOWN):
            if not reading and simulation.chance(0.2):
                raise OutcomeUnknown("nobody answered in time")
            raise TryLater("the desk does not answer")
        throttled = weather.window(f.DESK_THROTTLES)
        if throttled is not None and simulation.chance(0.5):
            simulation.count(f.DESK_THROTTLES)
            raise TryLater("too many calls", after=timedelta(seconds=throttled.much))
        if weather.has(f.DESK_REFUSES) and simulation.chance(0.5):
            raise Refused("the desk says no")


class FastStore(MemoryStateStore):
    """The memory store, and for the oracle all that it holds."""

    def dump(self) -> dict[str, dict[str, Any]]:
        """Partition -> row name -> document."""
        return {name: {row: stored.document() for row, stored in rows.items()} for name, rows in self._partitions.items()}

    def dump_indexes(self) -> dict[str, dict[str, Any]]:
        """Index -> key -> document."""
        return {name: {key: stored.document() for key, stored in rows.items()} for name, rows in self._indexes.items()}

    def first_due(self) -> str | None:
        """The key of the earliest row of the due index."""
        return min(self._indexes.get("due", ()), default=None)

    def awaited(self) -> set[str]:
        """Partitions that wait for a moment."""
        return {stored.document()["partition"] for stored in self._indexes.get("due", {}).values()}

    def undecided(self) -> set[str]:
        """Partitions in which something waits for a person's word, and no open run for anything else."""
        found = set()
        for name, rows in self._partitions.items():
            head = rows["head"].document() if "head" in rows else {}
            runs = [rows[row].document() for row in rows if row.startswith("run.") and ".step." not in row]
            if (head.get("held") or head.get("rehearsed")) and all(run["waiting_for"].startswith("held: ") for run in runs):
                found.add(name)
        return found

    def has_words(self) -> bool:
        """Whether a person said something that is not carried out yet."""
        said = any(self._indexes.get(index) for index in ("promoted", "wanted-looks"))
        return said or any(stored.document()["decision"] for stored in self._indexes.get("held", {}).values())

    def unanswered(self) -> set[str]:
        """Tickets on whose approval somebody waits."""
        return set(self._indexes.get("approvals", ()))

    def has_open_runs(self) -> bool:
        """Whether the index of open runs has rows."""
        return bool(self._indexes.get("open-runs"))
