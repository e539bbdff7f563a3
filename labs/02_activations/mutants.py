"""Wrong answers to lab 2 that students give, and right ones in other styles."""

from lmcore.course.labs import Equivalent, Mutant

MUTANTS = [
    # ------------------------------------------------------------------ sigmoid
    Mutant(
        "the textbook formula",
        task="sigmoid",
        says="NumPy warns: overflow",
        code="""
def sigmoid(x):
    return 1 / (1 + np.exp(-x))
""",
    ),
    Mutant(
        "the other textbook formula",
        task="sigmoid",
        says="infinity / infinity is NaN",
        code="""
def sigmoid(x):
    return np.exp(x) / (np.exp(x) + 1)
""",
    ),
    Mutant(
        "np.where computes both branches",
        task="sigmoid",
        says="np.where computes both branches",
        code="""
def sigmoid(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))
""",
    ),
    Mutant(
        "the result takes over the ints",
        task="sigmoid",
        says="taken over the ints of x",
        code="""
def sigmoid(x):
    y = np.zeros_like(x)
    y[x >= 0] = 1 / (1 + np.exp(-x[x >= 0]))
    e = np.exp(x[x < 0])
    y[x < 0] = e / (1 + e)
    return y
""",
    ),
    Mutant(
        "the sign of the exponent",
        task="sigmoid",
        says="sign of the exponent",
        code="""
def sigmoid(x):
    return 1 / (1 + np.exp(x))
""",
    ),
    Mutant(
        "brackets are missing",
        task="sigmoid",
        says="the brackets",
        code="""
def sigmoid(x):
    return 1 / 1 + np.exp(-x)
""",
    ),
    Mutant(
        "the input is changed in place",
        task="sigmoid",
        says="work on a copy",
        code="""
def sigmoid(x):
    x[x > 500] = 500
    x[x < -500] = -500
    return 1 / (1 + np.exp(-x))
""",
    ),
    Mutant(
        "clipped too narrowly",
        task="sigmoid",
        says="clipped",
        code="""
def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -20, 20)))
""",
    ),
    Mutant(
        "tanh that is not slowed down",
        task="sigmoid",
        says="half as steep",
        code="""
def sigmoid(x):
    return 0.5 * (1 + np.tanh(x))
""",
    ),
    Mutant(
        "math.exp on an array",
        task="sigmoid",
        says="math.exp",
        code="""
def sigmoid(x):
    return 1 / (1 + math.exp(-x))
""",
    ),
    # --------------------------------------------------------------------- gelu
    Mutant(
        "root 2 is missing",
        task="gelu",
        says="x / sqrt(2)",
        code="""
def gelu(x, approximate):
    if approximate:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + erf(x))
""",
    ),
    Mutant(
        "root of 2, divided by pi",
        task="gelu",
        says="sqrt(2) / pi",
        code="""
def gelu(x, approximate):
    if approximate:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2) / np.pi * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))
""",
    ),
    Mutant(
        "the square for the cube",
        task="gelu",
        says="x^2 instead of x^3",
        code="""
def gelu(x, approximate):
    if approximate:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**2)))
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))
""",
    ),
    Mutant(
        "the two forms are swapped",
        task="gelu",
        says="approximate=False wants the form with erf",
        code="""
def gelu(x, approximate):
    if not approximate:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))
""",
    ),
    Mutant(
        "one form for both",
        task="gelu",
        says="True the one with tanh",
        code="""
def gelu(x, approximate):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))
""",
    ),
    Mutant(
        "Phi alone",
        task="gelu",
        says="the factor x is missing",
        code="""
def gelu(x, approximate):
    if approximate:
        return 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return 0.5 * (1 + erf(x / np.sqrt(2)))
""",
    ),
    # -------------------------------------------------------------------- slope
    Mutant(
        "tanh' from x instead of y",
        task="slope",
        says="apply tanh first",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        y = sigmoid(z)
        return y * (1 - y)
    if kind == "tanh":
        return 1 - z**2
    return (z > 0).astype(float)
""",
    ),
    Mutant(
        "sigmoid' from x instead of y",
        task="slope",
        says="apply the sigmoid first",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        return z * (1 - z)
    if kind == "tanh":
        return 1 - np.tanh(z) ** 2
    return (z > 0).astype(float)
""",
    ),
    Mutant(
        "the square is missing",
        task="slope",
        says="the square is missing",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        y = sigmoid(z)
        return y * (1 - y)
    if kind == "tanh":
        return 1 - np.tanh(z)
    return (z > 0).astype(float)
""",
    ),
    Mutant(
        "ReLU's slope by division",
        task="slope",
        says="NaN at z = 0",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        y = sigmoid(z)
        return y * (1 - y)
    if kind == "tanh":
        return 1 - np.tanh(z) ** 2
    with np.errstate(all="ignore"):
        return np.maximum(z, 0) / z
""",
    ),
    Mutant(
        "1 at the corner",
        task="slope",
        says="at exactly 0 is 0",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        y = sigmoid(z)
        return y * (1 - y)
    if kind == "tanh":
        return 1 - np.tanh(z) ** 2
    return (z >= 0) * 1.0
""",
    ),
    Mutant(
        "the activation instead of its slope",
        task="slope",
        says="the activation itself",
        code="""
def slope(z, kind):
    return activate(z, kind)
""",
    ),
    Mutant(
        "no return for relu",
        task="slope",
        says="does every way through it `return`",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        return sigmoid(z) * (1 - sigmoid(z))
    if kind == "tanh":
        return 1 - np.tanh(z) ** 2
    if kind == "ReLU":
        return (z > 0) * 1.0
""",
    ),
    Mutant(
        "ReLU writes into its input",
        task="slope",
        says="work on a copy",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        return sigmoid(z) * (1 - sigmoid(z))
    if kind == "tanh":
        return 1 - np.tanh(z) ** 2
    z[z <= 0] = 0
    z[z > 0] = 1
    return z
""",
    ),
    # -------------------------------------------------------------- log_softmax
    Mutant(
        "no maximum subtracted",
        task="log_softmax",
        says="exponentials overflowed",
        code="""
def log_softmax(z, axis):
    return z - np.log(np.exp(z).sum(axis=axis, keepdims=True))
""",
    ),
    Mutant(
        "always the last axis",
        task="log_softmax",
        says="wrong axis: axis=0",
        code="""
def log_softmax(z, axis):
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
""",
    ),
    Mutant(
        "always axis 0",
        task="log_softmax",
        says="wrong axis: axis=1",
        code="""
def log_softmax(z, axis):
    z = z - z.max(axis=0)
    return z - np.log(np.exp(z).sum(axis=0))
""",
    ),
    Mutant(
        "over the whole array",
        task="log_softmax",
        says="wrong axis",
        code="""
def log_softmax(z, axis):
    z = z - z.max()
    return z - np.log(np.exp(z).sum())
""",
    ),
    Mutant(
        "the logarithm of softmax",
        task="log_softmax",
        says="a probability became 0",
        code="""
def log_softmax(z, axis):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return np.log(e / e.sum(axis=axis, keepdims=True))
""",
    ),
    Mutant(
        "the largest of the whole array",
        task="log_softmax",
        says="not of the whole array",
        code="""
def log_softmax(z, axis):
    z = z - z.max()
    return z - np.log(np.exp(z).sum(axis=axis, keepdims=True))
""",
    ),
    Mutant(
        "no keepdims",
        task="log_softmax",
        says="keepdims",
        code="""
def log_softmax(z, axis):
    z = z - z.max(axis=axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=axis))
""",
    ),
    Mutant(
        "softmax without the logarithm",
        task="log_softmax",
        says="this is softmax",
        code="""
def log_softmax(z, axis):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)
""",
    ),
    Mutant(
        "a small number against log 0",
        task="log_softmax",
        says="have a floor",
        code="""
