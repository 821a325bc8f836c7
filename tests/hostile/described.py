"""schemathesis against the listening doors, by the description in ``doors.openapi.json``: the doors serve none."""

import json
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

DESCRIBED = Path(__file__).with_name("doors.openapi.json")
OPERATIONS = {
    "hook": ("/hooks/{connection}", "POST", "hooks"),
    "health": ("/healthz", "GET", "admin"),
    "metrics": ("/metrics", "GET", "admin"),
}


def attack(operation, ports, examples, seen=lambda response: None):
    """So many cases of an operation, those that the description allows and those that it does not. Raises what is wrong."""
    path, method, door = OPERATIONS[operation]
    schema = schemathesis.openapi.from_dict(json.loads(DESCRIBED.read_text()))
    schema.config.update(base_url=f"http://127.0.0.1:{ports[door]}")
    modes = [GenerationMode.POSITIVE] + [GenerationMode.NEGATIVE] * (
        operation == "hook"
    )  # the others take nothing
    for mode in modes:
        _run(schema[path][method].as_strategy(generation_mode=mode), examples, seen)


def _run(cases, examples, seen):
    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases)
    def sent(case):
        response = case.call(headers={"x-bookatu-signature": "t=1,v1=" + "0" * 64})
        seen(response)
        assert response.status_code < 500, response.status_code
        case.validate_response(response, checks=[schemathesis.checks.not_a_server_error, _as_described])

    sent()


def _as_described(ctx, response, case):
    """Any answer that the description knows has the shape that it says."""
    if str(response.status_code) in case.operation.definition.raw["responses"]:
        case.operation.validate_response(response)


def ports(made):
    """Of a service that runs."""
    return {"hooks": made.hooks, "admin": made.admin}
