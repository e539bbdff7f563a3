"""Checks of lab 3: an autograd engine. The reference is torch's own autograd.

A student may read this file: it holds inputs, common mistakes and hints, and no
solution. The grader runs its own copy, with inputs drawn from a secret. Functions whose
name begins with ``probe_`` run beside the student's code, so torch is imported only
where the reference needs it.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from graphlib import TopologicalSorter
from typing import Any, NoReturn

import numpy as np

from lmcore.course.labs import Raised, Student, Written, task
from lmcore.course.labs.compare import kind_of, same
from lmcore.course.labs.serving import describe_error

LAB = "03_autograd"

Array = np.ndarray
Wrong = Callable[..., Array]  # what a mistake adds to a gradient

# -------------------------------------------- beside the student's code: only measure


def _sweep(root: Any) -> None:
    """Push every node, users first; ``backward`` is not needed for it."""
    nodes, graph, waiting = {}, {}, [root]
    while waiting:
        node = waiting.pop()
        if id(node) not in graph:
            nodes[id(node)] = node
            graph[id(node)] = [id(parent) for parent in node.parents]
            waiting += node.parents
    for key in [*TopologicalSorter(graph).static_order()][::-1]:
        nodes[key].push()


def probe_operation(
    names: dict[str, Any],
    op: str,
    arrays: list[Array],
    uses: list[int],
    extra: list,
    held: list[Array],
    arriving: Array,
    again: bool,
) -> dict[str, Any]:
    """Run one operation forward and back, and read off what it did.

    Args:
        names: The notebook's.
        op: The operation's name.
        arrays: Values of its leaves.
        uses: Which leaf each argument is.
        extra: Further arguments that are no tensors.
        held: What each leaf's gradient holds before the sweep.
        arriving: What arrives at the result.
        again: Whether to use the operation once more, elsewhere, before the sweep.
    """
    tensor, function = names["Tensor"], names[op]
    given = [np.array(e) for e in extra]
    leaves = [tensor(array) for array in arrays]
    for leaf, start in zip(leaves, held, strict=True):
        leaf.grad = np.array(start)
    seen: dict[str, Any] = {"step": "forward"}
    try:
        out = function(*[leaves[i] for i in uses], *extra)
        if not isinstance(out, tensor):
            return {"other": out}
        seen["value"] = np.array(out.data)
        seen["linked"] = [_reaches(out, leaf) for leaf in leaves]
        if again:
            function(*[tensor(arrays[i] + 1.0) for i in uses], *given)
        seen["step"] = "back"
        out.grad = np.array(arriving)
        _sweep(out)
        seen["arrived"] = np.array(out.grad)
    except NotImplementedError:
        raise
    except Exception as error:
        return {**seen, "error": describe_error(error, names)}
    seen["kept"] = all(
        np.array_equal(leaf.data, array)
        for leaf, array in zip(leaves, arrays, strict=True)
    )
    seen["extra_kept"] = all(map(np.array_equal, extra, given))
    owners = [out, *leaves]
    seen["shared"] = any(
        np.shares_memory(one.grad, other.grad)
        for k, one in enumerate(owners)
        for other in owners[:k]
        if one is not other
    )
    seen["grads"] = [np.array(leaf.grad) for leaf in leaves]
    return seen


def _reaches(out: Any, leaf: Any) -> bool:
    """Whether one gets from a result to a leaf by way of ``parents``."""
    waiting, seen = [out], set()
    while waiting:
        node = waiting.pop()
        if node is leaf:
            return True
        if id(node) not in seen:
            seen.add(id(node))
            waiting += node.parents
    return False


class PushedTwiceError(Exception):
    """A node's ``push`` was called a second time, or in another graph's sweep."""


class Log:
    """The nodes that pushed in the current sweep, in order."""

    def begin(self, graph: int) -> None:
        """A new sweep, of this graph."""
        self.graph, self.order, self.met = graph, [], set()

    def note(self, key: tuple[int, int]) -> None:
        """Node ``key[1]`` of graph ``key[0]`` pushes."""
        if key in self.met or key[0] != self.graph:
            raise PushedTwiceError(*key, self)
        self.met.add(key)
        self.order.append(key)


def probe_backward(
    names: dict[str, Any],
    plans: list[list[list[tuple[int, float]]]],
    sweeps: int,
) -> dict[str, Any]:
    """Sweep graphs that are made here, without the student's operations.

    Args:
        names: The notebook's.
        plans: For each graph and each of its nodes the parents, as pairs of index and
            factor; node 0 is a leaf that all graphs share, and the last one the root.
        sweeps: How often to sweep each graph, with all gradients emptied in between.
    """
    tensor, backward = names["Tensor"], names["backward"]
    leaf, log, result = tensor(1.0), Log(), {}
    graphs = [_graph(tensor, leaf, plan, log, k) for k, plan in enumerate(plans)]
    try:
        for k, nodes in enumerate(graphs):
            for sweep in range(sweeps):
                result["when"] = (k, sweep)
                log.begin(k)
                if sweep:
                    for node in nodes:
                        node.grad = np.zeros_like(node.data)
                backward(nodes[-1])
    except NotImplementedError:
        raise
    except PushedTwiceError as error:
        graph, node, owner = error.args
        return {**result, "twice": [graph if owner is log else -1, node]}
    except Exception as error:
        return {**result, "error": describe_error(error, names)}
    result["order"] = [i for _, i in log.order]
    result["grad"] = np.array(leaf.grad, dtype=float)
    result["seed"] = np.array(graphs[-1][-1].grad, dtype=float)
    return result


def _graph(tensor: Any, leaf: Any, plan: list, log: Log, k: int) -> list:
    """Nodes that are sums of their parents times factors."""
    nodes = [leaf]
    for i, parents in enumerate(plan[1:], start=1):
        value = sum(nodes[j].data * factor for j, factor in parents)
        node = tensor(value, parents=tuple(nodes[j] for j, _ in parents))
        node.push = _pusher(node, [(nodes[j], f) for j, f in parents], log, (k, i))
        nodes.append(node)
    return nodes


def _pusher(
    node: Any, shares: list, log: Log, key: tuple[int, int]
) -> Callable[[], None]:
    """A node's ``push``, which notes that it was called."""

    def push() -> None:
        log.note(key)
        for parent, factor in shares:
            parent.grad = parent.grad + node.grad * factor

    return push


