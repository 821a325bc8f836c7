import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st
from little_platforms import CONNECTIONS, ENV, EXAMPLE, PLATFORMS, NiceJobSettings, read

from mapping.config import Door, Endpoint, Notify
from mapping.expr import record_scope
from mapping.load import load
from mapping.model import Kind
from mapping.problem import ConfigErrors, InvalidError
from mapping.surprise import Limits, Sort
from mapping.timing import Cron, Interval, parse_poll, parse_rate

ROUTE = "routes:\n  - from: salon.bookings\n    to: reviews.bookings\n"
"""After CONNECTIONS, ``routes:`` is line 13; what follows is line 16."""


def errors(text: bytes | str, env: dict[str, str] = ENV) -> list[str]:
    with pytest.raises(ConfigErrors) as refused:
        read(text, env)
    assert str(refused.value).split("\n") == [str(problem) for problem in refused.value.errors]
    return [str(problem).removeprefix("bookferry.yaml:") for problem in refused.value.errors]


def error(text: bytes | str) -> str:
    (only,) = errors(text)
    return only


class TestTheGuard:
    def limits(self, text):
        config = read(text)
        (route,) = config.routes
        return route.guard.over(config.guard), route.canaries

    @pytest.mark.parametrize(
        ("general", "own", "limits", "canaries"),
        [
            ("", "", Limits({}), 0),
            ("", "    canary: 2\n", Limits({}), 2),
            ("", "    notify: allow\n", Limits({}), 5),
            ("", "    notify: allow\n    canary: 0\n", Limits({}), 0),
            ("guard:\n", "    guard:\n", Limits({}), 0),
            ("guard: {create: 9, times: 2}\n", "", Limits({Sort.CREATE: 9}, 2.0), 0),
            (
                "guard: {create: 9}\n",
                "    guard: {create: 7, cancel: 1}\n",
                Limits({Sort.CREATE: 7, Sort.CANCEL: 1}),
                0,
            ),
            ("guard: off\n", "", Limits({}, on=False), 0),
            ("guard: {create: 9}\n", "    guard: off\n", Limits({Sort.CREATE: 9}, on=False), 0),
            ("guard: off\n", "    guard: {cancel: 1}\n", Limits({Sort.CANCEL: 1}), 0),
        ],
    )
    def test_what_it_allows(self, general, own, limits, canaries):
        assert self.limits(general + CONNECTIONS + ROUTE + own) == (limits, canaries)

    @pytest.mark.parametrize(
        ("general", "own", "said"),
        [
            (
                "guard: {crate: 9}\n",
                "",
                '1:9: guard.crate: there is no key "crate" here; did you mean "create"?',
            ),
            (
                "",
                "    guard: {cancels: 9}\n",
                'routes.0.guard.cancels: there is no key "cancels" here; did you mean "cancel"?',
            ),
            ("guard: {create: -1}\n", "", "guard.create: input should be greater than or equal to 0"),
            ("", "    guard: none\n", 'routes.0.guard: must be a mapping, not "none"'),
            ("", "    canary: -1\n", "routes.0.canary: input should be greater than or equal to 0"),
        ],
    )
    def test_what_is_wrong_with_it(self, general, own, said):
        assert said in error(general + CONNECTIONS + ROUTE + own)


