"""Optimisers from their update equations, and learning rates that change over time.

The updates use nothing but arithmetic on ``parameter.data`` and ``parameter.grad``, so
the same class trains torch's parameters and the tensors of ``lmcore.autograd``. Step by
step they give what ``torch.optim`` gives.

    optimizer = Adam(model.parameters(), lr=1e-3)
    for step in range(1, max_steps + 1):
        optimizer.lr = cosine_schedule(step, lr=1e-3, max_steps=max_steps)
        loss = ...
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

References:
    Momentum: Polyak, 1964; Sutskever et al., 2013, section 2.
    Adam: Kingma and Ba, 2015, algorithm 1. AdamW: Loshchilov and Hutter, 2019,
    algorithm 2. Cosine schedule: Loshchilov and Hutter, 2017, section 3.
"""

import copy
import math
from collections.abc import Iterable, Sequence
from typing import Any

from lmcore.config import require


class Optimizer:
    """What every optimiser shares: the parameters, the learning rate, ``zero_grad``.

    Attributes:
        lr: The learning rate; assign to it to follow a schedule.
        state_names: The attributes that remember earlier steps, each a dictionary
            from a parameter's place in ``params`` to what is kept for it.
    """

    state_names: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Any], lr: float) -> None:
        self.params = list(params)
        require(len(self.params) > 0, "params", self.params, "hold a parameter")
        require(lr >= 0, "lr", lr, "be >= 0")
        self.lr = lr

    def zero_grad(self) -> None:
        """Forget all gradients, so that the next ``backward`` starts from nothing."""
        for p in self.params:
            p.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for index, p in enumerate(self.params):
            if p.grad is not None:
                self.update(index, p.data, p.grad)

    def update(self, index: int, theta: Any, g: Any) -> None:
        """Change ``theta`` in place, given its gradient ``g``."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, dict[int, Any]]:
        """All that a later run needs to go on from here; not copied."""
        return {name: getattr(self, name) for name in self.state_names}

    def load_state_dict(self, state: dict[str, dict[int, Any]]) -> None:
        """Take over a copy of what ``state_dict`` gave.

        Raises:
            ValueError: If it belongs to another optimiser or other parameters.
        """
        names = sorted(self.state_names)
        require(sorted(state) == names, "state", sorted(state), f"have keys {names}")
        for name, kept in state.items():
            for index in kept:
                known = 0 <= index < len(self.params)
                require(known, f"state[{name!r}]", index, "be a parameter's place")
            setattr(self, name, copy.deepcopy(kept))


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked for.

    v <- momentum * v + g;  theta <- theta - lr * v   (v starts at 0)

    Without momentum, v = g. Weight decay adds ``weight_decay * theta`` to g.
    """

    state_names = ("v",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr)
        require(0 <= momentum < 1, "momentum", momentum, "be at least 0 and below 1")
        require(weight_decay >= 0, "weight_decay", weight_decay, "be >= 0")
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.v: dict[int, Any] = {}

    def update(self, index: int, theta: Any, g: Any) -> None:
        """One step for one parameter."""
        if self.weight_decay:
            g = g + self.weight_decay * theta
        if self.momentum:
            g = self.v[index] = self.momentum * self.v.get(index, 0 * g) + g
        theta -= self.lr * g


class Adam(Optimizer):
    """Adam: a step of about ``lr`` in each direction, whatever the gradient's size.

    m <- beta1 m + (1 - beta1) g        a running mean of the gradient
    v <- beta2 v + (1 - beta2) g^2      a running mean of its square
    theta <- theta - lr * m_hat / (sqrt(v_hat) + eps)

    Both means start at 0 and are therefore too small at first. At step t,
    m_hat = m / (1 - beta1^t) and v_hat = v / (1 - beta2^t) correct for that.
    """

    state_names = ("m", "v", "t")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr)
        for beta in betas:
            require(0 <= beta < 1, "betas", betas, "be at least 0 and below 1")
        require(eps >= 0, "eps", eps, "be >= 0")
        require(weight_decay >= 0, "weight_decay", weight_decay, "be >= 0")
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.m: dict[int, Any] = {}
        self.v: dict[int, Any] = {}
        self.t: dict[int, int] = {}

    def update(self, index: int, theta: Any, g: Any) -> None:
        """One step for one parameter."""
        if self.weight_decay:
            g = g + self.weight_decay * theta
        self.adam_step(index, theta, g)

    def adam_step(self, index: int, theta: Any, g: Any) -> None:
        """The equations above, in place: fresh memory for each result costs time."""
        beta1, beta2 = self.betas
        if index not in self.m:
            self.m[index], self.v[index], self.t[index] = 0 * g, 0 * g, 0
        self.t[index] += 1
        self.m[index] *= beta1
        self.m[index] += (1 - beta1) * g
        square = g**2
        square *= 1 - beta2
        self.v[index] *= beta2
        self.v[index] += square
        step = self.m[index] / (1 - beta1 ** self.t[index])  # m_hat
        step *= self.lr
        root = self.v[index] / (1 - beta2 ** self.t[index])  # v_hat
        root **= 0.5
        root += self.eps
        step /= root
        theta -= step


