"""Published weights in the modules of this course.

    model, tokenizer = load_smollm2()      a chat model (Llama-style GPT)
    model, tokenizer = load_minilm()       a sentence encoder (BERT)
    model, tokenizer = load_gpt2()         GPT-2, from the Hugging Face hub
    model, tokenizer = load_bert()         BERT with its MLM head, likewise
    model = load_checkpoint(folder)        any GPT-2, Llama, BERT or DistilBERT

Each model's file says what had to be renamed, turned or put into another order.
"""

from lmcore.pretrained.chat import chat_prompt, encode_chat
from lmcore.pretrained.checkpoint import load_bert, load_checkpoint, load_gpt2
from lmcore.pretrained.hub import fetch_checkpoint
from lmcore.pretrained.loaded import Loaded
from lmcore.pretrained.minilm import embed_sentences, load_minilm
from lmcore.pretrained.smollm2 import load_gguf, load_smollm2

__all__ = [
    "Loaded",
    "chat_prompt",
    "embed_sentences",
    "encode_chat",
    "fetch_checkpoint",
    "load_bert",
    "load_checkpoint",
    "load_gguf",
    "load_gpt2",
    "load_minilm",
    "load_smollm2",
]
