"""One conversation at a time through transformers, with nothing of rmplug: what scores must be."""

from __future__ import annotations

import numpy as np
import torch
import transformers

from rmplug import RewardModel

torch.set_num_threads(1)


def chat_text(tokenizer, prompt, response):
    return tokenizer.apply_chat_template([*prompt, *response], tokenize=False)


def direct_model(folder, auto="AutoModelForSequenceClassification"):
    transformers.utils.logging.disable_progress_bar()
    model = getattr(transformers, auto).from_pretrained(folder, dtype=torch.float32)
    return model.eval(), transformers.AutoTokenizer.from_pretrained(folder)


def direct_scores(folder, responses, text=None, model=None):
    """Logits of each row of ``responses``, each alone; ``text(tokenizer, prompt, response)`` gives
    the arguments of the tokenizer, by default the chat template's text."""
    found, tokenizer = direct_model(folder)
    model = found if model is None else model
    rows = []
    for row in responses.table.to_pylist():
        if text is None:
            asked = tokenizer(
                chat_text(tokenizer, row["prompt"], row["response"]),
                add_special_tokens=False,
                return_tensors="pt",
            )
        else:
            asked = tokenizer(*text(row["prompt"], row["response"]), return_tensors="pt")
        with torch.no_grad():
            rows.append(model(**asked).logits[0].numpy())
    return np.array(rows)


class Unopened(RewardModel):
    """A model that is loaded where it is asked, as in a run: it can be sent to worker processes."""

    def __init__(self, step):
        self.step = step

    def open(self):
        return self.step.load()

    def score(self, responses):
        raise AssertionError("open the model first")
