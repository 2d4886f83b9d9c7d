"""StyleFlow: attribute edits in W+ by a conditional continuous normalising flow (Abdal et al., ACM TOG 2021)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from models.published.styleflow.editor import CONDITIONS
from models.weights.checkpoints import build, parts_under, shape_of

VELOCITY = "chain.1.odefunc.diffeq."

UNUSED_KEYS = ("*.step", "*._num_evals")
"""Keys that only training reads."""


class MovingBatchNorm1d(nn.Module):
    """Batch norm by its running statistics, invertible, over the last dimension."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x: Tensor, reverse: bool = False) -> Tensor:
        deviation = torch.sqrt(self.running_var + 1e-4)
        if reverse:
            return (x - self.bias) * torch.exp(-self.weight) * deviation + self.running_mean
        return (x - self.running_mean) / deviation * torch.exp(self.weight) + self.bias


class ConcatSquashLinear(nn.Module):
    """Linear layer gated and shifted by time and condition."""

    def __init__(self, inputs: int, outputs: int, context: int) -> None:
        super().__init__()
        self._layer = nn.Linear(inputs, outputs)
        self._hyper_bias = nn.Linear(context, outputs, bias=False)
        self._hyper_gate = nn.Linear(context, outputs)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        out: Tensor = self._layer(x) * torch.sigmoid(self._hyper_gate(context)) + self._hyper_bias(context)
        return out


class Velocity(nn.Module):
    """The right-hand side dx/dt = f(x, t, condition) of the flow: six layers, tanh between them."""

    def __init__(self, features: int, conditions: int, layers: int) -> None:
        super().__init__()
        self.diffeq = nn.ModuleDict(
            {"layers": nn.ModuleList(ConcatSquashLinear(features, features, 1 + conditions) for _ in range(layers))}
        )

    def forward(self, t: Tensor, x: Tensor, condition: Tensor) -> Tensor:
        context = torch.cat([t.expand(*condition.shape[:-1], 1), condition], dim=-1)
        layers = list(self.diffeq["layers"].children())
        for layer in layers[:-1]:
            x = torch.tanh(layer(x, context))
        out: Tensor = layers[-1](x, context)
        return out


class ContinuousFlow(nn.Module):
    """x(0) to x(T) along `Velocity`, or back; T is learned."""

    def __init__(self, features: int, conditions: int, layers: int) -> None:
        super().__init__()
        self.odefunc = Velocity(features, conditions, layers)
        self.sqrt_end_time = nn.Parameter(torch.tensor(1.0))


class Flow(nn.Module):
    """The released flow ("modellarge10k"): batch norm, one continuous flow, batch norm.

    Args:
        features: length of a row of W+.
        conditions: length of the condition.
        layers: layers of the velocity.
    """

    def __init__(self, features: int = 512, conditions: int = CONDITIONS, layers: int = 6) -> None:
        super().__init__()
        self.chain = nn.ModuleList(
            [
                MovingBatchNorm1d(features),
                ContinuousFlow(features, conditions, layers),
                MovingBatchNorm1d(features),
            ]
        )

    def forward(self, w: Tensor, condition: Tensor, reverse: bool = False, steps: int | None = None) -> Tensor:
        """Take latents to the flow's base space, or back.

        Args:
            w: (N, rows, features) W+, or z with `reverse`. Rows are independent points under one condition.
            condition: (N, conditions) lighting and `ATTRIBUTES` of the face (forward) or of the wanted one (reverse).
            reverse: from z to W+.
            steps: fourth-order Runge-Kutta steps of equal size, for a graph that can be exported; None chooses the
                steps by error, as the authors do (Dormand-Prince, 1e-5).

        Returns:
            (N, rows, features).
        """
        first, flow, last = self.chain
        assert isinstance(flow, ContinuousFlow)
        condition = condition[:, None, :]

        def velocity(t: Tensor, x: Tensor) -> Tensor:
            out: Tensor = flow.odefunc(t, x, condition)
            return out

        end = flow.sqrt_end_time.square()
        start, stop = (end, torch.zeros_like(end)) if reverse else (torch.zeros_like(end), end)
        x: Tensor = (last if reverse else first)(w, reverse)
        x = dormand_prince(velocity, x, start, stop) if steps is None else runge_kutta4(velocity, x, start, stop, steps)
        out: Tensor = (first if reverse else last)(x, reverse)
        return out


