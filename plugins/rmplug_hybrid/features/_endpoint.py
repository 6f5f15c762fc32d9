"""A language model behind an OpenAI-compatible address."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from rmplug import DataError, RewardModel

from .tags import Endpoint

Message: TypeAlias = Mapping[str, str]
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
LONGEST_WAIT = 60.0
MOST_BYTES = 16 << 20
SHOWN = 200


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: the key belongs to the address in the spec and to no other."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class EndpointModel(RewardModel):
    """Generates text; each prompt is one request."""

    def __init__(self, step: Endpoint) -> None:
        self.step = step
        self.name = step.model
        self.address = f"{step.url.rstrip('/')}/chat/completions"
        self.opener = urllib.request.build_opener(NoRedirects)
        self.headers = {"Content-Type": "application/json", **_authorisation(step.key_variable)}

    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        raise DataError(
            f"the endpoint model {self.name} generates text and scores no responses; ask it with "
            "the query tagger"
        )

    def generate(
        self,
        prompts: Sequence[str | Sequence[Message]],
        max_new_tokens: int = 100,
        temperature: float = 0.0,
    ) -> list[str]:
        """The model's answer to each prompt (a message of the user, or a whole conversation)."""
        ask = partial(self._ask, max_new_tokens=max_new_tokens, temperature=temperature)
        with ThreadPoolExecutor(self.step.concurrency) as pool:
            pending = [pool.submit(ask, prompt) for prompt in prompts]
            try:
                return [answer.result() for answer in pending]
            finally:
                for answer in pending:
                    answer.cancel()

    def _ask(self, prompt: str | Sequence[Message], max_new_tokens: int, temperature: float) -> str:
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        body = {
            "model": self.step.model,
            "messages": [dict(message) for message in messages],
            "max_tokens": max_new_tokens,
            "temperature": temperature,
        }
        data = json.dumps(body).encode()
        for trial in range(self.step.retries + 1):
            request = urllib.request.Request(self.address, data, self.headers, method="POST")
            try:
                with self.opener.open(request, timeout=self.step.timeout) as answer:
                    return self._text(answer.read(MOST_BYTES))
            except urllib.error.HTTPError as error:
                with error:
                    said = error.read(MOST_BYTES).decode("utf-8", "replace")
                failed = f"{error.code} {error.reason}: {' '.join(said.split())[:SHOWN]}"
                if error.code not in AGAIN:
                    raise self._refused(failed, 1) from error
                asked = error.headers.get("Retry-After")
            except (OSError, http.client.HTTPException) as error:  # URLError and timeouts too
                failed, asked = str(getattr(error, "reason", error)) or type(error).__name__, None
            if trial < self.step.retries:
                time.sleep(self._pause(trial, asked))
        raise self._refused(failed, self.step.retries + 1)

    def _pause(self, trial: int, asked: str | None) -> float:
        """Seconds before the next try: as the server asks, else twice as long each time."""
        if asked is not None and asked.isascii() and asked.isdigit():
            return min(float(asked), LONGEST_WAIT)
        return min(self.step.wait * 2.0**trial, LONGEST_WAIT)

    def _refused(self, failed: str, trials: int) -> DataError:
        often = f" after {trials} tries" if trials > 1 else ""
        return DataError(
            f"{self.address} gave no answer{often} ({failed}); check url, model and the key, or "
            "raise retries or timeout"
        )

    def _text(self, body: bytes) -> str:
        try:
            content = json.loads(body)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError) as error:
            said = " ".join(body[:SHOWN].decode("utf-8", "replace").split())
            raise DataError(
                f"{self.address} answered otherwise than an OpenAI-compatible server does: {said}"
            ) from error
        return content if isinstance(content, str) else ""


def _authorisation(variable: str | None) -> dict[str, str]:
    """The header with the key, if a variable is named."""
    if variable is None:
        return {}
    key = os.environ.get(variable, "").strip()
    if not key:
        raise DataError(
            f"the environment variable {variable}, which key_variable names, is not set; set it to "
            "the endpoint's key"
        )
    return {"Authorization": f"Bearer {key}"}
