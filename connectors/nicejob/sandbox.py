"""A stand-in of NiceJob's v2 REST API, its OAuth2 and its webhooks, read off the public document."""

from datetime import datetime
from functools import partial
from typing import Any, Literal

from connectors.nicejob.sandbox_oauth import OAuth
from connectors.nicejob.sandbox_store import (
    DATES,
    FIELDS,
    SUBSCRIPTIONS,
    Hook,
    MalformedError,
    NotDoneError,
    checked,
    page,
)
from connectors.sandbox import Handler, Refusal, Reply, Request, is_public_https

WRITABLE = ("bookings", "people", "employees", "visits", "cases")
WEBHOOKS = "/v2/webhooks"
SCALE = {"seconds": 1, "milliseconds": 1000}


class NiceJobSandbox(OAuth):
    """NiceJob on the loopback: one developer account with as many companies as are added.

    Beyond those of ``OAuth`` and ``Sandbox``, the keyword arguments choose among readings of what the
    document leaves open:
    ``event_code(entity, verb)`` prints an event code,
    ``sign_timestamp`` signs ``"{timestamp}.{payload}"`` instead of the payload alone,
    ``date_format`` is how a Date is returned,
    ``review_paging`` is what the review list does with a cursor, which its parameters do not show:
    "cursor" pages, "none" gives the first 20 only, "ignored" repeats the first page for ever,
    ``enrollments_scope``: whether the app may enrol directly.
    """

    platform = "nicejob"

    def __init__(
        self,
        *args: Any,
        date_format: Literal["iso", "seconds", "milliseconds"] = "iso",
        review_paging: Literal["cursor", "none", "ignored"] = "cursor",
        enrollments_scope: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.date_format = date_format
        self.review_paging = review_paging
        self.enrollments_scope = enrollments_scope

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return the documented endpoints."""
        routes: list[tuple[str, str, Handler]] = []
        for table in (*WRITABLE, "reviews"):
            routes.append(("GET", f"/v2/{table}", partial(self._list, table)))
            routes.append(("GET", f"/v2/{table}/{{id}}", partial(self._get, table)))
        for table in WRITABLE:
            routes.append(("POST", f"/v2/{table}", partial(self._create, table)))
            routes.append(("POST", f"/v2/{table}/{{id}}", partial(self._update, table)))
        return [
            *routes,
            *self.oauth_routes(),
            ("GET", "/v2/company", self._company),
            ("GET", "/v2/campaigns", self._campaigns),
            ("POST", "/v2/campaign_enrollments", self._enrol_directly),
            ("GET", "/v2/review_insights", self._insights),
            ("GET", WEBHOOKS, self._list_webhooks),
            ("POST", WEBHOOKS, self._create_webhook),
            ("GET", WEBHOOKS + "/{id}", self._get_webhook),
            ("POST", WEBHOOKS + "/{id}", self._update_webhook),
            ("DELETE", WEBHOOKS + "/{id}", self._delete_webhook),
            ("POST", "/v2/rpc/test-webhook", self._test_webhook),
        ]

    def handle(self, request: Request) -> Reply:
        """Carry out a request: malformed is 400, refused is 200 with an error."""
        try:
            return super().handle(request)
        except MalformedError as problem:
            return Reply(self.problem(400, str(problem)), 400, applied=False)
        except NotDoneError as problem:
            return Reply(self.problem(200, str(problem)), applied=False)

    # Entities.

    def _list(self, table: str, request: Request) -> Reply:
        rows = self.company_of(request).tables[table]
        cursor = request.query.get("cursor")
        if table == "reviews" and self.review_paging != "cursor":
            cursor = None
        ids, following = page(rows.select(request.query), cursor)
        if table == "reviews" and self.review_paging == "none":
            following = None
        return _envelope([self._shown(table, rows.rows[row_id]) for row_id in ids], following)

    def _get(self, table: str, request: Request) -> Reply:
        row = self.company_of(request).tables[table].rows.get(request.params["id"])
        return _envelope(row and self._shown(table, row))

    def _create(self, table: str, request: Request) -> Reply:
        company = self.company_of(request)
        return _envelope(self._shown(table, self.create(company, table, _input(request))))

    def _update(self, table: str, request: Request) -> Reply:
        company = self.company_of(request)
        row = self.update(company, table, request.params["id"], _input(request))
        reply = _envelope(row and self._shown(table, row))
        reply.applied = row is not None
        return reply

    def _company(self, request: Request) -> Reply:
        return _envelope(self._shown("company", self.company_of(request).details))

    def _campaigns(self, request: Request) -> Reply:
        rows = self.company_of(request).tables["campaigns"].rows.values()
        return _envelope([self._shown("campaigns", row) for row in rows])

    def _enrol_directly(self, request: Request) -> Reply:
        company = self.company_of(request)
        if not self.enrollments_scope:
            raise Refusal(401, self.problem(401, "Unauthorized"))
        given = checked(FIELDS["campaign_enrollments"], _input(request), mode=False)
        if "person_id" not in given:
            raise MalformedError("person_id missing")
        campaign_id = given.get("campaign_id")
        row = self.enrol(company, given["person_id"], campaign_id, by="api", cause="direct", source={})
        return _envelope(self._shown("campaign_enrollments", row))

    def _insights(self, request: Request) -> Reply:
        table = self.company_of(request).tables["reviews"]
        by_network: dict[str, list[float]] = {}
        for row_id in table.select(request.query):
            row = table.rows[row_id]
            if row["rating"] is not None:
                by_network.setdefault(row["network"] or "", []).append(row["rating"])
        everything = [rating for ratings in by_network.values() for rating in ratings]
        networks = [
            {"average_rating": _mean(ratings), "network": network, "review_count": len(ratings)}
            for network, ratings in sorted(by_network.items())
        ]
        average, count = _mean(everything), len(everything)
        return _envelope({"average_rating": average, "network_insights": networks, "review_count": count})

    def _shown(self, table: str, row: dict[str, Any]) -> dict[str, Any]:
        # A Review's `created_at` is documented as a string, everything else called a date as a Date.
        if self.date_format == "iso" or table == "reviews":
            return row
        scale = SCALE[self.date_format]
        return {key: _unix(value, scale) if key in DATES and value else value for key, value in row.items()}

    # Webhook management.

    def _list_webhooks(self, request: Request) -> Reply:
        self.developer(request)
        ids, following = page(sorted(self.webhooks), request.query.get("cursor"))
        return _envelope([self._shown("webhooks", self.webhooks[key].public()) for key in ids], following)

    def _hook(self, request: Request) -> Hook:
        self.developer(request)
        hook = self.webhooks.get(request.params["id"])
        if hook is None:
            # "Returns a 401 HTTP status code if not found."
            raise Refusal(401, self.problem(401, "Unauthorized"))
        return hook

    def _get_webhook(self, request: Request) -> Reply:
        return _envelope(self._shown("webhooks", self._hook(request).public()))

    def _webhook_input(self, request: Request) -> dict[str, Any]:
        given = checked(FIELDS["webhooks"], _input(request), mode=False)
        if self.strict_urls and not is_public_https(given.get("endpoint_url", "https://example.com")):
            raise NotDoneError("endpoint_url must be a public https address")
        return given

    def _create_webhook(self, request: Request) -> Reply:
        self.developer(request)
        given, now = self._webhook_input(request), self.stamp()
        url, wanted = given.get("endpoint_url"), given.get("subscriptions", [])
        hook = Hook(self.new_id(20), self.new_id(40), url, wanted, now, now)
        self.webhooks[hook.id] = hook
        return _envelope({**self._shown("webhooks", hook.public()), "secret": hook.secret})

    def _update_webhook(self, request: Request) -> Reply:
        hook = self._hook(request)
        for key, value in self._webhook_input(request).items():
            setattr(hook, key, value)
        hook.updated_at = self.stamp()
        return _envelope(self._shown("webhooks", hook.public()))

    def _delete_webhook(self, request: Request) -> Reply:
        hook = self._hook(request)
        del self.webhooks[hook.id]
        return _envelope(self._shown("webhooks", hook.public()))

    def _test_webhook(self, request: Request) -> Reply:
        self.developer(request)
        body = _input(request)
        payload, subscription = body.get("mock_payload"), body.get("subscription")
        names = ("company_id", "entity_id", "event_code")
        if not isinstance(payload, dict) or any(not isinstance(payload.get(name), str) for name in names):
            raise MalformedError("mock_payload needs company_id, entity_id and event_code")
        if subscription not in SUBSCRIPTIONS:
            raise MalformedError("subscription is not one of the valid values")
        hooks = [hook for hook in self.webhooks.values() if subscription in hook.subscriptions]
        if not hooks:
            raise Refusal(404, self.problem(404, "No webhook has this subscription"))
        for hook in hooks:
            self.send_hook(hook, {name: payload[name] for name in names}, test=True)
        return _envelope(None)


def _envelope(data: Any, cursor: str | None = None) -> Reply:
    return Reply({"cursor": cursor, "data": data, "error": None})


def _input(request: Request) -> dict[str, Any]:
    try:
        return request.fields()
    except ValueError:
        raise MalformedError("the body is not valid JSON") from None


def _unix(text: str, scale: int) -> int:
    return int(datetime.fromisoformat(text).timestamp() * scale)


def _mean(ratings: list[float]) -> float:
    return round(sum(ratings) / len(ratings), 2) if ratings else 0.0
