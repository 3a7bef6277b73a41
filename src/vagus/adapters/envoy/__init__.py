"""Envoy as the data plane: steered by endpoint files, read by its admin API and its access log."""
