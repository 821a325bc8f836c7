"""Whole lists, for what is no stream: properties, the team, custom fields, webhooks."""

from typing import Any

from connectors.budget import Lane
from connectors.http import Client
from connectors.nowistay import paging
from connectors.nowistay.answers import check, listed


async def everything(
    http: Client, path: str, connection: str, *, key: str = "id", lane: Lane = Lane.POLL, setting: str = ""
) -> list[Any]:
    """All rows of a list, told apart by ``key``. ``setting``: the key of the YAML that changes the path."""
    found: list[Any] = []
    here: paging.Position | None = paging.Position()
    while here is not None:
        asked = {"limit": paging.LIMIT, "offset": here.ask or None}
        answer = await http.read(path, params=asked, lane=lane)
        rows, total = listed(check(answer, connection, collection=True, setting=setting))
        found += paging.fresh(here, rows, key)
        here = paging.following(here, paging.ids_of(rows, key), total)
    return found
