"""Where notifications arrive in tests: a webhook over HTTP and a mailbox over SMTP, on loopback.

Real servers on real sockets, each on a thread of its own. They can be told to refuse, and shut down
and opened again on the same port, since a receiver that is away for a while is the usual case.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default as modern
from http.server import BaseHTTPRequestHandler, HTTPServer


class Inbox:
    """What arrived, in order, as (title, text)."""

    def __init__(self) -> None:
        self.arrived: list[tuple[str, str]] = []
        self.refuse = False
        self.refused = 0
        self.paths: list[str] = []

    @property
    def titles(self) -> list[str]:
        return [title for title, _ in self.arrived]


class _Webhook(BaseHTTPRequestHandler):
    server: _WebhookServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        inbox = self.server.inbox
        if inbox.refuse:
            inbox.refused += 1
            self.send_response(503)
        else:
            said = json.loads(body)
            inbox.paths.append(self.path)
            inbox.arrived.append((said["title"], said["message"]))
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class _WebhookServer(HTTPServer):
    def __init__(self, inbox: Inbox, port: int) -> None:
        self.inbox = inbox
        super().__init__(("127.0.0.1", port), _Webhook)


class _Mailbox(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as it takes to be handed a message."""

    server: _MailServer

    def handle(self) -> None:
        self._say(220, "mailbox")
        while line := self.rfile.readline():
            match line.split(b":")[0].split()[0].upper():
                case b"EHLO" | b"HELO":
                    self._say(250, "mailbox")
                case b"MAIL" if self.server.inbox.refuse:
                    self.server.inbox.refused += 1
                    self._say(451, "not now")
                case b"DATA":
                    self._say(354, "go on")
                    self._take()
                    self._say(250, "taken")
                case b"QUIT":
                    self._say(221, "bye")
                    return
                case _:
                    self._say(250, "fine")

    def _take(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        mail = message_from_bytes(b"".join(lines), policy=modern)
        body = mail.get_body(("plain", "html"))
        text = "" if body is None else body.get_content()
        self.server.inbox.arrived.append((str(mail["Subject"]), text))

    def _say(self, code: int, text: str) -> None:
        self.wfile.write(f"{code} {text}\r\n".encode())


class _MailServer(socketserver.TCPServer):
    allow_reuse_address = True

    def __init__(self, inbox: Inbox, port: int) -> None:
        self.inbox = inbox
        super().__init__(("127.0.0.1", port), _Mailbox)


@contextmanager
def webhook(inbox: Inbox, port: int = 0) -> Iterator[int]:
    """Listen for JSON posts; yields the port (0 takes a free one)."""
    with _WebhookServer(inbox, port) as server, _serving(server):
        yield server.server_address[1]


@contextmanager
def mailbox(inbox: Inbox, port: int = 0) -> Iterator[int]:
    """Listen for mail; yields the port."""
    with _MailServer(inbox, port) as server, _serving(server):
        yield server.server_address[1]


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
