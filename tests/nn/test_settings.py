"""Settings of a wrong kind or size: every constructor refuses them at once, by its name and theirs."""

import numpy as np
import pytest

import nn
from nn import functional as F
from nn import optim
from nn.optim import schedules
from nn.parameter import Parameter

NOTHING_LIKE_IT = ("a", "3", 1j, {}, object(), b"x", len, np.array([1, 2]), nn.Tensor([1.0, 2.0]))
NO_NUMBER = (None, True, np.True_, [], [0.5], np.array(0.5), nn.Tensor(0.5), float("nan"), *NOTHING_LIKE_IT)
NO_SIZE = (1.5, -1, 2**70, float("inf"), np.float64(2), *NO_NUMBER)

# What is no value of a setting of a kind; a setting that has a default for None leaves out the None.
WRONG = {
    "size": (0, *NO_SIZE), "whole": NO_SIZE, "int": (1.5, float("inf"), np.float64(2), *NO_NUMBER),
    "number": (float("inf"), *NO_NUMBER), "positive": (0, -1, float("inf"), *NO_NUMBER),
    "from 0": (-1, float("inf"), *NO_NUMBER), "share": (-0.1, 1.1, float("inf"), *NO_NUMBER),
    "count": (0, 1.5, -1, *NO_NUMBER),
    "list": (None, 1.5, True, "a", 1j, object(), np.array(0.5), nn.Tensor(0.5), [2.0], ["a"], [None]),
    "flag": (None, 2, 0.5, [], np.array(1), *NOTHING_LIKE_IT), "name": (None, 1, True, [], *NOTHING_LIKE_IT),
}  # fmt: skip

CONV = {"in_channels": "size", "out_channels": "size", "kernel_size": "size", "stride": "size",
        "padding": "whole", "dilation": "size", "groups": "size", "bias": "flag"}
CONVOLVES = {"in_channels": 2, "out_channels": 2, "kernel_size": 3}
MAX = {"kernel_size": "size", "stride": "size or None", "padding": "whole", "dilation": "size",
       "ceil_mode": "flag"}
AVG = {"kernel_size": "size", "stride": "size or None", "padding": "whole", "ceil_mode": "flag",
       "count_include_pad": "flag"}
NORM = {"num_features": "size", "eps": "positive", "affine": "flag"}
ADAM = {"lr": "from 0", "eps": "positive", "weight_decay": "from 0", "betas": "size"}
P = [Parameter(np.ones(3))]

# (constructor, the settings that it cannot do without, the kinds of all)
SETTINGS = [
    (nn.Linear, {"in_features": 3, "out_features": 2},
     {"in_features": "size", "out_features": "size", "bias": "flag"}),
    (nn.Embedding, {"num_embeddings": 4, "embedding_dim": 3},
     {"num_embeddings": "size", "embedding_dim": "size", "padding_idx": "int or None"}),
    (nn.Conv1d, CONVOLVES, CONV), (nn.Conv2d, CONVOLVES, CONV),
    (nn.ConvTranspose2d, CONVOLVES, {**CONV, "output_padding": "whole"}),
    (nn.BatchNorm1d, {"num_features": 3}, NORM), (nn.BatchNorm2d, {"num_features": 3}, NORM),
    (nn.BatchNorm1d, {"num_features": 3}, {"momentum": "share or None"}),
    (nn.LayerNorm, {"normalized_shape": 3},
     {"normalized_shape": "size", "eps": "from 0", "elementwise_affine": "flag", "bias": "flag"}),
    (nn.GroupNorm, {"num_groups": 1, "num_channels": 2},
     {"num_groups": "size", "num_channels": "size", "eps": "from 0", "affine": "flag"}),
    (nn.MaxPool1d, {"kernel_size": 2}, MAX), (nn.MaxPool2d, {"kernel_size": 2}, MAX),
    (nn.AvgPool1d, {"kernel_size": 2}, AVG),
    (nn.AvgPool2d, {"kernel_size": 2}, {**AVG, "divisor_override": "int or None"}),
    (nn.AdaptiveAvgPool2d, {}, {"output_size": "size or None"}),
    (nn.AdaptiveMaxPool2d, {}, {"output_size": "size or None"}),
    (nn.MultiheadAttention, {"embed_dim": 4, "num_heads": 2},
     {"embed_dim": "size", "num_heads": "size", "dropout": "share", "bias": "flag", "kdim": "size or None",
      "vdim": "size or None", "batch_first": "flag"}),
    (nn.TransformerEncoderLayer, {"d_model": 4, "nhead": 2},
     {"d_model": "size", "nhead": "size", "dim_feedforward": "size", "dropout": "share",
      "layer_norm_eps": "from 0", "batch_first": "flag", "norm_first": "flag", "bias": "flag"}),
    (nn.Dropout, {}, {"p": "share"}), (nn.LeakyReLU, {}, {"negative_slope": "number"}),
    (nn.Softplus, {}, {"beta": "positive", "threshold": "number"}), (nn.GELU, {}, {"approximate": "name"}),
    (nn.Softmax, {}, {"dim": "int"}), (nn.LogSoftmax, {}, {"dim": "int"}),
    (nn.Flatten, {}, {"start_dim": "int", "end_dim": "int"}),
    (nn.CrossEntropyLoss, {},
     {"reduction": "name", "ignore_index": "int", "label_smoothing": "share"}),
    (nn.NLLLoss, {}, {"reduction": "name", "ignore_index": "int"}), (nn.MSELoss, {}, {"reduction": "name"}),
    (nn.L1Loss, {}, {"reduction": "name"}), (nn.SmoothL1Loss, {}, {"reduction": "name", "beta": "from 0"}),
    (nn.HuberLoss, {}, {"reduction": "name", "delta": "positive"}),
    (nn.KLDivLoss, {}, {"reduction": "name", "log_target": "flag"}),
    (nn.BCEWithLogitsLoss, {}, {"reduction": "name"}),
    (optim.SGD, {"params": P},
     {"lr": "from 0", "momentum": "from 0", "weight_decay": "from 0", "nesterov": "flag"}),
    (optim.Adam, {"params": P}, ADAM), (optim.AdamW, {"params": P}, ADAM),
    (optim.AveragedModel, {"model": nn.Linear(2, 2)}, {"decay": "from 0 or None", "use_buffers": "flag"}),
    (schedules.Step, {"every": 0.5}, {"every": "positive", "gamma": "from 0"}),
    (schedules.MultiStep, {"milestones": (0.5,)}, {"milestones": "list", "gamma": "from 0"}),
    (schedules.Linear, {}, {"start": "from 0", "end": "from 0"}), (schedules.Cosine, {}, {"end": "from 0"}),
    (schedules.OneCycle, {}, {"pct_start": "share", "div_factor": "positive", "final_div_factor": "positive",
                              "linear": "flag", "steps": "count or None"}),
    (schedules.Chain, {"schedules": (schedules.Cosine(),), "borders": ()},
     {"schedules": "list", "borders": "list"}),
    (schedules.WarmUp, {"then": schedules.Cosine()}, {"until": "positive", "start": "from 0"}),
]  # fmt: skip
CASES = [(make, needs, name, kind) for make, needs, kinds in SETTINGS for name, kind in kinds.items()]