class TestWhatIsRight:
    def test_the_example(self):
        config = read(EXAMPLE)
        assert config.server.hooks == Door("127.0.0.1", 8077)
        assert config.server.admin == Door("127.0.0.1", 8078)
        assert (config.server.public_url, config.state, config.warnings) == (None, "bookferry.db", ())
        assert config.poll("salon") == Interval(300)
        reviews = config.connections["reviews"]
        assert isinstance(reviews, NiceJobSettings)
        assert reviews.client_secret.get_secret_value() == "sentinel-secret"
        (route,) = config.routes
        assert (route.name, route.notify) == ("ask for a review after the visit", Notify.ALLOW)
        assert (route.source, route.target) == (
            Endpoint("salon", Kind.BOOKINGS),
            Endpoint("reviews", Kind.BOOKINGS),
        )
        assert route.since == datetime(2026, 11, 1, tzinfo=UTC)
        assert set(route.set) == {"title", "tags"}
        assert route.set["tags"] == ["bookatu"]

    def test_its_expressions_work(self):
        (route,) = read(EXAMPLE).routes
        fields = {"status": "completed", "title": "Gel"}
        scope = record_scope(Kind.BOOKINGS, fields, None, connection="salon", ref="1", tables={})
        assert route.when.holds(scope) is True
        assert route.set["title"].evaluate(scope) == "Gel"

    def test_a_route_without_anything_is_silent_unconditional_and_named_after_its_ends(self):
        (route,) = read(CONNECTIONS + ROUTE).routes
        assert (route.name, route.when, dict(route.set), route.since) == (
            "salon.bookings to reviews.bookings",
            None,
            {},
            None,
        )
        assert route.notify is Notify.NEVER

    def test_no_routes_is_a_warning(self):
        for text in (CONNECTIONS, CONNECTIONS + "routes:\n"):
            (warning,) = read(text).warnings
            assert str(warning) == (
                "bookferry.yaml:1:1: there are no routes, so nothing is carried anywhere; add routes:"
            )

    def test_a_byte_order_mark_and_windows_lines_are_no_trouble(self):
        assert read(b"\xef\xbb\xbf" + EXAMPLE.replace("\n", "\r\n").encode()).routes == read(EXAMPLE).routes

    def test_yaml_1_1_is_not_spoken_here(self):
        text = (
            CONNECTIONS
            + "lookups: {t: {a: on, b: NO, c: 12:30, d: 2026-11-01, e: 010, f: 0o10, g: 1e3, h: .inf}}\n"
        )
        assert dict(read(text).lookups["t"]) == {
            "a": "on",
            "b": "NO",
            "c": "12:30",
            "d": "2026-11-01",
            "e": 10,
            "f": 8,
            "g": 1000.0,
            "h": ".inf",
        }

    def test_an_anchor_may_stand_for_a_value(self):
        text = CONNECTIONS + "lookups: {a: &a {x: 1}, b: *a}\n"
        assert dict(read(text).lookups["b"]) == {"x": 1}

    def test_two_connections_may_share_an_account(self):
        text = CONNECTIONS + "  again: {platform: odd}\n  and-again: {platform: odd}\n"
        assert set(read(text).connections) == {"salon", "reviews", "again", "and-again"}

    @pytest.mark.parametrize(
        ("since", "moment"),
        [
            ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
            ("2026-11-01T09:00+13:00", datetime(2026, 10, 31, 20, tzinfo=UTC)),
            ("2026-11-01 09:00:00.5Z", datetime(2026, 11, 1, 9, 0, 0, 500000, tzinfo=UTC)),
        ],
    )
    def test_since(self, since, moment):
        assert read(CONNECTIONS + ROUTE + f"    since: {since}\n").routes[0].since == moment

    def test_set_takes_the_platforms_words_and_the_common_ones(self):
        text = CONNECTIONS + ROUTE + "    set: {scheduled_time: booking.ends, title: '\"x\"', tags: []}\n"
        assert set(read(text).routes[0].set) == {"starts", "title", "tags"}

    def test_a_condition_may_be_a_plain_boolean(self):
        assert read(CONNECTIONS + ROUTE + "    when: false\n").routes[0].when.text == "false"

    def test_lookups_are_seen_by_expressions(self):
        text = (
            CONNECTIONS
            + "lookups: {names: {Gel: Nails}}\n"
            + ROUTE
            + '    set: {name: \'lookup("names", "Gel")\'}\n'
        )
        assert read(text).routes[0].set["title"].text == 'lookup("names", "Gel")'


