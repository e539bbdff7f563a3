"""The weights of the longer spelling-to-sound recipe do what its record says."""

import json
from pathlib import Path

import torch

from lmcore.data.pronunciations import (
    END,
    START,
    drop_stress,
    letter_symbols,
    phoneme_symbols,
    pronunciation_splits,
)
from lmcore.generate import beam_search
from lmcore.metrics import error_rates
from lmcore.models.seq2seq_attention import Seq2SeqAttention, Seq2SeqAttentionConfig
from lmcore.train import load_weights

FOLDER = Path(__file__).parents[2] / "results" / "spelling_to_sound"


def test_new_words_are_spoken_with_under_12_percent_of_phonemes_wrong(real_asset):
    real_asset("cmudict")
    record = json.loads((FOLDER / "long.json").read_text(encoding="utf-8"))
    assert record["test"]["phoneme_error_rate"] < 0.12
    assert (FOLDER / "model.safetensors").stat().st_size < 8e6
    fields = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    assert fields.pop("model") == "lstm"
    model = Seq2SeqAttention(Seq2SeqAttentionConfig.from_dict(fields)).eval()
    model.load_state_dict(load_weights(FOLDER / "model.safetensors"))
    letters, phonemes = letter_symbols(), phoneme_symbols()

    @torch.no_grad()
    def step(ids, state):
        logits, state = model.decode(ids, state)
        return logits[:, -1].log_softmax(-1), state

    test = pronunciation_splits().test
    some = dict(list(test.items())[::32])
    spoken = []
    for word in some:
        state = model.encode(torch.tensor([letters.encode(word)]))
        found = beam_search(
            step, model.select, state, [START], 32, n_beams=1, stop_ids=[END]
        )
        spoken.append(drop_stress(phonemes.decode(found[0].ids)))
    right = [[drop_stress(one) for one in variants] for variants in some.values()]
    rates = error_rates(spoken, right)
    assert len(some) == 200
    assert rates.symbol < 0.12
    # 200 of 6,381 words: the standard error of their rate is about 0.9 points.
    assert abs(rates.symbol - record["test"]["phoneme_error_rate"]) < 0.03
