"""Tokens in the store: a new one takes the place of the one that it grew from, and of no other."""

import pytest

from connectors.oauth import Token
from daemon.tokens import SealedTokens
from state.database import Database
from state.tokens import Box, new_key

OLD, NEW, OTHER = (Token(word, 1000, f"refresh {word}", "all") for word in ("old", "new", "other"))


@pytest.fixture
async def kept(tmp_path):
    db = await Database.open(tmp_path / "bookferry.db")
    yield SealedTokens(db, Box(new_key()), "me", lambda: 0.0)
    await db.close()


async def test_it_is_kept_in_the_place_of_the_one_before(kept):
    assert await kept.put("villa", OLD, was=None) == OLD
    assert await kept.put("villa", NEW, was=OLD) == NEW
    assert await kept.get("villa") == NEW


async def test_who_was_overtaken_is_given_what_is_kept(kept):
    await kept.put_all({"villa": OTHER})
    assert await kept.put("villa", NEW, was=OLD) == OTHER
    assert await kept.put("villa", NEW, was=None) == OTHER
    assert await kept.get("villa") == OTHER


async def test_a_log_out_is_not_undone_by_a_renewal_that_was_under_way(kept):
    await kept.put_all({"villa": OLD})
    await kept.forget(["villa"])
    assert await kept.put("villa", NEW, was=OLD) is None
    assert await kept.get("villa") is None
