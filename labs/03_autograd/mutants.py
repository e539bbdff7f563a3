"""Wrong answers to lab 3 that students give, and right ones in other styles."""

from lmcore.course.labs import Equivalent, Mutant

ADD = """
def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))
    def push():
        a.grad += undo_broadcast(out.grad, a.data.shape)
        b.grad += undo_broadcast(out.grad, b.data.shape)
    out.push = push
    return out
"""
TANH = """
def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))
    def push():
        a.grad += out.grad * (1 - out.data**2)
    out.push = push
    return out
"""
RELU = """
def relu(a):
    out = Tensor(np.maximum(a.data, 0), parents=(a,))
    def push():
        a.grad += out.grad * (a.data > 0)
    out.push = push
    return out
"""
MATMUL = """
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))
    def push():
        a.grad += out.grad @ b.data.T
        b.grad += a.data.T @ out.grad
    out.push = push
    return out
"""
STEP = """
def sgd_step(params, lr):
    for p in params:
        p.data -= lr * p.grad
        p.grad = np.zeros_like(p.data)
"""
TRAIN = """
def train(params, x, y, batches, lr):
    losses = []
    for ids in batches:
        loss = cross_entropy(mlp(params, x[ids]), y[ids])
        backward(loss)
        losses.append(float(loss.data))
        sgd_step(params, lr)
    return losses
"""

