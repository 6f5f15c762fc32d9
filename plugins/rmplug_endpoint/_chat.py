"""A language model behind an OpenAI-compatible address."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from threading import Event

import httpx
import numpy as np
import pyarrow as pa
from tenacity import (
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
)

from rmplug import DataError, RewardModel
from rmplug.models.text_generator import Prompt, as_conversation

from ._retries import LONGEST_WAIT, Backoff, Failure
from ._server import Server


@dataclass(kw_only=True, eq=False)
class EndpointModel(RewardModel):
    """A model that generates text; each prompt is one request."""

    server: Server
    model: str
    retries: int
    wait: float
    concurrency: int

    def __post_init__(self) -> None:
        self.name = self.model

    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        raise DataError(
            f"the endpoint model {self.name} generates text and scores no responses; ask it with "
            "the query tagger"
        )

    def generate(
        self, prompts: Sequence[Prompt], max_new_tokens: int = 100, temperature: float = 0.0
    ) -> list[str]:
        """Ask about each prompt.

        The first request that fails for good ends the others: none is sent or waited for again.
        """
        ended = Event()
        with (
            self.server.open_client(self.concurrency) as client,
            ThreadPoolExecutor(self.concurrency) as pool,
        ):
            ask = partial(self._ask, client, ended)
            bodies = [self._body(prompt, max_new_tokens, temperature) for prompt in prompts]
            pending = [pool.submit(ask, body) for body in bodies]
            try:
                for answer in wait(pending, return_when=FIRST_EXCEPTION).done:
                    answer.result()
                return [answer.result() for answer in pending]
            finally:
                ended.set()
                pool.shutdown(wait=False, cancel_futures=True)

    def _body(self, prompt: Prompt, max_new_tokens: int, temperature: float) -> bytes:
        body = {
            "model": self.model,
            "messages": [dict(message) for message in as_conversation(prompt)],
            "max_tokens": max_new_tokens,
            "temperature": temperature,
        }
        return json.dumps(body).encode()

    def _ask(self, client: httpx.Client, ended: Event, body: bytes) -> str:
        """Send one request, again while that may help, and return the text of its answer."""
        asking = Retrying(
            sleep=sleep_using_event(ended),
            stop=stop_after_attempt(self.retries + 1) | stop_when_event_set(ended),
            wait=Backoff(multiplier=self.wait, max=LONGEST_WAIT),
            retry=retry_if_exception(lambda error: isinstance(error, Failure) and error.again),
            reraise=True,
        )
        try:
            return asking(self.server.post, client, body)
        except Failure as failure:
            trials = asking.statistics["attempt_number"]
            often = f" after {trials} tries" if trials > 1 else ""
            # from None: what a server says may hold the key, and only this sentence is cleaned
            raise DataError(
                f"{self.server.address} gave no answer{often} ({failure}); check url, model and "
                "the key, or raise retries or timeout"
            ) from None


def read_key(variable: str | None) -> str | None:
    """Read the key from the environment variable that is named, if one is."""
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise DataError(
            f"the environment variable {variable}, which key_variable names, is not set; set it to "
            "the endpoint's key"
        )
    # httpx and h11 show a header that they refuse, and with it the key
    if not key.isascii() or not key.isprintable() or " " in key:
        raise DataError(
            f"the environment variable {variable}, which key_variable names, holds spaces, line "
            "breaks or letters that no key has; set it to the endpoint's key alone"
        )
    return key
