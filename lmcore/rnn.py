"""Recurrent layers from their equations: RNN, LSTM and GRU, one cell at a time.

A recurrent layer reads a sequence from left to right and keeps a state: what it knows
after position t is computed from what it knew after t-1 and from x_t. All three cells
share one shape of computation, so each is a class with a ``step``; ``Recurrent`` stacks
cells into layers and runs them over time.

Weights are stored as torch stores them: ``weight_ih`` (n * hidden, input),
``weight_hh`` (n * hidden, hidden) and two biases, with the n = 1, 4 or 3 gates below
one another in torch's order. So weights can be copied to and from ``torch.nn.RNN``,
``LSTM`` and ``GRU``, and ``fused=True`` runs torch's own kernel on the very same
parameters.

References:
    RNN: Elman, 1990. LSTM: Hochreiter and Schmidhuber, 1997; the forget gate: Gers et
    al., 2000. GRU: Cho et al., 2014, section 2.3 (in the form of torch, where the reset
    gate acts after the matrix product).
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn, sigmoid, tanh
from torch.nn.functional import linear


class RNNCell(nn.Module):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh).

    Attributes:
        n_gates: Blocks of rows in the weights: 1.
        n_states: Tensors in the state: 1 (h).
    """

    n_gates = 1
    n_states = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        rows = self.n_gates * hidden_size
        bound = 1 / math.sqrt(hidden_size)
        self.weight_ih = nn.Parameter(torch.empty(rows, input_size))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(rows))
        self.bias_hh = nn.Parameter(torch.empty(rows))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def from_input(self, x: Float[Tensor, "... input"]) -> Float[Tensor, "... rows"]:
        """W_ih x + b_ih: all that does not depend on the state, for all t at once."""
        return linear(x, self.weight_ih, self.bias_ih)

    def from_state(self, h: Float[Tensor, "B hidden"]) -> Float[Tensor, "B rows"]:
        """W_hh h + b_hh."""
        return linear(h, self.weight_hh, self.bias_hh)

    def step(
        self, z: Float[Tensor, "B rows"], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """One step in time.

        Args:
            z: ``from_input(x_t)``.
            state: (h,), shape (B, hidden).

        Returns:
            The next state; its first tensor is h_t, the output.
        """
        (h,) = state
        return (tanh(z + self.from_state(h)),)


class LSTMCell(RNNCell):
    """Long short-term memory: a cell state c that is added to, and three gates.

    i = sigma(...)    input gate: how much of the candidate g enters the cell
    f = sigma(...)    forget gate: how much of c_{t-1} stays
    g = tanh(...)     candidate
    o = sigma(...)    output gate: how much of the cell shows
    c_t = f * c_{t-1} + i * g
    h_t = o * tanh(c_t)

    Each (...) is its own W_ih x_t + b_ih + W_hh h_{t-1} + b_hh.
    """

    n_gates = 4
    n_states = 2

    def step(
        self, z: Float[Tensor, "B rows"], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """One step in time; the state is (h, c)."""
        h, c = state
        i, f, g, o = (z + self.from_state(h)).chunk(4, dim=-1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        return sigmoid(o) * tanh(c), c


class GRUCell(RNNCell):
    """Gated recurrent unit: one state, two gates.

    r = sigma(...)                              reset gate
    u = sigma(...)                              update gate
    n = tanh(W x_t + b + r * (W' h_{t-1} + b'))   candidate
    h_t = (1 - u) * n + u * h_{t-1}
    """

    n_gates = 3
    n_states = 1

    def step(
        self, z: Float[Tensor, "B rows"], state: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """One step in time; the state is (h,)."""
        (h,) = state
        r_x, u_x, n_x = z.chunk(3, dim=-1)
        r_h, u_h, n_h = self.from_state(h).chunk(3, dim=-1)
        u = sigmoid(u_x + u_h)
        candidate = tanh(n_x + sigmoid(r_x + r_h) * n_h)
        return ((1 - u) * candidate + u * h,)


CELLS = {"rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell}
FUSED = {"rnn": torch.rnn_tanh, "lstm": torch.lstm, "gru": torch.gru}


class RecurrentOutput(NamedTuple):
    """What a recurrent stack returns.

    Attributes:
        output: The last layer's h at every position, (B, T, hidden); at padded
            positions it is 0.
        state: One tensor per kind of state ((h,) or (h, c)), each (layers, B, hidden),
            after the last real position of each sequence.
    """

    output: Float[Tensor, "B T hidden"]
    state: tuple[Float[Tensor, "layers B hidden"], ...]


class Recurrent(nn.Module):
    """A stack of recurrent layers over a batch of sequences.

    Args:
        kind: "rnn", "lstm" or "gru".
        input_size: Width of x_t.
        hidden_size: Width of every layer's state.
        n_layers: Layers; each reads the outputs of the one below.
        dropout: Share of a layer's outputs set to 0 on their way up to the next layer,
            while training; not after the last layer, as in torch.
        fused: Run torch's kernel on the same parameters: the same numbers, faster.
    """

    def __init__(
        self,
        kind: str,
        input_size: int,
        hidden_size: int,
        n_layers: int = 1,
        dropout: float = 0.0,
        fused: bool = False,
    ) -> None:
        super().__init__()
        if kind not in CELLS:
            raise ValueError(f"kind={kind!r}: must be one of {sorted(CELLS)}")
        self.kind = kind
        self.fused = fused
        sizes = [input_size] + [hidden_size] * (n_layers - 1)
        self.cells = nn.ModuleList(CELLS[kind](size, hidden_size) for size in sizes)
        self.dropout = nn.Dropout(dropout)

    def initial_state(self, x: Float[Tensor, "B T input"]) -> tuple[Tensor, ...]:
        """Zeros: nothing has been read yet. (layers, B, hidden) for each state."""
        cell = self.cells[0]
        shape = (len(self.cells), x.shape[0], cell.hidden_size)
        return tuple(x.new_zeros(shape) for _ in range(cell.n_states))

    def forward(
        self,
        x: Float[Tensor, "B T input"],
        state: tuple[Float[Tensor, "layers B hidden"], ...] | None = None,
        lengths: Int[Tensor, "B"] | None = None,
    ) -> RecurrentOutput:
        """Run over the whole sequence.

        Args:
            x: One vector per position.
            state: To go on from, as returned by an earlier call; None for zeros.
            lengths: Real positions of each sequence, at least 1; the rest is padding
                on the right, which changes neither outputs nor state. None if there is
                no padding.
        """
        if state is None:
            state = self.initial_state(x)
        if self.fused:
            return self._forward_fused(x, state, lengths)
        real = None
        if lengths is not None:
            positions = torch.arange(x.shape[1], device=x.device)
            real = positions < lengths.to(x.device).unsqueeze(-1)  # (B, T)
        last_states = []
        for layer, cell in enumerate(self.cells):
            if layer > 0:
                x = self.dropout(x)
            layer_state = tuple(s[layer] for s in state)
            x, layer_state = run_cell(cell, x, layer_state, real)
            last_states.append(layer_state)
        stacked = tuple(torch.stack(parts) for parts in zip(*last_states, strict=True))
        return RecurrentOutput(x, stacked)

    def _forward_fused(
        self, x: Tensor, state: tuple[Tensor, ...], lengths: Tensor | None
    ) -> RecurrentOutput:
        weights = [
            weight
            for cell in self.cells
            for weight in (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
        ]
        run = FUSED[self.kind]
        dropout = self.dropout.p if self.training else 0.0
        options = (weights, True, len(self.cells), dropout, self.training, False)
        first = state if self.kind == "lstm" else state[0]
        if lengths is None:
            output, *last = run(x, first, *options, True)  # True: batch first
            return RecurrentOutput(output, tuple(last))
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        order, undo = packed.sorted_indices, packed.unsorted_indices
        sorted_state = tuple(s.index_select(1, order) for s in state)
        first = sorted_state if self.kind == "lstm" else sorted_state[0]
        data, *last = run(packed.data, packed.batch_sizes, first, *options)
        output, _ = nn.utils.rnn.pad_packed_sequence(
            packed._replace(data=data), batch_first=True, total_length=x.shape[1]
        )
        return RecurrentOutput(output, tuple(s.index_select(1, undo) for s in last))


def run_cell(
    cell: RNNCell,
    x: Float[Tensor, "B T input"],
    state: tuple[Float[Tensor, "B hidden"], ...],
    real: Bool[Tensor, "B T"] | None = None,
) -> tuple[Float[Tensor, "B T hidden"], tuple[Tensor, ...]]:
    """One layer over time: the loop that gives recurrent networks their name.

    Args:
        cell: The layer's cell.
        x: Its inputs.
        state: Where to start.
        real: Which positions count; at the others the state stands still.
    """
    z = cell.from_input(x)  # (B, T, rows): one large product instead of T small ones
    outputs = []
    for t, z_t in enumerate(z.unbind(1)):  # z[:, t] would fill a gradient of z per step
        new = cell.step(z_t, state)
        output = new[0]
        if real is not None:
            here = real[:, t].unsqueeze(-1)  # (B, 1)
            new = tuple(
                torch.where(here, n, s) for n, s in zip(new, state, strict=True)
            )
            output = output.where(here, 0)
        state = new
        outputs.append(output)
    return torch.stack(outputs, dim=1), state
