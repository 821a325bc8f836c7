"""A stand-in of Nowistay's public REST API, its OAuth 2.1 and its webhooks, read off the public document."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from connectors.nowistay.sandbox_oauth import Family, OAuth
from connectors.nowistay.sandbox_store import HOOKS_PER_PROPERTY, SENSITIVE, Hook, InvalidError, checked, page
from connectors.sandbox import Handler, Reply, Request, is_public_https

V1 = "/public/v1"
Resource = Callable[[Request, Family], Reply]


class NowistaySandbox(OAuth):
    """Nowistay on the loopback: one host.

    Beyond those of ``OAuth``, ``Office`` and ``Sandbox``, the keyword arguments choose among readings of what the
    document leaves open:
    ``hides_cancelled``: the list of bookings leaves cancelled ones out unless ``status=cancelled`` is asked for,
    ``order``: how lists are sorted; "newest" is the worst one for a walk by offset.
    """

    platform = "nowistay"
    sample: ClassVar[dict[str, int]] = {"properties": 3, "team": 2, "bookings": 12, "missions": 4}

    def __init__(
        self, *args: Any, hides_cancelled: bool = False, order: str = "newest", **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.hides_cancelled, self.order = hides_cancelled, order

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return the documented endpoints: of each resource with the scope that it needs."""
        table: list[tuple[str, str, str, Resource]] = [
            ("GET", "/properties", "properties.read", self._properties),
            ("GET", "/properties/{id}/activity", "activity.read", self._activity),
            ("GET", "/bookings", "bookings.read", self._bookings),
            ("GET", "/bookings/{id}", "bookings.read", self._booking),
            ("PATCH", "/bookings/{id}", "", self._patch_booking),
            ("GET", "/booking-parameters", "booking_parameters.read", self._parameters_list),
            ("POST", "/booking-parameters", "booking_parameters.write", self._create_parameter),
            ("GET", "/missions", "missions.read", self._missions),
            ("POST", "/missions", "missions.write", self._create_mission),
            ("PATCH", "/missions/{id}", "missions.write", self._patch_mission),
            ("GET", "/team-members", "team_members.read", self._team),
            ("GET", "/webhooks", "webhooks.read", self._webhooks),
            ("POST", "/webhooks", "webhooks.write bookings.read", self._create_webhook),
            ("PATCH", "/webhooks/{id}", "webhooks.write", self._patch_webhook),
            ("DELETE", "/webhooks/{id}", "webhooks.write", self._delete_webhook),
        ]
        guarded: list[tuple[str, str, Handler]] = [
            (verb, V1 + path, partial(self._guarded, f"{verb} {path}", scopes, resource))
            for verb, path, scopes, resource in table
        ]
        return [*guarded, *self.oauth_routes()]

    def _guarded(self, route: str, scopes: str, resource: Resource, request: Request) -> Reply:
        family = self.bearer(request)
        self.count(family.client_id, "read" if request.method == "GET" else "write", route.partition(" ")[2])
        self._need(family, *scopes.split())
        if not self.subscribed:
            raise self.refusal(
                403, "entitlement_required", "An active AI Channel Manager subscription is needed"
            )
        try:
            return resource(request, family)
        except InvalidError as problem:
            raise self.refusal(422, "validation_error", str(problem)) from None

    def _need(self, family: Family, *scopes: str) -> None:
        missing = [name for name in scopes if name not in family.scope.split()]
        if missing:
            raise self.refusal(403, "insufficient_scope", f"Missing required scope: {missing[0]}")

    def _input(self, request: Request) -> Any:
        try:
            return request.json()
        except ValueError:
            raise self.refusal(400, "bad_request", "The body is not JSON") from None

    def _row(self, rows: dict[int, dict[str, Any]], request: Request) -> dict[str, Any]:
        text = request.params["id"]
        row = rows.get(int(text)) if text.isdecimal() else None
        if row is None or row.get("propertyId") in self.lapsed:
            raise self.refusal(404, "not_found", "Resource not found, or you do not have access to it")
        return row

    def _listed(self, rows: list[dict[str, Any]], request: Request) -> Reply:
        ordered = list(reversed(rows)) if self.order == "newest" else rows
        return Reply(page(ordered, request.query))

    # Properties and who works there.

    def _properties(self, request: Request, _family: Family) -> Reply:
        return self._listed(list(self.entitled().values()), request)

    def _team(self, request: Request, _family: Family) -> Reply:
        return self._listed(list(self.tables.team.values()), request)

    def _activity(self, request: Request, _family: Family) -> Reply:
        place = self._row(self.entitled(), request)
        rows = [row for row in self.tables.activity if row["propertyId"] == place["id"]]
        return self._listed(rows, request)

    # Bookings.

    def _bookings(self, request: Request, _family: Family) -> Reply:
        query = request.query
        rows = [row for row in self.tables.bookings.values() if row["propertyId"] not in self.lapsed]
        for name in ("propertyId", "status", "channel"):
            if name in query:
                rows = [row for row in rows if str(row[name]) == query[name]]
        if self.hides_cancelled and "status" not in query:
            rows = [row for row in rows if row["status"] != "cancelled"]
        rows = [row for row in rows if row["departure"] >= query.get("fromDate", "")]
        rows = [row for row in rows if row["arrival"] <= query.get("toDate", "9999")]
        return self._listed([_plain(row) for row in rows], request)

    def _booking(self, request: Request, family: Family) -> Reply:
        return Reply(self._detail(self._row(self.tables.bookings, request), family))

    def _detail(self, row: dict[str, Any], family: Family) -> dict[str, Any]:
        return row if "bookings.sensitive.read" in family.scope.split() else _plain(row)

    def _patch_booking(self, request: Request, family: Family) -> Reply:
        body = self._input(request)
        given = checked("booking_patch", body, self.normalise)
        # To "set values on bookings" is a matter of booking_parameters.write, all else of bookings.write.
        core = set(given) - {"customParameters", "silent"}
        self._need(family, *(["bookings.write"] if core else []))
        self._need(family, *(["booking_parameters.write"] if "customParameters" in given else []))
        row = self._row(self.tables.bookings, request)
        if row["channel"] != "direct":
            raise self.refusal(422, "booking_read_only", "Only direct bookings can be edited")
        silent = given.pop("silent", True)  # "Default is silent."
        return Reply(self._detail(self.store_booking(row, given, api=True, silent=silent), family))

    # The host's own fields.

    def _parameters_list(self, request: Request, _family: Family) -> Reply:
        return self._listed(list(self.tables.parameters.values()), request)

    def _create_parameter(self, request: Request, _family: Family) -> Reply:
        given = checked("parameters", self._input(request), self.normalise, new=True)
        return Reply(self.new_parameter(given["key"], given["name"]), 201)

    # Missions.

    def _missions(self, request: Request, _family: Family) -> Reply:
        rows = [row for row in self.tables.missions.values() if row["propertyId"] not in self.lapsed]
        return self._listed(rows, request)

    def _create_mission(self, request: Request, _family: Family) -> Reply:
        given = checked("missions", self._input(request), self.normalise, new=True)
        return Reply(self.new_mission(given), 201)

    def _patch_mission(self, request: Request, _family: Family) -> Reply:
        row = self._row(self.tables.missions, request)
        return Reply(self.store_mission(row, checked("missions", self._input(request), self.normalise)))

    # Webhooks.

    def _webhooks(self, request: Request, _family: Family) -> Reply:
        rows = [hook.public() for hook in self.tables.hooks.values() if hook.property_id not in self.lapsed]
        return self._listed(rows, request)

    def _hook(self, request: Request) -> Hook:
        hook = self.tables.hooks.get(request.params["id"])
        if hook is None:
            raise self.refusal(404, "not_found", "Resource not found, or you do not have access to it")
        return hook

    def _hook_input(self, request: Request, *, new: bool = False) -> dict[str, Any]:
        given = checked("webhooks", self._input(request), new=new)
        if self.strict_urls and not is_public_https(given.get("url", "https://example.com")):
            raise InvalidError("url must be a public https address")
        return given

    def _create_webhook(self, request: Request, _family: Family) -> Reply:
        given, now = self._hook_input(request, new=True), self.stamp()
        place = given["propertyId"]
        if place not in self.entitled():
            raise self.refusal(404, "not_found", "Resource not found, or you do not have access to it")
        if sum(hook.property_id == place for hook in self.tables.hooks.values()) >= HOOKS_PER_PROPERTY:
            raise self.refusal(409, "webhook_limit_reached", "A property has at most three webhooks")
        names = (given["url"], given["events"], given.get("description", ""))
        hook = Hook(f"wh_{self.new_id(12)}", place, *names, f"whsec_{self.new_id(32)}", now, now)
        self.tables.hooks[hook.id] = hook
        return Reply({**hook.public(), "signingSecret": hook.secret}, 201)

    def _patch_webhook(self, request: Request, _family: Family) -> Reply:
        hook = self._hook(request)
        for name, value in self._hook_input(request).items():
            setattr(hook, "property_id" if name == "propertyId" else name, value)
        hook.updated_at = self.stamp()
        return Reply(hook.public())

    def _delete_webhook(self, request: Request, _family: Family) -> Reply:
        del self.tables.hooks[self._hook(request).id]
        return Reply(None, 204)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Leave out what needs bookings.sensitive.read: "email, phone and the smart-lock code are omitted"."""
    return {key: value for key, value in row.items() if key not in SENSITIVE}
