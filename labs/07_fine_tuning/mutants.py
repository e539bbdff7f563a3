"""Wrong answers to lab 7 that students give, and right ones in other styles."""

from lmcore.course.labs import Equivalent, Mutant

MERGE = """
def merge(layer):
    plain = nn.Linear(*layer.lora_a.shape[1:], len(layer.lora_b),
                      bias=layer.linear.bias is not None)
    change = layer.scale * layer.lora_b @ layer.lora_a
    plain.weight.data = (layer.linear.weight + change).detach()
    if plain.bias is not None:
        plain.bias.data = layer.linear.bias.detach().clone()
    return plain
"""
LAYER = """
class LoRALinear(nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = linear
        for p in self.linear.parameters():
            p.requires_grad = False
        self.lora_a = nn.Parameter(torch.randn(rank, linear.in_features) * 0.1)
        self.lora_b = nn.Parameter(torch.zeros(linear.out_features, rank))
        self.scale = alpha / rank
    def forward(self, x):
        return self.linear(x) + self.scale * (x @ self.lora_a.T) @ self.lora_b.T
"""


def layer(old: str, new: str) -> str:
    """The layer and its merge with one thing changed."""
    code = LAYER + MERGE
    assert old in code, old
    return code.replace(old, new)


INJECT = """
def inject_lora(model, targets, rank, alpha):
    for p in model.parameters():
        p.requires_grad = False
    for p in model.head.parameters():
        p.requires_grad = True
    found = [n for n, m in model.named_modules()
             if isinstance(m, nn.Linear) and n.split(".")[-1] in targets]
    for name in found:
        path = name.split(".")
        parent = model
        for part in path[:-1]:
            parent = getattr(parent, part)
        setattr(parent, path[-1], LoRALinear(getattr(parent, path[-1]), rank, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
"""


def inject(old: str, new: str) -> str:
    """The injection with one thing changed."""
    assert old in INJECT, old
    return INJECT.replace(old, new)


FIT = """
def fit(model, train_epoch, evaluate, max_epochs, patience):
    losses, lowest, waited, kept = [], float("inf"), 0, None
    for epoch in range(max_epochs):
        train_epoch()
        loss = evaluate()
        losses.append(loss)
        if loss < lowest:
            lowest, waited = loss, 0
            kept = copy.deepcopy(model.state_dict())
        else:
            waited += 1
            if waited >= patience:
                break
    model.load_state_dict(kept)
    return losses
"""


def fit(old: str, new: str) -> str:
    """Early stopping with one thing changed."""
    assert old in FIT, old
    return "import copy\n" + FIT.replace(old, new)


SCORES = """
def scores(targets, predictions, n_classes):
    m = np.zeros((n_classes, n_classes))
    for t, p in zip(targets, predictions):
        m[t, p] += 1
    right = np.diag(m)
    def share(a, b):
        return np.array([x / y if y else 0.0 for x, y in zip(a, b)])
    precision = share(right, m.sum(0))
    recall = share(right, m.sum(1))
    f1 = share(2 * precision * recall, precision + recall)
    return {"matrix": m, "accuracy": right.sum() / len(targets),
            "precision": precision, "recall": recall, "f1": f1,
            "macro_f1": f1.mean()}
"""


def score(old: str, new: str) -> str:
    """The measures with one thing changed."""
    assert old in SCORES, old
    return SCORES.replace(old, new)


RATES = """
def error_rates(texts, targets, predictions, groups):
    rows = list(zip(texts, targets, predictions))
    table = {}
    for name, function in groups.items():
        inside = [t != p for text, t, p in rows if function(text)]
        outside = [t != p for text, t, p in rows if not function(text)]
        def share(errors):
            return sum(errors) / len(errors) if errors else None
        table[name] = {"n": len(inside), "errors": sum(inside),
                       "rate": share(inside), "others": share(outside)}
    return table
"""


def rates(old: str, new: str) -> str:
    """The table of errors with one thing changed."""
    assert old in RATES, old
    return RATES.replace(old, new)


def pooling(mean: str, first: str = "h[:, 0]") -> str:
    """A pool with these two expressions."""
    return f"""
def pool(h, mask, kind="mean"):
    if kind == "first":
        return {first}
    return {mean}
"""


def quantiles(expression: str) -> str:
    """An interval of this expression."""
    return f"""
def interval(right_a, right_b, draws):
    a, b = right_a.astype(float), right_b.astype(float)
    return {expression}
"""


MEASURED = """
measured = {
    "bag of words": 0.6125,
    "head": 0.7600,
    "LoRA": 0.7700,
    "head - bag of words": (0.0925, 0.2050),
    "LoRA - head": (-0.0300, 0.0500),
    "numbers trained": 25346,
}
"""


def figures(old: str, new: str) -> str:
    """The measurements with one thing changed."""
    assert old in MEASURED, old
    return MEASURED.replace(old, new)


