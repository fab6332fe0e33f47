"""A real HTTP receiver on loopback, which Apprise's json:// channel posts to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """What arrived, in order; `status` is what it answers from now on."""

    def __init__(self, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self.url = f"json://{self.host}/"
        self.received: list[dict[str, Any]] = []
        self.got: list[str] = []
        self.status = 200

    def bodies(self) -> list[str]:
        """Texts that arrived since this was asked last."""
        bodies = [message["message"] for message in self.received]
        self.received.clear()
        return bodies


@contextmanager
def listening() -> Iterator[Webhook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if hook.status == 200:
                hook.received.append(posted)
            self._answer()

        def do_GET(self) -> None:
            hook.got.append(self.path)
            self._answer()

        def _answer(self) -> None:
            self.send_response(hook.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Webhook(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
