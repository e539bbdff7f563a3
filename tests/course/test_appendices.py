"""The appendices hold what they promise: every claim, every idea, no dead link."""

import json
import re
from html import escape, unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

CHAPTERS = Path(__file__).parents[2] / "chapters"

# The claims that appendix A must settle, by the number that readers cite.
CLAIMS = {
    "A1": "core of a large language model is an autoencoder",
    "A2": "RNNs or CNNs as hidden layers",
    "A3": "GPT-2 is embedding, LSTM, softmax",
    "A4": "GPT-3 training code",
    "A5": "RLM",
    "A6": "GPT-3 has 175 billion parameters",
    "A7": "2-2-1 network",
    "A8": "Cross-entropy",
    "A9": "MSE",
    "A10": "δ2 = (y − a)(1 − a)",
    "A11": "δ goes back",
    "A12": "2-3-1",
    "A13": "In an RNN",
    "A14": "LSTM's cell",
    "A15": "nn.Sequential(Embedding, LSTM, Linear)",
    "A16": "softmax of each score",
    "A17": "head matrices are the words' embeddings",
    "A18": "Heads split the sequence",
    "A19": "Self-attention is softmax(QKᵀ/√d) V",
    "A20": "vector of fixed length",
    "A21": "exponent follows the position",
    "A22": "∇J(θ) / ()",
    "A23": "SGD averages over all samples",
    "A24": "Adam is m / √v",
    "A25": "random integers",
    "A26": "cross-validation",
    "A27": "PyTorch is slower than TensorFlow",
    "A28": "Word2Vec is statistical, GloVe neural",
    "A29": "GPT-2 was released in 2018",
    "A30": "Hugging Face offers GPT-3",
    "A31": "pipeline(model='gpt3')",
    "A32": "distilbert-base-uncased",
    "A33": "PLATO",
    "A34": "references",
}
VERDICTS = {"right", "half right", "wrong", "unsupported"}
HOW = {"computed", "looked up", "computed and looked up", "nothing to test"}

# The ideas that the map at the end of appendix A must place.
IDEAS = (
    *("maximum likelihood", "n-grams", "grammars", "stop words", "stems", "Word2Vec"),
    *("GloVe", "FastText", "sigmoid", "forward pass", "mean squared error"),
    *("backpropagation", "SGD", "Adam", "convolution", "LSTM language model"),
    *("queries, keys, values", "context window", "encoder and decoder", "positions"),
    *("autoencoders", "ELMo", "next-sentence prediction", "DistilBERT", "GPT-3"),
    *("ChatGPT", "T5", "text-to-text", "multi-task", "ERNIE", "PLATO", "CLIP"),
    *("DALL·E", "pretraining objectives", "preprocessing", "evaluation", "some layers"),
    *("sequence labelling", "F1", "cross-validation", "generating text", "sentiment"),
    *("reading comprehension", "translation", "summarisation", "chatbots"),
    *("named entities", "similarity", "recommendation", "search", "speech"),
    *("augmentation", "cost in compute", "privacy", "bias", "fairness", "safety"),
    *("interpretability", "regularisation", "learning rate", "batch size"),
    *("quality of data", "deployment", "knowledge enhancement", "memory"),
)


def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def prose_of(path):
    cells = cells_of(path)
    texts = ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"]
    return "\n\n".join(texts)


def anchors_of(path):
    """The ids that Jupyter gives a notebook's headings: spaces become hyphens."""
    headings = re.findall(r"^#{1,6} +(.+?) *$", prose_of(path), re.MULTILINE)
    return {re.sub(r"[`*]", "", heading).replace(" ", "-") for heading in headings}