MUTANTS = [
    # -------------------------------------------------------------------- pool
    Mutant(
        "padding in the mean",
        task="pool",
        says="padding takes part in the mean",
        code=pooling("h.mean(dim=1)"),
    ),
    Mutant(
        "padding set to 0 but counted",
        task="pool",
        says="not by T",
        code=pooling("(h * mask[..., None]).mean(dim=1)"),
    ),
    Mutant(
        "one count for the whole batch",
        task="pool",
        says="each has its own number",
        code=pooling("(h * mask[..., None]).sum(dim=1) / mask.sum()"),
    ),
    Mutant(
        "the sum",
        task="pool",
        says="this is the sum",
        code=pooling("(h * mask[..., None]).sum(dim=1)"),
    ),
    Mutant(
        "the mask the other way round",
        task="pool",
        says="mask is True at real tokens",
        code=pooling(
            "h.masked_fill(mask[..., None], 0).sum(1) / (~mask).sum(1, keepdim=True)"
        ),
    ),
    Mutant(
        "one mean for the batch",
        task="pool",
        says="each text has its own",
        code=pooling("h[mask].mean(dim=0)"),
    ),
    Mutant(
        "the wrong axis",
        task="pool",
        says="the mean goes over the tokens",
        code=pooling("h.mean(dim=2)"),
    ),
    Mutant(
        "the largest",
        task="pool",
        says="this is the largest",
        code=pooling("h.masked_fill(~mask[..., None], -1e9).max(dim=1).values"),
    ),
    Mutant(
        "padding set to 0 in place",
        task="pool",
        says="changed argument 1",
        code="""
def pool(h, mask, kind="mean"):
    if kind == "first":
        return h[:, 0]
    h[~mask] = 0
    return h.sum(dim=1) / mask.sum(dim=1, keepdim=True)
""",
    ),
    Mutant(
        "an axis is missing below",
        task="pool",
        says="keepdim=True",
        code=pooling("(h * mask[..., None]).sum(1) / mask.sum(1)"),
    ),
    Mutant(
        "the first text",
        task="pool",
        says="this is the first text",
        code=pooling("(h * mask[..., None]).sum(1) / mask.sum(1)[:, None]", "h[0]"),
    ),
    Mutant(
        "the first number of each token",
        task="pool",
        says="the whole vector",
        code=pooling(
            "(h * mask[..., None]).sum(1) / mask.sum(1)[:, None]", "h[:, :, 0]"
        ),
    ),
    Mutant(
        "kind is ignored",
        task="pool",
        says='kind is "first" here',
        code=pooling(*["(h * mask[..., None]).sum(1) / mask.sum(1)[:, None]"] * 2),
    ),
    # -------------------------------------------------------------- LoRALinear
    Mutant(
        "no scale",
        task="LoRALinear",
        says="alpha / rank is missing",
        code=layer("self.scale = alpha / rank", "self.scale = 1.0"),
    ),
    Mutant(
        "alpha alone",
        task="LoRALinear",
        says="alpha is not divided by rank",
        code=layer("self.scale = alpha / rank", "self.scale = alpha"),
    ),
    Mutant(
        "division without a rest",
        task="LoRALinear",
        says="divide with /",
        code=layer("alpha / rank", "alpha // rank"),
    ),
    Mutant(
        "rank over alpha",
        task="LoRALinear",
        says="not rank / alpha",
        code=layer("alpha / rank", "rank / alpha"),
    ),
    Mutant(
        "the map stays trained",
        task="LoRALinear",
        says="must be frozen",
        code=layer("p.requires_grad = False", "pass"),
    ),
    Mutant(
        "only the weight is frozen",
        task="LoRALinear",
        says="`linear.bias` must be frozen",
        code=layer(
            "for p in self.linear.parameters():\n            p.requires_grad = False",
            "self.linear.weight.requires_grad = False",
        ),
    ),
    Mutant(
        "both start at zero",
        task="LoRALinear",
        says="neither gets a gradient",
        code=layer(
            "torch.randn(rank, linear.in_features) * 0.1",
            ("torch.zeros(rank, linear.in_features)"),
        ),
    ),
    Mutant(
        "both start random",
        task="LoRALinear",
        says="must start at zero",
        code=layer("torch.zeros(linear.out", "torch.randn(linear.out"),
    ),
    Mutant(
        "A and B exchanged",
        task="LoRALinear",
        says="A is (rank, D_in)",
        code=layer(
            "torch.randn(rank, linear.in_features)",
            ("torch.randn(linear.in_features, rank)"),
        ),
    ),
    Mutant(
        "plain tensors",
        task="LoRALinear",
        says="wrap the tensor in nn.Parameter",
        code=layer(
            "nn.Parameter(torch.randn(rank, linear.in_features) * 0.1)",
            ("torch.randn(rank, linear.in_features, requires_grad=True)"),
        ),
    ),
    Mutant(
        "forward returns nothing",
        task="LoRALinear",
        says="is there a `return`?",
        code=layer("        return self.linear(x)", "        self.linear(x)"),
    ),
    Mutant(
        "the correction alone",
        task="LoRALinear",
        says="the frozen map's own answer is missing",
        code=layer("self.linear(x) + self.scale", "self.scale"),
    ),
    Mutant(
        "the frozen answer is scaled too",
        task="LoRALinear",
        says="not the frozen map",
        code=layer(
            "self.linear(x) + self.scale * (x @ self.lora_a.T) @ self.lora_b.T",
            "self.scale * (self.linear(x) + (x @ self.lora_a.T) @ self.lora_b.T)",
        ),
    ),
    Mutant(
        "the correction computed once",
        task="LoRALinear",
        says="have no effect",
        code=layer(
            "self.scale = alpha / rank",
            (
                "self.scale = alpha / rank\n"
                "        self.c = (self.scale * self.lora_b @ self.lora_a).detach()"
            ),
        ).replace("self.scale * (x @ self.lora_a.T) @ self.lora_b.T", "x @ self.c.T"),
    ),
    Mutant(
        "no gradient in forward",
        task="LoRALinear",
        says="no gradient reaches `lora_a`",
        code=layer("(x @ self.lora_a.T)", "(x @ self.lora_a.data.T)"),
    ),
    Mutant(
        "without transposing",
        task="LoRALinear",
        says="a transpose is missing",
        code=layer("(x @ self.lora_a.T)", "(x @ self.lora_a)"),
    ),
    Mutant(
        "the bias is forgotten in forward",
        task="LoRALinear",
        says="the bias is missing",
        code=layer("self.linear(x) +", "x @ self.linear.weight.T +"),
    ),
    Mutant(
        "super().__init__() is gone",
        task="LoRALinear",
        says="must come first",
        code=layer("        super().__init__()\n", ""),
    ),
    Mutant(
        "merge without the scale",
        task="LoRALinear",
        says="alpha / rank is missing",
        code=layer("change = layer.scale * layer", "change = layer"),
    ),
    Mutant(
        "merge in place",
        task="LoRALinear",
        says="the layer's own weight has changed",
        code=LAYER
        + """
def merge(layer):
    layer.linear.weight.data += layer.scale * (layer.lora_b @ layer.lora_a).detach()
    return layer.linear
""",
    ),
    Mutant(
        "merge transposed",
        task="LoRALinear",
        says="the correction is transposed",
        code=LAYER
        + """
def merge(layer):
    import copy
    plain = copy.deepcopy(layer.linear)
    change = layer.scale * (layer.lora_b @ layer.lora_a)
    if change.shape[0] == change.shape[1]:
        change = change.T
    plain.weight.data += change.detach()
    return plain
""",
    ),
    Mutant(
        "merge forgets the bias",
        task="LoRALinear",
        says="the map's bias must be copied",
        code=layer("plain.bias.data = layer.linear.bias.detach().clone()", "pass"),
    ),
    Mutant(
        "merge gives a bias to a map without one",
        task="LoRALinear",
        says="has a bias, and the layer's map has none",
        code=layer("bias=layer.linear.bias is not None)", "bias=True)").replace(
            "if plain.bias is not None:", "if layer.linear.bias is not None:"
        ),
    ),
    Mutant(
        "merge returns a layer",
        task="LoRALinear",
        says="a new, plain nn.Linear is wanted",
        code=layer("    return plain\n", "    return layer\n"),
    ),
    Mutant(
        "merge returns nothing",
        task="LoRALinear",
        says="is there a `return`?",
        code=layer("    return plain\n", ""),
    ),
    Mutant(
        "merge leaves the new map random",
        task="LoRALinear",
        says="new random numbers",
        code=layer(
            "    plain.weight.data = (layer.linear.weight + change).detach()\n", ""
        ),
    ),
    # ------------------------------------------------------------- inject_lora
    Mutant(
        "frozen afterwards",
        task="inject_lora",
        says="Was it frozen after it was put in?",
        code="""
def inject_lora(model, targets, rank, alpha):
    for name, m in list(model.named_modules()):
        parent, _, own = name.rpartition(".")
        if own in targets and isinstance(m, nn.Linear):
            setattr(model.get_submodule(parent), own, LoRALinear(m, rank, alpha))
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
""",
    ),
    Mutant(
        "nothing else is frozen",
        task="inject_lora",
        says="everything but A, B",
        code=inject("        p.requires_grad = False\n", "        pass\n"),
    ),
    Mutant(
        "the head is frozen",
        task="inject_lora",
        says="the head is new and must learn",
        code=inject("        p.requires_grad = True\n", "        pass\n"),
    ),
    Mutant(
        "endswith",
        task="inject_lora",
        says="own names are compared as a whole",
        code=inject('n.split(".")[-1] in targets', "n.endswith(tuple(targets))"),
    ),
    Mutant(
        "part of the name",
        task="inject_lora",
        says="is no target",
        code=inject('n.split(".")[-1] in targets', "any(t in n for t in targets)"),
    ),
    Mutant(
        "the whole name",
        task="inject_lora",
        says="what stands behind its last dot",
        code=inject('n.split(".")[-1] in targets', "n in targets"),
    ),
    Mutant(
        "a local name",
        task="inject_lora",
        says="the parent's attribute (setattr)",
        code="""
def inject_lora(model, targets, rank, alpha):
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    for name, module in model.named_modules():
        if name.split(".")[-1] in targets and isinstance(module, nn.Linear):
            module = LoRALinear(module, rank, alpha)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
""",
    ),
    Mutant(
        "only the first target",
        task="inject_lora",
        says="was not replaced",
        code=inject('n.split(".")[-1] in targets', 'n.split(".")[-1] == targets[0]'),
    ),
    Mutant(
        "no target at the top",
        task="inject_lora",
        says="at its top",
        code="""
def inject_lora(model, targets, rank, alpha):
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear):
            parent, own = name.rsplit(".", 1) if name != "head" else ("", "head")
            if own in targets:
                setattr(model.get_submodule(parent), own, LoRALinear(module, rank, alpha))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
""",
    ),
    Mutant(
        "children only",
        task="inject_lora",
        says="no map was replaced",
        code=inject("model.named_modules()", "model.named_children()"),
    ),
    Mutant(
        "dotted names on the model itself",
        task="inject_lora",
        says="set the own name on the parent",
        code="""
def inject_lora(model, targets, rank, alpha):
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    for name, module in list(model.named_modules()):
        if name.split(".")[-1] in targets and isinstance(module, nn.Linear):
            model._modules[name] = LoRALinear(module, rank, alpha)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
""",
    ),
    Mutant(
        "a copy of the model",
        task="inject_lora",
        says="a copy of the model is changed",
        code=inject(
            "    for p in model.parameters():",
            "    import copy\n    model = copy.deepcopy(model)\n"
            "    for p in model.parameters():",
        ),
    ),
    Mutant(
        "a fresh map inside",
        task="inject_lora",
        says="published weights have changed",
        code=inject(
            "LoRALinear(getattr(parent, path[-1]), rank, alpha)",
            "LoRALinear(nn.Linear(*getattr(parent, path[-1]).weight.shape[::-1], "
            "bias=getattr(parent, path[-1]).bias is not None), rank, alpha)",
        ),
    ),
    Mutant(
        "rank and alpha exchanged",
        task="inject_lora",
        says="LoRALinear was made with rank",
        code=inject("rank, alpha))", "alpha, rank))"),
    ),
    Mutant(
        "alpha forgotten",
        task="inject_lora",
        says="rank and alpha are handed on wrongly",
        code=inject("rank, alpha))", "rank, rank))"),
    ),
    Mutant(
        "counts everything",
        task="inject_lora",
        says="the frozen ones too",
        code=inject(" if p.requires_grad)", ")"),
    ),
    Mutant(
        "counts tensors",
        task="inject_lora",
        says="numel()",
        code=inject("p.numel()", "1"),
    ),
    Mutant(
        "returns the model",
        task="inject_lora",
        says="expected an int",
        code=inject(
            "return sum(p.numel() for p in model.parameters() if p.requires_grad)",
            "return model",
        ),
    ),
    # --------------------------------------------------------------------- fit
    Mutant(
        "references for copies",
        task="fit",
        says="clone them",
        code=fit("copy.deepcopy(model.state_dict())", "model.state_dict()"),
    ),
    Mutant(
        "a shallow copy",
        task="fit",
        says="clone them",
        code=fit("copy.deepcopy(model.state_dict())", "dict(model.state_dict())"),
    ),
    Mutant(
        "never put back",
        task="fit",
        says="they were not put back",
        code=fit("    model.load_state_dict(kept)\n", ""),
    ),
    Mutant(
        "one epoch too many",
        task="fit",
        says="one too many",
        code=fit("waited >= patience", "waited > patience"),
    ),
    Mutant(
        "not in a row",
        task="fit",
        says="go back to 0",
        code=fit("lowest, waited = loss, 0", "lowest = loss"),
    ),
    Mutant(
        "compares with the epoch before",
        task="fit",
        says="with the lowest loss so far",
        code=fit("loss < lowest", "epoch == 0 or loss < losses[-2]"),
    ),
    Mutant(
        "equal losses count as better",
        task="fit",
        says="an equal loss is no improvement",
        code=fit("loss < lowest", "loss <= lowest"),
    ),
    Mutant(
        "the largest loss is best",
        task="fit",
        says="trained",
        code=fit("loss < lowest", "epoch == 0 or loss > lowest"),
    ),
    Mutant(
        "stops at the first rise",
        task="fit",
        says="stops too early",
        code=fit("waited >= patience", "waited"),
    ),
    Mutant(
        "never stops early",
        task="fit",
        says="expected 6",
        code=fit("                break\n", "                pass\n"),
    ),
    Mutant(
        "measures before it trains",
        task="fit",
        says="it measures before it trains",
        code=fit(
            "        train_epoch()\n        loss = evaluate()\n        losses.append(loss)\n",
            "        loss = evaluate()\n        losses.append(loss)\n        train_epoch()\n",
        ),
    ),
    Mutant(
        "returns the lowest loss",
        task="fit",
        says="a list with each epoch's is wanted",
        code=fit("return losses", "return min(losses)"),
    ),
    Mutant(
        "returns nothing",
        task="fit",
        says="is there a `return`?",
        code=fit("    return losses\n", ""),
    ),
    # ------------------------------------------------------------------ scores
    Mutant(
        "columns are the truth",
        task="scores",
        says="rows are the truth",
        code=score("m[t, p]", "m[p, t]"),
    ),
    Mutant(
        "precision and recall swapped",
        task="scores",
        says="precision and recall are swapped",
        code=score("m.sum(0)", "m.sum(-1)").replace("m.sum(1)", "m.sum(0)"),
    ),
    Mutant(
        "0/0 is NaN",
        task="scores",
        says="0/0 counts as 0",
        code=score("x / y if y else 0.0", 'x / y if y else float("nan")'),
    ),
    Mutant(
        "the mean over classes that occur",
        task="scores",
        says="all n_classes classes",
        code=score("f1.mean()", "f1[m.sum(1) > 0].mean()"),
    ),
    Mutant(
        "F1 of the means",
        task="scores",
        says="macro F1 is the mean of the classes' F1",
        code=score(
            '"macro_f1": f1.mean()',
            '"macro_f1": 2 * precision.mean() * recall.mean()'
            " / (precision.mean() + recall.mean() or 1)",
        ),
    ),
    Mutant(
        "weighted by frequency",
        task="scores",
        says="however frequent it is",
        code=score("f1.mean()", "(f1 * m.sum(1)).sum() / len(targets)"),
    ),
    Mutant(
        "the plain mean for the harmonic one",
        task="scores",
        says="the harmonic mean",
        code=score(
            "share(2 * precision * recall, precision + recall)",
            ("(precision + recall) / 2"),
        ),
    ),
    Mutant(
        "the 2 is missing",
        task="scores",
        says="the factor 2",
        code=score("2 * precision * recall", "precision * recall"),
    ),
    Mutant(
        "= for +=",
        task="scores",
        says="counts as often as it occurs",
        code=score("m[t, p] += 1", "m[t, p] = 1"),
    ),
    Mutant(
        "indexing adds once only",
        task="scores",
        says="counts as often as it occurs",
        code="""
def scores(targets, predictions, n_classes):
    m = np.zeros((n_classes, n_classes), dtype=int)
    m[targets, predictions] += 1
    return {"matrix": m, "accuracy": 0.0, "precision": 0, "recall": 0, "f1": 0,
            "macro_f1": 0.0}
""",
    ),
    Mutant(
        "as many rows as classes that occur",
        task="scores",
        says="n_classes says how many rows",
        code=score(
            "    m = np",
            "    n_classes = max(*targets, *predictions, 1) + 1\n    m = np",
        ),
    ),
    Mutant(
        "in percent",
        task="scores",
        says="a share is wanted",
        code=score("right.sum() / len", "100 * right.sum() / len"),
    ),
    Mutant(
        "precision by all items",
        task="scores",
        says="the class's own count",
        code=score("share(right, m.sum(0))", "right / len(targets)"),
    ),
    # ---------------------------------------------------------------- interval
    Mutant(
        "B minus A",
        task="interval",
        says="the sign is reversed",
        code=quantiles("np.quantile((b - a)[draws].mean(1), [0.025, 0.975])"),
    ),
    Mutant(
        "5 % on each side",
        task="interval",
        says="2.5 % on each side",
        code=quantiles("np.quantile((a - b)[draws].mean(1), [0.05, 0.95])"),
    ),
    Mutant(
        "two intervals subtracted",
        task="interval",
        says="subtract within each draw",
        code=quantiles(
            "np.quantile(a[draws].mean(1), [0.025, 0.975])"
            " - np.quantile(b[draws].mean(1), [0.025, 0.975])"
        ),
    ),
    Mutant(
        "smallest and largest",
        task="interval",
        says="the smallest and the largest",
        code=quantiles("min((a - b)[draws].mean(1)), max((a - b)[draws].mean(1))"),
    ),
    Mutant(
        "the draws are not used",
        task="interval",
        says="first a mean for each draw",
        code=quantiles("np.quantile(a - b, [0.025, 0.975])"),
    ),
    Mutant(
        "the wrong axis",
        task="interval",
        says="not over the draws",
        code=quantiles("np.quantile((a - b)[draws].mean(0), [0.025, 0.975])"),
    ),
    Mutant(
        "two standard deviations",
        task="interval",
        says="the quantiles are asked for",
        code="""
def interval(right_a, right_b, draws):
    d = (right_a.astype(float) - right_b)[draws].mean(1)
    return d.mean() - 1.96 * d.std(), d.mean() + 1.96 * d.std()
""",
    ),
    Mutant(
        "A alone",
        task="interval",
        says="an interval of A alone",
        code=quantiles("np.quantile(a[draws].mean(1), [0.025, 0.975])"),
    ),
    Mutant(
        "booleans are subtracted",
        task="interval",
        says="numpy boolean subtract",
        code="""
def interval(right_a, right_b, draws):
    return np.quantile((right_a - right_b)[draws].mean(1), [0.025, 0.975])
""",
    ),
    # ------------------------------------------------------------- error_rates
    Mutant(
        "an empty share is 0",
        task="error_rates",
        says="is None, not 0",
        code=rates("if errors else None", "if errors else 0.0"),
    ),
    Mutant(
        "divides by nothing",
        task="error_rates",
        says="ZeroDivisionError",
        code=rates(" if errors else None", ""),
    ),
    Mutant(
        "the others are all",
        task="error_rates",
        says="of those outside the group",
        code=rates("in rows if not function(text)", "in rows"),
    ),
    Mutant(
        "by all texts",
        task="error_rates",
        says="not by all texts",
        code=rates('"rate": share(inside)', '"rate": sum(inside) / len(texts)'),
    ),
    Mutant(
        "by all errors",
        task="error_rates",
        says="not by all errors",
        code=rates(
            '"rate": share(inside)',
            '"rate": sum(inside) / sum(t != p for _, t, p in rows)',
        ),
    ),
    Mutant(
        "counts the right ones",
        task="error_rates",
        says="these are the right ones",
        code=rates("t != p", "t == p"),
    ),
    Mutant(
        "each text in one group only",
        task="error_rates",
        says="may belong to several groups",
        code="""
def error_rates(texts, targets, predictions, groups):
    rows = {name: [] for name in groups}
    everything = []
    for text, t, p in zip(texts, targets, predictions):
        everything.append(t != p)
        for name, function in groups.items():
            if function(text):
                rows[name].append(t != p)
                break
    table = {}
    for name, inside in rows.items():
        n, wrong = len(everything) - len(inside), sum(everything) - sum(inside)
        table[name] = {"n": len(inside), "errors": sum(inside),
                       "rate": sum(inside) / len(inside) if inside else None,
                       "others": wrong / n if n else None}
    return table
""",
    ),
    Mutant(
        "keys of other names",
        task="error_rates",
        says="the key 'errors' is missing",
        code=rates('"errors": sum', '"wrong": sum'),
    ),
    # ---------------------------------------------------------------- measured
    Mutant(
        "percent",
        task="measured",
        says="a share is wanted, not percent",
        code=figures("0.7600", "76.0"),
    ),
    Mutant(
        "no number of 400 sentences",
        task="measured",
        says="keep four digits",
        code=figures("0.7700", "0.7712"),
    ),
    Mutant(
        "another student's sentences",
        task="measured",
        says="another STUDENT",
        code=figures("0.6125", "0.6725"),
    ),
    Mutant(
        "two models exchanged",
        task="measured",
        says="swapped with 'head'?",
        code=figures('"bag of words": 0.6125', '"bag of words": 0.7600').replace(
            '"head": 0.7600', '"head": 0.6125'
        ),
    ),
    Mutant(
        "it did not train",
        task="measured",
        says="did it train at all",
        code=figures("0.7700", "0.5050"),
    ),
    Mutant(
        "the interval of B minus A",
        task="measured",
        says="the other way round",
        code=figures("(0.0925, 0.2050)", "(-0.2050, -0.0925)"),
    ),
    Mutant(
        "the interval of an accuracy",
        task="measured",
        says="does not hold the difference",
        code=figures("(-0.0300, 0.0500)", "(0.7300, 0.8100)"),
    ),
    Mutant(
        "all six blocks",
        task="measured",
        says="two blocks, queries and values",
        code=figures("25346", "74498"),
    ),
    Mutant(
        "a line is missing",
        task="measured",
        says="the key 'LoRA - head' is missing",
        code=figures('    "LoRA - head": (-0.0300, 0.0500),\n', ""),
    ),
    # ------- written by a second author without sight of the checks
    Mutant(
        "what is 0 is not counted",
        task="pool",
        says="not what is not 0",
        code="""
def pool(h, mask, kind="mean"):
    if kind == "first":
        return h[:, 0]
    h = h * mask[..., None]
    return h.sum(dim=1) / (h != 0).sum(dim=1).clamp(min=1)
""",
    ),
    Mutant(
        "by the longest text's count",
        task="pool",
        says="each has its own number",
        code=pooling("(h * mask[..., None]).sum(1) / mask.sum(1).max()"),
    ),
    Mutant(
        "without [CLS]",
        task="pool",
        says="the first token takes part",
        code=pooling(
            "(h * mask[..., None])[:, 1:].sum(1) / (mask.sum(1)[:, None] - 1).clamp(min=1)"
        ),
    ),
    Mutant(
        "by way of NumPy",
        task="pool",
        says="no gradient comes back",
        code="""
def pool(h, mask, kind="mean"):
    if kind == "first":
        return h[:, 0].clone()
    rows = zip(h.detach().numpy(), mask.numpy())
    return torch.tensor(np.stack([x[m].mean(axis=0) for x, m in rows]))
""",
    ),
    Mutant(
        "always float32",
        task="pool",
        says="keep its kind of number",
        code=pooling("(h.float() * mask[..., None]).sum(1) / mask.sum(1)[:, None]"),
    ),
    Mutant(
        "the first token by default",
        task="pool",
        says="where it is not given",
        code=pooling("(h * mask[..., None]).sum(1) / mask.sum(1)[:, None]").replace(
            '"mean"):', '"first"):'
        ),
    ),
    Mutant(
        "the frozen map under no_grad",
        task="LoRALinear",
        says="none comes through the frozen map",
        code=layer(
            "        return self.linear(x) +",
            "        with torch.no_grad():\n            frozen = self.linear(x)\n"
            "        return frozen +",
        ),
    ),
    Mutant(
        "A of standard deviation 1",
        task="LoRALinear",
        says="the layer hardly learns",
        code=layer(
            "torch.randn(rank, linear.in_features) * 0.1",
            "torch.randn(rank, linear.in_features)",
        ),
    ),
    Mutant(
        "x is detached",
        task="LoRALinear",
        says="none comes through the correction",
        code=layer("(x @ self.lora_a.T)", "(x.detach() @ self.lora_a.T)"),
    ),
    Mutant(
        "a seed inside",
        task="LoRALinear",
        says="set no seed inside",
        code=layer(
            "self.linear = linear\n",
            "self.linear = linear\n        torch.manual_seed(0)\n",
        ),
    ),
    Mutant(
        "merge shares the bias",
        task="LoRALinear",
        says="the layer's own tensor",
        code=layer(
            "plain.bias.data = layer.linear.bias.detach().clone()",
            "plain.bias = layer.linear.bias",
        ),
    ),
    Mutant(
        "merge empties the layer",
        task="LoRALinear",
        says="merge changed the layer",
        code=layer(
            "    return plain\n", "    layer.lora_b.data.zero_()\n    return plain\n"
        ),
    ),
    Mutant(
        "whatever has the name",
        task="inject_lora",
        says="only an nn.Linear is a target",
        code=inject("isinstance(m, nn.Linear) and ", ""),
    ),
    Mutant(
        "a head of one map only",
        task="inject_lora",
        says="the head is new and must learn",
        code=inject(
            "for p in model.head.parameters():",
            "for p in (getattr(model.head, 'weight', None), getattr(model.head, 'bias', None)):",
        ).replace("p.requires_grad = True", "if p is not None: p.requires_grad = True"),
    ),
    Mutant(
        "all that begins with head",
        task="inject_lora",
        says="`head_norm.bias` is trained",
        code=inject(
            "for p in model.head.parameters():",
            "for p in [p for n, p in model.named_parameters() if n.startswith('head')]:",
        ),
    ),
    Mutant(
        "put back only when it stops early",
        task="fit",
        says="they were not put back",
        code=fit(
            "                break\n    model",
            "                model.load_state_dict(kept)\n                break\n    model",
        ).replace("    model.load_state_dict(kept)\n    return", "    return"),
    ),
    Mutant(
        "measures twice",
        task="fit",
        says="call it once after each",
        code=fit("losses.append(loss)", "losses.append(evaluate())"),
    ),
    Mutant(
        "a gain must be large",
        task="fit",
        says="a little below is enough",
        code=fit("loss < lowest", "loss < lowest - 1e-3"),
    ),
    Mutant(
        "the lowest starts at 1",
        task="fit",
        says="start from float",
        code=fit('float("inf"), 0, None', "1.0, 0, copy.deepcopy(model.state_dict())"),
    ),
    Mutant(
        "all is thawed in the end",
        task="fit",
        says="no longer frozen",
        code=fit(
            "    return losses", "    model.requires_grad_(True)\n    return losses"
        ),
    ),
    Mutant(
        "never said is all right",
        task="scores",
        says="also for a class that never occurs",
        code=score(
            "precision = share(right, m.sum(0))",
            "precision = np.where(m.sum(0) > 0, share(right, m.sum(0)), 1.0)",
        ),
    ),
    Mutant(
        "a small number below",
        task="scores",
        says="something is rounded",
        code=score("x / y if y else 0.0", "x / (y + 1e-4)"),
    ),
    Mutant(
        "numbers, not shares",
        task="interval",
        says="divide by N",
        code=quantiles("np.quantile((a - b)[draws].sum(1), [0.025, 0.975])"),
    ),
    Mutant(
        "among those that differ",
        task="interval",
        says="divide by N",
        code="""
def interval(right_a, right_b, draws):
    gain = (right_a.astype(int) - right_b)[draws]
    differ = np.maximum(abs(gain).sum(axis=1), 1)
    return np.quantile(gain.sum(axis=1) / differ, [0.025, 0.975])
""",
    ),
    Mutant(
        "each drawn sentence once",
        task="interval",
        says="counts twice",
        code=quantiles(
            "np.quantile([(a - b)[np.unique(row)].mean() for row in draws], [0.025, 0.975])"
        ),
    ),
    Mutant(
        "the absolute gain",
        task="interval",
        says="the sign is lost",
        code=quantiles("np.quantile(abs((a - b)[draws].mean(1)), [0.025, 0.975])"),
    ),
    Mutant(
        "no errors is None",
        task="error_rates",
        says="no errors among some texts",
        code=rates("if errors else None", "if sum(errors) else None"),
    ),
    Mutant(
        "one kind of error",
        task="error_rates",
        says="whichever is larger",
        code=rates("t != p", "t > p"),
    ),
    Mutant(
        "texts as keys",
        task="error_rates",
        says="a dict keeps one",
        code=rates(
            "    rows = list(zip(texts, targets, predictions))\n",
            "    both = dict(zip(texts, zip(targets, predictions)))\n"
            "    rows = [(text, t, p) for text, (t, p) in both.items()]\n",
        ),
    ),
    Mutant(
        "texts.index",
        task="error_rates",
        says="gives the first",
        code=rates(
            "    rows = list(zip(texts, targets, predictions))\n",
            "    where = [texts.index(text) for text in texts]\n"
            "    rows = [(texts[i], targets[i], predictions[i]) for i in where]\n",
        ),
    ),
    Mutant(
        "rates in percent",
        task="error_rates",
        says="in percent",
        code=rates("return sum(errors)", "return 100 * sum(errors)"),
    ),
    Mutant(
        "low and high exchanged",
        task="measured",
        says="low must be below high",
        code=figures("(-0.0300, 0.0500)", "(0.0500, -0.0300)"),
    ),
    Mutant(
        "an invented interval",
        task="measured",
        says="does not fit 400 sentences",
        code=figures("(-0.0300, 0.0500)", "(0.0090, 0.0110)"),
    ),
]

