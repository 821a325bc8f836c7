"""What is Nowistay's own: stays and their places, silence spelt out, OTA bookings, custom fields, missions, refusals."""

import asyncio
import json

import pytest
from nowistay_stage import BOOKINGS, MISSIONS, PARAMETERS, nowistay, patches

from connectors.errors import BadAnswer, Conflict, NeedsHuman, Refused, TryLater
from connectors.nowistay import translate as words
from connectors.nowistay.answers import route_scopes
from connectors.nowistay.platform import PLATFORM
from connectors.nowistay.settings import ALL_SCOPES
from mapping.capability import Act
from mapping.model import Kind, Status
from mapping.wish import Write
from tests.contract import nowistay_fixture as its
from tests.contract.nowistay_fixture import MARK
from tests.contract.surround import everything, raised

# Stays and their places.


async def test_a_stay_has_dates_and_the_place_gives_zone_and_hours():
    async with nowistay() as (box, connector):
        tokyo = {"city": "Tokyo", "countryCode": "JP", "timezone": "Asia/Tokyo"}
        place = box.add_property("Ginza", address=tokyo, checkInTime="15:30:00", checkOutTime="10:00")
        its.stay(box, propertyId=place, arrival="2026-10-24", departure="2026-10-26")
        (seen,) = await everything(connector, BOOKINGS)
    fields = seen.fields.fields()
    assert (fields["arrival"], fields["departure"]) == ("2026-10-24", "2026-10-26")
    assert (fields["zone"], fields["check_in"], fields["check_out"]) == ("Asia/Tokyo", "15:30", "10:00")
    assert (fields["place"], fields["title"]) == (str(place), "Ginza")
    assert not {"starts", "ends"} & set(fields), "dates never become instants"
    assert fields["amount"] == {"minor": 48000, "currency": "EUR"}


@pytest.mark.parametrize(
    "odd",
    [
        {"address": None},
        {"address": {"timezone": "Mars/Olympus"}},
        {"checkInTime": "soon", "checkOutTime": 11},
        {"name": None},
        {"address": {"timezone": "../../etc/passwd", "countryCode": 7}},
    ],
    ids=["no-address", "no-such-zone", "no-time", "no-name", "path"],
)
async def test_an_odd_property_costs_no_booking(odd):
    async with nowistay() as (box, connector):
        box.update_property(box.property_id(), **odd)
        its.stay(box)
        (seen,) = await everything(connector, BOOKINGS)
        await connector.account()
    assert seen.fields.place == "101"


async def test_properties_are_asked_for_once_an_hour():
    async with nowistay() as (box, connector):
        for _ in range(3):
            await everything(connector, BOOKINGS)
        assert len(box.calls("GET", "/properties$")) == 1
        box.advance(3700)
        box.update_property(101, checkOutTime="12:00:00")
        ref = its.stay(box)
        (seen,) = await everything(connector, BOOKINGS)
        assert (seen.ref, seen.fields.check_out) == (ref, "12:00")
        assert len(box.calls("GET", "/properties$")) == 2


async def test_many_who_need_the_properties_at_once_ask_once():
    async with nowistay() as (box, connector):
        ref = its.stay(box)
        await asyncio.gather(*(connector.fetch(BOOKINGS, ref) for _ in range(8)), connector.account())
        assert len(box.calls("GET", "/properties$")) == 1


async def test_another_check_out_time_is_another_reading_of_the_same_row():
    async with nowistay() as (box, connector):
        its.stay(box)
        before = (await connector.pull(BOOKINGS, None)).listing.rows[0].digest
        assert (await connector.pull(BOOKINGS, None)).listing.rows[0].digest == before
        box.update_property(101, checkOutTime="12:00:00")
        box.advance(3700)
        assert (await connector.pull(BOOKINGS, None)).listing.rows[0].digest != before


