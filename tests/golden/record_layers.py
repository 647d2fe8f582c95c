"""Records PyTorch's layers: their weights as PyTorch saves them, and what comes out of them and goes back.

    python tests/golden/record_layers.py

The tests read the recorded files and need no PyTorch. Last run with PyTorch 2.13 and safetensors 0.8.
"""

from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn

FOLDER = Path(__file__).parent


class Zoo(nn.Module):
    """tests/nn/test_layers_recorded.py has the same, letter for letter, in our layers."""

    def __init__(self):
        super().__init__()
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
        self.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Sequential(nn.LayerNorm(2, bias=False), nn.SiLU())])


def calls(normal, integers):
    """(name of the layer, inputs, keywords)."""
    causal = np.triu(np.ones((4, 4), bool), 1)
    padded = np.array([[False, False, True, True], [False, False, False, False]])
    return [
        ("conv1d", [normal(2, 4, 9)], {}),
        ("transposed", [normal(2, 4, 3, 4)], {}),
        ("embedding", [integers(7, (2, 5))], {}),
        ("layer_norm", [normal(2, 3, 4)], {}),
        ("group_norm", [normal(2, 6, 3, 2)], {}),
        ("attention", [normal(4, 2, 6)] * 3, {}),
        ("attention", [normal(4, 2, 6)] * 3, {"attn_mask": causal, "average_attn_weights": False}),
        ("attention", [normal(3, 2, 6), normal(4, 2, 6), normal(4, 2, 6)], {"key_padding_mask": padded}),
        ("attention", [normal(4, 2, 6)] * 3, {"need_weights": False, "attn_mask": normal(4, 4, 4)}),
        ("attention", [normal(3, 6), normal(4, 6), normal(4, 6)], {}),
        (
            "attention_to_others",
            [normal(2, 3, 4), normal(2, 4, 3), normal(2, 4, 5)],
            {"key_padding_mask": padded},
        ),
        ("encoder", [normal(2, 4, 6)], {}),
        ("encoder", [normal(2, 4, 6)], {"src_mask": causal, "src_key_padding_mask": padded}),
        ("encoder_first", [normal(4, 2, 4)], {"src_mask": causal}),
    ]


def main():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    zoo = Zoo()
    for parameter in zoo.parameters():    # so that every weight matters, those that start at 0 or 1 too
        parameter.data += 0.3 * torch.randn_like(parameter)
    safetensors.torch.save_file(zoo.state_dict(), FOLDER / "torch_layers.safetensors")
    recorded = {}
    listed = calls(
        lambda *shape: rng.normal(size=shape).astype(np.float16).astype(np.float32),
        lambda n, shape: rng.integers(0, n, shape),
    )
    for i, (name, inputs, how) in enumerate(listed):
        made = {}    # one array given three times is one tensor given three times
        tensors = [made.setdefault(id(x), torch.tensor(x, requires_grad=x.dtype.kind == "f")) for x in inputs]
        zoo.zero_grad()
        out = getattr(zoo, name)(
            *tensors, **{k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in how.items()}
        )
        outs = [o for o in (out if isinstance(out, tuple) else (out,)) if o is not None]
        cotangents = [rng.normal(size=tuple(o.shape)).astype(np.float16) for o in outs]
        torch.autograd.backward(outs, [torch.tensor(v.astype(np.float32)) for v in cotangents])
        for j, (o, v) in enumerate(zip(outs, cotangents, strict=True)):
            recorded[f"{i}.out{j}"], recorded[f"{i}.v{j}"] = o.detach().numpy(), v
        for j, t in enumerate(tensors):
            recorded[f"{i}.input{j}"] = t.detach().numpy()
            if t.requires_grad:
                recorded[f"{i}.grad{j}"] = t.grad.numpy()
        recorded.update({f"{i}.how.{k}": np.asarray(v) for k, v in how.items()})
        recorded[f"{i}.name"] = np.array(name)
        learnt = getattr(zoo, name).named_parameters()
        recorded.update({f"{i}.parameter.{k}": p.grad.numpy() for k, p in learnt})
    recorded["calls"] = np.array(len(listed))
    np.savez_compressed(FOLDER / "torch_layers.npz", **recorded)


if __name__ == "__main__":
    main()
