"""Models of a few thousand random weights with real tokenizers, made on the fly: ``python -m tests.support.pico FOLDER``."""

from __future__ import annotations

import json
import string
import sys
from collections import Counter
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from tests.support.tasks import FORMS, STUDY, definition, load_task

#: The words of QueryNER's entity types.
TYPE_WORDS = definition("ner").type_words

#: A pre-tokenizer whose pattern never ends on ordinary text: tokenizers, written in Rust, gives up with a panic.
ENDLESS_SPLIT = {"type": "Split", "pattern": {"Regex": r"(\w+\s?)+$x"}, "behavior": "Isolated", "invert": False}
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def corpus() -> list[str]:
    """Enough text for a tokenizer to know the words of prompts and answers."""
    prompts = [load_task(name).instruction(form) for name in STUDY for form in FORMS]
    return [*prompts, *(f" {word}" for word in [*TYPE_WORDS.values(), "none", "+"]), "red running shoes for men 12 pack"] * 3


def causal_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer like SmolLM2's, trained on the project's prompts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_causal(folder: Path) -> Path:
    """A random Llama of 2 layers, width 32, grouped-query attention and tied embeddings: a tiny SmolLM2."""
    tokenizer = causal_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.2,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_gpt2(folder: Path) -> Path:
    """A random GPT-2 of 2 layers and width 32 with dropout; its tokenizer has no padding token and no chat template."""
    pieces = json.loads(causal_tokenizer().backend_tokenizer.to_str())["model"]
    tokenizer = GPT2Tokenizer(vocab=pieces["vocab"], merges=[tuple(pair) for pair in pieces["merges"]])
    torch.manual_seed(0)
    end = tokenizer.eos_token_id
    sizes = {"n_positions": 1024, "n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), bos_token_id=end, eos_token_id=end, **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _word_pieces(number: int) -> list[str]:
    """Every letter, at the beginning of a word and inside it, and the most frequent words."""
    # by hand: the library's trainer makes other pieces each time
    split, normalize = pre_tokenizers.BertPreTokenizer().pre_tokenize_str, normalizers.BertNormalizer().normalize_str
    words = Counter(word for text in corpus() for word, _ in split(normalize(text)))
    letters = sorted({*string.ascii_lowercase, *string.digits, *(letter for word in words for letter in word)})
    whole = [word for word in sorted(words, key=lambda word: (-words[word], word)) if len(word) > 1]
    return [*letters, *(f"##{letter}" for letter in letters), *whole][:number]


def make_encoder(folder: Path) -> Path:
    """A random BERT of 2 layers and width 32 with a WordPiece tokenizer: a tiny MiniLM."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {piece: number for number, piece in enumerate([*special, *_word_pieces(600 - len(special))])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(special)
    places = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=places
    )
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(fast), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4)
    BertModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def make_deberta(folder: Path, tokenizer: Path) -> Path:
    """A random DeBERTa-v3 of 2 layers and width 32, with the tokenizer of another pico model."""
    fast = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        relative_attention=True,
        position_buckets=16,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
    )
    DebertaV2Model(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def seq2seq_tokenizer(form: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer that puts special tokens around text, according to the template ``form``."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    places = [(name, tokenizer.token_to_id(name)) for name in special]
    tokenizer.post_processor = processors.TemplateProcessing(single=form, special_tokens=places)
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], **names)


def make_t5(folder: Path) -> Path:
    """A random T5 of 2 layers and width 32; texts end with EOS, and the decoder starts from the padding token."""
    fast = seq2seq_tokenizer("$A </s>")
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(fast),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        pad_token_id=fast.pad_token_id,
        eos_token_id=fast.eos_token_id,
        decoder_start_token_id=fast.pad_token_id,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def make_bart(folder: Path) -> Path:
    """A random BART of 2 layers and width 32, with generation settings in config.json like bart-base's."""
    fast = seq2seq_tokenizer("<s> $A </s>")
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=len(fast),
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        bos_token_id=fast.bos_token_id,
        pad_token_id=fast.pad_token_id,
        eos_token_id=fast.eos_token_id,
        decoder_start_token_id=fast.eos_token_id,
        forced_eos_token_id=fast.eos_token_id,
    )
    BartForConditionalGeneration(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    written = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**written, "num_beams": 4, "no_repeat_ngram_size": 1, "min_length": 12}))
    return folder


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ".scratch/pico")
    make_causal(target / "causal")
    make_encoder(target / "encoder")