def log_softmax(z, axis):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return np.log(e / e.sum(axis=axis, keepdims=True) + 1e-12)
""",
    ),
    Mutant(
        "in-place change of the input",
        task="log_softmax",
        says="work on a copy",
        code="""
def log_softmax(z, axis):
    z -= z.max(axis=axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=axis, keepdims=True))
""",
    ),
    # --------------------------------------------------------------------- gain
    Mutant(
        "the variance for the mean square",
        task="gain",
        says="the mean of ReLU is not 0",
        code="""
def gain(f, z):
    return 1 / f(z).std()
""",
    ),
    Mutant(
        "the root is missing",
        task="gain",
        says="the root is missing",
        code="""
def gain(f, z):
    return 1 / np.mean(f(z) ** 2)
""",
    ),
    Mutant(
        "upside down",
        task="gain",
        says="one over it",
        code="""
def gain(f, z):
    return np.sqrt(np.mean(f(z) ** 2))
""",
    ),
    Mutant(
        "the square of the mean",
        task="gain",
        says="the square comes before the mean",
        code="""
def gain(f, z):
    return 1 / np.sqrt(np.mean(f(z)) ** 2)
""",
    ),
    Mutant(
        "He's gain for everything",
        task="gain",
        says="the gain depends on f",
        code="""
def gain(f, z):
    return math.sqrt(2)
