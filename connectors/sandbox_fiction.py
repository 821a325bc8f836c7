"""The sandbox kit's invented people, and the habits of platforms that rewrite what they are sent."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import phonenumbers

FIRST = re.findall(
    r"\w+",
    "Alex Mia Aroha Noah Zoë Luca Ana Ravi Ingrid José Mei Omar Freya Tāne Clara Hugo Priya Søren Nadia "
    "Kofi Élodie Mateo Yuki Amara Finn Leila Piotr Rosa Dmitri Hana",
)
LAST = re.findall(
    r"[\w']+",
    "Smith Tane García Müller O'Neill Nguyen Patel Ngata Jensen Okafor Rossi Kim Silva Dubois Novák Haddad "
    "Andersson Tanaka Walker Ferreira Brown Kowalski Reid Mensah López Singh Moreau Costa Berg Ali",
)
Mode = bool | str  # off, on, or "harsh"
LINES = 100  # 555-0100 to 555-0199 are set aside for fiction in every North American area code


class Fictional(NamedTuple):
    """An invented person."""

    first: str
    last: str
    email: str
    phone: str

    @property
    def name(self) -> str:
        """The full name."""
        return f"{self.first} {self.last}"


@cache
def _area_codes() -> tuple[str, ...]:
    def valid(code: int) -> bool:
        return phonenumbers.is_valid_number(phonenumbers.PhoneNumber(1, code * 10**7 + 5550100))

    return tuple(str(code) for code in range(200, 990) if valid(code))


def people(count: int, *, seed: int = 1, start: int = 0) -> Iterator[Fictional]:
    """Invent people, always the same ones for the same numbers.

    E-mail addresses are unique and at example.com; phone numbers lie in the ranges set aside for fiction
    and repeat only after some ten thousands.
    """
    codes = _area_codes()
    for index in range(start, start + count):
        turn = index * 7 + seed * 13
        first, last = FIRST[turn % len(FIRST)], LAST[(turn // len(FIRST) + index) % len(LAST)]
        phone = f"+1{codes[index // LINES % len(codes)]}55501{index % LINES:02d}"
        yield Fictional(first, last, f"{_plain(first)}.{_plain(last)}.{seed}-{index}@example.com", phone)


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.replace("ø", "o")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z]", "", decomposed.lower())


def tidy_email(text: str, mode: Mode) -> str:
    """Return an e-mail address as a rewriting platform would store it."""
    return text.strip().lower() if mode else text


def tidy_phone(text: str, mode: Mode) -> str:
    """Return a phone number as a rewriting platform would store it: digits and a leading plus."""
    return re.sub(r"(?!^\+)\D", "", text.strip()) if mode else text


def tidy_text(text: str, mode: Mode) -> str:
    """Return a name, title, note or tag as a rewriting platform would store it.

    White space around and within is tidied; the mode "harsh" makes it lower case as well.
    """
    if not mode:
        return text
    tidied = " ".join(text.split())
    return tidied.lower() if mode == "harsh" else tidied