async def test_the_account_says_what_all_properties_agree_on():
    async with nowistay() as (box, connector):
        account = await connector.account()
        assert (account.id, account.name) == ("nowistay", "Lilas Apartment")
        assert (account.zone, account.country) == ("Europe/Paris", "FR")
        box.add_property("B", address={"timezone": "Asia/Tokyo", "countryCode": "JP"})
        box.advance(3700)
        account = await connector.account()
        assert (account.name, account.zone, account.country) == ("2 properties", None, None)


async def test_only_the_properties_that_are_named_are_followed():
    async with nowistay(more={"properties": [102, "103"]}) as (box, connector):
        places = [101, box.add_property("B"), box.add_property("C")]
        refs = [its.stay(box, propertyId=place) for place in places for _ in range(2)]
        for place in places:
            box.add_mission(propertyId=place)
        assert {seen.ref for seen in await everything(connector, BOOKINGS)} == set(refs[2:])
        assert {seen.fields.place for seen in await everything(connector, MISSIONS)} == {"102", "103"}
        assert {call.query.get("propertyId") for call in box.calls("GET", "/bookings$")} == {"102", "103"}
        assert await connector.fetch(BOOKINGS, refs[0]) is None
        assert (await connector.fetch(BOOKINGS, refs[2])).ref == refs[2]
        await raised(connector.write(Write(BOOKINGS, Act.UPDATE, refs[0], {"adults": 1}, MARK)), Refused)


# Guests.


async def test_a_guest_is_a_person_of_the_booking():
    async with nowistay() as (box, connector):
        ref = its.stay(box, guestPhone="+33199001234", guestAddress="1 rue de Lilas")
        (listed,) = await everything(connector, BOOKINGS)
        assert listed.fields.people == (f"booking:{ref}",)
        (person,) = listed.embedded
        assert (person.kind, person.ref) == (Kind.PEOPLE, f"booking:{ref}")
        assert person.fields.fields() == {"full_name": "Planted Guestname"}, "what is omitted is not erased"
        (person,) = (await connector.fetch(BOOKINGS, ref)).embedded
        shown = person.fields.fields()
        assert shown["email"] == "planted@guest.example"
        assert (shown["phone"], shown["address"]) == ("+33199001234", {"street": "1 rue de Lilas"})


async def test_a_blocked_stay_has_no_guest():
    async with nowistay() as (box, connector):
        box.add_booking()
        (seen,) = await everything(connector, BOOKINGS)
        assert (seen.fields.people, seen.embedded) == ((), ())


async def test_without_the_sensitive_scope_contacts_are_absent_and_not_null():
    async with nowistay(more={"sensitive": False}) as (box, connector):
        assert "bookings.sensitive.read" not in connector.settings.wanted
        box.grant_only(names=list(connector.settings.wanted))
        seen = await connector.fetch(BOOKINGS, its.stay(box))
        (person,) = seen.embedded
        assert set(person.fields.fields()) == {"full_name"}


@pytest.mark.parametrize("opted", [False, True])
async def test_door_codes_stay_outside_unless_they_are_wanted(opted):
    async with nowistay(more={"door_codes": opted}) as (box, connector):
        ref = its.stay(box, smartLockCode="4711")
        seen = await connector.fetch(BOOKINGS, ref)
        assert (b"4711" in seen.raw) is opted
        assert "4711" not in str(seen.fields.fields())
        written = await connector.write(Write(BOOKINGS, Act.UPDATE, ref, {"adults": 1}, MARK))
        assert (b"4711" in written.raw) is opted


@pytest.mark.parametrize(
    "name",
    ["smartLockCode", "doorCode", "lock_code", "accessPin", "keyCode", "entryCode", "pin", "gate_code"],
)
def test_what_calls_itself_a_door_code_is_one(name):
    row = {"id": 1, "lock": [{"battery": 80, name: "1"}], name: "1", "countryCode": "FR"}
    assert words.Words().cleaned(row) == {"id": 1, "lock": [{"battery": 80}], "countryCode": "FR"}


# Assumed words can be changed.


