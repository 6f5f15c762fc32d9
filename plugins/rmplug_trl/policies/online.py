"""The trainer that lets a policy write pairs of responses and learns from the better ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from rmplug import Known

from .reinforcement import Reinforcement

if TYPE_CHECKING:
    from ._reinforcement import ReinforcementTraining


class OnlineDpo(Reinforcement):
    """Train a policy on pairs of its own responses, compared by rewards (online DPO).

    Online direct preference optimisation (Guo et al. 2024). As `grpo`, which see for inputs. For
    each prompt the policy samples two responses; the one with the higher reward is chosen, the
    other rejected, and the policy learns from the pair as `dpo` does, with the policy before the
    training as reference. Of two with the same reward the one that was sampled first is chosen, by
    chance therefore. Rewards count by their order alone.

    Numbers over the steps: `mean_reward` (weighted sum of the reward models) of all responses,
    `reward_difference` of chosen and rejected, `loss`, `kl` (nats per response, from the policy
    before), `margin` (implicit reward of chosen less that of rejected), `mean_length` (tokens) and
    `clipped_share` of responses; `prompts`, `steps`, `parameters`, `parameters-trained`. A kill
    costs the steps since the last checkpoint. It stands on an experimental part of TRL, which may
    change with a version of it; `check` says so where the installed one lacks it.
    """

    kind = "online-dpo"
    renamed: ClassVar[dict[str, str]] = {
        **Reinforcement.renamed,
        "num_generations": "nothing: there are always two responses to a prompt",
        "loss": "loss_type",
    }

    beta: float = Field(default=0.1, gt=0)
    """The implicit reward of a difference of one in log-probability; a larger one stays closer to
    the policy before."""
    per_device_train_batch_size: int = Field(default=8, ge=1)
    """Prompts per forward and backward pass on each device, each with two responses."""
    loss_type: Literal["sigmoid", "ipo"] = "sigmoid"
    """The loss by TRL's name: `sigmoid` (DPO), or `ipo` (Azar et al. 2023)."""
    missing_eos_penalty: float | None = Field(default=None, gt=0)
    """Taken off the reward of a response that reaches `max_completion_length` without an end."""

    def mistakes(self, inputs: Mapping[str, Sequence[Known]]) -> Iterator[tuple[str, str]]:
        """Report mistakes as every trainer on rewards does, and a TRL without this one."""
        yield from super().mistakes(inputs)
        if not has_online_dpo():
            yield (
                "policy",
                "the installed version of TRL has no trainer for online DPO; install trl 1.16, "
                "or write kind: rloo or kind: grpo, which learn from the same rewards",
            )

    def kitchen(self) -> type[ReinforcementTraining]:
        """Return the class that does the work."""
        from ._online import OnlineTraining

        return OnlineTraining

    @property
    def own(self) -> dict[str, Any]:
        """The parameters of this trainer alone, under TRL's names."""
        return {
            "loss_type": self.loss_type,
            "missing_eos_penalty": self.missing_eos_penalty,
        }


def has_online_dpo() -> bool:
    """Check the files of the installed TRL for the trainer, without importing it."""
    found = find_spec("trl")
    folders = (found.submodule_search_locations or ()) if found is not None else ()
    return any((Path(folder) / "experimental" / "online_dpo").is_dir() for folder in folders)
