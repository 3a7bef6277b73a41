"""Replicas that are ordinary processes, started and stopped by a supervisor."""
