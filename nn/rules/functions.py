"""Functions of one number, each entry by itself, activations among them: nothing overflows far from 0."""

import math

import numpy as np

from .. import kernels
from .choices import only, without
from .record import CONSTANT, DERIVED, OUTPUT, Rule, rule
from .samples import APART, cases, positive, signed

_Y = (OUTPUT,)


def of_each(name, formula, f, slope, *, saves=(0,), samples=signed, method=True, **more):
    """The rule of y = f(x) with the gradient slope(g, x), or slope(g, y) if that is what it saves, OUTPUT."""
    def forward(x):
        y = f(x)
        return y, (y if saves is _Y else x,)
    return Rule(name, formula, forward, lambda g, saved, needs: (slope(g, saved[0]),), samples=samples,
                saves=saves, fresh=True, symmetric=True, method=method, **more)


def logistic(x):
    """σ(x) = 1/(1 + e⁻ˣ), by the exponential of −|x| alone: no overflow, and no digits lost for x ≪ 0."""
    left = (x < 0).astype(x.dtype)
    e = np.exp(x * (2 * left - 1))
    return (1 - left + left * e) / (1 + e)


exp = of_each("exp", "y = eˣ;  dx = g·y", np.exp, lambda g, y: g * y, saves=_Y, samples=positive)
log = of_each("log", "y = log x;  dx = g/x", np.log, lambda g, x: g / x, samples=positive)
sqrt = of_each("sqrt", "y = √x;  dx = g/2y", np.sqrt, lambda g, y: g / (2 * y), saves=_Y, samples=positive)
sin = of_each("sin", "y = sin x;  dx = g·cos x", np.sin, lambda g, x: g * np.cos(x))
cos = of_each("cos", "y = cos x;  dx = −g·sin x", np.cos, lambda g, x: -g * np.sin(x))
tanh = of_each("tanh", "y = tanh x;  dx = g·(1 − y²)", np.tanh, lambda g, y: g * (1 - y * y), saves=_Y)
sigmoid = of_each("sigmoid", "y = 1/(1 + e⁻ˣ);  dx = g·y·(1 − y)", lambda x: logistic(as_array(x)),
                  lambda g, y: g * y * (1 - y), saves=_Y, twin=lambda x: 1 / (1 + (-x).exp()))
logsigmoid = of_each("logsigmoid", "y = log 1/(1 + e⁻ˣ);  dx = g/(1 + eˣ)",
                     lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))),
                     lambda g, x: g * logistic(-x), twin=lambda x: x.sigmoid().log())


def floating(x):
    """x as floats, as NumPy's own functions do with integers."""
    x = as_array(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def as_array(x):
    """An array, wherever it lies, or one of a number."""
    return x if hasattr(x, "dtype") else np.asarray(x)


erf = of_each("erf", "y = 2/√π ∫₀ˣ e^(−t²) dt;  dx = g·2/√π·e^(−x²)", lambda x: kernels.erf(floating(x)),
              lambda g, x: g * np.exp(-x * x) * (2 / math.pi ** 0.5))

sign = Rule("sign", "y = −1, 0 or 1: no gradient", lambda x: (np.sign(x), None), exact=True, method=True)


def times_sign(g, x):
    """g·sign x, and 0 where x is 0 and g infinite."""
    y, zeros = g * np.sign(x), x == 0
    return without(y, zeros) if zeros.any() else y


# At 0, where they have no derivative, the subgradient 0.
abs = of_each("abs", "y = |x|;  dx = g·sign x", np.abs, times_sign, saves=CONSTANT, exact=True)

relu = Rule("relu", "y = max(x, 0);  dx = g where y > 0, else 0", lambda x: (y := kernels.relu(x), (y,)),
    lambda g, saved, needs, overwrite_g=False: (relu_grad(g, y=saved[0], overwrite_g=overwrite_g),),
    samples=signed, saves=CONSTANT, fresh=True, symmetric=True, overwrites=True, exact=True, method=True)

relu_grad = Rule(
    "relu_grad", "y = g where the output of relu is > 0, else 0;  dg = v there, else 0, v the gradient in y",
    lambda g, *, y, overwrite_g=False: (kernels.relu_grad(g, y, overwrite_g=overwrite_g), (y,)),
    lambda v, saved, needs: (relu_grad(v, y=saved[0]),),
    samples=cases(((3, 4), {"y": np.arange(-6.0, 6).reshape(3, 4)})), saves=CONSTANT, fresh=True,
    symmetric=True)


def _leaky_vjp(g, saved, needs):
    x, slope = saved
    return (g * ((x > 0).astype(g.dtype) * (1 - slope) + slope) if slope else only(g, x > 0),)


# At 0 the slope of the left, as in PyTorch. Maas, Hannun & Ng, "Rectifier nonlinearities" (2013).
leaky_relu = Rule("leaky_relu", "y = x where x > 0, else s·x;  dx = g there, else s·g",
    lambda x, *, negative_slope=0.01: (np.where(x > 0, x, x * negative_slope), (x, negative_slope)),
    _leaky_vjp, samples=cases((APART, {}), (APART, {"negative_slope": 0.3})), saves=CONSTANT, fresh=True,
    symmetric=True)

# Elfwing, Uchibe & Doya, "Sigmoid-weighted linear units" (2018), also known as swish.
silu = Rule("silu", "y = x·σ(x);  dx = g·σ(x)·(1 + x·(1 − σ(x)))",
    lambda x: (x * (s := logistic(as_array(x))), (x, s)),
    lambda g, saved, needs: (g * saved[1] * (1 + saved[0] * (1 - saved[1])),), twin=lambda x: x * x.sigmoid(),
    samples=signed, saves=(0, DERIVED), derive=lambda x: (x.sigmoid(),), fresh=True, symmetric=True)


def _inner(x):
    return np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x)))


