"""Tests that layers computed by oneDNN give what those of PyTorch give, in inference alone."""

import copy

import pytest
import torch
import transformers
from torch import nn

import rmplug
from rmplug.testing.tiny_models import tiny_model
from rmplug_hf.loading._fused_layers import (
    FEWEST_ROWS,
    FusedLinear,
    fuse_layers,
    has_linear,
    packed_weights,
    plainly,
)

pytestmark = pytest.mark.skipif(
    not has_linear(), reason="this build of PyTorch has no oneDNN that computes layers"
)
SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "vocab_size": 100,
    "pad_token_id": 0,
}
CONFIGS = {
    "bert": (transformers.BertConfig, {}),
    "bert-tanh": (transformers.BertConfig, {"hidden_act": "gelu_pytorch_tanh"}),
    "bert-relu": (transformers.BertConfig, {"hidden_act": "relu"}),
    "deberta": (transformers.DebertaV2Config, {}),
    "llama": (transformers.LlamaConfig, {"num_key_value_heads": 2}),
    "gemma": (transformers.GemmaConfig, {"num_key_value_heads": 2, "head_dim": 16}),
    "qwen3": (transformers.Qwen3Config, {"num_key_value_heads": 2, "head_dim": 16}),
}
IDS = torch.randint(5, 100, (8, 20), generator=torch.Generator().manual_seed(1))
MASK = (torch.arange(20) < torch.tensor([20, 20, 15, 15, 9, 9, 4, 4])[:, None]).long()


def network_of(name: str, dtype: torch.dtype = torch.float32) -> nn.Module:
    cls, more = CONFIGS[name]
    torch.manual_seed(0)
    config = cls(**SIZES, **more)
    made = transformers.AutoModelForSequenceClassification.from_config(config, dtype=dtype).eval()
    for parameter in made.parameters():  # weights large enough that activations bend
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.2)
    return made


def logits(network: nn.Module) -> torch.Tensor:
    with torch.inference_mode():
        return network(input_ids=IDS, attention_mask=MASK).logits


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what oneDNN computes together with layers."""
    noted: list[str] = []
    for what in ("activated", "times"):
        own = getattr(FusedLinear, what)

        def noting(layer, x, other, own=own, what=what):
            name = other[0] if what == "activated" else "times"
            noted.append(name)
            return own(layer, x, other)

        monkeypatch.setattr(FusedLinear, what, noting)
    return noted


needs_bfloat16 = pytest.mark.skipif(
    not has_linear(torch.bfloat16), reason="oneDNN computes no layers of bfloat16 here"
)
FORMATS = [torch.float32, pytest.param(torch.bfloat16, marks=needs_bfloat16)]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_fused_network_gives_what_it_gave(name, dtype, packed, monkeypatch):
    network = network_of(name, dtype)
    before = logits(network)
    fuse_layers(network)
    noted = count_calls(monkeypatch)
    if packed:
        with packed_weights(network):
            after = logits(network)
    else:
        after = logits(network)
    far = (after - before).abs().max() / before.abs().max()
    assert far < (2e-5 if dtype == torch.float32 else 3e-2)
    expected = {"bert": "gelu", "bert-tanh": "gelu", "bert-relu": "relu", "deberta": "gelu"}
    assert noted.count(expected.get(name, "times")) == 2, noted
    assert "none" in noted


def test_other_formats_are_computed_as_they_were(monkeypatch):
    network = network_of("llama", torch.float16)
    before = logits(network)
    fuse_layers(network)
    noted = count_calls(monkeypatch)
    with packed_weights(network):
        assert torch.equal(logits(network), before)
    narrowed = network_of("llama")
    fuse_layers(narrowed)
    narrowed.half()
    noted.clear()
    with packed_weights(narrowed):
        assert logits(narrowed).dtype == torch.float16
    assert not noted


def test_a_few_rows_are_computed_as_they_were():
    network = network_of("llama")
    fuse_layers(network)
    layer = next(m for m in network.modules() if type(m) is FusedLinear)
    few, many = torch.ones(FEWEST_ROWS - 1, 64), torch.ones(FEWEST_ROWS, 64)
    with torch.inference_mode():
        assert not layer.is_fused(few)
        assert layer.is_fused(many)
        assert not layer.is_fused(many.double())
        assert not layer.is_fused(many[:0])
        with packed_weights(network):
            assert layer.is_fused(few)
        assert not layer.is_fused(few)
        with plainly():
            assert not layer.is_fused(many)
    assert not layer.is_fused(many)


def test_training_goes_through_layers_of_pytorch(monkeypatch):
    plain, fused = network_of("bert"), network_of("bert")
    fuse_layers(fused)
    noted = count_calls(monkeypatch)
    for network in (plain, fused):
        network(input_ids=IDS, attention_mask=MASK).logits.square().sum().backward()
    assert not noted
    for (name, one), other in zip(plain.named_parameters(), fused.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad), name


def test_weights_that_change_are_never_stale():
    network = network_of("bert")
    fuse_layers(network)
    with packed_weights(network):
        first = logits(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.data = parameter.data * 1.5
    with packed_weights(network):
        second = logits(network)
    assert (first - second).abs().max() > 1e-3
    with plainly():
        torch.testing.assert_close(logits(network), second, rtol=2e-5, atol=2e-5)


def test_hooks_copies_and_names_are_those_of_the_network():
    network = network_of("llama")
    fuse_layers(network)
    other = copy.deepcopy(network)
    assert list(network.state_dict()) == list(network_of("llama").state_dict())
    assert [type(m).__name__ for m in network.modules()] == [
        type(m).__name__ for m in network_of("llama").modules()
    ]
    seen: list[torch.Size] = []
    mlp = network.model.layers[0].mlp
    mlp.act_fn.register_forward_hook(lambda _, __, given: seen.append(given.shape))
    with torch.no_grad():
        other.model.layers[0].mlp.down_proj.weight.zero_()
    torch.testing.assert_close(logits(network), logits(network_of("llama")), rtol=2e-5, atol=2e-5)
    assert seen == [torch.Size([8, 20, 96])]
    assert (logits(other) - logits(network)).abs().max() > 1e-4


class Doubled(nn.Module):
    """A module that looks like a layer with its activation, and computes something else."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.act = nn.Linear(64, 64), nn.GELU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * self.act(self.dense(x))


