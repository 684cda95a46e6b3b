"""Calibration of cores through their public interface: program settings, send light, read."""

from photonic.calibrate.loop import Calibration, CalibrationOptions, calibrate

__all__ = ["Calibration", "CalibrationOptions", "calibrate"]