class TestSubstitution:
    def key(self, written: str, env: dict[str, str] = ENV) -> str:
        text = CONNECTIONS.replace("${BOOKATU_API_KEY}", written)
        return read(text, env).connections["salon"].api_key.get_secret_value()

    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("${BOOKATU_API_KEY}", "sentinel-api-key"),
            ("a-${BOOKATU_API_KEY}-${NOPE:-b}", "a-sentinel-api-key-b"),
            ("${NOPE:-}x", "x"),
            ("${NOPE:-a:b}", "a:b"),
            ("${file:/run/token}", "sentinel-token"),
            ("${file:/run/crlf}", "sentinel-crlf"),
            ("${cred:hook}", "sentinel-credential"),
            ("$${BOOKATU_API_KEY}", "${BOOKATU_API_KEY}"),
            ("$5", "$5"),
        ],
    )
    def test_values(self, written, value):
        assert self.key(written) == value

    def test_what_is_put_in_is_not_read_again_and_is_no_yaml(self):
        assert self.key("${X}", {**ENV, "X": "${HOME}\nslug: other # x"}) == "${HOME}\nslug: other # x"

    @pytest.mark.parametrize(
        ("written", "said"),
        [
            ("${NOPE}", "the environment variable NOPE is not set; export NOPE=…"),
            ("${EMPTY}", "the environment variable EMPTY is empty; export EMPTY=…"),
            (
                "${file:/run/nope}",
                'cannot read "/run/nope": No such file or directory; create the file, or correct the path',
            ),
            (
                "${cred:nope}",
                'there is no credential "nope"; add LoadCredential=nope:/path to the systemd unit, or use ${file:/path}',
            ),
            ("${NOPE", "${ without }; close it, or write $${ for a plain ${"),
            (
                "${1x}",
                (
                    "${1x} is not understood; write ${NAME}, ${NAME:-default}, ${file:/path} or ${cred:name}; "
                    "$${ for a plain ${"
                ),
            ),
        ],
    )
    def test_what_is_missing_is_said_once_with_a_remedy(self, written, said):
        text = CONNECTIONS.replace("${BOOKATU_API_KEY}", written)
        assert errors(text, {**ENV, "EMPTY": ""}) == [f"5:14: connections.salon.api_key: {said}"]

    def test_what_cannot_be_read_is_a_problem_too(self):
        def refuse(_name: str) -> str:
            raise UnicodeDecodeError("utf-8", b"s3ntinel", 0, 1, "s3ntinel")

        text = CONNECTIONS.replace("${BOOKATU_API_KEY}", "${file:/k}").replace(
            "${BOOKATU_WEBHOOK_SECRET}", "${cred:c}"
        )
        with pytest.raises(ConfigErrors) as refused:
            load(text, name="f", platforms=PLATFORMS, env=ENV, read_file=refuse, credential=refuse)
        assert [problem.message for problem in refused.value.errors] == [
            '"/k" holds no UTF-8 text',
            'there is no credential "c"',
        ]
        assert "s3ntinel" not in str(refused.value)

    def test_a_number_may_be_put_in(self):
        config = read(CONNECTIONS + "    company_id: ${COMPANY}\n", {**ENV, "COMPANY": "77"})
        assert config.connections["reviews"].company_id == 77

    @pytest.mark.parametrize(
        "written",
        [
            "server: {hooks: '${S}'}",
            "server: {public_url: '${S}'}",
            "state: x\nserver: '${S}'",
            "lookups: '${S}'",
            "routes: [{from: '${S}', to: reviews.bookings}]",
            "routes: [{from: '${S}.bookings', to: reviews.bookings}]",
            "routes: [{from: salon.bookings, to: reviews.bookings, when: '${S}'}]",
            "routes: [{from: salon.bookings, to: reviews.bookings, set: {name: '${S}'}}]",
            "routes: [{from: salon.bookings, to: reviews.bookings, set: {name: 'int(\"${S}\")'}}]",
            "routes: [{from: salon.bookings, to: reviews.bookings, set: {amount: ['${S}']}}]",
            "routes: [{from: salon.bookings, to: reviews.bookings, notify: '${S}'}]",
            "routes: [{from: salon.bookings, to: reviews.bookings, since: '${S}'}]",
            "    company_id: ${S}",
            "    base_url: ${S}",
            "    poll: ${S}",
            "    rate: ${S}",
            "    nope: ${S}",
            "    nope: s3ntinel",
            "    webhook_secret: {a: s3ntinel}",
            "    base_url: https://me:s3ntinel@example.com/",
            "  more: {platform: '${S}', api_key: s3ntinel}",
            "  more: {platform: bookatu, slug: s, api_key: [s3ntinel], source: '${S}'}",
            "  more: s3ntinel",
        ],
    )
    def test_what_was_put_in_or_is_a_secret_is_in_no_message(self, written):
        said = "\n".join(errors(CONNECTIONS + written + "\n", {**ENV, "S": "s3ntinel"}))
        assert "s3ntinel" not in said

    def test_a_message_shows_the_reference_instead(self):
        said = error(
            CONNECTIONS
            + "routes: [{from: '${S}.bookings', to: reviews.bookings}]\n".replace("${S}", "${S:-x}")
        )
        assert said.startswith('13:17: routes.0.from: there is no connection "${S:-x}.bookings"; ')

    def test_a_secret_typed_into_the_file_is_a_warning_that_does_not_show_it(self):
        text = CONNECTIONS.replace("${BOOKATU_API_KEY}", "s3cret").replace(
            "${BOOKATU_WEBHOOK_SECRET}", "['${cred:hook}', t0p]"
        )
        assert [str(warning) for warning in read(text + ROUTE).warnings] == [
            (
                "bookferry.yaml:5:14: connections.salon.api_key: a secret is typed into the file; "
                "write ${API_KEY}, ${file:/path} or ${cred:name}"
            ),
            (
                "bookferry.yaml:6:38: connections.salon.webhook_secret.1: a secret is typed into the file; "
                "write ${WEBHOOK_SECRET}, ${file:/path} or ${cred:name}"
            ),
        ]


