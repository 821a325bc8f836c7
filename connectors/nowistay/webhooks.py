"""Managing Nowistay's webhooks. Each belongs to one property, which has room for three."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.answer import Answer
from connectors.base import Finding
from connectors.budget import Lane
from connectors.call import segment
from connectors.errors import NeedsHuman, PlatformError
from connectors.http import Client
from connectors.nowistay.answers import check, whole
from connectors.nowistay.hooks import EVENTS
from connectors.nowistay.lists import everything

ROOM = 3
"""Webhooks of a property: "you can register up to three per property"."""
ACTIVE = "active"
DESCRIPTION = "bookferry"
_SETTING = "paths: {webhooks: …}"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook of one property. The secret is known only right after it was made."""

    id: str
    place: str
    url: str
    status: str
    subscriptions: tuple[str, ...]
    secret: str | None = field(default=None, repr=False)

    @property
    def enabled(self) -> bool:
        """Whether it sends: "auto-disabled if it keeps failing for more than 72 hours"."""
        return self.status == ACTIVE


class Webhooks:
    """List, ensure, re-enable, rotate, delete."""

    def __init__(
        self, name: str, http: Client, path: str, followed: Callable[[], Awaitable[Sequence[str]]]
    ) -> None:
        self._name, self._http, self._path, self._followed = name, http, path, followed

    async def registered(self) -> Sequence[Webhook]:
        """All webhooks of all properties that the API shows."""
        rows = await everything(self._http, self._path, self._name, setting=_SETTING)
        return [_webhook(row) for row in rows if isinstance(row, Mapping) and "id" in row]

    async def ensure(self, url: str) -> AsyncIterator[Webhook]:
        """There is one active webhook for ``url`` on every property; each is given as soon as it is known.

        One that is there is adopted by its address. Whoever takes a new one keeps its secret before asking for the next.
        Raises NeedsHuman at the end for properties without room: the slots of others are never taken.
        """
        full = []
        held = await self.registered()
        for place in await self._followed():
            there = [hook for hook in held if hook.place == place]
            ours = sorted((hook for hook in there if hook.url == url), key=lambda hook: not hook.enabled)
            if ours:
                yield await self._repaired(ours[0])
            elif len(there) < ROOM:
                yield await self._made(place, url)
            else:
                full.append(place)
        self._complain(full)

    async def rotate(self, url: str) -> AsyncIterator[tuple[Webhook, Sequence[Webhook]]]:
        """Make a second webhook for ``url`` with a new secret on every property, beside the older ones.

        Gives each new one with the older ones of its property, which go on until deleted.
        """
        full = []
        held = await self.registered()
        for place in await self._followed():
            there = [hook for hook in held if hook.place == place]
            if len(there) < ROOM:
                yield await self._made(place, url), [hook for hook in there if hook.url == url]
            else:
                full.append(place)
        self._complain(full)

    async def delete(self, webhook: str) -> None:
        """Delete one webhook. One that is not there is gone already."""
        answer = await self._http.write("DELETE", f"{self._path}/{segment(webhook)}", lane=Lane.PUSH)
        if answer.status != 404:  # noqa: PLR2004 - that is what was wanted
            check(answer, self._name, setting=_SETTING)

    async def check(self) -> list[Finding]:
        """For ``check --online``: whether webhooks can be managed and are active."""
        try:
            hooks = await self.registered()
        except PlatformError as error:
            return [Finding.of(error, "webhooks: ")]
        off = [hook for hook in hooks if not hook.enabled]
        return [Finding(ok=True, what=f"webhooks: {len(hooks)} registered")] + [
            Finding(
                ok=False,
                what=f"webhook {hook.id} of property {hook.place} is {hook.status or 'not active'}",
                remedy=f"`bookferry hooks {self._name} ensure` sets it to active again.",
            )
            for hook in off
        ]

    async def _repaired(self, hook: Webhook) -> Webhook:
        missing = [name for name in EVENTS if name not in hook.subscriptions]
        if hook.enabled and not missing:
            return hook
        body: dict[str, Any] = {} if hook.enabled else {"status": ACTIVE}
        if missing:
            body["events"] = [*hook.subscriptions, *missing]
        path = f"{self._path}/{segment(hook.id)}"
        return self._read(await self._http.write("PATCH", path, json=body, lane=Lane.PUSH))

    async def _made(self, place: str, url: str) -> Webhook:
        body = {
            "propertyId": int(place) if place.isdecimal() else place,
            "url": url,
            "events": [*EVENTS],
            "description": DESCRIPTION,
        }
        return self._read(await self._http.write("POST", self._path, json=body, lane=Lane.PUSH))

    def _read(self, answer: Answer) -> Webhook:
        return _webhook(whole(check(answer, self._name, setting=_SETTING)))

    def _complain(self, full: Sequence[str]) -> None:
        if full:
            raise NeedsHuman(
                f"No webhook slot is free at property {', '.join(full)}: each has room for {ROOM}.",
                remedy=f"delete one there, or with `bookferry hooks {self._name} delete ID` (`list` shows them).",
            )


def _webhook(row: Mapping[str, Any]) -> Webhook:
    events = row.get("events")
    secret = row.get("signingSecret")
    return Webhook(
        str(row["id"]),
        str(row.get("propertyId", "")),
        str(row.get("url", "")),
        str(row.get("status", "")),
        tuple(str(name) for name in events) if isinstance(events, list) else (),
        secret if isinstance(secret, str) and secret else None,
    )
