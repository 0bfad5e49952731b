"""A chat API on this machine whose answers and faults a test chooses: a real HTTP server in a thread."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

#: What goes wrong with a request, instead of an answer.
Fault = Callable[["Handler"], None]


@dataclass
class Site:
    """What a server was asked, and how it replies: each of ``faults`` happens to one of the next requests, in order."""

    base: str = ""
    answer: Callable[[str], str | None] = lambda prompt: f"answer to {prompt}"
    faults: list[Fault] = field(default_factory=list)
    seconds: float = 0.0
    counts_tokens: bool = True
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    encodings: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def prompts(self) -> list[str]:
        """What was asked, in order."""
        return [request["messages"][-1]["content"] for request in self.requests]


class Handler(BaseHTTPRequestHandler):
    """Answers one request of the server's Site."""

    site: Site
    request_body: dict[str, Any]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        site = self.site
        request = self.request_body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with site.lock:
            site.requests.append(request)
            site.keys.append(self.headers["authorization"])
            site.encodings.append(self.headers["accept-encoding"])
            site.paths.append(self.path)
            fault = site.faults.pop(0) if site.faults else None
            site.at_once += 1
            site.most_at_once = max(site.most_at_once, site.at_once)
        try:
            if fault is not None:
                fault(self)
            else:
                time.sleep(site.seconds)
                self.send(200, json.dumps(completion(site.answer(request["messages"][-1]["content"]), site.counts_tokens)))
        finally:
            with site.lock:
                site.at_once -= 1

    def send(self, status: int, body: str, sent: int | None = None, **headers: str) -> None:
        """A response of which only the first ``sent`` bytes are sent."""
        data = body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data[:sent])
        self.close_connection = sent is not None

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


class Server(ThreadingHTTPServer):
    """Prints nothing about clients that hang up, and doesn't wait for requests that hang."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """The client has gone: killed, or tired of waiting."""


def completion(answer: str | None, counts_tokens: bool = True) -> dict[str, Any]:
    """A chat completion: 10 tokens read, 3 written."""
    usage = {"usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}} if counts_tokens else {}
    message = {"role": "assistant", "content": answer}
    return {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": message}], **usage}


@contextmanager
def serving() -> Iterator[Site]:
    """A server, as long as the block runs."""
    site = Site()
    with Server(("127.0.0.1", 0), type("OwnHandler", (Handler,), {"site": site})) as server:
        site.base = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:  # otherwise the thread, and with it the process, would outlive a failed test
            server.shutdown()
            thread.join()


# Faults.


def status(code: int, body: str = '{"error": {"message": "refused"}}', **headers: str) -> Fault:
    """A response of this status."""
    return lambda handler: handler.send(code, body, **headers)


def reply(body: str) -> Fault:
    """A response with status 200 and this body."""
    return lambda handler: handler.send(200, body)


def cut(handler: Handler) -> None:
    """The connection closes without a reply."""
    handler.close_connection = True


def cut_within(handler: Handler) -> None:
    """The connection closes within the answer."""
    handler.send(200, json.dumps(completion("half an answer")), sent=40)


def hang(handler: Handler) -> None:
    """No answer comes for two seconds."""
    time.sleep(2)


def drip(handler: Handler) -> None:
    """The answer arrives byte by byte, and never ends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.02)


def drip_headers(handler: Handler) -> None:
    """The headers arrive byte by byte, and never end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nSlow: ")
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.02)


def endless(code: int) -> Fault:
    """A response with this status continues until the client disconnects."""

    def send(handler: Handler) -> None:
        handler.send_response(code)
        handler.end_headers()
        handler.close_connection = True
        while True:
            handler.wfile.write(b" " * 500)

    return send


def forward(base: str) -> Fault:
    """No fault: another server answers."""

    def ask(handler: Handler) -> None:
        answered = httpx2.post(f"{base}/chat/completions", json=handler.request_body, timeout=120)
        handler.send(answered.status_code, answered.text)

    return ask


def repeat_key(code: int) -> Fault:
    """The server repeats the key in its reply."""
    return lambda handler: handler.send(code, json.dumps({"error": f"wrong key {handler.headers['authorization']}"}))