def dead_links(path, prose):
    """Links of a chapter's prose to notebooks, or headings in them, that are none."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+\.ipynb(?:#[^)\s]*)?)\)", prose):
        name, _, anchor = target.partition("#")
        other = path.parent / name
        if not other.exists() or (anchor and unquote(anchor) not in anchors_of(other)):
            dead.append(target)
    return dead


@pytest.mark.parametrize("path", sorted(CHAPTERS.glob("*.ipynb")), ids=lambda p: p.stem)
def test_every_link_leads_to_a_notebook_and_a_heading(path):
    assert dead_links(path, prose_of(path)) == []


def test_a_dead_link_is_found():
    path = CHAPTERS / "A_claims_checked.ipynb"
    good = "[07](07_attention.ipynb#11-Many-heads) [07](07_attention.ipynb)"
    assert dead_links(path, good) == []
    bad = good.replace("Many", "Few")
    assert dead_links(path, bad) == ["07_attention.ipynb#11-Few-heads"]
    assert dead_links(path, "[12](12_none.ipynb)") == ["12_none.ipynb"]


class Claims:
    """Appendix A as stored: its table, and for each row what its part of it says."""

    def __init__(self):
        self.path = CHAPTERS / "A_claims_checked.ipynb"
        cells = cells_of(self.path)
        text = "\n".join(self.shown(cell) for cell in cells)
        parts = re.split(r"^### (A\d+) ", text.split("\n## 9 ")[0], flags=re.MULTILINE)
        self.sections = dict(zip(parts[1::2], parts[2::2], strict=True))
        self.table = {}
        for cell in cells:
            for output in cell.get("outputs", []):
                html = "".join(output.get("data", {}).get("text/html", ""))
                for row in re.findall(r"<tr>(.*?)</tr>", html):
                    fields = re.findall(r"<td[^>]*>(.*?)</td>", row)
                    if fields:
                        self.table[fields[0]] = fields[1:]

    @staticmethod
    def shown(cell):
        """A cell's text if it is prose, and what it printed if it is code."""
        if cell["cell_type"] == "markdown":
            return "".join(cell["source"])
        streams = [o for o in cell["outputs"] if o["output_type"] == "stream"]
        return "".join("".join(output["text"]) for output in streams)


@pytest.fixture(scope="module")
def claims():
    return Claims()


def test_every_claim_is_a_row_with_a_verdict(claims):
    assert list(claims.table) == list(claims.sections) == list(CLAIMS)
    for row, words in CLAIMS.items():
        claim, verdict, how, _ = claims.table[row]
        assert words in unescape(claim), row
        assert verdict in VERDICTS and how in HOW
        assert (verdict == "unsupported") == (how == "nothing to test")


@pytest.mark.parametrize("row", CLAIMS)
def test_a_row_says_what_its_cell_found(claims, row):
    text = claims.sections[row]
    _, verdict, _, chapter = claims.table[row]
    assert "**Claim.**" in text
    assert re.findall(rf"^{row}: (.+)$", text, re.MULTILINE) == [verdict]
    sentence = f"**{verdict.capitalize()}.** "
    assert text.count(sentence) == 1
    assert f"({chapter}_" in text.split(sentence)[1], f"{row}: links to no {chapter}_*"


def idea_rows():
    section = prose_of(CHAPTERS / "A_claims_checked.ipynb").split("## 10 ")[1]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows[1:]]


@pytest.mark.parametrize("idea", IDEAS)
def test_the_map_places_every_idea(idea):
    assert any(idea in name for name, _ in idea_rows())


def test_the_map_names_the_chapter_it_links_to_and_owns_up_to_what_is_missing():
    written = {path.name[:2] for path in CHAPTERS.glob("[0-9]*.ipynb")}
    for idea, where in idea_rows():
        number = None
        for entry in re.split(r"[,;] (?=\[|\d\d)", where):
            link = re.fullmatch(
                r"\[(?:(\d\d), )?section (\d+)\]\((\d\d)_\S+#(\d+)-\S+\)", entry
            )
            if link:
                number = link[1] or number
                assert (number, link[2]) == (link[3], link[4]), f"{idea}: {entry}"
            else:
                missing = re.fullmatch(r"(\d\d), not yet written", entry)
                assert missing and missing[1] not in written, f"{idea}: {entry}"


def test_names_are_kept_in_one_place():
    source = (CHAPTERS / "B_notation.py").read_text(encoding="utf-8")
    guide = (CHAPTERS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "(chapters/B_notation.ipynb)" in guide
    for name in ("n_embd", "num_attention_heads", "dim_feedforward"):
        assert name in source and name not in guide


def test_the_crosswalk_is_shown_whole():
    path = CHAPTERS / "B_notation.ipynb"
    sources = ["".join(cell["source"]) for cell in cells_of(path)]
    [table] = [text for text in sources if text.startswith("CROSSWALK = ")]
    rows = table.split('"""')[1].strip().splitlines()
    outputs = [o for cell in cells_of(path) for o in cell.get("outputs", [])]
    shown = "".join("".join(o.get("data", {}).get("text/html", "")) for o in outputs)
    assert shown.count("<tr>") == len(rows) == 24
    for row in rows:
        assert all(f">{escape(cell.strip())}<" in shown for cell in row.split("|"))