EQUIVALENTS = [
    Equivalent(
        "a loop over texts",
        task="pool",
        code="""
def pool(h, mask, kind="mean"):
    rows = []
    for vectors, real in zip(h, mask):
        rows.append(vectors[real].mean(dim=0) if kind == "mean" else vectors[0])
    return torch.stack(rows)
""",
    ),
    Equivalent(
        "a product of matrices",
        task="pool",
        code="""
def pool(h, mask, kind="mean"):
    if kind == "mean":
        w = mask.to(h.dtype)
        w = w / w.sum(1, keepdim=True)
    else:
        w = torch.zeros_like(mask, dtype=h.dtype)
        w[:, 0] = 1
    return torch.einsum("btd,bt->bd", h, w)
""",
    ),
    Equivalent(
        "masked_fill and lengths",
        task="pool",
        code="""
def pool(h, mask, kind="mean"):
    if kind == "first":
        return h[:, 0, :].clone()
    total = h.masked_fill(~mask[:, :, None], 0.0).sum(1)
    return total / mask.sum(1).unsqueeze(1)
""",
    ),
    Equivalent(
        "masked_fill of NaN and nanmean",
        task="pool",
        code="""
def pool(h, mask, kind="mean"):
    if kind == "first":
        return h.select(1, 0)
    return h.masked_fill(~mask.unsqueeze(2), float("nan")).nanmean(dim=1)
""",
    ),
    Equivalent(
        "a copy of the map, kaiming, functional",
        task="LoRALinear",
        code="""
import copy, math
from torch.nn import functional as F
class LoRALinear(nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = copy.deepcopy(linear)
        self.linear.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.empty(rank, linear.in_features))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))
        self.lora_b = nn.Parameter(torch.zeros(linear.out_features, rank))
        self.rank, self.alpha = rank, alpha
    def change(self):
        return self.lora_b @ self.lora_a * (self.alpha / self.rank)
    def forward(self, x):
        return F.linear(x, self.linear.weight + self.change(), self.linear.bias)
def merge(layer):
    new = copy.deepcopy(layer.linear)
    new.weight.data += layer.change().data
    return new
""",
    ),
    Equivalent(
        "einsum, and a state dict",
        task="LoRALinear",
        code="""
class LoRALinear(nn.Module):
    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.linear = linear
        self.linear.weight.requires_grad = False
        if linear.bias is not None:
            self.linear.bias.requires_grad = False
        self.lora_a = nn.Parameter((torch.rand(rank, linear.weight.size(1)) - 0.5) / 4)
        self.lora_b = nn.Parameter(linear.weight.new_zeros(linear.weight.size(0), rank))
        self.register_buffer("scale", torch.tensor(alpha / rank))
    def forward(self, x):
        low = torch.einsum("...i,ri->...r", x, self.lora_a)
        return self.linear(x) + torch.einsum("...r,or->...o", low, self.lora_b) * self.scale
def merge(layer):
    w = layer.linear.weight
    new = nn.Linear(w.shape[1], w.shape[0], layer.linear.bias is not None)
    state = {"weight": w + layer.scale * layer.lora_b @ layer.lora_a}
    if layer.linear.bias is not None:
        state["bias"] = layer.linear.bias
    new.load_state_dict(state)
    return new
""",
    ),
    Equivalent(
        "A and B in small maps are not asked for; loops of parameters",
        task="LoRALinear",
        code=LAYER + MERGE,
    ),
    Equivalent("a walk along the path", task="inject_lora", code=INJECT),
    Equivalent(
        "a function that calls itself",
        task="inject_lora",
        code="""
def inject_lora(model, targets, rank, alpha):
    for p in model.parameters():
        p.requires_grad_(False)
    def visit(module):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear) and name in targets:
                setattr(module, name, LoRALinear(child, rank, alpha))
            else:
                visit(child)
    visit(model)
    n = 0
    for name, p in model.named_parameters():
        if name.startswith("head."):
            p.requires_grad_(True)
        if p.requires_grad:
            n += p.numel()
    return n
""",
    ),
    Equivalent(
        "by names, at the end",
        task="inject_lora",
        code="""
def inject_lora(model, targets, rank, alpha):
    for module in list(model.modules()):
        for name, child in list(module._modules.items()):
            if name in targets and isinstance(child, nn.Linear):
                module._modules[name] = LoRALinear(child, rank, alpha)
    head = {id(p) for p in model.head.parameters()}
    count = 0
    for name, p in model.named_parameters():
        p.requires_grad = "lora_" in name or id(p) in head
        count += p.requires_grad * p.numel()
    return count
""",
    ),
    Equivalent("deepcopy and a counter", task="fit", code="import copy\n" + FIT),
    Equivalent(
        "only the trained weights are kept",
        task="fit",
        code="""
def fit(model, train_epoch, evaluate, max_epochs, patience):
    trained = [p for p in model.parameters() if p.requires_grad]
    losses, best, kept = [], None, None
    while len(losses) < max_epochs:
        train_epoch()
        losses.append(float(evaluate()))
        if best is None or losses[-1] < losses[best]:
            best = len(losses) - 1
            kept = [p.detach().clone() for p in trained]
        if len(losses) - 1 - best == patience:
            break
    with torch.no_grad():
        for p, w in zip(trained, kept):
            p.copy_(w)
    return losses
""",
    ),
    Equivalent(
        "every epoch is kept",
        task="fit",
        code="""
def fit(model, train_epoch, evaluate, max_epochs, patience):
    losses, states = [], []
    for _ in range(max_epochs):
        train_epoch()
        losses += [evaluate()]
        states += [{k: v.detach().cpu().clone() for k, v in model.state_dict().items()}]
        best = losses.index(min(losses))
        if len(losses) - best > patience:
            break
    model.load_state_dict(states[best])
    return losses
""",
    ),
    Equivalent("a loop, and the definition", task="scores", code=SCORES),
    Equivalent(
        "bincount and np.divide",
        task="scores",
        code="""
def scores(targets, predictions, n_classes):
    cells = np.asarray(targets) * n_classes + np.asarray(predictions)
    m = np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)
    tp = m.diagonal()
    def over(a, b):
        out = np.zeros(n_classes)
        return np.divide(a, b, out=out, where=b != 0)
    f1 = over(2 * tp, m.sum(0) + m.sum(1))
    return dict(matrix=m, accuracy=np.mean(np.asarray(targets) == predictions),
                precision=over(tp, m.sum(0)), recall=over(tp, m.sum(1)), f1=f1,
                macro_f1=np.mean(f1))
""",
    ),
    Equivalent(
        "plain lists",
        task="scores",
        code="""
def scores(targets, predictions, n_classes):
    pairs = [(int(t), int(p)) for t, p in zip(targets, predictions)]
    C = range(n_classes)
    matrix = [[pairs.count((i, j)) for j in C] for i in C]
    precision, recall, f1 = [], [], []
    for c in C:
        hit = matrix[c][c]
        said, true = sum(row[c] for row in matrix), sum(matrix[c])
        precision.append(hit / said if said else 0)
        recall.append(hit / true if true else 0)
        f1.append(2 * hit / (said + true) if said + true else 0)
    return {"matrix": matrix, "accuracy": sum(t == p for t, p in pairs) / len(pairs),
            "precision": precision, "recall": recall, "f1": f1,
            "macro_f1": sum(f1) / n_classes}
""",
    ),
    Equivalent(
        "two accuracies and percentile",
        task="interval",
        code="""
def interval(right_a, right_b, draws):
    gains = right_a[draws].mean(axis=1) - right_b[draws].mean(axis=1)
    return np.percentile(gains, 2.5), np.percentile(gains, 97.5)
""",
    ),
    Equivalent(
        "a loop",
        task="interval",
        code="""
def interval(right_a, right_b, draws):
    gains = []
    for rows in draws:
        gains.append(sum(right_a[rows]) / len(rows) - sum(right_b[rows]) / len(rows))
    return tuple(np.quantile(gains, [0.025, 0.975]))
""",
    ),
    Equivalent(
        "an array comes back",
        task="interval",
        code=quantiles(
            "np.quantile((a[draws] - b[draws]).mean(axis=-1), (0.025, 0.975))"
        ),
    ),
    Equivalent("comprehensions", task="error_rates", code=RATES),
    Equivalent(
        "arrays",
        task="error_rates",
        code="""
def error_rates(texts, targets, predictions, groups):
    wrong = np.asarray(targets) != np.asarray(predictions)
    table = {}
    for name, f in groups.items():
        member = np.array([f(t) for t in texts], dtype=bool)
        table[name] = dict(
            n=member.sum(), errors=wrong[member].sum(),
            rate=wrong[member].mean() if member.any() else None,
            others=wrong[~member].mean() if not member.all() else None)
    return table
""",
    ),
    Equivalent(
        "counters",
        task="error_rates",
        code="""
def error_rates(texts, targets, predictions, groups):
    out = {}
    for name in groups:
        n = e = m = o = 0
        for i, text in enumerate(texts):
            bad = int(targets[i] != predictions[i])
            if groups[name](text):
                n, e = n + 1, e + bad
            else:
                m, o = m + 1, o + bad
        out[name] = {"others": None if m == 0 else o / m, "n": n, "errors": e,
                     "rate": None if n == 0 else e / n}
    return out
""",
    ),
    Equivalent(
        "lists for pairs",
        task="measured",
        code=figures("(0.0925, 0.2050)", "[0.0925, 0.2050]"),
    ),
    # ------- written by a second author without sight of the checks
    Equivalent(
        "merge by what the layer says to unit vectors",
        task="LoRALinear",
        code=LAYER
        + """
@torch.no_grad()
def merge(layer):
    n = layer.linear.in_features
    zero = layer(torch.zeros(1, n))
    weight = (layer(torch.eye(n)) - zero).T
    plain = nn.Linear(n, len(weight), bias=layer.linear.bias is not None)
    plain.weight.copy_(weight)
    if layer.linear.bias is not None:
        plain.bias.copy_(zero[0])
    return plain.requires_grad_(False)
""",
    ),
    Equivalent(
        "saved to a file in memory",
        task="fit",
        code="""
import io
def fit(model, train_epoch, evaluate, max_epochs, patience):
    losses, best, file = [], 0, None
    while len(losses) < max_epochs and (not losses or len(losses) - best < patience):
        train_epoch()
        losses.append(evaluate())
        if losses.index(min(losses)) == len(losses) - 1:
            best, file = len(losses), io.BytesIO()
            torch.save(model.state_dict(), file)
    file.seek(0)
    model.load_state_dict(torch.load(file, weights_only=True))
    return losses
""",
    ),
    Equivalent(
        "scikit-learn",
        task="scores",
        code="""
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
def scores(targets, predictions, n_classes):
    labels = list(range(n_classes))
    m = confusion_matrix(targets, predictions, labels=labels)
    p, r, f1, _ = precision_recall_fscore_support(
        targets, predictions, labels=labels, zero_division=0)
    return {"matrix": m, "accuracy": np.trace(m) / m.sum(), "precision": p,
            "recall": r, "f1": f1, "macro_f1": f1.mean()}
""",
    ),
    Equivalent(
        "how often each sentence was drawn",
        task="interval",
        code="""
def interval(right_a, right_b, draws):
    n = draws.shape[1]
    times = np.stack([np.bincount(row, minlength=n) for row in draws])
    gain = np.array(right_a, int) - np.array(right_b, int)
    return tuple(np.percentile(times @ gain / n, [2.5, 97.5]))
""",
    ),
    Equivalent(
        "a Counter of pairs",
        task="error_rates",
        code="""
from collections import Counter
def error_rates(texts, targets, predictions, groups):
    def share(a, b):
        return a / b if b else None
    table = {}
    for name, belongs in groups.items():
        rows = zip(texts, targets, predictions)
        c = Counter((bool(belongs(text)), t != p) for text, t, p in rows)
        n = c[True, True] + c[True, False]
        table[name] = {"n": n, "errors": c[True, True], "rate": share(c[True, True], n),
                       "others": share(c[False, True], len(texts) - n)}
    return table
""",
    ),
]
