"""A configuration that was written to hurt: one clear sentence, soon, and without much memory."""

import re
import resource
import time

import pytest

from connectors.platforms import PLATFORMS
from mapping.load import load
from mapping.problem import ConfigErrors

LAUGHS = "a0: &a0 lol\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
MAPS = "m0: &m0 {k: v}\n" + "".join(f"m{i}: &m{i} {{a: *m{i - 1}, b: *m{i - 1}}}\n" for i in range(1, 30))
ENDS = "connections:\n" + "".join(
    f"  {name}: {{platform: bookatu, slug: {name}, api_key: k}}\n" for name in "ab"
)
ROUTE = ENDS + "routes: [{from: a.bookings, to: b.bookings, notify: allow, when: '%s'}]\n"
BOMBS = {
    "billion laughs": (LAUGHS, "more than 100000 values, aliases included; write fewer aliases"),
    "a map of maps": (MAPS, "; "),
    "an alias of itself": ("a: &a [*a]\n", "nothing before this is called &a; "),
    "an alias as a key": ("a: &a {x: 1}\nroutes: {*a : 1}\n", "; "),
    "deep flow": ("a: " + "[" * 100_000, "nested deeper than 32 levels; no key of bookferry nests so deep"),
    "deep braces": ("a: " + "{a: " * 100_000, "nested deeper than 32 levels; no key of bookferry nests so deep"),
    "deep blocks": ("".join(" " * n + "a:\n" for n in range(1_000)), "nested deeper than 32 levels; no key of bookferry nests so deep"),
    "deep dashes": ("- " * 100_000 + "x", "nested deeper than 32 levels; no key of bookferry nests so deep"),
    "a huge scalar": ("state: " + "x" * 990_000, "; "),
    "a huge key": ("x" * 990_000 + ": 1", "; "),
    "a huge number": ("state: " + "9" * 900_000, "; "),
    "a long line of digits and dots": ("routes: 1" + "1." * 400_000, "; "),
    "50 MB": ("# " + "x" * 50_000_000, "is larger than 1000000 bytes; is this the right file?"),
    "many keys": ("".join(f"k{n}: 1\n" for n in range(99_000)), "; "),
    "many of one key": ("state: a\n" * 4_000, "more than 50 keys are here twice; is this the right file?"),
    "many anchors": ("".join(f"k{n}: &a{n} 1\n" for n in range(60_000)), "; "),
    "a python object": ("a: !!python/object/apply:os.system ['true']\n", "a word that begins with ! is a YAML tag; put quotes around the whole value"),
    "a tag of one's own": ("%TAG ! tag:evil.example,2000:\n---\na: !x y\n", "a word that begins with ! is a YAML tag; put quotes around the whole value"),
    "merge keys": ("base: &b {state: x}\nserver:\n  <<: *b\n", "merge keys (<<) are not supported; write the keys out"),
    "documents": ("a: 1\n" + "---\na: 1\n" * 50_000, "a second document begins; keep one document: delete the ---"),
    "control characters": ("state: a\0b\n", "a character that YAML does not allow; delete it"),
    "line separators": ("state: 'a\u2028b\u0085c'\nx: 1\n", "; "),
    "open quotes": ("state: '" + "x\n" * 100_000, "; "),
    "a comment without end": ("#" * 990_000, "there is no configuration in this file; bookferry init writes one to start from"),
    "substitutions": ("state: " + "${A:-${B:-" * 90_000, "; "),
    "substitutions of files": ("state: '" + "${file:/dev/zero}" * 3 + "'\n", "; "),
    "a deep expression": (ROUTE % ("(" * 100_000), "; "),
    "a long expression": (ROUTE % ("1 + " * 100_000 + "1 == 1"), "; "),
    "a bomb of an expression": (ROUTE % ("[" + "1," * 20_000 + "1].map(x, x)"), "; "),
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.campaign] * (name == "many keys")) for name in BOMBS]
)
def test_a_bomb_is_one_sentence(name):
    text, said = BOMBS[name]
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ConfigErrors) as caught:
        load(
            text,
            name="bookferry.yaml",
            platforms=PLATFORMS,
            env={},
            read_file=lambda _: "x",
            credential=lambda _: None,
        )
    took = time.process_time() - begun
    lines = [str(problem) for problem in caught.value.errors]
    assert all(re.fullmatch(r"bookferry\.yaml:\d+:\d+: .*\S; \S.*", line) for line in lines)
    assert any(said in line for line in lines), lines[:3]
    assert sum(map(len, lines)) < 20_000
    assert took < 10, f"{took} s"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kilobytes more than before"
