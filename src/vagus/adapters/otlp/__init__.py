"""OTLP: what Vagus pushes to a collector."""