def probe_step(
    names: dict[str, Any], arrays: list[Array], grads: list[Array], lr: float
) -> dict[str, Any]:
    """One step with gradients that are given."""
    tensor, sgd_step = names["Tensor"], names["sgd_step"]
    params = [tensor(array) for array in arrays]
    for p, grad in zip(params, grads, strict=True):
        p.grad = grad.copy()
    sgd_step(params, lr)
    return {
        "params": [np.array(p.data) for p in params],
        "grads": [p.grad if p.grad is None else np.array(p.grad) for p in params],
    }


def probe_train(
    names: dict[str, Any],
    arrays: list[Array],
    x: Array,
    y: Array,
    batches: list[Array],
    lr: float,
) -> dict[str, Any]:
    """A short training by the student's whole engine."""
    tensor, train = names["Tensor"], names["train"]
    params = [tensor(array) for array in arrays]
    losses = train(params, x, y, batches, lr)
    return {"losses": losses, "params": [np.array(p.data) for p in params]}


# ------------------------------------------------------- the reference, and the verdict


def _numbers(student: Student) -> np.random.Generator:
    """NumPy's random numbers from the check's seed."""
    return np.random.default_rng(student.rng.getrandbits(31))


def true_operation(
    torch_op: Callable,
    arrays: Sequence[Array],
    uses: Sequence[int],
    extra: Sequence,
    arriving: Array,
) -> tuple[Array, list[Array]]:
    """Value and gradients by torch's autograd."""
    import torch

    leaves = [torch.tensor(array, requires_grad=True) for array in arrays]
    out = torch_op(*[leaves[i] for i in uses], *[torch.tensor(e) for e in extra])
    out.backward(torch.tensor(arriving))
    return out.detach().numpy(), [leaf.grad.numpy() for leaf in leaves]


def hold_operation(
    student: Student,
    op: str,
    torch_op: Callable,
    arrays: Sequence[Array],
    *,
    uses: Sequence[int] | None = None,
    extra: Sequence = (),
    held: bool = False,
    arriving: Array | None = None,
    again: bool = False,
    values: dict[str, Any] | None = None,
    wrong: dict[str, Wrong] | None = None,
) -> None:
    """Hold one operation against torch, forward and back.

    Args:
        student: Whose operation.
        op: Its name.
        torch_op: The same in torch.
        arrays: Values of its leaves.
        uses: Which leaf each argument is; each once by default.
        extra: Further arguments.
        held: Whether the leaves' gradients hold something before.
        arriving: What arrives at the result; random by default.
        again: Whether to use the operation elsewhere before the sweep back.
        values: Causes of a wrong value.
        wrong: Causes of a wrong gradient: from the index of the leaf, the arrays, and
            what arrives, what the mistake adds to that leaf's gradient.
    """
    rng = _numbers(student)
    uses = list(range(len(arrays))) if uses is None else list(uses)
    ones = np.ones(true_value(torch_op, arrays, uses, extra).shape)
    if arriving is None:
        arriving = np.asarray(rng.normal(size=ones.shape) + ones)
    before = [np.asarray(rng.normal(size=np.shape(a)) * held) for a in arrays]
    value, grads = true_operation(torch_op, arrays, uses, extra, arriving)
    _, unscaled = true_operation(torch_op, arrays, uses, extra, ones)
    args = op, list(arrays), uses, list(extra), before, arriving, again
    got = student.probe(probe_operation, *args)
    letters = "abc" if op != "cross_entropy" else ("logits",)
    shapes = [f"{letters[i]} of shape {np.shape(a)}" for i, a in enumerate(arrays)]
    words = ", ".join([letters[i] for i in uses] + ["targets"] * len(extra))
    call = student.called = f"{op}({words}) with {' and '.join(shapes)}"
    if "other" in got:
        missing = " (is there a `return`?)"
        if got["other"] is not None:
            missing = ": put it into a Tensor(..., parents=(...))"
        student.fail(f"expected a Tensor, got {kind_of(got['other'])}{missing}")
    if "error" in got:
        _explain_error(student, got, op)
    student.demand(
        got["kept"], "a tensor's `data` has changed: work on a new array, not in place"
    )
    student.demand(got["extra_kept"], "the targets have changed: work on a copy")
    student.expect(got["value"], value, causes=values)
    for i, linked in enumerate(got["linked"]):
        student.demand(
            linked,
            f"`{letters[i]}` is not among the result's parents, so the sweep back "
            "will never reach it: Tensor(..., parents=(...))",
        )
    student.demand(
        got["arrived"].shape == arriving.shape
        and np.array_equal(got["arrived"], arriving),
        "`push` changes out.grad, which it should only read: g *= ... works in place",
    )
    for i, (mine, true) in enumerate(zip(got["grads"], grads, strict=True)):
        student.called = f"{call}, the gradient of {letters[i]}"
        start = before[i]
        causes: dict[str, Any] = {}
        if again:
            causes[
                "the operation was used once more before the sweep: what push needs "
                "must belong to its own node, not to a name outside of the function"
            ] = lambda got: True
        if uses.count(i) > 1:
            causes[
                "your gradient is half of the expected one: the node is used twice, do "
                "its gradients add up? (+= instead of =)"
            ] = start + true / 2
        causes |= {
            text: _adds(start, function, (i, arrays, arriving))
            for text, function in (wrong or {}).items()
        }
        causes |= {
            "NaN: a gradient needs no division; a factor may be 0": (
                lambda got: not np.isfinite(got).all()
            ),
            "what stood in grad before is lost: a tensor may be used in several "
            "places, so gradients are added (+=)": lambda got, t=true, s=start: (
                s.any() and same(got, t, rtol=1e-4)
            ),
            "nothing was added: is out.push set to your function? And does it read "
            "out.grad when it runs, not when the node is made?": start,
            "broadcasting repeated this parent, so what arrives must be summed back "
            "to its shape: undo_broadcast": lambda got, t=true, a=arriving: (
                got.shape != t.shape and got.shape == a.shape
            ),
            "what arrives is left out: multiply by out.grad": start + unscaled[i],
            "the sign is reversed": start - true,
        }
        student.expect(mine, start + true, causes=causes)
    student.called = call
    student.demand(
        not got["shared"],
        "two gradients are one and the same array, so what is added to one changes the "
        "other: add to grad, do not put another node's array in its place",
    )


def true_value(
    torch_op: Callable, arrays: Sequence[Array], uses: Sequence[int], extra: Sequence
) -> Array:
    """The value alone."""
    import torch

    leaves = [torch.tensor(array) for array in arrays]
    extra = [torch.tensor(e) for e in extra]
    return torch_op(*[leaves[i] for i in uses], *extra).numpy()


def _adds(start: Array, function: Wrong, args: tuple) -> Callable[[Any], bool]:
    """Recognises a gradient to which a mistake added something."""
    return lambda got: same(got, start + function(*args))


