"""all-MiniLM-L6-v2: a published encoder that turns sentences into vectors.

A BERT of 6 layers, distilled from a larger one and then trained on a billion pairs of
sentences, so that those that belong together get vectors of a small angle. A sentence's
vector is the mean of its tokens' hidden states, scaled to length 1: the product of two
such vectors is their cosine.

References:
    Wang et al., 2020, "MiniLM", section 3. Reimers and Gurevych, 2019, "Sentence-BERT",
    section 3 (mean pooling). The model card of sentence-transformers/all-MiniLM-L6-v2.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lmcore.assets import fetch
from lmcore.config import require
from lmcore.models.bert import Bert, mean_pool
from lmcore.pretrained.checkpoint import load_checkpoint
from lmcore.pretrained.loaded import Loaded
from lmcore.tokenizers import WordPieceTokenizer

MAX_TOKENS = 256  # the model card's limit (it was trained on at most 128)


def load_minilm(
    dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Loaded:
    """all-MiniLM-L6-v2 as a ``Bert``, with its WordPiece tokenizer.

    Args:
        dtype: Of the weights. float32 takes 91 MB.
        device: Where the model shall lie.

    Raises:
        AssetError: If the files are not there and cannot be fetched.
    """
    folder = fetch("minilm")
    model = load_checkpoint(folder, dtype, device)
    return Loaded(model, WordPieceTokenizer.from_vocab(folder / "vocab.txt"))


@torch.no_grad()
def embed_sentences(
    model: Bert,
    tokenizer: WordPieceTokenizer,
    sentences: Sequence[str],
    batch_size: int = 32,
) -> Float[Tensor, "N D"]:
    """One vector of length 1 per sentence.

    Sentences of similar length are computed together, so that little is padded.

    Args:
        model: A ``Bert``, such as MiniLM's.
        tokenizer: Its tokenizer.
        sentences: At least one; longer ones are cut after 256 tokens.
        batch_size: Sentences computed together.

    Raises:
        ValueError: If there is no sentence.
    """
    require(len(sentences) > 0, "sentences", sentences, "hold at least one sentence")
    require(batch_size >= 1, "batch_size", batch_size, "be >= 1")
    device = model.tok_emb.weight.device
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    vectors = torch.empty(len(sentences), model.config.d_model, device=device)
    vectors = vectors.to(model.tok_emb.weight.dtype)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = tokenizer.batch([sentences[i] for i in rows], max_seq_len=MAX_TOKENS)
        mask = batch.mask.to(device)
        hidden = model(batch.ids.to(device), mask)  # (B, T, D)
        vectors[rows] = mean_pool(hidden, mask)
    return torch.nn.functional.normalize(vectors, dim=-1)
