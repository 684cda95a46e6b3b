"""Temperature between calibrations."""

from __future__ import annotations

import math

from photonic.profile_sections import Drift


def temperature_sigma_k(drift: Drift) -> float:
    """Deviation of a core's temperature from that of its last calibration, rms in K.

    A random walk of ``r`` kelvin per √second has variance ``r²·t`` after t; averaged over the
    interval T between calibrations that is ``r²·T/2`` (derived).
    """
    return drift.temperature_k_per_rts * math.sqrt(drift.recalibration_interval_s / 2.0)
