"""The gradients written by hand against torch's autograd and central differences."""

import pytest
import torch
from torch.nn import functional as F

from lmcore.models.fasttext import FastText, FastTextConfig
from lmcore.models.glove import AdaGradTable, least_squares, weight
from lmcore.models.neural_ngram import NeuralNGram, NeuralNGramConfig
from lmcore.models.word2vec import Word2Vec, Word2VecConfig, negative_sampling
from lmcore.models.word_corpus import Vocabulary
from lmcore.models.word_windows import WindowBatch

CLOSE = {"rtol": 0, "atol": 1e-10}
WORDS = tuple("abcdefg")


def a_batch(architecture="cbow"):
    """Words repeat, a case has no context at all, a drawn word is the real one."""
    contexts = torch.tensor([[0, 1, 1, 2], [3, 1, 0, 0], [2, 2, 2, 6], [5, 5, 5, 5]])
    present = torch.tensor([[1, 1, 1, 0], [0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
    targets = torch.tensor([[4, 1, 1], [0, 5, 0], [3, 4, 6], [1, 2, 3]])
    if architecture == "skipgram":  # a case for each neighbour
        rows, columns = present.nonzero(as_tuple=True)
        contexts, targets = contexts[rows, columns].unsqueeze(1), targets[rows]
        present = torch.ones_like(contexts)
    return WindowBatch(contexts, present.bool(), targets)


def plain_loss(v, u, batch):
    """The loss case by case, in the words of the paper."""
    total = 0.0
    for contexts, present, targets in zip(
        batch.contexts, batch.present, batch.targets, strict=True
    ):
        inputs = [v[c] for c, there in zip(contexts, present, strict=True) if there]
        if not inputs:
            continue
        x = torch.stack(inputs).mean(0)
        total = total - F.logsigmoid(u[targets[0]] @ x)
        for negative in targets[1:]:
            if negative != targets[0]:
                total = total - F.logsigmoid(-u[negative] @ x)
    return total


def a_model(cls, config):
    vocabulary = Vocabulary(WORDS, (9, 8, 7, 6, 5, 4, 3))
    model = cls(vocabulary, config)
    model.v = torch.randn_like(model.v, dtype=torch.float64)
    model.u = torch.randn_like(model.u, dtype=torch.float64)
    return model


@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_a_step_of_word2vec_is_a_step_down_autograds_gradient(architecture):
    torch.manual_seed(0)
    model = a_model(Word2Vec, Word2VecConfig(d_model=5, architecture=architecture))
    v, u = model.v.clone().requires_grad_(), model.u.clone().requires_grad_()
    loss = plain_loss(v, u, a_batch(architecture))
    grad_v, grad_u = torch.autograd.grad(loss, (v, u))

    stepped, n_scores = model.step(a_batch(architecture), lr=0.1)

    torch.testing.assert_close(stepped, loss.detach(), **CLOSE)
    torch.testing.assert_close(model.v, v.detach() - 0.1 * grad_v, **CLOSE)
    torch.testing.assert_close(model.u, u.detach() - 0.1 * grad_u, **CLOSE)
    # Targets that count: 3, 2 (a drawn word was the real one), 3; inputs 3, 2, 4, none.
    assert n_scores == (3 * 3 + 2 * 2 + 4 * 3 if architecture == "skipgram" else 8)


def test_rows_that_a_batch_does_not_name_stay_bit_equal():
    model = a_model(Word2Vec, Word2VecConfig(d_model=5))
    v, u = model.v.clone(), model.u.clone()
    model.step(a_batch(), lr=0.1)
    assert ((model.v != v).any(1)).tolist() == [True, True, True] + 3 * [False] + [True]
    assert ((model.u != u).any(1)).tolist() == [True, True, False] + 4 * [True]


def test_negative_sampling_against_central_differences():
    torch.manual_seed(1)
    x, u = torch.randn(2, 4).double(), torch.randn(2, 5, 4).double()
    labels = torch.eye(5, dtype=torch.float64)[[0, 0]]
    counts = torch.rand(2, 5) < 0.8
    _, grad_x, grad_u = negative_sampling(x, u, labels, counts)
    for tensor, gradient in ((x, grad_x), (u, grad_u)):
        for place in range(0, tensor.numel(), 3):
            moved = []
            for h in (1e-5, -1e-5):
                tensor.view(-1)[place] += h
                moved.append(negative_sampling(x, u, labels, counts)[0])
                tensor.view(-1)[place] -= h
            slope = (moved[0] - moved[1]) / 2e-5
            assert abs(slope - gradient.reshape(-1)[place]) < 1e-8


def test_negative_sampling_of_huge_scores_is_finite():
    x, u = torch.tensor([[100.0]]), torch.tensor([[[100.0], [-100.0]]])
    labels, counts = torch.tensor([[0.0, 1.0]]), torch.ones(1, 2).bool()
    loss, grad_x, _ = negative_sampling(x, u, labels, counts)
    assert loss == 20000 and grad_x.item() == 200


@pytest.mark.parametrize("architecture", ["skipgram", "cbow"])
def test_a_step_of_fasttext_passes_the_words_gradient_to_each_of_its_rows(architecture):
    torch.manual_seed(2)
    config = FastTextConfig(
        d_model=5, min_n=1, max_n=3, n_buckets=4, architecture=architecture
    )  # four rows for all pieces: some stand twice in one word
    model = a_model(FastText, config)
    rows, u = model.v.clone().requires_grad_(), model.u.clone().requires_grad_()
    parts = [rows[model.rows_of(word)] for word in WORDS]
    # The value is the mean; the gradient is that of the sum.
    v = torch.stack([p.sum(0) + (p.mean(0) - p.sum(0)).detach() for p in parts])
    loss = plain_loss(v, u, a_batch(architecture))
    grad_rows, grad_u = torch.autograd.grad(loss, (rows, u))

    stepped, _ = model.step(a_batch(architecture), lr=0.1)

    torch.testing.assert_close(stepped, loss.detach(), **CLOSE)
    torch.testing.assert_close(model.v, rows.detach() - 0.1 * grad_rows, **CLOSE)
    torch.testing.assert_close(model.u, u.detach() - 0.1 * grad_u, **CLOSE)


def test_least_squares_against_autograd():
    torch.manual_seed(3)
    w, w_tilde = torch.randn(2, 6, 4, dtype=torch.float64).requires_grad_()
    b, b_tilde = torch.randn(2, 6, dtype=torch.float64).requires_grad_()
    x = torch.tensor([0.1, 0.5, 1, 5, 10, 200], dtype=torch.float64)
    residual = (w * w_tilde).sum(1) + b + b_tilde - torch.log(x)
    f = torch.where(x < 10, (x / 10) ** 0.75, 1.0)
    torch.testing.assert_close(weight(x, 10.0), f, **CLOSE)
    expected = (f * residual**2).sum() / 2
    gradients = torch.autograd.grad(expected, (w, w_tilde, b, b_tilde))

    loss, *ours = least_squares(w, w_tilde, b, b_tilde, x, 10.0)

    torch.testing.assert_close(loss, expected, **CLOSE)
    for mine, theirs in zip([*ours, ours[-1]], gradients, strict=True):
        torch.testing.assert_close(mine, theirs, **CLOSE)


def test_adagrad_against_torchs_with_the_same_rows():
    torch.manual_seed(4)
    theta = torch.randn(5, 3, dtype=torch.float64)
    ours, theirs = AdaGradTable(theta.clone()), theta.clone().requires_grad_()
    optimizer = torch.optim.Adagrad(
        [theirs], lr=0.1, initial_accumulator_value=1.0, eps=0.0
    )
    for _ in range(4):
        rows = torch.randint(5, (8,))
        gradients = torch.randn(8, 3, dtype=torch.float64)
        theirs.grad = torch.zeros_like(theirs).index_add_(0, rows, gradients)
        # torch adds g² to its sum before it divides, the authors' GloVe afterwards.
        before = ours.squares.clone()
        ours.step(rows, gradients, lr=0.1)
        torch.testing.assert_close(ours.squares - before, theirs.grad**2, **CLOSE)
        expected = -0.1 * theirs.grad / before.sqrt()
        torch.testing.assert_close(ours.theta - theta, expected, **CLOSE)
        theta = ours.theta.clone()
        optimizer.step()
    torch.testing.assert_close(ours.squares, optimizer.state[theirs]["sum"], **CLOSE)


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("order", [2, 3, 5])
def test_the_neural_ngram_is_the_papers_equation(order, direct):
    torch.manual_seed(5)
    config = NeuralNGramConfig(
        vocab_size=11, order=order, d_model=3, hidden_size=4, direct=direct
    )
    model = NeuralNGram(config).double()
    ids = torch.randint(11, (2, 7))
    C, zeros = model.tok_emb.weight, torch.zeros(3, dtype=torch.float64)
    H, d = model.hidden.weight, model.hidden.bias
    U, b = model.lm_head.weight, model.lm_head.bias
    expected = torch.zeros(2, 7, 11, dtype=torch.float64)
    for row in range(2):
        for t in range(7):
            before = [C[ids[row, t - k]] if t >= k else zeros for k in range(order - 1)]
            x = torch.cat(before)
            expected[row, t] = b + U @ torch.tanh(d + H @ x)
            if direct:
                expected[row, t] += model.direct.weight @ x
    logits = model(ids)
    torch.testing.assert_close(logits, expected, **CLOSE)
    parameters = list(model.parameters())
    ours = torch.autograd.grad(logits.square().sum(), parameters)
    theirs = torch.autograd.grad(expected.square().sum(), parameters)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-10)


def test_the_neural_ngram_is_a_causal_convolution():
    """Other sums of the same numbers: torch's conv1d over the vectors of the tokens."""
    torch.manual_seed(6)
    config = NeuralNGramConfig(vocab_size=11, order=4, d_model=3, hidden_size=4)
    model = NeuralNGram(config).double()
    ids = torch.randint(11, (2, 9))
    emb = F.pad(model.tok_emb(ids).transpose(1, 2), (2, 0))
    kernel = model.hidden.weight.unflatten(1, (3, 3)).flip(1).transpose(1, 2)
    hidden = F.conv1d(emb, kernel, model.hidden.bias).transpose(1, 2)
    torch.testing.assert_close(model(ids), model.lm_head(torch.tanh(hidden)), **CLOSE)