def _explain_error(student: Student, got: dict[str, Any], op: str) -> NoReturn:
    """Fail with the student's exception, and what it may come from."""
    error, back = got["error"], got["step"] == "back"
    where = f", in the line `{error['line']}`" if error["line"] else ""
    text = f"raised {error['error']}: {error['message']}{where}"
    cause = ""
    if back and op == "matmul":
        cause = (
            "the shapes do not fit, so a transpose is missing or stands at the wrong "
            "factor: a.grad is (N, D), b.grad (D, M), and what arrives (N, M)"
        )
    elif back and error["error"] == "ValueError" and "broadcast" in error["message"]:
        cause = (
            "broadcasting repeated this parent, so what arrives must be summed back to "
            "its shape: undo_broadcast"
        )
    elif error["error"] == "RecursionError":
        cause = (
            "`*`, `+` and `@` of Tensors call your own functions again; compute with the "
            "arrays, a.data and b.data"
        )
    elif "unsupported operand" in error["message"] and "Tensor" in error["message"]:
        cause = "gradients are arrays: multiply them with b.data, not with b"
    elif "push()" in error["message"] and "argument" in error["message"]:
        cause = "`push` takes no arguments; it reads out.grad"
    elif "'NoneType' object is not callable" in error["message"]:
        cause = "`out.push = push` keeps the function; with `push()` it is called"
    elif error["error"] == "IndexError" and op == "cross_entropy":
        cause = (
            "classes count from 0, as columns do, and there are as many as logits has "
            "columns: do not shift the targets, and fix no number of classes"
        )
    student.fail(text + (f"\nLikely cause: {cause}" if cause else ""))


# ------------------------------------------------------------------- the tasks


@task(
    "undo_broadcast",
    points=2,
    hints=(
        "Compare the two shapes, aligned at the right. Which axes of g does the small "
        "array not have, and which does it have with size 1?",
        "Two steps. First sum away the axes at the left, g.ndim - len(shape) of them. "
        "Then sum over the axes where shape has a 1, and keep these axes.",
        "ndarray.sum takes axis= (a number or a tuple) and keepdims=. In the first step "
        "the axes disappear; in the second they stay, with size 1. A loop that sums "
        "axis 0 until the numbers of axes agree does for the first.",
    ),
)
def check_undo_broadcast(student: Student) -> None:
    """Sums to a shape, as torch's ``sum_to_size`` gives them."""
    import torch

    rng = _numbers(student)
    cases = [
        ((5, 3), (5, 3)),
        ((5, 3), (3,)),
        ((3, 3), (3,)),
        ((5, 3), (5, 1)),
        ((5, 3), (1, 3)),
        ((5, 3), ()),
        ((2, 5, 3), (3,)),
        ((2, 5, 3), (5, 1)),
        ((2, 5, 3), (2, 1, 3)),
        ((2, 5, 3), (1, 1)),
        ((2, 4, 5, 3), (5, 1)),
        ((1, 4), (4,)),
        ((), ()),
    ]
    for given, shape in cases:
        g = rng.integers(1, 10, given).astype(float)
        got = student.call("undo_broadcast", g, shape, raises=True)
        student.called = f"undo_broadcast(g, {shape}) with g of shape {given}"
        if isinstance(got, Raised):
            text = f"raised {got.type_name}: {got.message}"
            if "reshape" in text or "broadcast" in text or "remapping" in text:
                text += (
                    "\nLikely cause: g is larger than the result: entries must be summed. "
                    "reshape and broadcast_to do not sum"
                )
            student.fail(text)
        expected = torch.tensor(g).sum_to_size(shape).numpy()
        if isinstance(got, int | float) and shape == ():
            got = np.array(float(got))  # what NumPy's own sum gives for no axes
        left = g.sum(tuple(range(g.ndim - len(shape))))
        student.expect(
            got,
            expected,
            causes={
                "axes at the left that the shape does not have must go, not stay with "
                "size 1: no keepdims for these": (
                    lambda got, e=expected: (
                        got.ndim > e.ndim and same(got.ravel(), e.ravel())
                    )
                ),
                "a sum over an axis of size 1 must keep the axis: keepdims=True": (
                    lambda got, e=expected: (
                        got.shape != e.shape and same(got.ravel(), e.ravel())
                    )
                ),
                "axes that the shape has with size 1 were repeated too": (
                    lambda got, part=left, e=expected: (
                        part.shape != e.shape and same(got, part)
                    )
                ),
                "g was given back as it came: sum it over what was repeated": (
                    lambda got, g=g, e=expected: g.shape != e.shape and same(got, g)
                ),
                "the gradient sums what was repeated, it takes no mean": (
                    expected * (expected.size / g.size)
                ),
                "one copy is taken; the gradient sums all of them": (
                    lambda got, g=g: same(got, g[(0,) * (g.ndim - got.ndim)])
                ),
                "shapes are aligned at the right: the axes at the left were repeated": (
                    lambda got, g=g: same(got, g.sum(-1))
                ),
                "reshape mixes the axes: name those to sum over": (
                    lambda got, g=g, e=expected: same(
                        got, g.reshape(-1, e.size).sum(0).reshape(e.shape)
                    )
                ),
                "everything was summed, not only what was repeated": (
                    lambda got, g=g, e=expected: same(got, np.full(e.shape, g.sum()))
                ),
                "the result must have the shape of the small array; was reshape used "
                "where a sum is needed?": lambda got, e=expected: got.shape != e.shape,
            },
        )


@task(
    "mul",
    points=3,
    needs=("undo_broadcast",),
    hints=(
        "Copy exp and change three things: the value, the parents, and what push adds, "
        "now for two parents.",
        "If b stays as it is, a * b moves b times as fast as a. So a gets what arrives "
        "times b's data, and b gets what arrives times a's data. For a sum both factors "
        "are 1. Then undo_broadcast, each to its own parent's shape.",
        "Inside push: a.grad += undo_broadcast(what arrives, times the local "
        "derivative, a.data.shape), and likewise for b. Where a and b are the same "
        "tensor, the two += make it right without any special case.",
    ),
)
def check_mul(student: Student) -> None:
    """Sums and products, with reuse and broadcasting."""
    import torch

    rng = _numbers(student)
    for op, torch_op in (("add", torch.add), ("mul", torch.mul)):

        def hold(
            *shapes: tuple[int, ...],
            op: str = op,
            f: Any = torch_op,
            zero: bool = False,
            **kw: Any,
        ):
            arrays = [rng.normal(size=s) + 2 for s in shapes]
            if zero:
                arrays[0][0] = arrays[-1][-1] = 0.0
            hold_operation(student, op, f, arrays, wrong=WRONG_ELEMENTWISE[op], **kw)

        hold((3,), (3,))
        hold((), uses=(0, 0), arriving=np.array(1.0))
        hold((2, 3), uses=(0, 0))
        hold((2, 3), (2, 3), held=True)
        hold((5, 3), (3,), held=True)
        hold((5, 1), (5, 3))
        hold((), (2, 3))
        hold((2, 3), ())
        hold((4, 1), (1, 3), held=True)
        hold((3,), (3,), zero=True)
        hold((3,), (3,), again=True)