async def test_assumed_fields_can_have_other_names():
    row = {"id": 5, "guest": {"name": "Zoë", "mail": "z@example.com"}, "source": "direct", "propertyId": 101}
    more = {"fields": {"guestName": "guest.name", "guestEmail": "guest.mail", "channel": "source"}}
    async with nowistay(more=more) as (box, connector):
        box.fault("error", "GET", "/bookings$", status=200, body=its.listing(BOOKINGS, [row]))
        (seen,) = (await connector.pull(BOOKINGS, None)).observations
        assert seen.fields.channel == "direct"
        assert seen.embedded[0].fields.fields() == {"full_name": "Zoë", "email": "z@example.com"}
        assert json.loads(seen.raw) == row


async def test_an_unknown_status_is_unknown_unless_the_yaml_says_what_it_means():
    row = {"id": 5, "status": "checked_out"}
    for more, status in (
        ({}, Status.UNKNOWN),
        ({"statuses": {"checked_out": "completed"}}, Status.COMPLETED),
    ):
        async with nowistay(more=more) as (box, connector):
            box.fault("error", "GET", "/bookings$", status=200, body=its.listing(BOOKINGS, [row]))
            (seen,) = (await connector.pull(BOOKINGS, None)).observations
            assert (seen.fields.status, seen.fields.status_word) == (status, "checked_out")


async def test_an_assumed_path_that_is_wrong_names_its_setting():
    async with nowistay() as (box, connector):
        box.fault("error", "GET", "/team-members", status=404)
        assert "paths: {team_members" in (await raised(connector.team(), NeedsHuman)).remedy
    async with nowistay(more={"paths": {"team_members": "/staff"}}) as (box, connector):
        await raised(connector.team(), NeedsHuman)
        assert box.calls("GET", "/public/v1/staff$")


# Writing bookings.


@pytest.mark.speaks
@pytest.mark.parametrize("loud", [False, True])
async def test_silence_is_always_spelt_out(loud):
    async with nowistay() as (box, connector):
        await connector.write(its.write(box, BOOKINGS, Act.UPDATE, loud=loud))
        await connector.write(its.write(box, PARAMETERS, Act.CREATE, loud=loud))
        assert [body["silent"] for body in patches(box)] == [not loud, not loud]
        assert len(box.guest_messages) == (2 if loud else 0)
        assert len(box.calendar_pushes) == (1 if loud else 0), "only the first one moved dates"


def test_a_silent_change_of_dates_says_what_it_costs():
    costs = PLATFORM.kinds[BOOKINGS].quiet_costs
    assert set(costs) == {"arrival", "departure"}
    assert "calendar push" in costs["arrival"]


async def test_all_documented_fields_are_written_in_the_platforms_words():
    async with nowistay() as (box, connector):
        ref = its.stay(box)
        fields = {
            "arrival": "2026-07-14",
            "departure": "2026-07-19",
            "adults": 2,
            "children": 1,
            "amount": {"minor": 62000, "currency": "EUR"},
            "notes": "Guest requested a baby cot.",
            "parameters": {"external_status": "ready"},
        }
        seen = await connector.write(Write(BOOKINGS, Act.UPDATE, ref, fields, MARK))
        assert patches(box)[-1] == {
            "arrival": "2026-07-14",
            "departure": "2026-07-19",
            "adults": 2,
            "children": 1,
            "amount": "620.00",
            "currency": "EUR",
            "notes": "Guest requested a baby cot.",
            "customParameters": {"external_status": "ready"},
            "silent": True,
        }
        shown = seen.fields.fields()
        assert {name: shown[name] for name in fields} == fields, "the echo finds nothing new"


