"""Money: integers of minor units, whatever a platform writes."""

from decimal import Decimal, InvalidOperation, Overflow
from functools import lru_cache

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
    from iso4217 import Currency  # 40 ms that `status` does not need

    digits = Currency(code).exponent
    return 0 if digits is None else int(digits)


def minor_units(amount: str | float | Decimal, currency: str) -> int:
    """An amount in whole units, as ``"620.00"`` or ``75.0``, in minor ones.

    Raises ValueError when it is no amount, or has more decimals than the currency.
    """
    if type(amount) is int and abs(amount) * 1000 <= _MOST:
        return int(amount * 10 ** exponent(currency))
    try:
        minor = Decimal(str(amount)).scaleb(exponent(currency))
    except (InvalidOperation, Overflow) as error:
        raise ValueError("not an amount") from error
    if not minor.is_finite() or abs(minor) > _MOST:
        raise ValueError("not an amount: out of range")
    if minor != minor.to_integral_value():
        raise ValueError(f"not an amount of {currency}: it has more than {exponent(currency)} decimals")
    return int(minor)


def from_major(amount: str | float | Decimal, currency: str) -> Money:
    """An amount in whole units as money. Raises ValueError as ``minor_units`` does."""
    return Money(minor=minor_units(amount, currency), currency=currency.upper())


def to_major(minor: int, currency: str) -> Decimal:
    """The amount in whole units."""
    return Decimal(minor).scaleb(-exponent(currency))
