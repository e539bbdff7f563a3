"""What the training loop computes, keeps, refuses and survives."""

import json
import math
import runpy
import shutil
import signal
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from lmcore import runtime
from lmcore.config import TrainConfig
from lmcore.models.neural_ngram import NeuralNGram, NeuralNGramConfig
from lmcore.train import History, load_checkpoint, train
from lmcore.train.distributed import World
from lmcore.train.gradients import compute_gradients
from lmcore.train.interrupt import Interrupt

job = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("train_job.py"))))


@pytest.fixture(autouse=True)
def no_progress_bar(monkeypatch):
    monkeypatch.setenv("CI", "1")


def small_model(seed=0):
    torch.manual_seed(seed)
    config = NeuralNGramConfig(vocab_size=256, order=3, d_model=8, hidden_size=16)
    return NeuralNGram(config).double()


def ragged_batch(step, micro=None, n_micro=3):
    """Rows that count 1 to 16 targets each: whole, or one of ``n_micro`` pieces."""
    rows = slice(12 * step, 12 * step + 12)
    inputs, targets = job.INPUTS[rows], job.TARGETS[rows].clone()
    for row in range(12):
        targets[row, 1 + row :] = -100
    if micro is None:
        return inputs, targets
    return tuple(t.tensor_split(n_micro)[micro] for t in (inputs, targets))


def mean_loss(model, inputs, targets):
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def summed_loss(model, inputs, targets):
    logits = model(inputs).flatten(0, 1)
    total = F.cross_entropy(logits, targets.flatten(), reduction="sum")
    return total, (targets != -100).sum()


def gradients(model):
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("n_micro", [1, 3, 5])
def test_accumulated_pieces_give_the_large_batchs_gradient(n_micro):
    whole, pieces = small_model(), small_model()
    loss = mean_loss(whole, *ragged_batch(1))
    loss.backward()
    result = compute_gradients(
        pieces,
        lambda step, micro: ragged_batch(step, micro, n_micro),
        summed_loss,
        step=1,
        n_micro=n_micro,
        world=World(torch.device("cpu")),
        dtype=torch.float32,
        interrupt=Interrupt(),
    )
    assert math.isclose(result.loss, loss.item(), abs_tol=1e-12)
    assert result.tokens == 12 * 16
    torch.testing.assert_close(gradients(pieces), gradients(whole), rtol=0, atol=1e-10)


def test_a_mean_of_means_would_be_another_gradient():
    whole, pieces = small_model(), small_model()
    mean_loss(whole, *ragged_batch(1)).backward()
    means = [mean_loss(pieces, *ragged_batch(1, micro)) for micro in range(3)]
    (sum(means) / 3).backward()
    assert (gradients(pieces) - gradients(whole)).abs().max() > 1e-3


def test_a_mean_counts_by_rows():
    whole, pieces = small_model(), small_model()
    inputs, targets = job.INPUTS[:8], job.TARGETS[:8]
    mean_loss(whole, inputs, targets).backward()
    sizes = [slice(0, 5), slice(5, 8)]
    compute_gradients(
        pieces,
        lambda step, micro: (inputs[sizes[micro]], targets[sizes[micro]]),
        mean_loss,
        step=1,
        n_micro=2,
        world=World(torch.device("cpu")),
        dtype=torch.float32,
        interrupt=Interrupt(),
    )
    torch.testing.assert_close(gradients(pieces), gradients(whole), rtol=0, atol=1e-10)


def test_a_run_equals_the_same_steps_written_out_with_torchs_optimizer():
    config = TrainConfig(
        max_steps=8, lr=3e-3, warmup_steps=2, weight_decay=0.3, grad_clip=0.3
    )
    ours, theirs = small_model(), small_model()
    history = train(
        ours,
        lambda step, micro: ragged_batch(step),
        summed_loss,
        config,
        schedule="linear",
        device="cpu",
    )
    matrices = [p for p in theirs.parameters() if p.ndim == 2]
    vectors = [p for p in theirs.parameters() if p.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": 0.3},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups)
    for step in range(1, 9):
        rate = 3e-3 * min(step / 2, (8 - step) / 6)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = mean_loss(theirs, *ragged_batch(step))
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.3)
        optimizer.step()
        optimizer.zero_grad()
        row = history.steps[step - 1]
        assert math.isclose(row["loss"], loss.item(), rel_tol=1e-10)
        assert math.isclose(row["grad_norm"], norm.item(), rel_tol=1e-9)
        assert math.isclose(row["lr"], rate, abs_tol=1e-12)
    assert len(vectors) == 2 and history.steps[0]["grad_norm"] > 0.3
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


