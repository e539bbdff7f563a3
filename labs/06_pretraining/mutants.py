"""Wrong answers to lab 6 that students give, and right ones in other styles."""

from lmcore.course.labs import Equivalent, Mutant

GROUPS = """
def parameter_groups(model, weight_decay):
    decay, rest = [], []
    for p in model.parameters():
        (decay if p.ndim > 1 else rest).append(p)
    return [dict(params=decay, weight_decay=weight_decay),
            dict(params=rest, weight_decay=0.0)]
"""
STEP = """
def train_step(model, optimizer, micro_batches, grad_clip):
    n = sum((y != -100).sum().item() for x, y in micro_batches)
    total = 0.0
    optimizer.zero_grad()
    for x, y in micro_batches:
        logits = model(x)
        loss = F.cross_entropy(logits.view(-1, logits.shape[-1]), y.view(-1),
                               reduction="sum") / n
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    optimizer.step()
    return total
"""
MASK = """
def mask_tokens(ids, special_ids, mask_id, vocab_size, generator):
    inputs, targets = ids.clone(), ids.clone()
    odds = torch.full(ids.shape, 0.15)
    for s in special_ids:
        odds[ids == s] = 0
    chosen = torch.bernoulli(odds, generator=generator).bool()
    targets[~chosen] = -100
    masked = torch.bernoulli(torch.full(ids.shape, 0.8), generator=generator).bool()
    masked &= chosen
    inputs[masked] = mask_id
    half = torch.bernoulli(torch.full(ids.shape, 0.5), generator=generator).bool()
    swapped = chosen & ~masked & half
    words = torch.randint(vocab_size, ids.shape, generator=generator)
    inputs[swapped] = words[swapped]
    return inputs, targets
"""
RANKS = """
def mask_tokens(ids, special_ids, mask_id, vocab_size, generator):
    ordinary = ~torch.isin(ids, torch.tensor(special_ids, dtype=ids.dtype))
    lots = torch.rand(ids.shape, generator=generator).masked_fill(~ordinary, 2.0)
    n = COUNT
    chosen = (lots.argsort(1).argsort(1) < n[:, None]) & ordinary
    fate = torch.rand(ids.shape, generator=generator)
    words = torch.randint(vocab_size, ids.shape, generator=generator)
    inputs = torch.where(chosen & (fate < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (fate >= 0.9), words, inputs)
    return inputs, ids.masked_fill(~chosen, -100)
"""
PROBS = """
def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
    logits = logits / temperature
    if top_k is not None:
        k = min(top_k, logits.shape[-1])
        limit = logits.topk(k).values[:, -1:]
        logits = logits.masked_fill(logits < limit, float("-inf"))
    if top_p is not None:
        ordered, order = logits.sort(descending=True)
        sums = ordered.softmax(-1).cumsum(-1)
        drop = sums >= top_p
        drop[:, 1:] = drop[:, :-1].clone()
        drop[:, 0] = False
        drop = torch.zeros_like(drop).scatter(1, order, drop)
        logits = logits.masked_fill(drop, float("-inf"))
    return logits.softmax(-1)
"""
ATTEND = """
def cached_attention(q, k, v, cache=None):
    if cache is not None:
        k = torch.cat((cache[0], k), 2)
        v = torch.cat((cache[1], v), 2)
    T, S = q.shape[-2], k.shape[-2]
    rows = torch.arange(T)[:, None] + S - T
    scores = torch.einsum("bhtk,bhsk->bhts", q, k) * q.shape[-1] ** -0.5
    scores = scores.masked_fill(torch.arange(S) > rows, float("-inf"))
    return scores.softmax(-1) @ v, (k, v)
"""
GENERATE = """
@torch.no_grad()
def generate(model, ids, max_new_tokens, choose):
    B, T = ids.shape
    cache = model.new_cache(B, T + max_new_tokens)
    logits = model(ids, kv_cache=cache)
    for i in range(max_new_tokens):
        new = choose(logits[:, -1])
        ids = torch.cat((ids, new.unsqueeze(1)), 1)
        if i + 1 < max_new_tokens:
            logits = model(new.unsqueeze(1), kv_cache=cache)
    return ids
"""
RATE = """
def learning_rate(step, lr, min_lr, warmup_steps, max_steps):
    if step < warmup_steps:
        return step / warmup_steps * lr
    if step > max_steps:
        return min_lr
    p = (step - warmup_steps) / (max_steps - warmup_steps)
    return min_lr + 0.5 * (1 + math.cos(math.pi * p)) * (lr - min_lr)
"""
PACK = """
def pack(documents, seq_len, end_id):
    stream = [end_id]
    for document in documents:
        stream.extend(document)
        stream.append(end_id)
    inputs, targets = [], []
    for start in range(0, len(stream) - 1, seq_len):
        row = stream[start : start + seq_len + 1]
        x, y = row[:-1], row[1:]
        gap = seq_len - len(x)
        inputs.append(x + [end_id] * gap)
        targets.append(y + [-100] * gap)
    return torch.tensor(inputs), torch.tensor(targets)
"""
BITS = {
    "causal": {0: 7.95, 100: 3.55, 200: 3.28, 300: 3.19},
    "masked": {0: 7.92, 100: 4.54, 200: 4.3, 300: 4.1},
    "counting": {2: 3.63, 3: 2.96, 5: 2.44},
}


def swap(code: str, old: str, new: str) -> str:
    """The code with one mistake; the old text must stand in it once."""
    if code.count(old) != 1:
        raise ValueError(f"old={old!r}: must stand once in the code")
    return code.replace(old, new)


