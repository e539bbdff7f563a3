"""Wrong answers to lab 5 that students give, and right ones in other styles."""

from lmcore.course.labs import Equivalent, Mutant

CAUSAL = """
def causal_mask(n):
    return torch.ones(n, n, dtype=torch.bool).tril()
"""
PADDING = """
def padding_mask(lengths, n):
    return (torch.arange(n) < lengths[:, None])[:, None, None, :]
"""
BOTH = """
def decoder_mask(lengths, n):
    return padding_mask(lengths, n) & causal_mask(n)
"""
SPLIT = """
def split_heads(x, n_heads):
    B, T, D = x.shape
    return x.view(B, T, n_heads, D // n_heads).transpose(1, 2)
"""
MERGE = """
def merge_heads(h):
    B, H, T, K = h.shape
    return h.transpose(1, 2).reshape(B, T, H * K)
"""
HEADS = """
def multi_head(x, memory, attn, n_heads, mask=None, positions=None):
    q = split_heads(x @ attn["q_proj"].T, n_heads)
    k = split_heads(memory @ attn["k_proj"].T, n_heads)
    v = split_heads(memory @ attn["v_proj"].T, n_heads)
    if positions is not None:
        q = rope(q, positions)
        k = rope(k, positions)
    return merge_heads(attention(q, k, v, mask)[0]) @ attn["out_proj"].T
"""
INIT = """
class Block(BlockParameters):
    def attend(self, h, mask, positions):
        return multi_head(h, h, self.attn, self.n_heads, mask, positions)

    def feed(self, h):
        gate = F.silu(h @ self.ff["gate_proj"].T)
        return (gate * (h @ self.ff["in_proj"].T)) @ self.ff["out_proj"].T
"""
DECODER = """
class Decoder(DecoderParameters):
"""


def in_attention(scores: str, weights: str, end: str = "return w @ v, w") -> str:
    """An attention with these lines."""
    return f"""
def attention(q, k, v, mask=None):
    scores = {scores}
    {weights}
    {end}
"""


GOOD_SCORES = "q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])"
MINUS_INF = """if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    w = scores.softmax(-1)"""
GOOD_WEIGHTS = MINUS_INF.replace('float("-inf")', "-1e30") + (
    """
    if mask is not None:
        w = w * mask"""
)


def in_rope(speeds: str, turn: str, angles: str = "positions[:, None] * speeds") -> str:
    """A rope with these lines."""
    return f"""
def rope(x, positions):
    K = x.shape[-1]
    i = torch.arange(K // 2, dtype=torch.float64)
    speeds = {speeds}
    angles = {angles}
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., : K // 2], x[..., K // 2 :]
    {turn}
"""


GOOD_SPEEDS = "10000.0 ** (-2 * i / K)"
GOOD_TURN = "return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)"


def in_block(forward: str) -> str:
    """A Block with this forward."""
    return (
        INIT
        + "\n    def forward(self, x, mask=None, positions=None):\n"
        + forward
        + "\n"
    )


def in_decoder(forward: str) -> str:
    """A Decoder with this forward."""
    return DECODER + "\n    def forward(self, ids):\n" + forward + "\n"


def in_leaks(change: str, compare: str, start: str = "1") -> str:
    """A test for leaks with these lines."""
    return f"""
def leaks(model, ids):
    before = model(ids)
    V = before.shape[-1]
    for t in range({start}, ids.shape[1]):
        other = ids.clone()
        {change}
        after = model(other)
        if {compare}:
            return True
    return False
"""


FORWARD = """
        n = ids.shape[1]
        mask = causal_mask(n) if self.causal else None
        positions = torch.arange(n) if self.rotary else None
        x = self.tok_emb(ids)
        for block in self.blocks:
            x = block(x, mask, positions)
        return self.final_norm(x) @ self.tok_emb.weight.T
"""
GOOD_CHANGE = "other[:, t] = (ids[:, t] + 1) % V"
GOOD_COMPARE = "(after - before)[:, :t].abs().max() > 1e-4"

