import pytest
from jsonschema import Draft202012Validator
from little_platforms import CONNECTIONS, EXAMPLE, PLATFORMS, read

from mapping.document import parse
from mapping.problem import ConfigErrors
from mapping.schema import json_schema

SCHEMA = json_schema(PLATFORMS)
VALIDATOR = Draft202012Validator(SCHEMA)

ROUTE = "routes:\n  - from: salon.bookings\n    to: reviews.bookings\n"
ODD = "connections:\n  odd:\n    platform: odd\n"


def valid(text: str) -> bool:
    return VALIDATOR.is_valid(parse(text, "bookferry.yaml").data)


GOOD = [
    EXAMPLE,
    CONNECTIONS,
    CONNECTIONS + "routes:\n",
    CONNECTIONS + "server:\nlookups:\n",
    CONNECTIONS + ROUTE,
    CONNECTIONS + ROUTE + "    when: true\n    set:\n",
    CONNECTIONS + ROUTE + "    when:\n    since:\n",
    CONNECTIONS + ROUTE + "    since: 2026-11-01T09:00:00+13:00\n",
    CONNECTIONS + ROUTE + "    since: 2026-11-01 09:00Z\n",
    CONNECTIONS + ROUTE + "    set: {tags: [], name: '\"x\"', scheduled_time: booking.starts}\n",
    CONNECTIONS + ROUTE + "    notify: ${NOTIFY:-never}\n    since: ${SINCE:-2026-01-01}\n",
    CONNECTIONS + "server: {hooks: '[::1]:0', admin: 'localhost:1', public_url: https://x.example/hooks}\n",
    CONNECTIONS + "server: {hooks: '${HOOKS:-127.0.0.1:9}'}\nstate: ${STATE:-x.db}\n",
    CONNECTIONS + "lookups: {a: {x: 1, y: true, z: 1.5, '1': text}, b: {}}\n",
    CONNECTIONS + "    company_id: 5\n",
    CONNECTIONS + "    company_id: '5'\n",
    CONNECTIONS + "    company_id: ${COMPANY:-5}\n",
    CONNECTIONS + "    refresh_token:\n    webhook_secret: [a, '${file:/run/token}']\n",
    CONNECTIONS + "    webhook_secret: []\n    base_url: http://127.0.0.1:9000/\n    rate: 500/15m\n",
    ODD + "    poll: 0 9 * * mon-fri\n",
    ODD + "    poll: ${POLL:-5m}\n    rate: ${RATE:-1/s}\n    base_url: ${BASE:-https://x.example}\n",
    ODD.replace("platform: odd", "platform: ${P:-odd}"),
    CONNECTIONS.replace("salon", "a") + "routes: [{from: a.booking, to: reviews.booking, name: x y}]\n",
]

BAD = [
    "routes: []\n",
    "connections: {}\n",
    "[]\n",
    CONNECTIONS + "routs: []\n",
    CONNECTIONS + "state: 7\n",
    CONNECTIONS + "server: {hooks: 8077}\n",
    CONNECTIONS + "server: {hooks: nowhere}\n",
    CONNECTIONS + "server: {public_url: ftp://x}\n",
    CONNECTIONS + "lookups: {a: {b: [1]}}\n",
    CONNECTIONS + "routes: {}\n",
    CONNECTIONS + "routes: [{from: salon.bookings}]\n",
    CONNECTIONS + "routes: [{from: salon.bookings, to: reviews.bokings}]\n",
    CONNECTIONS + ROUTE + "    notify: always\n",
    CONNECTIONS + ROUTE + "    since: tomorrow\n",
    CONNECTIONS + ROUTE + "    set: {name: null}\n",
    CONNECTIONS + ROUTE + "    wen: true\n",
    CONNECTIONS + ROUTE + "    when: 5\n",
    CONNECTIONS + ROUTE + "    name: ''\n",
    CONNECTIONS.replace("slug", "slog"),
    CONNECTIONS.replace("poll: 5m", "poll: soon"),
    CONNECTIONS.replace("poll: 5m", "rate: much"),
    CONNECTIONS.replace("poll: 5m", "base_url: example.com"),
    CONNECTIONS.replace("platform: bookatu", "platform: bookatoo"),
    CONNECTIONS.replace("    platform: bookatu\n", ""),
    CONNECTIONS.replace("salon:", "Salon:"),
    CONNECTIONS.replace("    poll: 5m\n", "    refresh_token: of another platform\n"),
    CONNECTIONS + "    company_id: five\n",
]


def test_it_is_a_schema_of_the_draft_it_names():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("text", GOOD)
def test_what_the_loader_accepts_the_schema_accepts(text):
    read(text)
    assert valid(text), [error.message for error in VALIDATOR.iter_errors(parse(text, "x").data)]


@pytest.mark.parametrize("text", BAD)
def test_what_is_wrong_in_itself_both_refuse(text):
    assert not valid(text)
    with pytest.raises(ConfigErrors):
        read(text)


def described(schema: dict, path: str = "") -> list[str]:
    """The properties that have no description."""
    found = []
    for name, each in schema.get("properties", {}).items():
        if "description" not in each and "const" not in each:
            found.append(f"{path}.{name}")
        found += described(each, f"{path}.{name}")
    return found


def test_every_key_has_a_description():
    assert described(SCHEMA) == []
    for name, definition in SCHEMA["$defs"].items():
        assert described(definition, name) == []


def test_every_object_is_closed_and_every_platform_has_its_keys():
    for name in ("Server", "Route", *(f"connection-{platform}" for platform in PLATFORMS)):
        assert SCHEMA["$defs"][name]["additionalProperties"] is False
    for name, platform in PLATFORMS.items():
        assert set(SCHEMA["$defs"][f"connection-{name}"]["properties"]) == set(platform.settings.model_fields)


def test_defaults_are_shown_as_a_user_writes_them():
    server = SCHEMA["$defs"]["Server"]["properties"]
    assert (server["hooks"]["default"], server["admin"]["default"]) == ("127.0.0.1:8077", "127.0.0.1:8078")
