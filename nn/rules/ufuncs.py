"""The rules of those NumPy functions that take a Tensor: np.exp(t), array + t and so on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import arithmetic, choices, functions, linear
from .record import Rule

UFUNCS: dict[Callable, Rule] = {
    np.add: arithmetic.add, np.subtract: arithmetic.sub, np.multiply: arithmetic.mul,
    np.divide: arithmetic.div, np.negative: arithmetic.neg, np.power: arithmetic.pow,
    np.exp: functions.exp, np.log: functions.log, np.sqrt: functions.sqrt, np.matmul: linear.matmul,
    np.tanh: functions.tanh, np.sin: functions.sin, np.cos: functions.cos, np.abs: functions.abs,
    np.sign: functions.sign, np.maximum: choices.maximum, np.minimum: choices.minimum,
    np.invert: choices.invert, np.bitwise_and: choices.both, np.bitwise_or: choices.either,
    np.less: arithmetic.lt, np.less_equal: arithmetic.le, np.greater: arithmetic.gt,
    np.greater_equal: arithmetic.ge, np.equal: arithmetic.eq, np.not_equal: arithmetic.ne,
}