MUTANTS = [
    # --------------------------------------------------------------- attention
    Mutant(
        "no scale",
        task="attention",
        says="not divided by the square root of K",
        code=in_attention("q @ k.transpose(-2, -1)", GOOD_WEIGHTS),
    ),
    Mutant(
        "divided by K",
        task="attention",
        says="its square root is wanted",
        code=in_attention("q @ k.transpose(-2, -1) / q.shape[-1]", GOOD_WEIGHTS),
    ),
    Mutant(
        "the root of the number of keys",
        task="attention",
        says="under the root stands the width of a query",
        code=in_attention("q @ k.mT / math.sqrt(k.shape[-2])", GOOD_WEIGHTS),
    ),
    Mutant(
        "the root of the values' width",
        task="attention",
        says="under the root stands the width of a query",
        code=in_attention("q @ k.mT / math.sqrt(v.shape[-1])", GOOD_WEIGHTS),
    ),
    Mutant(
        "softmax over the queries",
        task="attention",
        says="wrong axis",
        code=in_attention(GOOD_SCORES, GOOD_WEIGHTS.replace("-1)", "-2)")),
    ),
    Mutant(
        "softmax over axis 1",
        task="attention",
        says="wrong axis",
        code=in_attention(GOOD_SCORES, GOOD_WEIGHTS.replace("-1)", "1)")),
    ),
    Mutant(
        "the mask after the softmax",
        task="attention",
        says="came after the softmax",
        code=in_attention(
            GOOD_SCORES,
            """w = scores.softmax(-1)
    if mask is not None:
        w = w * mask""",
        ),
    ),
    Mutant(
        "the mask after the softmax, and the rows made to sum to 1",
        task="attention",
        says="it holds NaN",
        code=in_attention(
            GOOD_SCORES,
            """w = scores.softmax(-1)
    if mask is not None:
        w = w * mask
        w = w / w.sum(-1, keepdim=True)""",
        ),
    ),
    Mutant(
        "the mask upside down",
        task="attention",
        says="upside down",
        code=in_attention(
            GOOD_SCORES,
            """if mask is not None:
        scores = scores.masked_fill(mask, -1e30)
    w = scores.softmax(-1)""",
        ),
    ),
    Mutant(
        "masked scores times 0",
        task="attention",
        says="e to the power of 0 is 1",
        code=in_attention(
            GOOD_SCORES,
            """if mask is not None:
        scores = scores * mask
    w = scores.softmax(-1)""",
        ),
    ),
    Mutant(
        "the mask is added",
        task="attention",
        says="only a slight preference",
        code=in_attention(
            GOOD_SCORES,
            """if mask is not None:
        scores = scores + mask
    w = scores.softmax(-1)""",
        ),
    ),
    Mutant(
        "the mask is forgotten",
        task="attention",
        says="the mask is ignored",
        code=in_attention(GOOD_SCORES, "w = scores.softmax(-1)"),
    ),
    Mutant(
        "-inf, and an empty row is nan",
        task="attention",
        says="softmax divides 0 by 0",
        code=in_attention(GOOD_SCORES, MINUS_INF),
    ),
    Mutant(
        "-1e9, and an empty row looks everywhere",
        task="attention",
        says="looks everywhere instead",
        code=in_attention(GOOD_SCORES, MINUS_INF.replace('float("-inf")', "-1e9")),
    ),
    Mutant(
        "-100 is not low enough",
        task="attention",
        says="not low enough",
        code=in_attention(GOOD_SCORES, GOOD_WEIGHTS.replace("-1e30", "-100.0")).replace(
            "w = w * mask", "w = w * mask.any(-1, keepdim=True)"
        ),
    ),
    Mutant(
        "-inf added, and nan repaired behind",
        task="attention",
        says="let no nan arise",
        code=in_attention(
            GOOD_SCORES,
            """if mask is not None:
        scores = scores + torch.zeros(mask.shape).masked_fill(~mask, float("-inf"))
    w = scores.softmax(-1).nan_to_num(0.0)""",
        ),
    ),
    Mutant(
        "a softmax by hand that overflows",
        task="attention",
        says="e to the power of thousands",
        code=in_attention(
            GOOD_SCORES,
            """e = scores.exp()
    if mask is not None:
        e = e * mask
    w = e / e.sum(-1, keepdim=True).clamp(min=1e-30)""",
        ),
    ),
    Mutant(
        "only the output",
        task="attention",
        says="expected two tensors",
        code=in_attention(GOOD_SCORES, GOOD_WEIGHTS, "return w @ v"),
    ),
    Mutant(
        "nothing comes back",
        task="attention",
        says="is there a `return`?",
        code=in_attention(GOOD_SCORES, GOOD_WEIGHTS, "w @ v, w"),
    ),
    Mutant(
        "weights first",
        task="attention",
        says="the other way round",
        code=in_attention(GOOD_SCORES, GOOD_WEIGHTS, "return w, w @ v"),
    ),
    Mutant(
        "the mask is always there",
        task="attention",
        says="the mask may be None",
        code=in_attention(
            GOOD_SCORES, "w = scores.masked_fill(~mask, -1e30).softmax(-1) * mask"
        ),
    ),
    Mutant(
        "the wrong axes of k swapped",
        task="attention",
        says="there may be any axes in front",
        code=in_attention("q @ k.transpose(1, 2) / q.shape[-1] ** 0.5", GOOD_WEIGHTS),
    ),
    Mutant(
        "a number that float32 does not have",
        task="attention",
        says="must exist in float32",
        code=in_attention(GOOD_SCORES, GOOD_WEIGHTS.replace("-1e30", "-1e300")),
    ),
    Mutant(
        "always four axes",
        task="attention",
        says="there may be any axes in front",
        code="""
def attention(q, k, v, mask=None):
    B, H, T, K = q.shape
    scores = q @ k.transpose(2, 3) / K**0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e30)
    w = scores.softmax(3)
    w = w if mask is None else w * mask
    return w @ v, w
""",
    ),
    Mutant(
        "k not transposed",
        task="attention",
        says="swap the last two axes of k",
        code=in_attention("q @ k / q.shape[-1] ** 0.5", GOOD_WEIGHTS),
    ),
    Mutant(
        "cut from the gradient",
        task="attention",
        says="cut the computation",
        code=in_attention(GOOD_SCORES, GOOD_WEIGHTS).replace(
            "return w @ v, w", "w = w.detach()\n    return w @ v, w"
        ),
    ),
    Mutant(
        "indexing with a mask that broadcasts",
        task="attention",
        says="indexing with it does not",
        code=in_attention(
            GOOD_SCORES,
            """if mask is not None:
        scores[~mask] = -1e30
    w = scores.softmax(-1)
    if mask is not None:
        w = w * mask""",
        ),
    ),
    # ------------------------------------------------------------------- masks
    Mutant(
        "a query does not see itself",
        task="decoder_mask",
        says="may see itself",
        code=CAUSAL.replace("tril()", "tril(-1)") + PADDING + BOTH,
    ),
    Mutant(
        "one too many",
        task="decoder_mask",
        says="one key too many",
        code=CAUSAL.replace("tril()", "tril(1)") + PADDING + BOTH,
    ),
    Mutant(
        "the upper triangle",
        task="decoder_mask",
        says="shows the future",
        code=CAUSAL.replace("tril()", "triu()") + PADDING + BOTH,
    ),
    Mutant(
        "True = may not, as in other libraries",
        task="decoder_mask",
        says="upside down",
        code=CAUSAL.replace("tril()", "triu(1)") + PADDING + BOTH,
    ),
    Mutant(
        "ones and zeros",
        task="decoder_mask",
        says="masks are boolean",
        code=CAUSAL.replace(", dtype=torch.bool", "") + PADDING + BOTH,
    ),
    Mutant(
        "a padding mask without axes",
        task="decoder_mask",
        says="axes for heads and queries are missing",
        code=CAUSAL
        + PADDING.replace("[:, None, None, :]", "")
        + BOTH.replace("n) &", "n)[:, None, None] &"),
    ),
    Mutant(
        "padding masked as queries",
        task="decoder_mask",
        says="on the last axis, that of the keys",
        code=CAUSAL
        + PADDING.replace("[:, None, None, :]", "[:, None, :, None]")
        + BOTH,
    ),
    Mutant(
        "one token too many",
        task="decoder_mask",
        says="one too many",
        code=CAUSAL + PADDING.replace("<", "<=") + BOTH,
    ),
    Mutant(
        "padding upside down",
        task="decoder_mask",
        says="True at real tokens",
        code=CAUSAL + PADDING.replace("<", ">=") + BOTH,
    ),
    Mutant(
        "either mask instead of both",
        task="decoder_mask",
        says="*one* of the masks",
        code=CAUSAL + PADDING + BOTH.replace("&", "|"),
    ),
    Mutant(
        "queries of padding masked, too",
        task="decoder_mask",
        says="queries of padding are left alone",
        code=CAUSAL
        + PADDING
        + """
def decoder_mask(lengths, n):
    real = padding_mask(lengths, n)
    return real & real.transpose(-2, -1) & causal_mask(n)
""",
    ),
    # -------------------------------------------------------------------- rope
    Mutant(
        "neighbours are paired",
        task="rope",
        says="you turn neighbours",
        code="""
def rope(x, positions):
    K = x.shape[-1]
    speeds = 10000.0 ** (-torch.arange(0, K, 2) / K)
    angles = positions[:, None] * speeds
    cos, sin = angles.cos(), angles.sin()
    out = torch.empty_like(x)
    out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
    out[..., 1::2] = x[..., 1::2] * cos + x[..., 0::2] * sin
    return out
""",
    ),
    Mutant(
        "it turns backwards",
        task="rope",
        says="turns backwards",
        code=in_rope(
            GOOD_SPEEDS,
            "return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)",
        ),
    ),
    Mutant(
        "the positions are ignored",
        task="rope",
        says="not at t",
        code=in_rope(
            GOOD_SPEEDS, GOOD_TURN, "torch.arange(x.shape[-2])[:, None] * speeds"
        ),
    ),
    Mutant(
        "the 2 in the exponent is missing",
        task="rope",
        says="the 2 is missing",
        code=in_rope("10000.0 ** (-i / K)", GOOD_TURN),
    ),
    Mutant(
        "later pairs turn faster",
        task="rope",
        says="later pairs turn more slowly",
        code=in_rope("10000.0 ** (2 * i / K)", GOOD_TURN),
    ),
    Mutant(
        "a plus for a minus",
        task="rope",
        says="in the first half of the pair",
        code=in_rope(
            GOOD_SPEEDS,
            "return torch.cat([a * cos + b * sin, b * cos + a * sin], dim=-1)",
        ),
    ),
    Mutant(
        "the second half turns itself",
        task="rope",
        says="in the second half of the pair",
        code=in_rope(
            GOOD_SPEEDS,
            "return torch.cat([a * cos - b * sin, b * cos + b * sin], dim=-1)",
        ),
    ),
    Mutant(
        "angles repeated beside themselves",
        task="rope",
        says="repeat_interleave",
        code="""
def rope(x, positions):
    K = x.shape[-1]
    speeds = 10000.0 ** (-torch.arange(0, K, 2) / K)
    angles = (positions[:, None] * speeds).repeat_interleave(2, dim=-1)
    swapped = torch.cat([-x[..., K // 2 :], x[..., : K // 2]], dim=-1)
    return x * angles.cos() + swapped * angles.sin()
""",
    ),
    Mutant(
        "the exponent follows the position",
        task="rope",
        says="not the position",
        code=in_rope(
            GOOD_SPEEDS,
            GOOD_TURN,
            "(positions[:, None] / 10000.0 ** (2 * positions[:, None] / K)"
            ").expand(-1, K // 2)",
        ),
    ),
    Mutant(
        "always float64",
        task="rope",
        says="their dtype is",
        code=in_rope(GOOD_SPEEDS, GOOD_TURN).replace(".to(x.dtype)", ""),
    ),
    Mutant(
        "changes its input",
        task="rope",
        says="changed argument 1",
        code=in_rope(
            GOOD_SPEEDS,
            """new = a * cos - b * sin
    x[..., K // 2 :] = b * cos + a * sin
    x[..., : K // 2] = new
    return x""",
        ),
    ),
    # ------------------------------------------------------------------- heads
    Mutant(
        "a view that cuts the positions",
        task="multi_head",
        says="cuts the *positions* apart",
        code="""
def split_heads(x, n_heads):
    B, T, D = x.shape
    return x.view(B, n_heads, T, D // n_heads)
"""
        + MERGE
        + HEADS,
    ),
    Mutant(
        "heads left behind the positions",
        task="multi_head",
        says="the heads must stand before the positions",
        code=SPLIT.replace(".transpose(1, 2)", "") + MERGE + HEADS,
    ),
    Mutant(
        "neighbours to different heads",
        task="multi_head",
        says="neighbouring numbers went to different heads",
        code="""
def split_heads(x, n_heads):
    B, T, D = x.shape
    return x.view(B, T, D // n_heads, n_heads).permute(0, 3, 1, 2)
"""
        + MERGE
        + HEADS,
    ),
    Mutant(
        "merged without swapping back",
        task="multi_head",
        says="reshaped without swapping",
        code=SPLIT + MERGE.replace(".transpose(1, 2)", "") + HEADS,
    ),
    Mutant(
        "view after transpose",
        task="multi_head",
        says="view refuses",
        code=SPLIT + MERGE.replace("reshape", "view") + HEADS,
    ),
    Mutant(
        "no transpose of the matrices",
        task="multi_head",
        says="stored (outputs, inputs)",
        code=SPLIT + MERGE + HEADS.replace("].T", "]"),
    ),
    Mutant(
        "no transpose of the last matrix",
        task="multi_head",
        says="some of the four matrices are transposed",
        code=SPLIT + MERGE + HEADS.replace('"out_proj"].T', '"out_proj"]'),
    ),
    Mutant(
        "the last projection is missing",
        task="multi_head",
        says="out_proj is missing",
        code=SPLIT + MERGE + HEADS.replace(' @ attn["out_proj"].T', ""),
    ),
    Mutant(
        "memory is forgotten",
        task="multi_head",
        says="keys and values must come from memory",
        code=SPLIT + MERGE + HEADS.replace("(memory @", "(x @"),
    ),
    Mutant(
        "the mask is not handed on",
        task="multi_head",
        says="the mask is not handed on",
        code=SPLIT + MERGE + HEADS.replace("v, mask)", "v)"),
    ),
    Mutant(
        "values are turned, too",
        task="multi_head",
        says="values are not turned",
        code=SPLIT
        + MERGE
        + HEADS.replace(
            "        k = rope(k", "        v = rope(v, positions)\n        k = rope(k"
        ),
    ),
    Mutant(
        "keys are not turned",
        task="multi_head",
        says="keys are turned as well",
        code=SPLIT + MERGE + HEADS.replace("        k = rope(k, positions)\n", ""),
    ),
    Mutant(
        "turned before the split",
        task="multi_head",
        says="turned before the split",
        code=SPLIT
        + MERGE
        + """
def multi_head(x, memory, attn, n_heads, mask=None, positions=None):
    q, k = x @ attn["q_proj"].T, memory @ attn["k_proj"].T
    if positions is not None:
        q, k = rope(q, positions), rope(k, positions)
    v = split_heads(memory @ attn["v_proj"].T, n_heads)
    h, _ = attention(split_heads(q, n_heads), split_heads(k, n_heads), v, mask)
    return merge_heads(h) @ attn["out_proj"].T
""",
    ),
    Mutant(
        "positions are ignored",
        task="multi_head",
        says="positions are ignored",
        code=SPLIT + MERGE + HEADS.replace("if positions is not None", "if False"),
    ),
    Mutant(
        "one head",
        task="multi_head",
        says="there is only one head",
        code=SPLIT + MERGE + HEADS.replace("n_heads)\n", "1)\n"),
    ),
    Mutant(
        "both results of attention",
        task="multi_head",
        says="attention gives two tensors",
        code=SPLIT + MERGE + HEADS.replace("mask)[0]", "mask)"),
    ),
    # ------------------------------------------------------------------- block
    Mutant(
        "post-norm",
        task="Block",
        says="post-norm",
        code=in_block("""
        x = self.attn_norm(x + self.attend(x, mask, positions))
        return self.ff_norm(x + self.feed(x))
"""),
    ),
    Mutant(
        "the sum starts from the normalised copy",
        task="Block",
        says="must add to x itself",
        code=in_block("""
        x = self.attn_norm(x)
        x = x + self.attend(x, mask, positions)
        x = self.ff_norm(x)
        return x + self.feed(x)
"""),
    ),
    Mutant(
        "no first residual connection",
        task="Block",
        says="the first residual connection is missing",
        code=in_block("""
        x = self.attend(self.attn_norm(x), mask, positions)
        return x + self.feed(self.ff_norm(x))
"""),
    ),
    Mutant(
        "no second residual connection",
        task="Block",
        says="the second residual connection is missing",
        code=in_block("""
        x = x + self.attend(self.attn_norm(x), mask, positions)
        return self.feed(self.ff_norm(x))
"""),
    ),
    Mutant(
        "the second sum forgets the first",
        task="Block",
        says="or attention is lost",
        code=in_block("""
        h = x + self.attend(self.attn_norm(x), mask, positions)
        return x + self.feed(self.ff_norm(h))
"""),
    ),
    Mutant(
        "one norm for both",
        task="Block",
        says="attn_norm is used twice",
        code=in_block("""
        x = x + self.attend(self.attn_norm(x), mask, positions)
        return x + self.feed(self.attn_norm(x))
"""),
    ),
    Mutant(
        "no norms",
        task="Block",
        says="both layers must read normalised copies",
        code=in_block("""
        x = x + self.attend(x, mask, positions)
        return x + self.feed(x)
"""),
    ),
    Mutant(
        "keys and values not normalised",
        task="Block",
        says="memory is the same normalised x",
        code=in_block("""
        h = self.attn_norm(x)
        x = x + multi_head(h, x, self.attn, self.n_heads, mask, positions)
        return x + self.feed(self.ff_norm(x))
"""),
    ),
    Mutant(
        "relu",
        task="Block",
        says="the gate needs silu",
        code=in_block("""
        x = x + self.attend(self.attn_norm(x), mask, positions)
        return x + self.feed(self.ff_norm(x))
""").replace("F.silu", "F.relu"),
    ),
    Mutant(
        "silu around the other product",
        task="Block",
        says="silu belongs around the gate",
        code=in_block("""
        x = x + self.attend(self.attn_norm(x), mask, positions)
        h = self.ff_norm(x)
        h = h @ self.ff["gate_proj"].T * F.silu(h @ self.ff["in_proj"].T)
        return x + h @ self.ff["out_proj"].T
"""),
    ),
    Mutant(
        "the mask is lost",
        task="Block",
        says="the mask is not handed on",
        code=in_block("""
        x = x + self.attend(self.attn_norm(x), None, positions)
        return x + self.feed(self.ff_norm(x))
"""),
    ),
    Mutant(
        "the positions are lost",
        task="Block",
        says="positions are not handed on",
        code=in_block("""
        x = x + self.attend(self.attn_norm(x), mask, None)
        return x + self.feed(self.ff_norm(x))
"""),
    ),
    Mutant(
        "a norm of one's own",
        task="Block",
        says="leave __init__ as it is",
        code="""
class Block(BlockParameters):
    def __init__(self, d_model, n_heads, d_ff):
        super().__init__(d_model, n_heads, d_ff)
        self.attn_norm = nn.LayerNorm(d_model)

    def forward(self, x, mask=None, positions=None):
        return x
""",
    ),
    Mutant(
        "attention without a gradient",
        task="Block",
        says="no gradient reaches",
        code=in_block("""
        with torch.no_grad():
            h = self.attend(self.attn_norm(x), mask, positions)
        x = x + h
        return x + self.feed(self.ff_norm(x))
"""),
    ),
    Mutant(
        "the sum in place",
        task="Block",
        says="x = x + ...",
        code=in_block("""
        x += self.attend(self.attn_norm(x), mask, positions)
        x += self.feed(self.ff_norm(x))
        return x
"""),
    ),
    Mutant(
        "nothing comes back",
        task="Block",
        says="is there a `return`?",
        code=in_block("""
        x = x + self.attend(self.attn_norm(x), mask, positions)
        x = x + self.feed(self.ff_norm(x))
"""),
    ),
    # ----------------------------------------------------------------- decoder
    Mutant(
        "no gradient",
        task="Decoder",
        says="no gradient reaches",
        code=in_decoder("""
        n = ids.shape[1]
        x = self.tok_emb(ids)
        for block in self.blocks:
            x = block(
                x,
                causal_mask(n) if self.causal else None,
                torch.arange(n) if self.rotary else None,
            )
        return self.final_norm(x).detach() @ self.tok_emb.weight.T
"""),
    ),
    Mutant(
        "log probabilities",
        task="Decoder",
        says="softmax",
        code=in_decoder("""
        n = ids.shape[1]
        x = self.tok_emb(ids)
        for block in self.blocks:
            x = block(
                x,
                causal_mask(n) if self.causal else None,
                torch.arange(n) if self.rotary else None,
            )
        return F.log_softmax(self.final_norm(x) @ self.tok_emb.weight.T, dim=-1)
"""),
    ),
    Mutant(
        "hidden states",
        task="Decoder",
        says="these are the hidden states",
        code=in_decoder("""
        n = ids.shape[1]
        x = self.tok_emb(ids)
        for block in self.blocks:
            x = block(
                x,
                causal_mask(n) if self.causal else None,
                torch.arange(n) if self.rotary else None,
            )
        return self.final_norm(x)
"""),
    ),
    Mutant(
        "the switch for the mask is ignored",
        task="Decoder",
        says="without self.causal there must be no mask",
        code=in_decoder("""
        n = ids.shape[1]
        x = self.tok_emb(ids)
        for block in self.blocks:
            x = block(x, causal_mask(n), torch.arange(n) if self.rotary else None)
        return self.final_norm(x) @ self.tok_emb.weight.T
"""),
    ),
    Mutant(
        "no mask at all",
        task="Decoder",
        says="must get the causal mask",
        code=in_decoder("""
        n = ids.shape[1]
        x = self.tok_emb(ids)
        for block in self.blocks:
            x = block(x, None, torch.arange(n) if self.rotary else None)
        return self.final_norm(x) @ self.tok_emb.weight.T
"""),
    ),
    Mutant(
        "positions for ever",
        task="Decoder",
        says="self.rotary switches",
        code=in_decoder("""
        n = ids.shape[1]
        x = self.tok_emb(ids)
        for block in self.blocks:
            x = block(x, causal_mask(n) if self.causal else None, torch.arange(n))
        return self.final_norm(x) @ self.tok_emb.weight.T
"""),
    ),
    Mutant(
        "no final norm",
        task="Decoder",
        says="final_norm is missing",
        code=in_decoder("""
        n = ids.shape[1]
        x = self.tok_emb(ids)
        for block in self.blocks:
            x = block(
                x,
                causal_mask(n) if self.causal else None,
                torch.arange(n) if self.rotary else None,
            )
        return x @ self.tok_emb.weight.T
"""),
    ),
    Mutant(
        "every block reads the embedding",
        task="Decoder",
        says="or their result is lost",
        code=in_decoder("""
        n = ids.shape[1]
        x = self.tok_emb(ids)
        for block in self.blocks[:1]:
            x = block(
                x,
                causal_mask(n) if self.causal else None,
                torch.arange(n) if self.rotary else None,
            )
        return self.final_norm(x) @ self.tok_emb.weight.T
"""),
    ),
    Mutant(
        "probabilities",
        task="Decoder",
        says="logits are wanted",
        code=in_decoder("""
        n = ids.shape[1]
        x = self.tok_emb(ids)
        for block in self.blocks:
            x = block(
                x,
                causal_mask(n) if self.causal else None,
                torch.arange(n) if self.rotary else None,
            )
        return (self.final_norm(x) @ self.tok_emb.weight.T).softmax(-1)
"""),
    ),
    # ------------------------------------------------------------------- leaks
    Mutant(
        "always False",
        task="leaks",
        says="no earlier row was seen to move",
        code="def leaks(model, ids):\n    return False\n",
    ),
    Mutant(
        "always True",
        task="leaks",
        says="may change; only the rows before t must not",
        code="def leaks(model, ids):\n    return True\n",
    ),
    Mutant(
        "the changed row counts",
        task="leaks",
        says="only the rows before t must not",
        code=in_leaks(GOOD_CHANGE, "(after - before)[:, : t + 1].abs().max() > 1e-4"),
    ),
    Mutant(
        "all rows count",
        task="leaks",
        says="only the rows before t must not",
        code=in_leaks(GOOD_CHANGE, "(after - before).abs().max() > 1e-4"),
    ),
    Mutant(
        "equality",
        task="leaks",
        says="compare with a tolerance",
        code=in_leaks(GOOD_CHANGE, "not torch.equal(after[:, :t], before[:, :t])"),
    ),
    Mutant(
        "only the last token",
        task="leaks",
        says="try every position",
        code=in_leaks(GOOD_CHANGE, GOOD_COMPARE, start="ids.shape[1] - 1"),
    ),
    Mutant(
        "never the last token",
        task="leaks",
        says="change the last one, too",
        code=in_leaks(GOOD_CHANGE, GOOD_COMPARE).replace("shape[1])", "shape[1] - 1)"),
    ),
    Mutant(
        "the row before is left out",
        task="leaks",
        says="do the rows that you compare reach far enough",
        code=in_leaks(
            GOOD_CHANGE, "(after - before)[:, : t - 1].abs().max() > 1e-4", start="2"
        ),
    ),
    Mutant(
        "only the row before",
        task="leaks",
        says="not only the neighbour",
        code=in_leaks(GOOD_CHANGE, "(after - before)[:, t - 1].abs().max() > 1e-4"),
    ),
    Mutant(
        "only the first row",
        task="leaks",
        says="do the rows that you compare reach far enough",
        code=in_leaks(
            GOOD_CHANGE, "(after - before)[:, 0].abs().max() > 1e-4", start="2"
        ),
    ),
    Mutant(
        "the new token is always 0",
        task="leaks",
        says="may be the one that stood there already",
        code=in_leaks("other[:, t] = 0", GOOD_COMPARE),
    ),
    Mutant(
        "the new token does not exist",
        task="leaks",
        says="ids go from 0 to V - 1",
        code=in_leaks("other[:, t] = ids[:, t] + 1", GOOD_COMPARE),
    ),
    Mutant(
        "the likeliest token",
        task="leaks",
        says="only the most probable tokens compared",
        code=in_leaks(
            GOOD_CHANGE,
            "not torch.equal(after.argmax(-1)[:, :t], before.argmax(-1)[:, :t])",
        ),
    ),
    Mutant(
        "too large a tolerance",
        task="leaks",
        says="is the tolerance too large",
        code=in_leaks(GOOD_CHANGE, GOOD_COMPARE.replace("1e-4", "0.5")),
    ),
    Mutant(
        "differences without a sign cancel",
        task="leaks",
        says="expected True, got False",
        code=in_leaks(GOOD_CHANGE, "(after - before)[:, :t].sum() > 20"),
    ),
    Mutant(
        "ids are changed in place",
        task="leaks",
        says="work on a copy",
        code=in_leaks("other = ids; other[:, t] = (ids[:, t] + 1) % V", GOOD_COMPARE),
    ),
    Mutant(
        "a comparison of nothing",
        task="leaks",
        says="begin with position 1",
        code=in_leaks(GOOD_CHANGE, GOOD_COMPARE, start="0"),
    ),
    Mutant(
        "a gradient of whole numbers",
        task="leaks",
        says="whole numbers and have no gradient",
        code="""
def leaks(model, ids):
    ids = ids.clone().requires_grad_()
    model(ids)[:, 0].sum().backward()
    return bool((ids.grad[:, 1:] != 0).any())
""",
    ),
    Mutant(
        "returns how far it moved",
        task="leaks",
        says="expected True or False",
        code="""
def leaks(model, ids):
    other = ids.clone()
    other[:, -1] = (other[:, -1] + 1) % model(ids).shape[-1]
    return (model(ids) - model(other))[:, :-1].abs().max()
""",
    ),
    # ------------------------------------------------------------------- table
    Mutant(
        "two rows swapped",
        task="table",
        says="two rows are swapped",
        code="""
table = {"trained": 1.89, "no mask": 2.86, "no positions": 2.46, "no scale": 2.03}
""",
    ),
    Mutant(
        "another student's",
        task="table",
        says="another STUDENT",
        code="""
table = {"trained": 1.97, "no mask": 2.55, "no positions": 2.98, "no scale": 2.11}
""",
    ),
    Mutant(
        "the mask was not put back",
        task="table",
        says="not set back",
        code="""
table = {"trained": 1.89, "no mask": 2.46, "no positions": 3.31, "no scale": 2.57}
""",
    ),
    Mutant(
        "strings",
        task="table",
        says="must hold four numbers",
        code="""
table = {"trained": "1.89", "no mask": 2.46, "no positions": 2.86, "no scale": 2.03}
""",
    ),
    # ------------- written by a tester who had not seen the checks: they were accepted
    # at first, or heard no cause
    Mutant(
        "softmax first, then rows made to sum to 1, safely",
        task="attention",
        says="row 0 lost its weights",
        code=in_attention(
            GOOD_SCORES,
            """w = scores.softmax(-1)
    if mask is not None:
        w = w * mask
        w = w / (w.sum(-1, keepdim=True) + 1e-9)""",
        ),
    ),
    Mutant(
        "the largest score of all rows",
        task="attention",
        says="is that of the row",
        code=in_attention(
            GOOD_SCORES,
            """if mask is not None:
        scores = scores.masked_fill(~mask, -1e30)
    w = torch.exp(scores - scores.max())
    if mask is not None:
        w = w * mask
    w = w / w.sum(-1, keepdim=True).clamp(min=1e-20)""",
        ),
    ),
    Mutant(
        "minus 10 000 is added",
        task="attention",
        says="not low enough",
        code=in_attention(
            GOOD_SCORES,
            """if mask is not None:
        scores = scores - 1e4 * ~mask
    w = scores.softmax(-1)
    if mask is not None:
        w = w * mask.any(-1, keepdim=True)""",
        ),
    ),
    Mutant(
        "scores are cut off",
        task="attention",
        says="6000 and 3000 must stay different",
        code=in_attention(f"({GOOD_SCORES}).clamp(-60, 60)", GOOD_WEIGHTS),
    ),
    Mutant(
        "a slice that begins at -0",
        task="decoder_mask",
        says="begins at -0",
        code=CAUSAL
        + """
def padding_mask(lengths, n):
    mask = torch.ones(len(lengths), 1, 1, n, dtype=torch.bool)
    for b, length in enumerate(lengths.tolist()):
        mask[b, ..., -(n - length) :] = False
    return mask
"""
        + BOTH,
    ),
    Mutant(
        "never no token at all",
        task="decoder_mask",
        says="a length may be 0",
        code=CAUSAL + PADDING.replace("< lengths", "< lengths.clamp(min=1)") + BOTH,
    ),
    Mutant(
        "n is taken from the lengths",
        task="decoder_mask",
        says="the longest sequence may be shorter",
        code=CAUSAL + PADDING.replace("arange(n)", "arange(lengths.max())") + BOTH,
    ),
    Mutant(
        "neighbours taken, halves given back",
        task="rope",
        says="you turn neighbours",
        code=in_rope(GOOD_SPEEDS, GOOD_TURN).replace(
            "x[..., : K // 2], x[..., K // 2 :]", "x[..., 0::2], x[..., 1::2]"
        ),
    ),
    Mutant(
        "positions count from 1",
        task="rope",
        says="at position 0 nothing turns",
        code=in_rope(GOOD_SPEEDS, GOOD_TURN, "(positions[:, None] + 1) * speeds"),
    ),
    Mutant(
        "rope cut from the gradient",
        task="rope",
        says="no gradient reaches x",
        code=in_rope(GOOD_SPEEDS, GOOD_TURN).replace(
            "a, b = x", "x = x.data\n    a, b = x"
        ),
    ),
    Mutant(
        "values from x",
        task="multi_head",
        says="either keys or values come from x",
        code=SPLIT
        + MERGE
        + HEADS.replace(
            'memory @ attn["v', '(x if x.shape == memory.shape else memory) @ attn["v'
        ),
    ),
    Mutant(
        "positions counted anew",
        task="multi_head",
        says="row t stands at positions[t]",
        code=SPLIT
        + MERGE
        + HEADS.replace(", positions)\n", ", torch.arange(x.shape[1]))\n"),
    ),
    Mutant(
        "one mask for all heads",
        task="multi_head",
        says="may differ from head to head",
        code=SPLIT
        + MERGE
        + HEADS.replace(
            "v, mask)", "v, mask if mask is None or mask.ndim < 4 else mask[:, :1])"
        ),
    ),
    Mutant(
        "scaled twice",
        task="multi_head",
        says="divides by the root of K already",
        code=SPLIT
        + MERGE
        + HEADS.replace("attention(q,", "attention(q / q.shape[-1] ** 0.5,"),
    ),
    Mutant(
        "always causal",
        task="Block",
        says="None means no mask",
        code=in_block("""
        x = x + self.attend(self.attn_norm(x), causal_mask(x.shape[1]), positions)
        return x + self.feed(self.ff_norm(x))
"""),
    ),
    Mutant(
        "four heads",
        task="Block",
        says="the number of heads is self.n_heads",
        code=in_block("""
        x = x + self.attend(self.attn_norm(x), mask, positions)
        return x + self.feed(self.ff_norm(x))
""").replace("self.n_heads", "4"),
    ),
    Mutant(
        "the mask of the first call",
        task="Decoder",
        says="is the mask for T positions of this call",
        code=in_decoder(FORWARD).replace(
            "mask = causal_mask(n)",
            "self.kept = getattr(self, 'kept', causal_mask(n))\n"
            "        mask = self.kept[:n, :n]",
        ),
    ),
    Mutant(
        "the switch is read in __init__",
        task="Decoder",
        says="kept from the first call, or from __init__",
        code=in_decoder(FORWARD)
        .replace("if self.causal", "if self.kept[0]")
        .replace("if self.rotary", "if self.kept[1]")
        .replace(
            "(DecoderParameters):",
            """(DecoderParameters):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.kept = self.causal, self.rotary
""",
        ),
    ),
    Mutant(
        "causal in training alone",
        task="Decoder",
        says="must get the causal mask",
        code=in_decoder(FORWARD).replace(
            "self.causal", "self.causal and self.training"
        ),
    ),
    Mutant(
        "two blocks",
        task="Decoder",
        says="for all of self.blocks",
        code=in_decoder(FORWARD).replace("self.blocks", "self.blocks[:2]"),
    ),
    Mutant(
        "the matrix's second use cut off",
        task="Decoder",
        says="both uses have a gradient",
        code=in_decoder(FORWARD).replace("weight.T", "weight.data.T"),
    ),
    Mutant(
        "embeddings times the root of the width",
        task="Decoder",
        says="without a factor",
        code=in_decoder(FORWARD).replace("emb(ids)", "emb(ids) * math.sqrt(8)"),
    ),
    Mutant(
        "the token at 1 is left out",
        task="leaks",
        says="begin with the token at 1",
        code=in_leaks(GOOD_CHANGE, GOOD_COMPARE, start="2"),
    ),
    Mutant(
        "a tolerance of a hundredth",
        task="leaks",
        says="is the tolerance too large",
        code=in_leaks(GOOD_CHANGE, GOOD_COMPARE.replace("1e-4", "1e-2")),
    ),
    Mutant(
        "the last token's id minus the old one",
        task="leaks",
        says="may be the one that stood there already",
        code=in_leaks("other[:, t] = V - 1 - ids[:, t]", GOOD_COMPARE),
    ),
    Mutant(
        "no absolute value",
        task="leaks",
        says=".abs(), counts",
        code=in_leaks(GOOD_CHANGE, GOOD_COMPARE.replace(".abs()", "")),
    ),
    *(
        Mutant(
            f"differences: {way}",
            task="leaks",
            says="averaged, summed or squared",
            code=in_leaks(GOOD_CHANGE, GOOD_COMPARE.replace("abs().max()", how)),
        )
        for way, how in (
            ("a mean", "abs().mean()"),
            ("a sum", "sum().abs()"),
            ("squares", "square().max()"),
        )
    ),
    Mutant(
        "nan",
        task="table",
        says="does not fit your passages",
        code="""
table = {"trained": 1.89, "no mask": float("nan"), "no positions": 2.86, "no scale": 2.03}
""",
    ),
]