def test_the_filter_chooses_what_decays():
    def run(**options):
        model = small_model()
        config = TrainConfig(max_steps=3, lr=1e-2, weight_decay=0.5)
        get_batch = lambda step, micro: ragged_batch(step)  # noqa: E731
        train(model, get_batch, summed_loss, config, device="cpu", **options)
        return dict(model.named_parameters())

    default, none = run(), run(weight_decay_filter=lambda name, p: False)
    head = run(weight_decay_filter=lambda name, p: name == "lm_head.weight")
    assert default["tok_emb.weight"].norm() < none["tok_emb.weight"].norm()
    assert head["lm_head.weight"].norm() < none["lm_head.weight"].norm()
    untouched = ragged_batch(1)[0].new_tensor([7])  # a byte the text does not have
    torch.testing.assert_close(
        head["tok_emb.weight"][untouched], none["tok_emb.weight"][untouched]
    )


def test_one_batch_is_learnt_by_heart():
    torch.manual_seed(0)
    config = NeuralNGramConfig(order=6, d_model=16, hidden_size=64)
    batch = job.INPUTS[:8], job.TARGETS[:8]
    history = train(
        NeuralNGram(config),
        lambda step, micro: batch,
        lambda model, x, y: F.cross_entropy(model(x).flatten(0, 1), y.flatten()),
        TrainConfig(max_steps=150, lr=1e-2),
        device="cpu",
    )
    assert history.steps[0]["loss"] > 5 and history.steps[-1]["loss"] < 0.1


def run_job(model=None, config=job.CONFIG, get_batch=job.get_batch, **options):
    """The small run of train_job.py; returns the model and its history."""
    model = model or job.make_model()
    options = {"device": "cpu", **options}
    return model, train(model, get_batch, job.loss_fn, config, **options)


def test_history_has_a_row_per_step_and_survives_json():
    _, history = run_job(evaluate=job.evaluate, eval_every=10)
    assert [row["step"] for row in history.steps] == list(range(1, 25))
    assert [row["step"] for row in history.evaluations] == [10, 20, 24]
    assert list(history.steps[0]) == [
        *("step", "loss", "lr", "grad_norm", "tokens", "seconds")
    ]
    assert list(history.evaluations[0]) == ["step", "tokens", "seconds", "loss", "bits"]
    assert [row["tokens"] for row in history.steps[:2]] == [256, 512]
    seconds = [row["seconds"] for row in history.steps]
    assert seconds == sorted(seconds) and seconds[0] > 0
    rates = [row["lr"] for row in history.steps]
    assert rates[3] == max(rates) == pytest.approx(1e-2)
    assert rates[-1] == pytest.approx(1e-3)
    assert History.from_dict(json.loads(json.dumps(history.to_dict()))) == history
    assert history.best == min(history.evaluations, key=lambda row: row["loss"])


def test_a_constant_rate_stays_after_its_warm_up():
    _, history = run_job(schedule="constant")
    assert [row["lr"] for row in history.steps[3:]] == [1e-2] * 21
    assert history.steps[0]["lr"] == 2.5e-3


def test_evaluation_is_without_dropout_and_without_gradients():
    seen = []

    def evaluate(model):
        seen.append((model.training, torch.is_grad_enabled()))
        return {"loss": 1.0}

    model = job.make_model().eval()
    run_job(model, evaluate=evaluate, eval_every=12)
    assert seen == [(False, False)] * 2 and not model.training
    run_job(model.train(), evaluate=evaluate)
    assert len(seen) == 3 and model.training


def test_torchs_random_numbers_go_on_as_if_nothing_had_been():
    torch.manual_seed(3)
    expected = torch.rand(2)
    model = job.make_model()
    torch.manual_seed(3)
    first = torch.rand(1)
    run_job(model)
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)


