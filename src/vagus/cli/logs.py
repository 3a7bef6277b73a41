"""Diagnostic logs: JSON lines on stderr, one event a line, so that stdout stays for results."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(*, quiet: bool) -> None:
    """``quiet`` keeps everything below errors off the screen, for the live view."""
    level = logging.ERROR if quiet else logging.INFO
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