def runge_kutta4(
    velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, start: Tensor, stop: Tensor, steps: int
) -> Tensor:
    """Integrate dx/dt = velocity(t, x) from `start` to `stop` in equal steps of the classical Runge-Kutta method."""
    h = (stop - start) / steps
    for step in range(steps):
        t = start + h * step
        k1 = velocity(t, x)
        k2 = velocity(t + h / 2, x + h / 2 * k1)
        k3 = velocity(t + h / 2, x + h / 2 * k2)
        k4 = velocity(t + h, x + h * k3)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return x


DORMAND_PRINCE_NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
DORMAND_PRINCE = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
DORMAND_PRINCE_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""Fifth-order minus fourth-order weights."""

MAX_STEPS = 1000


def dormand_prince(
    velocity: Callable[[Tensor, Tensor], Tensor], x: Tensor, start: Tensor, stop: Tensor, tolerance: float = 1e-5
) -> Tensor:
    """Integrate dx/dt = velocity(t, x) with steps chosen by error (Dormand and Prince 1980; Hairer et al. 1993, II.4).

    Args:
        velocity: the right-hand side.
        x: state at `start`.
        start: scalar time.
        stop: scalar time, before or after `start`.
        tolerance: allowed error per step, absolute and relative to the state.

    Returns:
        The state at `stop`.

    Raises:
        ArithmeticError: the step shrinks to nothing: the state is not finite or the flow is far outside its training.
    """
    t = start
    h = (stop - start) / 10
    k = velocity(t, x)
    for _ in range(MAX_STEPS):
        if (stop - t - h) * h <= 0:
            h = stop - t
        slopes = [k]
        for node, weights in zip(DORMAND_PRINCE_NODES[1:], DORMAND_PRINCE[1:], strict=True):
            following = x + h * _weighted(weights, slopes)
            slopes.append(velocity(t + node * h, following))
        scale = tolerance * (1 + torch.maximum(x.abs(), following.abs()))
        error = float((h * _weighted(DORMAND_PRINCE_ERROR, slopes) / scale).square().mean().sqrt())
        if error <= 1:
            x, k, t = following, slopes[-1], t + h
            if bool(t == stop):
                return x
        h = h * min(5.0, max(0.2, 0.9 * max(error, 1e-10) ** -0.2))
    raise ArithmeticError(f"no end of the flow after {MAX_STEPS} steps: is the condition far outside its range?")


def _weighted(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    total = weights[0] * slopes[0]
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        if weight:
            total = total + weight * slope
    return total


def load_flow(state: Mapping[str, Tensor]) -> Flow:
    """The flow of `modellarge10k.pt` or one with other layers, all as wide as the codes, ready to run.

    Raises:
        CheckpointError: keys are missing or mis-shaped.
    """
    layers = f"{VELOCITY}layers."
    (features,) = shape_of(state, "chain.0.weight", (512,))
    _, context = shape_of(state, f"{layers}0._hyper_bias.weight", (512, 1 + CONDITIONS))
    depth = parts_under(state, layers) or 6
    return build(lambda: Flow(features, context - 1, depth), state, ignored=UNUSED_KEYS)


STEPS = 4
"""Runge-Kutta steps of the exported flow; on the golden latents four steps are exact to 2e-7."""


class Relabel(nn.Module):
    """`Flow` for an engine: W+ under one condition to W+ under another, through the base space, in fixed steps."""

    def __init__(self, flow: Flow, steps: int = STEPS) -> None:
        super().__init__()
        self.flow = flow
        self.steps = steps

    def forward(self, w: Tensor, condition: Tensor, wanted: Tensor) -> Tensor:
        """Args: w (N, rows, features), both conditions (N, 17). Returns: (N, rows, features)."""
        z = self.flow(w, condition, steps=self.steps)
        out: Tensor = self.flow(z, wanted, reverse=True, steps=self.steps)
        return out
