"""Records what PyTorch computes, for the tests of layers, optimizers and files.

    python tests/golden/record_training.py

The tests read the recorded files and need no PyTorch. Last run with PyTorch 2.13 and safetensors 0.8.
"""

from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.optim import lr_scheduler as S

FOLDER = Path(__file__).parent
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd_momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "sgd_nesterov_decay": lambda p: torch.optim.SGD(
        p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.05
    ),
    "adam": lambda p: torch.optim.Adam(p),
    "adam_decay": lambda p: torch.optim.Adam(p, lr=0.02, weight_decay=0.05),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.02),
    "adamw_decay": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.5, 0.75), eps=0.1, weight_decay=0.5),
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


STEPS = 20
SCHEDULES = {  # the optimizer's lr is 1, so the rates are factors
    "step": lambda o: S.StepLR(o, step_size=3, gamma=0.5),
    "multistep": lambda o: S.MultiStepLR(o, milestones=[4, 7, 15], gamma=0.3),
    "linear": lambda o: S.LinearLR(o, start_factor=0.25, end_factor=1.0, total_iters=STEPS),
    "cosine": lambda o: S.CosineAnnealingLR(o, T_max=STEPS, eta_min=0.05),
    "one_cycle": lambda o: S.OneCycleLR(o, max_lr=1.0, total_steps=STEPS, cycle_momentum=False),
    "one_cycle_linear": lambda o: S.OneCycleLR(
        o,
        max_lr=1.0,
        total_steps=STEPS,
        pct_start=0.6,
        div_factor=10,
        final_div_factor=100,
        anneal_strategy="linear",
        cycle_momentum=False,
    ),
    "warm_up": lambda o: S.SequentialLR(
        o, [S.LinearLR(o, 0.1, 1.0, total_iters=5), S.CosineAnnealingLR(o, T_max=STEPS - 5)], milestones=[5]
    ),
}


def record_schedules(recorded):
    for name, build in SCHEDULES.items():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule, rates = build(optimizer), []
        for _ in range(STEPS):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        recorded[name] = np.array(rates)


def record_clipping(recorded):
    rng = np.random.default_rng(1)
    gradients = [rng.normal(size=(3, 4)), rng.normal(size=5) * 4]
    recorded.update({f"gradient{i}": g for i, g in enumerate(gradients)})
    for norm_type in (2.0, 1.0, 3.0, float("inf")):
        for max_norm in (2.0, 100.0):
            params = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in gradients]
            for p, g in zip(params, gradients, strict=True):
                p.grad = torch.tensor(g)
            key = f"norm{norm_type:g}.{max_norm:g}"
            recorded[key] = torch.nn.utils.clip_grad_norm_(params, max_norm, norm_type).numpy()
            recorded.update({f"{key}.{i}": p.grad.numpy() for i, p in enumerate(params)})


def record_averages(recorded):
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(6, 2, 3))
    recorded["weights"] = weights
    ema = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    for name, how in (("swa", {}), ("ema", {"multi_avg_fn": ema})):
        layer = torch.nn.Linear(3, 2, bias=False, dtype=torch.float64)
        average, path = torch.optim.swa_utils.AveragedModel(layer, **how), []
        for weight in weights:
            with torch.no_grad():
                layer.weight.copy_(torch.tensor(weight))
            average.update_parameters(layer)
            path.append(average.module.weight.detach().numpy().copy())
        recorded[name] = np.stack(path)


def record_around():
    recorded = {}
    record_schedules(recorded)
    record_clipping(recorded)
    record_averages(recorded)
    np.savez_compressed(FOLDER / "torch_training.npz", **recorded)


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
    record_around()
    record_network()
    record_dtypes()
