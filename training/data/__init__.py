"""From WFDB records to arrays of labelled beats, splits of them, and synthetic records."""