async def test_an_amount_without_a_currency_is_in_the_bookings_own():
    held = {"channel": "direct", "amount": {"minor": 1, "currency": "EUR"}}
    async with nowistay() as (box, connector):
        for minor, held_as in ((75_500, held), (75_505, held), (75_500, {"channel": "direct"})):
            amount = {"amount": {"minor": minor, "currency": "XXX"}}
            write = Write(BOOKINGS, Act.UPDATE, its.stay(box), amount, MARK, held=held_as)
            if (minor, held_as) == (75_500, held):
                await connector.write(write)
                assert patches(box)[-1] == {"amount": "75.50", "currency": "EUR", "silent": True}
            else:
                assert "amount" in (await raised(connector.write(write), Refused)).fields


async def test_custom_fields_that_are_none_are_refused():
    async with nowistay() as (box, connector):
        for wrong in ("ready", ["ready"], {"No Key": "x"}):
            write = Write(BOOKINGS, Act.UPDATE, its.stay(box), {"parameters": wrong}, MARK)
            await raised(connector.write(write), Refused)
        assert not patches(box)
        assert not box.calls("POST", "/booking-parameters")


@pytest.mark.parametrize("channel", ["airbnb", "booking", "vrbo", "expedia"])
@pytest.mark.parametrize("held", [True, False])
async def test_bookings_of_others_are_never_touched(channel, held):
    async with nowistay() as (box, connector):
        ref = its.stay(box, channel=channel)
        write = Write(
            BOOKINGS, Act.UPDATE, ref, {"adults": 1}, MARK, held={"channel": channel} if held else {}
        )
        assert channel in (await raised(connector.write(write), Refused)).sentence
        box.add_parameter("external_status")
        parameter = Write(PARAMETERS, Act.UPDATE, f"{ref}/external_status", {"value": "x"}, MARK)
        await raised(connector.write(parameter), Refused)
        assert not patches(box)


async def test_a_booking_that_shows_no_channel_names_the_setting():
    async with nowistay() as (box, connector):
        ref = its.stay(box)
        box.fault("error", "GET", f"/bookings/{ref}$", status=200, body={"id": int(ref)})
        error = await raised(connector.write(Write(BOOKINGS, Act.UPDATE, ref, {"adults": 1}, MARK)), Refused)
        assert "fields: {channel" in error.sentence


@pytest.mark.parametrize("act", [Act.CREATE, Act.CANCEL, Act.COMPLETE])
async def test_what_does_not_exist_is_refused_with_the_reason(act):
    async with nowistay() as (box, connector):
        ref = None if act is Act.CREATE else its.stay(box)
        error = await raised(connector.write(Write(BOOKINGS, act, ref, {}, MARK, loud=True)), Refused)
        assert error.sentence == PLATFORM.kinds[BOOKINGS].reasons[act]
        assert not box.calls("PATCH")


async def test_a_booking_that_is_gone_is_refused_and_shown_by_nobody():
    async with nowistay() as (box, connector):
        ref = its.stay(box)
        box.delete_booking(int(ref))
        await raised(connector.write(Write(BOOKINGS, Act.UPDATE, ref, {"adults": 1}, MARK)), Refused)
        held = Write(BOOKINGS, Act.UPDATE, ref, {"adults": 1}, MARK, held={"channel": "direct"})
        assert "requestId req_" in (await raised(connector.write(held), Refused)).sentence
        assert await connector.fetch(BOOKINGS, ref) is None
        assert await connector.find(held) == []


# Custom fields.


async def test_a_custom_field_is_made_once_and_its_value_set():
    async with nowistay() as (box, connector):
        for value in ("ready", "gone"):
            write = its.write(box, PARAMETERS, Act.CREATE, value=value, name="External status")
            seen = await connector.write(write)
            assert seen.ref == f"{write.fields['booking']}/external_status"
            assert seen.fields.value == value
        assert box.tables.parameters["external_status"]["name"] == "External status"
        assert len(box.calls("POST", "/booking-parameters")) == 1


async def test_a_key_that_exists_is_adopted_even_when_the_list_did_not_show_it():
    async with nowistay() as (box, connector):
        write = its.write(box, PARAMETERS, Act.CREATE)
        box.add_parameter("external_status")
        box.fault("empty_list", "GET", "/booking-parameters", times=None)
        await connector.write(write)
        (call,) = box.calls("POST", "/booking-parameters")
        assert (call.status, call.applied) == (409, False)
        assert box.tables.bookings[int(write.fields["booking"])]["customParameters"]