""",
    ),
    # ----------------------------------------------------------------- init_std
    Mutant(
        "fan_out for fan_in",
        task="init_std",
        says="n_out is not n_in",
        code="""
def init_std(n_in, n_out, scheme):
    if scheme == "small":
        return 0.01
    if scheme == "xavier":
        return math.sqrt(2 / (n_in + n_out))
    return math.sqrt(2 / n_out)
""",
    ),
    Mutant(
        "He with gain 1",
        task="init_std",
        says="gain 1",
        code="""
def init_std(n_in, n_out, scheme):
    if scheme == "small":
        return 0.01
    if scheme == "xavier":
        return math.sqrt(2 / (n_in + n_out))
    return math.sqrt(1 / n_in)
""",
    ),
    Mutant(
        "the variance",
        task="init_std",
        says="this is the variance",
        code="""
def init_std(n_in, n_out, scheme):
    return {"small": 0.01, "xavier": 2 / (n_in + n_out), "he": 2 / n_in}[scheme]
""",
    ),
    Mutant(
        "integer division",
        task="init_std",
        says="// cuts off",
        code="""
def init_std(n_in, n_out, scheme):
    if scheme == "small":
        return 0.01
    return math.sqrt(2 // (n_in + n_out) if scheme == "xavier" else 2 // n_in)
""",
    ),
    Mutant(
        "Xavier from the inputs alone",
        task="init_std",
        says="takes the outputs in as well",
        code="""
def init_std(n_in, n_out, scheme):
    if scheme == "small":
        return 0.01
    return math.sqrt((1 if scheme == "xavier" else 2) / n_in)
""",
    ),
    Mutant(
        "the limit of a uniform distribution",
        task="init_std",
        says="uniform",
        code="""
def init_std(n_in, n_out, scheme):
    if scheme == "small":
        return 0.01
    return math.sqrt(6 / (n_in + n_out) if scheme == "xavier" else 6 / n_in)
""",
    ),
    # ------------------------------------------------------------------- spread
    Mutant(
        "divided by N - 1",
        task="spread",
        says="N - 1",
        code="""
def spread(x, weights, kind):
    stds = []
    for W in weights:
        z = x @ W
        stds.append(float(z.std(ddof=1)))
        x = activate(z, kind)
    return stds
""",
    ),
    Mutant(
        "measured after the activation",
        task="spread",
        says="measured after the activation",
        code="""
def spread(x, weights, kind):
    stds = []
    for W in weights:
        x = activate(x @ W, kind)
        stds.append(float(x.std()))
    return stds
""",
    ),
    Mutant(
        "the activation is forgotten",
        task="spread",
        says="here it gets z",
        code="""
def spread(x, weights, kind):
    stds = []
    for W in weights:
        x = x @ W
        stds.append(float(x.std()))
    return stds
""",
    ),
    Mutant(
        "the input is activated",
        task="spread",
        says="input x itself is not activated",
        code="""
def spread(x, weights, kind):
    stds = []
    z = x
    for W in weights:
        z = activate(z, kind) @ W
        stds.append(float(z.std()))
    return stds
""",
    ),
    Mutant(
        "unit by unit",
        task="spread",
        says="all numbers of the layer at once",
        code="""
def spread(x, weights, kind):
    stds = []
    for W in weights:
        z = x @ W
        stds.append(float(z.std(axis=0).mean()))
        x = activate(z, kind)
    return stds
""",
    ),
    Mutant(
        "the variance instead",
        task="spread",
        says="this is the variance",
        code="""
def spread(x, weights, kind):
    stds = []
    for W in weights:
        z = x @ W
        stds.append(float(z.var()))
        x = activate(z, kind)
    return stds
""",
    ),
    Mutant(
        "every layer gets x",
        task="spread",
        says="in the line `h = activate(x @ W, kind)`",
        code="""
def spread(x, weights, kind):
    stds = []
    for W in weights:
        h = activate(x @ W, kind)
        stds.append(float((x @ W).std()))
    return stds
""",
    ),
    Mutant(
        "return inside the loop",
        task="spread",
        says="one number for each layer",
        code="""
def spread(x, weights, kind):
    stds = []
    for W in weights:
        z = x @ W
        stds.append(float(z.std()))
        x = activate(z, kind)
        return stds
""",
    ),
    # --------------------------------------------------------------- count_dead
    Mutant(
        "below 0 only",
        task="count_dead",
        says="<= and not <",
        code="""
def count_dead(z):
    return int((z < 0).all(axis=0).sum())
""",
    ),
    Mutant(
        "silent on some example",
        task="count_dead",
        says="not on some",
        code="""
def count_dead(z):
    return int((z <= 0).any(axis=0).sum())
""",
    ),
    Mutant(
        "rows for columns",
        task="count_dead",
        says="columns are the units",
        code="""
def count_dead(z):
    return int((z <= 0).all(axis=1).sum())
""",
    ),
    Mutant(
        "numbers instead of units",
        task="count_dead",
        says="count units",
        code="""
def count_dead(z):
    return int((z <= 0).sum())
""",
    ),
    Mutant(
        "a share",
        task="count_dead",
        says="a number of units",
        code="""
def count_dead(z):
    return float((z <= 0).all(axis=0).mean())
""",
    ),
    # -------------------------------------------------------------------- table
    Mutant(
        "shares instead of percent",
        task="table",
        says="percent are wanted",
        code="""
table = {name: {d: v / 100 for d, v in row.items()} for name, row in table.items()}
""",
    ),
    Mutant(
        "the depths are swapped",
        task="table",
        says="depths are swapped",
        code="""
table = {name: {2: row[8], 8: row[2]} for name, row in table.items()}
""",
    ),
    Mutant(
        "another student's table",
        task="table",
        says="another STUDENT",
        code="""
table = {name: {d: v - 9 for d, v in row.items()} for name, row in table.items()}
""",
    ),
    Mutant(
        "measured before He was right",
        task="table",
        says="same as with xavier",
        code="""
table = table | {"relu he": table["relu xavier"]}
""",
    ),
    Mutant(
        "nothing typed in",
        task="table",
        says="the table is empty",
        code="""
table = {}
""",
    ),
    # Written without sight of the checks, by someone who solved the notebook first.
    Mutant(
        "clipped at 30",
        task="sigmoid",
        says="clipped too early",
        code="""
def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))
""",
    ),
    Mutant(
        "float32",
        task="sigmoid",
        says="right to a few digits only",
        code="""
