"""From a model that scores the next token to a text: decoding.

- ``logits``: the rules by which a token is chosen, one pure function each;
- ``sampling``: their order, as a configuration;
- ``readers``: a model reads token after token, with a KV cache or without;
- ``decode``: the loop, for ids; ``text``: the same for text, piece by piece;
- ``beam``: beam search, for decoders and for encoder-decoders;
- ``fuse``, ``fast_linear``: the same GPT, faster on a CPU.
"""

from lmcore.generate.beam import Beam, beam_search, generate_beams
from lmcore.generate.decode import generate, stream
from lmcore.generate.fuse import fuse_for_inference
from lmcore.generate.logits import (
    draw,
    keep_top_k,
    keep_top_p,
    penalise_repeats,
    with_temperature,
)
from lmcore.generate.sampling import Sampling
from lmcore.generate.text import generate_text, generate_texts, stream_text

__all__ = [
    "Beam",
    "Sampling",
    "beam_search",
    "draw",
    "fuse_for_inference",
    "generate",
    "generate_beams",
    "generate_text",
    "generate_texts",
    "keep_top_k",
    "keep_top_p",
    "penalise_repeats",
    "stream",
    "stream_text",
    "with_temperature",
]