def _own_factor(i: int, arrays: Sequence[Array], g: Array) -> Array:
    return g * arrays[i]


WRONG_ELEMENTWISE: dict[str, dict[str, Wrong]] = {
    "add": {
        "for a sum the local derivative is 1: what arrives is handed on as it is": (
            lambda i, arrays, g: g * arrays[1 - i]
        )
    },
    "mul": {
        "the factors are swapped: a gets what arrives times b, and b times a": (
            _own_factor
        ),
        "what arrives is handed on as it is; that is right for a sum": (
            lambda i, arrays, g: g
        ),
    },
}


@task(
    "matmul",
    points=4,
    hints=(
        "For matmul let the shapes decide: write them down for a, b and what arrives, "
        "and see which product of two of them has the shape that you need.",
        "matmul: what arrives times b transposed for a, and a transposed times what "
        "arrives for b. tanh: its derivative can be had from the output alone. relu: "
        "what arrives goes through where the input is above 0, and nowhere else.",
        "out.data holds tanh(x) when push runs, so the local derivative is one minus "
        "its square. For relu multiply by the comparison a.data > 0: NumPy takes True "
        "for 1 and False for 0.",
    ),
)
def check_matmul(student: Student) -> None:
    """Matrix product, tanh and relu."""
    import torch

    rng = _numbers(student)
    wrong_product: dict[str, Wrong] = {
        "a transpose is missing: what arrives times b transposed": (
            lambda i, arrays, g: g @ arrays[1] if i == 0 else arrays[0] @ g
        ),
        "the two factors stand in the wrong order": (
            lambda i, arrays, g: arrays[1].T @ g if i == 0 else g @ arrays[0].T
        ),
        "the other factor comes in untransposed and in the wrong order": (
            lambda i, arrays, g: arrays[1] @ g if i == 0 else g @ arrays[0]
        ),
        "this is the elementwise product's gradient": (
            lambda i, arrays, g: g * arrays[1 - i]
        ),
        "b is used by all rows: their gradients are summed, with no mean": (
            lambda i, arrays, g: (
                arrays[0].T @ g / len(g) if i else g @ arrays[1].T  # a is right
            )
        ),
        "b is used by all rows, not by the first alone": (
            lambda i, arrays, g: np.outer(arrays[0][0], g[0]) if i else g @ arrays[1].T
        ),
    }

    def hold(*shapes: tuple[int, ...], **kw: Any) -> None:
        arrays = [rng.normal(size=s) for s in shapes]
        values = {
            "the product is elementwise; matmul is @": (
                lambda got: same(got, arrays[0] * arrays[-1])
            )
        }
        kw |= {"values": values, "wrong": wrong_product}
        hold_operation(student, "matmul", torch.matmul, arrays, **kw)

    hold((2, 2), (2, 2))
    hold((4, 3), (3, 2))
    hold((1, 3), (3, 1), held=True)
    hold((3, 3), uses=(0, 0))
    hold((4, 3), (3, 2), again=True)
    spread = np.concatenate([[0.5, -0.5, 0.0, 2.0, -2.0], rng.normal(size=4)])
    wrong_tanh: dict[str, Wrong] = {
        "1 - tanh² is taken of the input; it needs the output, tanh(x)": (
            lambda i, arrays, g: g * (1 - arrays[0] ** 2)
        ),
        "tanh is applied to the output, which is tanh(x) already": (
            lambda i, arrays, g: g * (1 - np.tanh(np.tanh(arrays[0])) ** 2)
        ),
        "tanh must be squared: 1 - tanh²": (
            lambda i, arrays, g: g * (1 - np.tanh(arrays[0]))
        ),
        "this is the sigmoid's derivative, s (1 - s)": (
            lambda i, arrays, g: g * np.tanh(arrays[0]) * (1 - np.tanh(arrays[0]))
        ),
    }
    wrong_relu: dict[str, Wrong] = {
        "at 0 the derivative is taken as 0: compare with > and not with >=": (
            lambda i, arrays, g: g * (arrays[0] >= 0)
        ),
        "at 0 the derivative is taken as 0, not as 1/2": (
            lambda i, arrays, g: g * np.heaviside(arrays[0], 0.5)
        ),
        "the derivative of relu is 1 or 0, not x": (
            lambda i, arrays, g: g * np.maximum(arrays[0], 0)
        ),
        "nothing passes where the input was cut to 0": lambda i, arrays, g: g,
        "look at the sign of the input, not at that of the gradient": (
            lambda i, arrays, g: np.maximum(g, 0)
        ),
        "negative gradients pass too; only the sign of the input counts": (
            lambda i, arrays, g: np.maximum(g, 0) * (arrays[0] > 0)
        ),
    }
    for held in (False, True):
        for array in (spread, rng.normal(size=(3, 4))):
            hold_operation(
                student, "tanh", torch.tanh, [array], held=held, wrong=wrong_tanh
            )
            hold_operation(
                student,
                "relu",
                torch.relu,
                [array],
                held=held,
                wrong=wrong_relu,
                values={
                    "relu is exactly 0 below 0": lambda got, array=array: got[
                        array < 0
                    ].any()
                },
            )
    for op, torch_op in (("tanh", torch.tanh), ("relu", torch.relu)):
        hold_operation(student, op, torch_op, [spread], again=True)


# For each node its parents with factors. Node 0 is the leaf, the last one the root.
CHAIN = [[], [(0, 2.0)], [(1, 3.0)]]
SHORT_CUT = [[], [(0, 2.0)], [(1, 3.0)], [(1, 5.0), (2, 7.0)]]
SHORT_CUT_TURNED = [[], [(0, 2.0)], [(1, 3.0)], [(2, 7.0), (1, 5.0)]]
# b is a parent of c twice and of d once, and the root uses both, in either order.
TWICE_AND_ONCE = [
    [],
    [(0, 2.0)],
    [(1, 3.0), (1, 5.0)],
    [(1, 7.0)],
    [(2, 1.0), (3, 1.0)],
]
ONCE_AND_TWICE = [*TWICE_AND_ONCE[:4], [(3, 1.0), (2, 1.0)]]
DOUBLED = [[], *[[(i, 1.0), (i, 1.0)] for i in range(12)]]
DEEP = [[], *[[(i, 1.0)] for i in range(5_000)]]


