"""From a run directory to a verified deployment bundle."""