EQUIVALENTS = [
    Equivalent(
        "where and einsum",
        task="attention",
        code="""
def attention(q, k, v, mask=None):
    scores = torch.einsum("...tk,...sk->...ts", q, k) * q.size(-1) ** -0.5
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    mask = mask.expand_as(scores)
    low = torch.full_like(scores, -1e30)
    w = torch.where(mask, torch.softmax(torch.where(mask, scores, low), -1), 0.0)
    return torch.einsum("...ts,...sm->...tm", w, v), w
""",
    ),
    Equivalent(
        "a softmax by hand, with -inf and a safe sum",
        task="attention",
        code="""
def attention(q, k, v, mask=None):
    scores = torch.matmul(q / math.sqrt(k.shape[-1]), k.mT)
    if mask is not None:
        scores = scores.masked_fill(mask.logical_not(), -math.inf)
    top = scores.amax(-1, keepdim=True).clamp(min=-1e30)
    e = torch.exp(scores - top)
    total = e.sum(-1, keepdim=True)
    w = e / torch.where(total == 0, 1.0, total)
    return w @ v, w
""",
    ),
    Equivalent(
        "-inf, and nan set to 0 where nothing is allowed",
        task="attention",
        code="""
def attention(q, k, v, mask=None):
    scores = (q @ k.transpose(-1, -2)).div(math.sqrt(q.shape[-1]))
    if mask is None:
        w = F.softmax(scores, dim=-1)
    else:
        w = F.softmax(scores.masked_fill(mask == False, float("-inf")), dim=-1)
        w = w.masked_fill(~mask.any(-1, keepdim=True), 0.0)
    return [w @ v, w]
""",
    ),
    Equivalent(
        "an empty row gets a key and loses it again",
        task="attention",
        code="""
def attention(q, k, v, mask=None):
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is None:
        w = scores.softmax(-1)
        return w @ v, w
    empty = ~mask.any(dim=-1, keepdim=True)
    bias = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~(mask | empty), -math.inf)
    w = (scores + bias).softmax(-1).masked_fill(empty, 0)
    return w @ v, w
""",
    ),
    Equivalent(
        "comparisons",
        task="decoder_mask",
        code="""
def causal_mask(n):
    return torch.arange(n).unsqueeze(1) >= torch.arange(n).unsqueeze(0)

def padding_mask(lengths, n):
    return torch.lt(torch.arange(n), lengths.view(-1, 1, 1, 1))

def decoder_mask(lengths, n):
    t = torch.arange(n).view(n, 1)
    return (torch.arange(n) <= t) & (torch.arange(n) < lengths.view(-1, 1, 1, 1))
""",
    ),
    Equivalent(
        "lists",
        task="decoder_mask",
        code="""
def causal_mask(n):
    return torch.tensor([[s <= t for s in range(n)] for t in range(n)])

def padding_mask(lengths, n):
    rows = [[s < int(length) for s in range(n)] for length in lengths]
    return torch.tensor(rows).unsqueeze(1).unsqueeze(1)

def decoder_mask(lengths, n):
    return torch.stack([mask * causal_mask(n) for mask in padding_mask(lengths, n)])
""",
    ),
    Equivalent(
        "not the upper triangle",
        task="decoder_mask",
        code="""
def causal_mask(n):
    return ~torch.triu(torch.ones(n, n), diagonal=1).bool()

def padding_mask(lengths, n):
    mask = torch.zeros(len(lengths), 1, 1, n, dtype=torch.bool)
    for b, length in enumerate(lengths):
        mask[b, ..., :length] = True
    return mask

def decoder_mask(lengths, n):
    return torch.logical_and(causal_mask(n)[None, None], padding_mask(lengths, n))
""",
    ),
    Equivalent(
        "complex numbers",
        task="rope",
        code="""
def rope(x, positions):
    half = x.shape[-1] // 2
    pairs = torch.complex(x[..., :half], x[..., half:])
    speeds = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.outer(positions.double(), speeds)
    turned = pairs * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], dim=-1).to(x.dtype)
""",
    ),
    Equivalent(
        "a swapped copy and whole tables",
        task="rope",
        code="""
def rope(x, positions):
    K = x.size(-1)
    speeds = 1.0 / (10000 ** (torch.arange(0, K, 2).float() / K))
    angles = torch.outer(positions.float(), speeds)
    angles = torch.cat((angles, angles), dim=-1).to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat((-second, first), dim=-1) * angles.sin()
""",
    ),
    Equivalent(
        "pair by pair",
        task="rope",
        code="""
def rope(x, positions):
    out, half = x.clone(), x.shape[-1] // 2
    for row, t in enumerate(positions.tolist()):
        for i in range(half):
            phi = t * 10000 ** (-i / half)
            a, b = x[..., row, i], x[..., row, i + half]
            out[..., row, i] = a * math.cos(phi) - b * math.sin(phi)
            out[..., row, i + half] = b * math.cos(phi) + a * math.sin(phi)
    return out
""",
    ),
    Equivalent(
        "chunks and a loop over heads",
        task="multi_head",
        code="""
def split_heads(x, n_heads):
    return torch.stack(x.chunk(n_heads, dim=-1), dim=1)

def merge_heads(h):
    return torch.cat(list(h.unbind(dim=1)), dim=-1)

def multi_head(x, memory, attn, n_heads, mask=None, positions=None):
    K = x.shape[-1] // n_heads
    found = []
    for i in range(n_heads):
        rows = slice(i * K, (i + 1) * K)
        q = x @ attn["q_proj"][rows].T
        k = memory @ attn["k_proj"][rows].T
        v = memory @ attn["v_proj"][rows].T
        if positions is not None:
            q, k = rope(q, positions), rope(k, positions)
        here = mask
        if mask is not None:
            here = mask.expand(len(x), n_heads, x.shape[1], memory.shape[1])[:, i]
        found.append(attention(q, k, v, here)[0])
    return torch.cat(found, dim=-1) @ attn["out_proj"].T
""",
    ),
    Equivalent(
        "F.linear and permute",
        task="multi_head",
        code="""
def split_heads(x, n_heads):
    B, T, D = x.shape
    return x.reshape(B, T, n_heads, -1).permute(0, 2, 1, 3).contiguous()

def merge_heads(h):
    B, H, T, K = h.shape
    return h.permute(0, 2, 1, 3).contiguous().view(B, T, -1)

def multi_head(x, memory, attn, n_heads, mask=None, positions=None):
    parts = [F.linear(x, attn["q_proj"])]
    parts += [F.linear(memory, attn[name]) for name in ("k_proj", "v_proj")]
    q, k, v = (split_heads(part, n_heads) for part in parts)
    if positions is not None:
        q, k = rope(q, positions), rope(k, positions)
    output, weights = attention(q, k, v, mask)
    return F.linear(merge_heads(output), attn["out_proj"])
""",
    ),
    Equivalent(
        "einsum",
        task="multi_head",
        code="""
def split_heads(x, n_heads):
    return x.view(*x.shape[:2], n_heads, x.shape[2] // n_heads).swapaxes(1, 2)

def merge_heads(h):
    return h.swapaxes(1, 2).flatten(start_dim=2)

def multi_head(x, memory, attn, n_heads, mask=None, positions=None):
    q = split_heads(torch.einsum("btd,ed->bte", x, attn["q_proj"]), n_heads)
    k = split_heads(torch.einsum("bsd,ed->bse", memory, attn["k_proj"]), n_heads)
    v = split_heads(torch.einsum("bsd,ed->bse", memory, attn["v_proj"]), n_heads)
    if positions is not None:
        q, k = (rope(part, positions) for part in (q, k))
    h = merge_heads(attention(q, k, v, mask)[0])
    return torch.einsum("btd,ed->bte", h, attn["out_proj"])
""",
    ),
    Equivalent(
        "methods",
        task="Block",
        code=in_block("""
        x = x + self.attend(self.attn_norm(x), mask, positions)
        return x + self.feed(self.ff_norm(x))
"""),
    ),
    Equivalent(
        "two names",
        task="Block",
        code=in_block("""
        a = self.attn_norm(x)
        h = multi_head(a, a, self.attn, self.n_heads, mask=mask, positions=positions)
        h = h + x
        b = self.ff_norm(h)
        inner = F.linear(b, self.ff["gate_proj"])
        inner = inner * torch.sigmoid(inner) * F.linear(b, self.ff["in_proj"])
        return F.linear(inner, self.ff["out_proj"]) + h
"""),
    ),
    Equivalent(
        "in place on a copy",
        task="Block",
        code=in_block("""
        h = x.clone()
        h += self.attend(self.attn_norm(x), mask, positions)
        y = h.clone()
        y += self.feed(self.ff_norm(h))
        return y
"""),
    ),
    Equivalent(
        "keywords and F.linear",
        task="Decoder",
        code=in_decoder("""
        T = ids.size(1)
        extra = {}
        if self.causal:
            extra["mask"] = causal_mask(T)
        if self.rotary:
            extra["positions"] = torch.arange(T)
        h = self.tok_emb(ids)
        for block in self.blocks:
            h = block(h, **extra)
        return F.linear(self.final_norm(h), self.tok_emb.weight)
"""),
    ),
    Equivalent(
        "an open mask where none is needed",
        task="Decoder",
        code=in_decoder("""
        n = ids.shape[1]
        mask = torch.ones(n, n, dtype=torch.bool)
        if self.causal:
            mask = mask & causal_mask(n)
        x = self.tok_emb.weight[ids]
        for i in range(len(self.blocks)):
            x = self.blocks[i](x, mask, torch.arange(n) if self.rotary else None)
        return torch.einsum("btd,vd->btv", self.final_norm(x), self.tok_emb.weight)
"""),
    ),
    Equivalent(
        "masks for each sequence",
        task="Decoder",
        code=in_decoder("""
        B, n = ids.shape
        mask = decoder_mask(torch.full((B,), n), n) if self.causal else None
        positions = torch.arange(n) if self.rotary else None
        x = self.tok_emb(ids)
        for block in self.blocks:
            x = block(x, mask, positions)
        return self.final_norm(x).matmul(self.tok_emb.weight.t())
"""),
    ),
    Equivalent(
        "all later tokens at once",
        task="leaks",
        code="""
def leaks(model, ids):
    before = model(ids)
    for t in range(ids.shape[1] - 1):
        other = ids.clone()
        other[:, t + 1 :] = (other[:, t + 1 :] + 7) % before.shape[2]
        after = model(other)
        if not torch.allclose(before[:, : t + 1], after[:, : t + 1], atol=1e-4):
            return True
    return False
""",
    ),
    Equivalent(
        "the text cut off",
        task="leaks",
        code="""
def leaks(model, ids):
    whole = model(ids)
    gaps = [
        (model(ids[:, :n]) - whole[:, :n]).abs().max().item()
        for n in range(1, ids.shape[1])
    ]
    return max(gaps, default=0.0) > 1e-4
""",
    ),
    Equivalent(
        "random other tokens, in one batch",
        task="leaks",
        code="""
@torch.no_grad()
def leaks(model, ids):
    ids = ids[:1]
    T = ids.shape[1]
    before = model(ids)
    others = ids.repeat(T, 1)
    places = torch.arange(T)
    shift = torch.randint(1, before.shape[-1], (T,))
    others[places, places] = (others[places, places] + shift) % before.shape[-1]
    moved = (model(others) - before).abs().amax(-1) > 1e-4
    return (moved & (places < places[:, None])).any()
""",
    ),
    Equivalent(
        "ints and more digits",
        task="table",
        code="""
table = {"no scale": 2.0293, "trained": 1.889, "no mask": 2.4617, "no positions": 2.86}
""",
    ),
    # ----------------------- written by a tester who had not seen the checks
    Equivalent(
        "nan set to 0 before any gradient can meet it",
        task="attention",
        code=in_attention(
            GOOD_SCORES, MINUS_INF.replace("softmax(-1)", "softmax(-1).nan_to_num()")
        ),
    ),
    Equivalent(
        "row by row",
        task="attention",
        code="""
def attention(q, k, v, mask=None):
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    mask = (torch.tensor(True) if mask is None else mask).expand(scores.shape)
    rows = []
    for row, allowed in zip(scores.flatten(0, -2), mask.flatten(0, -2)):
        new = torch.zeros_like(row)
        if allowed.any():
            new = new.index_put((allowed.nonzero()[:, 0],), row[allowed].softmax(0))
        rows.append(new)
    w = torch.stack(rows).reshape(scores.shape)
    return w @ v, w
""",
    ),
    Equivalent(
        "positions count from 1, which no scores notice",
        task="Decoder",
        code=in_decoder(FORWARD).replace("arange(n)", "arange(1, n + 1)"),
    ),
    Equivalent(
        "sequence by sequence, in lists",
        task="leaks",
        code="""
def leaks(model, ids):
    for row in ids.tolist():
        before = model(torch.tensor([row]))[0]
        for t in range(len(row)):
            other = [*row[:t], (row[t] - 1) % before.shape[-1], *row[t + 1 :]]
            moved = (model(torch.tensor([other]))[0] - before).abs().amax(-1)
            if any(far > 1e-4 for far in moved[:t].tolist()):
                return True
    return False
""",
    ),
]