def random_plan(rng: np.random.Generator, n_nodes: int = 12) -> list:
    """A graph in which each node uses up to three earlier ones."""
    plan: list = [[]]
    for i in range(1, n_nodes):
        chosen = {i - 1, *rng.integers(0, i, 2).tolist()}
        order = rng.permutation(sorted(chosen)).tolist()
        plan.append([(j, float(rng.integers(1, 4))) for j in order])
    return plan


def true_leaf_gradient(plan: list) -> float:
    """How fast the root moves with the leaf, by torch."""
    import torch

    leaf = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    nodes = [leaf]
    for parents in plan[1:]:
        nodes.append(sum(nodes[j] * factor for j, factor in parents))
    nodes[-1].backward()
    return leaf.grad.item()


@task(
    "backward",
    points=4,
    hints=(
        "Two parts: make a list of all nodes in which parents stand before the nodes "
        "that use them; then seed the root and go through the list from its end.",
        "Depth first: a node goes into the list when all its parents are in, and never "
        "twice (keep a set of nodes that you have met). To do without nested calls, "
        "keep a stack of your own, and look at each node on it twice: the first time to "
        "put its parents on the stack, the second time to put it into the list.",
        "Another way counts. Walk the graph once, and count for each node how many "
        "times it is a parent. Then start with the root: push it, and lower the count "
        "of each of its parents; a node whose count reaches 0 has got all its shares "
        "and is the next to push. A list of ready nodes is all you need.",
    ),
)
def check_backward(student: Student) -> None:
    """Graphs that are made by the check: order, reuse, depth, two calls."""
    rng = _numbers(student)
    plans = [random_plan(rng) for _ in range(4)]
    _hold_sweep(student, "the graph a → b → c", [CHAIN])
    _hold_sweep(student, "the graph a → b → c → d with b → d", [SHORT_CUT])
    _hold_sweep(student, "the graph a → b → c → d with b → d", [SHORT_CUT_TURNED])
    _hold_sweep(student, "a node added to itself, 12 times in a row", [DOUBLED])
    for plan in (TWICE_AND_ONCE, ONCE_AND_TWICE):
        words = (
            "0 → 1, of which 2 is made with 1 used twice, 3 with 1 once, 4 of 2 and 3"
        )
        _hold_sweep(student, words, [plan])
    for plan in plans:
        _hold_sweep(student, "a graph of 12 nodes", [plan])
    _hold_sweep(student, "two losses that share a leaf", [SHORT_CUT, plans[0]])
    words = "the same graph again, with all gradients emptied in between"
    _hold_sweep(student, words, [SHORT_CUT], sweeps=2)
    _hold_sweep(student, "a chain of 5,000 nodes", [DEEP])


def _hold_sweep(
    student: Student, words: str, plans: list[list], sweeps: int = 1
) -> None:
    """Hold ``backward`` against torch on some graphs."""
    named = len(plans[-1]) <= 4

    def name(i: int) -> str:
        return "abcd"[i] if named else f"number {i} (the leaf is 0)"

    got = student.probe(probe_backward, plans, sweeps)
    student.called = f"backward(root), {words}"
    if "twice" in got:
        k, i = got["twice"]
        if k != got["when"][0]:
            student.fail(
                "a node of an earlier graph was pushed again\nLikely cause: a list or "
                "set lives on between calls; a default argument such as seen=set() is "
                "made once, when the function is defined"
            )
        student.fail(
            f"node {name(i)} pushed twice\nLikely cause: it is met on several paths; "
            "keep a set of the nodes that are already in your list"
        )
    if "error" in got:
        error = got["error"]
        where = f", in the line `{error['line']}`" if error["line"] else ""
        text = f"raised {error['error']}: {error['message']}{where}"
        if error["error"] == "RecursionError":
            text += (
                "\nLikely cause: a function that calls itself once for each node; "
                "Python stops at about a thousand nested calls. Keep a stack in a list"
            )
        student.fail(text)
    last = len(plans[-1]) - 1
    order = got["order"]
    if not order:
        again = got["when"][1] > 0
        student.fail(
            "no node pushed"
            + (
                " in the second call\nLikely cause: a list or set lives on between "
                "calls; a default argument such as seen=set() is made once, when the "
                "function is defined"
                if again
                else ": call push() of each node that has parents"
            )
        )
    if len(order) < last:
        missing = min(set(range(1, last + 1)) - set(order))
        student.fail(
            f"{len(order)} of {last} nodes pushed; node {name(missing)} never did\n"
            "Likely cause: not every parent is visited, or nodes are told apart by "
            "their values; two nodes may hold the same number (id(node) tells them apart)"
        )
    student.demand(
        got["seed"].any(),
        "all gradients are 0\nLikely cause: the sweep must start with 1 in root.grad, "
        "the gradient of root with respect to itself",
    )
    student.demand(
        np.array_equal(got["seed"], np.ones(())) or got["seed"].shape != (),
        f"root.grad is {got['seed']}\nLikely cause: the sweep must start with 1 in "
        "root.grad, whatever root.data is",
    )
    place = {node: k for k, node in enumerate(order)}
    for user, parents in enumerate(plans[-1]):
        for node, _ in parents:
            if node and place[node] < place[user]:
                student.fail(
                    f"node {name(node)} pushed before node {name(user)}, which uses it, so its "
                    "gradient was not complete\nLikely cause: the order. "
                    + (
                        "Parents came first; go through the list from its end"
                        if order[-1] == last and last > 1
                        else "First come, first served (level by level, or a node "
                        "before its parents) is not enough: a node may go into the "
                        "list only when all its parents are in it"
                    )
                )
    single = [true_leaf_gradient(plan) for plan in plans]
    total = sum(single)
    student.called += ", the gradient of the leaf"
    student.expect(
        got["grad"],
        np.array(total),
        causes={
            "the second loss wiped out the first one's gradient; backward only adds, "
            "and emptying is the training loop's job": (
                lambda got: len(single) > 1 and same(got, np.array(single[-1]))
            ),
            "all gradients are 0: the sweep must start with 1 in root.grad": 0.0,
        },
    )


