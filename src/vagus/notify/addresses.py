"""Where messages go: Apprise's URLs, which are secrets.

A URL of a chat, a pager or a mailbox holds the password. It comes from the environment or a file,
is handed to Apprise and shown to nobody: errors and logs name a target by its ``name`` alone. For
the same reason Apprise's own log is not let through, since it quotes what it can't parse; the
little in it that helps, whether anything answered and with which code, is read out of it in words
of our own.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Sequence

import apprise
from apprise.common import NotifyFormat, NotifyType

from vagus.config import NotifyTarget, Occasion
from vagus.errors import ActionError, ConfigError
from vagus.model import Notification

_KINDS = {
    Occasion.PROPOSED.value: NotifyType.WARNING,
    Occasion.ESCALATED.value: NotifyType.FAILURE,
    Occasion.ACTED.value: NotifyType.INFO,
    Occasion.RESOLVED.value: NotifyType.SUCCESS,
    Occasion.STOPPED.value: NotifyType.WARNING,
}


class Address:
    """One target, ready to be sent to."""

    def __init__(self, target: NotifyTarget) -> None:
        """Raises ConfigError, which names the target and never its URL."""
        self.name = target.name
        _overheard.listen()
        plugin = apprise.Apprise.instantiate(_url(target), suppress_exceptions=True)
        if plugin is None:
            raise ConfigError(
                "its address is not a URL that Apprise understands",
                where=f"notify target {target.name!r}",
                mend=f"look at what {_source(target)} holds",
            )
        self._plugin = plugin

    def send(self, notification: Notification) -> None:
        """Hand it over. Blocks for seconds if nobody answers.

        Raises ActionError if it was not accepted, or nobody can tell.
        """
        message = notification.message
        _overheard.begin()
        try:
            accepted = self._plugin.notify(
                body=f"{message.body}\n\n[{notification.id}]",
                title=message.title,
                notify_type=_KINDS.get(message.occasion, NotifyType.INFO),
                body_format=NotifyFormat.TEXT,
            )
        except Exception as error:  # noqa: BLE001  whatever a plugin raises may quote its URL
            raise self._refused(type(error).__name__) from None
        if not accepted:
            raise self._refused(_overheard.reason())

    def _refused(self, why: str) -> ActionError:
        return ActionError(f"did not take the message: {why}", where=f"notify target {self.name!r}")


def _url(target: NotifyTarget) -> str:
    where, mend = f"notify target {target.name!r}", f"put its Apprise URL into {_source(target)}"
    if target.url_file is not None:
        try:
            url = target.url_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            what = error.strerror if isinstance(error, OSError) else "not text"
            raise ConfigError(
                f"{target.url_file} can't be read: {what}", where=where, mend=mend
            ) from error
    else:
        url = os.environ.get(target.url_env or "", "").strip()
    if not url:
        raise ConfigError(f"{_source(target)} is empty", where=where, mend=mend)
    return url


def _source(target: NotifyTarget) -> str:
    if target.url_file is not None:
        return str(target.url_file)
    return f"the environment variable {target.url_env}"


class _Overheard(logging.Handler):
    """What Apprise logs while this thread sends: kept from the log, and boiled down to a reason."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said = threading.local()

    def listen(self) -> None:
        for name in ("apprise", "urllib3"):
            logger = logging.getLogger(name)
            logger.propagate = False
            logger.addHandler(self)  # adding it twice is once

    def emit(self, record: logging.LogRecord) -> None:
        said = getattr(self._said, "lines", None)
        if said is not None:
            said.append(record.getMessage())

    def begin(self) -> None:
        self._said.lines = []

    def reason(self) -> str:
        said: Sequence[str] = getattr(self._said, "lines", [])
        text = " ".join(said)
        code = re.search(r"error\s*[=:]\s*(\d{3})\b", text)
        if code is not None:
            return f"it answered {code[1]}"
        if re.search(r"connection|timed? ?out|refused", text, re.IGNORECASE):
            return "nothing answers there"
        return "it was refused"


_overheard = _Overheard()
