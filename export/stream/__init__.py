"""Heart beats from a stream of samples through an exported graph, with the time that each takes."""
