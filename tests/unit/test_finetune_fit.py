"""Fine-tuning as a whole: what is learned, what stays, when it stops."""

import copy
import math
import random

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from lmcore.data import Labelled
from lmcore.finetune import (
    FineTuneConfig,
    batches_by_length,
    best_evaluation,
    class_weights,
    evaluate,
    fine_tune,
    fit_epochs,
    predict,
)
from lmcore.finetune.batching import sorted_batches
from lmcore.models.bert import Bert, BertConfig
from lmcore.tokenizers import WordPieceTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
GOOD, BAD, NEUTRAL = ["fine", "lovely"], ["dull", "awful"], ["a", "the", "film", "it"]
NAMES = ("negative", "positive")
STRATEGIES = ("head", "last", "all", "lora")


def sentences(n, seed):
    """Sentences whose one telling word decides the label."""
    draw = random.Random(seed)
    texts, labels = [], []
    for i in range(n):
        words = draw.choices(NEUTRAL, k=draw.randint(1, 6))
        words.insert(draw.randint(0, len(words)), draw.choice([BAD, GOOD][i % 2]))
        texts.append(" ".join(words))
        labels.append(i % 2)
    return Labelled(texts, labels, NAMES)


TRAIN, VALIDATION = sentences(96, seed=1), sentences(40, seed=2)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    shape = {"vocab_size": 16, "max_seq_len": 16, "d_model": 16, "n_layers": 2}
    return Bert(BertConfig(**shape, n_heads=2)).eval()


@pytest.fixture(scope="module")
def tokenizer():
    return WordPieceTokenizer([*SPECIAL, *GOOD, *BAD, *NEUTRAL])


def tune(encoder, tokenizer, strategy, **changes):
    fields = {"lr": 1e-2, "epochs": 6, "batch_size": 16, "dropout": 0.0} | changes
    config = FineTuneConfig(strategy=strategy, **fields)
    return fine_tune(encoder, tokenizer, TRAIN, VALIDATION, config)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_learns_and_leaves_the_given_encoder_alone(
    encoder, tokenizer, strategy
):
    before = copy.deepcopy(encoder.state_dict())
    lr = 5e-2 if strategy == "head" else 1e-2
    tuned = tune(encoder, tokenizer, strategy, epochs=20, patience=20, lr=lr)
    after = encoder.state_dict()
    assert all(torch.equal(after[name], w) for name, w in before.items())
    least = {"head": 0.75, "lora": 0.85}.get(strategy, 0.95)  # the encoder is random
    assert evaluate(tuned, VALIDATION)["accuracy"] > least
    assert not tuned.model.training
    assert tuned.n_trained == sum(
        p.numel() for p in tuned.model.parameters() if p.requires_grad
    )


def test_strategies_change_what_they_say(encoder, tokenizer):
    before = encoder.state_dict()
    stays = {
        "head": lambda name: True,
        "last": lambda name: "blocks.1." not in name,
        "all": lambda name: name.startswith("pooler."),
        "lora": lambda name: True,
    }
    for strategy, unchanged in stays.items():
        tuned = tune(encoder, tokenizer, strategy, n_last=1, epochs=1)
        now = tuned.model.encoder.state_dict()
        for name, weights in before.items():
            kept = name if name in now else name.replace("proj.", "proj.linear.")
            if unchanged(name):
                assert torch.equal(now[kept], weights), (strategy, name)
            elif not name.endswith("k_proj.bias"):  # whose gradient is 0
                assert not torch.equal(now[kept], weights), (strategy, name)


@pytest.mark.parametrize("strategy", ["head", "lora"])
def test_the_same_call_gives_the_same_weights_and_leaves_torch_s_dice(
    encoder, tokenizer, strategy
):
    torch.manual_seed(5)
    one = tune(encoder, tokenizer, strategy, epochs=2, dropout=0.2)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), drawn)
    torch.manual_seed(6)
    two = tune(encoder, tokenizer, strategy, epochs=2, dropout=0.2)
    three = tune(encoder, tokenizer, strategy, epochs=2, dropout=0.2, seed=1)
    first, again, other = (t.model.state_dict() for t in (one, two, three))
    assert all(torch.equal(again[name], w) for name, w in first.items())
    assert not torch.equal(other["head.weight"], first["head.weight"])


def test_head_on_vectors_predicts_what_the_whole_model_predicts(encoder, tokenizer):
    tuned = tune(encoder, tokenizer, "head")
    reported = best_evaluation(tuned.history)
    measured = evaluate(tuned, VALIDATION)
    for name in ("accuracy", "macro_f1", "loss"):
        assert measured[name] == pytest.approx(reported[name], abs=1e-6)


