"""A local sentence-embedding model: its folder is read, pooled as it says, and words can be trained on it."""

import json
import sys

import pytest
import torch

from hybridwm.actions.latent.bodies import BodyMap
from hybridwm.actions.latent.grammar import vocabulary
from hybridwm.actions.latent.sentences import SentenceEmbedding
from hybridwm.training.latent_actions.words import train_words


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny one with random weights, laid out as sentence-transformers does."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("sentences")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(vocabulary())]
    (folder / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def pooling(folder, first):
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_cls_token": first}))


def test_phrases_become_unit_vectors_whatever_stands_beside_them(model):
    embed = SentenceEmbedding(model)
    both = embed(["turn left", "go forward please now"])
    assert both.shape == (2, embed.width) and torch.allclose(both.norm(dim=1), torch.ones(2), atol=1e-5)
    assert torch.allclose(embed(["turn left"])[0], both[0], atol=1e-5)  # padding is not pooled
    assert not torch.allclose(both[0], both[1], atol=1e-2)


def test_pooling_is_that_of_the_folder(model):
    mean = SentenceEmbedding(model)(["turn left"])
    pooling(model, True)
    first = SentenceEmbedding(model)(["turn left"])
    pooling(model, False)
    assert torch.allclose(SentenceEmbedding(model)(["turn left"]), mean)
    assert not torch.allclose(first, mean, atol=1e-2)


def test_words_are_trained_on_its_vectors(model):
    mixing = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    spoken = train_words(BodyMap(mixing, torch.linalg.pinv(mixing)), 5, 150, 0, SentenceEmbedding(model))
    assert spoken.any_words
    told = spoken.means(["turn left", "turn right"]).codes @ torch.linalg.pinv(mixing)
    assert told[0, 2] > 0 > told[1, 2]


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder with a sentence-embedding model"):
        SentenceEmbedding(tmp_path)


def test_without_the_extra_one_line_names_the_command(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pip install \"hybridwm\[monocular\]\""):
        SentenceEmbedding(model)