def sigmoid(x):
    x = np.asarray(x, dtype=np.float32)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))
""",
    ),
    Mutant(
        "NaN at minus infinity",
        task="sigmoid",
        says="NaN",
        code="""
def sigmoid(x):
    # e^(min(x,0)) / (e^min(x,0) + e^(min(x,0) - x)): inf - inf at -inf
    with np.errstate(all="ignore"):
        m = np.minimum(x, 0.0)
        return np.exp(m) / (np.exp(m) + np.exp(m - x))
""",
    ),
    Mutant(
        "0 belongs to neither side",
        task="sigmoid",
        says="expected 0.5",
        code="""
def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x > 0, 1 / (1 + e), 0) + np.where(x < 0, e / (1 + e), 0)
""",
    ),
    Mutant(
        "writes into x",
        task="sigmoid",
        says="work on a copy",
        code="""
def sigmoid(x):
    x *= 1.0 if x.dtype.kind == "f" else 1
    e = np.exp(-abs(x))
    if x.dtype.kind != "f":
        return np.where(x >= 0, 1 / (1 + e), e / (1 + e))
    p = x >= 0
    x[:] = np.where(p, 1 / (1 + e), e / (1 + e))
    return x
""",
    ),
    Mutant(
        "cut off at 0",
        task="gelu",
        says="nothing is cut off",
        code="""
def gelu(x, approximate):
    if approximate:
        return np.maximum(0, 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))
    return np.maximum(0, x * 0.5 * (1 + erf(x / np.sqrt(2))))
""",
    ),
    Mutant(
        "the constant inside the cube",
        task="gelu",
        says="belongs outside the cube",
        code="""
def gelu(x, approximate):
    if approximate:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + (0.044715 * x)**3)))
    return x * 0.5 * (1 + erf(x / np.sqrt(2)))
""",
    ),
    Mutant(
        "pi over 2 under the root",
        task="gelu",
        says="sqrt(pi / 2)",
        code="""
def gelu(x, approximate):
    if approximate:
        return 0.5 * x * (1 + np.tanh(np.sqrt(np.pi / 2) * (x + 0.044715 * x**3)))
    return x * 0.5 * (1 + erf(x / np.sqrt(2)))
""",
    ),
    Mutant(
        "the cube loses the sign",
        task="gelu",
        says="keeps the sign",
        code="""
def gelu(x, approximate):
    if approximate:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * abs(x)**3)))
    return x * 0.5 * (1 + erf(x / np.sqrt(2)))
