"""The command line: the one place that parses, seeds, wires and prints."""
