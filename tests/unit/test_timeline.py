"""The audit in words: what a reader of the live timeline gets to see."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from joinery.cli.outcome import Outcome, Row, table
from joinery.cli.screen import RichScreen
from joinery.cli.show import pauses_told
from joinery.cli.timeline import Timeline
from joinery.cli.words import Tone, counted, tell, words_for
from joinery.domain.events import Joined, Left, LeftHow, Moved, RolesChanged
from joinery.engine import codec
from joinery.engine.audit import AuditRecord
from joinery.engine.memory import DEFAULT_START, FakeClock, MemoryQueue, MemoryStateStore, SeededRandomness
from joinery.engine.parking import ParkingLot
from joinery.engine.partition import Partition
from joinery.engine.readside import ReadSide

WHO = "local|person:0001"


def record(action: str, why: str = "", *, run: str = "joiner-1-1-live-abc", step: str = "", seq: int = 1, **detail: object) -> AuditRecord:
    return AuditRecord(seq=seq, at=DEFAULT_START, action=action, why=why, run=run, step=step, detail=dict(detail))


class World:
    """A store with one person's partition, and a timeline over it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.store = MemoryStateStore()
        self.queue = MemoryQueue(self.clock)
        self.randomness = SeededRandomness()
        self.timeline = Timeline(ReadSide(self.store, ParkingLot(self.store, clock=self.clock, randomness=self.randomness)))

    def happens(self, *actions: str, to: str = WHO) -> None:
        partition = Partition(to, store=self.store, queue=self.queue, clock=self.clock, randomness=self.randomness)
        for action in actions:
            partition.audit(action, "because", run="joiner-1-1-live-abc", step="open the ticket")
        partition.commit()

    def news(self) -> list[str]:
        return [line.text for line in self.timeline.news()]


def test_a_step_that_was_done_and_read_back_at_once_is_one_line() -> None:
    done = record("step done", step="open the ticket", result={"id": "12", "url": "", "how": "created"})
    seen = record("step verified", "ticket 12 is there", step="open the ticket", seq=2)
    (line,) = tell([done, seen], "Ada")
    assert line.text == "open the ticket: ticket 12 created, read back"
    assert (line.who, line.tone) == ("Ada", Tone.DONE)


def test_a_read_back_that_comes_later_is_a_line_of_its_own() -> None:
    (line,) = tell([record("step verified", "ticket 12 is there", step="open the ticket")], "Ada")
    assert line.text == "open the ticket: read back, ticket 12 is there"


def test_a_fact_and_the_run_that_it_starts_are_one_line() -> None:
    fact = record("fact", "the account was disabled", run="", fact=codec.tag(Left(how=LeftHow.DISABLED)), identity={})
    lines = tell([fact, record("run started", workflow="leaver")], "Ada")
    assert [line.text for line in lines] == ["has left: the account was disabled; leaver begins"]


def test_a_fact_without_a_recipe_says_that_nothing_starts() -> None:
    text, _ = words_for(record("fact", "no recipe", fact=codec.tag(Moved(fields=("department", "job_title")))))
    assert text == "moved (department, job title); recorded, nothing starts (no recipe)"
    text, _ = words_for(record("fact", "no recipe", fact=codec.tag(RolesChanged(gained=("A",), lost=("B",)))))
    assert text == "roles changed: gained A and lost B; recorded, nothing starts (no recipe)"


def test_two_facts_of_one_look_keep_their_lines() -> None:
    first = record("fact", "x", run="", fact=codec.tag(Joined()), identity={})
    other = record("fact", "no recipe", run="", fact=codec.tag(RolesChanged(gained=("A",))))
    assert len(tell([first, record("run started", workflow="joiner"), other], "Ada")) == 2


def test_intents_and_looks_that_mean_nothing_are_not_shown() -> None:
    assert tell([record("step intended", step="x"), record("nothing", "as before")], "Ada") == []


def test_what_went_wrong_is_told_as_wrong() -> None:
    for action in ("step unverified", "step failed", "alert", "run failed", "run unverified", "twin found"):
        assert words_for(record(action, "because", step="x"))[1] is Tone.WRONG, action


def test_an_action_that_nobody_foresaw_is_shown_as_it_is() -> None:
    assert words_for(record("vote counted", "of the manager", step="ask"))[0] == "vote counted: ask: of the manager"


def test_news_are_told_once() -> None:
    world = World()
    world.happens("left alone")
    assert world.news() == ["left alone, because"]
    assert world.news() == []
    world.happens("nothing", "waiting")
    assert world.news() == ["because"]


def test_what_was_skipped_is_no_news_and_what_comes_later_is() -> None:
    world = World()
    world.happens("left alone")
    world.timeline.skip()
    assert world.news() == []
    world.happens("waiting", to="local|person:0002")
    world.happens("alert")
    assert sorted(world.news()) == ["alert: open the ticket: because", "because"]


def row(**changes: object) -> Row:
    plain = {
        "who": "Ada",
        "workflow": "joiner",
        "ticket": "1",
        "done": 3,
        "steps": 3,
        "verified": 3,
        "adopted": 0,
        "ended": "verified",
        "wrong": "",
    }
    return Row(**(plain | changes))  # type: ignore[arg-type]  # the fields of Row


def test_an_outcome_is_well_only_if_every_row_is() -> None:
    assert Outcome(rows=(row(), row()), checks_due=()).well
    assert not Outcome(rows=(row(), row(wrong="no run")), checks_due=()).well
    assert not Outcome(rows=(), checks_due=()).well


def test_the_table_says_below_a_row_what_is_wrong_with_it_and_lists_the_checks_to_come() -> None:
    lines = table(Outcome(rows=(row(), row(who="Bo", ended="failed", wrong="the desk has 2 tickets")), checks_due=(DEFAULT_START,)))
    assert any("✗ the desk has 2 tickets" in line for line in lines)
    assert "Still due: 1 twin check," in lines[-1]
    assert max(map(len, lines)) <= 100


def heading(text: str, width: int) -> list[str]:
    printed = StringIO()
    RichScreen(Console(file=printed, width=width)).heading(text)
    return printed.getvalue().strip().splitlines()


def test_a_heading_that_is_too_long_ends_before_its_rule_begins() -> None:
    first, second, *others = heading("Network: the desk's next answer will get lost; does a second ticket appear?", 60)
    assert first == "Network: the desk's next answer will get lost; does a"
    assert second.startswith("second ticket appear? ───") and len(second) == 60
    assert others == []
    (line,) = heading("A first day at Contoso", 60)
    assert line.startswith("A first day at Contoso ───") and len(line) == 60


def test_one_is_said_of_one() -> None:
    assert [counted(number, "run") for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert words_for(record("run verified", steps=1))[0] == "joiner is done: its one step read back"
    assert words_for(record("run verified", steps=3))[0] == "joiner is done: all 3 steps read back"


def test_whoever_watches_is_told_what_is_paused_and_how_to_end_it() -> None:
    assert pauses_told({"leaver": "the year's end", "*": "an upgrade"}) == [
        "Paused: all workflows (an upgrade). `joinery resume` ends it.",
        "Paused: leaver (the year's end). `joinery resume leaver` ends it.",
    ]
    assert pauses_told({}) == ["Nothing is paused any more."]