""",
    ),
    Mutant(
        "booleans",
        task="slope",
        says="cast them",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        s = sigmoid(z)
        return s * (1 - s)
    if kind == "tanh":
        return 1 - np.tanh(z) ** 2
    return z > 0
""",
    ),
    Mutant(
        "ints",
        task="slope",
        says="cast them",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        s = sigmoid(z)
        return s * (1 - s)
    if kind == "tanh":
        return 1 - np.tanh(z) ** 2
    return (z > 0) * 1
""",
    ),
    Mutant(
        "a difference quotient",
        task="slope",
        says="right to a few digits only",
        code="""
def slope(z, kind):
    h = 1e-6
    return (activate(z + h, kind) - activate(z, kind)) / h
""",
    ),
    Mutant(
        "e^-z in the slope",
        task="slope",
        says="your sigmoid survives it",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        return np.exp(-z) / (1 + np.exp(-z)) ** 2
    if kind == "tanh":
        return 1 - np.tanh(z) ** 2
    return np.where(z > 0, 1.0, 0.0)
""",
    ),
    Mutant(
        "sigmoid taken for tanh",
        task="slope",
        says="the slope of tanh",
        code="""
def slope(z, kind):
    if kind == "relu":
        return np.where(z > 0, 1.0, 0.0)
    return 1 - np.tanh(z) ** 2
""",
    ),
    Mutant(
        "a number for minus infinity",
        task="log_softmax",
        says="stays -infinity",
        code="""
def log_softmax(z, axis):
    z = np.where(np.isinf(z), -1e9, z)
    z = z - z.max(axis=axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=axis, keepdims=True))
""",
    ),
    Mutant(
        "float32",
        task="log_softmax",
        says="right to a few digits only",
        code="""
def log_softmax(z, axis):
    z = z.astype(np.float32)
    z = z - z.max(axis=axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=axis, keepdims=True))
""",
    ),
    Mutant(
        "log2",
        task="log_softmax",
        says="not log2",
        code="""
def log_softmax(z, axis):
    z = z - z.max(axis=axis, keepdims=True)
    return z - np.log2(np.exp(z).sum(axis=axis, keepdims=True))
""",
    ),
    Mutant(
        "the largest size for the largest score",
        task="log_softmax",
        says="infinity where",
        code="""
def log_softmax(z, axis):
    z = z - np.abs(z).max(axis=axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=axis, keepdims=True))
""",
    ),
    Mutant(
        "a sample of one's own",
        task="gain",
        says="the z that is given",
        code="""
def gain(f, z):
    z = np.random.default_rng(0).standard_normal(1_000_000)
    return float(1 / np.sqrt(np.mean(f(z) ** 2)))
""",
    ),
    Mutant(
        "sorts z in place",
        task="gain",
        says="changed z",
        code="""
def gain(f, z):
    z.sort()
    return float(1 / np.sqrt(np.mean(f(z) ** 2)))
""",
    ),
    Mutant(
        "the first axis alone",
        task="gain",
        says="several axes",
        code="""
def gain(f, z):
    return 1 / np.sqrt(np.mean(f(z) ** 2, axis=0))
""",
    ),
    Mutant(
        "len(z) for the number of elements",
        task="gain",
        says="several axes",
        code="""
def gain(f, z):
    z = (z - z.mean()) / z.std(ddof=1)
    return float(1 / np.sqrt((f(z) ** 2).sum() / (len(z) - 1)))
""",
    ),
    Mutant(
        "the mean of sizes",
        task="gain",
        says="square comes first",
        code="""
def gain(f, z):
    return float(1 / np.mean(np.abs(f(z))))
""",
    ),
    Mutant(
        "// for the mean",
        task="init_std",
        says="use /",
        code="""
def init_std(n_in, n_out, scheme):
    if scheme == "small":
        return 0.01
    if scheme == "xavier":
        return math.sqrt(1 / ((n_in + n_out) // 2))
    return math.sqrt(2 / n_in)
""",
    ),
    Mutant(
        "a measured gain",
        task="init_std",
        says="near it, and not exact",
        code="""
def init_std(n_in, n_out, scheme):
    if scheme == "small":
        return 0.01
    if scheme == "xavier":
        return math.sqrt(2 / (n_in + n_out))
    return 1.42 / math.sqrt(n_in)
""",
    ),
    Mutant(
        "rounded",
        task="init_std",
        says="near it, and not exact",
        code="""
def init_std(n_in, n_out, scheme):
    if scheme == "small":
        return 0.01
    if scheme == "xavier":
        return round(math.sqrt(2 / (n_in + n_out)), 4)
    return round(math.sqrt(2 / n_in), 4)
""",
    ),
    Mutant(
        "He with the mean of both",
        task="init_std",
        says="counts the inputs alone",
        code="""
def init_std(n_in, n_out, scheme):
    if scheme == "small":
        return 0.01
    if scheme == "xavier":
        return math.sqrt(2 / (n_in + n_out))
    return 2 / math.sqrt(n_in + n_out)
""",
    ),
    Mutant(
        "the mean of two roots",
        task="init_std",
        says="mean of two standard deviations",
        code="""
def init_std(n_in, n_out, scheme):
    if scheme == "small":
        return 0.01
    if scheme == "xavier":
        return (1 / math.sqrt(n_in) + 1 / math.sqrt(n_out)) / 2
    return math.sqrt(2 / n_in)
""",
    ),
    Mutant(
        "the root mean square",
        task="spread",
        says="takes the mean away",
        code="""
def spread(x, weights, kind):
    out = []
    for W in weights:
        z = x @ W
        out.append(float(np.sqrt((z**2).mean())))
        x = activate(z, kind)
    return out
""",
    ),
    Mutant(
        "always ReLU",
        task="spread",
        says="this is always ReLU",
        code="""
def spread(x, weights, kind):
    out = []
    for W in weights:
        z = x @ W
        out.append(float(z.std()))
        x = np.maximum(z, 0)
    return out
""",
    ),
    Mutant(
        "a global list",
        task="spread",
        says="an earlier call",
        code="""
records = []
def spread(x, weights, kind):
    for W in weights:
        z = x @ W
        records.append(float(z.std()))
        x = activate(z, kind)
    return records
""",
    ),
    Mutant(
        "rounded",
        task="spread",
        says="rounded",
        code="""
def spread(x, weights, kind):
    out = []
    for W in weights:
        z = np.matmul(x, W)
        out.append(float(z.std()))
        x = z
        x[:] = activate(z, kind)
    weights[0][:] = weights[0] * 1
    x0 = x
    return [round(v, 4) for v in out]
""",
    ),
    Mutant(
        "empties weights",
        task="spread",
        says="work on a copy",
        code="""
def spread(x, weights, kind):
    out = []
    while weights:
        z = x @ weights.pop(0)
        out.append(float(z.std()))
        x = activate(z, kind)
    return out
""",
    ),
    Mutant(
        "a tolerance",
        task="count_dead",
        says="compare with 0 itself",
        code="""
def count_dead(z):
    return int((np.maximum(z, 0).mean(axis=0) < 1e-3).sum())
""",
    ),
    Mutant(
        "the first example alone",
        task="count_dead",
        says="one example is not enough",
        code="""
def count_dead(z):
    z = np.maximum(z, 0)
    return int((z[0] == 0).sum())
""",
    ),
    Mutant(
        "the sum of a unit",
        task="count_dead",
        says="the mean of a unit",
        code="""
def count_dead(z):
    return int((z.sum(axis=0) <= 0).sum())
""",
    ),
    Mutant(
        "NaN",
        task="table",
        says="nan is not what",
        code="""
table = {k: {d: float("nan") for d in r} for k, r in {k: dict(r) for k, r in table.items()}.items()}
""",
    ),
    Mutant(
        "one typing error",
        task="table",
        says="as printed",
        code="""
table = {k: dict(r) for k, r in table.items()}
table["relu xavier"][8] += 10
""",
    ),
    Mutant(
        "errors for accuracies",
        task="table",
        says="These are errors",
        code="""
table = {k: {d: 100 - v for d, v in r.items()} for k, r in {k: dict(r) for k, r in table.items()}.items()}
""",
    ),
]