class TestText:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (b"", "1:1: there is no configuration in this file; bookferry init writes one to start from"),
            (
                b"# nothing\n",
                "1:1: there is no configuration in this file; bookferry init writes one to start from",
            ),
            (b"- a\n", "1:1: is not a mapping of keys; begin with connections: and routes:"),
            (b"x: 1\ny\xff: 2\n", "2:2: is not UTF-8; save the file as UTF-8"),
            (b"\xff\xfea\x00", "1:1: is not UTF-8; save the file as UTF-8"),
            (
                b"connections:\n\tsalon: x\n",
                (
                    "2:1: not YAML: found character '\\t' that cannot start any token; "
                    "indent with spaces, never with tabs"
                ),
            ),
            (
                b"when: a ? b : c\n",
                (
                    "1:13: not YAML: mapping values are not allowed here; "
                    "put quotes around a value with a colon in it, or check the indentation"
                ),
            ),
            (
                b"a: {b: ${X}}\n",
                "1:9: not YAML: expected ',' or '}', but got '{'; put quotes around ${\u2026} inside { } or [ ]",
            ),
            (
                b"a: 'x\n",
                "2:1: not YAML: found unexpected end of stream; close the quotes that open before this",
            ),
            (
                b"a: [1\n",
                "2:1: not YAML: expected ',' or ']', but got '<stream end>'; close the bracket that opens before this",
            ),
            (b"a: x\x01\n", "1:5: a character that YAML does not allow; delete it"),
            (
                b"when: !booking.x\n",
                "1:7: a word that begins with ! is a YAML tag; put quotes around the whole value",
            ),
            (b"a: *b\n", "1:4: nothing before this is called &b; put quotes around a text with a *"),
            (b"a: &a [*a]\n", "1:8: nothing before this is called &a; put quotes around a text with a *"),
            (b"a: 1\n--- \nb: 1\n", "2:1: a second document begins; keep one document: delete the ---"),
            (
                b"a: {b: &b x, b: *c}\n",
                "1:17: nothing before this is called &c; put quotes around a text with a *",
            ),
            (b"a: {<<: 1}\n", "1:5: merge keys (<<) are not supported; write the keys out"),
            (
                b"? [a]\n: 1\n",
                "1:3: a key is a list or a mapping; a key is a word; put quotes around ${\u2026} in { }",
            ),
            (b"a" * 1_000_001, "1:1: is larger than 1000000 bytes; is this the right file?"),
            (b"a: " + b"[" * 40, "1:36: nested deeper than 32 levels; no key of bookferry nests so deep"),
        ],
    )
    def test_what_cannot_be_read(self, text, said):
        assert error(text) == said

    def test_a_bomb_of_aliases_is_refused(self):
        lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
        lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
        assert (
            error("\n".join(lines)) == "1:28: more than 100000 values, aliases included; write fewer aliases"
        )

    def test_keys_that_appear_twice(self):
        text = CONNECTIONS + "state: a\nserver: {hooks: '127.0.0.1:1', hooks: x}\nstate: b\n"
        assert errors(text) == [
            '14:32: server.hooks: the key "hooks" is here twice: first in line 14; keep one of them',
            '15:1: state: the key "state" is here twice: first in line 13; keep one of them',
        ]

    def test_an_error_is_one_line_whatever_the_key_is(self):
        said = error(CONNECTIONS + '"a\\nb\\e[31m": 1\n')
        assert said.startswith('13:1: "a\\nb\\u001b[31m": there is no key "a\\nb\\u001b[31m" here; ')