@pytest.mark.parametrize(("make", "needs", "name", "kind"), CASES,
                         ids=[f"{make.__name__}-{name}-{i}" for i, (make, _, name, _) in enumerate(CASES)])
def test_what_is_no_value_of_a_setting_is_refused_by_name(make, needs, name, kind):
    kind, _, default = kind.partition(" or ")
    for wrong in WRONG[kind]:
        if wrong is None and default:
            continue
        with pytest.raises((TypeError, ValueError)) as refused:
            make(**{**needs, name: wrong})
        assert str(refused.value).startswith(f"{make.__name__}: "), (wrong, refused.value)
        assert name in str(refused.value), (wrong, refused.value)


@pytest.mark.parametrize(("make", "needs", "name", "kind"), CASES,
                         ids=[f"{make.__name__}-{name}-{i}" for i, (make, _, name, _) in enumerate(CASES)])
def test_the_numbers_of_numpy_are_numbers(make, needs, name, kind):
    kind, right = kind.partition(" or ")[0], []
    if kind in ("size", "count", "whole", "int") and name != "betas":
        n = 2 if name in ("embed_dim", "d_model") else 1
        right = [np.int64(n), np.uint8(n)]
    elif kind in ("number", "positive", "from 0", "share"):
        right = [np.float32(0.25), np.float64(0.25), 0.25]
    elif kind == "flag" and name != "nesterov":
        right = [np.True_, np.False_, True, False]
    for value in right:
        make(**{**needs, name: value})


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, nn.NLLLoss, nn.BCEWithLogitsLoss])
def test_the_weights_of_a_loss_are_numbers(loss):
    for wrong in ("a", {}, object(), [None], ["1"], 1j):
        with pytest.raises(TypeError, match=f"{loss.__name__}: weight must be numbers, got"):
            loss(weight=wrong)
    for right in (None, [1.0, 2.0], (1, 2), np.ones(2), nn.Tensor([1.0, 2.0])):
        loss(weight=right)


@pytest.mark.parametrize("activation", [None, "tanh", 5, [], {}, np.array([1, 2])], ids=repr)
def test_an_activation_is_a_function_or_one_of_two_names(activation):
    with pytest.raises(ValueError, match="TransformerEncoderLayer: activation must be"):
        nn.TransformerEncoderLayer(4, 2, activation=activation)


def test_functions_refuse_the_same_settings():
    x, classes = nn.Tensor(np.ones((2, 3))), np.array([0, 1])
    settings = {
        "dropout: p": ("share", lambda v: F.dropout(x, v)),
        "softplus: beta": ("positive", lambda v: F.softplus(x, v)),
        "huber_loss: delta": ("positive", lambda v: F.huber_loss(x, x, delta=v)),
        "smooth_l1_loss: beta": ("from 0", lambda v: F.smooth_l1_loss(x, x, beta=v)),
        "cross_entropy: label_smoothing": ("share", lambda v: F.cross_entropy(x, classes, label_smoothing=v)),
        "cross_entropy: ignore_index": ("int", lambda v: F.cross_entropy(x, classes, ignore_index=v)),
        "nll_loss: ignore_index": ("int", lambda v: F.nll_loss(x, classes, ignore_index=v)),
        "mse_loss: reduction": ("name", lambda v: F.mse_loss(x, x, v)),
        "gelu: approximate": ("name", lambda v: F.gelu(x, v)),
        "embedding: padding_idx": ("int", lambda v: F.embedding(classes, x, v)),
        "one_hot: num_classes": ("int", lambda v: F.one_hot(classes, v)),
    }
    for name, (kind, call) in settings.items():
        for wrong in WRONG[kind]:
            if isinstance(wrong, float) and wrong == np.inf and kind in ("positive", "from 0"):
                continue    # a bound that nothing reaches
            if wrong is None and name == "embedding: padding_idx":
                continue
            with pytest.raises((TypeError, ValueError)) as refused:
                call(wrong)
            assert str(refused.value).startswith(f"{name} is "), (wrong, refused.value)