EQUIVALENTS = [
    Equivalent(
        "a mask for each side",
        task="sigmoid",
        code="""
def sigmoid(x):
    y = np.empty(x.shape)
    right = x >= 0
    y[right] = 1 / (1 + np.exp(-x[right]))
    e = np.exp(x[~right])
    y[~right] = e / (1 + e)
    return y
""",
    ),
    Equivalent(
        "by way of tanh",
        task="sigmoid",
        code="""
def sigmoid(x):
    return 0.5 + 0.5 * np.tanh(0.5 * x)
""",
    ),
    Equivalent(
        "by way of logaddexp",
        task="sigmoid",
        code="""
def sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))
""",
    ),
    Equivalent(
        "np.where with harmless branches",
        task="sigmoid",
        code="""
def sigmoid(x):
    left = np.exp(np.minimum(x, 0))
    right = np.exp(-np.maximum(x, 0))
    return np.where(x < 0, left / (1 + left), 1 / (1 + right))
""",
    ),
    Equivalent(
        "clipped where nothing is lost",
        task="sigmoid",
        code="""
def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -700, 700)))
""",
    ),
    Equivalent(
        "number by number",
        task="sigmoid",
        code="""
def one(v):
    e = math.exp(-abs(v))
    return 1 / (1 + e) if v >= 0 else e / (1 + e)


def sigmoid(x):
    return np.array([one(v) for v in x.ravel().tolist()]).reshape(x.shape)
""",
    ),
    Equivalent(
        "Phi first",
        task="gelu",
        code="""
def gelu(x, approximate):
    if approximate:
        phi = (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * np.power(x, 3)))) / 2
    else:
        phi = (1 + erf(x / 2**0.5)) / 2
    return x * phi
""",
    ),
    Equivalent(
        "tanh as a sigmoid, erf as erfc",
        task="gelu",
        code="""
def gelu(x, approximate):
    if approximate:
        return x * sigmoid(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x * x * x))
    return x * 0.5 * np.vectorize(math.erfc)(-x / math.sqrt(2))
""",
    ),
    Equivalent(
        "the normal distribution of statistics",
        task="gelu",
        code="""
from statistics import NormalDist


def gelu(x, approximate):
    if not approximate:
        return x * np.vectorize(NormalDist().cdf)(x)
    cube = np.pi**-0.5 * 2**0.5 * (x + 0.044715 * x**3)
    return x / 2 + x / 2 * np.tanh(cube)
""",
    ),
    Equivalent(
        "y first, and a cast",
        task="slope",
        code="""
def slope(z, kind):
    y = activate(z, kind)
    if kind == "relu":
        return (z > 0).astype(z.dtype)
    return y * (1 - y) if kind == "sigmoid" else (1 - y) * (1 + y)
""",
    ),
    Equivalent(
        "np.where with one float",
        task="slope",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        s = sigmoid(z)
        return s - s**2
    elif kind == "tanh":
        return 1 - np.square(np.tanh(z))
    else:
        return np.where(z > 0, 1.0, 0)
""",
    ),
    Equivalent(
        "a table of functions, heaviside",
        task="slope",
        code="""
SLOPES = {
    "sigmoid": lambda z: sigmoid(z) * (1 - sigmoid(z)),
    "tanh": lambda z: 4 * sigmoid(2 * z) * (1 - sigmoid(2 * z)),
    "relu": lambda z: np.heaviside(z, 0.0),
}


def slope(z, kind):
    return SLOPES[kind](z)
""",
    ),
    Equivalent(
        "logaddexp.reduce",
        task="log_softmax",
        code="""
def log_softmax(z, axis):
    return z - np.expand_dims(np.logaddexp.reduce(z, axis=axis), axis)
""",
    ),
    Equivalent(
        "the axis moved to the end",
        task="log_softmax",
        code="""
def log_softmax(z, axis):
    rows = np.moveaxis(z, axis, -1)
    rows = rows - rows.max(axis=-1)[..., None]
    rows = rows - np.log(np.exp(rows).sum(axis=-1))[..., None]
    return np.moveaxis(rows, -1, axis)
""",
    ),
    Equivalent(
        "SciPy's logsumexp",
        task="log_softmax",
        code="""
from scipy.special import logsumexp


def log_softmax(z, axis):
    return z - logsumexp(z, axis=axis, keepdims=True)
""",
    ),
    Equivalent(
        "the maximum put back",
        task="log_softmax",
        code="""
def log_softmax(z, axis):
    m = np.max(z, axis, keepdims=True)
    total = np.sum(np.exp(z - m), axis, keepdims=True)
    return z - (m + np.log(total))
""",
    ),
    Equivalent(
        "an expectation, a power",
        task="gain",
        code="""
def gain(f, z):
    return (f(z) ** 2).mean() ** -0.5
""",
    ),
    Equivalent(
        "variance plus the square of the mean",
        task="gain",
        code="""
def gain(f, z):
    x = f(z)
    return 1 / np.sqrt(x.var() + x.mean() ** 2)
""",
    ),
    Equivalent(
        "a norm, and the spread of z",
        task="gain",
        code="""
def gain(f, z):
    return np.linalg.norm(z) / np.linalg.norm(f(z))
""",
    ),
    Equivalent(
        "ifs and powers",
        task="init_std",
        code="""
def init_std(n_in, n_out, scheme):
    if scheme == "small":
        return 0.01
    elif scheme == "xavier":
        return ((n_in + n_out) / 2) ** -0.5
    return math.sqrt(2) / math.sqrt(n_in)
""",
    ),
    Equivalent(
        "match, and NumPy's roots",
        task="init_std",
        code="""
def init_std(n_in, n_out, scheme):
    match scheme:
        case "small":
            return 1e-2
        case "xavier":
            return np.sqrt(2.0 / (n_in + n_out))
        case "he":
            return np.sqrt(2.0 / n_in)
""",
    ),
    Equivalent(
        "the gain, measured from ReLU's half",
        task="init_std",
        code="""
def init_std(n_in, n_out, scheme):
    fans = {"xavier": np.mean([n_in, n_out]), "he": 0.5 * n_in, "small": 10_000}
    return 1 / fans[scheme] ** 0.5
""",
    ),
    Equivalent(
        "x is overwritten by name only",
        task="spread",
        code="""
def spread(x, weights, kind):
    result = []
    for W in weights:
        z = np.dot(x, W)
        result.append(np.std(z))
        x = activate(z, kind)
    return result
""",
    ),
    Equivalent(
        "an array instead of a list",
        task="spread",
        code="""
def spread(x, weights, kind):
    stds = np.zeros(len(weights))
    z = x @ weights[0]
    stds[0] = z.std()
    for i in range(1, len(weights)):
        z = activate(z, kind) @ weights[i]
        stds[i] = z.std()
    return stds
""",
    ),
    Equivalent(
        "the formula of the variance",
        task="spread",
        code="""
def spread(x, weights, kind, stds=()):
    if not weights:
        return list(stds)
    z = x @ weights[0]
    std = math.sqrt(((z - z.mean()) ** 2).mean())
    return spread(activate(z, kind), weights[1:], kind, (*stds, std))
""",
    ),
    Equivalent(
        "what ReLU hands on is 0",
        task="count_dead",
        code="""
def count_dead(z):
    return z.shape[1] - np.count_nonzero(np.maximum(z, 0).sum(axis=0))
""",
    ),
    Equivalent(
        "a loop over columns",
        task="count_dead",
        code="""
def count_dead(z):
    dead = 0
    for unit in z.T:
        if all(value <= 0 for value in unit):
            dead += 1
    return dead
""",
    ),
    Equivalent(
        "not any",
        task="count_dead",
        code="""
def count_dead(z):
    return np.sum(~np.any(z > 0, axis=0))
""",
    ),
    Equivalent(
        "one digit more",
        task="table",
        code="""
table = {name: {d: v + 0.4 for d, v in row.items()} for name, row in table.items()}
""",
    ),
    # Written without sight of the checks, by someone who solved the notebook first.
    Equivalent(
        "overflow on purpose, infinity is right here",
        task="sigmoid",
        code="""
def sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-np.asarray(x, dtype=float)))
""",
    ),
    Equivalent(
        "one minus its mirror image",
        task="sigmoid",
        code="""