async def test_a_lost_answer_to_a_new_key_leaves_the_booking_alone():
    async with nowistay() as (box, connector):
        write = its.write(box, PARAMETERS, Act.CREATE)
        box.fault("lost_answer", "POST", "/booking-parameters")
        await raised(connector.write(write), TryLater)
        assert not patches(box)
        await connector.write(write)
        assert len(box.calls("POST", "/booking-parameters")) == 1


@pytest.mark.parametrize("key", ["Status", "1st", "a-b", "", "x" * 41, "ä", None])
async def test_a_bad_key_is_refused_before_anything_is_asked(key):
    async with nowistay() as (box, connector):
        write = its.write(box, PARAMETERS, Act.CREATE, key=key)
        assert "snake_case" in (await raised(connector.write(write), Refused)).sentence
        assert not box.calls("POST", "/booking-parameters")


async def test_null_clears_a_custom_field():
    async with nowistay() as (box, connector):
        write = its.write(box, PARAMETERS, Act.UPDATE, value=None)
        await connector.write(write)
        assert patches(box)[-1]["customParameters"] == {"external_status": None}
        assert await connector.find(write) == []


# Missions.


async def test_a_mission_is_written_in_the_platforms_words():
    async with nowistay() as (box, connector):
        cleaner = box.add_team_member()
        write = its.write(box, MISSIONS, Act.CREATE, staff=[str(cleaner)], zone="Europe/Rome")
        seen = await connector.write(write)
        (call,) = box.calls("POST", "/missions$")
        assert call.body == {
            "propertyId": 101,
            "bookingId": int(write.fields["booking"]),
            "missionType": "cleaning",
            "title": "Checkout cleaning",
            "scheduledAt": its.LATER,
            "timezone": "Europe/Rome",
            "assignedTeamMemberId": cleaner,
        }
        shown = seen.fields.fields()
        assert (shown["starts"], shown["staff"]) == (its.LATER, [str(cleaner)])
        moved = {"starts": "2026-07-18T10:00:00.000Z", "staff": []}
        seen = await connector.write(Write(MISSIONS, Act.UPDATE, seen.ref, moved, MARK))
        assert (seen.fields.staff, seen.fields.zone) == ((), "Europe/Rome")


async def test_a_mission_without_a_zone_gets_the_propertys():
    async with nowistay() as (box, connector):
        await connector.write(its.write(box, MISSIONS, Act.CREATE))
        assert box.calls("POST", "/missions$")[0].body["timezone"] == "Europe/Paris"


async def test_a_lost_mission_is_found_by_place_booking_type_and_hour():
    async with nowistay() as (box, connector):
        write = its.write(box, MISSIONS, Act.CREATE)
        box.seed(missions=120)
        other = its.stay(box)
        box.add_mission(bookingId=int(other))
        box.add_mission(bookingId=int(write.fields["booking"]), scheduledAt="2026-07-18T11:31:00Z")
        box.add_mission(bookingId=int(write.fields["booking"]), missionType="check_in")
        assert await connector.find(write) == []
        made = await connector.write(write)
        assert [seen.ref for seen in await connector.find(write)] == [made.ref]


@pytest.mark.parametrize("field", ["place", "booking", "staff"])
async def test_an_id_that_is_none_is_refused(field):
    async with nowistay() as (box, connector):
        error = await raised(
            connector.write(its.write(box, MISSIONS, Act.CREATE, **{field: "svc_1"})), Refused
        )
        assert error.fields
        assert not box.calls("POST", "/missions$")


# Team and activity.


