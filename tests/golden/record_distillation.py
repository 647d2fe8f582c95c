"""Records what PyTorch computes, for the tests of distillation.

    python tests/golden/record_distillation.py

The tests read the recorded file and need no PyTorch. Last run with PyTorch 2.13.
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn import CrossEntropyLoss, KLDivLoss
from torch.nn import functional as F

CASES = [(1, 2, 1.0, 1.0), (4, 10, 4.0, 0.9), (7, 3, 20.0, 0.5), (5, 10, 0.5, 1.0)]  # N, classes, T, soft


def record(n, classes, temperature, soft, teachers):
    """The usual composition, soft·T²·KLDivLoss + (1 − soft)·CrossEntropyLoss, and its gradient."""
    rng = np.random.default_rng([n, classes, teachers])
    z = torch.tensor(3 * rng.normal(size=(n, classes)), requires_grad=True)
    v = torch.tensor(3 * rng.normal(size=(teachers, n, classes)))
    y = torch.tensor(rng.integers(0, classes, n))
    p = F.softmax(v / temperature, dim=-1).mean(0)
    divergence = KLDivLoss(reduction="batchmean")(F.log_softmax(z / temperature, dim=1), p)
    loss = soft * temperature**2 * divergence + (1 - soft) * CrossEntropyLoss()(z, y)
    loss.backward()
    return {"z": z.detach().numpy(), "v": v.numpy(), "y": y.numpy(), "p": p.numpy(),
            "settings": np.array([temperature, soft]), "loss": loss.detach().numpy(), "grad": z.grad.numpy()}


if __name__ == "__main__":
    recorded = {}
    for i, (case, teachers) in enumerate((case, teachers) for case in CASES for teachers in (1, 3)):
        recorded.update({f"{i}.{name}": array for name, array in record(*case, teachers).items()})
    np.savez_compressed(Path(__file__).parent / "torch_distillation.npz", **recorded)
