import base64

import pytest

from state import tokens
from state.errors import WrongKey
from state.tokens import Box, drop_lease, new_key, take_lease

PLAIN = b"a refresh token"


@pytest.fixture
def box() -> Box:
    return Box(new_key())


class TestBox:
    def test_sealed_and_opened(self, box):
        sealed = box.seal(PLAIN, "row")
        assert PLAIN not in sealed
        assert box.open(sealed, "row") == PLAIN
        assert box.seal(PLAIN, "row") != sealed

    def test_a_moved_row_does_not_open(self, box):
        with pytest.raises(WrongKey, match="'other'"):
            box.open(box.seal(PLAIN, "row"), "other")

    def test_another_key_does_not_open(self, box):
        with pytest.raises(WrongKey, match="Bring back the key"):
            Box(new_key()).open(box.seal(PLAIN, "row"), "row")

    @pytest.mark.parametrize("cut", [0, 3, 7, 12, 20, -1])
    def test_what_was_cut_short_does_not_open(self, box, cut):
        with pytest.raises(WrongKey):
            box.open(box.seal(PLAIN, "row")[:cut], "row")

    @pytest.mark.parametrize("key", ["", "sekret!", base64.b64encode(b"short-key").decode(), "é" * 44])
    def test_what_is_no_key_is_refused_without_repeating_it(self, key):
        with pytest.raises(WrongKey) as refused:
            Box(key)
        assert not key or key not in str(refused.value)

    def test_white_space_around_a_key_is_no_matter(self):
        Box(f" {new_key()}\n")


class TestTokens:
    def test_kept_replaced_and_forgotten(self, tx, box):
        tokens.put(tx, box, "reviews/access", b"one", expires_at=9)
        tokens.put(tx, box, "reviews/access", b"two", seed=b"s")
        tokens.put(tx, box, "salon/access", b"x")
        assert tokens.get(tx, box, "reviews/access") == (b"two", b"s")
        assert tokens.get(tx, box, "nobody") is None
        assert tokens.names(tx, "reviews/") == ["reviews/access"]
        assert tokens.names(tx) == ["reviews/access", "salon/access"]
        assert tokens.names(tx, "%") == []
        assert tokens.forget(tx, "salon/access")
        assert not tokens.forget(tx, "salon/access")

    def test_a_value_moved_to_another_row_is_refused(self, tx, box):
        tokens.put(tx, box, "a", PLAIN)
        tx.run("UPDATE token SET name = 'b'")
        with pytest.raises(WrongKey):
            tokens.get(tx, box, "b")

    def test_the_key_is_checked_against_what_is_sealed(self, tx, box):
        tokens.check(tx, Box(new_key()))
        tokens.put(tx, box, "a", PLAIN)
        tokens.check(tx, box)
        with pytest.raises(WrongKey):
            tokens.check(tx, Box(new_key()))


class TestLease:
    def test_one_holder_until_it_ends(self, tx):
        assert take_lease(tx, "refresh", "me", now=0, until=10)
        assert not take_lease(tx, "refresh", "you", now=9, until=20)
        assert take_lease(tx, "refresh", "me", now=9, until=12)
        assert not take_lease(tx, "refresh", "you", now=11, until=20)
        assert take_lease(tx, "refresh", "you", now=12, until=20)
        assert not take_lease(tx, "refresh", "me", now=13, until=20)

    def test_only_the_holder_lets_go(self, tx):
        take_lease(tx, "refresh", "me", now=0, until=10)
        drop_lease(tx, "refresh", "you")
        assert not take_lease(tx, "refresh", "you", now=1, until=10)
        drop_lease(tx, "refresh", "me")
        assert take_lease(tx, "refresh", "you", now=1, until=10)
