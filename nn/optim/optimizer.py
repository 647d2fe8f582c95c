"""What all optimizers share: groups of parameters, their state, and the parametrizations of the weights."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..arguments import instance, number
from ..half import F32, wide
from ..parameter import Parameter
from ..tensor import Tensor
from ..versions import wrote

Params = Iterable[Tensor] | Iterable[dict[str, Any]]
Update = tuple[np.ndarray, np.ndarray, int, list[np.ndarray]]


class Optimizer:
    """Base of SGD, Adam and AdamW.

    `params` is an iterable of Tensors, or of dicts as in PyTorch: {"params": Tensors, "lr": ..., ...}. Each
    dict is a group, with settings of its own; a change of `param_groups`, their list, holds from then on.

    A float16 parameter is stepped in float32, the dtype of its moments, and then rounded: a step of less than
    half a unit in its last place changes nothing.

    A subclass names its `settings` and its arrays for each parameter (`moments`), and has the methods
    `_checked` and `_update`. Raises: TypeError for what is not a Tensor of floats, ValueError for no
    parameters, one that comes twice, and settings that are unknown or out of range.
    """

    moments: tuple[str, ...] = ()
    settings: tuple[str, ...] = ("lr", "weight_decay")

    def __init__(self, params: Params, **settings: Any) -> None:
        self.param_groups = self._grouped(params, settings)
        self.params = [p for group in self.param_groups for p in group["params"]]
        if not self.params:
            raise ValueError(f"{type(self).__name__}: params is empty; there is nothing to train")
        if len({id(p) for p in self.params}) < len(self.params):
            raise ValueError(f"{type(self).__name__}: a parameter appears twice in params")
        self.steps = 0
        # Steps of each parameter: one whose first gradient comes late starts its averages then.
        self.counts = [0] * len(self.params)
        self._dtypes = [p._data.dtype for p in self.params]
        self.state: dict[str, list[np.ndarray]] = {}
        for key in self.moments:
            self._moment(key)
        # The weights that these are or are trained for, and their parametrizations, to notice a change.
        weights = dict.fromkeys(p if p.source is None else p.source for p in self.params
                                if isinstance(p, Parameter))
        self._weights = [(weight, weight.parametrization, set(weight.trainables())) for weight in weights]

    def _grouped(self, params: Any, settings: dict[str, Any]) -> list[dict[str, Any]]:
        name = type(self).__name__
        if isinstance(params, (Tensor, Mapping)) or not isinstance(params, Iterable):
            raise TypeError(f"{name}: params must be an iterable of Tensors, got {type(params).__name__}")
        given = list(params)
        if not any(isinstance(group, Mapping) for group in given):
            given = [{"params": given}]
        groups = []
        for i, group in enumerate(given):
            if not isinstance(group, Mapping) or "params" not in group:
                raise TypeError(f"{name}: params[{i}] must be a dict with 'params', as others here are, "
                                f"got {type(group).__name__}")
            if unknown := group.keys() - {"params", *self.settings}:
                raise ValueError(f"{name}: params[{i}] has the unknown {', '.join(map(str, unknown))}; "
                                 f"settings are {', '.join(self.settings)}")
            own = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
            for j, p in enumerate(own):
                at = f"params[{j}]" if len(given) == 1 else f"params[{i}]['params'][{j}]"
                instance(name, at, p, Tensor, "a Tensor")
                if not np.issubdtype(p.dtype, np.floating):
                    raise TypeError(f"{name}: {at} must be of a float dtype, got {p.dtype}")
            groups.append({**self._checked({**settings, **group}), "params": own})
        return groups

    def _moment(self, key: str) -> list[np.ndarray]:
        """An array for each parameter, at first zeros; for float16 in float32, where squares have room."""
        if key not in self.state:
            self.state[key] = [np.zeros(p.shape, wide(p.dtype)) for p in self.params]
        return self.state[key]

    @classmethod
    def _checked(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings of a group, or an error that names the wrong one."""
        for key in ("lr", "weight_decay"):
            number(cls.__name__, key, settings[key])
        return settings

    @property
    def lr(self) -> float:
        """The learning rate of all groups, which setting it changes. ValueError if theirs differ."""
        rates = [group["lr"] for group in self.param_groups]
        if len(set(rates)) > 1:
            raise ValueError(f"{type(self).__name__}: the groups' lr differ ({rates}): ask param_groups")
        return rates[0]

    @lr.setter
    def lr(self, value: float) -> None:
        number(type(self).__name__, "lr", value)
        for group in self.param_groups:
            group["lr"] = value

    def step(self) -> None:
        """One update of every parameter that has a gradient, and then of the weights' parametrizations, also
        those of frozen ones: their schedules go on. Raises RuntimeError if, since the optimizer was built, a
        parametrization was attached, removed or began to train others, or a dtype changed."""
        for weight, was, known in self._weights:
            changed = weight._parametrization is not was
            if changed or (was is not None and not known.issuperset(weight.trainables())):
                raise RuntimeError(f"{type(self).__name__}: a weight's parametrization changed after this "
                                   "optimizer was built, so it would train the wrong tensors: build the "
                                   "optimizer after preparing the model and its parametrizations")
        if [p._data.dtype for p in self.params] != self._dtypes:
            raise RuntimeError(f"{type(self).__name__}: a parameter's dtype changed after this optimizer was "
                               "built with a state of the old one: build the optimizer after model.to(dtype)")
        self.steps += 1
        moments, first = [self._moment(key) for key in self.moments], 0
        for group in self.param_groups:
            updates, rounded = [], []
            for i, p in enumerate(group["params"], start=first):
                data, gradient = p._data, p.grad
                if gradient is not None and data.flags.writeable:  # a computed weight's is not
                    self.counts[i] += 1
                    if type(gradient) is not np.ndarray:
                        gradient = getattr(gradient, "_data", gradient)  # a Tensor, after create_graph=True
                    if data.itemsize == 2:  # float16 is stepped in float32, and rounded once
                        data, gradient = data.astype(F32), gradient.astype(F32)
                        rounded.append((p._data, data))
                    updates.append((data, gradient, self.counts[i], [own[i] for own in moments]))
            first += len(group["params"])
            if updates:
                self._update(updates, group)
                for data, stepped in rounded:
                    data[...] = stepped
                    wrote(data)
                for data, *_ in updates:
                    wrote(data)
        for weight, parametrization, _ in self._weights:
            if parametrization is not None:
                anew = parametrization.update(weight, self.steps)
                if anew is not None:
                    self._forget(weight, anew)

    def _forget(self, weight: Tensor, where: np.ndarray) -> None:
        """What was averaged of these entries of a weight is 0 again, where it is trained here."""
        for i, p in enumerate(self.params):
            for key in self.moments if p is weight else ():
                self._moment(key)[i][where] = 0

    def _update(self, updates: list[Update], group: dict[str, Any]) -> None:
        """Carry out these updates with the settings of the group. Each is (p, gradient, t, moments): p and
        the moments change in place; t counts the updates of p, from 1."""

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.params:
            p.grad = None

    def state_dict(self) -> dict[str, np.ndarray]:
        """All that `step` depends on, as named arrays: saved and loaded, training resumes bit for bit."""
        state = {f"{key}.{i}" if i else key: np.array(group[key], np.float64)
                 for i, group in enumerate(self.param_groups) for key in self.settings}
        if len(self.param_groups) > 1:
            state["groups"] = np.array([len(group["params"]) for group in self.param_groups])
        state["steps"], state["counts"] = np.array(self.steps), np.array(self.counts)
        for key in self.moments:
            state.update((f"{key}.{i}", array.copy()) for i, array in enumerate(self._moment(key)))
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` of the same kind of optimizer over the same parameters and groups.
        Raises TypeError for what is not a mapping; ValueError listing missing and unexpected names, wrong
        shapes, groups of other sizes, and invalid settings. Then nothing was changed."""
        name, own, groups = type(self).__name__, self.state_dict(), []
        instance(name, "the state", state, Mapping, "a dict of arrays")
        new, problems = fitting(own, state)
        for key, array in new.items():
            if key == "groups" and (array != own[key]).any():
                there, here = array.tolist(), own[key].tolist()
                problems.append(f"its groups have {there} parameters, those here {here}")
            elif ((array < 0).any() if key in ("steps", "counts") else
                  key.split(".")[0] in self.settings and not np.isfinite(array).all()):
                problems.append(f"{key} is {array}")
        for i, group in enumerate(() if problems else self.param_groups):
            found = {key: _plain(new[f"{key}.{i}" if i else key], group[key]) for key in self.settings}
            try:
                groups.append(self._checked(found))
            except (TypeError, ValueError) as error:
                problems.append(f"group {i}: {error}")
        if problems:
            raise ValueError(f"{name}: the state does not fit: {'; '.join(problems)}")
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update(settings)
        self.steps, self.counts = int(new["steps"]), [int(n) for n in new["counts"]]
        for key in self.moments:
            for i, array in enumerate(self._moment(key)):
                array[...] = new[f"{key}.{i}"]

    def __repr__(self) -> str:
        each = (", ".join(f"{key}={group[key]}" for key in self.settings) for group in self.param_groups)
        return f"{type(self).__name__}{', '.join(map('({})'.format, each))}, {len(self.params)} tensors"


def _plain(array: np.ndarray, like: Any) -> Any:
    """An array of a state_dict as the Python number, bool or tuple that it was."""
    return (tuple if array.ndim else bool if isinstance(like, (bool, np.bool_)) else float)(array.tolist())


def fitting(own: Mapping[str, np.ndarray], state: Mapping[str, Any]
            ) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of a state that fit `own` in name, shape and dtype; and a text for each that does not."""
    new = {key: np.asarray(state[key]) for key in own if key in state}
    wrong = {key: f"{key} is {own[key].dtype} {own[key].shape}, got {array.dtype} {array.shape}"
             for key, array in new.items() if array.shape != own[key].shape
             or not np.can_cast(array.dtype, own[key].dtype, "same_kind")}
    return ({key: array for key, array in new.items() if key not in wrong},
            [*(f"missing: {key}" for key in own if key not in state),
             *(f"unexpected: {key}" for key in state if key not in own), *wrong.values()])
