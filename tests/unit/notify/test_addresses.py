"""Real receivers get what was sent; whatever goes wrong, no address is ever told."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from vagus.config import NotifyTarget
from vagus.errors import ActionError, ConfigError
from vagus.model import Message, Notification
from vagus.notify.addresses import Address
from vagus.testing.receivers import Inbox, mailbox, webhook

SECRET = "s3cr3t-t0ken"
SAID = Message("escalated", "Vagus needs you", "Look.\nNow.")
NOTE = Notification("17-pager", "pager", SAID, created_at=0.0)


def target(url: str, monkeypatch: pytest.MonkeyPatch) -> NotifyTarget:
    monkeypatch.setenv("PAGER_URL", url)
    return NotifyTarget(name="pager", url_env="PAGER_URL")


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that reaches the process's own log, down to the last detail."""
    root, text = logging.getLogger(), io.StringIO()
    level, handler = root.level, logging.StreamHandler(text)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.setLevel(level)
    root.removeHandler(handler)


def test_a_webhook_gets_title_text_and_id(monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox()
    with webhook(inbox) as port:
        Address(target(f"json://127.0.0.1:{port}/{SECRET}", monkeypatch)).send(NOTE)
    assert inbox.arrived == [("Vagus needs you", "Look.\nNow.\n\n[17-pager]")]
    assert inbox.paths == [f"/{SECRET}"]


def test_a_mailbox_gets_a_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox()
    with mailbox(inbox) as port:
        url = f"mailto://127.0.0.1:{port}?from=vagus@example.org&to=ops@example.org&format=text"
        Address(target(url, monkeypatch)).send(NOTE)
    ((subject, text),) = inbox.arrived
    assert subject == "Vagus needs you"
    assert "Look." in text
    assert "[17-pager]" in text


def test_the_address_may_stand_in_a_file(tmp_path: Path) -> None:
    inbox, file = Inbox(), tmp_path / "pager.url"
    with webhook(inbox) as port:
        file.write_text(f"json://127.0.0.1:{port}/{SECRET}\n")
        Address(NotifyTarget(name="pager", url_file=file)).send(NOTE)
    assert inbox.titles == ["Vagus needs you"]


@pytest.mark.parametrize(
    ("refuse", "why"), [(True, "it answered 503"), (False, "nothing answers there")]
)
def test_what_is_not_taken_is_an_error_without_the_address(
    refuse: bool,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    logged: io.StringIO,
    capfd: pytest.CaptureFixture[str],
) -> None:
    inbox = Inbox()
    inbox.refuse = refuse
    with webhook(inbox) as port:
        address = Address(target(f"json://me:{SECRET}@127.0.0.1:{port}/{SECRET}", monkeypatch))
        if refuse:
            with pytest.raises(ActionError) as caught:
                address.send(NOTE)
    if not refuse:
        with pytest.raises(ActionError) as caught:
            address.send(NOTE)
    assert str(caught.value) == f"notify target 'pager': did not take the message: {why}"
    told = "".join(traceback.format_exception(caught.value)) + "".join(capfd.readouterr())
    assert SECRET not in told + logged.getvalue()


@pytest.mark.parametrize("url", [f"nosuch://{SECRET}", SECRET, f"json://{SECRET}:port:9", ""])
def test_a_wrong_address_is_named_by_its_target_only(
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    logged: io.StringIO,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ConfigError, match="notify target 'pager'") as caught:
        Address(target(url, monkeypatch))
    assert "PAGER_URL" in str(caught.value)
    told = "".join(traceback.format_exception(caught.value)) + "".join(capfd.readouterr())
    assert SECRET not in told + logged.getvalue()


def test_a_missing_variable_and_a_missing_file_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="NO_SUCH_VARIABLE is empty"):
        Address(NotifyTarget(name="pager", url_env="NO_SUCH_VARIABLE"))
    with pytest.raises(ConfigError, match=r"pager\.url can't be read: No such file"):
        Address(NotifyTarget(name="pager", url_file=tmp_path / "pager.url"))
