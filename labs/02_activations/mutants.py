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
        "ints from np.where",
        task="slope",
        code="""
def slope(z, kind):
    if kind == "sigmoid":
        s = sigmoid(z)
        return s - s**2
    elif kind == "tanh":
        return 1 - np.square(np.tanh(z))
    else:
        return np.where(z > 0, 1, 0)
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
]
