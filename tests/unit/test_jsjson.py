"""Node is the judge: every case is also run through JSON.stringify(JSON.parse(text)) there."""

import json
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.jsjson import js_normalise, stringify

SERVICE = """
const lines = require("readline").createInterface({input: process.stdin});
lines.on("line", line => {
  let answer;
  try { answer = "=" + Buffer.from(JSON.stringify(JSON.parse(Buffer.from(line, "hex").toString()))).toString("hex"); }
  catch { answer = "refused"; }
  process.stdout.write(answer + "\\n");
});
"""


@pytest.fixture(scope="module")
def node():
    program = shutil.which("node")
    assert program, "Node.js is needed: without it nothing here proves anything"
    with subprocess.Popen([program, "-e", SERVICE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:

        def ask(raw: bytes) -> bytes | None:
            process.stdin.write(raw.hex().encode() + b"\n")
            process.stdin.flush()
            said = process.stdout.readline().decode().strip()
            return None if said == "refused" else bytes.fromhex(said.removeprefix("="))

        yield ask
        process.stdin.close()


def test_node_is_really_asked(node):
    assert node(b'{"b": 75.0, "1": -0}') == b'{"1":0,"b":75}'
    assert node(b"{") is None


NASTIES = [
    *("75.0", "-0", "-0.0", "0.0", "1e21", "1E21", "1e20", "999999999999999999999", "1e-6", "1e-7", "1.5e-7"),
    *("0.1", "0.30000000000000004", "123456.789", "1e2", "1.0E+2", "12345678901234567890", "9007199254740993"),
    *("5e-324", "1.7976931348623157e308", "1e400", "-1e400", "1e-400", "4.35", "100000000000000000000000"),
    *("1152921504606846976", "9007199254740992", "-9007199254740993", "0.000001234", "0.0000001234"),
    *('{"b":1,"a":2}', '{"10":1,"9":2,"a":3,"0":4}', '{"a":1,"b":2,"a":3}', '{"2":1,"1":2,"2":3}'),
    *('{"4294967294":1,"4294967295":2,"4294967293":3}', '{"01":1,"1":2,"-1":3,"1.0":4,"1e0":5}'),
    *('{"9007199254740991":1,"3":2,"18446744073709551616":0}', '{"__proto__":{"x":1},"a":{"__proto__":null}}'),
    *('{"constructor":1,"toString":2,"__proto__":3,"__proto__":4}', '{"":1,"0":2,"٣":3}'),
    *(r'"\u0000\u001f\u007f\u0080\b\t\n\f\r\"\\\/"', '"\u2028\u2029"', r'"\u2028"', '"é 日本 😀"'),
    *(r'"\ud83d\ude00"', r'"\ud83d"', r'"\ude00"', r'"\ude00\ud83d"', r'"\ud83dx\ude00"', r'"\uD83D\uD83D\uDE00"'),
    *(r'{"\ud800":1,"\u0031":2,"a":3}', " [ 1 ,\t2\r\n] ", "null", "true", '""', "[]", "{}", '[[],{},""]'),
    *("NaN", "Infinity", "-Infinity", "01", "+1", "1.", ".5", "1e", "-", "[1,]", '{"a":1,}', "{'a':1}", ""),
    *('"\t"', '"\n"', r'"\x41"', r'"\u00g0"', r'"\u 041"', r'"\u0_41"', "\u00a01", "\ufeff1", "\uff11", "1 2", "tru", "\x0c1"),
    *('{"a":1', '"a', "undefined", "/* */1", r'"\ud83', "[" * 50 + "]" * 50),
]  # fmt: skip


@pytest.mark.parametrize("text", NASTIES)
def test_nasties(node, text):
    raw = text.encode()
    agreed(node, raw)


def agreed(node, raw):
    expected = node(raw)
    if expected is None:
        with pytest.raises(ValueError):
            js_normalise(raw)
    else:
        assert js_normalise(raw) == expected


# Surrogates cannot stand in UTF-8, so texts have them escaped; keys lean towards what JavaScript reorders.
strings = st.text(st.characters(), max_size=8)
keys = st.one_of(strings, st.integers(-2, 2**33).map(str), st.sampled_from(["__proto__", "00", "1.0", "a"]))
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), floats, strings)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5)
)
heavy = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@heavy
@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_as_node_prints_it(node, value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    agreed(node, text.encode(errors="replace"))


@heavy
@given(floats)
def test_every_double(node, number):
    agreed(node, repr(number).encode())


@heavy
@given(st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True))
def test_every_number_as_written(node, text):
    agreed(node, text.encode())


@heavy
@given(st.lists(st.tuples(keys, st.integers(0, 9)), max_size=8))
def test_repeated_keys(node, pairs):
    agreed(node, ("{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in pairs) + "}").encode())


@heavy
@given(values)
def test_printing_twice_changes_nothing(value):
    once = stringify(value)
    assert js_normalise(once) == once


def test_bytes_that_are_not_utf8_are_refused():
    with pytest.raises(ValueError):
        js_normalise(b'"\xff"')


def test_bottomless_nesting_is_refused_and_not_fatal():
    with pytest.raises(ValueError):
        js_normalise(b"[" * 100_000 + b"]" * 100_000)


def test_numbers_that_json_cannot_hold_print_as_null():
    assert stringify([float("nan"), float("inf"), True, 3, -0.0]) == b"[null,null,true,3,0]"