def test_frozen_weights_stay():
    model = job.make_model()
    model.rnn.requires_grad_(False)
    before = {n: p.clone() for n, p in model.named_parameters()}
    run_job(model)
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]) == name.startswith("rnn.")


def test_patience_ends_a_run_that_no_longer_improves(tmp_path):
    losses = iter([3.0, 2.0, 2.5, 2.0, 1.0])

    def evaluate(model):
        return {"loss": next(losses)}

    options = {"eval_every": 3, "patience": 2, "out_dir": tmp_path}
    _, history = run_job(evaluate=evaluate, **options)
    assert [row["loss"] for row in history.evaluations] == [3.0, 2.0, 2.5, 2.0]
    assert history.last_step == 12 and history.best["step"] == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_12", "step_6"]
    _, again = run_job(evaluate=evaluate, **options)  # nothing is left to be done
    assert again == history


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_loss_that_is_no_number_stops_the_run(tmp_path, bad):
    def loss_fn(model, inputs, targets):
        total, count = job.loss_fn(model, inputs, targets)
        if len(seen) >= 10:  # the sixth step: two micro-batches a step
            # sqrt has an infinite slope at 0
            zero = (model.lm_head.bias - model.lm_head.bias.detach()).sum()
            total = total * math.nan if bad == "loss" else total + zero.sqrt()
        seen.append(1)
        return total, count

    seen = []
    model = job.make_model()
    with pytest.raises(FloatingPointError, match=r"step 6, learning rate 0.00978"):
        train(
            model,
            job.get_batch,
            loss_fn,
            job.CONFIG,
            out_dir=tmp_path,
            save_every=5,
            device="cpu",
        )
    assert [p.name for p in tmp_path.iterdir()] == ["step_5"]
    saved, _ = run_job(job.make_model(1), job.CONFIG, out_dir=tmp_path)
    good, _ = run_job()
    assert job.fingerprint(saved) == job.fingerprint(good)
    assert all(p.isfinite().all() for p in model.parameters())


def test_an_evaluation_that_is_no_number_stops_the_run(tmp_path):
    def evaluate(model):
        return {"loss": math.nan}

    with pytest.raises(FloatingPointError, match=r"evaluation.*nan at step 7"):
        run_job(evaluate=evaluate, eval_every=7, out_dir=tmp_path, save_every=7)
    assert list(tmp_path.iterdir()) == []


def interrupting(step_to_stop, times=1):
    def get_batch(step, micro):
        if (step, micro) == (step_to_stop, 0):
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return job.get_batch(step, micro)

    return get_batch


def test_ctrl_c_finishes_the_step_saves_and_says_how_to_go_on(tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=r"after step 7, .* the same call"):
        run_job(get_batch=interrupting(7), out_dir=tmp_path, save_every=5)
    assert signal.getsignal(signal.SIGINT) is handler
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_5", "step_7"]
    resumed, history = run_job(job.make_model(1), out_dir=tmp_path, save_every=5)
    undisturbed, _ = run_job()
    assert job.fingerprint(resumed) == job.fingerprint(undisturbed)
    assert history.last_step == 24


def test_ctrl_c_without_a_folder_says_that_nothing_was_saved():
    with pytest.raises(KeyboardInterrupt, match="step 2; without out_dir nothing"):
        run_job(get_batch=interrupting(2))


