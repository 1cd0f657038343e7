"""``joinery baseline``: the first day, on which nothing starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from joinery.cli.exits import WELL, finding
from joinery.cli.operate import user
from joinery.cli.options import settings_from
from joinery.cli.up import say
from joinery.cli.words import counted
from joinery.engine.operations import OperatorLog

if TYPE_CHECKING:
    from joinery.engine.baseline import Baseliner
    from joinery.settings import Settings


def take_in(data: str | None, policy: str | None) -> int:
    """Everybody in the directory. Raises ConfigurationError, or what the directory and the store raise."""
    from adapters.system import SystemClock, SystemRandomness

    settings = settings_from(data=data, policy=policy)
    with _opened(settings) as baseliner:
        log = OperatorLog(baseliner.tenant, store=baseliner.store, clock=SystemClock(), randomness=SystemRandomness())
        # The audit first: what is taken in can always be explained.
        log.record("baseline", "everybody who is there is taken in as they are", by=user())
        report = baseliner.run()
    say(f"Taken in as they are: {counted(report.taken_in, 'account')}, {report.in_groups} of them in a watched group. Nothing starts.")
    say(
        f"Decided on before and left as they are: {report.known}. Never acted upon (protected, shared, service, guest, unknown): {report.left_alone}."
    )
    if missing := baseliner.groups.missing():
        say(f"Not in the directory: {', '.join(missing)}.")
    return WELL


@contextmanager
def _opened(settings: Settings) -> Iterator[Baseliner]:
    """The directory and the store, and nothing else: it may be given before the first start, and beside what runs."""
    from adapters.graph.directory import GraphDirectory
    from adapters.system import SystemClock, SystemRandomness
    from joinery.addresses import with_addresses
    from joinery.engine.baseline import Baseliner
    from joinery.engine.breaker import Breaker, HeldBook
    from joinery.engine.gate import Gate
    from joinery.engine.groups import GroupBook
    from joinery.engine.partition import Partition
    from joinery.engine.policy_book import PolicyBook
    from joinery.engine.promotion import PromotionBook
    from wiring import graph_of, open_store, policy_of

    settings = with_addresses(settings)
    if not settings.graph_url:
        remedy = "Use https://graph.microsoft.com; where `joinery up` runs with its stand-in, name its data folder with --data."
        raise finding("JOINERY_GRAPH_URL", "is not set", remedy)
    policy, clock, randomness = policy_of(settings), SystemClock(), SystemRandomness()
    settings.data.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        store = open_store(settings)
        stack.callback(store.close)
        _, tokens, graph = graph_of(settings, clock)
        stack.callback(tokens.close)
        stack.callback(graph.close)
        directory = GraphDirectory(graph, clock=clock)
        breaker, held, promotions = Breaker(store=store, clock=clock, policy=policy.breaker), HeldBook(store), PromotionBook(store)
        yield Baseliner(
            tenant=settings.graph_tenant,
            open_partition=lambda name: Partition(name, store=store, queue=None, clock=clock, randomness=randomness),
            store=store,
            directory=directory,
            groups=GroupBook(policy.watched_groups, store=store, directory=directory, clock=clock),
            policies=PolicyBook(policy, store=store, clock=clock),
            gate=Gate(store=store, policy=policy, breaker=breaker, held=held, promotions=promotions, clock=clock),
            clock=clock,
        )