class TestKeys:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (
                "routes: []\n",
                (
                    "1:1: connections: is missing; add it: one entry an account on a platform; "
                    "the name is used in routes and in messages"
                ),
            ),
            ("connections: {}\n", "1:14: connections: must not be empty; add an entry"),
            (
                "connections: 5\n",
                '1:14: connections: must be a mapping, not "5"; write its keys beneath it, each as key: value',
            ),
            (
                CONNECTIONS + "routs: []\n",
                (
                    '13:1: routs: there is no key "routs" here; did you mean "routes"? '
                    "(keys: alerts, connections, guard, keep, lookups, routes, server, state)"
                ),
            ),
            (
                CONNECTIONS.replace("slug", "slog"),
                (
                    '4:5: connections.salon.slog: there is no key "slog" here; did you mean "slug"? '
                    "(keys: api_key, base_url, platform, poll, rate, slug, source, webhook_secret)"
                ),
            ),
            (
                CONNECTIONS.replace("    slug: parnell-nails\n", ""),
                "2:3: connections.salon.slug: is missing; add it: the business, as in its address",
            ),
            (
                CONNECTIONS.replace("parnell-nails", "123"),
                '4:11: connections.salon.slug: must be a text, not "123"; put quotes around it',
            ),
            (
                CONNECTIONS.replace("platform: bookatu", "platform: bookatoo"),
                (
                    '3:15: connections.salon.platform: there is no platform "bookatoo"; did you mean "bookatu"? '
                    "(platforms: bookatu, nicejob, odd)"
                ),
            ),
            (
                CONNECTIONS.replace("    platform: bookatu\n", ""),
                "2:3: connections.salon.platform: is missing; add it: platforms: bookatu, nicejob, odd",
            ),
            (
                CONNECTIONS.replace("salon:", "Salon:"),
                (
                    "2:3: connections.Salon: is not a name; begin with a letter a-z, then letters, digits, _ and - "
                    "(all lower-case)"
                ),
            ),
            (
                CONNECTIONS.replace("poll: 5m", "base_url: http://example.com"),
                (
                    '7:15: connections.salon.base_url: "http://example.com" would send secrets over plain http; '
                    "write https://, or use an address on this machine"
                ),
            ),
            (
                CONNECTIONS.replace("poll: 5m", "rate: 0/m"),
                (
                    '7:11: connections.salon.rate: "0/m" is out of range; '
                    "allow at least 1 request, in a time between 1s and 24h"
                ),
            ),
            (
                CONNECTIONS.replace("poll: 5m", "poll: 61 * * * *"),
                '7:11: connections.salon.poll: "61 * * * *" is not understood at the minute; minute is 0-59',
            ),
            (CONNECTIONS + "state: 7\n", '13:8: state: must be a text, not "7"; put quotes around it'),
            (
                CONNECTIONS + "lookups:\n  t:\n    a: [1]\n",
                "15:8: lookups.t.a: must be a text, a number, true or false; write one value a row",
            ),
            (
                CONNECTIONS + "server:\n  hooks: 8077\n",
                '14:10: server.hooks: "8077" must be a text; put quotes around it',
            ),
            (
                CONNECTIONS + "server:\n  admin: 127.0.0.1:70000\n",
                (
                    '14:10: server.admin: "127.0.0.1:70000" is not host:port; '
                    "write an address such as 127.0.0.1:8077 (port 0-65535)"
                ),
            ),
            (
                CONNECTIONS + "server:\n  hooks: 127.0.0.1:8078\n",
                (
                    "14:10: server.hooks: is the address of the admin door too; "
                    "give each door its own port: never one listener for both"
                ),
            ),
            (
                CONNECTIONS + "server:\n  public_url: http://example.com\n",
                (
                    '14:15: server.public_url: "http://example.com" must be https: webhooks carry guest data; '
                    "put an https proxy before the hook door"
                ),
            ),
        ],
    )
    def test_one_mistake(self, text, said):
        assert error(text) == said

    def test_plain_http_is_for_this_machine_and_for_those_who_send_no_secret(self):
        for url in ("http://127.0.0.1:9", "http://[::1]:9", "http://localhost:9", "http://x.localhost"):
            assert (
                read(CONNECTIONS.replace("poll: 5m", f"base_url: {url}")).connections["salon"].base_url == url
            )
        assert read("connections: {odd: {platform: odd, base_url: 'http://example.com'}}\n")
        assert (
            read(CONNECTIONS + "server: {public_url: 'http://localhost:8077/'}\n").server.public_url
            == "http://localhost:8077"
        )

    @pytest.mark.parametrize(
        "url",
        [
            "https://",
            "https://a:b@x.example",
            "https://x.example?a=1",
            "https://x.example:99999",
            "https://[x",
            "x",
        ],
    )
    def test_what_is_no_address_for_webhooks(self, url):
        assert "13:22: server.public_url: " in error(CONNECTIONS + f"server: {{public_url: '{url}'}}\n")

    def test_doors(self):
        server = read(CONNECTIONS + "server: {hooks: '[::1]:0', admin: '[::1]:0'}\n").server
        assert server.hooks == Door("::1", 0)
        assert str(server.hooks) == "[::1]:0"
        for text in ("x", ":1", "a:b:1", "[x]:1", "[1.2.3.4]:1", "h:", "h:-1", "h:99999", "h h:1"):
            with pytest.raises(InvalidError):
                Door.parse(text)


