"""The pairs of the benchmark table: what is measured, and beside which library.

Each function below makes one runner's work: it loads and prepares everything, and
returns what is timed. Sizes are those of the course.
"""

import base64
import itertools
import os
import pickle
from collections.abc import Callable

os.environ["RAYON_NUM_THREADS"] = "1"  # before `tokenizers` starts its threads
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
from bench_decoding import load_ours as load_smollm2
from bench_decoding import make_peer as smollm2_of_transformers
from bench_decoding import write
from bench_gpt_step import make as make_gpt_step
from bench_ngram import ORDER, nltk_model, nltk_scores
from bench_tokenizers import train_library
from side_by_side import Pair, Work
from torch import Tensor, nn

from lmcore.assets import fetch
from lmcore.attention import Attention
from lmcore.data import (
    batches,
    course_corpus,
    movie_sentences,
    next_token_pairs,
)
from lmcore.data.corpora import python_reference, shakespeare
from lmcore.models.ngram import NGram
from lmcore.models.ngram_counts import NGramCounts
from lmcore.models.word2vec import Word2Vec, Word2VecConfig
from lmcore.models.word_corpus import split_sentences
from lmcore.objectives import masked_tokens
from lmcore.optim import AdamW
from lmcore.pretrained import embed_sentences, load_minilm
from lmcore.rnn import Recurrent
from lmcore.tokenizers import ByteBPETokenizer, WordPieceTokenizer
from lmcore.tokenizers.patterns import GPT2
from lmcore.transformer import Block

B, T, D, H = 32, 128, 128, 4


# ------------------------------------------------------------------ what must agree
def equal(results: dict[str, object]) -> None:
    """All runners returned the same."""
    first, *others = results.values()
    for other in others:
        assert first == other, "the runners' results differ"