@task(
    "cross_entropy",
    points=4,
    hints=(
        "Three steps: log-probabilities of every row, one number out of each row, the "
        "mean. And push needs the probabilities, so keep what you have computed.",
        "log p is z minus the log of the sum of the exponentials; with the row's "
        "largest logit subtracted first nothing overflows. Take exactly one entry a "
        "row: index with two arrays of the same length, row numbers and targets.",
        "The gradient of the mean is (probabilities minus one-hot targets) divided by "
        "the number of rows, times out.grad. Make the one-hot by taking 1 off one entry "
        "in each row of a new array. max and sum go along axis=1, with keepdims=True.",
    ),
)
def check_cross_entropy(student: Student) -> None:
    """Value and gradient against torch, for large logits too."""
    import torch

    rng = _numbers(student)
    f = torch.nn.functional.cross_entropy
    plain = np.array([[2.0, 1.0, 0.0]])
    two = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    drawn = rng.normal(size=(5, 4)) * 2
    square = rng.normal(size=(4, 4))
    large = np.array([[1000.0, 0.0, -1000.0], [-800.0, -801.0, -803.0]])
    one = np.array(1.0)
    many = rng.normal(size=(3, 12))
    cases: list[tuple[Array, list[int], dict[str, Any]]] = [
        (plain, [1], {"arriving": one}),
        (two, [0, 2], {"arriving": one}),
        (drawn, [3, 1, 0, 3, 2], {"arriving": one}),
        (square, [3, 1, 0, 2], {}),
        (drawn, [0, 0, 1, 2, 3], {"held": True}),
        (large, [0, 1], {}),
        (large, [2, 0], {}),
        (many, [11, 0, 10], {}),
        (drawn, [3, 1, 0, 3, 2], {"again": True}),
    ]
    for logits, classes, kw in cases:
        y = np.array(classes)
        hold_operation(
            student,
            "cross_entropy",
            f,
            [logits],
            extra=[y],
            values=_wrong_losses(logits, y),
            wrong=_wrong_deltas(y),
            **kw,
        )


def _softmax(z: Array, axis: int | None = 1) -> Array:
    """Probabilities by torch's rule, over one axis or over everything."""
    import torch

    t = torch.tensor(z)
    return (
        (t.flatten() if axis is None else t).softmax(axis or 0).reshape(t.shape).numpy()
    )


def _log2_loss(z: Array, y: Array) -> float:
    """The loss with the logarithm of the sum to the base 2."""
    shifted = z - z.max(axis=1, keepdims=True)
    total = np.log2(np.exp(shifted).sum(axis=1))
    return float((total - shifted[range(len(y)), y]).mean())


def _wrong_losses(z: Array, y: Array) -> dict[str, Any]:
    """What mistakes make of the loss."""
    with np.errstate(all="ignore"):
        log_p = np.log(_softmax(z))
        along_columns = -np.log(_softmax(z, 0))[range(len(y)), y].mean()
        over_all = -np.log(_softmax(z, None))[range(len(y)), y].mean()
    each = -log_p[range(len(y)), y]
    n = len(y)
    known: dict[str, Any] = {
        "NaN or infinity: subtract each row's largest logit before np.exp, and take no "
        "logarithm of a probability, which may have rounded to 0": (
            lambda got: not np.isfinite(got).all()
        ),
        "a constant in the logarithm, or clipped numbers: large losses are cut off": (
            lambda got: np.abs(z).max() > 500 and got < each.mean()
        ),
        "a loss for each row; the mean of them is wanted": each,
        "this is the sum over the rows, and the mean is wanted": np.array(each.sum()),
        "the sign is reversed: -log p": np.array(-each.mean()),
        "the logarithm is natural, not to the base 2": lambda got: (
            same(got, np.array(each.mean() / np.log(2)))
            or same(got, np.array(_log2_loss(z, y)))
        ),
        "log_probs[:, targets] takes every target of every row: index with "
        "np.arange(N) and targets together": -log_p[:, y].mean(),
        "the mean is over rows, not over all entries": np.array(
            each.sum() / log_p.size
        ),
        "the targets are off by one: classes count from 0": (
            lambda got: any(
                same(got, np.array(-log_p[range(n), (y + k) % z.shape[1]].mean()))
                for k in (1, -1)
            )
        ),
        "softmax goes along each row (axis=1), not along the columns": np.array(
            along_columns
        ),
        "each row needs its own sum (axis=1, keepdims=True), not that of all rows": (
            np.array(over_all)
        ),
        "the right class of row i is targets[i], whatever the largest logit": (
            -log_p.max(axis=1).mean()
        ),
        "this is the mean of the right logits; softmax is missing": np.array(
            -z[range(n), y].mean()
        ),
        "this is the mean of 1 - p; the loss is -log p": np.array(
            1 - np.exp(-each).mean()
        ),
    }
    return {k: v if callable(v) else np.array(v) for k, v in known.items()}


def _wrong_deltas(y: Array) -> dict[str, Wrong]:
    """What mistakes make of the gradient."""

    def one_hot(z: Array, off: int = 0) -> Array:
        return np.eye(z.shape[1])[(y + off) % z.shape[1]]

    return {
        "the targets are off by one (too high): classes count from 0": (
            lambda i, arrays, g: (
                g * (_softmax(arrays[0]) - one_hot(arrays[0], 1)) / len(y)
            )
        ),
        "the targets are off by one (too low): classes count from 0": (
            lambda i, arrays, g: (
                g * (_softmax(arrays[0]) - one_hot(arrays[0], -1)) / len(y)
            )
        ),
        "the mean over N rows divides the gradient by N too": (
            lambda i, arrays, g: g * (_softmax(arrays[0]) - one_hot(arrays[0]))
        ),
        "1 must be taken off the right class: p - [j = y]": (
            lambda i, arrays, g: g * _softmax(arrays[0]) / len(y)
        ),
        "the gradient reaches all classes, not only the right one": (
            lambda i, arrays, g: (
                g
                * (_softmax(arrays[0]) - one_hot(arrays[0]))
                * one_hot(arrays[0])
                / len(y)
            )
        ),
        "1 is taken off whole columns, or more than one entry a row": (
            lambda i, arrays, g: (
                g * (_softmax(arrays[0]) - one_hot(arrays[0]).max(0)) / len(y)
            )
        ),
        "the gradient is divided by the number of all entries, and the mean is over "
        "N rows": (
            lambda i, arrays, g: (
                g * (_softmax(arrays[0]) - one_hot(arrays[0])) / arrays[0].size
            )
        ),
    }