def _gelu_tanh_vjp(g, saved, needs):
    x, t = saved
    slope = math.sqrt(2 / math.pi) * (1 + 0.134145 * (x * x))
    return (g * 0.5 * (1 + t + x * (1 - t * t) * slope),)


gelu_tanh = Rule(
    "gelu_tanh", "y = x·(1 + t)/2, t = tanh √(2/π)(x + 0.044715·x³);  "
    "dx = g·(1 + t + x·(1 − t²)·√(2/π)(1 + 0.134145·x²))/2",
    lambda x: (0.5 * x * (1 + (t := _inner(x))), (x, t)), _gelu_tanh_vjp,
    twin=lambda x: 0.5 * x * (1 + _inner(x)), samples=signed, saves=(0, DERIVED),
    derive=lambda x: (_inner(x),), fresh=True, symmetric=True)


def _gelu_grad_vjp(v, saved, needs):
    g, x = saved
    density = np.exp(x * x * -0.5) * (2 * math.pi) ** -0.5
    return gelu_grad(v, x), needs[1] and v * g * density * (2 - x * x)


gelu_grad = Rule(
    "gelu_grad", "y = g·(Φ(x) + x·φ(x)), φ(x) = e^(−x²/2)/√2π;  dg = v·(Φ(x) + x·φ(x)), "
    "dx = v·g·φ(x)·(2 − x²), v the gradient in y",
    lambda g, x: (kernels.gelu_grad(*np.broadcast_arrays(g, x)), (g, x)), _gelu_grad_vjp,
    samples=cases(((3, 4), APART, {})), saves=(0, 1), fresh=True, symmetric=True)


# Hendrycks & Gimpel, "Gaussian error linear units" (2016).
gelu = of_each("gelu", "y = x·Φ(x), Φ(x) = (1 + erf x/√2)/2;  dx = g·(Φ(x) + x·e^(−x²/2)/√2π)",
               lambda x: kernels.gelu(floating(x)), lambda g, x: gelu_grad(g, x), method=False,
               twin=lambda x: x * 0.5 * (1 + (x * 0.5 ** 0.5).erf()))


def _softplus_vjp(g, saved, needs):
    x, beta, threshold = saved
    straight = (x * beta > threshold).astype(x.dtype)
    return (g * (straight + (1 - straight) * logistic(x * beta)),)


# Beyond the threshold, where y rounds to x, PyTorch takes x itself.
@rule("y = log(1 + e^βx)/β, x where βx > threshold;  dx = g/(1 + e^−βx), g there", _softplus_vjp,
    twin=lambda x, *, beta=1.0, threshold=20.0: x.where(
        x * beta > threshold, -(x * -beta).logsigmoid() / beta),
    samples=cases((APART, {}), (APART, {"beta": 2.0, "threshold": 1.0})), saves=(0, CONSTANT, CONSTANT),
    fresh=True, symmetric=True)
def softplus(x, *, beta=1.0, threshold=20.0):
    bx = x * beta
    y = np.where(bx > threshold, x, np.log1p(np.exp(np.minimum(bx, threshold))) / beta)
    return y, (x, beta, threshold)