def close(results: dict[str, object]) -> None:
    """All runners returned the same tensors, up to float32."""
    first, *others = results.values()
    for other in others:
        for a, b in zip(first, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def close_where_known(results: dict[str, object]) -> None:
    """Log probabilities agree but for bytes never seen: there ours knows 256 bytes."""
    ours, theirs = (result[0] for result in results.values())
    known = ours > -20
    assert known.float().mean() > 0.99
    torch.testing.assert_close(ours[known], theirs[known], rtol=1e-4, atol=1e-4)


def of_one_shape(results: dict[str, object]) -> None:
    """All runners returned tensors of the same shapes, filled by chance."""
    shapes = {tuple(x.shape for x in result) for result in results.values()}
    assert len(shapes) == 1, f"shapes differ: {shapes}"


def similar_losses(results: dict[str, object]) -> None:
    """Two models of one kind and other first weights: losses within 10 %."""
    assert max(results.values()) < 1.1 * min(results.values()), results


# ----------------------------------------------------------------- training a GPT
def gpt_step(runner: str) -> Callable[[], Work]:
    return lambda: make_gpt_step(runner)[1]


def adamw(make: Callable) -> Callable[[], Work]:
    def build() -> Work:
        torch.manual_seed(0)
        shapes = [(4096, D), (T, D)] + 4 * [(3 * D, D), (D, D), (4 * D, D), (D, 4 * D)]
        params = [nn.Parameter(torch.randn(shape)) for shape in shapes]
        for p in params:
            p.grad = torch.randn_like(p)
        optimizer = make(params, lr=1e-3, weight_decay=0.1)

        def step() -> list[Tensor]:
            optimizer.step()
            return [p.detach() for p in params]

        return step

    return build


def fused_adamw(params, **options):
    return torch.optim.AdamW(params, fused=True, **options)


# ------------------------------------------------------------------------- layers
def forward_backward(module: nn.Module, run: Callable[[Tensor], Tensor]) -> Work:
    """One pass there and back; the output and the gradient of the input."""
    torch.manual_seed(0)
    x = torch.randn(B, T, D).requires_grad_()

    def work() -> tuple[Tensor, Tensor]:
        module.zero_grad()
        x.grad = None
        y = run(x)
        y.square().mean().backward()
        return y.detach(), x.grad

    return work


def our_attention() -> Work:
    torch.manual_seed(0)
    layer = Attention(D, H)
    return forward_backward(layer, lambda x: layer(x, causal=True))


def torch_attention() -> Work:
    torch.manual_seed(0)
    ours, theirs = Attention(D, H), nn.MultiheadAttention(D, H, batch_first=True)
    projections = (ours.q_proj, ours.k_proj, ours.v_proj)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        theirs.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
    theirs.out_proj.load_state_dict(ours.out_proj.state_dict())
    mask = torch.ones(T, T, dtype=torch.bool).triu(1)  # there True = may not attend

    def run(x: Tensor) -> Tensor:
        return theirs(x, x, x, need_weights=False, attn_mask=mask, is_causal=True)[0]

    return forward_backward(theirs, run)


def our_block() -> Work:
    torch.manual_seed(0)
    block = Block(D, H, 4 * D, ff="gelu")
    return forward_backward(block, lambda x: block(x))


def torch_block() -> Work:
    torch.manual_seed(0)
    ours = Block(D, H, 4 * D, ff="gelu")
    theirs = nn.TransformerEncoderLayer(
        D, H, 4 * D, 0.0, "gelu", batch_first=True, norm_first=True
    )
    projections = (ours.attn.q_proj, ours.attn.k_proj, ours.attn.v_proj)
    with torch.no_grad():
        attn = theirs.self_attn
        attn.in_proj_weight.copy_(torch.cat([p.weight for p in projections]))
        attn.in_proj_bias.copy_(torch.cat([p.bias for p in projections]))
    for module, source in (
        (theirs.self_attn.out_proj, ours.attn.out_proj),
        (theirs.norm1, ours.attn_norm),
        (theirs.norm2, ours.ff_norm),
        (theirs.linear1, ours.ff.in_proj),
        (theirs.linear2, ours.ff.out_proj),
    ):
        module.load_state_dict(source.state_dict())
    return forward_backward(theirs, theirs)


def our_lstm(fused: bool) -> Callable[[], Work]:
    def build() -> Work:
        torch.manual_seed(0)
        lstm = Recurrent("lstm", D, D, 2, fused=fused)
        return forward_backward(lstm, lambda x: lstm(x).output)

    return build


def torch_lstm() -> Work:
    torch.manual_seed(0)
    ours, theirs = Recurrent("lstm", D, D, 2), nn.LSTM(D, D, 2, batch_first=True)
    for layer, cell in enumerate(ours.cells):
        for name, weight in cell.named_parameters():
            getattr(theirs, f"{name}_l{layer}").data.copy_(weight.data)
    return forward_backward(theirs, lambda x: theirs(x)[0])


# -------------------------------------------------------------- published models
def smollm2(runner: str) -> Callable[[], Work]:
    def build() -> Work:
        model = load_smollm2("lmcore" if runner == "transformers" else runner)[0]
        if runner == "transformers":
            model = smollm2_of_transformers(model)
        ids = list(range(1000, 1032))
        return lambda: write(runner, model, ids, 32)

    return build


def best_tokens_agree(results: dict[str, object]) -> None:
    """Greedy continuations begin alike (rounded weights may part later)."""
    assert len({tuple(ids[:4]) for ids in results.values()}) == 1, results


def sentences() -> list[str]:
    return movie_sentences().test.texts[:256]


def our_minilm() -> Work:
    model, tokenizer = load_minilm()
    texts = sentences()
    return lambda: embed_sentences(model, tokenizer, texts)


def transformers_minilm() -> Work:
    import tokenizers
    import transformers

    ours, _ = load_minilm()
    c = ours.config
    config = transformers.BertConfig(
        vocab_size=c.vocab_size,
        hidden_size=c.d_model,
        num_hidden_layers=c.n_layers,
        num_attention_heads=c.n_heads,
        intermediate_size=c.d_ff,
        max_position_embeddings=c.max_seq_len,
        layer_norm_eps=c.norm_eps,
    )
    folder = fetch("minilm")
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    model.load_state_dict(published_weights(folder))
    tokenizer = tokenizers.BertWordPieceTokenizer(str(folder / "vocab.txt"))
    texts = sentences()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))

    @torch.no_grad()
    def work() -> Tensor:
        vectors = torch.empty(len(texts), c.d_model)
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            found = tokenizer.encode_batch([texts[i] for i in rows])
            length = max(len(one.ids) for one in found)
            for one in found:
                one.pad(length)
            ids = torch.tensor([one.ids for one in found])
            mask = torch.tensor([one.attention_mask for one in found])
            h = model(input_ids=ids, attention_mask=mask).last_hidden_state
            pooled = (h * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
            vectors[rows] = nn.functional.normalize(pooled, dim=-1)
        return vectors

    return work


def published_weights(folder) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    return {
        name: w
        for name, w in weights.items()
        if not name.startswith("pooler") and "position_ids" not in name
    }


# ------------------------------------------------------------------- tokenizers
def merges(library: bool) -> Callable[[], Work]:
    texts = list(python_reference().parts.values())

    def ours() -> int:
        return ByteBPETokenizer.train(texts, 1_256).vocab_size

    def theirs() -> int:
        train_library(texts, 1_000)
        return 1_256

    return lambda: theirs if library else ours


def bpe(runner: str) -> Callable[[], Work]:
    """GPT-2's vocabulary on the plays; every round meets the text as new."""

    def build() -> Work:
        texts = list(shakespeare().parts.values())
        path = fetch("gpt2-ranks")
        if runner == "tiktoken":
            import tiktoken

            lines = [line.split() for line in path.read_bytes().splitlines()]
            ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
            rust = tiktoken.Encoding(
                "g", pat_str=GPT2, mergeable_ranks=ranks, special_tokens={}
            )
            return lambda: rust.encode_ordinary_batch(texts, num_threads=1)
        fresh = pickle.dumps(ByteBPETokenizer.from_ranks(path))
        if runner == "tokenizers":
            from lmcore.tokenizers.fast import FastBPETokenizer

            fast = FastBPETokenizer(pickle.loads(fresh))
            return lambda: fast.encode_batch(texts)
        return lambda: pickle.loads(fresh).encode_batch(texts)

    return build


def wordpiece(library: bool) -> Callable[[], Work]:
    def build() -> Work:
        texts = list(python_reference().parts.values())
        path = fetch("bert-uncased-vocab")
        if library:
            import tokenizers

            peer = tokenizers.BertWordPieceTokenizer(str(path), lowercase=True)
            options = {"add_special_tokens": False}
            return lambda: [e.ids for e in peer.encode_batch(texts, **options)]
        fresh = pickle.dumps(WordPieceTokenizer.from_vocab(path))
        return lambda: pickle.loads(fresh).encode_batch(texts)

    return build


# ------------------------------------------------------------------------ counting
def count_ngrams(library: bool) -> Callable[[], Work]:
    def build() -> Work:
        from nltk.lm import NgramCounter
        from nltk.util import everygrams

        text = course_corpus().train.encode()[:200_000]
        if not library:
            return lambda: len(NGramCounts(text, ORDER).levels)
        names = [chr(byte) for byte in text]

        def work() -> int:
            NgramCounter([everygrams(names, max_len=ORDER)])
            return ORDER

        return work

    return build


def score_ngrams(library: bool) -> Callable[[], Work]:
    def build() -> Work:
        from nltk.lm import WittenBellInterpolated

        splits = course_corpus()
        train, test = splits.train.encode()[:100_000], splits.test.encode()[:2_000]
        if library:
            peer = nltk_model(WittenBellInterpolated, train)
            return lambda: [torch.tensor(nltk_scores(peer, test)).log().double()]
        ours = NGram.train(train, ORDER, smoothing="witten_bell")
        return lambda: [torch.as_tensor(ours.log_probs(test))]

    return build


def skip_gram(library: bool) -> Callable[[], Work]:
    def build() -> Work:
        texts = split_sentences(shakespeare().text)[:20_000]
        if library:
            from gensim.models import Word2Vec as GensimWord2Vec

            def theirs() -> list[Tensor]:
                model = GensimWord2Vec(texts, sg=1, epochs=1, workers=1)
                return [torch.as_tensor(model.wv.vectors)]

            return theirs
        config = Word2VecConfig(n_epochs=1)  # gensim's settings are our defaults
        return lambda: [torch.as_tensor(Word2Vec.train(texts, config).vectors().matrix)]

    return build


# ---------------------------------------------------------------------------- data
def rows_of_ids() -> tuple[Tensor, Tensor]:
    ids = torch.tensor(list(course_corpus().train.encode()[:1_000_000]))
    return next_token_pairs(ids, T)


def our_batches() -> Work:
    pairs = rows_of_ids()

    def work() -> tuple[Tensor, ...]:
        *_, last = itertools.islice(batches(*pairs, batch_size=B, seed=0), 200)
        return last

    return work


def torch_batches() -> Work:
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(*rows_of_ids())
    loader = DataLoader(data, batch_size=B, shuffle=True, drop_last=True)

    def work() -> tuple[Tensor, ...]:
        *_, last = itertools.islice(loader, 200)
        return tuple(last)

    return work


def our_masking() -> Work:
    tokenizer = WordPieceTokenizer.from_vocab(fetch("bert-uncased-vocab"))
    ids, special = film_rows(tokenizer)
    generator = torch.Generator().manual_seed(0)
    return lambda: masked_tokens(
        ids,
        mask_id=tokenizer.mask_id,
        special_ids=special,
        vocab_size=tokenizer.vocab_size,
        generator=generator,
    )


def transformers_masking() -> Work:
    import transformers

    path = fetch("bert-uncased-vocab")
    ids, _ = film_rows(WordPieceTokenizer.from_vocab(path))
    vocabulary = path.read_text(encoding="utf-8").split("\n")
    vocabulary = {token: i for i, token in enumerate(filter(None, vocabulary))}
    tokenizer = transformers.BertTokenizer(vocab=vocabulary)
    collate = transformers.DataCollatorForLanguageModeling(tokenizer)

    def work() -> tuple[Tensor, ...]:
        found = collate.torch_mask_tokens(ids.clone())
        return tuple(found)

    return work


def film_rows(tokenizer: WordPieceTokenizer) -> tuple[Tensor, list[int]]:
    """Film sentences between [CLS] and [SEP], and the ids never to be hidden."""
    texts = movie_sentences().train.texts[:64]
    return tokenizer.batch(texts, max_seq_len=64).ids, list(tokenizer.special_ids)


PAIRS = {
    "GPT training step": Pair(
        "forward, loss, backward, AdamW; 4 layers, D 128, 32 x 128 tokens",
        {name: gpt_step(name) for name in ("lmcore", "transformers")},
        similar_losses,
    ),
    "AdamW": Pair(
        "one step over 1.3 M parameters",
        {
            "lmcore": adamw(AdamW),
            "torch": adamw(torch.optim.AdamW),
            "torch, fused": adamw(fused_adamw),
        },
        close,
        calls=20,
    ),
    "Attention": Pair(
        "causal, forward and backward, 4 heads, 32 x 128 x 128",
        {"lmcore": our_attention, "torch": torch_attention},
        close,
        calls=5,
    ),
    "Transformer block": Pair(
        "pre-norm, GELU, forward and backward, 32 x 128 x 128",
        {"lmcore": our_block, "torch": torch_block},
        close,
        calls=3,
    ),
    "LSTM": Pair(
        "2 layers, forward and backward, 32 x 128 x 128",
        {
            "lmcore": our_lstm(False),
            "lmcore, fused": our_lstm(True),
            "torch": torch_lstm,
        },
        close,
    ),
    "SmolLM2 writes": Pair(
        "32 tokens behind 32, greedily, float32 unless stated",
        {
            name: smollm2(name)
            for name in (
                "lmcore",
                "lmcore, fused",
                "lmcore, float16 weights",
                "transformers",
            )
        },
        best_tokens_agree,
    ),
    "MiniLM embeds": Pair(
        "256 film sentences, tokenization included",
        {"lmcore": our_minilm, "transformers": transformers_minilm},
        close,
    ),
    "BPE training": Pair(
        "1,000 merges on 467 kB of Python's reference",
        {"lmcore": merges(False), "tokenizers": merges(True)},
        equal,
    ),
    "BPE encoding": Pair(
        "GPT-2's vocabulary, 5.1 MB of Shakespeare, each word new",
        {name: bpe(name) for name in ("lmcore", "tokenizers", "tiktoken")},
        equal,
    ),
    "WordPiece encoding": Pair(
        "BERT's vocabulary, 467 kB of Python's reference, each word new",
        {"lmcore": wordpiece(False), "tokenizers": wordpiece(True)},
        equal,
    ),
    "n-gram counts": Pair(
        "all n-grams up to 5 of 200 kB",
        {"lmcore": count_ngrams(False), "nltk": count_ngrams(True)},
        equal,
    ),
    "n-gram scores": Pair(
        "2,000 bytes by a Witten-Bell 5-gram of 100 kB",
        {"lmcore": score_ngrams(False), "nltk": score_ngrams(True)},
        close_where_known,
    ),
    "Skip-gram": Pair(
        "word2vec, one epoch over 20,000 sentences of Shakespeare",
        {"lmcore": skip_gram(False), "gensim": skip_gram(True)},
        of_one_shape,
    ),
    "Batches": Pair(
        "200 shuffled batches of 32 x 128 tokens",
        {"lmcore": our_batches, "torch": torch_batches},
        of_one_shape,
    ),
    "Masking": Pair(
        "64 x 64 tokens, 15 % chosen, 80/10/10",
        {"lmcore": our_masking, "transformers": transformers_masking},
        of_one_shape,
        calls=20,
    ),
}
