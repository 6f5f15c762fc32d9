"""A server on this machine that answers as model servers do, well or badly, as a test says."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rmplug import Responses
from rmplug.data.rows import one_batch
from rmplug_endpoint import Endpoint, EndpointScores, EndpointStates


class Handler(BaseHTTPRequestHandler):
    """Answers with what ``server.answer`` makes of a request and of how many there have been.

    That is a status, a body and perhaps headers; or a function that writes to the socket itself.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a kept connection waits 40 ms for each answer

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.requests.append((self.path, self.headers.get("Authorization"), body))
            answer = server.answer(body, len(server.requests))
        if callable(answer):
            self.close_connection = True
            answer(self)
        else:
            self.send(*answer)

    def do_GET(self):
        """Answers with what ``server.models`` gives, the list of models; as if there were none."""
        with self.server.lock:
            self.server.listed.append((self.path, self.headers.get("Authorization")))
            answer = self.server.models()
        self.send(*answer)

    def send(self, status, answer, headers=None, reason=None):
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status, reason)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Nothing is printed."""


def said(text):
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}


def count(body):
    """How many rows a request is about."""
    if "messages" in body:
        return 1
    return len(next(body[name] for name in ("input", "text_2", "text", "query") if name in body))


def classified(*rows, model="m"):
    """What vLLM's /classify answers: a list of numbers for each row."""
    data = [
        {"index": index, "label": None, "probs": row, "num_classes": len(row)}
        for index, row in enumerate(rows)
    ]
    return 200, {"id": "classify-1", "object": "list", "model": model, "data": data, "usage": {}}


def lengths(texts):
    """Answer as a reward model whose rewards are the lengths of texts."""
    return classified(*([len(text) / 10] for text in texts))


class Paid:
    """Answers that count by text, as long as there are at most ``good``; then ``after(texts)``."""

    def __init__(self, good, after=lambda _: (500, b"out of memory")):
        self.good, self.after, self.texts = good, after, Counter()

    def __call__(self, body, _):
        if self.texts.total() + len(body["input"]) > self.good:
            return self.after(body["input"])
        self.texts.update(body["input"])
        return lengths(body["input"])


def hang(handler):
    """Never answers."""
    handler.server.over.wait()


def paid_steps(server, folder, count, **params):
    """Steps that ask a server about pairs, all of different texts, and keep what it gives."""
    file = folder / f"{count}.jsonl"
    rows = ({"id": f"p{n}", "prompt": f"Say {n}", "chosen": "yes " * (n + 1), "rejected": "no"}
            for n in range(count))  # fmt: skip
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    url, template = f"http://127.0.0.1:{server.server_port}", "{prompt} {response}"
    given = {"url": url, "model": "m", "template": template, "revision": "a", "wait": 0}
    given |= {"retries": 1, "rows_per_request": 3, **params}
    return {
        "pairs": {"kind": "pairs-file", "params": {"path": str(file)}},
        "served": {"kind": "endpoint-scores", "params": given},
        "reward": {"kind": "reward", "inputs": {"model": "served", "data": "pairs"}},
    }


@contextmanager
def serving(answer):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.lock, server.requests, server.answer = threading.Lock(), [], answer
    server.listed, server.models = [], lambda: (404, {"detail": "Not Found"})
    server.over = threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def endpoint(server, **params):
    given = {"url": f"http://127.0.0.1:{server.server_port}/v1", "model": "m", "wait": 0, **params}
    return Endpoint(**given)


def scores(server, **params):
    """A served reward model at the address of a server."""
    given = {"url": f"http://127.0.0.1:{server.server_port}", "model": "m", "wait": 0, **params}
    return EndpointScores(**given)


def states(server, **params):
    """A served encoder at the address of a server."""
    given = {"url": f"http://127.0.0.1:{server.server_port}", "model": "m", "wait": 0, **params}
    return EndpointStates(**given)


def vllm(encoder):
    """A server whose /pooling pools as vLLM does by default: the last token."""

    def answer(body, _):
        talk = body["messages"]
        told = talk[-1]["role"] == "assistant"
        row = {
            "id": ["r"],
            "prompt": [talk[:-1] if told else talk],
            "response": [talk[-1:] if told else [{"role": "assistant", "content": ""}]],
        }
        part = "both" if told else "prompt" if body["add_generation_prompt"] else "turn"
        [vector] = encoder.vectors(one_batch(Responses(row).table), part).tolist()
        return 200, {"model": "m", "data": [{"index": 0, "data": vector}]}

    return answer
