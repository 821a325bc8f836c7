"""Every kind of every platform to every kind of every other: carried over real HTTP, or refused before it starts.

The pairs come from what the platforms declare, so a new platform joins by itself; what cannot be guessed (the words that
a target wants beyond what the source has) stands in ``NEEDS``, and a kind without a line there fails.
"""

from dataclasses import dataclass, field

import pytest
from berths import BERTHS, BOB, plain
from fleet import config_of, fleet

from daemon.app import PLATFORMS
from mapping.capability import REACH, Act
from mapping.model import Kind, Status
from mapping.problem import ConfigErrors

pytestmark = pytest.mark.speaks


@dataclass(frozen=True)
class Needs:
    """What a route into a kind needs, and where the target then shows what the source has to tell."""

    set: dict[str, str] = field(default_factory=dict)
    """``MOMENT`` stands for when a visit begins, ``TOLD`` for what the source has to tell, as a text."""
    keys: str = ""
    parent: str | None = None
    """A further route that brings what it stands under: its source's kind is the target's parent kind."""
    linked: bool = False
    """It is about a stay that exists there, and that a human links."""


ALLOW = "notify: allow"
NEEDS = {
    ("bookatu", Kind.BOOKINGS): Needs(
        {"serviceId": "'svc_abc123'", "startAt": "MOMENT"}, f"{ALLOW}, on_reschedule: cancel_and_create"
    ),
    ("nearbyassist", Kind.BOOKINGS): Needs({"serviceId": "'svc_1'", "startTime": "MOMENT"}, ALLOW),
    ("nicejob", Kind.PEOPLE): Needs(),
    ("nicejob", Kind.BOOKINGS): Needs({"scheduled_time": "MOMENT"}),
    ("nicejob", Kind.VISITS): Needs({"name": "TOLD", "scheduled_time": "MOMENT"}, parent="nicejob.bookings"),
    ("nicejob", Kind.ENROLMENTS): Needs({}, ALLOW, parent="nicejob.people"),
    ("nowistay", Kind.BOOKINGS): Needs({"notes": "TOLD"}, linked=True),
    ("nowistay", Kind.PARAMETERS): Needs({"key": "'visit'", "value": "TOLD"}, linked=True),
    ("nowistay", Kind.MISSIONS): Needs(
        {"missionType": "'cleaning'", "title": "TOLD", "scheduledAt": "MOMENT"}, linked=True
    ),
}
MOMENT = {
    ("nowistay", Kind.BOOKINGS): "at(booking.arrival, booking.check_in, booking.zone)",
    Kind.BOOKINGS: "booking.starts",
    Kind.REVIEWS: "review.created_at",
    Kind.PEOPLE: "null",
}
TOLD = {Kind.REVIEWS: "string(review.rating)", Kind.PEOPLE: "person.phone"}


def readable(platform, kind):
    return PLATFORMS[platform].stream_of(kind) is not None


def possible(source, target):
    """Whether something of one kind can become something of another, by what both platforms declare."""
    (here, kind), (there, wanted) = source, target
    spec = PLATFORMS[there].kinds[wanted]
    if not readable(here, kind) or not spec.acts:
        return False
    if kind is wanted:
        return here != there
    return spec.under is not None and kind in REACH[spec.under]


ENDS = [(name, kind) for name, platform in PLATFORMS.items() for kind in platform.kinds]
PAIRS = [(source, target) for source in ENDS for target in ENDS]
CAN = [pair for pair in PAIRS if possible(*pair)]
CANNOT = [pair for pair in PAIRS if not possible(*pair)]


def called(pair):
    return "-to-".join(f"{name}.{kind.value}" for name, kind in pair)


def worded(text, source):
    moment = MOMENT.get(source) or MOMENT[source[1]]
    return text.replace("TOLD", TOLD.get(source[1], f"string({moment})")).replace("MOMENT", moment)


