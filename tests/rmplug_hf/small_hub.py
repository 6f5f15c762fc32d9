"""A hub of data sets on this machine: the few addresses that the client libraries ask for."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

COMMIT = "a1b2c3d4e5f60718293a4b5c6d7e8f9001122334"


class SmallHub:
    """Serves the files of one data set, all in its top folder."""

    def __init__(self, name, files):
        self.name, self.files = name, files
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                hub.answer(self, unquote(urlparse(self.path).path))

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request, path):
        api, files = f"/api/datasets/{self.name}", f"/datasets/{self.name}/resolve/{COMMIT}/"
        if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            siblings = [{"rfilename": file} for file in self.files]
            return self._json(
                request, {"id": self.name, "sha": COMMIT, "siblings": siblings, "private": False}
            )
        if path.startswith(f"{api}/tree/"):
            top = path.removeprefix(f"{api}/tree/{COMMIT}").strip("/") == ""
            return self._json(request, [self._entry(file) for file in self.files if top])
        if path.startswith(files) and path.removeprefix(files) in self.files:
            return self._file(request, path.removeprefix(files))
        return self._json(request, {"error": "Entry not found"}, 404, "EntryNotFound")

    def _entry(self, file):
        content = self.files[file]
        return {"type": "file", "path": file, "size": len(content), "oid": _digest(content)}

    def _file(self, request, file):
        content = self.files[file]
        start, status = 0, 200
        if "Range" in request.headers:
            first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
            start, status = int(first or 0), 206
            content = content[start : int(last) + 1 if last else None]
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Accept-Ranges", "bytes")
        if status == 206:
            last = start + len(content) - 1
            whole = len(self.files[file])
            request.send_header("Content-Range", f"bytes {start}-{last}/{whole}")
        request.send_header("ETag", f'"{_digest(self.files[file])}"')
        request.send_header("X-Repo-Commit", COMMIT)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)

    def _json(self, request, value, status=200, code=""):
        content = json.dumps(value).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        if code:
            request.send_header("X-Error-Code", code)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)


def _digest(content):
    return hashlib.sha1(content).hexdigest()
