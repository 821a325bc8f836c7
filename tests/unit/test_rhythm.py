import pytest
from weeks import ALWAYS, DAY, HOUR, SOURCES, accused, by_hour, clinic, flats, noticed, salon

from mapping.rhythm import silence

YEAR = 365


@pytest.mark.parametrize("source", ["salon", "clinic"])
def test_nights_and_sundays_alarm_nobody_in_half_a_year(source):
    assert accused(by_hour(SOURCES[source](YEAR // 2))) == 0


def test_flats_with_three_bookings_a_week_are_left_alone():
    assert sum(accused(by_hour(flats(YEAR, seed)), back=60) for seed in range(6)) <= 2


def test_a_source_that_ends_is_noticed_in_its_own_time():
    assert noticed(by_hour(salon(60))) < 4 * 24
    assert noticed(by_hour(clinic(60))) < 6 * 24
    slow = [noticed(by_hour(flats(90, seed))) for seed in range(10)]
    assert len([hours for hours in slow if hours]) >= 7, "some have too little history to be judged at all"
    assert max(hours for hours in slow if hours) < 45 * 24


def test_without_history_nobody_is_accused():
    later = 365 * DAY
    assert silence([], ALWAYS, later) is None
    young = by_hour(salon(10))
    assert silence(young, ALWAYS, young[-1] + later) is None
    rare = by_hour(flats(60, 1))[::6]
    assert silence(rare, ALWAYS, rare[-1] + later) is None


def test_a_source_stays_accused_however_long_it_is_silent():
    came = by_hour(salon(60))
    assert all(silence(came, ALWAYS, came[-1] + days * DAY) for days in (5, 20, 40, 300))


def test_christmas_is_a_silence_that_the_lists_have_to_explain():
    before = by_hour(salon(84))  # until the 20th of December
    found = silence(before, ALWAYS, before[-1] + 14 * DAY)
    assert found is not None
    assert (found.since, found.silent) == (before[-1], 14 * DAY)
    assert found.longest < 45 * HOUR


def test_time_in_which_nobody_listened_is_no_silence():
    came = by_hour(salon(60))
    end = came[-1]
    stopped = [(0, end + HOUR), (end + 20 * DAY, 1 << 60)]
    assert silence(came, stopped, end + 21 * DAY) is None
    assert silence(came, stopped, end + 26 * DAY).silent == 6 * DAY + HOUR
