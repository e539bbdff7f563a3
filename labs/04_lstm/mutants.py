"""Wrong answers to lab 4 that students give, and right ones in other styles."""

from lmcore.course.labs import Equivalent, Mutant


def step(**changed: str) -> str:
    """The cell's step with some of its lines changed."""
    lines = {
        "z": "z = x @ W_x.T + h @ W_h.T + b",
        "parts": "i, f, g, o = z.chunk(4, 1)",
        "i": "i = torch.sigmoid(i)",
        "f": "f = torch.sigmoid(f)",
        "g": "g = torch.tanh(g)",
        "o": "o = torch.sigmoid(o)",
        "c": "new_c = f * c + i * g",
        "h": "new_h = o * torch.tanh(new_c)",
        "end": "return new_h, new_c",
    } | changed
    body = "\n".join(f"    {line}" for line in lines.values())
    return f"""
def lstm_step(x, state, weights):
    h, c = state
    W_x, W_h, b = weights
{body}
"""


def back(**changed: str) -> str:
    """One step back with some of its lines changed."""
    lines = {
        "z": "z = x @ W_x.T + h @ W_h.T + b",
        "parts": "i, f, g, o = z.chunk(4, 1)",
        "i": "i, f, o = torch.sigmoid(i), torch.sigmoid(f), torch.sigmoid(o)",
        "g": "g = torch.tanh(g)",
        "c": "new_c = f * c + i * g",
        "t": "t = torch.tanh(new_c)",
        "delta": "delta = dc + dh * o * (1 - t**2)",
        "di": "di = delta * g * i * (1 - i)",
        "df": "df = delta * c * f * (1 - f)",
        "dg": "dg = delta * i * (1 - g**2)",
        "do": "do = dh * t * o * (1 - o)",
        "dz": "dz = torch.cat([di, df, dg, do], 1)",
        "old": "d_c = delta * f",
        "wx": "d_W_x = dz.T @ x",
        "wh": "d_W_h = dz.T @ h",
        "b": "d_b = dz.sum(0)",
        "x": "d_x = dz @ W_x",
        "h": "d_h = dz @ W_h",
        "end": "return d_x, (d_h, d_c), (d_W_x, d_W_h, d_b)",
    } | changed
    body = "\n".join(f"    {line}" for line in lines.values())
    return f"""
def step_back(x, state, weights, d_state):
    h, c = state
    W_x, W_h, b = weights
    dh, dc = d_state
{body}
"""


def run(
    inside: str, before: str = "", after: str = "return torch.stack(out, 1), state"
) -> str:
    """The loop over time with other lines inside of it."""
    body = "\n".join(f"        {line}" for line in inside.strip("\n").split("\n"))
    return f"""
def run_lstm(x, state, weights, lengths=None):
    B, T, _ = x.shape
    if lengths is None:
        lengths = torch.full((B,), T)
    out = []
    {before}
    for t in range(T):
        real = (t < lengths)[:, None]
{body}
    {after}
"""


def through_time(**changed: str) -> str:
    """BPTT with some of its lines changed."""
    lines = {
        "start": "dh, dc = torch.zeros_like(state[0]), torch.zeros_like(state[1])",
        "sums": "sums = [0, 0, 0]",
        "xs": "d_x = torch.zeros_like(x)",
        "for": "for t in range(T - 1, -1, -1):",
        "arrive": "    arriving = (d_output[:, t] + dh, dc)",
        "back": "    dx, (dh, dc), w = step_back(x[:, t], kept[t], weights, arriving)",
        "put": "    d_x[:, t] = dx",
        "add": "    sums = [a + b for a, b in zip(sums, w)]",
        "end": "return d_x, (dh, dc), tuple(sums)",
    } | changed
    body = "\n".join(f"    {line}" for line in lines.values())
    return f"""
def bptt(x, state, weights, d_output):
    T = x.shape[1]
    kept = [state]
    for t in range(T):
        kept.append(lstm_step(x[:, t], kept[-1], weights))
{body}
"""


def model(**changed: str) -> str:
    """The language model with some of its lines changed."""
    lines = {
        "emb": "self.tok_emb = nn.Embedding(vocab_size, input_size)",
        "k": "k = 1 / math.sqrt(hidden_size)",
        "W_x": "self.W_x = nn.Parameter((2 * torch.rand(4 * hidden_size, input_size) - 1) * k)",
        "W_h": "self.W_h = nn.Parameter((2 * torch.rand(4 * hidden_size, hidden_size) - 1) * k)",
        "b": "b = torch.zeros(4 * hidden_size)",
        "one": "b[hidden_size : 2 * hidden_size] = 1",
        "param": "self.b = nn.Parameter(b)",
        "head": "self.lm_head = nn.Linear(hidden_size, vocab_size)",
        "size": "self.hidden_size = hidden_size",
    }
    read = {
        "x": "x = self.tok_emb(ids)",
        "if": "if state is None:",
        "zeros": "    state = (torch.zeros(len(ids), self.hidden_size),) * 2",
        "run": "out, state = run_lstm(x, state, (self.W_x, self.W_h, self.b))",
        "end": "return self.lm_head(out), state",
    }
    lines = {k: changed.get(k, v) for k, v in lines.items()}
    read = {k: changed.get(k, v) for k, v in read.items()}
    first = "\n".join(f"        {line}" for line in lines.values())
    second = "\n".join(f"        {line}" for line in read.values())
    return f"""
class ByteLM(nn.Module):
    def __init__(self, vocab_size, input_size, hidden_size):
        super().__init__()
{first}

    def read(self, ids, state=None):
{second}

    def forward(self, ids):
        return self.read(ids)[0]
"""


def loop(**changed: str) -> str:
    """The training loop with some of its lines changed."""
    lines = {
        "make": "opt = torch.optim.Adam(model.parameters(), lr)",
        "state": "state, bits = None, []",
        "for": "for inputs, targets in pieces:",
        "zero": "    opt.zero_grad()",
        "read": "    logits, state = model.read(inputs, state)",
        "cut": "    state = (state[0].detach(), state[1].detach())",
        "loss": "    loss = nn.CrossEntropyLoss()(logits.transpose(1, 2), targets)",
        "back": "    loss.backward()",
        "clip": "    nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
        "step": "    opt.step()",
        "note": "    bits.append(loss.item() / math.log(2))",
        "end": "return bits",
    } | changed
    body = "\n".join(f"    {line}" for line in lines.values())
    return f"def train(model, pieces, lr):\n{body}\n"


def write(**changed: str) -> str:
    """Sampling with some of its lines changed."""
    lines = {
        "first": "ids, state, out = torch.tensor([list(prompt)]), None, []",
        "for": "for _ in range(n):",
        "read": "    logits, state = model.read(ids, state)",
        "last": "    z = logits[0, -1]",
        "if": "    if temperature == 0:",
        "max": "        byte = int(z.argmax())",
        "else": "    else:",
        "p": "        p = torch.softmax(z / temperature, 0)",
        "draw": "        byte = int(torch.multinomial(p, 1, generator=generator))",
        "next": "    ids = torch.tensor([[byte]])",
        "keep": "    out.append(byte)",
        "end": "return bytes(out)",
    } | changed
    body = "\n".join(f"    {line}" for line in lines.values())
    return f"def sample(model, prompt, n, temperature, generator):\n{body}\n"


