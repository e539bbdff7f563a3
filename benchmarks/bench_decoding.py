"""How fast does a published model write? lmcore beside `transformers`, in turn.

    python benchmarks/bench_decoding.py

SmolLM2-135M-Instruct continues one prompt greedily, batch 1. Writes
results/bench_decoding.json.

Everything runs in this process, several rounds, each runner in each round. On one
thread (the default) times are processor time, which other programs on the machine
disturb less than the clock on the wall; with --threads above 1 they are wall time. A
ratio is the time of `transformers` / our time of the same round: above 1 we are faster.
Peak memory is that of a process of its own which loads the model and writes the text.

What rounded weights do to the scores is measured on the text that the model itself
wrote, step by step through the cache: the mean Kullback-Leibler divergence from the
full model in nats, the largest change of a logit, the share of positions with the same
best token.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from side_by_side import own_peak_mib

from lmcore.course.notebooks import describe_machine
from lmcore.generate import fuse_for_inference, generate
from lmcore.pretrained import encode_chat, load_smollm2

PATH = Path(__file__).parents[1] / "results" / "bench_decoding.json"
QUESTION = "Tell me a long story about a ship."
PEER = "transformers"
WEIGHTS = {  # runner: number format it loads, fuse_for_inference's weights
    "lmcore": (torch.float32, None),
    "lmcore, fused": (torch.float32, "full"),
    "lmcore, float16 weights": (torch.float32, "float16"),
    "lmcore, int8 weights": (torch.float32, "int8"),
    "lmcore, all in bfloat16": (torch.bfloat16, None),
}
NAMES = {  # a part of our name: of theirs
    "tok_emb": "model.embed_tokens",
    "blocks.": "model.layers.",
    ".attn.out_proj": ".self_attn.o_proj",
    ".attn.": ".self_attn.",
    ".ff.gate_proj": ".mlp.gate_proj",
    ".ff.in_proj": ".mlp.up_proj",
    ".ff.out_proj": ".mlp.down_proj",
    ".attn_norm": ".input_layernorm",
    ".ff_norm": ".post_attention_layernorm",
    "final_norm": "model.norm",
}


def load_ours(runner: str):
    dtype, weights = WEIGHTS[runner]
    model, tokenizer = load_smollm2(dtype)
    return (fuse_for_inference(model, weights) if weights else model), tokenizer


def make_peer(model):
    """The same weights in their class; the tensors are shared."""
    import transformers

    c = model.config
    config = transformers.LlamaConfig(
        vocab_size=c.vocab_size,
        hidden_size=c.d_model,
        intermediate_size=c.ff_width,
        num_hidden_layers=c.n_layers,
        num_attention_heads=c.n_heads,
        num_key_value_heads=c.kv_heads,
        max_position_embeddings=c.max_seq_len,
        rms_norm_eps=c.norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": c.rope_base},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    peer = transformers.LlamaForCausalLM(config)
    weights = {}
    for name, tensor in model.state_dict().items():
        for ours, theirs in NAMES.items():
            name = name.replace(ours, theirs)
        weights[name] = tensor
    peer.load_state_dict(weights, assign=True)
    peer.tie_weights()
    return peer.eval()


def write(runner: str, model, ids: list[int], n: int) -> list[int]:
    """Continue the prompt by exactly n tokens."""
    if runner != PEER:
        return generate(model, [ids], n)[0]
    given = torch.tensor([ids])
    out = model.generate(
        given,
        attention_mask=torch.ones_like(given),
        max_new_tokens=n,
        min_new_tokens=n,
        do_sample=False,
    )
    return out[0, len(ids) :].tolist()


def measure_memory(runner: str, folder: str, ids: list[int], n: int) -> float:
    """Peak memory in MiB of a fresh process that does one runner's work."""
    command = [sys.executable, __file__, "--only", runner, "--folder", folder]
    command += ["--ids", json.dumps(ids), "--tokens", str(n)]
    command += ["--threads", str(torch.get_num_threads())]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(out.splitlines()[-1])


def only(runner: str, folder: str, ids: list[int], n: int) -> None:
    if runner == PEER:
        import transformers

        model = transformers.LlamaForCausalLM.from_pretrained(folder)
    else:
        model, _ = load_ours(runner)
    write(runner, model, ids, n)
    print(own_peak_mib())


@torch.inference_mode()
def step_by_step(model, ids: list[int]) -> torch.Tensor:
    cache = model.new_cache(1, len(ids))
    steps = [model(torch.tensor([[i]]), None, cache)[0].float() for i in ids]
    return torch.cat(steps)  # (T, V)


def effect(model, expected: torch.Tensor, ids: list[int]) -> dict:
    """What another number format does to the scores."""
    found = step_by_step(model, ids)
    p, q = expected.log_softmax(-1), found.log_softmax(-1)
    same = (found.argmax(-1) == expected.argmax(-1)).float().mean()
    return {
        "kl_nats": float(f"{(p.exp() * (p - q)).sum(-1).mean():.2g}"),
        "largest_logit_change": float(f"{(found - expected).abs().max():.2g}"),
        "same_best_token": round(float(same), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--beside", default="", help="what else ran on the machine")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--ids", help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.only:
        only(args.only, args.folder, json.loads(args.ids), args.tokens)
        return
    load = [round(x, 1) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None
    clock = time.process_time if args.threads == 1 else time.perf_counter
    models = {}
    for runner in WEIGHTS:
        models[runner], tokenizer = load_ours(runner)
    models[PEER] = make_peer(models["lmcore"])
    ids = encode_chat(tokenizer, [{"role": "user", "content": QUESTION}])
    text = write("lmcore", models["lmcore"], ids, args.tokens)  # warms up, too
    for runner, model in models.items():
        out = write(runner, model, ids, min(16, args.tokens))
        if runner in ("lmcore, fused", PEER):
            assert out == text[:16], f"{runner} writes another text"
    seconds: dict[str, list[float]] = {runner: [] for runner in models}
    for _ in range(args.rounds):
        for runner, model in models.items():
            start = clock()
            write(runner, model, ids, args.tokens)
            seconds[runner].append(clock() - start)
    read = ids + text
    expected = step_by_step(models["lmcore"], read)
    measured: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        models[PEER].save_pretrained(folder)
        for runner in models:
            ratios = sorted(
                theirs / ours
                for theirs, ours in zip(seconds[PEER], seconds[runner], strict=True)
            )
            row = {
                "seconds": round(statistics.median(seconds[runner]), 2),
                "tokens_per_second": round(
                    args.tokens / statistics.median(seconds[runner]), 1
                ),
                "ratio": round(statistics.median(ratios), 2),
                "ratio_spread": [round(ratios[0], 2), round(ratios[-1], 2)],
                "peak_mib": round(measure_memory(runner, folder, ids, args.tokens)),
            }
            if runner not in ("lmcore", PEER):
                row["scores"] = effect(models[runner], expected, read)
            measured[runner] = row
            print(runner.ljust(26), row, flush=True)
    record = {
        "command": "python benchmarks/bench_decoding.py "
        f"--rounds {args.rounds} --tokens {args.tokens} --threads {args.threads}",
        "date": date.today().isoformat(),
        "machine": describe_machine(),
        "clock": "processor seconds" if args.threads == 1 else "wall seconds",
        "threads": args.threads,
        "rounds": args.rounds,
        "prompt_tokens": len(ids),
        "new_tokens": args.tokens,
        "load_before": load,
        "beside": args.beside,
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "measured": measured,
    }
    PATH.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
