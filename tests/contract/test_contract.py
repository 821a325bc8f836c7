"""The promises of ``connectors/base.py``, each with its test, over all connectors that are registered or enrolled."""

import importlib.util
import json
from pathlib import Path

import pytest

from connectors.budget import Lane
from connectors.errors import (
    BadAnswer,
    Conflict,
    NeedsHuman,
    OutcomeUnknown,
    PlatformError,
    Refused,
    TryLater,
    Unverified,
)
from mapping.capability import Act, Voice
from mapping.identity import marks_in
from tests.contract.enrolled import CONNECTORS
from tests.contract.surround import connected, everything, raised, walk

pytestmark = pytest.mark.speaks

HERE = Path(__file__).parent


def has_fixture(name):
    return (HERE / f"{name}_fixture.py").exists()


def fixture_of(name):
    spec = importlib.util.spec_from_file_location(f"{name}_fixture", HERE / f"{name}_fixture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Case:
    def __init__(self, name, **options):
        self.connector = CONNECTORS[name]
        self.its = fixture_of(name)
        self.box = self.its.sandbox(**options)

    def open(self, **options):
        return connected(self.connector, self.box, lambda url: self.its.settings(self.box, url), **options)

    def door(self, kind=None, act=None):
        """Method and path of the call that a write makes; without a kind: of most of them."""
        return getattr(self.its, "WRITE_CALLS", {}).get((kind, act), ("POST", self.its.WRITE_PATH))

    def applied(self, kind=None, act=None):
        return self.box.calls(*self.door(kind, act), applied=True)

    def sent(self):
        """All writes that were tried: everything but looks."""
        return [call for call in self.box.calls(None, self.its.WRITE_PATH) if call.method != "GET"]

    def path(self, kind):
        return self.its.LISTS[kind] + "$"


TESTED = sorted(name for name in CONNECTORS if has_fixture(name))


def over(rows):
    """Parametrise over (connector, what a row of it gives)."""
    return [(name, *row) for name in TESTED for row in rows(name)]


def streams(name):
    return [(kind,) for kind in CONNECTORS[name].streams]


def acts(name):
    return [
        (kind, act, voice)
        for kind, spec in CONNECTORS[name].platform.kinds.items()
        for act, voice in spec.acts.items()
    ]


each = pytest.mark.parametrize("name", TESTED)
each_stream = pytest.mark.parametrize(("name", "kind"), over(streams))


@pytest.mark.parametrize("name", sorted(CONNECTORS))
def test_every_connector_has_a_fixture(name):
    assert has_fixture(name), (
        f"write tests/contract/{name}_fixture.py: without it nothing of {name} is tested"
    )


@each
def test_the_fixture_knows_all_that_the_connector_declares(name):
    connector, its = CONNECTORS[name], fixture_of(name)
    assert {(kind, act) for kind, act, _ in acts(name)} == set(its.WRITES)
    assert set(its.LISTS) == set(its.OPTIONAL) == set(its.BROKEN) == set(connector.streams)
    assert set(connector.streams) == {kind for kind, spec in connector.platform.kinds.items() if spec.listed}


# 1. pull.


@each_stream
async def test_pull_shows_each_record_with_its_id_and_says_when_it_was_asked(name, kind):
    case = Case(name)
    wanted = case.its.seed(case.box, kind, 45)
    async with case.open() as connector:
        begun = int(case.box.clock.time() * 1000)
        pages = await walk(connector, kind)
        ended = int(case.box.clock.time() * 1000)
    seen = [one for page in pages for one in page.observations]
    assert {one.ref for one in seen} == wanted
    assert len(seen) == len(wanted)
    assert not any(page.rejected for page in pages)
    for page in pages:
        assert begun <= page.asked_at <= ended
        assert {one.asked_at for one in page.observations} <= {page.asked_at}
    assert all(one.kind is kind and str(json.loads(one.raw)["id"]) == one.ref for one in seen)
    assert not case.sent()


@each_stream
@pytest.mark.parametrize("fault", ["empty_list", "half_list"])
async def test_a_list_that_lost_rows_claims_no_more_than_the_documents(name, kind, fault):
    case = Case(name)
    case.its.seed(case.box, kind, 10)
    async with case.open() as connector:
        case.box.fault(fault, "GET", case.path(kind))
        page = await connector.pull(kind, None)
        assert not page.coverage.complete
        now = case.box.now()
        for status in ("cancelled", "completed", "no_show", "unknown"):
            assert not page.coverage.shows({"status": status, "starts": OPEN_LATER})
        assert not page.coverage.shows({"status": "confirmed", "starts": now.isoformat()})
        assert not page.coverage.shows({"status": "confirmed"})


OPEN_LATER = "2026-06-09T21:00:00.000Z"


@each_stream
@pytest.mark.parametrize(
    ("fault", "options", "error"),
    [
        ("drop", {}, TryLater),
        ("cut", {}, TryLater),
        ("hang_after", {"seconds": 600}, TryLater),
        ("truncated", {}, BadAnswer),
        ("html", {}, BadAnswer),
        ("redirect", {}, BadAnswer),
        ("error", {"status": 400}, BadAnswer),
        ("error", {"status": 401}, NeedsHuman),
        ("error", {"status": 403}, NeedsHuman),
        ("error", {"status": 404}, NeedsHuman),
        ("error", {"status": 429, "retry_after": "600"}, TryLater),
        ("error", {"status": 500}, TryLater),
        ("error", {"status": 200, "body": {"surprise": 1}}, BadAnswer),
        ("error", {"status": 200, "body": []}, BadAnswer),
    ],
)
async def test_a_list_that_fails_says_what_to_do_next(name, kind, fault, options, error):
    case = Case(name)
    case.its.seed(case.box, kind, 3)
    async with case.open(time_limit=0.15 if fault == "hang_after" else 20) as connector:
        await connector.account()
        case.box.fault(fault, "GET", case.path(kind), times=None, **options)
        caught = await raised(connector.pull(kind, None), error)
    if error is NeedsHuman:
        assert caught.remedy
    if options.get("retry_after"):
        assert caught.retry_at > case.box.clock.time() * 1000 + 500_000


@each_stream
async def test_a_passing_failure_of_a_list_is_repeated(name, kind):
    case = Case(name)
    wanted = case.its.seed(case.box, kind, 3)
    async with case.open() as connector:
        case.box.fault("error", "GET", case.path(kind), times=2, status=503)
        assert {seen.ref for seen in await everything(connector, kind)} == wanted


def fetched(name):
    connector = CONNECTORS[name]
    return [(kind,) for kind in connector.streams if connector.platform.kinds[kind].fetched]


@pytest.mark.parametrize(("name", "kind"), over(fetched))
async def test_a_single_record_is_asked_for_in_the_lane_of_whoever_asks(name, kind):
    case = Case(name)
    ref = min(case.its.seed(case.box, kind, 3))
    async with case.open() as connector:
        await connector.account()
        for how, lane in (((), Lane.HOOK), ((Lane.POLL,), Lane.POLL)):
            connector.around.budget.lanes.clear()
            assert (await connector.fetch(kind, ref, *how)).ref == ref
            assert set(connector.around.budget.lanes) == {lane}


# 2. Absent is not null.


@each_stream
async def test_absent_is_not_null(name, kind):
    case = Case(name)
    case.its.seed(case.box, kind, 3)
    theirs, ours = case.its.OPTIONAL[kind]
    async with case.open() as connector:
        absent, null, value = (json.loads(seen.raw) for seen in (await everything(connector, kind))[:3])
        del absent[theirs]
        null[theirs] = None
        value[theirs] = "2026-06-09T21:00:00.000Z"
        body = case.its.listing(kind, [absent, null, value])
        case.box.fault("error", "GET", case.path(kind), status=200, body=body)
        first, second, third = (await connector.pull(kind, None)).observations
    assert ours not in first.fields.fields()
    assert second.fields.fields()[ours] is None
    assert third.fields.fields()[ours] == "2026-06-09T21:00:00.000Z"


@each_stream
async def test_a_row_of_nothing_but_what_it_needs_shows_nothing_else(name, kind):
    case = Case(name)
    case.its.seed(case.box, kind, 1)
    async with case.open() as connector:
        row = json.loads((await everything(connector, kind))[0].raw)
        bare = {key: row[key] for key in ("id", "startAt", "startTime") if key in row} | {
            "added_in_version_9": {"x": [1]}
        }
        case.box.fault("error", "GET", case.path(kind), status=200, body=case.its.listing(kind, [bare]))
        (seen,) = (await connector.pull(kind, None)).observations
    assert set(seen.fields.fields()) <= {"starts", "zone"}
    assert json.loads(seen.raw) == bare, "unknown fields are kept"


# 3. One bad row.


@each_stream
async def test_a_malformed_row_is_rejected_and_the_other_99_arrive(name, kind):
    case = Case(name)
    case.its.seed(case.box, kind, 100)
    async with case.open() as connector:
        rows = [json.loads(seen.raw) for seen in await everything(connector, kind)][:100]
        rows[37] |= case.its.BROKEN[kind]
        case.box.fault("error", "GET", case.path(kind), status=200, body=case.its.listing(kind, rows))
        page = await connector.pull(kind, None)
    assert len(page.observations) == 99
    (rejected,) = page.rejected
    assert rejected.ref == str(rows[37]["id"])
    assert rejected.reason
    assert "planted" not in rejected.reason
    assert json.loads(rejected.raw) == rows[37]


@each_stream
@pytest.mark.parametrize("junk", [None, 7, "text", [], {}, {"id": None}, {"id": True}, {"id": {"x": 1}}])
async def test_no_junk_between_the_rows_stops_the_others(name, kind, junk):
    case = Case(name)
    case.its.seed(case.box, kind, 2)
    async with case.open() as connector:
        rows = [json.loads(seen.raw) for seen in await everything(connector, kind)]
        body = case.its.listing(kind, [junk, *rows])
        case.box.fault("error", "GET", case.path(kind), status=200, body=body)
        page = await connector.pull(kind, None)
    assert [seen.ref for seen in page.observations] == [str(row["id"]) for row in rows]
    assert [rejected.ref for rejected in page.rejected] == ["row 1"]
    assert not page.coverage.complete
    assert not page.coverage.shows({"status": "confirmed", "starts": OPEN_LATER})


@each_stream
async def test_no_value_of_any_field_breaks_a_page(name, kind):
    case = Case(name)
    case.its.seed(case.box, kind, 1)
    odd = [None, True, 0, -1, 1e300, 10**18, "", " ", "x" * 10_000, "\u0000", [], [1], [None], {}, {"a": {}}]
    async with case.open() as connector:
        row = json.loads((await everything(connector, kind))[0].raw)
        rows = [
            {**row, "id": f"{key}{i}", key: value}
            for key in row
            if key != "id"
            for i, value in enumerate(odd)
        ]
        case.box.fault("error", "GET", case.path(kind), status=200, body=case.its.listing(kind, rows))
        page = await connector.pull(kind, None)
    assert len(page.observations) + len(page.rejected) == len(rows)


# 4. write: three outcomes, sent once.

WRITE_FAULTS = [
    ("lost_answer", {}, OutcomeUnknown, 1),
    ("lost_answer", {"reset": True}, OutcomeUnknown, 1),
    ("drop", {}, OutcomeUnknown, 0),
    ("error_after", {"status": 500}, OutcomeUnknown, 1),
    ("hang_after", {"seconds": 600}, OutcomeUnknown, 1),
    ("truncated", {}, OutcomeUnknown, 1),
    ("cut", {}, OutcomeUnknown, 1),
    ("html", {}, OutcomeUnknown, 0),
    ("redirect", {}, OutcomeUnknown, 0),
    ("error", {"status": 500}, OutcomeUnknown, 0),
    ("error", {"status": 502}, OutcomeUnknown, 0),
    ("error", {"status": 400}, Refused, 0),
    ("error", {"status": 422}, Refused, 0),
    ("error", {"status": 409}, Conflict, 0),
    ("error", {"status": 401}, NeedsHuman, 0),
    ("error", {"status": 403}, NeedsHuman, 0),
    ("error", {"status": 429, "retry_after": "600"}, TryLater, 0),
    ("error", {"status": 429}, TryLater, 0),
    ("error", {"status": 200, "body": {"surprise": 1}}, OutcomeUnknown, 0),
]
DOUBTS = [row for row in WRITE_FAULTS if row[2] is OutcomeUnknown]


def writes(name):
    return [(kind, act) for kind, act, _ in acts(name)]


@pytest.mark.parametrize(("fault", "options", "error", "applied"), WRITE_FAULTS)
@pytest.mark.parametrize(("name", "kind", "act"), over(writes))
async def test_a_write_has_three_outcomes_and_is_sent_once(
    name, kind, act, fault, options, error, applied, caplog
):
    case = Case(name)
    async with case.open(time_limit=0.15 if fault == "hang_after" else 20) as connector:
        write = case.its.write(case.box, kind, act)
        await connector.account()
        case.box.fault(fault, *case.door(kind, act), times=None, **options)
        caught = await raised(connector.write(write), error)
    assert len(case.applied(kind, act)) == applied
    if error is not TryLater:
        assert len(case.box.calls(*case.door(kind, act))) == 1
    if error is NeedsHuman:
        assert caught.remedy
    silent_about(case, caught, caplog)


@pytest.mark.parametrize(("name", "kind", "act"), over(writes))
async def test_a_write_that_was_turned_away_may_be_sent_again(name, kind, act):
    case = Case(name)
    async with case.open() as connector:
        write = case.its.write(case.box, kind, act)
        case.box.fault("error", *case.door(kind, act), status=429, retry_after="2")
        seen = await connector.write(write)
    assert len(case.applied(kind, act)) == 1
    assert seen.kind is kind
    assert seen.ref


@pytest.mark.parametrize(("name", "kind", "act"), over(writes))
async def test_a_write_gives_what_the_answer_shows(name, kind, act):
    case = Case(name)
    async with case.open() as connector:
        write = case.its.write(case.box, kind, act)
        begun = int(case.box.clock.time() * 1000)
        seen = await connector.write(write)
        assert begun <= seen.asked_at <= case.box.clock.time() * 1000
        assert write.ref in {None, seen.ref}
        assert seen.fields.fields()
        assert json.loads(seen.raw)


# 5. Silence.


@pytest.mark.parametrize(("name", "kind", "act", "voice"), over(acts))
async def test_a_silent_write_never_speaks(name, kind, act, voice):
    case = Case(name)
    async with case.open() as connector:
        write = case.its.write(case.box, kind, act, loud=False)
        if voice is Voice.LOUD:
            await raised(connector.write(write), Refused)
            assert not case.sent()
        else:
            await connector.write(write)
            assert len(case.applied(kind, act)) == 1
    assert case.its.spoken(case.box) == []


@pytest.mark.parametrize(("name", "kind", "act", "voice"), over(acts))
async def test_a_loud_write_speaks_once_where_it_can(name, kind, act, voice):
    case = Case(name)
    async with case.open() as connector:
        await connector.write(case.its.write(case.box, kind, act, loud=True))
    assert len(case.its.spoken(case.box)) == (0 if voice is Voice.SILENT else 1)


# 6. find.


def seeable(connector, kind):
    """Whether the platform shows records of a kind at all."""
    spec = connector.platform.kinds[kind]
    return spec.listed or spec.fetched or spec.inside is not None


@pytest.mark.parametrize(("fault", "options", "error", "applied"), DOUBTS)
@pytest.mark.parametrize(("name", "kind"), [row[:2] for row in over(writes) if row[2] is Act.CREATE])
async def test_find_shows_what_a_write_of_unknown_outcome_left(name, kind, fault, options, error, applied):
    case = Case(name)
    async with case.open(time_limit=0.3 if fault == "hang_after" else 20) as connector:
        write = case.its.write(case.box, kind, Act.CREATE)
        await connector.account()
        case.box.fault(fault, *case.door(kind, Act.CREATE), **options)
        await raised(connector.write(write), error)
        case.box.clear_requests()
        if not seeable(connector, kind):
            await raised(connector.find(write), Refused)
            assert not case.sent(), "what cannot be seen is not sent again"
            return
        found = await connector.find(write)
        assert len(found) == applied
        if connector.platform.kinds[kind].marked_in:
            assert all(write.mark in marks_in(seen.fields.fields()) for seen in found)
        assert not case.sent(), "find only looks"


@pytest.mark.parametrize(("name", "kind", "act"), [row for row in over(writes) if row[2] is not Act.CREATE])
async def test_find_shows_the_record_that_a_write_is_about(name, kind, act):
    case = Case(name)
    async with case.open() as connector:
        write = case.its.write(case.box, kind, act)
        (found,) = await connector.find(write)
        assert found.ref == write.ref


# 7. verify.


@each
async def test_verify_accepts_only_what_was_signed_and_is_fresh(name):
    case = Case(name)
    async with case.open() as connector:
        now = int(case.box.clock.time())
        for age in (-280, 0, 280):
            connector.verify(*case.its.signed(case.box, "right", now - age), ("other", "right"))
        assert connector.dated_hooks or connector.hints_only, "an old webhook must not bring old content back"
        for age in (-320, 320, now) if connector.dated_hooks else ():
            caught = await raised(
                unverified(connector, *case.its.signed(case.box, "right", now - age)), Unverified
            )
            assert caught.why == "stale"
        headers, body = case.its.signed(case.box, "wrong", now)
        assert (await raised(unverified(connector, headers, body), Unverified)).why == "signature"
        headers, body = case.its.signed(case.box, "right", now)
        for changed in (
            body.replace(b"_1", b"_2"),
            body[:-1],
            b"",
            b"null",
            b"[]",
            b"[" * 990 + b"]" * 990,
            b"\xff",
        ):
            await raised(unverified(connector, headers, changed), Unverified)
        with pytest.raises(Unverified):
            connector.verify(headers, body, ())


async def unverified(connector, headers, body):
    connector.verify(headers, body, ("right",))


@each
async def test_an_event_says_what_it_is_about(name):
    case = Case(name)
    async with case.open() as connector:
        now = case.box.clock.time()
        headers, body = case.its.signed(case.box, "right", int(now))
        event = connector.read_event(headers, body, int(now * 1000))
        assert (event.kind, event.ref) == case.its.HINT
        if event.observation:
            assert event.observation.asked_at <= int(now * 1000)
        assert connector.event_key(body) == connector.event_key(bytes(body))


@each
@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"null", b"x", b'{"payload":{}}', b'{"event":"booking.created"}']
)
async def test_a_malformed_event_is_a_value_error(name, body):
    async with Case(name).open() as connector:
        with pytest.raises(ValueError, match=r"."):
            connector.read_event({}, body, 0)


