"""The audit in words: what a reader of the live timeline gets to see."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from joinery.cli.outcome import Outcome, Row, table
from joinery.cli.screen import RichScreen
from joinery.cli.show import held_told, pauses_told
from joinery.cli.timeline import Timeline
from joinery.cli.words import Tone, counted, tell, words_for
from joinery.domain.events import Joined, Left, LeftHow, Moved, RolesChanged
from joinery.domain.tickets import AgentRef, NoteRef, RolesRef, RoundRef, TicketRef, UserRef
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


def test_what_is_held_is_neither_done_nor_wrong_and_has_no_count_of_steps() -> None:
    held = row(ticket="", done=0, steps=0, verified=0, ended="held: a person decides", held=True)
    found = Outcome(rows=(row(), held, held), checks_due=())
    assert (found.well, found.held) == (True, 2)
    lines = [line for line in table(found) if "held: a person decides" in line]
    assert len(lines) == 2 and not any(" of " in line for line in lines)
    assert not Outcome(rows=(replace(held, wrong="held, and the desk has 1 ticket (7)"),), checks_due=()).well


def test_whoever_watches_is_told_what_is_held_and_which_commands_decide() -> None:
    one = row(held=True, ended="held: a person decides")
    assert held_told(Outcome(rows=(row(),), checks_due=())) == []
    said = held_told(Outcome(rows=(one,), checks_due=()), " --data elsewhere")
    assert said[1] == "The breaker holds 1 change: nothing was done about it. A person decides:"
    assert said[2] == "  joinery held list --data elsewhere" and said[3].endswith(' --reason "HR confirms" --data elsewhere')
    assert "holds 2 changes: nothing was done about them" in held_told(Outcome(rows=(one, one), checks_due=()))[1]


def test_what_the_desk_shows_besides_stands_below_its_row_and_above_what_is_wrong() -> None:
    shows = "roles on the desk before the answer: none; now: Change Manager"
    first, *more = table(Outcome(rows=(row(workflow="role_change", shows=shows, wrong="failed: x"), row(who="Bo")), checks_due=()))[2:]
    assert first.startswith("Ada") and shows not in first
    assert [line.strip() for line in more[:2]] == [shows, "✗ failed: x"] and more[2].startswith("Bo")
    assert not any("✗" in line for line in table(Outcome(rows=(row(shows=shows),), checks_due=())))


ASKS = "get the approval for ITSM-ChangeManagers"


def test_an_approval_is_told_from_the_question_to_the_answer() -> None:
    def said(action: str, why: str = "", **detail: object) -> tuple[str, Tone]:
        return words_for(record(action, why, run="role_change-1-1-live-abc", step=ASKS, **detail))

    assert said("approval asked", users=["7", "8"]) == (f"{ASKS}: user 7, 8 is asked, and nothing is given before the answer", Tone.WAITING)
    assert said("approval reminder", count=1) == (f"{ASKS}: nobody has answered yet, and whoever is asked is reminded", Tone.WAITING)
    assert said("approval escalated", to=["eve"])[0] == f"{ASKS}: nobody has answered yet; the next manager up is asked too"
    assert said("approval escalated", to=[])[0] == f"{ASKS}: nobody has answered yet; there is no other manager to ask"
    assert said("approval not counted", "no person gave it") == (f"{ASKS}: no person gave it", Tone.CAREFUL)
    assert said("approval too late", "user 7 refused it after the end") == (f"{ASKS}: user 7 refused it after the end", Tone.CAREFUL)
    assert said("approval decided", "timed out: nobody") == (f"{ASKS}: timed out: nobody", Tone.NEWS)
    assert said("role decided", "ITSM-ChangeManagers: granted")[0] == "the role of ITSM-ChangeManagers: granted"


def test_an_answer_and_what_was_decided_by_it_are_one_line_and_a_search_for_an_approver_is_none() -> None:
    sought = record("approver sought", "bob: is asked", step=ASKS)
    for answer in ("approval approved", "approval refused"):
        given = record(answer, "User 7 said so.", step=ASKS, seq=2)
        decided = record("approval decided", "approved: User 7 said so.", step=ASKS, seq=3)
        assert [line.text for line in tell([sought, given, decided], "Ada")] == [f"{ASKS}: User 7 said so."]
    # Where nobody answered, it is told by itself.
    assert len(tell([record("approval decided", "timed out: nobody", step=ASKS)], "Ada")) == 1


def test_a_hold_and_its_alert_are_one_line_and_its_end_is_another() -> None:
    held = record("held", "5 an hour may leave", run="")
    alert = record("alert", "leaver is held", run="", seq=2)
    ended = record("hold ended", "it is no longer so; nothing was done", run="", seq=3)
    lines = tell([held, alert, ended], "Ada")
    assert [line.text for line in lines] == [
        "held by the breaker: 5 an hour may leave; somebody is alerted",
        "no longer held: it is no longer so; nothing was done",
    ]
    assert [line.tone for line in lines] == [Tone.UNTOUCHED, Tone.NEWS]
    assert len(tell([held, record("step done", step="x", seq=2), alert], "Ada")) == 3, "another alert is a line of its own"


def test_a_failed_run_that_goes_on_is_told() -> None:
    assert words_for(record("run reopened", "somebody decided that it goes on"))[0] == "joiner goes on: somebody decided that it goes on"
    assert words_for(record("run not reopened", "the membership has ended")) == (
        "joiner cannot go on: the membership has ended",
        Tone.CAREFUL,
    )


def test_what_came_of_a_step_is_told_by_what_it_returned() -> None:
    results = {
        "agent 5 has Change Manager, Service Desk": RolesRef(id="5", roles=("Change Manager", "Service Desk"), foreign=("Auditor",)),
        "agent 5 has no role": RolesRef(id="5"),
        "there is no agent": RolesRef(id=None),
        "approval on ticket 12 begun": RoundRef(ticket_id="12", number="3"),
        "note on ticket 12": NoteRef(ticket_id="12", id="1"),
        "ticket 12 closed": TicketRef(id="12", how="closed"),
        "agent 5": AgentRef(ids=("5",)),
        "user 7 found": UserRef(id="7"),
        "there is none": UserRef(id=None, how="absent"),
    }
    for text, result in results.items():
        assert words_for(record("step done", step="x", result=codec.to_document(result)))[0] == f"x: {text}"


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
