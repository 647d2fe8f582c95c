"""A language model beside PyTorch: a step of its training, 4 layers 128 wide, 16 texts of 128 tokens.

Both libraries run the same lines from the same weights. PyTorch has its attention in one kernel, and the
fused Adam; it is written by hand as CharTransformer is, and with its own TransformerEncoderLayer, and the
faster counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import nn
from nn.language import next_token_loss
from nn.models import CharTransformer

from . import peers
from .row import Row
from .timing import context, digits, interleaved, timer

SIZES = {"vocabulary": 108, "width": 128, "layers": 4, "heads": 4, "context": 128}
BATCH = 16
STEP = """
optimizer.zero_grad()
loss(model(x), y).backward()
optimizer.step()
"""
BY_HAND, BY_LAYERS = "PyTorch by hand", "PyTorch's layers"


def rows(seconds: float) -> Iterator[Row]:
    """How many times as fast as PyTorch."""
    measure = "CharTransformer, 4 layers 128 wide, 16 × 128 tokens, a step of training"
    if why := peers.missing("torch"):
        yield Row("language", measure, None, "× PyTorch", 1.0, why=why)
        return
    times = interleaved(_contestants(), 4 * seconds)
    theirs = min(times[name].median for name in (BY_HAND, BY_LAYERS))
    yield Row("language", measure, digits(theirs / times["ours"].median), "× PyTorch", 1.0,
              context=context(times, "ms", lambda one: 1e3 * one))


def _contestants() -> dict[str, Any]:
    torch = peers.import_torch()
    rng = np.random.default_rng(0)
    model = CharTransformer(**SIZES, rng=rng)
    x, y = rng.integers(SIZES["vocabulary"], size=(2, BATCH, SIZES["context"]))
    everyone = {"ours": {"model": model, "x": nn.Tensor(x), "y": nn.Tensor(y), "loss": next_token_loss,
                         "optimizer": nn.optim.Adam(model.parameters())}}
    for name, block in ((BY_HAND, _block), (BY_LAYERS, _layer)):
        twin = _twin(torch, model, block)
        everyone[name] = {
            "model": twin, "x": torch.from_numpy(x), "y": torch.from_numpy(y),
            "optimizer": torch.optim.Adam(twin.parameters(), fused=True),
            "loss": lambda logits, y: torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())}
    losses = [float(names["loss"](names["model"](names["x"]), names["y"]).detach().numpy())
              for names in everyone.values()]
    if not np.allclose(losses, losses[0], rtol=1e-4):
        raise RuntimeError(f"bench: the networks differ, losses {losses}")
    nn.memory.keep_freed()
    return {name: timer(STEP, **names) for name, names in everyone.items()}


def _twin(torch: Any, ours: CharTransformer, block: Any) -> Any:
    """The same network with our weights, whose blocks are made by `block`."""
    width, context = SIZES["width"], SIZES["context"]

    class Twin(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = torch.nn.Embedding(SIZES["vocabulary"], width)
            self.position = torch.nn.Embedding(context, width)
            self.blocks = torch.nn.ModuleList([block(torch) for _ in ours.blocks])
            self.norm = torch.nn.LayerNorm(width)

        def forward(self, tokens: Any) -> Any:
            x = self.token(tokens) + self.position.weight
            for one in self.blocks:
                x = one(x)
            return torch.nn.functional.linear(self.norm(x), self.token.weight)

    twin = Twin()
    ours_of = (("self_attn.in_proj_", "qkv."), ("self_attn.out_proj", "out"), ("linear1", "up"),
               ("linear2", "down"))
    named = twin.state_dict()
    for theirs, own in ours_of:
        named = {key.replace(theirs, own): one for key, one in named.items()}
    mine = ours.state_dict()
    with torch.no_grad():
        for key, tensor in named.items():
            parts = [mine.pop(key.replace("qkv", one)) for one in "qkv"] if "qkv" in key else [mine.pop(key)]
            tensor.copy_(torch.from_numpy(np.concatenate(parts)))
    if mine:
        raise RuntimeError(f"bench: PyTorch's network has no {', '.join(mine)}")
    return twin


def _block(torch: Any) -> Any:
    """nn.models.char_transformer.Block; queries, keys and values by one layer, as is usual there."""
    F, width, heads = torch.nn.functional, SIZES["width"], SIZES["heads"]

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
            self.qkv, self.out = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)
            self.up, self.down = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            n, t, _ = x.shape
            q, k, v = (part.view(n, t, heads, -1).transpose(1, 2)
                       for part in self.qkv(self.norm1(x)).chunk(3, -1))
            found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(found.transpose(1, 2).reshape(n, t, width))
            return x + self.down(F.gelu(self.up(self.norm2(x))))

    return Block()


def _layer(torch: Any) -> Any:
    """PyTorch's own."""
    width, heads, length = SIZES["width"], SIZES["heads"], SIZES["context"]
    layer = torch.nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True,
                                             norm_first=True)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(length)

    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, module in layer.named_children():
                setattr(self, name, module)
            vars(self)["layer"] = layer

        def forward(self, x: Any) -> Any:
            return vars(self)["layer"](x, src_mask=mask, is_causal=True)

    return Layer()