def test_a_second_ctrl_c_is_not_waited_for(tmp_path):
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        run_job(get_batch=interrupting(7, times=2), out_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_bfloat16_computes_otherwise_but_near_and_keeps_float32_weights():
    full, reference = run_job(dtype=torch.float32)
    mixed, history = run_job(dtype=torch.bfloat16)
    assert all(p.dtype == torch.float32 for p in mixed.parameters())
    assert job.fingerprint(full) != job.fingerprint(mixed)
    for a, b in zip(history.steps, reference.steps, strict=True):
        assert math.isclose(a["loss"], b["loss"], rel_tol=0.02)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_compiled_run_has_the_same_losses(monkeypatch, backend):
    if backend == "inductor" and not (shutil.which("c++") or shutil.which("cl")):
        pytest.skip("torch.compile writes C++, and there is no compiler")
    compiled = partial(torch.compile, backend=backend)
    losses = []
    for compile in (False, True):
        torch.manual_seed(0)  # no lmcore model: the shape checks cannot be compiled
        bigram = torch.nn.Sequential(
            torch.nn.Embedding(256, 8), torch.nn.Tanh(), torch.nn.Linear(8, 256)
        )
        with monkeypatch.context() as patch:
            patch.setattr(torch, "compile", compiled)
            history = train(
                bigram,
                lambda step, micro: ragged_batch(step),
                summed_loss,
                TrainConfig(max_steps=3, lr=1e-2),
                compile=compile,
                device="cpu",
            )
        losses.append([row["loss"] for row in history.steps])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert torch._dynamo.utils.counters["stats"]["calls_captured"] > 0


@pytest.mark.parametrize(
    ("faster", "chosen"), [(3.0, torch.bfloat16), (1.0, torch.float32)]
)
def test_a_cpu_takes_bfloat16_where_a_trial_says_that_it_pays(
    tmp_path, monkeypatch, faster, chosen
):
    monkeypatch.setattr(runtime, "probe_bf16", lambda: faster)
    run_job(dtype=None, out_dir=tmp_path)
    state = load_checkpoint(tmp_path / "step_24").state
    assert state["settings"]["dtype"] == str(chosen)


def test_the_trial_measures_and_draws_no_random_numbers():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert 0.001 < runtime.probe_bf16.__wrapped__(size=64, rounds=2) < 1000
    assert torch.equal(torch.rand(1), expected)


def test_a_loss_in_bfloat16_is_refused():
    def loss_fn(model, inputs, targets):
        return model(inputs).mean()

    with pytest.raises(ValueError, match=r"loss_fn=torch.bfloat16: must .*float\(\)"):
        train(
            job.make_model(),
            job.get_batch,
            loss_fn,
            job.CONFIG,
            dtype=torch.bfloat16,
            device="cpu",
        )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"eval_every": 3}, "eval_every=3: must be 0 unless there is evaluate"),
        ({"eval_every": -1}, "eval_every=-1"),
        ({"save_every": 1.5, "out_dir": "x"}, "save_every=1.5"),
        ({"save_every": 3}, "save_every=3: must be 0 unless there is out_dir"),
        ({"keep_last": 0}, "keep_last=0"),
        ({"patience": 0, "evaluate": job.evaluate}, "patience=0"),
        ({"patience": 3}, "patience=3: must be None unless there is evaluate"),
        ({"dtype": torch.float16}, "dtype=torch.float16"),
        ({"schedule": "cosinus"}, r"schedule='cosinus': must be one of \['cosine'"),
        ({"device": "abacus"}, "abacus"),
    ],
)
def test_bad_arguments_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        run_job(**options)


@pytest.mark.parametrize(
    ("get_batch", "error", "named"),
    [
        (lambda step, micro: job.INPUTS, TypeError, "get_batch=Tensor: must return a"),
        (lambda step, micro: (job.INPUTS, None), TypeError, "get_batch=tuple"),
        (
            lambda step, micro: (job.INPUTS[:3], job.TARGETS[:4]),
            ValueError,
            r"\[3, 4\]",
        ),
        (
            lambda step, micro: (job.INPUTS[:2], job.TARGETS[:2] * 0 - 100),
            ValueError,
            "step 1 counts no target",
        ),
    ],
)
def test_bad_batches_are_named(get_batch, error, named):
    with pytest.raises(error, match=named):
        run_job(get_batch=get_batch)


def test_a_loss_per_row_and_an_evaluation_without_loss_are_refused():
    config = job.CONFIG
    with pytest.raises(ValueError, match=r"loss_fn=\(8, 16, 256\): must return one"):
        train(
            job.make_model(), job.get_batch, lambda m, x, y: m(x), config, device="cpu"
        )
    with pytest.raises(TypeError, match="must return a dictionary with a 'loss'"):
        run_job(evaluate=lambda model: {"accuracy": 1.0})
