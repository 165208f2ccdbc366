"""Phrases by a local sentence-embedding model: a folder as sentence-transformers keeps it. Extra [monocular]."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from render import FormatError


class SentenceEmbedding:
    """Pools the last layer of a transformer of Hugging Face over a phrase's tokens, by their mean or by the first one,
    as the folder's 1_Pooling/config.json says (the mean where it says nothing), to unit length. Loads nothing from
    anywhere but the folder.

    Raises ImportError with the command that installs what is missing, FileNotFoundError, FormatError.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / "config.json").is_file():
            raise FileNotFoundError(
                f"{folder}: expected a folder with a sentence-embedding model (config.json, its tokenizer and "
                "weights); found no config.json. Give the folder of a model that was downloaded before."
            )
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError:
            raise ImportError(
                'sentence embeddings: expected transformers; it is not installed. pip install "hybridwm[monocular]"'
            ) from None
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            model: Any = AutoModel.from_pretrained(self.folder, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError, KeyError) as error:
            found = " ".join(str(error).split())[:160]
            raise FormatError(self.folder, "a model that transformers reads", found, "copy it again") from None
        self.model = model.eval().requires_grad_(False)
        self.width = int(self.model.config.hidden_size)
        self.first = _first_token(self.folder / "1_Pooling" / "config.json")

    @torch.no_grad()
    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "N w"]:
        found = []
        for start in range(0, len(texts), 64):
            read = self.tokenizer(list(texts[start : start + 64]), padding=True, truncation=True, return_tensors="pt")
            tokens = self.model(**read).last_hidden_state
            mask = read["attention_mask"][..., None].to(tokens)
            found.append(tokens[:, 0] if self.first else (tokens * mask).sum(1) / mask.sum(1).clamp(min=1))
        return torch.nn.functional.normalize(torch.cat(found), dim=-1)


def _first_token(config: Path) -> bool:
    """Whether the pooling is that of the first token."""
    if not config.is_file():
        return False
    try:
        return bool(json.loads(config.read_text(encoding="utf-8")).get("pooling_mode_cls_token", False))
    except (ValueError, AttributeError) as error:
        raise FormatError(config, "the JSON of a pooling", str(error), "copy the model again") from None
