"""The pad token of a model: the same in its configuration, its tokenizer and its batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rmplug import DataError

if TYPE_CHECKING:
    from .loaders import HubModel


def stated_pad(step: HubModel, tokenizer: Any, model: Any, vocabulary: int) -> int | None:
    """Return the id of the pad token: that of the step, else that of the configuration."""
    if step.pad_token is None:
        pad = model.config.get_text_config().pad_token_id
        return pad if pad is not None and 0 <= pad < vocabulary else None
    token = tokenizer.get_vocab().get(step.pad_token)
    if token is None:
        raise DataError(f"pad_token {step.pad_token!r} is no token of {tokenizer.name_or_path}")
    return int(token)


def settle_padding(tokenizer: Any, model: Any, pad: int | None) -> int | None:
    """Return the id that pads batches in training (``pad``, else the tokenizer's, else its EOS),
    written into configuration and tokenizer so that both agree; None where there is none."""
    candidates = (pad, tokenizer.pad_token_id, tokenizer.eos_token_id)
    padding = next((each for each in candidates if each is not None), None)
    if padding is not None:
        model.config.get_text_config().pad_token_id = padding
        # another token than a special one would be split off from texts if it became the pad token
        if padding in tokenizer.all_special_ids and padding != tokenizer.pad_token_id:
            tokenizer.pad_token = tokenizer.convert_ids_to_tokens(padding)
    return padding


@contextmanager
def padding_is(config: Any, pad: int) -> Iterator[None]:
    """Set the model's pad token to that of the batch within the context."""
    text = config.get_text_config()
    before, text.pad_token_id = text.pad_token_id, pad
    try:
        yield
    finally:
        text.pad_token_id = before