@task(
    "train",
    points=4,
    needs=("undo_broadcast", "mul", "matmul", "backward", "cross_entropy"),
    hints=(
        "For each batch four things, in this order: forward to the loss, backward, step "
        "and empty, note the loss.",
        "x[ids] and y[ids] are a batch. p.data is an array: change it, or put a new one "
        "in its place. p.grad must hold zeros again before the next sweep, since "
        "backward only adds.",
        "sgd_step: in a loop over params subtract lr times p.grad from p.data, then "
        "give p.grad zeros of the same shape. train: loss = cross_entropy(mlp(...), "
        "...) on the rows of the batch, and float(loss.data) goes into the list.",
    ),
)
def check_train(student: Student) -> None:
    """One step with given gradients, then a short training against torch."""
    rng = _numbers(student)
    arrays = [rng.normal(size=s) for s in ((3, 2), (2,))]
    grads = [rng.normal(size=a.shape) for a in arrays]
    lr = 0.25
    got = student.probe(probe_step, arrays, grads, lr)
    student.called = "sgd_step(params, 0.25), the parameters after it"
    pairs = list(zip(arrays, grads, strict=True))
    student.expect(
        got["params"],
        [a - lr * g for a, g in pairs],
        causes={
            "the step goes against the gradient (minus)": [
                a + lr * g for a, g in pairs
            ],
            "the parameters did not move. `p = p - ...` gives a new name to a new "
            "value; change p.data. And empty grad only after the step": arrays,
            "the learning rate is missing": [a - g for a, g in pairs],
        },
    )
    student.called = "sgd_step(params, 0.25), the gradients after it"
    student.demand(
        all(g is not None and not np.any(g) for g in got["grads"]),
        "they must hold zeros again\nLikely cause: gradients are not emptied, so the "
        "next sweep adds to them",
    )
    few = [rng.permutation(12)[:4] for _ in range(8)]
    many = [rng.permutation(12)[: rng.integers(2, 7)] for _ in range(30)]
    _hold_training(student, rng, few, lr, "8 batches of 4")
    _hold_training(student, rng, many, 0.1, "30 batches of 2 to 6")


def _hold_training(
    student: Student,
    rng: np.random.Generator,
    batches: list[Array],
    lr: float,
    words: str,
) -> None:
    """Hold a short training against torch's."""
    x, y = rng.normal(size=(12, 4)), rng.integers(0, 3, 12)
    arrays = [rng.normal(size=s) * 0.7 for s in ((4, 5), (5,), (5, 3), (3,))]
    n = len(batches)
    got = student.probe(probe_train, arrays, x, y, batches, lr)
    student.called = f"train(params, x, y, batches, {lr}) with {words}, the losses"
    losses, params = true_training(arrays, x, y, batches, lr)

    def gives(rows: Sequence[Array] = batches, rate: float = lr, **mistake: bool):
        return lambda got: same(
            got, true_training(arrays, x, y, rows, rate, **mistake)[0]
        )

    student.expect(
        got["losses"],
        losses,
        causes={
            "only one loss came back: is `return` inside the loop, or a list missing?": (
                lambda got: isinstance(got, float) or len(got) == 1
            ),
            "the losses must be floats: float(loss.data)": (
                lambda got: len(got) == n and not isinstance(got[0], float)
            ),
            "the list still holds the losses of an earlier call: begin with an empty one": (
                lambda got: len(got) > n and same(got[-n:], losses)
            ),
            "one loss for each batch, whatever their number": (
                lambda got: len(got) != n
            ),
            "gradients of earlier batches are still in grad: empty them after each "
            "step": gives(empty=False),
            "the parameters never moved: is backward called before sgd_step?": (
                gives(rate=0.0)
            ),
            "the loss climbs: the step goes against the gradient (minus)": (
                gives(rate=-lr)
            ),
            "each loss is that after its step; the one before it is wanted": (
                gives(after=True)
            ),
            "each step uses all rows; it should use x[ids] and y[ids]": (
                gives([np.arange(12)] * n)
            ),
            "the learning rate is divided by the size of the batch; the loss is a "
            "mean already": gives(rate=lr / 4),
            "each loss is that of its own batch, in the order given; x and y are cut by "
            "the same row numbers": (lambda got: abs(got[0] - losses[0]) > 1e-6),
            "the first loss is right and a later one is not: look at the step (is it "
            "sgd_step with this lr, once for each batch?) and at the loss (the mean over "
            "this very batch?)": lambda got: True,
        },
    )
    student.called = f"train(params, x, y, batches, {lr}), the parameters after it"
    causes = {"the tensors that were given did not move: was a copy trained?": arrays}
    student.expect(got["params"], params, causes=causes)


def true_training(
    arrays: Sequence[Array],
    x: Array,
    y: Array,
    batches: Sequence[Array],
    lr: float,
    *,
    empty: bool = True,
    after: bool = False,
) -> tuple[list[float], list[Array]]:
    """Training by torch; with mistakes, to recognise them.

    Args:
        arrays: Parameters to start with.
        x: Inputs.
        y: Classes.
        batches: Row numbers.
        lr: Learning rate.
        empty: Whether gradients are emptied after each step.
        after: Whether to note the loss after the step.
    """
    import torch

    params = [torch.tensor(a, requires_grad=True) for a in arrays]
    losses = []
    for rows in batches:
        inputs, targets = torch.tensor(x[rows]), torch.tensor(y[rows])
        loss = _torch_loss(params, inputs, targets)
        loss.backward()
        for p in params:
            p.data.add_(p.grad, alpha=-lr)
            p.grad.mul_(not empty)
        shown = _torch_loss(params, inputs, targets) if after else loss
        losses.append(shown.item())
    return losses, [p.detach().numpy() for p in params]


def _torch_loss(params: Sequence[Any], x: Any, y: Any) -> Any:
    """Loss of a network with one hidden layer of tanh."""
    from torch.nn.functional import cross_entropy, linear

    w1, b1, w2, b2 = params
    return cross_entropy(linear(linear(x, w1.T, b1).tanh(), w2.T, b2), y)


# -------------------------------------------------------------- the measurement

STEPS = (1e-1, 1e-3, 1e-5, 1e-7, 1e-9, 1e-11)
METHODS = ("one-sided", "central")
FIRM = {  # here Taylor's remainder rules; elsewhere rounding, which is a matter of luck
    ("one-sided", 1e-1),
    ("one-sided", 1e-3),
    ("one-sided", 1e-5),
    ("central", 1e-1),
    ("central", 1e-3),
}


@lru_cache
def own_network(name: str) -> tuple[Array, Array, list[Array]]:
    """A student's own small network and its data.

    Args:
        name: What ``STUDENT`` says.

    Returns:
        x (6, 4), y (6,), and the arrays W1, b1, W2, b2.
    """
    seed = Student(lambda request: {}, name, "").own_rng("network of lab 3")
    rng = np.random.default_rng(seed.getrandbits(31))
    x, y = rng.normal(size=(6, 4)), rng.integers(0, 3, 6)
    return x, y, [rng.normal(size=s) for s in ((4, 3), (3,), (3, 3), (3,))]