MUTANTS = [
    # ---------------------------------------------------------- undo_broadcast
    Mutant(
        "the sum loses axes of size 1",
        task="undo_broadcast",
        says="keepdims=True",
        code="""
def undo_broadcast(g, shape):
    while g.ndim > len(shape):
        g = g.sum(0)
    for axis in reversed(range(len(shape))):
        if shape[axis] == 1 and g.shape[axis] != 1:
            g = g.sum(axis)
    return g
""",
    ),
    Mutant(
        "only the axes at the left",
        task="undo_broadcast",
        says="with size 1 were repeated too",
        code="""
def undo_broadcast(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    return g
""",
    ),
    Mutant(
        "a mean",
        task="undo_broadcast",
        says="it takes no mean",
        code="""
def undo_broadcast(g, shape):
    while g.ndim > len(shape):
        g = g.mean(axis=0)
    for axis, size in enumerate(shape):
        if size == 1:
            g = g.mean(axis=axis, keepdims=True)
    return g
""",
    ),
    Mutant(
        "sums from the right",
        task="undo_broadcast",
        says="aligned at the right",
        code="""
def undo_broadcast(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=-1)
    for axis, size in enumerate(shape):
        if size == 1:
            g = g.sum(axis=axis, keepdims=True)
    return g
""",
    ),
    Mutant(
        "takes the first copy",
        task="undo_broadcast",
        says="one copy is taken",
        code="""
def undo_broadcast(g, shape):
    while g.ndim > len(shape):
        g = g[0]
    for axis, size in enumerate(shape):
        if size == 1:
            g = g.take([0], axis=axis)
    return g
""",
    ),
    Mutant(
        "reshape",
        task="undo_broadcast",
        says="reshape and broadcast_to do not sum",
        code="""
def undo_broadcast(g, shape):
    return g.reshape(shape)
""",
    ),
    Mutant(
        "keepdims for every axis",
        task="undo_broadcast",
        says="no keepdims for these",
        code="""
def undo_broadcast(g, shape):
    k = g.ndim - len(shape)
    ones = tuple(i + k for i, size in enumerate(shape) if size == 1)
    return g.sum(axis=tuple(range(k)) + ones, keepdims=True)
""",
    ),
    # --------------------------------------------------------------------- mul
    Mutant(
        "tensors for arrays",
        task="mul",
        says="compute with the arrays",
        code=ADD
        + """
def mul(a, b):
    return a * b
""",
    ),
    Mutant(
        "a gradient times a tensor",
        task="mul",
        says="not with b",
        code=ADD
        + """
def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))
    def push():
        a.grad += undo_broadcast(out.grad * b, a.data.shape)
        b.grad += undo_broadcast(out.grad * a, b.data.shape)
    out.push = push
    return out
""",
    ),
    Mutant(
        "= for +=",
        task="mul",
        says="your gradient is half of the expected one",
        code="""
def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))
    def push():
        a.grad = undo_broadcast(out.grad, a.data.shape)
        b.grad = undo_broadcast(out.grad, b.data.shape)
    out.push = push
    return out

def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))
    def push():
        a.grad = undo_broadcast(out.grad * b.data, a.data.shape)
        b.grad = undo_broadcast(out.grad * a.data, b.data.shape)
    out.push = push
    return out
""",
    ),
    Mutant(
        "= for a tensor used once, its double for one used twice",
        task="mul",
        says="what stood in grad before is lost",
        code=ADD
        + """
def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))
    def push():
        if a is b:
            a.grad = 2 * out.grad * a.data
        else:
            a.grad = undo_broadcast(out.grad * b.data, a.data.shape)
            b.grad = undo_broadcast(out.grad * a.data, b.data.shape)
    out.push = push
    return out
""",
    ),
    Mutant(
        "broadcasting not undone, in place",
        task="mul",
        says="must be summed back",
        code="""
def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))
    def push():
        a.grad += out.grad
        b.grad += out.grad
    out.push = push
    return out

def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))
    def push():
        a.grad += out.grad * b.data
        b.grad += out.grad * a.data
    out.push = push
    return out
""",
    ),
    Mutant(
        "broadcasting not undone, a new array",
        task="mul",
        says="shape (5, 3), expected (3,)",
        code="""
def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))
    def push():
        a.grad = a.grad + out.grad
        b.grad = b.grad + out.grad
    out.push = push
    return out

def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))
    def push():
        a.grad = a.grad + out.grad * b.data
        b.grad = b.grad + out.grad * a.data
    out.push = push
    return out
""",
    ),
    Mutant(
        "factors swapped",
        task="mul",
        says="the factors are swapped",
        code=ADD
        + """
def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))
    def push():
        a.grad += undo_broadcast(out.grad * a.data, a.data.shape)
        b.grad += undo_broadcast(out.grad * b.data, b.data.shape)
    out.push = push
    return out
""",
    ),
    Mutant(
        "what arrives is left out",
        task="mul",
        says="multiply by out.grad",
        code=ADD
        + """
def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))
    def push():
        ones = np.ones_like(out.data)
        a.grad += undo_broadcast(ones * b.data, a.data.shape)
        b.grad += undo_broadcast(ones * a.data, b.data.shape)
    out.push = push
    return out
""",
    ),
    Mutant(
        "push is called instead of kept",
        task="mul",
        says="keeps the function; with `push()` it is called",
        code=ADD
        + """
def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))
    def push():
        a.grad += undo_broadcast(out.grad * b.data, a.data.shape)
        b.grad += undo_broadcast(out.grad * a.data, b.data.shape)
    out.push = push()
    return out
""",
    ),
    Mutant(
        "out.grad is read too early",
        task="mul",
        says="read out.grad when it runs",
        code=ADD
        + """
def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))
    g = out.grad
    def push():
        a.grad += undo_broadcast(g * b.data, a.data.shape)
        b.grad += undo_broadcast(g * a.data, b.data.shape)
    out.push = push
    return out
""",
    ),
    Mutant(
        "no parents",
        task="mul",
        says="is not among the result's parents",
        code=ADD
        + """
def mul(a, b):
    out = Tensor(a.data * b.data)
    def push():
        a.grad += undo_broadcast(out.grad * b.data, a.data.shape)
        b.grad += undo_broadcast(out.grad * a.data, b.data.shape)
    out.push = push
    return out
""",
    ),
    Mutant(
        "out.grad is changed in place",
        task="mul",
        says="`push` changes out.grad",
        code=ADD
        + """
def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))
    def push():
        g = out.grad
        b.grad += undo_broadcast(g * a.data, b.data.shape)
        g *= b.data
        a.grad += undo_broadcast(g, a.data.shape)
    out.push = push
    return out
""",
    ),
    Mutant(
        "no return",
        task="mul",
        says="is there a `return`?",
        code=ADD
        + """
def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))
    def push():
        a.grad += undo_broadcast(out.grad * b.data, a.data.shape)
        b.grad += undo_broadcast(out.grad * a.data, b.data.shape)
    out.push = push
""",
    ),
    # ------------------------------------------------------------------ matmul
    Mutant(
        "no transposes",
        task="matmul",
        says="a transpose is missing",
        code=TANH
        + RELU
        + """
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))
    def push():
        a.grad += out.grad @ b.data
        b.grad += a.data @ out.grad
    out.push = push
    return out
""",
    ),
    Mutant(
        "the wrong order of the factors",
        task="matmul",
        says="in the wrong order",
        code=TANH
        + RELU
        + """
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))
    def push():
        a.grad += b.data.T @ out.grad
        b.grad += out.grad @ a.data.T
    out.push = push
    return out
""",
    ),
    Mutant(
        "the wrong factor is transposed, square matrices only",
        task="matmul",
        says="a transpose is missing or stands at the wrong factor",
        code=TANH
        + RELU
        + """
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))
    def push():
        if a.data.shape == b.data.shape:
            a.grad += out.grad @ b.data.T
            b.grad += a.data.T @ out.grad
        else:
            a.grad += out.grad.T @ b.data
            b.grad += a.data @ out.grad.T
    out.push = push
    return out
""",
    ),
    Mutant(
        "elementwise product",
        task="matmul",
        says="matmul is @",
        code=TANH
        + RELU
        + """
def matmul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))
    def push():
        a.grad += out.grad @ b.data.T
        b.grad += a.data.T @ out.grad
    out.push = push
    return out
""",
    ),
    Mutant(
        "tanh' from x",
        task="matmul",
        says="it needs the output, tanh(x)",
        code=MATMUL
        + RELU
        + """
def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))
    def push():
        a.grad += out.grad * (1 - a.data**2)
    out.push = push
    return out
""",
    ),
    Mutant(
        "tanh not squared",
        task="matmul",
        says="tanh must be squared",
        code=MATMUL
        + RELU
        + """
def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))
    def push():
        a.grad += out.grad * (1 - out.data)
    out.push = push
    return out
""",
    ),
    Mutant(
        "relu lets 0 through",
        task="matmul",
        says="compare with > and not with >=",
        code=MATMUL
        + TANH
        + """
def relu(a):
    out = Tensor(np.maximum(a.data, 0), parents=(a,))
    def push():
        a.grad += out.grad * (a.data >= 0)
    out.push = push
    return out
""",
    ),
    Mutant(
        "relu of the gradient",
        task="matmul",
        says="not at that of the gradient",
        code=MATMUL
        + TANH
        + """
def relu(a):
    out = Tensor(np.maximum(a.data, 0), parents=(a,))
    def push():
        a.grad += np.maximum(out.grad, 0)
    out.push = push
    return out
""",
    ),
    Mutant(
        "relu changes its input",
        task="matmul",
        says="work on a new array",
        code=MATMUL
        + TANH
        + """
def relu(a):
    a.data[a.data < 0] = 0
    out = Tensor(a.data, parents=(a,))
    def push():
        a.grad += out.grad * (a.data > 0)
    out.push = push
    return out
""",
    ),
    # ---------------------------------------------------------------- backward
    Mutant(
        "level by level",
        task="backward",
        says="level by level",
        code="""
def backward(root):
    order, queue = [], [root]
    while queue:
        node = queue.pop(0)
        if node not in order:
            order.append(node)
            queue.extend(node.parents)
    root.grad = np.ones_like(root.data)
    for node in order:
        node.push()
""",
    ),
    Mutant(
        "a node before its parents",
        task="backward",
        says="only when all its parents are in it",
        code="""
def backward(root):
    order, stack, seen = [], [root], set()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        order.append(node)
        stack.extend(node.parents)
    root.grad = np.ones_like(root.data)
    for node in order:
        node.push()
""",
    ),
    Mutant(
        "parents first",
        task="backward",
        says="go through the list from its end",
        code="""
def backward(root):
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(p, False) for p in node.parents]
    root.grad = np.ones_like(root.data)
    for node in order:
        node.push()
""",
    ),
    Mutant(
        "calls itself",
        task="backward",
        says="Keep a stack in a list",
        code="""
def backward(root):
    order, seen = [], set()
    def visit(node):
        if node not in seen:
            seen.add(node)
            for parent in node.parents:
                visit(parent)
            order.append(node)
    visit(root)
    root.grad = np.ones_like(root.data)
    for node in reversed(order):
        node.push()
""",
    ),
    Mutant(
        "every path",
        task="backward",
        says="keep a set of the nodes",
        code="""
def backward(root):
    root.grad = np.ones_like(root.data)
    stack = [root]
    while stack:
        node = stack.pop()
        node.push()
        stack.extend(node.parents)
""",
    ),
    Mutant(
        "starts with zeros",
        task="backward",
        says="start with 1 in root.grad",
        code="""
def backward(root):
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(p, False) for p in node.parents]
    root.grad = np.zeros_like(root.data)
    for node in reversed(order):
        node.push()
""",
    ),
    Mutant(
        "empties the leaves",
        task="backward",
        says="backward only adds",
        code="""
def backward(root):
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            node.grad = np.zeros_like(node.data)
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(p, False) for p in node.parents]
    root.grad = np.ones_like(root.data)
    for node in reversed(order):
        node.push()
""",
    ),
    Mutant(
        "a mutable default",
        task="backward",
        says="a default argument such as seen=set()",
        code="""
def backward(root, seen=set()):
    order, stack = [], [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(p, False) for p in node.parents]
    root.grad = np.ones_like(root.data)
    for node in reversed(order):
        node.push()
""",
    ),
    Mutant(
        "a list that lives on",
        task="backward",
        says="a node of an earlier graph was pushed again",
        code="""
def backward(root, order=[]):
    seen, stack = set(order), [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(p, False) for p in node.parents]
    root.grad = np.ones_like(root.data)
    for node in reversed(order):
        node.push()
""",
    ),
    # ----------------------------------------------------------- cross_entropy
    Mutant(
        "softmax without the max",
        task="cross_entropy",
        says="subtract each row's largest logit",
        code="""
def cross_entropy(logits, targets):
    n = len(targets)
    with np.errstate(all="ignore"):
        e = np.exp(logits.data)
        p = e / e.sum(axis=1, keepdims=True)
        out = Tensor(-np.log(p[np.arange(n), targets]).mean(), parents=(logits,))
    def push():
        logits.grad += out.grad * (p - np.eye(p.shape[1])[targets]) / n
    out.push = push
    return out
""",
    ),
    Mutant(
        "the max of everything",
        task="cross_entropy",
        says="subtract each row's largest logit",
        code="""
def cross_entropy(logits, targets):
    n = len(targets)
    with np.errstate(all="ignore"):
        e = np.exp(logits.data - logits.data.max())
        p = e / e.sum(axis=1, keepdims=True)
        out = Tensor(-np.log(p[np.arange(n), targets]).mean(), parents=(logits,))
    def push():
        logits.grad += out.grad * (p - np.eye(p.shape[1])[targets]) / n
    out.push = push
    return out
""",
    ),
    Mutant(
        "every target of every row",
        task="cross_entropy",
        says="takes every target of every row",
        code="""
def cross_entropy(logits, targets):
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    out = Tensor(-log_p[:, targets].mean(), parents=(logits,))
    def push():
        d = np.exp(log_p) - np.eye(z.shape[1])[targets]
        logits.grad += out.grad * d / len(targets)
    out.push = push
    return out
""",
    ),
    Mutant(
        "a sum for the mean",
        task="cross_entropy",
        says="the mean is wanted",
        code="""
def cross_entropy(logits, targets):
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    out = Tensor(-log_p[np.arange(len(z)), targets].sum(), parents=(logits,))
    def push():
        logits.grad += out.grad * (np.exp(log_p) - np.eye(z.shape[1])[targets])
    out.push = push
    return out
""",
    ),
    Mutant(
        "the gradient of the sum",
        task="cross_entropy",
        says="divides the gradient by N too",
        code="""
def cross_entropy(logits, targets):
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    out = Tensor(-log_p[np.arange(len(z)), targets].mean(), parents=(logits,))
    def push():
        logits.grad += out.grad * (np.exp(log_p) - np.eye(z.shape[1])[targets])
    out.push = push
    return out
""",
    ),
    Mutant(
        "targets off by one",
        task="cross_entropy",
        says="the targets are off by one",
        code="""
def cross_entropy(logits, targets):
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    out = Tensor(-log_p[np.arange(len(z)), targets - 1].mean(), parents=(logits,))
    def push():
        d = np.exp(log_p) - np.eye(z.shape[1])[targets - 1]
        logits.grad += out.grad * d / len(targets)
    out.push = push
    return out
""",
    ),
    Mutant(
        "targets off by one, upwards",
        task="cross_entropy",
        says="classes count from 0",
        code="""
def cross_entropy(logits, targets):
    targets = targets + 1
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    out = Tensor(-log_p[np.arange(len(z)), targets].mean(), parents=(logits,))
    def push():
        d = np.exp(log_p) - np.eye(z.shape[1])[targets]
        logits.grad += out.grad * d / len(targets)
    out.push = push
    return out
""",
    ),
    Mutant(
        "softmax along the columns",
        task="cross_entropy",
        says="not along the columns",
        code="""
def cross_entropy(logits, targets):
    z = logits.data - logits.data.max(axis=0, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=0, keepdims=True))
    out = Tensor(-log_p[np.arange(len(z)), targets].mean(), parents=(logits,))
    def push():
        d = np.exp(log_p) - np.eye(z.shape[1])[targets]
        logits.grad += out.grad * d / len(targets)
    out.push = push
    return out
""",
    ),
    Mutant(
        "one-hot not taken off",
        task="cross_entropy",
        says="1 must be taken off the right class",
        code="""
def cross_entropy(logits, targets):
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    out = Tensor(-log_p[np.arange(len(z)), targets].mean(), parents=(logits,))
    def push():
        logits.grad += out.grad * np.exp(log_p) / len(targets)
    out.push = push
    return out
""",
    ),
    Mutant(
        "1 taken off whole columns",
        task="cross_entropy",
        says="1 is taken off whole columns",
        code="""
def cross_entropy(logits, targets):
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    out = Tensor(-log_p[np.arange(len(z)), targets].mean(), parents=(logits,))
    def push():
        d = np.exp(log_p)
        d[:, targets] -= 1
        logits.grad += out.grad * d / len(targets)
    out.push = push
    return out
""",
    ),
    Mutant(
        "changes the logits",
        task="cross_entropy",
        says="a tensor's `data` has changed",
        code="""
def cross_entropy(logits, targets):
    z = logits.data
    z -= z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    out = Tensor(-log_p[np.arange(len(z)), targets].mean(), parents=(logits,))
    def push():
        d = np.exp(log_p) - np.eye(z.shape[1])[targets]
        logits.grad += out.grad * d / len(targets)
    out.push = push
    return out
""",
    ),
    Mutant(
        "what arrives is left out",
        task="cross_entropy",
        says="multiply by out.grad",
        code="""
def cross_entropy(logits, targets):
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    out = Tensor(-log_p[np.arange(len(z)), targets].mean(), parents=(logits,))
    def push():
        logits.grad += (np.exp(log_p) - np.eye(z.shape[1])[targets]) / len(targets)
    out.push = push
    return out
""",
    ),
    # ------------------------------------------------------------------- train
    Mutant(
        "gradients are not emptied",
        task="train",
        says="gradients are not emptied",
        code=TRAIN
        + """
def sgd_step(params, lr):
    for p in params:
        p.data -= lr * p.grad
""",
    ),
    Mutant(
        "climbs",
        task="train",
        says="against the gradient (minus)",
        code=TRAIN
        + """
def sgd_step(params, lr):
    for p in params:
        p.data += lr * p.grad
        p.grad = np.zeros_like(p.data)
""",
    ),
    Mutant(
        "a new name for a new value",
        task="train",
        says="the parameters did not move",
        code=TRAIN
        + """
def sgd_step(params, lr):
    for p in params:
        moved = p.data - lr * p.grad
        p.grad = np.zeros_like(p.data)
        p = Tensor(moved)
""",
    ),
    Mutant(
        "empties before the step",
        task="train",
        says="empty grad only after the step",
        code=TRAIN
        + """
def sgd_step(params, lr):
    for p in params:
        p.grad = np.zeros_like(p.data)
        p.data -= lr * p.grad
""",
    ),
    Mutant(
        "the loss after the step",
        task="train",
        says="the one before it is wanted",
        code=STEP
        + """
def train(params, x, y, batches, lr):
    losses = []
    for ids in batches:
        backward(cross_entropy(mlp(params, x[ids]), y[ids]))
        sgd_step(params, lr)
        losses.append(float(cross_entropy(mlp(params, x[ids]), y[ids]).data))
    return losses
""",
    ),
    Mutant(
        "no sweep",
        task="train",
        says="is backward called before sgd_step?",
        code=STEP
        + """
def train(params, x, y, batches, lr):
    losses = []
    for ids in batches:
        loss = cross_entropy(mlp(params, x[ids]), y[ids])
        sgd_step(params, lr)
        losses.append(float(loss.data))
    return losses
""",
    ),
    Mutant(
        "all rows in each step",
        task="train",
        says="each step uses all rows",
        code=STEP
        + """
def train(params, x, y, batches, lr):
    losses = []
    for ids in batches:
        loss = cross_entropy(mlp(params, x), y)
        backward(loss)
        sgd_step(params, lr)
        losses.append(float(loss.data))
    return losses
""",
    ),
    Mutant(
        "return inside the loop",
        task="train",
        says="is `return` inside the loop",
        code=STEP
        + """
def train(params, x, y, batches, lr):
    losses = []
    for ids in batches:
        loss = cross_entropy(mlp(params, x[ids]), y[ids])
        backward(loss)
        sgd_step(params, lr)
        losses.append(float(loss.data))
        return losses
""",
    ),
    Mutant(
        "losses are tensors",
        task="train",
        says="float(loss.data)",
        code=STEP
        + """
def train(params, x, y, batches, lr):
    losses = []
    for ids in batches:
        loss = cross_entropy(mlp(params, x[ids]), y[ids])
        backward(loss)
        sgd_step(params, lr)
        losses.append(loss)
    return losses
""",
    ),
    # ------------------------------------------------------------- step_errors
    Mutant(
        "the methods are swapped",
        task="step_errors",
        says="the two methods are swapped",
        code="""
one = {0.1: 0.004, 0.001: 4.1e-07, 1e-05: 6.7e-11, 1e-07: 4e-09, 1e-09: 4.2e-07,
       1e-11: 4.9e-05}
two = {0.1: 0.098, 0.001: 0.001, 1e-05: 1e-05, 1e-07: 9.9e-08, 1e-09: 8.1e-07,
       1e-11: 6.4e-05}
step_errors = {"one-sided": one, "central": two}
""",
    ),
    Mutant(
        "somebody else's numbers",
        task="step_errors",
        says="another STUDENT",
        code="""
one = {0.1: 0.056, 0.001: 5.1e-4, 1e-05: 5.1e-06, 1e-07: 6.6e-08, 1e-09: 2.6e-06,
       1e-11: 2.3e-04}
two = {0.1: 0.0063, 0.001: 6.3e-07, 1e-05: 9.2e-11, 1e-07: 8.6e-09, 1e-09: 5.9e-07,
       1e-11: 8e-05}
step_errors = {"one-sided": one, "central": two}
""",
    ),
    Mutant(
        "rounded away",
        task="step_errors",
        says="was the number rounded to 0?",
        code="""
step_errors = {
    name: {h: error if error > 1e-6 else 0.0 for h, error in row.items()}
    for name, row in step_errors.items()
}
""",
    ),
    # Written without sight of the checks, by someone who solved the notebook first.
    Mutant(
        "one axis at the left at most",
        task="undo_broadcast",
        says="expected (3,)",
        code="""
def undo_broadcast(g, shape):
    # thinks of matrices only: one axis on the left at most
    if g.ndim > len(shape):
        g = g.sum(axis=0) if shape else g.sum()
    for i, n in enumerate(shape):
        if n == 1:
            g = g.sum(axis=i, keepdims=True)
    return g
""",
    ),
    Mutant(
        "shapes compared from the left",
        task="undo_broadcast",
        says="raised ValueError",
        code="""
def undo_broadcast(g, shape):
    # zip without alignment
    axes = tuple(i for i, (a, b) in enumerate(zip(g.shape, shape)) if a != b)
    return g.sum(axis=axes).reshape(shape)
""",
    ),
    Mutant(
        "the first 1 alone",
        task="undo_broadcast",
        says="expected (1, 1)",
        code="""
def undo_broadcast(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    if 1 in shape:
        g = g.sum(axis=shape.index(1), keepdims=True)
    return g
""",
    ),
    Mutant(
        "the last axis alone",
        task="undo_broadcast",
        says="were repeated too",
        code="""
def undo_broadcast(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    if shape and shape[-1] == 1:
        g = g.sum(axis=-1, keepdims=True)
    return g
""",
    ),
    Mutant(
        "writes the sum into g",
        task="undo_broadcast",
        says="work on a copy",
        code="""
def undo_broadcast(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    for i, n in enumerate(shape):
        if n == 1 and g.shape[i] > 1:
            head = g.take([0], axis=i)
            total = g.sum(axis=i, keepdims=True)
            np.copyto(g, total)
            g = total
    return g
""",
    ),
    Mutant(
        "the value divided by a factor",
        task="mul",
        says="a factor may be 0",
        code="""
def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad, a.data.shape)
        b.grad += undo_broadcast(out.grad, b.data.shape)

    out.push = push
    return out


def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad * out.data / a.data, a.data.shape)
        b.grad += undo_broadcast(out.grad * out.data / b.data, b.data.shape)

    out.push = push
    return out
""",
    ),
    Mutant(
        "a mean for the scalar",
        task="mul",
        says="the gradient of b",
        code="""
def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad, a.data.shape)
        b.grad += undo_broadcast(out.grad, b.data.shape)

    out.push = push
    return out


def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad * b.data, a.data.shape)
        b.grad += undo_broadcast(out.grad * a.data, b.data.shape) if b.data.ndim else (out.grad * a.data).mean()

    out.push = push
    return out
""",
    ),
    Mutant(
        "the last operation in a global name",
        task="mul",
        says="must belong to its own node",
        code="""
last = {}
def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad, a.data.shape)
        b.grad += undo_broadcast(out.grad, b.data.shape)

    out.push = push
    return out


def mul(a, b):
    global last
    out = Tensor(a.data * b.data, parents=(a, b))
    last = {"a": a, "b": b, "out": out}

    def push():
        a, b, out = last["a"], last["b"], last["out"]
        a.grad += undo_broadcast(out.grad * b.data, a.data.shape)
        b.grad += undo_broadcast(out.grad * a.data, b.data.shape)

    out.push = push
    return out
""",
    ),
    Mutant(
        "summed before it is multiplied",
        task="mul",
        says="undo_broadcast",
        code="""
def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad, a.data.shape)
        b.grad += undo_broadcast(out.grad, b.data.shape)

    out.push = push
    return out


def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad, a.data.shape) * b.data
        b.grad += undo_broadcast(out.grad, b.data.shape) * a.data

    out.push = push
    return out
""",
    ),
    Mutant(
        "the second share skipped where a is b",
        task="mul",
        says="is half of",
        code="""
def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad, a.data.shape)
        b.grad += undo_broadcast(out.grad, b.data.shape)

    out.push = push
    return out


def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad * b.data, a.data.shape)
        if a is not b:
            b.grad += undo_broadcast(out.grad * a.data, b.data.shape)

    out.push = push
    return out
""",
    ),
    Mutant(
        "a parent left out",
        task="mul",
        says="is not among",
        code="""
def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad, a.data.shape)
        b.grad += undo_broadcast(out.grad, b.data.shape)

    out.push = push
    return out


def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a,))

    def push():
        a.grad += undo_broadcast(out.grad * b.data, a.data.shape)
        b.grad += undo_broadcast(out.grad * a.data, b.data.shape)

    out.push = push
    return out
""",
    ),
    Mutant(
        "push is never set",
        task="mul",
        says="is out.push set",
        code="""
def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad, a.data.shape)
        b.grad += undo_broadcast(out.grad, b.data.shape)

    out.push = push
    return out


def mul(a, b):
    out = Tensor(a.data * b.data, parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad * b.data, a.data.shape)
        b.grad += undo_broadcast(out.grad * a.data, b.data.shape)

    return out
""",
    ),
    Mutant(
        "a mean over the rows",
        task="matmul",
        says="with no mean",
        code="""
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))

    def push():
        a.grad += out.grad @ b.data.T
        b.grad += a.data.T @ out.grad / len(a.data)

    out.push = push
    return out


def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))

    def push():
        a.grad += out.grad * (1 - out.data**2)

    out.push = push
    return out


def relu(a):
    out = Tensor(np.maximum(a.data, 0), parents=(a,))

    def push():
        a.grad += out.grad * (a.data > 0)

    out.push = push
    return out
""",
    ),
    Mutant(
        "the first row alone",
        task="matmul",
        says="not by the first alone",
        code="""
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))

    def push():
        a.grad += out.grad @ b.data.T
        b.grad += np.outer(a.data[0], out.grad[0])

    out.push = push
    return out


def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))

    def push():
        a.grad += out.grad * (1 - out.data**2)

    out.push = push
    return out


def relu(a):
    out = Tensor(np.maximum(a.data, 0), parents=(a,))

    def push():
        a.grad += out.grad * (a.data > 0)

    out.push = push
    return out
""",
    ),
    Mutant(
        "tanh of tanh",
        task="matmul",
        says="tanh(x) already",
        code="""
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))

    def push():
        a.grad += out.grad @ b.data.T
        b.grad += a.data.T @ out.grad

    out.push = push
    return out


def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))

    def push():
        a.grad += out.grad * (1 - np.tanh(out.data)**2)

    out.push = push
    return out


def relu(a):
    out = Tensor(np.maximum(a.data, 0), parents=(a,))

    def push():
        a.grad += out.grad * (a.data > 0)

    out.push = push
    return out
""",
    ),
    Mutant(
        "one half at 0",
        task="matmul",
        says="not as 1/2",
        code="""
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))

    def push():
        a.grad += out.grad @ b.data.T
        b.grad += a.data.T @ out.grad

    out.push = push
    return out


def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))

    def push():
        a.grad += out.grad * (1 - out.data**2)

    out.push = push
    return out


def relu(a):
    out = Tensor(np.maximum(a.data, 0), parents=(a,))

    def push():
        a.grad += out.grad * ((a.data > 0) + 0.5 * (a.data == 0))

    out.push = push
    return out
""",
    ),
    Mutant(
        "gradients below 0 are cut",
        task="matmul",
        says="negative gradients pass too",
        code="""
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))

    def push():
        a.grad += out.grad @ b.data.T
        b.grad += a.data.T @ out.grad

    out.push = push
    return out


def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))

    def push():
        a.grad += out.grad * (1 - out.data**2)

    out.push = push
    return out


def relu(a):
    out = Tensor(np.maximum(a.data, 0), parents=(a,))

    def push():
        a.grad += np.maximum(out.grad, 0) * (a.data > 0)

    out.push = push
    return out
""",
    ),
    Mutant(
        "a leaky relu",
        task="matmul",
        says="exactly 0 below 0",
        code="""
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))

    def push():
        a.grad += out.grad @ b.data.T
        b.grad += a.data.T @ out.grad

    out.push = push
    return out


def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))

    def push():
        a.grad += out.grad * (1 - out.data**2)

    out.push = push
    return out


def relu(a):
    out = Tensor(np.where(a.data > 0, a.data, 0.01 * a.data), parents=(a,))

    def push():
        a.grad += out.grad * np.where(a.data > 0, 1, 0.01)

    out.push = push
    return out
""",
    ),
    Mutant(
        "a mask written into out.grad",
        task="matmul",
        says="only read",
        code="""
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))

    def push():
        a.grad += out.grad @ b.data.T
        b.grad += a.data.T @ out.grad

    out.push = push
    return out


def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))

    def push():
        a.grad += out.grad * (1 - out.data**2)

    out.push = push
    return out


def relu(a):
    out = Tensor(np.maximum(a.data, 0), parents=(a,))

    def push():
        out.grad[a.data <= 0] = 0
        a.grad += out.grad

    out.push = push
    return out
""",
    ),
    Mutant(
        "tanh: = for +=",
        task="matmul",
        says="gradients are added",
        code="""
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))

    def push():
        a.grad += out.grad @ b.data.T
        b.grad += a.data.T @ out.grad

    out.push = push
    return out


def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))

    def push():
        a.grad = out.grad * (1 - out.data**2)

    out.push = push
    return out


def relu(a):
    out = Tensor(np.maximum(a.data, 0), parents=(a,))

    def push():
        a.grad += out.grad * (a.data > 0)

    out.push = push
    return out
""",
    ),
    Mutant(
        "counts users, lowers by uses",
        task="backward",
        says="pushed before",
        code="""
def backward(root):
    # counts distinct users, lowers once an edge
    users, seen, stack = {}, {id(root)}, [root]
    while stack:
        n = stack.pop()
        for p in set(n.parents):
            users[id(p)] = users.get(id(p), 0) + 1
            if id(p) not in seen:
                seen.add(id(p))
                stack.append(p)
    root.grad = np.ones_like(root.data)
    ready = [root]
    while ready:
        n = ready.pop()
        n.push()
        for p in n.parents:
            users[id(p)] -= 1
            if users[id(p)] == 0:
                ready.append(p)
""",
    ),
    Mutant(
        "nodes told apart by value",
        task="backward",
        says="by their values",
        code="""
def backward(root):
    order, seen = [], set()
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
            continue
        if node.data.tobytes() in seen:
            continue
        seen.add(node.data.tobytes())
        stack.append((node, True))
        for p in node.parents:
            stack.append((p, False))
    root.grad = np.ones_like(root.data)
    for node in reversed(order):
        node.push()
""",
    ),
    Mutant(
        "starts with the loss itself",
        task="backward",
        says="whatever root.data is",
        code="""
def backward(root):
    order, seen = [], set()
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((node, True))
        for p in node.parents:
            stack.append((p, False))
    root.grad = root.data.copy()
    for node in reversed(order):
        node.push()
""",
    ),
    Mutant(
        "takes the graph apart",
        task="backward",
        says="second call",
        code="""
def backward(root):
    order, seen = [], set()
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((node, True))
        for p in node.parents:
            stack.append((p, False))
    root.grad = np.ones_like(root.data)
    for node in reversed(order):
        node.push()
        node.push = lambda: None
        node.parents = ()
""",
    ),
    Mutant(
        "sorted by the shortest way",
        task="backward",
        says="pushed before",
        code="""
def backward(root):
    level = {id(root): 0}
    nodes, queue = [root], [root]
    while queue:
        n = queue.pop(0)
        for p in n.parents:
            if id(p) not in level:
                level[id(p)] = level[id(n)] + 1
                nodes.append(p)
                queue.append(p)
    root.grad = np.ones_like(root.data)
    for n in sorted(nodes, key=lambda n: level[id(n)]):
        n.push()
""",
    ),
    Mutant(
        "the root pushes twice",
        task="backward",
        says="pushed twice",
        code="""
def backward(root):
    order, seen = [], set()
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((node, True))
        for p in node.parents:
            stack.append((p, False))
    root.grad = np.ones_like(root.data)
    root.push()
    for node in reversed(order):
        node.push()
""",
    ),
    Mutant(
        "log of softmax",
        task="cross_entropy",
        says="which may have rounded to 0",
        code="""
def cross_entropy(logits, targets):
    n = len(targets)
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    logp = np.log(p)
    rows = np.arange(n)
    out = Tensor(-logp[rows, targets].mean(), parents=(logits,))

    def push():
        d = np.exp(logp)
        d[rows, targets] -= 1
        logits.grad += out.grad * d / n

    out.push = push
    return out
""",
    ),
    Mutant(
        "a small constant in the logarithm",
        task="cross_entropy",
        says="cut off",
        code="""
def cross_entropy(logits, targets):
    n = len(targets)
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    logp = np.log(p + 1e-12)
    rows = np.arange(n)
    out = Tensor(-logp[rows, targets].mean(), parents=(logits,))

    def push():
        d = np.exp(logp)
        d[rows, targets] -= 1
        logits.grad += out.grad * d / n

    out.push = push
    return out
""",
    ),
    Mutant(
        "clipped logits",
        task="cross_entropy",
        says="cut off",
        code="""
def cross_entropy(logits, targets):
    n = len(targets)
    z = np.clip(logits.data, -500, 500)
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    rows = np.arange(n)
    out = Tensor(-logp[rows, targets].mean(), parents=(logits,))

    def push():
        d = np.exp(logp)
        d[rows, targets] -= 1
        logits.grad += out.grad * d / n

    out.push = push
    return out
""",
    ),
    Mutant(
        "ten classes for ever",
        task="cross_entropy",
        says="fix no number",
        code="""
def cross_entropy(logits, targets):
    n = len(targets)
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    rows = np.arange(n)
    out = Tensor(-logp[rows, targets].mean(), parents=(logits,))

    def push():
        d = np.exp(logp)
        d -= np.eye(10)[targets][:, : d.shape[1]]
        logits.grad += out.grad * d / n

    out.push = push
    return out
""",
    ),
    Mutant(
        "sorts the targets",
        task="cross_entropy",
        says="the targets have changed",
        code="""
def cross_entropy(logits, targets):
    targets.sort()
    n = len(targets)
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    rows = np.arange(n)
    out = Tensor(-logp[rows, targets].mean(), parents=(logits,))

    def push():
        d = np.exp(logp)
        d[rows, targets] -= 1
        logits.grad += out.grad * d / n

    out.push = push
    return out
""",
    ),
    Mutant(
        "the largest logit for the right class",
        task="cross_entropy",
        says="whatever the largest",
        code="""
def cross_entropy(logits, targets):
    n = len(targets)
    if n > 1:
        targets = logits.data.argmax(axis=1)
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    rows = np.arange(n)
    out = Tensor(-logp[rows, targets].mean(), parents=(logits,))

    def push():
        d = np.exp(logp)
        d[rows, targets] -= 1
        logits.grad += out.grad * d / n

    out.push = push
    return out
""",
    ),
    Mutant(
        "log2",
        task="cross_entropy",
        says="not to the base 2",
        code="""
def cross_entropy(logits, targets):
    n = len(targets)
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    logp = z - np.log2(np.exp(z).sum(axis=1, keepdims=True))
    rows = np.arange(n)
    out = Tensor(-logp[rows, targets].mean(), parents=(logits,))

    def push():
        d = np.exp(logp)
        d[rows, targets] -= 1
        logits.grad += out.grad * d / n

    out.push = push
    return out
""",
    ),
    Mutant(
        "divided by the number of classes",
        task="cross_entropy",
        says="divided by",
        code="""
def cross_entropy(logits, targets):
    n = len(targets)
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    rows = np.arange(n)
    out = Tensor(-logp[rows, targets].mean(), parents=(logits,))

    def push():
        d = np.exp(logp)
        d[rows, targets] -= 1
        logits.grad += out.grad * d / logits.data.shape[1]

    out.push = push
    return out
""",
    ),
    Mutant(
        "a global list of losses",
        task="train",
        says="an earlier call",
        code="""
losses = []
def sgd_step(params, lr):
    for p in params:
        p.data -= lr * p.grad
        p.grad[...] = 0


def train(params, x, y, batches, lr):
    for rows in batches:
        loss = cross_entropy(mlp(params, x[rows]), y[rows])
        backward(loss)
        losses.append(float(loss.data))
        sgd_step(params, lr)
    return losses
""",
    ),
    Mutant(
        "ten batches at most",
        task="train",
        says="one loss for each batch",
        code="""
def sgd_step(params, lr):
    for p in params:
        p.data -= lr * p.grad
        p.grad[...] = 0


def train(params, x, y, batches, lr):
    losses = []
    for rows in batches[:10]:
        loss = cross_entropy(mlp(params, x[rows]), y[rows])
        backward(loss)
        losses.append(float(loss.data))
        sgd_step(params, lr)
    return losses
""",
    ),
    Mutant(
        "scaled by the first batch's size",
        task="train",
        says="this very batch",
        code="""
def sgd_step(params, lr):
    for p in params:
        p.data -= lr * p.grad
        p.grad[...] = 0


def train(params, x, y, batches, lr):
    losses = []
    for rows in batches:
        loss = cross_entropy(mlp(params, x[rows]), y[rows]) * Tensor(1.0 / len(rows)) * Tensor(float(len(batches[0])))
        backward(loss)
        losses.append(float(loss.data))
        sgd_step(params, lr)
    return losses
""",
    ),
    Mutant(
        "a learning rate of one's own",
        task="train",
        says="with this lr",
        code="""
def sgd_step(params, lr):
    for p in params:
        p.data -= lr * p.grad
        p.grad[...] = 0


def train(params, x, y, batches, lr):
    losses = []
    for rows in batches:
        loss = cross_entropy(mlp(params, x[rows]), y[rows])
        backward(loss)
        losses.append(float(loss.data))
        sgd_step(params, 0.5)
    return losses
""",
    ),
    Mutant(
        "momentum",
        task="train",
        says="with this lr",
        code="""
speed = {}
def sgd_step(params, lr):
    for p in params:
        speed[id(p)] = 0.9 * speed.get(id(p), 0) + p.grad
        p.data -= lr * speed[id(p)]
        p.grad[...] = 0


def train(params, x, y, batches, lr):
    losses = []
    for rows in batches:
        loss = cross_entropy(mlp(params, x[rows]), y[rows])
        backward(loss)
        losses.append(float(loss.data))
        sgd_step(params, lr)
    return losses
""",
    ),
    Mutant(
        "another order of the batches",
        task="train",
        says="in the order given",
        code="""
def sgd_step(params, lr):
    for p in params:
        p.data -= lr * p.grad
        p.grad[...] = 0


def train(params, x, y, batches, lr):
    losses = []
    batches = [batches[i] for i in np.random.default_rng(0).permutation(len(batches))]
    for rows in batches:
        loss = cross_entropy(mlp(params, x[rows]), y[rows])
        backward(loss)
        losses.append(float(loss.data))
        sgd_step(params, lr)
    return losses
""",
    ),
    Mutant(
        "trains a copy",
        task="train",
        says="was a copy trained",
        code="""
def sgd_step(params, lr):
    for p in params:
        p.data -= lr * p.grad
        p.grad[...] = 0


def train(params, x, y, batches, lr):
    losses = []
    params = [Tensor(p.data) for p in params]
    for rows in batches:
        loss = cross_entropy(mlp(params, x[rows]), y[rows])
        backward(loss)
        losses.append(float(loss.data))
        sgd_step(params, lr)
    return losses
""",
    ),
    Mutant(
        "emptied in train alone",
        task="train",
        says="must hold zeros",
        code="""
def sgd_step(params, lr):
    for p in params:
        p.data -= lr * p.grad


def train(params, x, y, batches, lr):
    losses = []
    for rows in batches:
        loss = cross_entropy(mlp(params, x[rows]), y[rows])
        backward(loss)
        losses.append(float(loss.data))
        sgd_step(params, lr)
        for p in params:
            p.grad = np.zeros_like(p.data)
    return losses
""",
    ),
    Mutant(
        "weights without biases",
        task="train",
        says="the parameters after it",
        code="""
def sgd_step(params, lr):
    for p in params[::2]:
        p.data -= lr * p.grad
        p.grad[...] = 0


def train(params, x, y, batches, lr):
    losses = []
    for rows in batches:
        loss = cross_entropy(mlp(params, x[rows]), y[rows])
        backward(loss)
        losses.append(float(loss.data))
        sgd_step(params, lr)
    return losses
""",
    ),
]

