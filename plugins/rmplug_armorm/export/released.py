"""Interpretable reward models from elsewhere, and for elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from rmplug import InputPath, InputPaths, Known, ModelLoader, Report, Reporter, RewardModel

from ._published_attributes import PUBLISHED


class ArmoRM(ModelLoader):
    """Load a reward model in the layout of the released ArmoRM, without running code of its own.

    A folder with a backbone (`model.…`), `regression_layer.weight` (K, d),
    `reward_transform_matrix` (K, K), `gating.layers.<n>.…` and `gating.logit_scale`; `config.json`
    says `gating_temperature`. Or a backbone, with `weights`: what the published scripts save. The
    last token's state gives the attribute rewards, the state at the end of the last user turn the
    gate, ``logit_scale * softmax(layers / temperature)`` on the transformed rewards. Outputs:
    ``reward``, and one per attribute. `contributions` explains scores, `export-transformers` writes
    a folder that current versions of transformers load.

    Source: Wang et al. 2024, arXiv 2406.12845.
    """

    kind = "armorm-weights"
    requires = ("torch", "transformers", "safetensors")
    extra = "hf"

    path: InputPath
    """Folder with `config.json`, safetensors and tokenizer."""
    weights: InputPaths | None = None
    """Files with heads, transform and gate where the folder has none: safetensors, or `.pt` files
    of tensors (read without running anything), with the names above or those of the published
    scripts (`weight` for the heads, `layers.<n>.…` and `logit_scale` for the gate)."""
    attributes: tuple[str, ...] = PUBLISHED
    """Names of the attributes, in order."""
    temperature: float | None = Field(default=None, gt=0)
    """Divisor of the gate's logits; that of `config.json` unless given, else 10."""
    encoder: Mapping[str, Any] = Field(default_factory=dict)
    """More parameters of the `encoder` that reads the folder: `dtype`, `device`, `batch_tokens`."""

    @classmethod
    def accepts(cls, source: str) -> Mapping[str, Any] | None:
        """Check for a folder whose config has attributes and the temperature of a gate."""
        from .recognised import is_armorm

        return {"path": source} if is_armorm(source) else None

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(outputs=("reward", *self.attributes))

    def load(self) -> RewardModel:
        from ._released import load_released

        return load_released(
            self.path, self.weights, self.attributes, self.temperature, self.encoder
        )


class ExportTransformers(Reporter):
    """Write an assembled reward model as a folder that `transformers` loads.

    `AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)` gives
    ``score`` (and ``logits``), ``rewards``, ``gating_output`` and ``contributions`` for
    conversations written by the chat template. The code beside the weights is one file of about a
    hundred lines that needs torch and transformers only; weights have the names of the released
    ArmoRM. Refused where the file could not do the same: an encoder that is not a causal model with
    its chat template, the last layer and the last token, or a gate of trees. Scores of two
    conversations are compared before anything is written.
    """

    kind = "export-transformers"
    requires = ("torch", "transformers", "safetensors")
    extra = "hf"

    def report(self, model: RewardModel, *, directory: Path) -> Report:
        from ._transformers import export

        export(model, directory)
        return Report(directory)