class TestRoutes:
    @pytest.mark.parametrize(
        ("route", "said"),
        [
            ("    notify: always\n", '16:13: routes.0.notify: must be never or allow, not "always"; '),
            ("    notfy: allow\n", '16:5: routes.0.notfy: there is no key "notfy" here; did you mean "notify"?'),
            ("    when: booking.titel == null\n", '16:19: routes.0.when: unknown name booking.titel; did you mean "title"?'),
            ("    when: 'booking.titel == null'\n", "16:20: routes.0.when: unknown name booking.titel; "),
            ("    when: |\n      booking.titel == null\n", "16:11: routes.0.when: unknown name booking.titel (at character 9); "),
            ("    when: {text: x, paths: [], _program: 1}\n", "16:11: routes.0.when: must be an expression (a text); put quotes around it"),
            ("    when: 5\n", '16:11: routes.0.when: must be an expression (a text), not "5"; put quotes around it'),
            ("    when: lookup('t', 'x') == 'y'\n", 'there is no lookup table "t"; there are no tables'),
            ("    set: {nam: booking.title}\n", '16:11: routes.0.set.nam: the target takes no field "nam"; did you mean "name"? (fields it takes: amount, name, scheduled_time, tags)'),
            ("    set: {name: null}\n", "16:17: routes.0.set.name: is empty; leave the key out, or write an expression"),
            ("    set: {name: Nails}\n", "16:17: routes.0.set.name: unknown name Nails; for a text write quotes inside the expression, '\"Nails\"'; "),
            ("    set: {name: 5}\n", "16:17: routes.0.set.name: the field title cannot hold this: it must be a text; "),
            ("    set: {scheduled_time: 2026-11-01}\n", "16:27: routes.0.set.scheduled_time: the field starts cannot hold this: it "),
            ("    set: {tags: [a, [b]]}\n", "16:17: routes.0.set.tags: must be an expression, a number, true, false or a list of them; "),
            ("    set: {name: booking.title, title: booking.title}\n", "16:32: routes.0.set.title: sets title a second time; keep one of them"),
            ("    set: 5\n", '16:10: routes.0.set: must be a mapping, not "5"; '),
            ("    since: tomorrow\n", '16:12: routes.0.since: "tomorrow" is neither a date nor an instant; '),
            ("    since: 2026-11-01T09:00\n", '16:12: routes.0.since: "2026-11-01T09:00" has no offset, and a zone is never guessed; '),
            ("    since: 2026-02-30\n", '16:12: routes.0.since: "2026-02-30" does not exist in the calendar; '),
            ("  - from: salon.bookings\n    to: reviews.bookings\n", "16:5: routes.1.name: the route in line 14 has the same name; give each route its own name"),
        ],
    )  # fmt: skip
    def test_one_mistake(self, route, said):
        assert said in error(CONNECTIONS + ROUTE + route)

    @pytest.mark.parametrize(
        ("source", "target", "said"),
        [
            ("salo.bookings", "reviews.bookings", '15:11: routes.0.from: there is no connection "salo"; did you mean "salon"? (connections: odd, reviews, salon)'),
            ("salon.bokings", "reviews.bookings", '15:11: routes.0.from: "salon.bokings" names no kind after the dot; did you mean "bookings"? (kinds: bookings, enrolments, missions, parameters, people, reviews, visits)'),
            ("salon", "reviews.bookings", '15:11: routes.0.from: "salon" is not connection.kind; write the connection and the kind, such as salon.bookings'),
            ("salon.reviews", "reviews.bookings", "15:11: routes.0.from: Bookatu has no reviews; choose one of its kinds: bookings, people"),
            ("odd.reviews", "reviews.reviews", "15:11: routes.0.from: Odd does not list its reviews; what it lists: bookings"),
            ("salon.people", "reviews.bookings", "16:9: routes.0.to: bookings cannot be made out of people; choose the target's people"),
            ("reviews.bookings", "reviews.bookings", "16:9: routes.0.to: is the connection that the route comes from; choose another one"),
            ("reviews.people", "salon.people", "16:9: routes.0.to: Bookatu takes no people from outside: The API has no way to make a customer; choose another target"),
            ("odd.reviews", "reviews.reviews", "16:9: routes.0.to: NiceJob takes no reviews from outside; choose another target"),
            ("reviews.bookings", "salon.bookings", "16:9: routes.0.to: the target cannot be written to silently: whether it notifies is not documented; write notify: allow if guests may be notified"),
            ("reviews.bookings", "odd.bookings", "16:9: routes.0.to: the target takes no booking without deposit, and nothing gives it one; add deposit to set"),
        ],
    )  # fmt: skip
    def test_the_ends(self, source, target, said):
        odd = "  odd: {platform: odd}\n"
        assert said in errors(CONNECTIONS + odd + f"routes:\n  - from: {source}\n    to: {target}\n")

    def test_a_target_that_is_loud_is_fine_when_it_may_be(self):
        loud = "routes:\n  - from: reviews.bookings\n    to: salon.bookings\n    notify: {}\n"
        (route,) = read(CONNECTIONS + loud.format("allow")).routes
        assert route.notify is Notify.ALLOW
        assert error(CONNECTIONS + loud.format("never")).startswith(
            "16:13: routes.0.notify: the target cannot be written to silently: whether it notifies is not documented; "
        )

    def test_a_wrong_connection_does_not_hide_what_is_wrong_with_its_routes(self):
        text = CONNECTIONS.replace("slug", "slog") + ROUTE + "    when: booking.titel\n    notify: x\n"
        assert [line.split(": ")[0] + " " + line.split(": ")[1] for line in errors(text)] == [
            "4:5 connections.salon.slog",
            "16:19 routes.0.when",
            "17:13 routes.0.notify",
        ]

    def test_everything_at_once(self):
        text = (
            EXAMPLE.replace("slug", "slog")
            .replace("5m", "5x")
            .replace("allow ", "loud ")
            .replace("salon.b", "salom.b")
        )
        assert [line.split(": ")[1] for line in errors(text, {})] == [
            "connections.salon.slog",
            "connections.salon.api_key",
            "connections.salon.webhook_secret",
            "connections.salon.poll",
            "connections.reviews.client_id",
            "connections.reviews.client_secret",
            "routes.0.from",
            "routes.0.notify",
        ]