def test_probabilities_stand_in_the_order_of_the_texts(encoder, tokenizer):
    tuned = tune(encoder, tokenizer, "all")
    texts = ["it a film the it a lovely", "awful", "a fine film"]
    together = predict(tuned, texts)
    assert together.shape == (3, 2)
    torch.testing.assert_close(together.sum(1), torch.ones(3))
    alone = torch.cat([predict(tuned, [text]) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert together.argmax(1).tolist() == [1, 0, 1]


def test_long_texts_are_cut(encoder, tokenizer):
    tuned = tune(encoder, tokenizer, "head", epochs=1, max_seq_len=5)
    words = "a film it the dull dull dull"
    assert torch.equal(predict(tuned, [words]), predict(tuned, ["a film it"]))
    tuned = tune(encoder, tokenizer, "head", epochs=1)  # 128, but the encoder reads 16
    assert predict(tuned, ["film " * 300]).shape == (1, 2)


# ---- the loop


class Ramp(torch.nn.Module):
    """One weight that a step moves by the learning rate."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.head.weight)


def run_scores(scores, losses=None, **changes):
    """``fit_epochs`` with evaluations written in advance; the weights of each epoch."""
    model, seen = Ramp(), []
    losses = losses or [1.0] * len(scores)

    def score(model):
        seen.append(model.head.weight.item())
        return {"score": scores[len(seen) - 1], "loss": losses[len(seen) - 1]}

    history = fit_epochs(
        model,
        lambda epoch: [(torch.ones(2, 1),)] * 3,
        lambda model, x: -model.head(x).mean(),
        score,
        FineTuneConfig(epochs=len(scores), lr=0.1, weight_decay=0.0, **changes),
    )
    return model, seen, history


def test_the_best_epoch_s_weights_come_back():
    model, seen, history = run_scores([0.5, 0.9, 0.8, 0.7], patience=10)
    assert len(set(seen)) == 4
    assert model.head.weight.item() == seen[1]
    assert best_evaluation(history)["epoch"] == 2
    assert not model.training


def test_of_equal_scores_the_lower_loss_wins_and_then_the_earlier_epoch():
    model, seen, _ = run_scores([0.9, 0.9, 0.9], [0.4, 0.3, 0.3])
    assert model.head.weight.item() == seen[1]


def test_patience_ends_the_run():
    scores = [0.5, 0.6, 0.5, 0.6, 0.9, 0.9]
    _, seen, history = run_scores(scores, patience=2)
    assert len(seen) == 4 and len(history.steps) == 4 * 3
    _, seen, _ = run_scores(scores, patience=3)
    assert len(seen) == 6
    falling = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]  # of use still, though no score shows it
    _, seen, _ = run_scores([0.5] * 6, falling, patience=2)
    assert len(seen) == 6


def test_the_rate_rises_and_falls_as_said():
    _, _, history = run_scores([0.1, 0.2, 0.3, 0.4], warmup_share=0.25)
    rates = [row["lr"] for row in history.steps]
    assert rates[:3] == pytest.approx([0.1 / 3, 0.2 / 3, 0.1])
    assert rates[3:] == pytest.approx([0.1 * (1 - i / 10) for i in range(1, 10)])


def test_layers_below_move_less():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = torch.nn.ModuleList(
                torch.nn.Linear(1, 1, bias=False) for _ in range(2)
            )
            self.head = torch.nn.Linear(1, 1, bias=False)
            for p in self.parameters():
                torch.nn.init.ones_(p)

    model = Two()
    fit_epochs(
        model,
        lambda epoch: [(torch.ones(1, 1),)],
        lambda model, x: model.head(model.blocks[1](model.blocks[0](x))).sum(),
        lambda model: {"score": 1.0, "loss": 1.0},
        FineTuneConfig(
            epochs=1, lr=0.08, layer_decay=0.5, warmup_share=0.0, weight_decay=0.0
        ),
    )
    moved = [1 - layer.weight.item() for layer in (model.head, *model.blocks[::-1])]
    # Adam's first step has the length of the rate: lr, halved by the schedule here
    assert moved == pytest.approx([0.04, 0.02, 0.01], rel=1e-4)


def test_a_loss_that_is_no_number_stops_the_run():
    with pytest.raises(FloatingPointError, match=r"nan at step 1.*lower lr"):
        fit_epochs(
            Ramp(),
            lambda epoch: [(torch.ones(2, 1),)],
            lambda model, x: model.head(x).mean() * math.nan,
            lambda model: {"score": 1.0, "loss": 1.0},
            FineTuneConfig(),
        )


def test_an_evaluation_without_a_score_is_refused():
    with pytest.raises(ValueError, match="give a 'score'"):
        fit_epochs(
            Ramp(),
            lambda epoch: [(torch.ones(2, 1),)],
            lambda model, x: model.head(x).mean(),
            lambda model: {"loss": 1.0},
            FineTuneConfig(),
        )


# ---- class weights and batches


def test_balanced_weights_are_scikit_learn_s():
    labels = [0] * 7 + [1] * 2 + [2] * 3
    labelled = Labelled(["x"] * 12, labels, ("a", "b", "c"))
    wanted = compute_class_weight("balanced", classes=np.arange(3), y=np.array(labels))
    assert class_weights(labelled, "balanced").tolist() == pytest.approx(wanted)
    assert class_weights(labelled, "none").tolist() == [1, 1, 1]


def test_balanced_weights_help_a_rare_class(encoder, tokenizer):
    few = [i for i in range(96) if i % 2 == 0 or i < 8]  # 48 negative, 4 positive
    fields = {"strategy": "head", "lr": 3e-3, "epochs": 4, "dropout": 0.0}
    recall = {}
    for kind in ("none", "balanced"):
        config = FineTuneConfig(class_weights=kind, **fields)
        tuned = fine_tune(encoder, tokenizer, TRAIN.rows(few), VALIDATION, config)
        guesses = predict(tuned, VALIDATION.texts).argmax(1)
        recall[kind] = sum(guesses[torch.tensor(VALIDATION.labels) == 1])
    assert recall["balanced"] > recall["none"]


def test_each_batch_holds_similar_lengths_and_each_row_comes_once():
    draw = random.Random(0)
    lengths = [draw.randint(5, 60) for _ in range(1003)]

    def padded(batches):
        return sum(len(rows) * max(lengths[i] for i in rows) for rows in batches)

    batches = batches_by_length(lengths, 16, seed=0)
    assert sorted(i for rows in batches for i in rows) == list(range(1003))
    assert {len(rows) for rows in batches} == {16, 1003 % 16}
    assert padded(batches) < 1.15 * sum(lengths)
    blind = [list(range(i, min(i + 16, 1003))) for i in range(0, 1003, 16)]
    assert padded(blind) > 1.6 * sum(lengths)
    assert batches == batches_by_length(lengths, 16, seed=0)
    assert batches != batches_by_length(lengths, 16, seed=1)
    means = [sum(lengths[i] for i in rows) / len(rows) for rows in batches]
    assert means != sorted(means)  # long and short batches mixed
    in_order = [lengths[i] for rows in sorted_batches(lengths, 16) for i in rows]
    assert in_order == sorted(lengths)


# ---- what is refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"strategy": "some"}, r"strategy='some'.*'head', 'last', 'all', 'lora'"),
        ({"lr": 0.0}, "lr=0.0: must be None or > 0"),
        ({"epochs": 0}, "epochs=0"),
        ({"patience": 0}, "patience=0"),
        ({"layer_decay": 1.5}, "layer_decay=1.5"),
        ({"max_seq_len": 2}, "max_seq_len=2"),
        ({"class_weights": "even"}, "class_weights='even'"),
        ({"dtype": "float16"}, "dtype='float16'"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
)
def test_a_config_refuses_what_cannot_be(fields, message):
    with pytest.raises(ValueError, match=message):
        FineTuneConfig(**fields)


def test_defaults_follow_the_strategy():
    assert FineTuneConfig().lr is None
    filled = {
        name: FineTuneConfig(strategy=name).with_defaults() for name in STRATEGIES
    }
    assert filled["head"].lr > filled["lora"].lr > filled["all"].lr
    assert FineTuneConfig(lr=0.5, epochs=1).with_defaults().lr == 0.5
    config = filled["lora"]
    assert FineTuneConfig.from_dict(config.to_dict()) == config


EMPTY = Labelled([], [], NAMES)


@pytest.mark.parametrize(
    ("train", "validation", "message"),
    [
        (EMPTY, VALIDATION, r"train.texts=\[\]: must hold at least one text"),
        (TRAIN, EMPTY, "validation.texts"),
        (Labelled(["a"], [0, 1], NAMES), VALIDATION, "train.labels=2: must be 1"),
        (Labelled(["a"], [2], NAMES), VALIDATION, r"train.labels\[0\]=2"),
        (
            Labelled(["a", "b"], [0, 0], NAMES),
            VALIDATION,
            r"no text with \['positive'\]",
        ),
        (Labelled(["a"], [0], ("one",)), VALIDATION, "at least 2 labels"),
        (TRAIN, VALIDATION._replace(names=("x", "y")), "validation.names"),
    ],
)
def test_sets_that_cannot_be_used_are_refused(
    encoder, tokenizer, train, validation, message
):
    with pytest.raises(ValueError, match=message):
        fine_tune(encoder, tokenizer, train, validation, FineTuneConfig())


def test_a_tokenizer_of_another_encoder_is_refused(encoder):
    wide = WordPieceTokenizer([*SPECIAL, *(f"w{i}" for i in range(20))])
    with pytest.raises(ValueError, match=r"tokenizer.vocab_size=25: must be <= vocab"):
        fine_tune(encoder, wide, TRAIN, VALIDATION, FineTuneConfig())


def test_predict_and_evaluate_refuse_what_they_cannot_read(encoder, tokenizer):
    tuned = tune(encoder, tokenizer, "head", epochs=1)
    with pytest.raises(TypeError, match=r"not one str: \[text\]"):
        predict(tuned, "a film")
    with pytest.raises(ValueError, match="hold at least one text"):
        predict(tuned, [])
    with pytest.raises(TypeError):
        predict(tuned, ["a film", None])
    with pytest.raises(ValueError, match=r"labelled.names"):
        evaluate(tuned, VALIDATION._replace(names=("x", "y")))
