"""Money: integers of minor units, whatever a platform writes."""

from decimal import Decimal, InvalidOperation, Overflow
from functools import lru_cache

from iso4217 import Currency

from mapping.model import Money

NO_CURRENCY = "XXX"
"""ISO 4217's code for "no currency": the platform gives an amount and does not say of what. Kept in thousandths."""

_MOST = 2**53
"""Beyond this, JSON readers no longer agree on a whole number."""


@lru_cache(maxsize=512)
def exponent(currency: str) -> int:
    """How many decimals a currency has. Raises ValueError for a code that ISO 4217 does not know."""
    code = currency.upper()
    if code == NO_CURRENCY:
        return 3
    digits = Currency(code).exponent
    return 0 if digits is None else int(digits)


def from_major(amount: str | float | Decimal, currency: str) -> Money:
    """An amount in whole units, as ``"620.00"`` or ``75.0``. Raises ValueError when it has more decimals than the currency."""
    try:
        minor = Decimal(str(amount)).scaleb(exponent(currency))
    except (InvalidOperation, Overflow) as error:
        raise ValueError("not an amount") from error
    if not minor.is_finite() or abs(minor) > _MOST:
        raise ValueError("not an amount: out of range")
    if minor != minor.to_integral_value():
        raise ValueError(f"not an amount of {currency}: it has more than {exponent(currency)} decimals")
    return Money(minor=int(minor), currency=currency.upper())


def to_major(minor: int, currency: str) -> Decimal:
    """The amount in whole units."""
    return Decimal(minor).scaleb(-exponent(currency))
