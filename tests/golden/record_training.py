"""Records what PyTorch computes, for the tests of layers, optimizers and files.

    python tests/golden/record_training.py

The tests read the recorded files and need no PyTorch. Last run with PyTorch 2.13 and safetensors 0.8.
"""

from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn

FOLDER = Path(__file__).parent
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd_momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "sgd_nesterov_decay": lambda p: torch.optim.SGD(
        p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05
    ),
    "adam": lambda p: torch.optim.Adam(p),
    "adam_decay": lambda p: torch.optim.Adam(p, lr=0.02, weight_decay=0.05),
    "adam_betas_eps": lambda p: torch.optim.Adam(p, lr=0.3, betas=(0.5, 0.75), eps=0.1),
}


class DigitsCNN(nn.Module):
    def __init__(self, c1, c2, c3):
        super().__init__()
        self.conv1 = nn.Conv2d(1, c1, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c1)
        self.conv2 = nn.Conv2d(c1, c2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c2)
        self.conv3 = nn.Conv2d(c2, c3, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(c3)
        self.fc = nn.Linear(4 * c3, 10)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 2)
        x = torch.max_pool2d(torch.relu(self.bn2(self.conv2(x))), 2)
        return self.fc(torch.relu(self.bn3(self.conv3(x))).flatten(1))


def record_optimizers():
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 4)), rng.normal(size=(7, 3, 4))
    gradients[:, 0, 0] = 0  # a weight that never gets a gradient
    recorded = {"start": start, "gradients": gradients, "skipped": np.array(3)}
    for name, build in OPTIMIZERS.items():
        p = torch.nn.Parameter(torch.tensor(start))
        optimizer, path = build([p]), []
        for step, gradient in enumerate(gradients):
            p.grad = None if step == recorded["skipped"] else torch.tensor(gradient)
            optimizer.step()
            path.append(p.detach().numpy().copy())
        recorded[name] = np.stack(path)
    np.savez_compressed(FOLDER / "torch_optimizers.npz", **recorded)


def record_network():
    torch.manual_seed(0)
    model = DigitsCNN(4, 6, 5)
    for name, tensor in model.state_dict().items():  # so that every weight and statistic matters
        if "bn" in name and tensor.dtype == torch.float32:
            tensor.uniform_(0.5, 1.5)
    safetensors.torch.save_file(model.state_dict(), FOLDER / "torch_cnn.safetensors")
    x, y = torch.rand(6, 1, 8, 8), torch.tensor([3, 1, 4, 1, 5, 9])
    recorded = {"x": x.numpy(), "y": y.numpy(), "evaluated": model.eval()(x).detach().numpy()}
    trained = model.train()(x)
    loss = nn.functional.cross_entropy(trained, y)
    loss.backward()
    recorded.update(trained=trained.detach().numpy(), loss=loss.detach().numpy())
    recorded.update({f"grad.{name}": p.grad.numpy() for name, p in model.named_parameters()})
    recorded.update({f"after.{name}": b.numpy() for name, b in model.named_buffers()})
    np.savez_compressed(FOLDER / "torch_cnn.npz", **recorded)


def record_dtypes():
    values = torch.tensor([[0.0, -0.0, 1.0], [-2.5, 3.0e38, 1e-40]])
    tensors = {"bf16": values.bfloat16(), "f16": values.half(), "f32": values, "f64": values.double()}
    tensors.update(i64=torch.arange(-3, 3), u8=torch.arange(6, dtype=torch.uint8))
    tensors.update(flag=torch.tensor([True, False]), empty=torch.zeros(0, 3), scalar=torch.tensor(7))
    safetensors.torch.save_file(tensors, FOLDER / "torch_dtypes.safetensors")


if __name__ == "__main__":
    record_optimizers()
    record_network()
    record_dtypes()
