"""Replicas that speak the OpenAI API, asked small questions past the gateway.

A probe is the only witness of a replica that gets no traffic, and the only one that reads answers:
fluent nonsense in the right shape is seen by nobody else.
"""
