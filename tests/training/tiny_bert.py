"""A sentence encoder of 20,000 random weights with a vocabulary of a few words: the real code at no cost."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from training_jobs.content_bert.model import TextEncoder, TextModel

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = tuple("apple juice rye bread cheddar cheese green tea small medium large food acme".split())  # noqa: SIM905
WIDTH = 32


def tiny_text_model(seed: int = 3) -> TextModel:
    """Two layers of width 32."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    letters = [chr(code) for code in range(97, 123)] + [f"##{chr(code)}" for code in range(97, 123)]
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *WORDS, *letters))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    return TextModel(TextEncoder(BertModel(config).eval(), WIDTH).eval(), tokenizer)
