"""Errors a user can act on.

Every message reads: what was given (value, unit, shape), what is allowed, what to do. The command
line prints it as one line and exits with status 2.
"""

from __future__ import annotations


class PhotonicError(Exception):
    """Base of every error that the toolkit raises on purpose."""


class ConfigError(PhotonicError, ValueError):
    """An option or a combination of options that cannot be honoured."""


class DataError(PhotonicError, ValueError):
    """Input data that is missing, damaged or not what the workload expects."""


class ProfileError(PhotonicError, ValueError):
    """A hardware profile that is unknown or invalid."""


class ProgramError(PhotonicError, ValueError):
    """A program of blocks that is malformed or cannot run on the chosen hardware."""


class RunError(PhotonicError, ValueError):
    """A run directory that is incomplete, damaged or of another schema version."""


class BundleError(PhotonicError, ValueError):
    """A deployment bundle that is incomplete, damaged or of another schema version."""


class MissingExtraError(PhotonicError, ImportError):
    """A command needs a package of an extra that is not installed."""