class TestTiming:
    @pytest.mark.parametrize(
        ("text", "seconds"), [("30s", 30), ("5m", 300), ("2h", 7200), (" 1d ", 86400), ("31d", 2678400)]
    )
    def test_intervals(self, text, seconds):
        assert parse_poll(text) == Interval(seconds)

    @pytest.mark.parametrize(
        ("line", "fields"),
        [
            ("* * * * *", ("*", "*", "*", "*", "*")),
            ("0 9 * * 1-5", ("0", "9", "*", "*", "mon,tue,wed,thu,fri")),
            ("*/15 8-18/2 * * sun", ("0,15,30,45", "8,10,12,14,16,18", "*", "*", "sun")),
            ("0 0 * * 0", ("0", "0", "*", "*", "sun")),
            ("0 0 * * 7", ("0", "0", "*", "*", "sun")),
            ("0 0 * * fri-mon", ("0", "0", "*", "*", "sun,mon,fri,sat")),
            ("0 0 * * 5-7", ("0", "0", "*", "*", "sun,fri,sat")),
            ("0 0 * * FRI-MON/2", ("0", "0", "*", "*", "sun,fri")),
            ("0 0 * * 0-7", ("0", "0", "*", "*", "*")),
            ("0 0 * * */2", ("0", "0", "*", "*", "sun,tue,thu,sat")),
            ("5,10 0 1,15 jan-mar *", ("5,10", "0", "1,15", "1,2,3", "*")),
            ("0 0 29 2 *", ("0", "0", "29", "2", "*")),
        ],
    )
    def test_cron_is_crontabs(self, line, fields):
        cron = parse_poll(line)
        assert isinstance(cron, Cron)
        assert cron.normalised() == fields
        names = ("minute", "hour", "day", "month", "day_of_week")
        CronTrigger(**dict(zip(names, fields, strict=True)), timezone=UTC)

    @pytest.mark.parametrize("number", range(8))
    def test_weekdays_fire_on_the_day_that_crontab_means(self, number):
        fields = parse_poll(f"0 12 * * {number}").normalised()
        trigger = CronTrigger(hour=12, minute=0, day_of_week=fields[4], timezone=UTC)
        fired = trigger.get_next_fire_time(None, datetime(2026, 11, 1, tzinfo=UTC))
        assert fired.isoweekday() % 7 == number % 7

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "has 0 fields"),
            ("5", "neither"),
            ("5 m", "has 2 fields"),
            ("0s", "out of range"),
            ("32d", "out of range"),
            ("1w", "neither"),
            ("@hourly", "neither"),
            ("* * * * * *", "has 6 fields"),
            ("60 * * * *", "at the minute"),
            ("* 24 * * *", "at the hour"),
            ("* * 0 * *", "at the day of the month"),
            ("* * * 13 *", "at the month"),
            ("* * * * 8", "at the day of the week"),
            ("* * * * funday", "at the day of the week"),
            ("*/0 * * * *", "at the minute"),
            ("5/10 * * * *", "at the minute"),
            ("1- * * * *", "at the minute"),
            (", * * * *", "at the minute"),
            ("* 22-2 * * *", "at the hour"),
            ("0 0 1 * mon", "both"),
            ("0 0 31 2,4 *", "never happens"),
        ],
    )
    def test_what_is_no_time_to_poll(self, text, said):
        with pytest.raises(InvalidError, match=said):
            parse_poll(text)

    def test_budgets(self):
        assert [parse_rate(text) for text in ("60/m", "500/15m", "1/s", "9/24h")] == [
            (60, 60),
            (500, 900),
            (1, 1),
            (9, 86400),
        ]
        for text in ("0/m", "1/0s", "1/25h", "m", "1/d", "-1/m"):
            with pytest.raises(InvalidError):
                parse_rate(text)


