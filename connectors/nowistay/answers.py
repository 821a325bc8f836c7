"""What Nowistay's answers mean. Pure. Errors are ``{"error": {"code", "message", "requestId"}}``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from connectors.answer import Answer
from connectors.errors import BadAnswer, Refused
from connectors.wire import quoted

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CODE = re.compile(r"[a-z0-9_.]{1,60}")
_PLAN = re.compile(r"entitle|subscription|channel.?manager|plan", re.IGNORECASE)
_SCOPE = re.compile(r"scope", re.IGNORECASE)

# What a route needs, by the document's list of scopes.
_NEEDS = (
    ("GET", r"/properties/.+/activity", "activity.read"),
    ("GET", r"/properties", "properties.read"),
    ("GET", r"/bookings", "bookings.read"),
    ("PATCH", r"/bookings", "bookings.write"),
    ("GET", r"/booking-parameters", "booking_parameters.read"),
    ("POST", r"/booking-parameters", "booking_parameters.write"),
    ("GET", r"/missions", "missions.read"),
    ("", r"/missions", "missions.write"),
    ("GET", r"/team", "team_members.read"),
    ("GET", r"/webhooks", "webhooks.read"),
    ("", r"/webhooks", "webhooks.write"),
)

FEATURES: Mapping[str, str] = {
    "properties.read": "properties, and with them all zones and check-in times",
    "bookings.read": "reading bookings",
    "bookings.sensitive.read": "guests' e-mail addresses and phone numbers",
    "bookings.write": "changing direct bookings",
    "booking_parameters.read": "knowing which custom fields exist",
    "booking_parameters.write": "custom fields and their values",
    "missions.read": "reading missions, also to find one after a lost answer",
    "missions.write": "making and changing missions",
    "activity.read": "the activity feed",
    "team_members.read": "the team",
    "webhooks.read": "seeing whether webhooks are there and active",
    "webhooks.write": "making and repairing webhooks",
}


def route_scopes(method: str, path: str) -> tuple[str, ...]:
    """What a request is counted by: "per client and per route", and everything together."""
    parts = path.split("/")  # "", collection, id, …
    template = "/".join("{id}" if index == 2 else part for index, part in enumerate(parts))  # noqa: PLR2004
    return "all", f"{'read' if method == 'GET' else 'write'}:{template}"


def oauth_scope(method: str, path: str) -> tuple[str, ...]:  # noqa: ARG001 - one limit for all of them
    """OAuth endpoints: "20 requests per minute per IP or client"."""
    return ("oauth",)


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error as the platform words it; empty where the answer has another shape."""

    code: str = ""
    message: str = ""
    request_id: str = ""

    @classmethod
    def of(cls, answer: Answer) -> "Complaint":
        """Read the body of an error."""
        try:
            error = answer.json()["error"]
            return cls(*(_text(error.get(name)) for name in ("code", "message", "requestId")))
        except Exception:  # noqa: BLE001 - an error page need not be JSON; the status tells
            return cls()

    @property
    def sentence(self) -> str:
        """For people: the code, the message, and the id that support asks for."""
        code = self.code if _CODE.fullmatch(self.code) else ""
        said = ": ".join(part for part in (code, quoted(self.message)) if part)
        known = f"(requestId {self.request_id})" if _REQUEST_ID.fullmatch(self.request_id) else ""
        return " ".join(part for part in (said, known) if part)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def check(answer: Answer, connection: str, *, collection: bool = False, setting: str = "") -> Answer:
    """Give the answer back if it is a success; else raise what it means, with its requestId.

    ``collection``: the address names no single record, so "not found" means lost access. ``setting``: the key of the
    YAML that changes an address which is only assumed.
    """
    complaint = Complaint.of(answer) if answer.status not in range(200, 300) else Complaint()
    try:
        return answer.check(
            collection=collection,
            said=complaint.sentence,
            remedy=_remedy(answer, complaint, connection, setting),
        )
    except Refused as error:
        if answer.write:
            raise
        raise BadAnswer(error.sentence) from None  # a look is never refused for what stands in it


def _remedy(answer: Answer, complaint: Complaint, connection: str, setting: str) -> str:
    log_in = f"bookferry connect {connection}"
    said = f"{complaint.code} {complaint.message}"
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return log_in
    if answer.status == HTTPStatus.FORBIDDEN:
        scope = f"grant the scope {_needed(answer)}: {log_in}"
        plan = "renew the AI Channel Manager subscription of these properties in Nowistay"
        if _PLAN.search(said) and not _SCOPE.search(complaint.code):
            return f"{plan}."
        return scope if _SCOPE.search(said) else f"{scope}; or {plan}."
    if setting:
        return (
            f"set `{setting}` if Nowistay has it elsewhere; or see that the account still has access to it."
        )
    return "see that the account still has access to it, and an active AI Channel Manager subscription."


def _needed(answer: Answer) -> str:
    for method, path, scope in _NEEDS:
        if method in {"", answer.method} and re.match(path, answer.path):
            return scope
    return "that this needs"


def whole(answer: Answer) -> Mapping[str, Any]:
    """The object of a successful answer, also where it stands under ``data``."""
    said = answer.json()
    inner = said.get("data") if isinstance(said, Mapping) else None
    row = inner if isinstance(inner, Mapping) else said
    if not isinstance(row, Mapping) or "id" not in row:
        answer.unusable("no record with an `id`")
    return row


def listed(answer: Answer) -> tuple[list[Any], int | None]:
    """The rows of a page, and how many there are of all."""
    said = answer.json()
    rows = said.get("data") if isinstance(said, Mapping) else None
    if not isinstance(rows, list):
        answer.unusable("no list in `data`")
    pages = said.get("pagination")
    total = pages.get("totalItems") if isinstance(pages, Mapping) else None
    return rows, total if isinstance(total, int) and not isinstance(total, bool) and total >= 0 else None
