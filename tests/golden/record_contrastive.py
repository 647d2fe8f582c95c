"""Records NT-Xent as PyTorch composes it, and its gradients, for the tests.

    python tests/golden/record_contrastive.py

The tests read the recorded file and need no PyTorch. Last run with PyTorch 2.13."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

CASES = ((2, 3, 0.5), (5, 4, 0.1), (7, 1, 1.0), (16, 8, 0.07))  # images, numbers of each, temperature


def nt_xent(a, b, temperature, reduction):
    """Chen et al. (2020), eq. 1, in PyTorch's functions."""
    z = F.normalize(torch.cat([a, b]), dim=1)
    itself = torch.eye(len(z), dtype=torch.bool)
    similarity = (z @ z.T / temperature).masked_fill(itself, -torch.inf)
    return F.cross_entropy(similarity, torch.arange(len(z)).roll(len(a)), reduction=reduction)


def main():
    rng, record = np.random.default_rng(0), {"temperature": np.array([t for _, _, t in CASES])}
    for i, (n, d, temperature) in enumerate(CASES):
        a, b = (torch.tensor(rng.normal(size=(n, d)), requires_grad=True) for _ in range(2))
        loss = nt_xent(a, b, temperature, "mean")
        loss.backward()
        record |= {f"a{i}": a.detach().numpy(), f"b{i}": b.detach().numpy(), f"mean{i}": loss.item(),
                   f"none{i}": nt_xent(a, b, temperature, "none").detach().numpy(),
                   f"da{i}": a.grad.numpy(), f"db{i}": b.grad.numpy()}
    np.savez_compressed(Path(__file__).parent / "torch_contrastive.npz", **record)


if __name__ == "__main__":
    main()
