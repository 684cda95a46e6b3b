"""From records, tables and pairs to a trained run directory."""