class AdamW(Adam):
    """Adam with weight decay apart from the gradient.

    theta <- theta - lr * weight_decay * theta, then Adam's step. In Adam with
    ``weight_decay``, the decay is divided by sqrt(v_hat) like any gradient, so that
    weights with large gradients decay less; here all decay alike. ``weight_decay`` may
    also be one number per parameter, since biases and norms are usually left alone.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float | Sequence[float] = 0.01,
    ) -> None:
        super().__init__(params, lr, betas, eps)
        n_params = len(self.params)
        if isinstance(weight_decay, Sequence):
            self.decays = list(weight_decay)
        else:
            self.decays = [weight_decay] * n_params
        for decay in self.decays:
            require(decay >= 0, "weight_decay", decay, "be >= 0")
        matching = len(self.decays) == n_params
        rule = f"be one number, or one for each of the {n_params} parameters"
        require(matching, "weight_decay", weight_decay, rule)

    def update(self, index: int, theta: Any, g: Any) -> None:
        """One step for one parameter."""
        theta *= 1 - self.lr * self.decays[index]
        self.adam_step(index, theta, g)


def clip_grad_norm(params: Iterable[Any], max_norm: float) -> float:
    """Scale all gradients together so that their joint Euclidean norm is ``max_norm``.

    Shorter gradients stay as they are (Pascanu et al., 2013, algorithm 1; the 1e-6 is
    torch's, against division by zero).

    Returns:
        The norm before clipping.
    """
    require(max_norm > 0, "max_norm", max_norm, "be > 0")
    with_grad = [p for p in params if p.grad is not None]
    norm = math.sqrt(float(sum((p.grad**2).sum() for p in with_grad)))
    scale = max_norm / (norm + 1e-6)
    if scale < 1:
        for p in with_grad:
            p.grad *= scale
    return norm


def linear_schedule(
    step: int,
    *,
    lr: float,
    max_steps: int,
    warmup_steps: int = 0,
    min_lr: float = 0.0,
) -> float:
    """Up from 0 to ``lr`` over the warm-up, then down in a straight line to ``min_lr``.

    Args:
        step: Counted from 1, so that the first step is not wasted on a rate of 0.
        lr: The peak.
        max_steps: The step at which ``min_lr`` is reached; it stays there afterwards.
        warmup_steps: The step at which ``lr`` is reached; 0 for no warm-up.
        min_lr: The end.
    """
    remaining = 1 - _progress(step, lr, max_steps, warmup_steps, min_lr)
    warmup = min(1.0, step / warmup_steps) if warmup_steps else 1.0
    return warmup * (min_lr + remaining * (lr - min_lr))


def cosine_schedule(
    step: int,
    *,
    lr: float,
    max_steps: int,
    warmup_steps: int = 0,
    min_lr: float = 0.0,
) -> float:
    """As ``linear_schedule``, but down along half a cosine: slow, fast, slow."""
    progress = _progress(step, lr, max_steps, warmup_steps, min_lr)
    remaining = 0.5 * (1 + math.cos(math.pi * progress))
    warmup = min(1.0, step / warmup_steps) if warmup_steps else 1.0
    return warmup * (min_lr + remaining * (lr - min_lr))


def _progress(
    step: int, lr: float, max_steps: int, warmup_steps: int, min_lr: float
) -> float:
    """How far the decay has come: 0 until the warm-up ends, 1 from ``max_steps`` on."""
    require(step >= 0, "step", step, "be >= 0")
    require(0 <= min_lr <= lr, "min_lr", min_lr, f"be from 0 to lr={lr}")
    require(max_steps >= 1, "max_steps", max_steps, "be >= 1")
    require(
        0 <= warmup_steps <= max_steps,
        "warmup_steps",
        warmup_steps,
        f"be from 0 to max_steps={max_steps}",
    )
    if step <= warmup_steps:
        return 0.0
    if step >= max_steps:
        return 1.0
    return (step - warmup_steps) / (max_steps - warmup_steps)