async def test_the_team_and_what_happened():
    async with nowistay() as (box, connector):
        box.seed(team=130)
        assert len({row["id"] for row in await connector.team()}) == 130
        for _ in range(30):
            its.stay(box)
        box.tables.activity.append(
            {"id": 99, "propertyId": 101, "category": "automation", "lockCode": "4711"}
        )
        rows = await connector.activity("101", limit=5)
        assert len(rows) == 5
        assert rows[0] == {"id": 99, "propertyId": 101, "category": "automation"}
        await raised(connector.activity("999"), NeedsHuman)


# Refusals and lost access.


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("insufficient_scope", "bookings.read"),
        ("entitlement_required", "AI Channel Manager"),
        ("subscription_inactive", "AI Channel Manager"),
        ("forbidden", "bookings.read"),
        ("forbidden", "AI Channel Manager"),
    ],
)
async def test_a_403_is_told_apart_by_its_code(code, remedy):
    async with nowistay() as (box, connector):
        await connector.account()
        body = {"error": {"code": code, "message": "No.", "requestId": "req_1"}}
        box.fault("error", "GET", "/bookings$", status=403, body=body)
        error = await raised(connector.pull(BOOKINGS, None), NeedsHuman)
        assert remedy in error.remedy
        assert "(requestId req_1)" in error.sentence


async def test_a_lapsed_subscription_stops_and_deletes_nothing():
    async with nowistay() as (box, connector):
        ref = its.stay(box)
        await everything(connector, BOOKINGS)
        box.lapse(101)
        box.advance(3700)
        page = await connector.pull(BOOKINGS, None)
        assert page.observations == []
        assert not page.coverage.complete
        assert not page.coverage.shows({"status": "confirmed", "starts": "2026-07-14T00:00:00Z"})
        assert connector.notes()["properties no longer shown"] == ["101"]
        assert await connector.fetch(BOOKINGS, ref) is None
        assert any("no property" in finding.what for finding in await connector.check())
        box.subscribe(on=False)
        assert "AI Channel Manager" in (await raised(connector.pull(BOOKINGS, None), NeedsHuman)).remedy


@pytest.mark.parametrize(
    ("status", "error"), [(422, Refused), (409, Conflict), (404, Refused), (403, NeedsHuman)]
)
async def test_a_refused_write_carries_the_request_id(status, error):
    async with nowistay() as (box, connector):
        write = its.write(box, BOOKINGS, Act.UPDATE)
        box.fault("error", "PATCH", "/bookings/", status=status)
        assert "(requestId req_" in (await raised(connector.write(write), error)).sentence


async def test_an_error_of_another_shape_is_an_error_all_the_same():
    async with nowistay() as (box, connector):
        await connector.account()
        for body in ({"error": "text"}, [], "<html>", {"error": {"code": 7, "requestId": "a b"}}):
            box.fault("error", "GET", "/bookings$", status=400, body=body)
            error = await raised(connector.pull(BOOKINGS, None), BadAnswer)
            assert "requestId" not in error.sentence


# Rates.


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/bookings", "read:/bookings"),
        ("GET", "/bookings/9001", "read:/bookings/{id}"),
        ("PATCH", "/bookings/9001", "write:/bookings/{id}"),
        ("GET", "/properties/101/activity", "read:/properties/{id}/activity"),
        ("POST", "/missions", "write:/missions"),
    ],
)
def test_each_route_is_counted_by_itself(method, path, scope):
    assert route_scopes(method, path) == ("all", scope)


async def test_a_burst_over_the_limit_waits_and_is_never_turned_away():
    async with nowistay() as (box, connector):
        refs = [its.stay(box) for _ in range(3)]
        for number in range(150):
            await connector.fetch(BOOKINGS, refs[number % 3])
        for number in range(40):
            write = Write(
                BOOKINGS, Act.UPDATE, refs[0], {"adults": number % 5}, MARK, held={"channel": "direct"}
            )
            await connector.write(write)
        assert not [call for call in box.requests if call.status == 429]


def test_the_default_asks_for_every_documented_scope():
    assert its.settings(its.sandbox(), None).wanted == ALL_SCOPES
    assert len(ALL_SCOPES) == 12