# 8. Secrets and contact data.

PLANTED = ("planted@guest.example", "Guestname", "555 0199", "planted-token-9f8e7d6c5b4a39281706")


def silent_about(case, error, caplog):
    text = f"{error} {error!r} {getattr(error, 'fields', '')} {caplog.text}"
    for secret in (*PLANTED, *case.its.SECRETS):
        assert secret not in text


@pytest.mark.parametrize("status", [400, 401, 403, 409, 422, 429, 500])
@pytest.mark.parametrize(("name", "kind", "act"), over(writes))
async def test_what_a_platform_quotes_stays_out_of_errors(name, kind, act, status, caplog):
    caplog.set_level(0)
    case = Case(name)
    async with case.open() as connector:
        write = case.its.write(case.box, kind, act)
        said = case.box.problem(
            422, f"planted@guest.example, +64 21 555 0199 with {PLANTED[3]} {case.its.SECRETS[0]}"
        )
        if "ok" in said:
            said["fieldErrors"] = {"email": ["planted@guest.example is taken"], "phone": "+64 21 555 0199"}
        case.box.fault("error", *case.door(kind, act), times=None, status=status, body=said)
        with pytest.raises(PlatformError) as caught:
            await connector.write(write)
    silent_about(case, caught.value, caplog)


@each
async def test_nothing_prints_a_secret(name, caplog):
    caplog.set_level(0)
    case = Case(name)
    async with case.open() as connector:
        findings = await connector.check()
        assert findings
        text = f"{connector!r} {connector.settings!r} {connector.notes()} {findings} {caplog.text}"
    for secret in case.its.SECRETS:
        assert secret not in text


@each
async def test_a_probe_shows_shapes_and_no_value(name):
    case = Case(name)
    async with case.open() as connector:
        for kind in connector.streams:
            case.its.seed(case.box, kind, 3)
        looks = await connector.probe()
    assert len(looks) == len(connector.streams)
    assert all(look.shape and not look.notes for look in looks)
    assert not any(secret in str(looks) for secret in ("@example.com", "+1", *case.its.SECRETS))
    assert all(call.method == "GET" or call.path.endswith("/oauth/token") for call in case.box.requests)


@each
async def test_check_only_looks(name):
    case = Case(name)
    async with case.open() as connector:
        await connector.check()
    asked = [(call.method, call.path) for call in case.box.requests]
    assert all(method == "GET" or path.endswith("/oauth/token") for method, path in asked)


@each
async def test_one_credential_is_one_budget(name):
    case = Case(name)
    async with case.open() as connector:
        credential = type(connector).credential
        assert credential(connector.settings) == credential(connector.settings.model_copy())
        assert not any(secret in credential(connector.settings) for secret in case.its.SECRETS)
