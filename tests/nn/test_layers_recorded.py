"""PyTorch's layers, recorded: weights that it saved load unchanged, and give its outputs and gradients."""

from pathlib import Path

import numpy as np
import pytest

import nn
from nn import files

GOLDEN = Path(__file__).parents[1] / "golden"
RECORDED = np.load(GOLDEN / "torch_layers.npz")
STATE = GOLDEN / "torch_layers.safetensors"


class Zoo(nn.Module):
    """tests/golden/record_layers.py has the same, letter for letter, in PyTorch's layers."""

    def __init__(self):
        self.conv1d = nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)
        self.transposed = nn.ConvTranspose2d(
            4, 6, (3, 2), 2, 1, output_padding=(1, 0), groups=2, dilation=(1, 2)
        )
        self.embedding = nn.Embedding(7, 3, padding_idx=2)
        self.layer_norm = nn.LayerNorm((3, 4), eps=0.01)
        self.group_norm = nn.GroupNorm(2, 6)
        self.attention = nn.MultiheadAttention(6, 2)
        self.attention_to_others = nn.MultiheadAttention(4, 2, bias=False, kdim=3, vdim=5, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(6, 3, 8, dropout=0.0, batch_first=True)
        self.encoder_first = nn.TransformerEncoderLayer(4, 2, 5, 0.0, "gelu", norm_first=True)
        self.blocks = nn.ModuleList(
            [nn.Linear(2, 2), nn.Sequential(nn.LayerNorm(2, bias=False), nn.SiLU())]
        )


@pytest.fixture(scope="module")
def zoo():
    zoo = Zoo()
    zoo.load_state_dict(files.load(STATE))
    return zoo


def test_the_state_has_pytorchs_keys_shapes_and_dtypes():
    ours, theirs = (
        {name: (a.shape, a.dtype) for name, a in state.items()}
        for state in (Zoo().state_dict(), files.load(STATE))
    )
    assert ours == theirs


@pytest.mark.parametrize("i", range(int(RECORDED["calls"])), ids=lambda i: f"{i}-{RECORDED[f'{i}.name']}")
def test_outputs_and_gradients_are_pytorchs(zoo, i):
    stored = {
        key.partition(".")[2]: RECORDED[key] for key in RECORDED.files if key.partition(".")[0] == str(i)
    }
    count = sum(key.startswith("input") for key in stored)
    arrays = [stored[f"input{j}"] for j in range(count)]
    same = count == 3 and all(a.shape == arrays[0].shape and (a == arrays[0]).all() for a in arrays)
    inputs = [nn.Tensor(a, requires_grad=True) if a.dtype.kind == "f" else a for a in arrays]
    inputs = inputs[:1] * 3 if same else inputs  # self-attention: one tensor given three times
    how = {key[4:]: v if v.ndim else bool(v) for key, v in stored.items() if key.startswith("how.")}
    layer = getattr(zoo, str(stored["name"]))
    layer.zero_grad()
    out = layer(*inputs, **how)
    outs = [o for o in (out if isinstance(out, tuple) else (out,)) if o is not None]
    assert len(outs) == sum(key.startswith("out") for key in stored)
    loss = 0
    for j, y in enumerate(outs):
        np.testing.assert_allclose(y.data, stored[f"out{j}"], rtol=1e-5, atol=2e-6)
        loss = loss + (y * stored[f"v{j}"].astype(np.float32)).sum()
    loss.backward()
    for j, x in enumerate(inputs):
        if isinstance(x, nn.Tensor):
            np.testing.assert_allclose(x.grad, stored[f"grad{j}"], rtol=1e-4, atol=1e-5)
    for name, parameter in layer.named_parameters():
        want = stored[f"parameter.{name}"]
        np.testing.assert_allclose(parameter.grad, want, rtol=1e-4, atol=1e-5, err_msg=name)