@lru_cache
def true_step_errors(name: str) -> dict[str, dict[float, float]]:
    """Errors of both differences on a student's network, by method and step."""
    import torch

    x, y, arrays = own_network(name)
    shapes = [a.shape for a in arrays]
    sizes = [a.size for a in arrays]
    inputs, rows = torch.tensor(x), torch.arange(len(y))

    def losses(points: Any) -> Any:
        """One loss for each row of points, a row being all parameters."""
        pieces = points.split(sizes, dim=1)
        w1, b1, w2, b2 = (
            piece.view(-1, *(shape if len(shape) == 2 else (1, *shape)))
            for piece, shape in zip(pieces, shapes, strict=True)
        )
        logits = (inputs @ w1 + b1).tanh() @ w2 + b2
        return -logits.log_softmax(dim=2)[:, rows, torch.tensor(y)].mean(dim=1)

    theta = torch.tensor(np.concatenate([a.ravel() for a in arrays]))[None]
    theta.requires_grad_()
    exact = torch.autograd.grad(losses(theta).sum(), theta)[0][0]
    theta = theta.detach()
    eye = torch.eye(theta.shape[1], dtype=theta.dtype)
    table: dict[str, dict[float, float]] = {method: {} for method in METHODS}
    for h in STEPS:
        ahead, behind = losses(theta + h * eye), losses(theta - h * eye)
        for method, numeric in (
            ("one-sided", (ahead - losses(theta)) / h),
            ("central", (ahead - behind) / (2 * h)),
        ):
            gap = (numeric - exact).abs().max() / exact.abs().max()
            table[method][h] = gap.item()
    return table


@task(
    "step_errors",
    points=4,
    needs=("mul", "matmul", "backward", "cross_entropy"),
    hints=(
        "Run the three cells of the experiment and copy what they print.",
        "STUDENT must be your name before you measure, and every task before this one "
        "must be right: the errors are those against your own engine's gradient.",
        'The form is {"one-sided": {0.1: ..., 0.001: ..., ...}, "central": {...}}, with '
        "six numbers each.",
    ),
)
def check_step_errors(student: Student) -> None:
    """The student's twelve measurements, on a network of their own."""
    got = student.get("step_errors")
    expected = true_step_errors(student.name)
    student.demand(
        isinstance(got, dict) and set(got) == set(METHODS),
        'must be a dict with the keys "one-sided" and "central"',
    )
    for method in METHODS:
        row = got[method]
        student.demand(
            isinstance(row, dict) and set(row) == set(STEPS),
            f"[{method!r}] must be a dict with the six steps from 0.1 to 1e-11 as keys",
        )
        for h in STEPS:
            true, mine = expected[method][h], row[h]
            student.demand(
                isinstance(mine, int | float) and not isinstance(mine, bool),
                f"[{method!r}][{h:g}] must be a number",
            )
            if (method, h) in FIRM:
                fits = abs(mine - true) <= 0.07 * true
            else:  # rounding differs between machines; its size does not
                fits = true / 50 <= mine <= true * 50
            if fits:
                continue
            other = METHODS[method == METHODS[0]]
            cause = "was it measured with another STUDENT, or with a wrong engine?"
            if abs(got[other][h] - true) <= 0.07 * true:
                cause = "the two methods are swapped"
            elif (method, h) not in FIRM and mine == 0:
                cause = "was the number rounded to 0? Two significant digits are wanted"
            student.fail(
                f"[{method!r}][{h:g}] is {mine:.1e}, which does not fit your network"
                f"\nLikely cause: {cause}"
            )


analysis = Written(
    "analysis",
    points=6,
    rubric=(
        "2 points: gives both factors from the own table, and traces each to the first "
        "term that Taylor's series leaves over.",
        "2 points: names what grows as h falls, and why it is divided by h; gives the "
        "best step of each method with its error.",
        "2 points: two mistakes, one point each, with the reason why a check of this "
        "very loss, in one sweep, cannot see them.",
    ),
)

# -------------------------------------------------------------------- the stretch

N_TRAIN = 1_437


@lru_cache
def stretch_digits() -> tuple[Array, Array, Array, Array]:
    """The same for everybody: images and digits to learn from, and to be asked about."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = x / 16
    return x[:N_TRAIN], y[:N_TRAIN], x[N_TRAIN:], y[N_TRAIN:]


def course_figure() -> float:
    """Share of the last 360 digits that chapter 04's network reads right."""
    from lmcore import autograd, optim

    x, y, x_new, y_new = stretch_digits()
    rng = np.random.default_rng(0)
    start = [
        rng.normal(size=(64, 64)) * np.sqrt(2 / 64),
        np.zeros(64),
        rng.normal(size=(64, 10)) * np.sqrt(2 / 64),
        np.zeros(10),
    ]
    w1, b1, w2, b2 = params = [autograd.Tensor(a, requires_grad=True) for a in start]
    optimizer = optim.Adam(params, lr=3e-3)
    for _ in range(30):
        for rows in np.array_split(rng.permutation(N_TRAIN), N_TRAIN // 32):
            logits = (autograd.Tensor(x[rows]) @ w1 + b1).relu() @ w2 + b2
            autograd.cross_entropy(logits, y[rows]).backward()
            optimizer.step()
            optimizer.zero_grad()
    logits = (autograd.Tensor(x_new) @ w1 + b1).relu() @ w2 + b2
    return float((logits.data.argmax(-1) == y_new).mean())


@task(
    "classify",
    points=0,
    stretch=True,
    needs=("train",),
    hints=(
        "Where does the network fail: on the images it has learned, or on new ones? What "
        "makes up for that is not the same.",
        "1,437 images are few. An image moved by a pixel shows the same digit, and "
        "several networks with other starts make other mistakes.",
        "Try: images shifted at random in each epoch, a mean over the probabilities of a "
        "few networks, a rate that falls towards the end, weight decay, a convolution "
        "as a matmul over patches.",
    ),
)
def check_classify(student: Student) -> float:
    """Digits for new images; gives the share that is right."""
    x, y, x_new, y_new = stretch_digits()
    order = _numbers(student).permutation(len(y_new))  # the order tells nothing
    x_new, y_new = x_new[order], y_new[order]
    got = student.call("classify", x, y, x_new)
    student.called = "classify(x, y, x_new)"
    student.demand(
        isinstance(got, np.ndarray) and got.shape == y_new.shape,
        f"must give an array of shape {y_new.shape}, one digit for each new image",
    )
    return float((got == y_new).mean())
