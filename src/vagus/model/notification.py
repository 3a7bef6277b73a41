"""Notifications: what people are told, and how far it got."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """What is said: ``title`` on one line, ``body`` as plain text."""

    occasion: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Notification:
    """One message for one target. The id is the same at every try, so whoever receives it twice can
    tell."""

    id: str
    target: str
    message: Message
    created_at: float
    tries: int = 0  # that failed
