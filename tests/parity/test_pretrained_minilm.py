"""all-MiniLM-L6-v2 in this course's Bert gives what `transformers` gives."""

import pydoc_data.topics

import pytest
import torch
import transformers

from lmcore.models.bert import Bert, BertConfig, mean_pool
from lmcore.pretrained.minilm import MAX_TOKENS, embed_sentences, load_minilm

pytestmark = pytest.mark.assets

SENTENCES = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "A man is riding a horse on an enclosed ground, under a bright blue sky, slowly.",
    "Deep learning",
    "Café 東京 🙂",
]


@pytest.fixture(scope="module")
def folder(real_asset):
    return real_asset("minilm")


@pytest.fixture(scope="module")
def ours(folder):
    return load_minilm()


@pytest.fixture(scope="module")
def theirs(folder):
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def inputs(tokenizer):
    batch = tokenizer.batch(SENTENCES)
    return batch.ids, batch.mask


def test_it_has_the_published_shape(ours):
    assert isinstance(ours.model, Bert) and not ours.model.training
    assert ours.model.config == BertConfig(d_model=384, n_layers=6, d_ff=1536)
    assert sum(p.numel() for p in ours.model.parameters()) == 22_713_216


def test_hidden_states_equal_those_of_transformers(ours, theirs):
    ids, mask = inputs(ours.tokenizer)
    with torch.no_grad():
        wanted = theirs(ids, attention_mask=mask.long())
        hidden = ours.model(ids, mask)
        pooled = ours.model.pooler(hidden)
    close = {"atol": 2e-5, "rtol": 0}
    torch.testing.assert_close(hidden[mask], wanted.last_hidden_state[mask], **close)
    torch.testing.assert_close(pooled, wanted.pooler_output, **close)


def test_hidden_states_in_float64(folder):
    model, tokenizer = load_minilm(dtype=torch.float64)
    theirs = transformers.AutoModel.from_pretrained(folder, dtype=torch.float64).eval()
    ids, mask = inputs(tokenizer)
    with torch.no_grad():
        wanted = theirs(ids, attention_mask=mask.long()).last_hidden_state
        got = model(ids, mask)
    assert wanted.dtype == torch.float64
    torch.testing.assert_close(got[mask], wanted[mask], atol=1e-9, rtol=0)


def test_tokens_equal_those_of_the_files_own_tokenizer(folder, ours):
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json")
    )
    for text in [*SENTENCES, *list(pydoc_data.topics.topics.values())[:20]]:
        row = ours.tokenizer.batch([text], max_seq_len=128).ids[0].tolist()
        wanted = theirs.encode(text, truncation=True, max_length=128, padding=False)
        assert row == wanted[: len(row)] and len(row) == len(wanted), text[:60]


def test_sentence_vectors_are_the_model_cards_recipe(ours, theirs):
    """One by one, with the model card's mean_pooling, against our sorted batches."""
    sentences = [*SENTENCES, "word " * 300]
    got = embed_sentences(ours.model, ours.tokenizer, sentences, batch_size=3)
    torch.testing.assert_close(got.norm(dim=-1), torch.ones(len(sentences)))
    for sentence, vector in zip(sentences, got, strict=True):
        ids = ours.tokenizer.batch([sentence], max_seq_len=MAX_TOKENS).ids
        with torch.no_grad():
            hidden = theirs(ids).last_hidden_state
        wanted = torch.nn.functional.normalize(hidden.mean(1), dim=-1)[0]
        torch.testing.assert_close(vector, wanted, atol=2e-5, rtol=0)


def test_sentences_that_mean_the_same_are_near(ours):
    vectors = embed_sentences(ours.model, ours.tokenizer, SENTENCES)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.7
    assert cosines[0, 1] > cosines[0, 2:].max() + 0.2
    with pytest.raises(ValueError, match="sentences"):
        embed_sentences(ours.model, ours.tokenizer, [])


def test_padding_changes_nothing(ours):
    ids, mask = inputs(ours.tokenizer)
    with torch.no_grad():
        together = mean_pool(ours.model(ids, mask), mask)
        for row in range(len(ids)):
            n_real = int(mask[row].sum())
            alone = ours.model(ids[row : row + 1, :n_real]).mean(1)[0]
            torch.testing.assert_close(together[row], alone, atol=1e-5, rtol=0)