class Noisy(nn.Module):
    """A module that fails for inputs of its trial."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.act = nn.Linear(64, 64), nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() != 2:
            raise ValueError("two dimensions are wanted")
        return self.act(self.dense(x))


@pytest.mark.parametrize("cls", [Doubled, Noisy])
def test_what_computes_something_else_is_not_fused(cls):
    module = cls()
    x = torch.randn(FEWEST_ROWS, 64)
    with torch.inference_mode():
        before = module(x)
    fuse_layers(module)
    assert type(module) is cls
    assert type(module.dense) is FusedLinear
    with torch.inference_mode():
        torch.testing.assert_close(module(x), before, rtol=2e-5, atol=2e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft asks a model for a deprecated name
def test_an_adapter_on_a_fused_network_is_not_passed_by():
    peft = pytest.importorskip("peft")
    network = network_of("llama")
    plain = network_of("llama")
    fuse_layers(network)
    lora = peft.LoraConfig(target_modules=["gate_proj", "up_proj"], init_lora_weights=False, r=4)
    adapted = []
    for one in (network, plain):
        torch.manual_seed(3)
        adapted.append(peft.get_peft_model(one, lora).eval())
    fused, own = (logits(one) for one in adapted)
    torch.testing.assert_close(fused, own, rtol=2e-5, atol=2e-5)
    assert (own - logits(network_of("llama"))).abs().max() > 1e-3
    merged, plain_merged = (logits(one.merge_and_unload()) for one in adapted)
    torch.testing.assert_close(merged, plain_merged, rtol=2e-5, atol=2e-5)


def test_a_model_whose_weights_stay_packs_them_once_for_all_calls(tmp_path):
    scorer = rmplug.load(tiny_model("llama", tmp_path))
    layers = [one for one in scorer.model.loaded.model.modules() if type(one) is FusedLinear]
    packed_anew = scorer.score("Say 1", "one")
    assert layers
    assert all(layer.packed is None for layer in layers)
    with scorer.model.standing():
        packed = [layer.packed for layer in layers]
        assert scorer.score("Say 1", "one") == packed_anew
        assert all(one is not None for one in packed)
        assert all(layer.packed is one for layer, one in zip(layers, packed, strict=True))
    assert all(layer.packed is None for layer in layers)
