"""The range of a WFDB record's converter, from its header."""

from __future__ import annotations

from pathlib import Path

import wfdb

from export.stream.quality import SignalRange


def record_range(record: Path, channel: int) -> SignalRange | None:
    """Lowest and highest value that the converter of a signal could give, in physical units.

    Args:
        record: path of a readable record, without extension.
        channel: index of the signal.

    Returns:
        None where the header does not state the resolution.
    """
    header = wfdb.rdheader(str(record))
    assert isinstance(header, wfdb.Record)  # who read the signal has refused anything else
    if not (header.adc_res and header.adc_zero and header.baseline and header.adc_gain):
        return None
    resolution, gain = int(header.adc_res[channel]), float(header.adc_gain[channel])
    if not resolution or not gain:
        return None
    half = 1 << (resolution - 1)
    centre = int(header.adc_zero[channel]) - int(header.baseline[channel])
    return SignalRange(low=(centre - half) / gain, high=(centre + half - 1) / gain)