MUTANTS = [
    # -------------------------------------------------------------------- pack
    Mutant(
        "rows are cut before the shift",
        task="pack",
        says="shift the whole stream by one",
        code="""
def pack(documents, seq_len, end_id):
    stream = [end_id]
    for d in documents:
        stream += d + [end_id]
    while len(stream) % seq_len:
        stream.append(end_id)
    x = torch.tensor(stream).view(-1, seq_len)
    y = torch.full_like(x, -100)
    y[:, :-1] = x[:, 1:]
    return x, y
""",
    ),
    Mutant(
        "targets are the inputs",
        task="pack",
        says="the targets are the inputs",
        code=swap(PACK, "x, y = row[:-1], row[1:]", "x, y = row[:-1], row[:-1]"),
    ),
    Mutant(
        "shifted the wrong way",
        task="pack",
        says="inputs and targets are swapped",
        code=swap(PACK, "x, y = row[:-1], row[1:]", "y, x = row[:-1], row[1:]"),
    ),
    Mutant(
        "rows do not overlap by one",
        task="pack",
        says="each row leaves a target out",
        code=swap(
            PACK,
            "range(0, len(stream) - 1, seq_len)",
            "range(0, len(stream) - 1, seq_len + 1)",
        ),
    ),
    Mutant(
        "filler is a target",
        task="pack",
        says="count as targets",
        code=swap(PACK, "y + [-100] * gap", "y + [end_id] * gap"),
    ),
    Mutant(
        "filler inputs of 0",
        task="pack",
        says="where end_id is wanted",
        code=swap(PACK, "x + [end_id] * gap", "x + [0] * gap"),
    ),
    Mutant(
        "padding recognised by its id",
        task="pack",
        says="never learns to stop",
        code=PACK.replace(
            "return torch.tensor(inputs), torch.tensor(targets)",
            "x, y = torch.tensor(inputs), torch.tensor(targets)\n"
            "    return x, y.masked_fill(y == end_id, -100)",
        ),
    ),
    Mutant(
        "nothing predicted from an end token",
        task="pack",
        says="never learns to begin",
        code=PACK.replace(
            "return torch.tensor(inputs), torch.tensor(targets)",
            "x, y = torch.tensor(inputs), torch.tensor(targets)\n"
            "    return x, y.masked_fill(x == end_id, -100)",
        ),
    ),
    Mutant(
        "last row dropped",
        task="pack",
        says="the last row, which is not full, is missing",
        code="""
def pack(documents, seq_len, end_id):
    stream = [end_id]
    for d in documents:
        stream += d + [end_id]
    n = (len(stream) - 1) // seq_len
    x = torch.tensor(stream[: n * seq_len]).view(n, seq_len)
    y = torch.tensor(stream[1 : n * seq_len + 1]).view(n, seq_len)
    return x, y
""",
    ),
    Mutant(
        "a row of filler alone",
        task="pack",
        says="a row without any target",
        code=swap(
            PACK, "range(0, len(stream) - 1, seq_len)", "range(0, len(stream), seq_len)"
        ),
    ),
    Mutant(
        "no end token at the start",
        task="pack",
        says="before the first document is missing",
        code=swap(PACK, "stream = [end_id]", "stream = []"),
    ),
    Mutant(
        "end tokens only between documents",
        task="pack",
        says="after the last document is missing",
        code=swap(
            PACK,
            "    inputs, targets = [], []",
            "    stream.pop()\n    inputs, targets = [], []",
        ),
    ),
    Mutant(
        "no end tokens at all",
        task="pack",
        says="between the documents are missing",
        code=swap(
            swap(PACK, "        stream.append(end_id)\n", ""),
            "stream = [end_id]",
            "stream = []",
        ),
    ),
    Mutant(
        "rows of unequal length",
        task="pack",
        says="fill the last one up",
        code=swap(PACK, "gap = seq_len - len(x)", "gap = 0"),
    ),
    Mutant(
        "no return",
        task="pack",
        says="is there a `return`?",
        code=swap(PACK, "return torch.tensor(inputs), torch.tensor(targets)", "pass"),
    ),
    # ------------------------------------------------------------- mask_tokens
    Mutant(
        "special tokens are hidden too",
        task="mask_tokens",
        says="special tokens, padding among them, are never hidden",
        code=swap(MASK, "odds[ids == s] = 0", "pass"),
    ),
    Mutant(
        "ids changed in place",
        task="mask_tokens",
        says="work on a copy",
        code=swap(MASK, "ids.clone(), ids.clone()", "ids, ids.clone()"),
    ),
    Mutant(
        "targets taken after the change",
        task="mask_tokens",
        says="after they were changed",
        code=swap(
            MASK,
            "return inputs, targets",
            "return inputs, torch.where(chosen, inputs, -100)",
        ),
    ),
    Mutant(
        "all tokens are targets",
        task="mask_tokens",
        says="tokens that are not chosen have the target -100",
        code=swap(MASK, "targets[~chosen] = -100", "pass"),
    ),
    Mutant(
        "all ordinary tokens are targets",
        task="mask_tokens",
        says="not chosen have the target -100",
        code=swap(MASK, "targets[~chosen] = -100", "targets[odds == 0] = -100"),
    ),
    Mutant(
        "targets upside down",
        task="mask_tokens",
        says="is the choice upside down?",
        code=swap(MASK, "targets[~chosen] = -100", "targets[chosen] = -100"),
    ),
    Mutant(
        "only changed tokens are targets",
        task="mask_tokens",
        says="stay as they are need their target as well",
        code=swap(
            MASK,
            "return inputs, targets",
            "targets[inputs == ids] = -100\n    return inputs, targets",
        ),
    ),
    Mutant(
        "only masked tokens are targets",
        task="mask_tokens",
        says="not only those that became mask_id",
        code=swap(
            MASK,
            "return inputs, targets",
            "targets[inputs != mask_id] = -100\n    return inputs, targets",
        ),
    ),
    Mutant(
        "all chosen become mask_id",
        task="mask_tokens",
        says="all of them became mask_id",
        code=swap(MASK, "masked &= chosen", "masked = chosen"),
    ),
    Mutant(
        "10 % of what is left",
        task="mask_tokens",
        says="is 10 % taken of the 20 % that are left",
        code=swap(MASK, "0.5)", "0.1)"),
    ),
    Mutant(
        "random over masked",
        task="mask_tokens",
        says="were overwritten by random ones",
        code=swap(
            swap(MASK, "chosen & ~masked & half", "chosen & half"), "0.5)", "0.1)"
        ),
    ),
    Mutant(
        "the choosing draw used again",
        task="mask_tokens",
        says="takes a draw of its own",
        code="""
def mask_tokens(ids, special_ids, mask_id, vocab_size, generator):
    r = torch.rand(ids.shape, generator=generator)
    chosen = (r < 0.15) & ~torch.isin(ids, torch.tensor(special_ids))
    words = torch.randint(vocab_size, ids.shape, generator=generator)
    inputs = torch.where(chosen & (r < 0.8), mask_id, ids)
    inputs = torch.where(chosen & (r >= 0.9), words, inputs)
    return inputs, torch.where(chosen, ids, -100)
""",
    ),
    Mutant(
        "random ids at tokens that were not chosen",
        task="mask_tokens",
        says="80, 10 and 10 % are shares of the chosen tokens",
        code=swap(
            swap(MASK, "chosen & ~masked & half", "(odds > 0) & ~masked & half"),
            "0.5)",
            "0.1)",
        ),
    ),
    Mutant(
        "one random id for all",
        task="mask_tokens",
        says="draw one for each token",
        code=swap(
            MASK,
            "words = torch.randint(vocab_size, ids.shape, generator=generator)",
            "words = torch.randint(vocab_size, (1,), generator=generator).expand(ids.shape)",
        ),
    ),
    Mutant(
        "random ids from half of the vocabulary",
        task="mask_tokens",
        says="leave a part of the vocabulary out",
        code=swap(MASK, "torch.randint(vocab_size", "torch.randint(vocab_size // 2"),
    ),
    Mutant(
        "the same places in every row",
        task="mask_tokens",
        says="the same places are chosen in every row",
        code=swap(
            MASK,
            "chosen = torch.bernoulli(odds, generator=generator).bool()",
            "chosen = (torch.rand(ids.shape[1], generator=generator) < 0.15) & (odds > 0)",
        ),
    ),
    Mutant(
        "half of the tokens",
        task="mask_tokens",
        says="15 % are wanted",
        code=swap(MASK, "0.15)", "0.5)"),
    ),
    Mutant(
        "torch's own generator",
        task="mask_tokens",
        says="every draw must get generator=generator",
        code=MASK.replace(", generator=generator", ""),
    ),
    Mutant(
        "one draw from torch's own generator",
        task="mask_tokens",
        says="every draw must get generator=generator",
        code=swap(
            MASK,
            "torch.randint(vocab_size, ids.shape, generator=generator)",
            "torch.randint(vocab_size, ids.shape)",
        ),
    ),
    Mutant(
        "a seed inside",
        task="mask_tokens",
        says="hid the same places",
        code=swap(
            MASK,
            "    odds = torch.full",
            "    generator.manual_seed(0)\n    odds = torch.full",
        ),
    ),
    # ----------------------------------------------------------- learning_rate
    Mutant(
        "steps from 0",
        task="learning_rate",
        says="steps count from 1, so the first one",
        code=swap(
            RATE,
            "return step / warmup_steps * lr",
            "return (step - 1) / warmup_steps * lr",
        ),
    ),
    Mutant(
        "step + 1",
        task="learning_rate",
        says="do not add another 1",
        code=swap(
            RATE,
            "return step / warmup_steps * lr",
            "return (step + 1) / warmup_steps * lr",
        ),
    ),
    Mutant(
        "warm-up plus 1",
        task="learning_rate",
        says="the peak is reached at step warmup_steps",
        code=swap(
            RATE,
            "return step / warmup_steps * lr",
            "return step / (warmup_steps + 1) * lr",
        ),
    ),
    Mutant(
        "warm-up from min_lr",
        task="learning_rate",
        says="starts from 0, not from min_lr",
        code=swap(
            RATE,
            "return step / warmup_steps * lr",
            "return min_lr + step / warmup_steps * (lr - min_lr)",
        ),
    ),
    Mutant(
        "divides by no warm-up",
        task="learning_rate",
        says="do not divide by it",
        code="""
def learning_rate(step, lr, min_lr, warmup_steps, max_steps):
    p = max(0, min(1, (step - warmup_steps) / (max_steps - warmup_steps)))
    rise = min(1.0, step / warmup_steps)
    return rise * (min_lr + 0.5 * (1 + math.cos(math.pi * p)) * (lr - min_lr))
""",
    ),
    Mutant(
        "cosine from the first step",
        task="learning_rate",
        says="p counts from the end of the warm-up",
        code=swap(
            RATE,
            "(step - warmup_steps) / (max_steps - warmup_steps)",
            "step / max_steps",
        ),
    ),
    Mutant(
        "divides by all steps",
        task="learning_rate",
        says="p reaches 1 at max_steps",
        code=swap(RATE, "/ (max_steps - warmup_steps)", "/ max_steps"),
    ),
    Mutant(
        "rises again",
        task="learning_rate",
        says="must not rise again",
        code=swap(RATE, "if step > max_steps", "if step > 10 * max_steps"),
    ),
    Mutant(
        "the half is missing",
        task="learning_rate",
        says="divide it by 2",
        code=swap(RATE, "0.5 * (1", "(1"),
    ),
    Mutant(
        "min_lr on top",
        task="learning_rate",
        says="what is scaled is lr - min_lr",
        code=swap(RATE, "* (lr - min_lr)", "* lr"),
    ),
    Mutant(
        "min_lr as a floor",
        task="learning_rate",
        says="a floor under the curve",
        code=swap(
            RATE,
            "return min_lr + 0.5 * (1 + math.cos(math.pi * p)) * (lr - min_lr)",
            "return max(min_lr, 0.5 * (1 + math.cos(math.pi * p)) * lr)",
        ),
    ),
    Mutant(
        "a straight line",
        task="learning_rate",
        says="half a cosine is wanted",
        code=swap(RATE, "0.5 * (1 + math.cos(math.pi * p))", "(1 - p)"),
    ),
    # -------------------------------------------------------------- train_step
    Mutant(
        "everything decays",
        task="train_step",
        says="(one axis) do not decay",
        code=STEP
        + """
def parameter_groups(model, weight_decay):
    return [{"params": list(model.parameters()), "weight_decay": weight_decay},
            {"params": [], "weight_decay": 0.0}]
""",
    ),
    Mutant(
        "groups swapped",
        task="train_step",
        says="are the two groups swapped?",
        code=STEP + swap(GROUPS, "p.ndim > 1", "p.ndim < 2"),
    ),
    Mutant(
        "embeddings left out of the decay",
        task="train_step",
        says="embeddings have two axes",
        code=STEP
        + """
def parameter_groups(model, weight_decay):
    decay, rest = [], []
    for name, p in model.named_parameters():
        (decay if p.ndim > 1 and "emb" not in name else rest).append(p)
    return [{"params": decay, "weight_decay": weight_decay},
            {"params": rest, "weight_decay": 0.0}]
""",
    ),
    Mutant(
        "biases in no group",
        task="train_step",
        says="it is in neither group",
        code=STEP
        + """
def parameter_groups(model, weight_decay):
    named = list(model.named_parameters())
    decay = [p for n, p in named if n.endswith("weight") and p.ndim > 1]
    rest = [p for n, p in named if "norm" in n]
    return [{"params": decay, "weight_decay": weight_decay},
            {"params": rest, "weight_decay": 0.0}]
""",
    ),
    Mutant(
        "no decay given for the second group",
        task="train_step",
        says='its group has no "weight_decay"',
        code=STEP
        + swap(GROUPS, "dict(params=rest, weight_decay=0.0)", "dict(params=rest)"),
    ),
    Mutant(
        "a mean of means",
        task="train_step",
        says="a mean of the micro-batches' means",
        code=GROUPS
        + """
def train_step(model, optimizer, micro_batches, grad_clip):
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        logits = model(x)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss = loss / len(micro_batches)
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    optimizer.step()
    return total
""",
    ),
    Mutant(
        "means added up",
        task="train_step",
        says="added up and not divided",
        code=GROUPS
        + """
def train_step(model, optimizer, micro_batches, grad_clip):
    optimizer.zero_grad()
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    optimizer.step()
    return total / len(micro_batches)
""",
    ),
    Mutant(
        "sums not divided",
        task="train_step",
        says="not divided by the number of targets",
        code=GROUPS
        + swap(swap(STEP, " / n\n", "\n"), "return total", "return total / n"),
    ),
    Mutant(
        "divided by all places",
        task="train_step",
        says="divided by all places",
        code=GROUPS + swap(STEP, "(y != -100).sum().item()", "y.numel()"),
    ),
    Mutant(
        "means weighted by places",
        task="train_step",
        says="weighted by its places",
        code=GROUPS
        + """
def train_step(model, optimizer, micro_batches, grad_clip):
    optimizer.zero_grad()
    n = sum(y.numel() for x, y in micro_batches)
    total = 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten()) * y.numel() / n
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    optimizer.step()
    return total
""",
    ),
    Mutant(
        "gradients emptied in the loop",
        task="train_step",
        says="only the last micro-batch has an effect",
        code=GROUPS
        + swap(
            STEP,
            "        loss.backward()",
            "        optimizer.zero_grad()\n        loss.backward()",
        ),
    ),
    Mutant(
        "a step for each micro-batch",
        task="train_step",
        says="a step is made for each micro-batch",
        code=GROUPS
        + """
def train_step(model, optimizer, micro_batches, grad_clip):
    losses = []
    for x, y in micro_batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)
""",
    ),
    Mutant(
        "not clipped",
        task="train_step",
        says="not clipped",
        code=GROUPS
        + swap(
            STEP,
            "    torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)\n",
            "",
        ),
    ),
    Mutant(
        "clipped after the step",
        task="train_step",
        says="only after the step",
        code=GROUPS
        + swap(
            swap(
                STEP,
                "    torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)\n",
                "",
            ),
            "    optimizer.step()",
            "    optimizer.step()\n    torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)",
        ),
    ),
    Mutant(
        "clipped by value",
        task="train_step",
        says="each number is cut off",
        code=GROUPS + swap(STEP, "clip_grad_norm_", "clip_grad_value_"),
    ),
    Mutant(
        "clipped one by one",
        task="train_step",
        says="each parameter is clipped on its own",
        code=GROUPS
        + swap(
            STEP,
            "torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)",
            "[torch.nn.utils.clip_grad_norm_([p], grad_clip) for p in model.parameters()]",
        ),
    ),
    Mutant(
        "always scaled to grad_clip",
        task="train_step",
        says="it was scaled up",
        code=GROUPS
        + swap(
            STEP,
            "torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)",
            """norm = sum((p.grad**2).sum() for p in model.parameters()) ** 0.5
    for p in model.parameters():
        p.grad *= grad_clip / norm""",
        ),
    ),
    Mutant(
        "gradients never emptied",
        task="train_step",
        says="reaches the second",
        code=GROUPS + swap(STEP, "    optimizer.zero_grad()\n", ""),
    ),
    Mutant(
        "no step",
        task="train_step",
        says="is optimizer.step() called?",
        code=GROUPS + swap(STEP, "    optimizer.step()\n", ""),
    ),
    Mutant(
        "mean times count, with nothing to count",
        task="train_step",
        says="the mean over no target is 0 / 0",
        code=GROUPS
        + """
def train_step(model, optimizer, micro_batches, grad_clip):
    optimizer.zero_grad()
    counts = [int((y != -100).sum()) for x, y in micro_batches]
    total = 0.0
    for (x, y), n in zip(micro_batches, counts):
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss = loss * n / sum(counts)
        loss.backward()
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    optimizer.step()
    return total
""",
    ),
    Mutant(
        "one large batch",
        task="train_step",
        says="micro-batches may differ in shape",
        code=GROUPS
        + """
def train_step(model, optimizer, micro_batches, grad_clip):
    x = torch.cat([x for x, y in micro_batches])
    y = torch.cat([y for x, y in micro_batches])
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), grad_clip)
    optimizer.step()
    return loss.item()
""",
    ),
    Mutant(
        "logits not flattened",
        task="train_step",
        says="so flatten both",
        code=GROUPS
        + swap(STEP, "logits.view(-1, logits.shape[-1]), y.view(-1)", "logits, y"),
    ),
    Mutant(
        "targets shifted once more",
        task="train_step",
        says="shifted once more",
        code=GROUPS
        + swap(
            STEP,
            "logits.view(-1, logits.shape[-1]), y.view(-1)",
            "logits[:, :-1].flatten(0, 1), y[:, 1:].flatten()",
        ),
    ),
    Mutant(
        "returns the last loss",
        task="train_step",
        says="the last micro-batch alone",
        code=GROUPS + swap(STEP, "total += loss.item()", "total = loss.item()"),
    ),
    Mutant(
        "returns the sum",
        task="train_step",
        says="the mean is wanted",
        code=GROUPS + swap(STEP, "return total", "return total * n"),
    ),
    Mutant(
        "returns nothing",
        task="train_step",
        says="is there a `return`?",
        code=GROUPS + swap(STEP, "return total", "pass"),
    ),
    # -------------------------------------------------------- next_token_probs
    Mutant(
        "times the temperature",
        task="next_token_probs",
        says="multiplied by the temperature",
        code=swap(PROBS, "logits / temperature", "logits * temperature"),
    ),
    Mutant(
        "no temperature",
        task="next_token_probs",
        says="the temperature changes nothing",
        code=swap(PROBS, "logits / temperature", "logits.clone()"),
    ),
    Mutant(
        "temperature on probabilities",
        task="next_token_probs",
        says="It divides the logits",
        code="""
def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
    p = logits.softmax(-1) / temperature
    return p / p.sum(-1, keepdim=True)
""",
    ),
    Mutant(
        "temperature last",
        task="next_token_probs",
        says="measured before the temperature",
        code=swap(
            swap(PROBS, "    logits = logits / temperature\n", ""),
            "return logits.softmax(-1)",
            "return (logits / temperature).softmax(-1)",
        ),
    ),
    Mutant(
        "top_p before top_k",
        task="next_token_probs",
        says="after top_k what is left adds up to 1 again",
        code="""
def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
    ordered, order = (logits / temperature).softmax(-1).sort(descending=True)
    kept = torch.ones_like(ordered)
    if top_k is not None:
        kept[:, top_k:] = 0
    if top_p is not None:
        kept = kept * (ordered.cumsum(-1) - ordered < top_p)
    ordered = ordered * kept
    ordered = ordered / ordered.sum(-1, keepdim=True)
    return torch.zeros_like(ordered).scatter(1, order, ordered)
""",
    ),
    Mutant(
        "the crossing token is dropped",
        task="next_token_probs",
        says="the token that reaches top_p is missing",
        code=swap(
            swap(PROBS, "drop[:, 1:] = drop[:, :-1].clone()", "drop = drop.clone()"),
            "sums >= top_p",
            "sums > top_p",
        ),
    ),
    Mutant(
        "the crossing token is dropped, and all of them",
        task="next_token_probs",
        says="the token that reaches top_p is missing",
        code=swap(
            swap(PROBS, "drop[:, 1:] = drop[:, :-1].clone()", "drop = drop.clone()"),
            "        drop[:, 0] = False\n",
            "",
        ),
    ),
    Mutant(
        "one token too many",
        task="next_token_probs",
        says="one token too many",
        code=swap(
            swap(
                PROBS,
                "drop[:, 1:] = drop[:, :-1].clone()",
                "drop[:, 2:] = drop[:, :-2].clone()",
            ),
            "drop[:, 0] = False",
            "drop[:, :2] = False",
        ),
    ),
    Mutant(
        "not normalised",
        task="next_token_probs",
        says="divided by its sum",
        code="""
def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
    probs = (logits / temperature).softmax(-1)
    ordered, order = probs.sort(descending=True)
    if top_k is not None:
        ordered[:, top_k:] = 0
    if top_p is not None:
        ordered[ordered.cumsum(-1) - ordered >= top_p] = 0
    return torch.zeros_like(ordered).scatter(1, order, ordered)
""",
    ),
    Mutant(
        "left in sorted order",
        task="next_token_probs",
        says="put them back",
        code="""
def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
    ordered = (logits / temperature).softmax(-1).sort(descending=True).values
    if top_k is not None:
        ordered[:, top_k:] = 0
        ordered = ordered / ordered.sum(-1, keepdim=True)
    if top_p is not None:
        ordered[ordered.cumsum(-1) - ordered >= top_p] = 0
    return ordered / ordered.sum(-1, keepdim=True)
""",
    ),
    Mutant(
        "the k worst",
        task="next_token_probs",
        says="with the lowest scores",
        code=swap(
            swap(PROBS, "logits.topk(k)", "logits.topk(k, largest=False)"),
            "logits < limit",
            "logits > limit",
        ),
    ),
    Mutant(
        "the first row's limit",
        task="next_token_probs",
        says="each row has its own k best",
        code=swap(PROBS, ".values[:, -1:]", ".values[0, -1]"),
    ),
    Mutant(
        "top_k larger than the vocabulary",
        task="next_token_probs",
        says="may be larger than the number of tokens",
        code=swap(PROBS, "min(top_k, logits.shape[-1])", "top_k"),
    ),
    Mutant(
        "top_p as a threshold",
        task="next_token_probs",
        says="is a row left without any token?",
        code="""
def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
    logits = logits / temperature
    if top_k is not None:
        limit = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < limit, float("-inf"))
    probs = logits.softmax(-1)
    if top_p is not None:
        probs = probs * (probs >= top_p)
    return probs / probs.sum(-1, keepdim=True)
""",
    ),
    Mutant(
        "sorted from the worst",
        task="next_token_probs",
        says="begin with the worst token",
        code="""
def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
    logits = logits / temperature
    if top_k is not None:
        limit = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < limit, float("-inf"))
    probs = logits.softmax(-1)
    if top_p is not None:
        ordered, order = probs.sort()
        ordered[ordered.cumsum(-1) - ordered >= top_p] = 0
        probs = torch.zeros_like(ordered).scatter(1, order, ordered)
    return probs / probs.sum(-1, keepdim=True)
""",
    ),
    Mutant(
        "e to the power of large numbers",
        task="next_token_probs",
        says="Subtract the row's largest logit",
        code=swap(
            PROBS,
            "return logits.softmax(-1)",
            "powers = logits.exp()\n    return powers / powers.sum(-1, keepdim=True)",
        ),
    ),
    Mutant(
        "top_p left out",
        task="next_token_probs",
        says="top_p changes nothing",
        code=swap(PROBS, "if top_p is not None", "if False"),
    ),
    Mutant(
        "changes the logits",
        task="next_token_probs",
        says="work on a copy",
        code=swap(PROBS, "logits = logits / temperature", "logits /= temperature"),
    ),
    Mutant(
        "rows add up to 1 over the batch",
        task="next_token_probs",
        says="a row does not add up to 1",
        code=swap(PROBS, "return logits.softmax(-1)", "return logits.softmax(0)"),
    ),
    # -------------------------------------------------------- cached_attention
    Mutant(
        "torch's is_causal",
        task="cached_attention",
        says="the mask begins at the top left corner",
        code="""
def cached_attention(q, k, v, cache=None):
    if cache is not None:
        k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True), (k, v)
""",
    ),
    Mutant(
        "no mask",
        task="cached_attention",
        says="nothing is masked",
        code=swap(
            ATTEND,
            'scores.masked_fill(torch.arange(S) > rows, float("-inf"))',
            "scores",
        ),
    ),
    Mutant(
        "sees one too many",
        task="cached_attention",
        says="one too many",
        code=swap(ATTEND, "torch.arange(S) > rows", "torch.arange(S) > rows + 1"),
    ),
    Mutant(
        "does not see itself",
        task="cached_attention",
        says="Each sees itself at least",
        code=swap(ATTEND, "torch.arange(S) > rows", "torch.arange(S) >= rows"),
    ),
    Mutant(
        "the cache is not used",
        task="cached_attention",
        says="the old positions are left out",
        code="""
def cached_attention(q, k, v, cache=None):
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    if cache is not None:
        k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
    return out, (k, v)
""",
    ),
    Mutant(
        "new before old",
        task="cached_attention",
        says="the new positions stand before the old ones",
        code=swap(
            swap(ATTEND, "(cache[0], k)", "(k, cache[0])"),
            "(cache[1], v)",
            "(v, cache[1])",
        ),
    ),
    Mutant(
        "not scaled",
        task="cached_attention",
        says="not divided by the root of K",
        code=swap(ATTEND, " * q.shape[-1] ** -0.5", ""),
    ),
    Mutant(
        "scaled by K",
        task="cached_attention",
        says="its root is wanted",
        code=swap(ATTEND, "** -0.5", "** -1.0"),
    ),
    Mutant(
        "hidden scores of 0",
        task="cached_attention",
        says="e to the power of 0 is 1",
        code=swap(ATTEND, 'float("-inf")', "0.0"),
    ),
    Mutant(
        "mask after the softmax",
        task="cached_attention",
        says="hide the scores before it",
        code=swap(
            swap(
                ATTEND,
                'scores.masked_fill(torch.arange(S) > rows, float("-inf"))',
                "scores",
            ),
            "scores.softmax(-1) @ v",
            "(scores.softmax(-1) * (torch.arange(S) <= rows)) @ v",
        ),
    ),
    Mutant(
        "mask the wrong way round",
        task="cached_attention",
        says="is the mask the wrong way round",
        code=swap(ATTEND, "torch.arange(S) > rows", "torch.arange(S) <= rows"),
    ),
    Mutant(
        "square mask",
        task="cached_attention",
        says="the mask has T rows and S + T columns",
        code=swap(ATTEND, "torch.arange(S) > rows", "~torch.ones(T, T).tril().bool()"),
    ),
    Mutant(
        "only the new ones go into the cache",
        task="cached_attention",
        says="only the new positions are in it",
        code=swap(ATTEND, "@ v, (k, v)", "@ v, (k[:, :, S - T :], v[:, :, S - T :])"),
    ),
    Mutant(
        "keys and values swapped in the cache",
        task="cached_attention",
        says="keys and values are swapped",
        code=swap(ATTEND, "@ v, (k, v)", "@ v, (v, k)"),
    ),
    Mutant(
        "no cache comes back",
        task="cached_attention",
        says="must return the output and the new cache",
        code=swap(ATTEND, "@ v, (k, v)", "@ v"),
    ),
    Mutant(
        "the first call fails",
        task="cached_attention",
        says="without old positions the cache is None",
        code=swap(ATTEND, "if cache is not None", "if True"),
    ),
    Mutant(
        "joined along the heads",
        task="cached_attention",
        says="keys are joined along the positions",
        code=swap(
            swap(ATTEND, "(cache[0], k), 2", "(cache[0], k), 1"),
            "(cache[1], v), 2",
            "(cache[1], v), 1",
        ),
    ),
    # ---------------------------------------------------------------- generate
    Mutant(
        "no cache",
        task="generate",
        says="everything is read again for each token",
        code="""
def generate(model, ids, max_new_tokens, choose):
    for _ in range(max_new_tokens):
        new = choose(model(ids)[:, -1])
        ids = torch.cat([ids, new[:, None]], 1)
    return ids
""",
    ),
    Mutant(
        "everything again, into the cache",
        task="generate",
        says="what is in the cache must not be read again",
        code="""
def generate(model, ids, max_new_tokens, choose):
    cache = model.new_cache(len(ids), 100)
    for _ in range(max_new_tokens):
        new = choose(model(ids, kv_cache=cache)[:, -1])
        ids = torch.cat([ids, new[:, None]], 1)
    return ids
""",
    ),
    Mutant(
        "everything again, and no room",
        task="generate",
        says="with a cache it wants what is new alone",
        code="""
def generate(model, ids, max_new_tokens, choose):
    cache = model.new_cache(len(ids), ids.shape[1] + max_new_tokens)
    for _ in range(max_new_tokens):
        new = choose(model(ids, kv_cache=cache)[:, -1])
        ids = torch.cat([ids, new[:, None]], 1)
    return ids
""",
    ),
    Mutant(
        "a new cache for each token",
        task="generate",
        says="the cache must live through the whole loop",
        code="""
def generate(model, ids, max_new_tokens, choose):
    unread = ids
    for _ in range(max_new_tokens):
        cache = model.new_cache(len(ids), 16)
        unread = choose(model(unread, kv_cache=cache)[:, -1])[:, None]
        ids = torch.cat([ids, unread], 1)
    return ids
""",
    ),
    Mutant(
        "the prompt's last token twice",
        task="generate",
        says="the prompt's last token was read twice",
        code="""
def generate(model, ids, max_new_tokens, choose):
    cache = model.new_cache(len(ids), ids.shape[1] + max_new_tokens + 1)
    model(ids, kv_cache=cache)
    for _ in range(max_new_tokens):
        new = choose(model(ids[:, -1:], kv_cache=cache)[:, -1])
        ids = torch.cat([ids, new[:, None]], 1)
    return ids
""",
    ),
    Mutant(
        "logits of all positions",
        task="generate",
        says="those of the last position alone",
        code=swap(GENERATE, "choose(logits[:, -1])", "choose(logits)"),
    ),
    Mutant(
        "logits of the first position",
        task="generate",
        says="logits of another position",
        code=swap(GENERATE, "choose(logits[:, -1])", "choose(logits[:, 0])"),
    ),
    Mutant(
        "the cache for one row",
        task="generate",
        says="wants the number of rows",
        code=swap(
            GENERATE, "model.new_cache(B, T + max_new_tokens)", "model.new_cache()"
        ),
    ),
    Mutant(
        "room for the new tokens alone",
        task="generate",
        says="room for max_len positions",
        code=swap(GENERATE, "T + max_new_tokens)", "max_new_tokens)"),
    ),
    Mutant(
        "the prompt is not given back",
        task="generate",
        says="the prompt is missing",
        code=swap(GENERATE, "return ids", "return ids[:, T:]"),
    ),
    Mutant(
        "one token short",
        task="generate",
        says="one token is missing",
        code=swap(GENERATE, "range(max_new_tokens)", "range(max_new_tokens - 1)"),
    ),
    Mutant(
        "one token too many",
        task="generate",
        says="one token too many",
        code=swap(
            swap(GENERATE, "range(max_new_tokens)", "range(max_new_tokens + 1)"),
            "if i + 1 < max_new_tokens",
            "if i < max_new_tokens",
        ),
    ),
    Mutant(
        "no axis for positions",
        task="generate",
        says="one new token a row is (B, 1)",
        code=swap(
            GENERATE, "logits = model(new.unsqueeze(1), ", "logits = model(new, "
        ),
    ),
    Mutant(
        "chooses by itself",
        task="generate",
        says="choose was called",
        code=swap(GENERATE, "choose(logits[:, -1])", "logits[:, -1].argmax(-1)"),
    ),
    # -------------------------------------------------------------------- bits
    Mutant(
        "another student's texts",
        task="bits",
        says="was it measured with another STUDENT?",
        code=f"bits = {BITS | {'counting': {2: 3.69, 3: 3.09, 5: 2.51}}}",
    ),
    Mutant(
        "counting in nats",
        task="bits",
        says="nats divided by log 2",
        code=f"bits = {BITS | {'counting': {2: 2.51, 3: 2.05, 5: 1.69}}}",
    ),
    Mutant(
        "training in nats",
        task="bits",
        says="nats divided by log 2",
        code=f"bits = {BITS | {'causal': {0: 5.51, 100: 2.46, 200: 2.27, 300: 2.21}}}",
    ),
    Mutant(
        "nothing learned",
        task="bits",
        says="the model has not learned",
        code=f"bits = {BITS | {'masked': {0: 7.92, 100: 7.92, 200: 7.92, 300: 7.92}}}",
    ),
    Mutant(
        "it saw the answers",
        task="bits",
        says="the model sees its targets",
        code=f"bits = {BITS | {'causal': {0: 7.95, 100: 0.4, 200: 0.1, 300: 0.05}}}",
    ),
    Mutant(
        "steps out of order",
        task="bits",
        says="are the steps in order?",
        code=f"bits = {BITS | {'causal': {0: 7.95, 100: 3.19, 200: 3.28, 300: 3.55}}}",
    ),
    Mutant(
        "a step is missing",
        task="bits",
        says="must be a dict with the keys [0, 100, 200, 300]",
        code=f"bits = {BITS | {'causal': {0: 7.95, 300: 3.19}}}",
    ),
]

