"""Conversions between decibels and linear quantities; the suffix of a name is its unit."""

from __future__ import annotations

import math


def power_ratio_from_db(value_db: float) -> float:
    """Power ratio of a value in dB: ``10^(dB/10)``."""
    return 10.0 ** (value_db / 10.0)


def field_ratio_from_db(value_db: float) -> float:
    """Field (amplitude) ratio of a value in dB: ``10^(dB/20)``."""
    return 10.0 ** (value_db / 20.0)


def db_from_power_ratio(ratio: float) -> float:
    """Value in dB of a power ratio; ``-inf`` for a ratio of zero."""
    return 10.0 * math.log10(ratio) if ratio > 0.0 else -math.inf


def mw_from_dbm(power_dbm: float) -> float:
    """Power in mW of a power in dBm."""
    return power_ratio_from_db(power_dbm)


def dbm_from_mw(power_mw: float) -> float:
    """Power in dBm of a power in mW; ``-inf`` for zero power."""
    return db_from_power_ratio(power_mw)