MUTANTS = [
    # ------------------------------------------------------------- lstm_step
    Mutant(
        "the candidate last",
        "lstm_step",
        "in another order",
        step(parts="i, f, o, g = z.chunk(4, 1)"),
    ),
    Mutant(
        "forget gate first",
        "lstm_step",
        "in another order",
        step(parts="f, i, g, o = z.chunk(4, 1)"),
    ),
    Mutant(
        "every fourth row",
        "lstm_step",
        "not every fourth row",
        step(parts="i, f, g, o = z.view(len(x), -1, 4).unbind(2)"),
    ),
    Mutant(
        "sigmoid for the candidate",
        "lstm_step",
        "the candidate g goes through tanh",
        step(g="g = torch.sigmoid(g)"),
    ),
    Mutant(
        "the candidate as it is",
        "lstm_step",
        "the candidate goes through tanh",
        step(g=""),
    ),
    Mutant(
        "tanh for the gates",
        "lstm_step",
        "gates go through the sigmoid",
        step(i="i = torch.tanh(i)", f="f = torch.tanh(f)", o="o = torch.tanh(o)"),
    ),
    Mutant(
        "nothing is kept",
        "lstm_step",
        "the old c must be kept",
        step(c="new_c = i * g"),
    ),
    Mutant(
        "all is kept",
        "lstm_step",
        "the forget gate is missing",
        step(c="new_c = c + i * g"),
    ),
    Mutant(
        "all is let in",
        "lstm_step",
        "the input gate is missing",
        step(c="new_c = f * c + g"),
    ),
    Mutant(
        "all is shown",
        "lstm_step",
        "the output gate is missing",
        step(h="new_h = torch.tanh(new_c)"),
    ),
    Mutant(
        "no tanh on the way out",
        "lstm_step",
        "the tanh is missing",
        step(h="new_h = o * new_c"),
    ),
    Mutant(
        "shows the old cell",
        "lstm_step",
        "it shows the new one",
        step(h="new_h = o * torch.tanh(c)"),
    ),
    Mutant("c first", "lstm_step", "h' comes first", step(end="return new_c, new_h")),
    Mutant("h alone", "lstm_step", "as a pair", step(end="return new_h")),
    Mutant(
        "no bias",
        "lstm_step",
        "the bias b is missing",
        step(z="z = x @ W_x.T + h @ W_h.T"),
    ),
    Mutant(
        "h does not matter",
        "lstm_step",
        "the term with W_h",
        step(z="z = x @ W_x.T + b"),
    ),
    Mutant(
        "no transpose",
        "lstm_step",
        "needs its transpose",
        step(z="z = x @ W_x + h @ W_h + b"),
    ),
    Mutant(
        "cut along the batch",
        "lstm_step",
        "side by side in the columns",
        step(parts="i, f, g, o = z.chunk(4)"),
    ),
    Mutant(
        "in place",
        "lstm_step",
        "work on a copy",
        step(c="c *= f; c += i * g; new_c = c"),
    ),
    Mutant("no return", "lstm_step", "is there a `return`?", step(end="")),
    # -------------------------------------------------------------- run_lstm
    Mutant(
        "lengths are not used",
        "run_lstm",
        "lengths are not used",
        run("state = lstm_step(x[:, t], state, weights)\nout.append(state[0])"),
    ),
    Mutant(
        "the state runs on",
        "run_lstm",
        "must stand still when a sequence is over",
        run("state = lstm_step(x[:, t], state, weights)\nout.append(state[0] * real)"),
    ),
    Mutant(
        "only h stands still",
        "run_lstm",
        "h stands still at the end of a sequence, c does not",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\nout.append(h * real)\n"
            "state = torch.where(real, h, state[0]), c"
        ),
    ),
    Mutant(
        "only c stands still",
        "run_lstm",
        "c stands still at the end of a sequence, h does not",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\nout.append(h * real)\n"
            "state = h, torch.where(real, c, state[1])"
        ),
    ),
    Mutant(
        "the output repeats the last h",
        "run_lstm",
        "it repeats the last h",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\n"
            "state = torch.where(real, h, state[0]), torch.where(real, c, state[1])\n"
            "out.append(state[0])"
        ),
    ),
    Mutant(
        "the output runs on",
        "run_lstm",
        "at padding the output must be 0",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\n"
            "state = torch.where(real, h, state[0]), torch.where(real, c, state[1])\n"
            "out.append(h)"
        ),
    ),
    Mutant(
        "the state is emptied at padding",
        "run_lstm",
        "the state becomes 0",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\n"
            "state = h * real, c * real\nout.append(state[0])"
        ),
    ),
    Mutant(
        "one step too long",
        "run_lstm",
        "one step too late or too early",
        run(
            "real = (t <= lengths)[:, None]\nh, c = lstm_step(x[:, t], state, weights)\n"
            "state = torch.where(real, h, state[0]), torch.where(real, c, state[1])\n"
            "out.append(h * real)"
        ),
    ),
    Mutant(
        "starts from zeros",
        "run_lstm",
        "the steps start from zeros",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\n"
            "state = torch.where(real, h, state[0]), torch.where(real, c, state[1])\n"
            "out.append(h * real)",
            before="state = tuple(torch.zeros_like(s) for s in state)",
        ),
    ),
    Mutant(
        "always from the first state",
        "run_lstm",
        "every step starts from the first state",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\nout.append(h * real)",
            after="return torch.stack(out, 1), (h, c)",
        ),
    ),
    Mutant(
        "outputs are cells",
        "run_lstm",
        "output holds the c of each step",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\n"
            "state = torch.where(real, h, state[0]), torch.where(real, c, state[1])\n"
            "out.append(c * real)"
        ),
    ),
    Mutant(
        "stacked along the batch",
        "run_lstm",
        "the same axes in another order",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\n"
            "state = torch.where(real, h, state[0]), torch.where(real, c, state[1])\n"
            "out.append(h * real)",
            after="return torch.stack(out), state",
        ),
    ),
    Mutant(
        "one answer for all rows",
        "run_lstm",
        "choose row by row",
        run(
            "new = lstm_step(x[:, t], state, weights)\nif t < lengths:\n    state = new\n"
            "out.append(state[0])"
        ),
    ),
    Mutant(
        "None is compared",
        "run_lstm",
        "lengths is None where nothing is padded",
        """
def run_lstm(x, state, weights, lengths=None):
    out = []
    for t in range(x.shape[1]):
        real = (t < lengths)[:, None]
        h, c = lstm_step(x[:, t], state, weights)
        state = torch.where(real, h, state[0]), torch.where(real, c, state[1])
        out.append(h * real)
    return torch.stack(out, 1), state
""",
    ),
    Mutant(
        "batch and time swapped",
        "run_lstm",
        "the steps are x[:, t]",
        """
def run_lstm(x, state, weights, lengths=None):
    out = []
    for t in range(x.shape[1]):
        state = lstm_step(x[t], state, weights)
        out.append(state[0])
    return torch.stack(out, 1), state
""",
    ),
    # ------------------------------------------------------------- step_back
    Mutant(
        "h' forgotten in delta",
        "step_back",
        "by way of h' is missing",
        back(delta="delta = dc"),
    ),
    Mutant(
        "c' forgotten in delta",
        "step_back",
        "from later steps is missing",
        back(delta="delta = dh * o * (1 - t**2)"),
    ),
    Mutant(
        "no slope on the way out",
        "step_back",
        "the slope of tanh is missing",
        back(delta="delta = dc + dh * o"),
    ),
    Mutant(
        "slope of c' itself",
        "step_back",
        "not 1 - c'²",
        back(delta="delta = dc + dh * o * (1 - new_c**2)"),
    ),
    Mutant(
        "no output gate in delta",
        "step_back",
        "the factor o is missing",
        back(delta="delta = dc + dh * (1 - t**2)"),
    ),
    Mutant(
        "delta for the old c",
        "step_back",
        "one factor is missing",
        back(old="d_c = delta"),
    ),
    Mutant(
        "the input gate keeps",
        "step_back",
        "multiplied by f, not by i",
        back(old="d_c = delta * i"),
    ),
    Mutant(
        "no slope of the input gate",
        "step_back",
        "in the block of the input gate: the slope of the sigmoid is missing",
        back(di="di = delta * g"),
    ),
    Mutant(
        "tanh's slope for a gate",
        "step_back",
        "in the block of the forget gate: the slope is that of tanh",
        back(df="df = delta * c * (1 - f**2)"),
    ),
    Mutant(
        "the new c for the forget gate",
        "step_back",
        "multiplies the old c, not the new one",
        back(df="df = delta * new_c * f * (1 - f)"),
    ),
    Mutant(
        "sigmoid's slope for the candidate",
        "step_back",
        "the candidate has 1 - tanh²",
        back(dg="dg = delta * i * g * (1 - g)"),
    ),
    Mutant(
        "delta for the output gate",
        "step_back",
        "not of δ",
        back(do="do = delta * t * o * (1 - o)"),
    ),
    Mutant(
        "no tanh for the output gate",
        "step_back",
        "multiplies tanh(c'), not c'",
        back(do="do = dh * new_c * o * (1 - o)"),
    ),
    Mutant(
        "blocks in another order",
        "step_back",
        "it is i, f, g, o",
        back(dz="dz = torch.cat([di, df, do, dg], 1)"),
    ),
    Mutant(
        "mean over the batch", "step_back", "is their sum", back(b="d_b = dz.mean(0)")
    ),
    Mutant("bias without a sum", "step_back", "sum over the batch", back(b="d_b = dz")),
    Mutant(
        "weights transposed", "step_back", "transpose it", back(wx="d_W_x = x.T @ dz")
    ),
    Mutant(
        "the new h for W_h",
        "step_back",
        "not by the new one",
        back(wh="d_W_h = dz.T @ (o * t)"),
    ),
    Mutant(
        "dh handed on",
        "step_back",
        "what arrives at h' is added",
        back(h="d_h = dz @ W_h + dh"),
    ),
    Mutant(
        "a transpose too many",
        "step_back",
        "at the wrong factor",
        back(x="d_x = dz @ W_x.T"),
    ),
    Mutant(
        "flat",
        "step_back",
        "bundles of",
        back(end="return d_x, d_h, d_c, d_W_x, d_W_h, d_b"),
    ),
    Mutant(
        "by autograd",
        "step_back",
        "this task is done by hand",
        """
def step_back(x, state, weights, d_state):
    leaves = [t.clone().requires_grad_() for t in (x, *state, *weights)]
    new = lstm_step(leaves[0], leaves[1:3], leaves[3:])
    g = torch.autograd.grad(new, leaves, d_state)
    return g[0], g[1:3], g[3:]
""",
    ),
    Mutant(
        "in place on what arrived",
        "step_back",
        "work on a copy",
        back(delta="dc += dh * o * (1 - t**2); delta = dc"),
    ),
    Mutant(
        "gates without a bias",
        "step_back",
        "without the bias b",
        back(z="z = x @ W_x.T + h @ W_h.T"),
    ),
    Mutant(
        "c and h swapped",
        "step_back",
        "d_h and d_c are in the wrong order",
        back(end="return d_x, (d_c, d_h), (d_W_x, d_W_h, d_b)"),
    ),
    Mutant(
        "a gate times itself",
        "step_back",
        "in the block of the forget gate: the factor c is missing",
        back(df="df = delta * f * (1 - f)"),
    ),
    # ------------------------------------------------------------------ bptt
    Mutant(
        "None from later",
        "bptt",
        "zeros, not None",
        through_time(start="dh, dc = None, None"),
    ),
    Mutant(
        "the last output twice",
        "bptt",
        "counts twice",
        through_time(start="dh, dc = d_output[:, -1], torch.zeros_like(state[1])"),
    ),
    Mutant(
        "not to the first step",
        "bptt",
        "t = 0, is left out",
        through_time(**{"for": "for t in range(T - 1, 0, -1):"}),
    ),
    Mutant(
        "nothing from later",
        "bptt",
        "what comes back from the next step is missing",
        through_time(arrive="    arriving = (d_output[:, t], torch.zeros_like(dc))"),
    ),
    Mutant(
        "c alone from later",
        "bptt",
        "what comes back through h is missing",
        through_time(arrive="    arriving = (d_output[:, t], dc)"),
    ),
    Mutant(
        "h alone from later",
        "bptt",
        "what comes back through c is missing",
        through_time(arrive="    arriving = (d_output[:, t] + dh, 0 * dc)"),
    ),
    Mutant(
        "only the last output",
        "bptt",
        "only the last output sends",
        through_time(
            start="dh, dc = d_output[:, -1], torch.zeros_like(state[1])",
            arrive="    arriving = (dh, dc)",
        ),
    ),
    Mutant(
        "the last share alone",
        "bptt",
        "the shares add up",
        through_time(add="    sums = w"),
    ),
    Mutant(
        "a mean over the steps",
        "bptt",
        "they add up",
        through_time(end="return d_x, (dh, dc), tuple(s / T for s in sums)"),
    ),
    Mutant(
        "the state after the step",
        "bptt",
        "it is the one after it",
        through_time(
            back="    dx, (dh, dc), w = step_back(x[:, t], kept[t + 1], weights, arriving)"
        ),
    ),
    Mutant(
        "forwards",
        "bptt",
        "from the first to the last",
        through_time(**{"for": "for t in range(T):"}),
    ),
    Mutant(
        "d_x from the end",
        "bptt",
        "in reversed order",
        through_time(
            xs="dxs = []",
            put="    dxs.append(dx)",
            end="return torch.stack(dxs, 1), (dh, dc), tuple(sums)",
        ),
    ),
    # ---------------------------------------------------------------- ByteLM
    Mutant(
        "plain tensors", "ByteLM", "wrap it in nn.Parameter", model(param="self.b = b")
    ),
    Mutant(
        "nn.LSTM inside",
        "ByteLM",
        "see the table of names",
        """
class ByteLM(nn.Module):
    def __init__(self, vocab_size, input_size, hidden_size):
        super().__init__()
        self.tok_emb = nn.Embedding(vocab_size, input_size)
        self.lstm = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.lm_head = nn.Linear(hidden_size, vocab_size)

    def read(self, ids, state=None):
        out, state = self.lstm(self.tok_emb(ids), state)
        return self.lm_head(out), state

    def forward(self, ids):
        return self.read(ids)[0]
""",
    ),
    Mutant(
        "all biases at 0", "ByteLM", "the forget gate's bias begins at 1", model(one="")
    ),
    Mutant(
        "the input gate at 1",
        "ByteLM",
        "rows H to 2H",
        model(one="b[:hidden_size] = 1"),
    ),
    Mutant(
        "normal weights",
        "ByteLM",
        "too wide",
        model(W_x="self.W_x = nn.Parameter(torch.randn(4 * hidden_size, input_size))"),
    ),
    Mutant(
        "weights from 0 to 1",
        "ByteLM",
        "torch.rand gives 0 to 1",
        model(
            W_h="self.W_h = nn.Parameter(torch.rand(4 * hidden_size, hidden_size) * k)"
        ),
    ),
    Mutant(
        "weights all 0",
        "ByteLM",
        "draw them at random",
        model(W_h="self.W_h = nn.Parameter(torch.zeros(4 * hidden_size, hidden_size))"),
    ),
    Mutant(
        "square roots of 4H",
        "ByteLM",
        "too narrow",
        model(k="k = 1 / math.sqrt(4 * hidden_size)"),
    ),
    Mutant(
        "W_x the other way round",
        "ByteLM",
        "has the shape (3, 20)",
        model(
            W_x="self.W_x = nn.Parameter((2 * torch.rand(input_size, 4 * hidden_size) - 1) * k)"
        ),
    ),
    Mutant(
        "no bias in the head",
        "ByteLM",
        "lm_head has a bias",
        model(head="self.lm_head = nn.Linear(hidden_size, vocab_size, bias=False)"),
    ),
    Mutant(
        "softmax",
        "ByteLM",
        "softmax is applied",
        model(end="return self.lm_head(out).softmax(-1), state"),
    ),
    Mutant(
        "the last position alone",
        "ByteLM",
        "the last position alone",
        model(end="return self.lm_head(out[:, -1]), state"),
    ),
    Mutant(
        "the given state is ignored",
        "ByteLM",
        "the state that is given is not used",
        model(**{"if": "if True:"}),
    ),
    Mutant(
        "logits alone",
        "ByteLM",
        "expected a pair",
        model(end="return self.lm_head(out)"),
    ),
    Mutant(
        "the first state comes back",
        "ByteLM",
        "return the one after the last id",
        model(run="out, _ = run_lstm(x, state, (self.W_x, self.W_h, self.b))"),
    ),
    Mutant(
        "detached",
        "ByteLM",
        "nothing reaches",
        model(x="x = self.tok_emb(ids).detach()"),
    ),
    # ------------------------------------------------------------------- cut
    Mutant(
        "targets are inputs",
        "cut",
        "are the inputs themselves",
        """
def cut(ids, n_streams, length):
    n = (len(ids) - 1) // n_streams
    a = ids[: n * n_streams].view(n_streams, n)
    return [(p, p) for p in a.split(length, 1)]
""",
    ),
    Mutant(
        "rows jump",
        "cut",
        "neighbours in time lie in different rows",
        """
def cut(ids, n_streams, length):
    n = (len(ids) - 1) // n_streams
    a = ids[: n * n_streams].view(n, n_streams).T
    b = ids[1 : n * n_streams + 1].view(n, n_streams).T
    return list(zip(a.split(length, 1), b.split(length, 1)))
""",
    ),
    Mutant(
        "the last piece is dropped",
        "cut",
        "the last piece is missing",
        """
def cut(ids, n_streams, length):
    n = (len(ids) - 1) // n_streams
    a = ids[: n * n_streams].view(n_streams, n)
    b = ids[1 : n * n_streams + 1].view(n_streams, n)
    return [(a[:, s : s + length], b[:, s : s + length]) for s in range(0, n - length + 1, length)]
""",
    ),
    Mutant(
        "a stream's last target is lost",
        "cut",
        "one step too short",
        """
def cut(ids, n_streams, length):
    n = len(ids) // n_streams
    n = (len(ids) - 1) // n_streams
    a = ids[: n * n_streams].view(n_streams, n)
    return list(zip(a[:, :-1].split(length, 1), a[:, 1:].split(length, 1)))
""",
    ),
    Mutant(
        "targets roll round",
        "cut",
        "last id is wrong",
        """
def cut(ids, n_streams, length):
    n = (len(ids) - 1) // n_streams
    a = ids[: n * n_streams].view(n_streams, n)
    return [(p, p.roll(-1, 1)) for p in a.split(length, 1)]
""",
    ),
    Mutant(
        "pieces first, then rows",
        "cut",
        "row r goes on in row r",
        """
def cut(ids, n_streams, length):
    n = (len(ids) - 1) // n_streams
    out = []
    for s in range(0, n, length):
        steps = min(length, n - s)
        a = ids[s * n_streams : s * n_streams + n_streams * steps]
        b = ids[s * n_streams + 1 : s * n_streams + n_streams * steps + 1]
        out.append((a.view(n_streams, steps), b.view(n_streams, steps)))
    return out
""",
    ),
    Mutant(
        "two further on",
        "cut",
        "two places further on",
        """
def cut(ids, n_streams, length):
    n = (len(ids) - 1) // n_streams
    a = ids[: n * n_streams].view(n_streams, n)
    b = torch.cat([ids[2:], ids[-1:]])[: n * n_streams].view(n_streams, n)
    return list(zip(a.split(length, 1), b.split(length, 1)))
""",
    ),
    # ----------------------------------------------------------------- train
    Mutant("no detach", "train", "drags the history", loop(cut="")),
    Mutant(
        "retain_graph",
        "train",
        "only its numbers go on: detach",
        loop(cut="", back="    loss.backward(retain_graph=True)"),
    ),
    Mutant(
        "always from an empty state",
        "train",
        "read from an empty state",
        loop(read="    logits, state = model.read(inputs)"),
    ),
    Mutant("no zero_grad", "train", "zero_grad", loop(zero="")),
    Mutant("no clipping", "train", "not clipped", loop(clip="")),
    Mutant(
        "clipping before backward",
        "train",
        "not clipped",
        loop(
            clip="",
            zero="    opt.zero_grad()\n        nn.utils.clip_grad_norm_(model.parameters(), 1.0)",
        ),
    ),
    Mutant(
        "nats", "train", "these are nats", loop(note="    bits.append(loss.item())")
    ),
    Mutant(
        "plain gradient descent",
        "train",
        "SGD",
        loop(make="opt = torch.optim.SGD(model.parameters(), lr)"),
    ),
    Mutant("no step", "train", "is step called", loop(step="")),
    Mutant(
        "return in the loop",
        "train",
        "`return` inside of the",
        loop(end="    return bits"),
    ),
    Mutant(
        "a new optimiser each time",
        "train",
        "make it once",
        loop(
            make="",
            zero="    opt = torch.optim.Adam(model.parameters(), lr)\n        opt.zero_grad()",
        ),
    ),
    Mutant(
        "AdamW",
        "train",
        "AdamW",
        loop(make="opt = torch.optim.AdamW(model.parameters(), lr)"),
    ),
    Mutant(
        "classes on the wrong axis",
        "train",
        "flatten batch and time",
        loop(loss="    loss = nn.functional.cross_entropy(logits, targets)"),
    ),
    Mutant(
        "the pair is detached",
        "train",
        "detach each of its tensors",
        loop(cut="    state = state.detach()"),
    ),
    Mutant(
        "256 written out",
        "train",
        "here 9 and not 256",
        loop(
            loss="    loss = nn.functional.cross_entropy("
            "logits.view(-1, 256), targets.view(-1))"
        ),
    ),
    Mutant(
        "read twice",
        "train",
        "come from one read",
        loop(
            cut="    with torch.no_grad():\n"
            "            _, state = model.read(inputs, state)"
        ),
    ),
    # ---------------------------------------------------------------- sample
    Mutant(
        "no softmax",
        "sample",
        "softmax is missing",
        write(p="        p = z / temperature"),
    ),
    Mutant(
        "one axis",
        "sample",
        "ids have two axes",
        write(first="ids, state, out = torch.tensor(list(prompt)), None, []"),
    ),
    Mutant(
        "the state is dropped",
        "sample",
        "the state is not carried",
        write(read="    logits, _ = model.read(ids)"),
    ),
    Mutant(
        "the prompt comes back",
        "sample",
        "the prompt is not part",
        write(end="return prompt + bytes(out)"),
    ),
    Mutant("a list", "sample", "becomes bytes by bytes", write(end="return out")),
    Mutant(
        "all is read again",
        "sample",
        "each byte is read once",
        write(
            read="    logits, _ = model.read(ids)",
            next="    ids = torch.cat([ids, torch.tensor([[byte]])], 1)",
        ),
    ),
    Mutant(
        "the first position",
        "sample",
        "not read to its end",
        write(last="    z = logits[0, 0]"),
    ),
    Mutant(
        "no temperature",
        "sample",
        "the temperature has no effect",
        write(p="        p = torch.softmax(z, 0)"),
    ),
    Mutant(
        "temperature upside down",
        "sample",
        "upside down",
        write(p="        p = torch.softmax(z * temperature, 0)"),
    ),
    Mutant(
        "temperature on the probabilities",
        "sample",
        "the temperature has no effect",
        write(p="        p = torch.softmax(z, 0) / temperature"),
    ),
    Mutant(
        "always the likeliest",
        "sample",
        "the likeliest byte is taken",
        write(draw="        byte = int(p.argmax())"),
    ),
    Mutant(
        "chance from elsewhere",
        "sample",
        "the generator that is given",
        write(draw="        byte = int(torch.multinomial(p, 1))"),
    ),
    Mutant(
        "divided by 0",
        "sample",
        "temperature 0",
        write(**{"if": "    if temperature < 0:"}),
    ),
    Mutant("what was drawn is not read", "sample", "must be read next", write(next="")),
    # --------------------------------------------------------------- figures
    Mutant(
        "nats for the n-grams",
        "figures",
        "divide by ln 2",
        """
import copy
figures = copy.deepcopy(figures)
for order in (1, 3, 5):
    figures["bits"][f"{order}-gram"] *= 0.6931
""",
    ),
    Mutant(
        "swapped rows",
        "figures",
        "the two are swapped",
        """
figures = {"bits": dict(figures["bits"]), "reach": figures["reach"]}
b = figures["bits"]
b["LSTM"], b["LSTM emptied"] = b["LSTM"], b["LSTM"] - 0.2
""",
    ),
    Mutant(
        "measured on the training text",
        "figures",
        "on the training text",
        """
figures = {"bits": {**figures["bits"], "LSTM": 2.1}, "reach": figures["reach"]}
""",
    ),
    Mutant(
        "a wrong bptt",
        "figures",
        "a bptt that was not right",
        """
figures = {"bits": figures["bits"], "reach": {k: {s: v * 1.5 for s, v in r.items()} for k, r in figures["reach"].items()}}
""",
    ),
    Mutant(
        "an empty table",
        "figures",
        "must hold numbers for",
        'figures = {"bits": {}, "reach": {}}',
    ),
    # ------------------------------- written without sight of the checks
    Mutant(
        "a ramp for the sigmoid",
        "lstm_step",
        "a ramp of straight lines",
        step(
            i="s = lambda v: torch.clamp(0.2 * v + 0.5, 0, 1)",
            f="i, f",
            o="i, f, o = s(i), s(f), s(o)",
        ),
    ),
    Mutant(
        "lets in what it forgets",
        "lstm_step",
        "the input gate is not 1 - f",
        step(c="new_c = f * c + (1 - f) * g"),
    ),
    Mutant(
        "squeezed",
        "lstm_step",
        "squeeze takes them away",
        step(end="return new_h.squeeze(), new_c.squeeze()"),
    ),
    Mutant(
        "float32 on the way",
        "lstm_step",
        "float32 on the way",
        step(z="z = (x @ W_x.T + h @ W_h.T + b).float()"),
    ),
    Mutant(
        "as long as the longest",
        "run_lstm",
        "shape (3, 2, 3), expected (3, 4, 3)",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\n"
            "state = torch.where(real, h, state[0]), torch.where(real, c, state[1])\n"
            "out.append(h * real)",
            before="T = int(lengths.max())",
        ),
    ),
    Mutant(
        "the state in place",
        "run_lstm",
        "work on a copy",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\nmine = real[:, 0]\n"
            "state[0][mine], state[1][mine] = h[mine], c[mine]\nout.append(h * real)"
        ),
    ),
    Mutant(
        "float32 for the output",
        "run_lstm",
        "torch.zeros makes float32",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\n"
            "state = torch.where(real, h, state[0]), torch.where(real, c, state[1])\n"
            "out[:, t] = h * real",
            before="out = torch.zeros(B, T, state[0].shape[1])",
            after="return out, state",
        ),
    ),
    Mutant(
        "a single row from zeros",
        "run_lstm",
        "the steps start from zeros",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\n"
            "state = torch.where(real, h, state[0]), torch.where(real, c, state[1])\n"
            "out.append(h * real)",
            before="state = tuple(s * (B > 1) for s in state)",
        ),
    ),
    Mutant(
        "enable_grad",
        "step_back",
        "this task is done by hand",
        """
def step_back(x, state, weights, d_state):
    with torch.enable_grad():
        leaves = [t.clone().requires_grad_() for t in (x, *state, *weights)]
        g = torch.autograd.grad(lstm_step(leaves[0], leaves[1:3], leaves[3:]), leaves, d_state)
    return g[0], g[1:3], g[3:]
""",
    ),
    Mutant(
        "torch.func.vjp",
        "step_back",
        "this task is done by hand",
        """
def step_back(x, state, weights, d_state):
    return torch.func.vjp(lstm_step, x, state, weights)[1](d_state)
""",
    ),
    Mutant(
        "forward mode",
        "step_back",
        "this task is done by hand",
        """
def step_back(x, state, weights, d_state):
    def loss(*args):
        h, c = lstm_step(*args)
        return (h * d_state[0]).sum() + (c * d_state[1]).sum()

    return torch.func.jacfwd(loss, argnums=(0, 1, 2))(x, state, weights)
""",
    ),
    Mutant(
        "finite differences",
        "step_back",
        "differences of finite steps",
        """
def step_back(x, state, weights, d_state):
    parts = [t.clone() for t in (x, *state, *weights)]

    def loss():
        h, c = lstm_step(parts[0], parts[1:3], parts[3:])
        return (h * d_state[0]).sum() + (c * d_state[1]).sum()

    grads = [torch.zeros_like(part) for part in parts]
    for part, grad in zip(parts, grads):
        for k in range(part.numel()):
            for step in (1e-5, -1e-5):
                old = part.view(-1)[k].item()
                part.view(-1)[k] = old + step
                grad.view(-1)[k] += loss() / (2 * step)
                part.view(-1)[k] = old
    return grads[0], grads[1:3], grads[3:]
""",
    ),
    Mutant(
        "tanh twice",
        "step_back",
        "takes no tanh more",
        back(dg="dg = delta * i * (1 - torch.tanh(g) ** 2)"),
    ),
    Mutant(
        "vjp of the layer",
        "bptt",
        "this task is done by hand",
        """
def bptt(x, state, weights, d_output):
    return torch.func.vjp(lambda *a: run_lstm(*a)[0], x, state, weights)[1](d_output)
""",
    ),
    Mutant(
        "five steps back and no further",
        "bptt",
        "bptt with B = 3, T = 9",
        through_time(**{"for": "for t in range(T - 1, max(-1, T - 6), -1):"}),
    ),
    Mutant(
        "walks from zeros",
        "bptt",
        "the steps start from zeros",
        through_time(
            start="dh = dc = torch.zeros_like(state[0]); kept = [(dh, dc)]",
            sums="for t in range(T): kept.append(lstm_step(x[:, t], kept[-1], weights))\n    sums = [0, 0, 0]",
        ),
    ),
    Mutant(
        "adds to d_output",
        "bptt",
        "work on a copy",
        through_time(
            arrive="    d_output[:, t] += dh; arriving = (d_output[:, t], dc)"
        ),
    ),
    Mutant(
        "four equal blocks",
        "ByteLM",
        "one block is drawn and repeated",
        model(
            W_h="self.W_h = nn.Parameter(((2 * torch.rand(hidden_size, hidden_size) - 1) * k).repeat(4, 1))"
        ),
    ),
    Mutant(
        "a seed of its own",
        "ByteLM",
        "torch.manual_seed in __init__",
        model(k="torch.manual_seed(0); k = 1 / math.sqrt(hidden_size)"),
    ),
    Mutant(
        "small vectors",
        "ByteLM",
        "leave them as nn.Embedding and nn.Linear make them",
        model(
            size="nn.init.uniform_(self.tok_emb.weight, -0.1, 0.1); self.hidden_size = hidden_size"
        ),
    ),
    Mutant(
        "a head of zeros",
        "ByteLM",
        "leave them as nn.Embedding and nn.Linear make them",
        model(
            size="nn.init.zeros_(self.lm_head.weight); self.hidden_size = hidden_size"
        ),
    ),
    Mutant(
        "keeps its state",
        "ByteLM",
        "is one kept in self",
        model(
            size="self.hidden_size = hidden_size; self.last = None",
            **{
                "if": "if state is None and self.last and len(self.last[0]) == len(ids):\n            state = self.last\n        if state is None:"
            },
            end="self.last = [s.detach() for s in state]\n        return self.lm_head(out), state",
        ),
    ),
    Mutant(
        "dropout without end",
        "ByteLM",
        "is there chance in `read`",
        model(x="x = nn.functional.dropout(self.tok_emb(ids), 0.1)"),
    ),
    Mutant(
        "int32",
        "cut",
        "int64 is what was given",
        """
def cut(ids, n_streams, length):
    n = (len(ids) - 1) // n_streams
    places = torch.arange(n_streams)[:, None] * n + torch.arange(n)
    return [(ids[p].int(), ids[p + 1]) for p in torch.split(places, length, dim=1)]
""",
    ),
    Mutant(
        "tensors for floats",
        "train",
        "loss.item() is the number",
        loop(note="    bits.append(loss.detach() / math.log(2))"),
    ),
    Mutant(
        "each clipped alone",
        "train",
        "all parameters together",
        loop(clip="    for p in model.parameters(): nn.utils.clip_grad_norm_(p, 1.0)"),
    ),
    Mutant(
        "always of length 1",
        "train",
        "only where it is longer",
        loop(
            clip="    norm = sum((p.grad**2).sum() for p in model.parameters()).sqrt()\n        for p in model.parameters(): p.grad /= norm"
        ),
    ),
    Mutant(
        "learns from bits",
        "train",
        "the loss in nats",
        loop(
            loss="    loss = nn.CrossEntropyLoss()(logits.transpose(1, 2), targets) / math.log(2)",
            note="    bits.append(loss.item())",
        ),
    ),
    Mutant(
        "a mean so far",
        "train",
        "not a mean over the pieces so far",
        loop(end="return [sum(bits[: k + 1]) / (k + 1) for k in range(len(bits))]"),
    ),
    Mutant(
        "log10",
        "train",
        "not by log10(2)",
        loop(note="    bits.append(loss.item() / math.log10(2))"),
    ),
    Mutant(
        "the likeliest below 1",
        "sample",
        "only at temperature 0",
        write(**{"if": "    if int(temperature) == 0:"}),
    ),
    Mutant(
        "at least one byte",
        "sample",
        "n new ones are wanted",
        write(**{"for": "for _ in range(max(n, 1)):"}),
    ),
    Mutant(
        "layers exchanged",
        "figures",
        "does not fit your layers",
        """
reach = figures["reach"]
figures = {"bits": figures["bits"], "reach": {**reach, "LSTM, bias 0": reach["LSTM, bias 3"]}}
""",
    ),
    Mutant(
        "0 for what is small",
        "figures",
        "does not fit your layers",
        """
figures = {"bits": figures["bits"], "reach": {**figures["reach"], "RNN": {10: 0.0016, 25: 0.0, 50: 0.0}}}
""",
    ),
]