# Written without sight of the checks, by someone who had solved the lab as a student.
BLIND = [
    Mutant(
        "empty documents are skipped",
        task="pack",
        says="two end tokens stand side by side",
        code=swap(PACK, "in documents:", "in filter(None, documents):"),
    ),
    Mutant(
        "filler recognised by two end tokens",
        task="pack",
        says="-100 stands in the midst of the stream",
        code=swap(
            PACK,
            "return torch.tensor(inputs), torch.tensor(targets)",
            "x, y = torch.tensor(inputs), torch.tensor(targets)\n"
            "    return x, y.masked_fill((x == end_id) & (y == end_id), -100)",
        ),
    ),
    Mutant(
        "the last id is never drawn",
        task="mask_tokens",
        says="torch.randint leaves out its upper end by itself",
        code=swap(MASK, "torch.randint(vocab_size", "torch.randint(vocab_size - 1"),
    ),
    Mutant(
        "one random id a row",
        task="mask_tokens",
        says="the random ids of a row are all the same",
        code=swap(
            MASK,
            "torch.randint(vocab_size, ids.shape, generator=generator)",
            "torch.randint(vocab_size, (len(ids), 1), generator=generator).expand(ids.shape)",
        ),
    ),
    Mutant(
        "random ids are tokens of the batch",
        task="mask_tokens",
        says="they are drawn from the ids of the text",
        code=swap(
            MASK,
            "torch.randint(vocab_size, ids.shape, generator=generator)",
            "ids.flatten()[torch.randperm(ids.numel(), generator=generator)].view_as(ids)",
        ),
    ),
    Mutant(
        "one fate for each place of the rows",
        task="mask_tokens",
        says="and not for each place",
        code=swap(
            MASK, "torch.full(ids.shape, 0.8)", "torch.full(ids.shape[1:], 0.8)"
        ).replace("    masked &= chosen", "    masked = masked & chosen"),
    ),
    Mutant(
        "the first 80 % of the batch are masked",
        task="mask_tokens",
        says="must not depend on where it stands",
        code=MASK.split("    masked = ")[0]
        + """
    rows, places = chosen.nonzero(as_tuple=True)
    a, b = round(0.8 * len(rows)), round(0.9 * len(rows))
    inputs[rows[:a], places[:a]] = mask_id
    words = torch.randint(vocab_size, (b - a,), generator=generator)
    inputs[rows[a:b], places[a:b]] = words
    return inputs, targets
""",
    ),
    Mutant(
        "the first 80 % of each row are masked",
        task="mask_tokens",
        says="must not depend on where it stands",
        code=MASK.split("    masked = ")[0]
        + """
    for b in range(len(ids)):
        at = chosen[b].nonzero()[:, 0]
        n, m = round(0.8 * len(at)), round(0.9 * len(at))
        inputs[b, at[:n]] = mask_id
        inputs[b, at[n:m]] = torch.randint(vocab_size, (m - n,), generator=generator)
    return inputs, targets
""",
    ),
    Mutant(
        "the first place is never chosen",
        task="mask_tokens",
        says="at place 0 of the rows 0.0% are chosen",
        code=swap(MASK, "    chosen = ", "    odds[:, 0] = 0\n    chosen = "),
    ),
    Mutant(
        "special_ids must not be empty",
        task="mask_tokens",
        says="special_ids may be an empty list",
        code=swap(
            MASK,
            "    for s in special_ids:\n        odds[ids == s] = 0",
            "    odds[torch.stack([ids == s for s in special_ids]).any(0)] = 0",
        ),
    ),
    Mutant(
        "a number for each row, rounded down",
        task="mask_tokens",
        says="1.95, which is rounded down to 1",
        code=swap(RANKS, "COUNT", "(ordinary.sum(1) * 0.15).long()"),
    ),
    Mutant(
        "15 % of all places",
        task="mask_tokens",
        says="special tokens do not count",
        code=swap(
            RANKS, "COUNT", "torch.full((len(ids),), round(ids.shape[1] * 0.15))"
        ),
    ),
    Mutant(
        "the warm-up never below min_lr",
        task="learning_rate",
        says="min_lr is no floor of the warm-up",
        code=swap(
            RATE,
            "return step / warmup_steps * lr",
            "return max(min_lr, step / warmup_steps * lr)",
        ),
    ),
    Mutant(
        "groups by name",
        task="train_step",
        says="neither the name nor the kind of layer",
        code="""
def parameter_groups(model, weight_decay):
    small = [p for n, p in model.named_parameters() if "bias" in n or "norm" in n]
    rest = [p for n, p in model.named_parameters() if "bias" not in n and "norm" not in n]
    return [{"params": rest, "weight_decay": weight_decay},
            {"params": small, "weight_decay": 0.0}]
"""
        + STEP,
    ),
    Mutant(
        "two axes and no more",
        task="train_step",
        says="neither the name nor the kind of layer",
        code=swap(GROUPS, "p.ndim > 1", "p.ndim == 2") + STEP,
    ),
    Mutant(
        "a number without axes is lost",
        task="train_step",
        says="it is in neither group",
        code=swap(
            GROUPS,
            "        (decay if p.ndim > 1 else rest).append(p)",
            "        if p.ndim:\n            (decay if p.ndim > 1 else rest).append(p)",
        )
        + STEP,
    ),
    Mutant(
        "tied weights twice",
        task="train_step",
        says="stands in it twice",
        code=swap(
            GROUPS,
            "    for p in model.parameters():",
            "    for p in [p for m in model.modules() for p in m.parameters(recurse=False)]:",
        )
        + STEP,
    ),
    Mutant(
        "only the first group is clipped",
        task="train_step",
        says="a part of the parameters alone is clipped",
        code=GROUPS
        + swap(
            STEP,
            "clip_grad_norm_(model.parameters(),",
            'clip_grad_norm_(optimizer.param_groups[0]["params"],',
        ),
    ),
    Mutant(
        "clipped whenever something was added",
        task="train_step",
        says="it is clipped after each micro-batch",
        code=GROUPS
        + swap(
            STEP,
            "        total += loss.item()\n    torch",
            "        total += loss.item()\n        torch",
        ),
    ),
    Mutant(
        "clipped by the largest number",
        task="train_step",
        says="the root of the sum of squares",
        code=GROUPS
        + swap(STEP, "grad_clip)\n    opt", "grad_clip, math.inf)\n    opt"),
    ),
    Mutant(
        "clipped, then divided",
        task="train_step",
        says="clipped before it is divided",
        code=GROUPS
        + swap(
            swap(STEP, '"sum") / n', '"sum")'),
            "    optimizer.step()\n    return total",
            "    for p in model.parameters():\n        p.grad /= n\n"
            "    optimizer.step()\n    return total / n",
        ),
    ),
    Mutant(
        "id 0 does not count",
        task="train_step",
        says="0 is an id like any other",
        code=GROUPS + swap(STEP, "(y != -100).sum()", "(y > 0).sum()"),
    ),
    Mutant(
        "the model stays in evaluation mode",
        task="train_step",
        says="leave the mode as it is",
        code=GROUPS
        + swap(STEP, "    total = 0.0", "    model.eval()\n    total = 0.0"),
    ),
    Mutant(
        "one more at exactly top_p",
        task="next_token_probs",
        says="at least, and not more",
        code=swap(PROBS, "sums >= top_p", "sums > top_p"),
    ),
    Mutant(
        "top-p by a limit on the probability",
        task="next_token_probs",
        says="count places in the order",
        code=swap(
            PROBS,
            "        drop = torch.zeros_like(drop).scatter(1, order, drop)\n",
            "        lowest = ordered.masked_fill(drop, math.inf).amin(-1, keepdim=True)\n"
            "        drop = logits < lowest\n",
        ),
    ),
    Mutant(
        "-10,000 for -infinity",
        task="next_token_probs",
        says="only -infinity is below every number",
        code=swap(
            PROBS,
            'logits.masked_fill(logits < limit, float("-inf"))',
            "logits.masked_fill(logits < limit, -1e4)",
        ),
    ),
    Mutant(
        "the first row's order for all",
        task="next_token_probs",
        says="each row has its own order",
        code=swap(
            PROBS,
            "scatter(1, order, drop)",
            "scatter(1, order[:1].expand_as(order), drop)",
        ),
    ),
    Mutant(
        "softmax over the queries",
        task="cached_attention",
        says="the softmax goes over the queries",
        code=swap(ATTEND, "softmax(-1)", "softmax(-2)"),
    ),
    Mutant(
        "scaled by the number of heads",
        task="cached_attention",
        says="the length of one head's query",
        code=swap(ATTEND, "q.shape[-1] ** -0.5", "q.shape[1] ** -0.5"),
    ),
    Mutant(
        "an end that nobody asked for",
        task="generate",
        says="the text ends early",
        code=swap(
            GENERATE,
            "        if i + 1 < max_new_tokens",
            "        if (new == 0).all():\n            break\n"
            "        if i + 1 < max_new_tokens",
        ),
    ),
    Mutant(
        "choose gets log probabilities",
        task="generate",
        says="wants the logits as they are",
        code=swap(
            GENERATE, "choose(logits[:, -1])", "choose(logits[:, -1].log_softmax(-1))"
        ),
    ),
    Mutant(
        "one cache for all calls",
        task="generate",
        says="each call makes its own",
        code="CACHES = {}\n"
        + swap(
            GENERATE,
            "cache = model.new_cache(B, T + max_new_tokens)",
            "cache = CACHES.setdefault(B, model.new_cache(B, 16))",
        ),
    ),
    Mutant(
        "the two trainings swapped",
        task="bits",
        says="are the rows of the causal and of the masked model swapped?",
        code=f"bits = {BITS | {'causal': BITS['masked'], 'masked': BITS['causal']}}",
    ),
    Mutant(
        "one digit after the point",
        task="bits",
        says="two digits after the point are wanted",
        code=f"bits = {BITS | {'counting': {2: 3.6, 3: 3.0, 5: 2.4}}}",
    ),
    Mutant(
        "begins with the prompt's last token",
        task="generate",
        says="has not read the whole prompt",
        code=swap(
            GENERATE, "model(ids, kv_cache=cache)", "model(ids[:, -1:], kv_cache=cache)"
        ),
    ),
]
MUTANTS += BLIND