def route(source, target, needs):
    """A line of the YAML."""
    given = ", ".join(f'{word}: "{worded(text, source)}"' for word, text in needs.set.items())
    ends = "from: {}.{}, to: {}.{}".format(*source, *target)
    return f"  - {{name: carried, {ends}, set: {{{given}}}{needs.keys and ', ' + needs.keys}}}\n"


DAYS = {Kind.REVIEWS: -2}
"""In how many days the visit is that something is about: a review is written after it."""


class Source:
    """Something of a kind that staff make, change and cancel, and what there is to tell of it."""

    def __init__(self, berth, kind):
        self.berth, self.kind = berth, kind
        self.visit = berth.book(DAYS.get(kind, 5))
        self.ref = berth.review(self.visit, 5) if kind is Kind.REVIEWS else self.visit
        self.phone = "+64 21 555 0100"
        self.rating = 5

    def change(self):
        if self.kind is Kind.REVIEWS:
            self.rating = 2
            self.berth.rate(self.ref, 2)
        elif self.kind is Kind.PEOPLE:
            self.phone = "+64 21 555 0177"
            self.berth.call(self.visit, self.phone)
        else:
            self.berth.move(self.visit, 7)

    @property
    def told(self):
        told = {Kind.REVIEWS: self.rating, Kind.PEOPLE: self.phone}
        return plain(told.get(self.kind) or self.berth.starts(self.visit).isoformat())


def shown(berth, kind):
    """What a target holds of a kind, each by what the source had to tell."""
    box = berth.box
    rows = {
        Kind.PEOPLE: lambda: [row["phone"] for row in berth.table("people").values()],
        Kind.VISITS: lambda: [row["name"] for row in berth.table("visits").values()],
        Kind.ENROLMENTS: lambda: [row["person_id"] for row in box.enrolments],
        Kind.PARAMETERS: lambda: [
            row["customParameters"]["visit"]
            for row in box.tables.bookings.values()
            if row["customParameters"]
        ],
        Kind.MISSIONS: lambda: [row["title"] for row in box.tables.missions.values()],
        Kind.BOOKINGS: lambda: [berth.starts(ref).isoformat() for ref in berth.live()],
    }
    if berth.platform == "nowistay" and kind is Kind.BOOKINGS:
        return [plain(row["notes"]) for row in box.tables.bookings.values()]
    return [plain(value) for value in rows[kind]()]


def tells(thing, berth, kind):
    """Whether the target holds what the source has to tell; that somebody is enrolled tells nothing of why."""
    return kind is Kind.ENROLMENTS or thing.told in shown(berth, kind)


async def stand(port, source, target, thing):
    """Let a human link the stay with the visit that is carried: no platform can make one there."""
    (here, kind), there = source, target[0]
    if here == there:
        return
    stay = port[there].book(DAYS.get(kind, 5))
    await port.cycle()
    assert all("no call that creates" in intent.problem for intent in await port.parked())
    await port.link(Kind.BOOKINGS, (here, thing.visit), (there, stay))
    if kind is Kind.REVIEWS and here == "nicejob":
        who = (await port.record(here, thing.visit)).fields["people"][0]
        guest = (await port.record(there, stay)).fields["people"][0]
        await port.link(Kind.PEOPLE, (here, who), (there, guest))


