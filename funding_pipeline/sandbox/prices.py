"""Prices, open interest and volume for the fields around the rate; funding data holds none.

Belongs here: plausible, reproducible numbers per asset and hour, and how many of an asset one
contract unit holds. Does not belong here: rates, and any exchange's rounding or field names.
"""

from math import exp

from funding_pipeline.sandbox.noise import smooth, uniform

_PRICE = {
    "BTC": 77_000.0, "ETH": 2_500.0, "SOL": 150.0, "BNB": 900.0, "XRP": 2.1, "DOGE": 0.15,
    "HYPE": 40.0, "ADA": 0.6, "AVAX": 22.0, "LINK": 15.0, "LTC": 85.0, "BCH": 480.0, "SUI": 2.6,
    "PEPE": 0.0000098, "SHIB": 0.0000119, "BONK": 0.000021, "FLOKI": 0.00008, "XYZ100": 29_000.0,
    "NVDA": 190.0, "TSLA": 410.0, "AAPL": 330.0, "GOLD": 4_100.0, "PAXG": 4_100.0,
    "XAU": 4_100.0, "XAG": 48.0, "COIN": 310.0, "HOOD": 120.0, "PLTR": 170.0,
}  # fmt: skip
_MAJORS = ("BTC", "ETH", "SOL")


def asset_of(base: str) -> tuple[str, int]:
    """The asset behind a base coin and how many of it one contract unit holds."""
    if base.startswith("k") and base[1:].isupper():
        return base[1:], 1000
    if base.startswith("1M") and base[2:].isalpha():
        return base[2:], 1_000_000
    for units in (1_000_000, 10_000, 1000):
        if base.startswith(str(units)) and base != str(units):
            return base.removeprefix(str(units)), units
        if base.endswith(str(units)) and base != str(units):
            return base.removesuffix(str(units)), units
    return base, 1


def contract_price(base: str, hour: int) -> float:
    """The price of one contract unit of a base coin in that hour."""
    asset, units = asset_of(base)
    return mark_price(asset, hour) * units


def mark_price(asset: str, hour: int) -> float:
    """The price of one unit of the asset in that hour."""
    level = _PRICE.get(asset) or 10 ** (4 * uniform(f"price|{asset}", 0) - 2)
    key = f"drift|{asset}"
    return level * exp(0.2 * smooth(key, hour, 720) + 0.03 * smooth(key, hour, 24))


def open_interest_usd(asset: str, hour: int) -> float:
    """One side's notional."""
    key = f"interest|{asset}"
    level = 2e9 if asset in _MAJORS else 10 ** (5.5 + 2.5 * uniform(key, 0))
    return level * exp(0.3 * smooth(key, hour, 168))


def day_volume_usd(asset: str, hour: int) -> float:
    """The notional traded in 24 hours."""
    return open_interest_usd(asset, hour) * exp(0.8 * smooth(f"volume|{asset}", hour, 36))