EQUIVALENTS = [
    # -------------------------------------------------------------------- pack
    Equivalent("row by row", task="pack", code=PACK),
    Equivalent(
        "one tensor and unfold",
        task="pack",
        code="""
def pack(documents, seq_len, end_id):
    parts = [torch.tensor([end_id])]
    parts += [torch.tensor([*d, end_id], dtype=torch.long) for d in documents]
    stream = torch.cat(parts)
    gap = -(len(stream) - 1) % seq_len
    x = F.pad(stream[:-1], (0, gap), value=end_id)
    y = F.pad(stream[1:], (0, gap), value=-100)
    return [x.reshape(-1, seq_len), y.unfold(0, seq_len, seq_len)]
""",
    ),
    Equivalent(
        "tensors to be filled",
        task="pack",
        code="""
def pack(documents, seq_len, end_id):
    stream = [end_id]
    for d in documents:
        for i in d:
            stream.append(i)
        stream.append(end_id)
    rows = math.ceil((len(stream) - 1) / seq_len)
    x = torch.full((rows, seq_len), end_id)
    y = torch.full((rows, seq_len), -100)
    for i in range(len(stream) - 1):
        x[i // seq_len, i % seq_len] = stream[i]
        y[i // seq_len, i % seq_len] = stream[i + 1]
    return x, y
""",
    ),
    # ------------------------------------------------------------- mask_tokens
    Equivalent("coins of three kinds", task="mask_tokens", code=MASK),
    Equivalent(
        "an exact number in each row",
        task="mask_tokens",
        code="""
def mask_tokens(ids, special_ids, mask_id, vocab_size, generator):
    inputs, targets = ids.clone(), torch.full_like(ids, -100)
    special = torch.zeros_like(ids, dtype=torch.bool)
    for s in special_ids:
        special |= ids == s
    for b in range(len(ids)):
        places = (~special[b]).nonzero()[:, 0]
        n = max(1, round(0.15 * len(places)))
        some = places[torch.randperm(len(places), generator=generator)[:n]]
        targets[b, some] = ids[b, some]
        fate = torch.rand(n, generator=generator)
        inputs[b, some[fate < 0.8]] = mask_id
        swapped = some[(fate >= 0.8) & (fate < 0.9)]
        inputs[b, swapped] = torch.randint(vocab_size, swapped.shape, generator=generator)
    return inputs, targets
""",
    ),
    Equivalent(
        "one draw for both questions",
        task="mask_tokens",
        code="""
def mask_tokens(ids, special_ids, mask_id, vocab_size, generator):
    r = torch.rand(*ids.shape, generator=generator)
    r[torch.isin(ids, torch.as_tensor(special_ids))] = 1.0
    x, y = ids.clone(), ids.clone()
    y[r >= 0.15] = -100
    x[r < 0.12] = mask_id
    some = (r >= 0.12) & (r < 0.135)
    x[some] = torch.randint(0, vocab_size, (int(some.sum()),), generator=generator)
    return x, y
""",
    ),
    Equivalent(
        "random ids without special ones",
        task="mask_tokens",
        code="""
def mask_tokens(ids, special_ids, mask_id, vocab_size, generator):
    usual = torch.tensor([i for i in range(vocab_size) if i not in special_ids])
    ordinary = torch.ones(ids.shape)
    for s in special_ids:
        ordinary = ordinary * (ids != s)
    chosen = torch.rand(ids.shape, generator=generator) < 0.15 * ordinary
    fate = torch.randint(10, ids.shape, generator=generator)
    words = usual[torch.randint(len(usual), ids.shape, generator=generator)]
    y = ids.masked_fill(~chosen, -100)
    x = ids.masked_fill(chosen & (fate < 8), mask_id)
    return x.where(~(chosen & (fate == 8)), words), y
""",
    ),
    # ----------------------------------------------------------- learning_rate
    Equivalent("three stretches", task="learning_rate", code=RATE),
    Equivalent(
        "a product of two",
        task="learning_rate",
        code="""
def learning_rate(step, lr, min_lr, warmup_steps, max_steps):
    p = (step - warmup_steps) / (max_steps - warmup_steps)
    p = max(0.0, min(1.0, p))
    rate = min_lr + (lr - min_lr) * math.cos(math.pi * p / 2) ** 2
    return rate * min(1.0, step / max(1, warmup_steps))
""",
    ),
    Equivalent(
        "with torch",
        task="learning_rate",
        code="""
def learning_rate(step, lr, min_lr, warmup_steps, max_steps):
    if warmup_steps and step <= warmup_steps:
        return lr * step / warmup_steps
    if step >= max_steps:
        return min_lr
    p = torch.tensor((step - warmup_steps) / (max_steps - warmup_steps), dtype=torch.float64)
    weight = (1 + torch.cos(torch.pi * p)) / 2
    return (weight * lr + (1 - weight) * min_lr).item()
""",
    ),
    # -------------------------------------------------------------- train_step
    Equivalent("view and item", task="train_step", code=GROUPS + STEP),
    Equivalent(
        "gradients divided at the end, emptied at the end",
        task="train_step",
        code="""
def parameter_groups(model, weight_decay):
    small = [p for n, p in model.named_parameters() if len(p.shape) in (0, 1)]
    known = {id(p) for p in small}
    return [{"params": small, "weight_decay": 0},
            {"params": [p for p in model.parameters() if id(p) not in known],
             "weight_decay": weight_decay}]

def train_step(model, optimizer, micro_batches, grad_clip):
    total, count = 0.0, 0
    for x, y in micro_batches:
        log_probs = model(x).log_softmax(-1)
        counts = y != -100
        picked = log_probs.gather(-1, y.clamp(min=0)[..., None])[..., 0]
        loss = -(picked * counts).sum()
        loss.backward()
        total += float(loss.detach())
        count += int(counts.sum())
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    for g in grads:
        g /= count
    norm = sum(float((g**2).sum()) for g in grads) ** 0.5
    if norm > grad_clip:
        for g in grads:
            g *= grad_clip / norm
    optimizer.step()
    optimizer.zero_grad()
    return total / count
""",
    ),
    Equivalent(
        "one graph for all",
        task="train_step",
        code="""
def parameter_groups(model, weight_decay):
    tall = lambda p: p.dim() >= 2
    ps = list(model.parameters())
    return [{"params": list(filter(tall, ps)), "weight_decay": weight_decay},
            {"params": [p for p in ps if not tall(p)], "weight_decay": 0.0}]

def train_step(model, optimizer, micro_batches, grad_clip):
    model.zero_grad()
    logits = torch.cat([model(x).flatten(0, 1) for x, y in micro_batches])
    targets = torch.cat([y.flatten() for x, y in micro_batches])
    loss = F.cross_entropy(logits, targets, ignore_index=-100)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=grad_clip)
    optimizer.step()
    return loss.item()
""",
    ),
    Equivalent(
        "classes on the second axis, a tensor returned",
        task="train_step",
        code=GROUPS
        + """
def train_step(model, optimizer, micro_batches, grad_clip):
    for p in model.parameters():
        p.grad = None
    n = torch.cat([y.flatten() for _, y in micro_batches]).ne(-100).sum()
    total = 0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).transpose(1, 2), y, reduction="none").sum() / n
        loss.backward()
        total = total + loss.detach()
    torch.nn.utils.clip_grad_norm_(list(model.parameters()), grad_clip)
    optimizer.step()
    return total
""",
    ),
    # -------------------------------------------------------- next_token_probs
    Equivalent("limits on logits", task="next_token_probs", code=PROBS),
    Equivalent(
        "row by row",
        task="next_token_probs",
        code="""
def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
    rows = []
    for row in logits.tolist():
        best = max(row)
        powers = [math.exp((x - best) / temperature) for x in row]
        order = sorted(range(len(row)), key=lambda i: -powers[i])
        if top_k is not None:
            order = order[:top_k]
        total = sum(powers[i] for i in order)
        if top_p is not None:
            kept, so_far = [], 0.0
            for i in order:
                kept.append(i)
                so_far += powers[i] / total
                if so_far >= top_p:
                    break
            order = kept
        total = sum(powers[i] for i in order)
        rows.append([powers[i] / total if i in order else 0.0 for i in range(len(row))])
    return torch.tensor(rows)
""",
    ),
    Equivalent(
        "in float64, with topk for both",
        task="next_token_probs",
        code="""
def next_token_probs(logits, temperature=1.0, top_k=None, top_p=None):
    z = logits.double() / temperature
    V = z.shape[-1]
    values, places = z.topk(V if top_k is None else min(top_k, V), dim=-1)
    p = values.softmax(-1)
    if top_p is not None:
        before = F.pad(p.cumsum(-1)[:, :-1], (1, 0))
        p = torch.where(before < top_p, p, 0.0)
        p = p / p.sum(-1, keepdim=True)
    out = torch.zeros(logits.shape, dtype=torch.float64)
    return out.scatter_(-1, places, p)
""",
    ),
    # -------------------------------------------------------- cached_attention
    Equivalent("einsum and arange", task="cached_attention", code=ATTEND),
    Equivalent(
        "torch's function with a mask",
        task="cached_attention",
        code="""
def cached_attention(q, k, v, cache=None):
    if cache:
        k = torch.cat([cache[0], k], dim=-2)
        v = torch.cat([cache[1], v], dim=-2)
    T, S = q.size(-2), k.size(-2)
    mask = torch.ones(T, S).tril(diagonal=S - T).bool()
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask), [k, v]
""",
    ),
    Equivalent(
        "position by position",
        task="cached_attention",
        code="""
def cached_attention(q, k, v, cache=None):
    old_k, old_v = (k[:, :, :0], v[:, :, :0]) if cache is None else cache
    n_old = old_k.shape[2]
    k, v = torch.cat([old_k, k], 2), torch.cat([old_v, v], 2)
    outs = []
    for i in range(q.shape[2]):
        ks, vs = k[:, :, : n_old + i + 1], v[:, :, : n_old + i + 1]
        w = (q[:, :, i : i + 1] @ ks.mT / math.sqrt(q.shape[-1])).softmax(-1)
        outs.append(w @ vs)
    return torch.cat(outs, 2), (k, v)
""",
    ),
    # ---------------------------------------------------------------- generate
    Equivalent("reads before it chooses", task="generate", code=GENERATE),
    Equivalent(
        "reads the last token too",
        task="generate",
        code="""
def generate(model, ids, max_new_tokens, choose):
    cache = model.new_cache(ids.shape[0], ids.shape[1] + max_new_tokens)
    pieces = [ids]
    with torch.inference_mode():
        scores = model(ids, kv_cache=cache)[:, -1, :]
        while len(pieces) <= max_new_tokens:
            pieces.append(choose(scores).view(-1, 1))
            scores = model(pieces[-1], kv_cache=cache)[:, -1, :]
    return torch.cat(pieces, dim=1)
""",
    ),
    Equivalent(
        "the default room, and gradients",
        task="generate",
        code="""
def generate(model, ids, max_new_tokens, choose):
    cache = model.new_cache(len(ids))
    out, new = ids.clone(), ids
    for _ in range(max_new_tokens):
        logits = model(new, None, cache)
        new = choose(logits.detach()[:, -1]).reshape(len(ids), 1)
        out = torch.hstack([out, new])
    return out
""",
    ),
    Equivalent(
        "the prompt token by token",
        task="generate",
        code="""
@torch.no_grad()
def generate(model, ids, max_new_tokens, choose):
    B, T = ids.shape
    cache = model.new_cache(B, T + max_new_tokens)
    columns = list(ids.unbind(1))
    for t in range(T + max_new_tokens - 1):
        logits = model(columns[t][:, None], kv_cache=cache)
        if t >= T - 1:
            columns.append(choose(logits[:, 0]))
    return torch.stack(columns, 1)
""",
    ),
    # --------------------------------- written without sight of the checks
    Equivalent(
        "lots, and their ranks",
        task="mask_tokens",
        code=swap(RANKS, "COUNT", "(ordinary.sum(1) * 0.15).round()"),
    ),
    Equivalent(
        "token by token",
        task="mask_tokens",
        code="""
def mask_tokens(ids, special_ids, mask_id, vocab_size, generator):
    draws = torch.rand(2, *ids.shape, generator=generator).tolist()
    words = torch.randint(vocab_size, ids.shape, generator=generator)
    inputs, targets = ids.clone(), torch.full_like(ids, -100)
    for b, row in enumerate(ids.tolist()):
        for t, i in enumerate(row):
            if i in special_ids or draws[0][b][t] >= 0.15:
                continue
            targets[b, t] = i
            if draws[1][b][t] < 0.9:
                inputs[b, t] = mask_id if draws[1][b][t] < 0.8 else words[b, t]
    return inputs, targets
""",
    ),
    Equivalent(
        "gradients asked for, the flat ones first",
        task="train_step",
        code="""
def parameter_groups(model, weight_decay):
    groups = [{"params": [], "weight_decay": 0}, {"params": [], "weight_decay": weight_decay}]
    for p in model.parameters():
        groups[len(p.shape) >= 2]["params"].append(p)
    return groups

def train_step(model, optimizer, micro_batches, grad_clip):
    params = list(model.parameters())
    n = sum(int((y != -100).sum()) for _, y in micro_batches)
    sums, total = [torch.zeros_like(p) for p in params], 0.0
    for x, y in micro_batches:
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum") / n
        for s, g in zip(sums, torch.autograd.grad(loss, params)):
            s += g
        total += loss.item()
    for p, s in zip(params, sums):
        p.grad = s
    torch.nn.utils.clip_grad_norm_(params, grad_clip)
    optimizer.step()
    return total
""",
    ),
    Equivalent(
        "one buffer for the text",
        task="generate",
        code="""
def generate(model, ids, max_new_tokens, choose):
    T = ids.shape[1]
    text = F.pad(ids, (0, max_new_tokens))
    cache, start = model.new_cache(len(ids), text.shape[1] + 7), 0
    with torch.no_grad():
        for t in range(T, text.shape[1]):
            text[:, t] = choose(model(text[:, start:t], kv_cache=cache)[:, -1])
            start = t
    return text
""",
    ),
]