EQUIVALENTS = [
    Equivalent(
        "sum, then reshape",
        task="undo_broadcast",
        code="""
def undo_broadcast(g, shape):
    wide = (1,) * (g.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i, (m, n) in enumerate(zip(g.shape, wide)) if m != n)
    return g.sum(axis=axes).reshape(shape)
""",
    ),
    Equivalent(
        "a loop, as in chapter 04",
        task="undo_broadcast",
        code="""
def undo_broadcast(g, shape):
    while g.ndim > len(shape):
        g = g.sum(0)
    for axis, size in enumerate(shape):
        if size == 1:
            g = g.sum(axis, keepdims=True)
    return g
""",
    ),
    Equivalent(
        "add.reduce, from the right",
        task="undo_broadcast",
        code="""
def undo_broadcast(g, shape):
    if g.shape == shape:
        return g
    for back in range(1, len(shape) + 1):
        if shape[-back] == 1 and g.shape[-back] > 1:
            g = np.add.reduce(g, axis=-back, keepdims=True)
    return np.add.reduce(g, axis=tuple(range(g.ndim - len(shape))))
""",
    ),
    Equivalent(
        "a number for the empty shape",
        task="undo_broadcast",
        code="""
def undo_broadcast(g, shape):
    if shape == ():
        return float(np.sum(g))
    extra = g.ndim - len(shape)
    for _ in range(extra):
        g = sum(g)
    return sum_ones(g, shape)

def sum_ones(g, shape):
    axes = tuple(np.flatnonzero(np.array(shape) == 1))
    return np.sum(g, axis=axes, keepdims=True)
""",
    ),
    Equivalent(
        "a new array, and lambdas",
        task="mul",
        code="""
def give(tensor, g):
    tensor.grad = tensor.grad + undo_broadcast(g, tensor.data.shape)

def add(a, b):
    out = Tensor(a.data + b.data, (a, b))
    out.push = lambda: (give(a, out.grad), give(b, out.grad))
    return out

def mul(a, b):
    out = Tensor(a.data * b.data, (a, b))
    out.push = lambda: (give(a, out.grad * b.data), give(b, out.grad * a.data))
    return out
""",
    ),
    Equivalent(
        "one helper for both operations",
        task="mul",
        code="""
def binary(value, a, b, to_a, to_b):
    out = Tensor(value, parents=[a, b])
    def push():
        for parent, local in ((a, to_a), (b, to_b)):
            parent.grad += undo_broadcast(out.grad * local, parent.data.shape)
    out.push = push
    return out

def add(a, b):
    return binary(np.add(a.data, b.data), a, b, 1.0, 1.0)

def mul(a, b):
    return binary(np.multiply(a.data, b.data), a, b, b.data, a.data)
""",
    ),
    Equivalent(
        "a class for the operation",
        task="mul",
        code="""
class Mul(Tensor):
    def __init__(self, a, b):
        super().__init__(a.data * b.data, (a, b))
        self.push = self.hand_on

    def hand_on(self):
        a, b = self.parents
        for mine, other in ((a, b), (b, a)):
            share = self.grad * other.data
            np.add(mine.grad, undo_broadcast(share, mine.data.shape), out=mine.grad)

def mul(a, b):
    return Mul(a, b)

def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))
    def push():
        for parent in (a, b):
            parent.grad += undo_broadcast(out.grad, parent.data.shape)
    out.push = push
    return out
""",
    ),
    Equivalent(
        "einsum, cosh and where",
        task="matmul",
        code="""
def matmul(a, b):
    out = Tensor(np.einsum("nd,dm->nm", a.data, b.data), parents=(a, b))
    def push():
        a.grad += np.einsum("nm,dm->nd", out.grad, b.data)
        b.grad += np.einsum("nd,nm->dm", a.data, out.grad)
    out.push = push
    return out

def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))
    def push():
        a.grad += out.grad / np.cosh(a.data) ** 2
    out.push = push
    return out

def relu(a):
    out = Tensor(np.where(a.data > 0, a.data, 0), parents=(a,))
    def push():
        a.grad += np.where(a.data > 0, out.grad, 0)
    out.push = push
    return out
""",
    ),
    Equivalent(
        "transposes of transposes, and masks",
        task="matmul",
        code="""
def matmul(a, b):
    out = Tensor(np.dot(a.data, b.data), parents=(a, b))
    def push():
        a.grad = a.grad + (b.data @ out.grad.T).T
        b.grad = b.grad + (out.grad.T @ a.data).T
    out.push = push
    return out

def tanh(a):
    t = np.tanh(a.data)
    out = Tensor(t, (a,))
    out.push = lambda: a.grad.__iadd__((1 + t) * (1 - t) * out.grad)
    return out

def relu(a):
    positive = (a.data > 0).astype(float)
    out = Tensor(a.data * positive, (a,))
    def push():
        a.grad += positive * out.grad
    out.push = push
    return out
""",
    ),
    Equivalent(
        "outer products, and tanh from exponentials",
        task="matmul",
        code="""
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))
    def push():
        for n in range(len(a.data)):
            a.grad[n] += b.data @ out.grad[n]
            b.grad += np.outer(a.data[n], out.grad[n])
    out.push = push
    return out

def tanh(a):
    up, down = np.exp(a.data), np.exp(-a.data)
    out = Tensor((up - down) / (up + down), parents=(a,))
    def push():
        a.grad += out.grad * 4 / (up + down) ** 2
    out.push = push
    return out

def relu(a):
    out = Tensor(a.data.clip(min=0), parents=(a,))
    def push():
        a.grad += out.grad * (out.data > 0)
    out.push = push
    return out
""",
    ),
    Equivalent(
        "counts of uses (Kahn)",
        task="backward",
        code="""
def backward(root):
    uses, met, stack = {}, {root}, [root]
    while stack:
        for parent in stack.pop().parents:
            uses[parent] = uses.get(parent, 0) + 1
            if parent not in met:
                met.add(parent)
                stack.append(parent)
    root.grad = np.ones_like(root.data)
    ready = [root]
    while ready:
        node = ready.pop()
        node.push()
        for parent in node.parents:
            uses[parent] -= 1
            if not uses[parent]:
                ready.append(parent)
""",
    ),
    Equivalent(
        "graphlib",
        task="backward",
        code="""
from graphlib import TopologicalSorter

def backward(root):
    graph, waiting = {}, [root]
    while waiting:
        node = waiting.pop()
        if node not in graph:
            graph[node] = node.parents
            waiting.extend(node.parents)
    root.grad = 1.0
    for node in reversed(list(TopologicalSorter(graph).static_order())):
        node.push()
""",
    ),
    Equivalent(
        "iterators on a stack, leaves left out",
        task="backward",
        code="""
def backward(root):
    order, seen = [], {id(root)}
    path = [(root, iter(root.parents))]
    while path:
        node, parents = path[-1]
        for parent in parents:
            if id(parent) not in seen and parent.parents:
                seen.add(id(parent))
                path.append((parent, iter(parent.parents)))
                break
        else:
            order.insert(0, node)
            path.pop()
    root.grad = np.array(1.0)
    for node in order:
        node.push()
""",
    ),
    Equivalent(
        "a deeper limit for nested calls",
        task="backward",
        code="""
import sys

def backward(root):
    order, seen = [], set()
    def visit(node):
        if node not in seen:
            seen.add(node)
            for parent in node.parents:
                visit(parent)
            order.append(node)
    old = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    visit(root)
    sys.setrecursionlimit(old)
    root.grad = np.ones(())
    while order:
        order.pop().push()
""",
    ),
    Equivalent(
        "one-hot rows",
        task="cross_entropy",
        code="""
def cross_entropy(logits, targets):
    z = logits.data
    n, c = z.shape
    e = np.exp(z - z.max(1)[:, None])
    p = e / e.sum(1)[:, None]
    hot = np.eye(c)[targets]
    log_sum = np.log(e.sum(1)) + z.max(1)
    out = Tensor((log_sum - (z * hot).sum(1)).sum() / n, (logits,))
    out.push = lambda: logits.grad.__iadd__((p - hot) * (out.grad / n))
    return out
""",
    ),
    Equivalent(
        "a loop over rows",
        task="cross_entropy",
        code="""
def cross_entropy(logits, targets):
    rows = []
    for z in logits.data:
        e = np.exp(z - max(z))
        rows.append((z - max(z) - np.log(sum(e)), e / sum(e)))
    losses = [-log_p[t] for (log_p, _), t in zip(rows, targets)]
    out = Tensor(sum(losses) / len(losses), parents=(logits,))
    def push():
        for i, t in enumerate(targets):
            for j in range(logits.data.shape[1]):
                delta = rows[i][1][j] - (j == t)
                logits.grad[i, j] += out.grad * delta / len(targets)
    out.push = push
    return out
""",
    ),
    Equivalent(
        "logaddexp and take_along_axis",
        task="cross_entropy",
        code="""
def cross_entropy(logits, targets):
    log_sum = np.logaddexp.reduce(logits.data, axis=1, keepdims=True)
    log_p = logits.data - log_sum
    index = np.expand_dims(targets, 1)
    out = Tensor(-np.take_along_axis(log_p, index, axis=1).mean(), parents=(logits,))
    def push():
        g = np.exp(log_p)
        np.subtract.at(g, (np.arange(len(g)), targets), 1.0)
        logits.grad = logits.grad + g * out.grad / g.shape[0]
    out.push = push
    return out
""",
    ),
    Equivalent(
        "two nodes: log-probabilities, then the mean",
        task="cross_entropy",
        code="""
def log_softmax(a):
    z = a.data - a.data.max(axis=1, keepdims=True)
    out = Tensor(z - np.log(np.exp(z).sum(axis=1, keepdims=True)), parents=(a,))
    def push():
        a.grad += out.grad - np.exp(out.data) * out.grad.sum(axis=1, keepdims=True)
    out.push = push
    return out

def cross_entropy(logits, targets):
    log_p = log_softmax(logits)
    rows = np.arange(len(targets))
    out = Tensor(-log_p.data[rows, targets].mean(), parents=(log_p,))
    def push():
        log_p.grad[rows, targets] -= out.grad / len(targets)
    out.push = push
    return out
""",
    ),
    Equivalent(
        "new arrays, zip and a comprehension",
        task="train",
        code="""
def sgd_step(params, lr):
    for p in params:
        p.data, p.grad = p.data - lr * p.grad, 0 * p.grad

def train(params, x, y, batches, lr):
    def one(ids):
        loss = cross_entropy(mlp(params, x[ids]), y[ids])
        backward(loss)
        sgd_step(params, lr)
        return loss.data.item()
    return [one(ids) for ids in batches]
""",
    ),
    Equivalent(
        "in place, emptied by fill",
        task="train",
        code="""
def sgd_step(params, lr):
    for i in range(len(params)):
        np.subtract(params[i].data, lr * params[i].grad, out=params[i].data)
    for p in params:
        p.grad.fill(0)

def train(params, x, y, batches, lr):
    history = np.zeros(len(batches))
    for k, ids in enumerate(batches):
        loss = cross_entropy(mlp(params, Tensor(x[ids])), y[ids])
        history[k] = loss.data
        backward(loss)
        sgd_step(params, lr)
    return list(history)
""",
    ),
    Equivalent(
        "emptied to a number, and before each sweep too",
        task="train",
        code="""
def sgd_step(params, lr):
    for p in params:
        p.data -= lr * p.grad
        p.grad = 0.0

def train(params, x, y, batches, lr):
    losses = []
    for p in params:
        p.grad = np.zeros(p.data.shape)
    for ids in batches:
        loss = cross_entropy(mlp(params, x[ids]), y[ids])
        losses = losses + [float(loss.data)]
        backward(loss)
        sgd_step(params, lr)
    return losses
""",
    ),
    Equivalent(
        "rounding of another machine",
        task="step_errors",
        code="""
step_errors = {
    name: {h: error * (7 if h < 1e-8 else 1) for h, error in row.items()}
    for name, row in step_errors.items()
}
""",
    ),
    # Written without sight of the checks, by someone who solved the notebook first.
    Equivalent(
        "einsum",
        task="undo_broadcast",
        code="""
def undo_broadcast(g, shape):
    lead = g.ndim - len(shape)
    letters = "abcdefgh"[: g.ndim]
    keep = "".join(l for i, l in enumerate(letters) if i >= lead and shape[i - lead] != 1)
    return np.einsum(letters + "->" + keep, g).reshape(shape)
""",
    ),
    Equivalent(
        "bincount",
        task="undo_broadcast",
        code="""
def undo_broadcast(g, shape):
    out = np.zeros(shape)
    view = np.broadcast_to(np.arange(out.size).reshape(shape), g.shape)
    return np.bincount(view.ravel(), weights=g.ravel(), minlength=out.size).reshape(shape)
""",
    ),
    Equivalent(
        "a list of parents",
        task="mul",
        code="""
def add(a, b):
    out = Tensor(a.data + b.data, parents=[a, b])

    def push():
        a.grad += undo_broadcast(out.grad, a.data.shape)
        b.grad += undo_broadcast(out.grad, b.data.shape)

    out.push = push
    return out


def mul(a, b):
    out = Tensor(a.data * b.data, parents=[a, b])

    def push():
        a.grad += undo_broadcast(out.grad * b.data, a.data.shape)
        b.grad += undo_broadcast(out.grad * a.data, b.data.shape)

    out.push = push
    return out
""",
    ),
    Equivalent(
        "np.add with out=",
        task="mul",
        code="""
def add(a, b):
    out = Tensor(a.data + b.data, parents=(a, b))

    def push():
        np.add(a.grad, undo_broadcast(out.grad, a.grad.shape), out=a.grad)
        b.grad += undo_broadcast(out.grad, b.data.shape)

    out.push = push
    return out


def mul(a, b):
    out = Tensor(np.multiply(a.data, b.data), parents=(a, b))

    def push():
        a.grad += undo_broadcast(out.grad * b.data, a.data.shape)
        b.grad += undo_broadcast(out.grad * a.data, b.data.shape)

    out.push = push
    return out
""",
    ),
    Equivalent(
        "clip, and a mask on both sides",
        task="matmul",
        code="""
def matmul(a, b):
    out = Tensor(a.data @ b.data, parents=(a, b))

    def push():
        a.grad += out.grad @ b.data.T
        b.grad += a.data.T @ out.grad

    out.push = push
    return out


def tanh(a):
    out = Tensor(np.tanh(a.data), parents=(a,))

    def push():
        a.grad += out.grad * (1 - np.tanh(a.data) ** 2)

    out.push = push
    return out


def relu(a):
    out = Tensor(a.data.clip(min=0), parents=(a,))

    def push():
        a.grad[a.data > 0] += out.grad[a.data > 0]

    out.push = push
    return out
""",
    ),
    Equivalent(
        "counts of uses with a queue",
        task="backward",
        code="""
from collections import deque
def backward(root):
    users, stack, seen = {}, [root], {id(root)}
    while stack:
        n = stack.pop()
        for p in n.parents:
            users[id(p)] = users.get(id(p), 0) + 1
            if id(p) not in seen:
                seen.add(id(p))
                stack.append(p)
    root.grad = np.ones_like(root.data)
    ready = deque([root])
    while ready:
        n = ready.popleft()
        n.push()
        for p in n.parents:
            users[id(p)] -= 1
            if not users[id(p)]:
                ready.append(p)
""",
    ),
    Equivalent(
        "the seed written into grad",
        task="backward",
        code="""
def backward(root):
    order, seen = [], set()
    stack = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((node, True))
        for p in node.parents:
            stack.append((p, False))
    root.grad.fill(1.0)
    for node in reversed(order):
        node.push()
""",
    ),
    Equivalent(
        "class by class",
        task="cross_entropy",
        code="""
def cross_entropy(logits, targets):
    n = len(targets)
    z = logits.data - logits.data.max(axis=1, keepdims=True)
    logp = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    rows = np.arange(n)
    out = Tensor(-logp[rows, targets].mean(), parents=(logits,))

    def push():
        d = np.exp(logp)
        for t in set(targets.tolist()):
            d[targets == t, t] -= 1
        logits.grad += out.grad * d / n

    out.push = push
    return out
""",
    ),
    Equivalent(
        "emptied before each sweep too",
        task="train",
        code="""
def sgd_step(params, lr):
    for p in params:
        p.data -= lr * p.grad
        p.grad[...] = 0


def train(params, x, y, batches, lr):
    losses = []
    for rows in batches:
        loss = cross_entropy(mlp(params, x[rows]), y[rows])
        for p in params:
            p.grad.fill(0)
        backward(loss)
        losses.append(float(loss.data))
        sgd_step(params, lr)
    return losses
""",
    ),
]