EQUIVALENTS = [
    Equivalent("the longhand", "lstm_step", step()),
    Equivalent(
        "einsum",
        "lstm_step",
        step(
            z='z = torch.einsum("bd,zd->bz", x, W_x) + torch.einsum("bh,zh->bz", h, W_h) + b'
        ),
    ),
    Equivalent(
        "one product of both",
        "lstm_step",
        step(z="z = torch.cat([x, h], 1) @ torch.cat([W_x, W_h], 1).T + b"),
    ),
    Equivalent(
        "linear, slices and a list",
        "lstm_step",
        """
def lstm_step(x, state, weights):
    h, c = state
    n = h.shape[-1]
    z = nn.functional.linear(x, weights[0], weights[2]) + nn.functional.linear(h, weights[1])
    gate = lambda k: 1 / (1 + torch.exp(-z[:, k * n : (k + 1) * n]))
    c = gate(1) * c + gate(0) * torch.tanh(z[:, 2 * n : 3 * n])
    return [gate(3) * torch.tanh(c), c]
""",
    ),
    Equivalent(
        "where for both",
        "run_lstm",
        run(
            "h, c = lstm_step(x[:, t], state, weights)\n"
            "state = torch.where(real, h, state[0]), torch.where(real, c, state[1])\n"
            "out.append(torch.where(real, h, torch.zeros_like(h)))"
        ),
    ),
    Equivalent(
        "each row alone",
        "run_lstm",
        """
def run_lstm(x, state, weights, lengths=None):
    B, T, _ = x.shape
    output = torch.zeros(B, T, state[0].shape[1], dtype=x.dtype)
    hs, cs = [], []
    for r in range(B):
        h, c = state[0][r : r + 1], state[1][r : r + 1]
        for t in range(T if lengths is None else int(lengths[r])):
            h, c = lstm_step(x[r : r + 1, t], (h, c), weights)
            output[r, t] = h[0]
        hs.append(h)
        cs.append(c)
    return output, (torch.cat(hs), torch.cat(cs))
""",
    ),
    Equivalent(
        "a mask that multiplies",
        "run_lstm",
        run(
            "m = real.to(x.dtype)\nh, c = lstm_step(x[:, t], state, weights)\n"
            "state = [m * h + (1 - m) * state[0], m * c + (1 - m) * state[1]]\nout.append(m * h)"
        ),
    ),
    Equivalent(
        "gather at the end",
        "run_lstm",
        """
def run_lstm(x, state, weights, lengths=None):
    B, T, _ = x.shape
    lengths = torch.full((B,), T) if lengths is None else lengths
    hs, cs = [], []
    for x_t in x.unbind(1):
        state = lstm_step(x_t, state, weights)
        hs.append(state[0])
        cs.append(state[1])
    hs, cs = torch.stack(hs, 1), torch.stack(cs, 1)
    row = torch.arange(B)
    last = hs[row, lengths - 1], cs[row, lengths - 1]
    return hs * (torch.arange(T) < lengths[:, None])[..., None], last
""",
    ),
    Equivalent("the longhand", "step_back", back()),
    Equivalent(
        "four products",
        "step_back",
        back(
            dz="dz = torch.stack([di, df, dg, do], 1).flatten(1)",
            wx='d_W_x = torch.einsum("bz,bd->zd", dz, x)',
            wh='d_W_h = torch.einsum("bz,bh->zh", dz, h)',
            x="n = h.shape[1]; d_x = sum(d @ W_x[k * n : k * n + n] for k, d in enumerate((di, df, dg, do)))",
            b="d_b = torch.ones(len(x), dtype=x.dtype) @ dz",
            end="return [d_x, [d_h, d_c], [d_W_x, d_W_h, d_b]]",
        ),
    ),
    Equivalent(
        "NumPy",
        "step_back",
        """
import numpy as np
def step_back(x, state, weights, d_state):
    x, h, c = x.numpy(), state[0].numpy(), state[1].numpy()
    W_x, W_h, b = (w.numpy() for w in weights)
    dh, dc = (d.numpy() for d in d_state)
    s = lambda z: 1 / (1 + np.exp(-z))
    zi, zf, zg, zo = np.split(x @ W_x.T + h @ W_h.T + b, 4, axis=1)
    new = s(zf) * c + s(zi) * np.tanh(zg)
    d = dc + dh * s(zo) / np.cosh(new) ** 2
    dz = np.concatenate([
        d * np.tanh(zg) * s(zi) * s(-zi), d * c * s(zf) * s(-zf),
        d * s(zi) / np.cosh(zg) ** 2, dh * np.tanh(new) * s(zo) * s(-zo)], axis=1)
    return dz @ W_x, (dz @ W_h, d * s(zf)), (dz.T @ x, dz.T @ h, dz.sum(axis=0))
""",
    ),
    Equivalent("the longhand", "bptt", through_time()),
    Equivalent(
        "shares in lists",
        "bptt",
        through_time(
            xs="dxs, ws = [], []",
            put="    dxs.insert(0, dx)",
            add="    ws.append(w)",
            end="return torch.stack(dxs, dim=1), (dh, dc), [sum(part) for part in zip(*ws)]",
        ),
    ),
    Equivalent(
        "recursion",
        "bptt",
        """
def bptt(x, state, weights, d_output):
    if x.shape[1] == 0:
        zero = torch.zeros_like(state[0])
        return x, (zero, zero), tuple(torch.zeros_like(w) for w in weights)
    after = lstm_step(x[:, 0], state, weights)
    rest, (dh, dc), later = bptt(x[:, 1:], after, weights, d_output[:, 1:])
    dx, d_state, now = step_back(x[:, 0], state, weights, (dh + d_output[:, 0], dc))
    return torch.cat([dx[:, None], rest], 1), d_state, tuple(a + b for a, b in zip(later, now))
""",
    ),
    Equivalent("the longhand", "ByteLM", model()),
    Equivalent(
        "its own loop",
        "ByteLM",
        model(
            run="hs = []\n        for t in range(ids.shape[1]):\n            state = lstm_step(x[:, t], state, (self.W_x, self.W_h, self.b))\n            hs.append(state[0])",
            end="return torch.stack([self.lm_head(h) for h in hs], 1), state",
        ),
    ),
    Equivalent(
        "init functions, other order",
        "ByteLM",
        model(
            emb="self.lm_head = nn.Linear(hidden_size, vocab_size)",
            head="self.tok_emb = nn.Embedding(vocab_size, input_size)",
            W_x="self.W_x = nn.Parameter(torch.empty(4 * hidden_size, input_size)); nn.init.uniform_(self.W_x, -k, k)",
            W_h="self.W_h = nn.Parameter(torch.empty(4 * hidden_size, hidden_size)); nn.init.uniform_(self.W_h, -k, k)",
            b="b = torch.cat([torch.zeros(hidden_size), torch.ones(hidden_size), torch.zeros(2 * hidden_size)])",
            one="",
        ),
    ),
    Equivalent(
        "slices",
        "cut",
        """
def cut(ids, n_streams, length):
    n = (len(ids) - 1) // n_streams
    rows = torch.stack([ids[r * n : r * n + n + 1] for r in range(n_streams)])
    out = []
    for s in range(0, n, length):
        e = min(s + length, n)
        out.append([rows[:, s:e], rows[:, s + 1 : e + 1]])
    return out
""",
    ),
    Equivalent(
        "unfold",
        "cut",
        """
def cut(ids, n_streams, length):
    n = (len(ids) - 1) // n_streams
    rows = ids[: n * n_streams + 1].unfold(0, n + 1, n)
    return [(p, q) for p, q in zip(rows[:, :-1].split(length, 1), rows[:, 1:].split(length, 1))]
""",
    ),
    Equivalent(
        "chunks of places",
        "cut",
        """
def cut(ids, n_streams, length):
    n = (len(ids) - 1) // n_streams
    places = torch.arange(n_streams)[:, None] * n + torch.arange(n)
    return [(ids[p], ids[p + 1]) for p in torch.split(places, length, dim=1)]
""",
    ),
    Equivalent("the longhand", "train", loop()),
    Equivalent(
        "gather instead of cross_entropy",
        "train",
        loop(
            loss="    loss = -logits.log_softmax(-1).gather(2, targets[:, :, None]).mean()",
            note="    bits += [float(loss.detach()) / math.log(2)]",
        ),
    ),
    Equivalent(
        "detach before, lmcore's Adam, clipping by hand",
        "train",
        loop(
            make="from lmcore.optim import Adam; opt = Adam(model.parameters(), lr=lr)",
            read="    state = None if state is None else [s.detach() for s in state]\n        logits, state = model.read(inputs, state)",
            cut="",
            clip="    norm = sum((p.grad**2).sum() for p in model.parameters()).sqrt()\n        for p in model.parameters():\n            p.grad /= max(norm, torch.ones(()))",
            loss="    loss = nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)) / math.log(2) * math.log(2)",
        ),
    ),
    Equivalent(
        "bits from log2",
        "train",
        loop(
            note="    bits.append(math.log2(math.exp(loss.item())))",
        ),
    ),
    Equivalent("the longhand", "sample", write()),
    Equivalent(
        "the prompt byte by byte",
        "sample",
        """
def sample(model, prompt, n, temperature, generator):
    state, out = None, bytearray()
    for byte in prompt:
        logits, state = model.read(torch.tensor([[byte]]), state)
    while len(out) < n:
        z = logits[0, 0].detach()
        if temperature:
            byte = torch.multinomial(torch.exp(torch.log_softmax(z / temperature, -1)), 1, generator=generator).item()
        else:
            byte = torch.max(z, 0).indices.item()
        out.append(byte)
        logits, state = model.read(torch.tensor([[byte]]), state)
    return bytes(out)
""",
    ),
    Equivalent(
        "the inverse of the distribution function",
        "sample",
        write(
            draw="        byte = int((p.cumsum(0) < torch.rand(1, generator=generator)).sum().clamp(max=255))",
            end="return bytes(bytearray(out))",
        ),
    ),
    Equivalent(
        "Gumbel noise",
        "sample",
        write(
            p="        u = torch.rand(256, generator=generator).clamp(1e-9, 1 - 1e-7)",
            draw="        byte = int((z / temperature - torch.log(-torch.log(u))).argmax())",
        ),
    ),
    Equivalent(
        "more digits",
        "figures",
        """
figures = {"bits": {k: v + 0.004 for k, v in figures["bits"].items()}, "reach": figures["reach"]}
""",
    ),
    Equivalent(
        "another model's start",
        "figures",
        """
figures = {"bits": {**figures["bits"], "LSTM": figures["bits"]["LSTM"] + 0.04, "LSTM emptied": 3.31}, "reach": figures["reach"]}
""",
    ),
    Equivalent(
        "dicts in another order",
        "figures",
        """
figures = {"reach": dict(reversed(figures["reach"].items())), "bits": dict(reversed(figures["bits"].items()))}
""",
    ),
    # ------------------------------- written without sight of the checks
    Equivalent(
        "the sigmoid written out",
        "lstm_step",
        step(
            i="s = lambda v: 1 / (1 + torch.exp(-v))",
            f="i, f",
            o="i, f, o = s(i), s(f), s(o)",
        ),
    ),
    Equivalent(
        "gate by gate",
        "step_back",
        """
def step_back(x, state, weights, d_state):
    h, c = state
    W_x, W_h, b = weights
    H = h.shape[1]
    z = [x @ W_x[k*H:(k+1)*H].T + h @ W_h[k*H:(k+1)*H].T + b[k*H:(k+1)*H] for k in range(4)]
    i, f, o, g = z[0].sigmoid(), z[1].sigmoid(), z[3].sigmoid(), z[2].tanh()
    t = torch.tanh(f * c + i * g)
    delta = d_state[1] + d_state[0] * o * (1 - t * t)
    d = [delta * g * i * (1 - i), delta * c * f * (1 - f), delta * i * (1 - g * g), d_state[0] * t * o * (1 - o)]
    d_x = sum(d[k] @ W_x[k*H:(k+1)*H] for k in range(4))
    d_h = sum(d[k] @ W_h[k*H:(k+1)*H] for k in range(4))
    return d_x, (d_h, f * delta), (torch.cat([q.T @ x for q in d]), torch.cat([q.T @ h for q in d]), torch.cat([q.sum(0) for q in d]))
""",
    ),
    Equivalent(
        "autograd.grad, data and gather",
        "train",
        """
def train(model, pieces, lr):
    params = list(model.parameters())
    opt = torch.optim.Adam(params, lr)
    history, state = [], None
    for x, y in pieces:
        logits, (h, c) = model.read(x, state)
        state = (h.data.clone(), c.data.clone())
        loss = -logits.log_softmax(-1).gather(2, y[..., None]).mean()
        for p, g in zip(params, torch.autograd.grad(loss, params)):
            p.grad = g
        nn.utils.clip_grad_norm_(params, max_norm=1)
        opt.step()
        history.append(float(loss) / 0.6931471805599453)
    return history
""",
    ),
    Equivalent(
        "a temperature of almost 0",
        "sample",
        write(**{"if": "    temperature = max(temperature, 1e-8)\n        if False:"}),
    ),
]