pieces = st.sampled_from(
    [
        *re.findall(r"\s+|\w+|\S", EXAMPLE),
        "\t",
        "&a ",
        "*a",
        "!x",
        "? ",
        "|",
        ">",
        "%YAML 1.1",
        "---",
        "\x00",
        "\u2028",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(EXAMPLE)), st.integers(0, 12), pieces)
def test_a_damaged_file_gives_errors_with_places_and_nothing_else(at, gone, put):
    text = EXAMPLE[:at] + put + EXAMPLE[at + gone :]
    try:
        read(text)
    except ConfigErrors as refused:
        lines = text.count("\n") + 2
        for problem in refused.errors:
            assert 1 <= problem.line <= lines
            assert problem.column >= 1
            assert problem.message
            assert problem.remedy
            assert "\n" not in str(problem)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_errors_and_nothing_else(text):
    with pytest.raises(ConfigErrors):
        read(text)


def test_reading_touches_nothing_but_what_it_is_given():
    asked = []
    sources = SimpleNamespace(
        read=lambda path: asked.append(path) or "x", cred=lambda name: asked.append(name) or "y"
    )
    text = CONNECTIONS.replace("${BOOKATU_API_KEY}", "${file:/a}${cred:b}")
    load(text, name="f", platforms=PLATFORMS, env=ENV, read_file=sources.read, credential=sources.cred)
    assert asked == ["/a", "b"]
