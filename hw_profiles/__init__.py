"""Hardware profiles: one TOML file per chip, each number with its source."""
