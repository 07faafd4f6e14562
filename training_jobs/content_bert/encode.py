"""Texts to vectors in bulk: each distinct text once, in batches of similar length, on one thread.

Sorting by length matters more than the batch size: without it a batch is padded to its longest text.
T distinct texts, B texts of a batch, L its longest length in tokens, C content width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from recommender.domain.models.arrays import Floats
from tokenizers import Tokenizer
from tqdm import tqdm

from training_jobs.content_bert.model import TextEncoder, TextModel

Tokens = NDArray[np.int64]
EncodeBatch = Callable[[Tokens, Tokens], Floats]  # input_ids, attention_mask (B, L) -> (B, C)

MAX_TOKENS = 32


def encode_texts(
    model: TextModel, texts: Sequence[str], *, max_tokens: int = MAX_TOKENS, batch_size: int = 64, label: str = "encode"
) -> Floats:
    """Unit vectors (len(texts), C) of the texts by the PyTorch model."""
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
    """Unit vectors (len(texts), C) by any encoder; equal texts are encoded once."""
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
