"""Managing NiceJob's webhooks. They belong to the developer account, not to a company: one endpoint serves them all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.answer import Answer
from connectors.base import Finding, Surroundings
from connectors.budget import Lane
from connectors.call import segment
from connectors.errors import PlatformError
from connectors.http import Client
from connectors.nicejob.hooks import SUBSCRIPTIONS
from connectors.nicejob.settings import NiceJobSettings
from connectors.oauth import OAuth, Token, request_token
from connectors.wire import quoted


@dataclass(frozen=True, slots=True)
class Webhook:
    """A Webhook entity. The secret is known only right after it was made."""

    id: str
    url: str
    enabled: bool
    subscriptions: tuple[str, ...]
    secret: str | None = field(default=None, repr=False)


class Webhooks:
    """List, ensure, re-enable, rotate, delete. Its token is good for nothing else."""

    def __init__(self, settings: NiceJobSettings, around: Surroundings, login: Client, origin: str) -> None:
        self._settings = settings
        self._login = login
        self.token_name = f"nicejob:{settings.client_id}:developer"
        self._http = around.client(
            f"{origin}/v2", auth=OAuth(self.token_name, around.tokens, self._grant, clock=around.now)
        )

    async def _grant(self, _old: Token | None) -> Token:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret.get_secret_value(),
        }
        return await request_token(self._login, "/oauth/token", form, lifetime=24 * 3600)

    async def registered(self) -> Sequence[Webhook]:
        """All webhooks of the developer account."""
        hooks: list[Webhook] = []
        cursor: str | None = None
        while True:
            said = _said(await self._http.read(path="/webhooks", params={"cursor": cursor} if cursor else {}))
            hooks += [_webhook(row) for row in said.get("data") or []]
            following = said.get("cursor")
            if not following or following == cursor:
                return hooks
            cursor = following

    async def ensure(self, url: str) -> Webhook:
        """There is one enabled webhook for ``url`` with all subscriptions that are followed here.

        One that is there is kept: its own subscriptions stay (an update replaces them all, so they are sent along). Only
        a new one tells its secret.
        """
        held = next((hook for hook in await self.registered() if hook.url == url), None)
        if held is None:
            return await self._save("/webhooks", {"endpoint_url": url, "subscriptions": [*SUBSCRIPTIONS]})
        missing = [name for name in SUBSCRIPTIONS if name not in held.subscriptions]
        if held.enabled and not missing:
            return held
        body: dict[str, Any] = {} if held.enabled else {"is_enabled": True}
        if missing:
            body["subscriptions"] = [*held.subscriptions, *missing]
        return await self._save(f"/webhooks/{segment(held.id)}", body)

    async def rotate(self, url: str) -> tuple[Webhook, Sequence[Webhook]]:
        """Make a second webhook for ``url`` with a new secret; gives it and the older ones, which go on until deleted."""
        old = [hook for hook in await self.registered() if hook.url == url]
        subscriptions = list(
            dict.fromkeys([*(name for hook in old for name in hook.subscriptions), *SUBSCRIPTIONS])
        )
        return await self._save("/webhooks", {"endpoint_url": url, "subscriptions": subscriptions}), old

    async def delete(self, webhook: str) -> None:
        """Delete one webhook. One that is not there (answered with 401) is gone already."""
        answer = await self._http.write("DELETE", f"/webhooks/{segment(webhook)}", lane=Lane.PUSH)
        if answer.status != 401:  # noqa: PLR2004 - "Returns a 401 HTTP status code if not found"
            _said(answer)

    async def check(self) -> list[Finding]:
        """For ``check --online``: whether webhooks can be managed and are enabled."""
        try:
            hooks = await self.registered()
        except PlatformError as error:
            return [Finding.of(error, "webhooks: ")]
        off = [hook for hook in hooks if not hook.enabled]
        return [Finding(ok=True, what=f"webhooks: {len(hooks)} registered")] + [
            Finding(
                ok=False,
                what=f"webhook {hook.id} was disabled after three days of failures",
                remedy="`bookferry hooks CONNECTION ensure` enables it again.",
            )
            for hook in off
        ]

    async def aclose(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def _save(self, path: str, body: Mapping[str, Any]) -> Webhook:
        answer = await self._http.write("POST", path, json=body, lane=Lane.PUSH)
        row = _said(answer).get("data")
        if not isinstance(row, Mapping):
            answer.unusable("no webhook")
        return _webhook(row)


def _said(answer: Answer) -> Mapping[str, Any]:
    answer.check()
    said = answer.json()
    if not isinstance(said, Mapping):
        answer.unusable("something that is not an object")
    if said.get("error"):
        answer.unusable(f"an error: {quoted(said['error'])}")
    return said


def _webhook(row: Mapping[str, Any]) -> Webhook:
    return Webhook(
        str(row["id"]),
        str(row.get("endpoint_url", "")),
        bool(row.get("is_enabled")),
        tuple(str(name) for name in row.get("subscriptions") or ()),
        row.get("secret"),
    )