def sigmoid(x):
    # right above 0; below it 1 - sigmoid(-x) rounds to 0 from -37 on
    e = np.exp(-np.abs(x))
    s = 1 / (1 + e)
    return np.where(x >= 0, s, 1 - s)
""",
    ),
    Equivalent(
        "match, and y from activate",
        task="slope",
        code="""
def slope(z, kind):
    match kind:
        case "sigmoid":
            y = activate(z, kind)
            return y - y * y
        case "tanh":
            y = activate(z, kind)
            return 1 - np.square(y)
        case "relu":
            out = np.zeros_like(z, dtype=float)
            out[z > 0] = 1
            return out
""",
    ),
    Equivalent(
        "one over cosh squared",
        task="slope",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        s = sigmoid(z)
        return s * (1 - s)
    if kind == "tanh":
        return 1 / np.cosh(z) ** 2
    return np.where(z > 0, 1.0, 0.0)
""",
    ),
    Equivalent(
        "number by number along the axis",
        task="log_softmax",
        code="""
def log_softmax(z, axis):
    def one(v):
        m = v.max()
        return v - m - math.log(sum(math.exp(t - m) for t in v))
    return np.apply_along_axis(one, axis, z)
""",
    ),
    Equivalent(
        "by way of the variance",
        task="gain",
        code="""
def gain(f, z):
    y = f(z)
    return (y.var() + y.mean() ** 2) ** -0.5
""",
    ),
    Equivalent(
        "recursion",
        task="spread",
        code="""
def spread(x, weights, kind):
    if not weights:
        return []
    z = np.dot(x, weights[0])
    return [math.sqrt(np.mean((z - z.mean()) ** 2))] + spread(activate(z, kind), weights[1:], kind)
""",
    ),
    Equivalent(
        "a set of the living",
        task="count_dead",
        code="""
def count_dead(z):
    return z.shape[1] - len(set(np.nonzero(z > 0)[1]))
""",
    ),
    Equivalent(
        "lists and all()",
        task="count_dead",
        code="""
def count_dead(z):
    return sum(all(v <= 0 for v in column) for column in z.T.tolist())
""",
    ),
    Equivalent(
        "not rounded",
        task="table",
        code="""
table = {k: {d: float(v) + 0.3 for d, v in r.items()} for k, r in {k: dict(r) for k, r in table.items()}.items()}
""",
    ),
]