@pytest.mark.parametrize("pair", CAN, ids=called)
async def test_what_can_be_carried_is_made_changed_and_cancelled_once(tmp_path, pair):
    source, target = pair
    assert target in NEEDS, f"{target}: say in NEEDS what a route into it needs"
    needs = NEEDS[target]
    routes = route(source, target, needs)
    if needs.parent and source[0] != target[0]:
        routes = f"  - {{from: {source[0]}.{needs.parent.partition('.')[2]}, to: {needs.parent}}}\n" + routes

    def history(berths):  # a list that loses its only row is not believed
        berths[source[0]].book(9, BOB)

    async with fleet(tmp_path, routes, *dict.fromkeys((source[0], target[0])), before=history) as port:
        here, there = port[source[0]], port[target[0]]
        before = shown(there, target[1])
        thing = Source(here, source[1])
        done = await port.cycle()
        if needs.linked:
            await stand(port, source, target, thing)
            done = await port.cycle()
        assert (done["parked"], done["waiting"]) == (0, 0), await port.parked()
        assert tells(thing, there, target[1]), (thing.told, before)
        made = len(shown(there, target[1]))
        assert needs.linked or made > len(before)
        await port.settled()

        thing.change()
        done = await port.cycle()
        assert done["parked"] == 0, await port.parked()
        if Act.UPDATE in PLATFORMS[target[0]].kinds[target[1]].acts or "cancel_and_create" in needs.keys:
            assert tells(thing, there, target[1])
        assert len(shown(there, target[1])) == made, "nothing was made a second time"
        await port.settled()

        if source[1] is Kind.BOOKINGS and source[0] != "nicejob":  # which has no cancelled state
            here.cancel(thing.visit)
            done = await port.cycle()
            assert done["parked"] == 0, await port.parked()
            await port.settled()
            if target[1] is Kind.BOOKINGS and target[0] != "nowistay":
                assert thing.told not in shown(there, target[1])
            else:
                assert tells(thing, there, target[1]), "what cannot be cancelled there stays"


@pytest.mark.parametrize("pair", CANNOT, ids=called)
def test_what_cannot_be_carried_is_refused_with_the_reason(pair):
    source, target = pair
    needs = NEEDS.get(target)
    if needs is None or source[1] not in MOMENT:
        ends = "from: {}.{}, to: {}.{}".format(*source, *target)
        line = f"  - {{{ends}, notify: allow}}\n"
    else:
        line = route(source, target, needs)
    with pytest.raises(ConfigErrors) as refused:
        config_of(f"connections:\n{CONNECTIONS}routes:\n{line}")
    problems = [problem for problem in refused.value.errors if problem.line > CONNECTIONS.count("\n") + 1]
    assert problems
    for problem in problems:
        assert len(problem.message.split()) > 2, problem
        assert problem.remedy, problem


CONNECTIONS = """\
  bookatu: {platform: bookatu, slug: nails, api_key: k}
  nearbyassist: {platform: nearbyassist, api_key: k}
  nicejob: {platform: nicejob, client_id: a, client_secret: k, refresh_token: k}
  nowistay: {platform: nowistay}
"""


def test_every_platform_takes_part():
    assert set(BERTHS) == set(PLATFORMS)
    targets = {(name, kind) for name, kind in ENDS if PLATFORMS[name].kinds[kind].acts}
    assert targets <= set(NEEDS), "a kind that can be written needs a line"
    assert all(f"platform: {name}" in CONNECTIONS for name in PLATFORMS)
    sources = {name for (name, _), _ in CAN}
    assert sources == set(PLATFORMS), "something of every platform can be carried"


@pytest.mark.parametrize("source", [name for name in BERTHS if hasattr(BERTHS[name], "complete")])
async def test_a_visit_that_is_over_asks_nobody_unless_the_route_may_speak(tmp_path, source):
    line = route((source, Kind.BOOKINGS), ("nicejob", Kind.BOOKINGS), NEEDS["nicejob", Kind.BOOKINGS])
    async with fleet(tmp_path, line, source, "nicejob") as port:
        ref = port[source].book(1)
        await port.cycle()
        port[source].complete(ref)
        done = await port.cycle()
        assert (done["parked"], done["writes_loud"]) == (0, 0)
        (row,) = port["nicejob"].table("bookings").values()
        assert (row["complete"], "noreview" in row["tags"]) == (True, True)
        assert port["nicejob"].said() == []
        await port.settled()


def test_a_status_may_be_set_for_every_record():
    config = config_of(
        f"connections:\n{CONNECTIONS}routes:\n"
        "  - {from: bookatu.bookings, to: nicejob.bookings, set: {complete: '\"completed\"'}}\n"
        "  - {name: second, from: nearbyassist.bookings, to: nicejob.bookings, set: {status: '\"completed\"'}}\n"
    )
    assert [route.set["status"].evaluate for route in config.routes]
    assert Status.COMPLETED.value == "completed"
