"""Reading many rows behind one shared prefix gives the answers of plain forward passes over complete texts, row by row."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from ecomtune.core.config import TaskSettings
from ecomtune.core.metadata import base_model_folder
from ecomtune.core.records import Example
from ecomtune.inference.decoding import local_answers, local_model, row_attention
from ecomtune.inference.decoding.local_answers import answer_task
from ecomtune.inference.decoding.local_model import LocalModel, load_causal
from ecomtune.inference.decoding.prompts import PromptedTask
from ecomtune.inference.decoding.session import MIN_PREFIX, Session, SharedPrefix
from ecomtune.inference.decoding.strategies import Decoder, answer_labels, answer_tags, answer_texts
from ecomtune.messages.errors import UserError
from ecomtune.models.tokenization import encode_prompt, encode_text
from tests.support.pico import make_gpt2
from tests.support.tasks import load_task

Tokens = tuple[int, ...]

RELEVANCE, NER = load_task("relevance"), load_task("ner")
QUERIES = ["red running shoes", "blue mug", "12 pack socks", "hat", "green tea kettle for men", "wool", "red running shoes"]
#: Prompts that share an instruction, and prompts that begin with different letters.
ALIKE = [RELEVANCE.prompt({"query": query, "title": f"Acme {query}"}, "compact") for query in QUERIES]
UNLIKE = [f"{letter} {query}" for letter, query in zip("abcdefg", QUERIES, strict=True)]


class Pico:
    """A model and its tokenizer, and the answers that plain forward passes over complete sequences give."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer

    def decoder(self, batch_size: int = 3, progress: Callable[[int], None] = lambda rows: None) -> Decoder:
        return Decoder(self.model, self.tokenizer, batch_size, progress)

    def encoded(self, prompts: Sequence[str]) -> list[Tokens]:
        return [encode_prompt(self.tokenizer, prompt) for prompt in prompts]

    @torch.inference_mode()
    def state(self, tokens: Sequence[int]) -> Tensor:
        hidden: Tensor = self.model.base_model(input_ids=torch.tensor([list(tokens)])).last_hidden_state[0, -1]
        return hidden

    @torch.inference_mode()
    def scores(self, tokens: Sequence[int]) -> Tensor:
        logits: Tensor = self.model(input_ids=torch.tensor([list(tokens)])).logits[0, -1]
        return logits

    def choose(self, tokens: Sequence[int], options: Sequence[Tokens]) -> Tokens:
        """The option reached by taking, token after token, the likeliest one that some option continues with."""
        path: Tokens = ()
        while path not in options:
            following = sorted({option[len(path)] for option in options if option[: len(path)] == path})
            scores = self.scores([*tokens, *path])
            path = (*path, max(following, key=lambda token: float(scores[token])))
        return path

    def label(self, prompt: str, labels: Sequence[str]) -> str:
        options = {encode_text(self.tokenizer, label): label for label in labels}
        return options[self.choose(encode_prompt(self.tokenizer, prompt), list(options))]

    def tags(self, prompt: str, words: Sequence[str]) -> list[str]:
        """Each step reads the complete answer so far, tokenized again as one text."""
        chosen: list[str] = []
        for place, word in enumerate(words):
            lines = [f"{before} {tag}\n" for before, tag in zip(words[:place], chosen, strict=True)]
            read = [*encode_prompt(self.tokenizer, prompt), *encode_text(self.tokenizer, "".join([*lines, word]))]
            options = {
                encode_text(self.tokenizer, f" {tag}"): tag for tag in NER.answer_choices(chosen[-1] if chosen else None)
            }
            chosen.append(options[self.choose(read, list(options))])
        return chosen

    @torch.inference_mode()
    def text(self, prompt: str, max_new_tokens: int) -> Tokens:
        """transformers' own greedy generation of this row alone."""
        ids = torch.tensor([encode_prompt(self.tokenizer, prompt)])
        output = self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=self.tokenizer.eos_token_id,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        return tuple(output[0, ids.shape[1] :].tolist())

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True)).strip()


def load(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=row_attention.NAME).eval()


@pytest.fixture(scope="module")
def pico(pico_causal: Path) -> Pico:
    """The pico model with a separate head whose bias makes it end its answers sooner or later."""
    model, tokenizer = load(pico_causal), AutoTokenizer.from_pretrained(pico_causal)
    head = torch.nn.Linear(model.config.hidden_size, model.config.vocab_size)
    head.weight.data.copy_(model.lm_head.weight)
    head.bias.data.zero_()
    head.bias.data[tokenizer.eos_token_id] = 3
    model.lm_head = head
    return Pico(model, tokenizer)


@pytest.fixture(scope="module")
def plain(pico: Pico) -> Pico:
    """The same without a chat template, so that prompts may share no prefix at all."""
    tokenizer = copy.deepcopy(pico.tokenizer)
    tokenizer.chat_template = None
    return Pico(pico.model, tokenizer)


# Sessions.


def start(pico: Pico, prompts: Sequence[Tokens], room: int) -> Session:
    prefix = SharedPrefix(pico.model, prompts)
    session = Session(pico.model, prefix, len(prompts), room)
    session.feed([prompt[len(prefix.ids) :] for prompt in prompts])
    return session


def check_states(pico: Pico, session: Session, texts: Sequence[Sequence[int]]) -> None:
    expected = torch.stack([pico.state(text) for text in texts])
    torch.testing.assert_close(session.hidden, expected, rtol=1e-4, atol=1e-4)


PIECE = st.lists(st.integers(0, 699), max_size=4)


@settings(max_examples=30)
@given(data=st.data(), room=st.integers(0, 20), max_scores=st.sampled_from([0, 300, row_attention.MAX_SCORES]))
def test_rows_fed_in_pieces_have_the_state_of_one_forward_pass(
    pico: Pico, data: st.DataObject, room: int, max_scores: int
) -> None:
    with patch.object(row_attention, "MAX_SCORES", max_scores):  # both kinds of attention, and a change from one to the other
        check_pieces(pico, data, room)


def check_pieces(pico: Pico, data: st.DataObject, room: int) -> None:
    stem = data.draw(st.lists(st.integers(0, 699), max_size=2 * MIN_PREFIX))
    own = data.draw(st.lists(PIECE.filter(len), min_size=1, max_size=4))
    texts = [[*stem, *row] for row in own]
    session = start(pico, [tuple(text) for text in texts], room)
    check_states(pico, session, texts)
    for _ in range(data.draw(st.integers(1, 4))):
        if data.draw(st.booleans()):
            places = data.draw(st.lists(st.sampled_from(range(len(texts))), min_size=1, unique=True))
            session.keep(places)
            texts = [texts[place] for place in places]
        pieces = data.draw(st.lists(PIECE, min_size=len(texts), max_size=len(texts)))
        session.feed(pieces)
        texts = [[*text, *piece] for text, piece in zip(texts, pieces, strict=True)]
        check_states(pico, session, texts)


def test_a_model_loaded_with_another_attention_is_refused(pico_causal: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(pico_causal)
    with pytest.raises(ValueError, match="rows_behind_prefix"):
        SharedPrefix(model, [(1, 2)])


def test_a_session_leaves_the_shared_prefix_as_it_is(pico: Pico) -> None:
    prompts = [encode_prompt(pico.tokenizer, prompt) for prompt in ALIKE]
    prefix = SharedPrefix(pico.model, prompts)
    assert len(prefix.ids) >= MIN_PREFIX
    for room in (0, 100):
        for _ in range(2):
            session = Session(pico.model, prefix, len(prompts), room)
            session.feed([prompt[len(prefix.ids) :] for prompt in prompts])
            session.feed([(5, 6)] * len(prompts))
            check_states(pico, session, [(*prompt, 5, 6) for prompt in prompts])


def test_the_next_tokens_scores_are_the_models_own(pico: Pico) -> None:
    prompts = [encode_prompt(pico.tokenizer, prompt) for prompt in ALIKE]
    session = start(pico, prompts, room=0)
    expected = torch.stack([pico.scores(prompt) for prompt in prompts])
    torch.testing.assert_close(session.logits(), expected, rtol=1e-4, atol=1e-4)
    allowed = torch.tensor([7, pico.tokenizer.eos_token_id, 44])
    torch.testing.assert_close(session.logits(allowed), expected[:, allowed], rtol=1e-4, atol=1e-4)


def without_beginnings(options: set[Tokens]) -> list[Tokens]:
    return sorted(one for one in options if not any(other != one and other[: len(one)] == one for other in options))


@settings(max_examples=25)
@given(
    options=st.lists(
        st.sets(st.lists(st.integers(10, 13), min_size=1, max_size=5).map(tuple), min_size=1, max_size=6).map(
            without_beginnings
        ),
        min_size=1,
        max_size=3,
    )
)
def test_a_choice_is_the_greedy_path_through_a_rows_own_options(pico: Pico, options: list[list[Tokens]]) -> None:
    prompts = [encode_prompt(pico.tokenizer, prompt) for prompt in ALIKE[: len(options)]]
    session = start(pico, prompts, room=0)
    chosen, unread = session.choose(options)
    assert chosen == [pico.choose(prompt, row) for prompt, row in zip(prompts, options, strict=True)]
    session.feed(unread)  # a choice says what it has left unread
    check_states(pico, session, [(*prompt, *option) for prompt, option in zip(prompts, chosen, strict=True)])


# Labels.

#: Labels of which four begin alike, two of them for several tokens.
TANGLED = ["red running shoes for men", "red running shoes for women", "red running pack", "red 12", "pack"]


@pytest.mark.parametrize("labels", [list(RELEVANCE.labels), TANGLED], ids=["labels", "tangled"])
def test_labels_are_those_of_a_greedy_search_by_plain_forwards(pico: Pico, labels: list[str]) -> None:
    found = answer_labels(pico.decoder(), pico.encoded(ALIKE), labels)
    assert found == [pico.label(prompt, labels) for prompt in ALIKE]
    assert len(set(found)) > 1


def test_labels_that_begin_alike_share_their_first_tokens(pico: Pico) -> None:
    first = [encode_text(pico.tokenizer, label) for label in TANGLED]
    assert len({tokens[0] for tokens in first}) == 2
    assert first[0][:3] == first[1][:3]


@settings(max_examples=15)
@given(
    labels=st.lists(
        st.sampled_from(["red", "shoes", "men", "pack", "12", "running", "blue", "hat"]), min_size=1, max_size=5, unique=True
    )
)
def test_a_label_is_never_outside_the_set(pico: Pico, labels: list[str]) -> None:
    assert set(answer_labels(pico.decoder(4), pico.encoded(ALIKE), labels)) <= set(labels)


def test_labels_of_prompts_that_share_no_prefix(plain: Pico) -> None:
    found = answer_labels(plain.decoder(), plain.encoded(UNLIKE), TANGLED)
    assert found == [plain.label(prompt, TANGLED) for prompt in UNLIKE]


# Tags.

WORDS = [query.split() for query in QUERIES]
TAG_PROMPTS = [NER.prompt({"words": words}, "compact") for words in WORDS]


def tags_of(pico: Pico, prompts: Sequence[str], words: Sequence[list[str]]) -> list[list[str]]:
    return answer_tags(pico.decoder(), pico.encoded(prompts), words, NER.answer_choices)


def test_tags_are_those_of_plain_forwards_over_the_forced_words(pico: Pico) -> None:
    found = tags_of(pico, TAG_PROMPTS, WORDS)
    assert found == [pico.tags(prompt, words) for prompt, words in zip(TAG_PROMPTS, WORDS, strict=True)]
    assert len({tag for tags in found for tag in tags}) > 3


def test_tags_of_prompts_that_share_no_prefix(plain: Pico) -> None:
    assert tags_of(plain, UNLIKE, WORDS) == [plain.tags(*pair) for pair in zip(UNLIKE, WORDS, strict=True)]


QUERY = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=5), min_size=1, max_size=6
)


@settings(max_examples=15)
@given(queries=st.lists(QUERY, min_size=1, max_size=4))
def test_tags_of_any_words_parse_back_as_valid_iob2(pico: Pico, queries: list[list[str]]) -> None:
    prompts = [NER.prompt({"words": words}, "compact") for words in queries]
    for words, tags in zip(queries, tags_of(pico, prompts, queries), strict=True):
        parsed = NER.parse("\n".join(f"{word} {tag}" for word, tag in zip(words, tags, strict=True)), {"words": words})
        assert parsed is not None
        assert len(parsed) == len(words)
        for before, tag in zip(["O", *parsed], parsed, strict=False):
            assert not tag.startswith("I-") or before[1:] == tag[1:]


# Free text.


@pytest.mark.parametrize("limit", [1, 4, 24])
def test_texts_are_those_of_transformers_greedy_generation(pico: Pico, limit: int) -> None:
    found = answer_texts(pico.decoder(), pico.encoded(ALIKE), limit)
    assert found == [pico.decode(pico.text(prompt, limit)) for prompt in ALIKE]


def test_texts_end_at_eos_or_at_max_new_tokens(pico: Pico) -> None:
    expected = [pico.text(prompt, 24) for prompt in UNLIKE]
    ends = {len(tokens) for tokens in expected if tokens[-1] == pico.tokenizer.eos_token_id}
    assert len(ends) > 2
    assert {len(tokens) for tokens in expected} - ends == {24}
    assert answer_texts(pico.decoder(7), pico.encoded(UNLIKE), 24) == [pico.decode(tokens) for tokens in expected]


def test_texts_of_prompts_that_share_no_prefix(plain: Pico) -> None:
    found = answer_texts(plain.decoder(), plain.encoded(UNLIKE), 24)
    assert found == [plain.decode(plain.text(prompt, 24)) for prompt in UNLIKE]


# GPT-2: learned positions, a key head for each query head, no padding token.


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Pico:
    folder = make_gpt2(tmp_path_factory.mktemp("pico") / "gpt2")
    return Pico(load(folder), AutoTokenizer.from_pretrained(folder))


@pytest.mark.parametrize("prompts", [ALIKE, UNLIKE, ALIKE[:1]], ids=["alike", "unlike", "one"])
def test_gpt2_gives_the_answers_of_plain_forwards(gpt2: Pico, prompts: list[str]) -> None:
    labels = answer_labels(gpt2.decoder(), gpt2.encoded(prompts), TANGLED)
    assert labels == [gpt2.label(prompt, TANGLED) for prompt in prompts]
    texts = answer_texts(gpt2.decoder(), gpt2.encoded(prompts), 12)
    assert texts == [gpt2.decode(gpt2.text(prompt, 12)) for prompt in prompts]
    words = WORDS[: len(prompts)]
    assert tags_of(gpt2, prompts, words) == [gpt2.tags(*pair) for pair in zip(prompts, words, strict=True)]


# All three.

#: The answers to some rows, by their numbers.
Strategy = Callable[[Decoder, Pico, Sequence[int]], list[Any]]


def labels_by(decoder: Decoder, pico: Pico, rows: Sequence[int]) -> list[Any]:
    return answer_labels(decoder, pico.encoded([ALIKE[row] for row in rows]), TANGLED)


def tags_by(decoder: Decoder, pico: Pico, rows: Sequence[int]) -> list[Any]:
    prompts = pico.encoded([TAG_PROMPTS[row] for row in rows])
    return answer_tags(decoder, prompts, [WORDS[row] for row in rows], NER.answer_choices)


def texts_by(decoder: Decoder, pico: Pico, rows: Sequence[int]) -> list[Any]:
    return answer_texts(decoder, pico.encoded([ALIKE[row] for row in rows]), 12)


STRATEGIES = pytest.mark.parametrize("strategy", [labels_by, tags_by, texts_by])
ROWS = list(range(len(QUERIES)))


@STRATEGIES
def test_answers_do_not_depend_on_the_batch_size(pico: Pico, strategy: Strategy) -> None:
    alone = strategy(pico.decoder(1), pico, ROWS)
    for batch_size in (2, 3, 100):
        assert strategy(pico.decoder(batch_size), pico, ROWS) == alone


@STRATEGIES
def test_answers_do_not_depend_on_the_order_or_the_number_of_rows(pico: Pico, strategy: Strategy) -> None:
    expected = strategy(pico.decoder(), pico, ROWS)
    for rows in ([6, 2, 4, 0, 1, 5, 3], [3, 1], [5], []):
        assert strategy(pico.decoder(), pico, rows) == [expected[row] for row in rows]


@STRATEGIES
def test_progress_counts_every_row_once(pico: Pico, strategy: Strategy) -> None:
    counts: list[int] = []
    strategy(pico.decoder(3, counts.append), pico, ROWS)
    assert sum(counts) == len(ROWS)


@STRATEGIES
def test_the_shared_prefix_is_read_once_for_all_batches(pico: Pico, strategy: Strategy) -> None:
    read: dict[int, list[int]] = {1: [], 2: [], 100: []}
    for batch_size, tokens in read.items():
        embedding = pico.model.get_input_embeddings()
        handle = embedding.register_forward_hook(lambda _module, inputs, _output, into=tokens: into.append(inputs[0].numel()))
        strategy(pico.decoder(batch_size), pico, ROWS)
        handle.remove()
        assert tokens[0] > 50
    assert sum(read[1]) == sum(read[2]) == sum(read[100])  # no padding either


# Complete tasks, from files.


def task_settings(**changes: Any) -> TaskSettings:
    return TaskSettings(
        dataset="demo_shop", train_size=1, validation_size=0, test_size=1, max_new_tokens=6, batch_size=4
    ).model_copy(update=changes)


def examples_of(name: str) -> list[Example]:
    task = load_task(name)
    fields_by_task: dict[str, Callable[[str], dict[str, str | list[str]]]] = {
        "relevance": lambda query: {"query": query, "title": f"Acme {query}"},
        "ner": lambda query: {"words": query.split()},
        "summarization": lambda query: {"reviews": [query, "soft"]},
    }
    found = []
    for place, query in enumerate(QUERIES):
        fields = fields_by_task[name](query)
        prompt = task.prompt(fields, "compact")
        found.append(
            Example(
                id=f"{name}-{place}", task=name, prompt=prompt, target="", reference="", fields=fields, group=query, source=""
            )
        )
    return found


def answers_of(name: str, base: Path, adapter: Path | None = None, rows: int = len(QUERIES), **changes: Any) -> list[str]:
    return answers_to(examples_of(name)[:rows], LocalModel(base, adapter), **changes)


def answers_to(examples: Sequence[Example], model: LocalModel, **changes: Any) -> list[str]:
    asked = PromptedTask(load_task(examples[0].task), task_settings(**changes), model)
    return answer_task(asked, examples, asked.prompts(examples))


@pytest.fixture(scope="module")
def adapters(pico_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two adapters with other weights."""
    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = get_peft_model(load(pico_causal), LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "up_proj"]))
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight)
        folders.append(tmp_path_factory.mktemp("adapters") / str(seed))
        model.save_pretrained(folders[-1])
    return folders


@pytest.mark.usefixtures("workplace")
def test_a_label_task_is_answered_by_its_labels(pico_causal: Path) -> None:
    own = Pico(load(pico_causal), AutoTokenizer.from_pretrained(pico_causal))
    expected = [own.label(example.prompt, RELEVANCE.labels) for example in examples_of("relevance")]
    assert answers_of("relevance", pico_causal) == expected


@pytest.mark.usefixtures("workplace")
def test_a_tag_task_is_answered_by_lines_that_parse(pico_causal: Path) -> None:
    own = Pico(load(pico_causal), AutoTokenizer.from_pretrained(pico_causal))
    for example, words, answer in zip(examples_of("ner"), WORDS, answers_of("ner", pico_causal), strict=True):
        tags = own.tags(example.prompt, words)
        assert answer == "\n".join(f"{word} {tag}" for word, tag in zip(words, tags, strict=True))
        assert NER.parse(answer, example.fields) is not None


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(("name", "decoding"), [("summarization", "constrained"), ("relevance", "free"), ("ner", "free")])
def test_a_text_task_and_any_task_decoded_freely_are_answered_by_greedy_text(
    pico_causal: Path, name: str, decoding: str
) -> None:
    own = Pico(load(pico_causal), AutoTokenizer.from_pretrained(pico_causal))
    expected = [own.decode(own.text(example.prompt, 6)) for example in examples_of(name)]
    assert answers_of(name, pico_causal, decoding=decoding) == expected


@pytest.mark.usefixtures("workplace")
def test_an_adapters_answers_are_those_of_its_plain_peft_model(pico_causal: Path, adapters: list[Path]) -> None:
    model = PeftModel.from_pretrained(load(pico_causal), adapters[0]).get_base_model().eval()
    own = Pico(model, AutoTokenizer.from_pretrained(pico_causal))
    expected = [own.decode(own.text(example.prompt, 6)) for example in examples_of("summarization")]
    assert answers_of("summarization", pico_causal, adapters[0]) == expected
    assert answers_of("summarization", pico_causal) != expected


def cached() -> list[Path]:
    return sorted(Path(".scratch/answers").iterdir())


@pytest.mark.usefixtures("workplace")
def test_the_same_question_is_answered_again_without_loading_the_model(
    pico_causal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = answers_of("relevance", pico_causal)

    def load_causal(*_: Any) -> Any:
        raise UserError("the model was loaded")

    monkeypatch.setattr(local_model, "load_causal", load_causal)
    assert answers_of("relevance", pico_causal) == first
    with pytest.raises(UserError, match="the model was loaded"):
        answers_of("relevance", pico_causal, rows=3)


@pytest.mark.usefixtures("workplace")
def test_cached_answers_are_taken_as_they_are(pico_causal: Path) -> None:
    answers = answers_of("ner", pico_causal)
    (file,) = cached()
    other = ["é", *answers[1:]]
    file.write_text(json.dumps(other), encoding="utf-8")
    assert answers_of("ner", pico_causal) == other
    for broken in ("[]", "{}", "null", "[1, 2]", '["é"]', "", '["é', b"\xff["):
        file.write_bytes(broken if isinstance(broken, bytes) else broken.encode())
        assert answers_of("ner", pico_causal) == answers


@pytest.mark.usefixtures("workplace")
def test_other_code_answers_anew(pico_causal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers_of("ner", pico_causal)
    monkeypatch.setattr(local_answers, "code_hashes", lambda stage: {"inference/answering.py": "other"})
    answers_of("ner", pico_causal)
    assert len(cached()) == 2


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("broken", ["renamed", "lacking", "nan", "cut", "gone"])
def test_an_incomplete_adapter_is_refused(pico_causal: Path, adapters: list[Path], broken: str) -> None:
    folder = Path(shutil.copytree(adapters[0], "adapter"))
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    first = min(tensors)
    if broken == "renamed":
        tensors = {f"{name}x": tensor for name, tensor in tensors.items()}
    elif broken == "lacking":
        del tensors[first]
    elif broken == "nan":
        tensors[first] = tensors[first] * torch.nan
    save_file(tensors, file)
    if broken == "cut":
        file.write_bytes(file.read_bytes()[:-10])
    elif broken == "gone":
        file.unlink()
    with pytest.raises(UserError, match=r"adapter is missing or broken \(.*\); remove it and run dvc repro"):
        load_causal(pico_causal, folder)


@pytest.mark.parametrize(
    "content", ["[]", "{", "{}", '{"base_model_name_or_path": null}', '{"base_model_name_or_path": ["x"]}']
)
def test_an_invalid_adapter_config_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "adapter_config.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"adapter_config\.json is missing or broken \(.*\); remove it and run dvc repro"):
        base_model_folder(tmp_path)


def test_broken_base_weights_are_refused(pico_causal: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(pico_causal, tmp_path / "base"))
    (base / "model.safetensors").write_bytes((base / "model.safetensors").read_bytes()[:-10])
    with pytest.raises(UserError, match=r"base/model\.safetensors is missing or broken"):
        load_causal(base, None)


@pytest.mark.parametrize("edit", [{"num_hidden_layers": 1}, {"model_type": "gpt_neox"}], ids=["a layer less", "another kind"])
def test_base_weights_that_do_not_fit_their_settings_are_refused(
    pico_causal: Path, tmp_path: Path, edit: dict[str, Any]
) -> None:
    base = Path(shutil.copytree(pico_causal, tmp_path / "base"))
    settings = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**settings, **edit}))
    with pytest.raises(UserError, match=r"base is missing or broken \((its config leaves out layers|weights .* are missing)"):
        load_causal(base, None)


@pytest.mark.usefixtures("workplace")
def test_other_weights_answer_anew(pico_causal: Path, adapters: list[Path]) -> None:
    same = Path("same")
    shutil.copytree(adapters[0], same)
    for adapter, number in [(None, 1), (adapters[0], 2), (adapters[1], 3), (same, 3)]:
        answers_of("relevance", pico_causal, adapter)
        assert len(cached()) == number
    other = Path("other")
    shutil.copytree(pico_causal, other)
    config = other / "config.json"
    config.write_bytes(config.read_bytes() + b"\n")
    answers_of("relevance", other)
    assert len(cached()) == 4


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    "changes", [{"rows": 6}, {"decoding": "free"}, {"max_new_tokens": 7}, {"batch_size": 5}], ids=lambda changes: str(*changes)
)
def test_another_question_is_answered_anew(pico_causal: Path, changes: dict[str, Any]) -> None:
    answers_of("relevance", pico_causal)
    answers_of("relevance", pico_causal, **changes)
    assert len(cached()) == 2


@pytest.mark.usefixtures("workplace")
def test_an_adapter_knows_its_base() -> None:
    adapter, base = Path("adapter"), Path("models/pretrained/pico")
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(f'{{"base_model_name_or_path": "{base.as_posix()}"}}', encoding="utf-8")
    with pytest.raises(UserError, match="adapter was trained on models/pretrained/pico, which is missing"):
        base_model_folder(adapter)
    base.mkdir(parents=True)
    assert base_model_folder(adapter) == base


@pytest.mark.usefixtures("workplace")
def test_a_model_is_loaded_once_for_several_tasks(pico_causal: Path) -> None:
    shutil.copytree(pico_causal, "base")
    model = LocalModel(Path("base"))
    for name in ("relevance", "ner"):
        found = answers_to(examples_of(name), model)
        (Path("base") / "model.safetensors").unlink(missing_ok=True)
        assert found == answers_of(name, pico_causal)


@pytest.mark.usefixtures("workplace")
def test_a_prompt_that_leaves_no_room_for_its_answer_is_refused_with_its_example(pico_causal: Path) -> None:
    with pytest.raises(UserError, match=r"example summarization-0: its prompt and answer need up to \d+ tokens, .* has 2048; "):
        answers_of("summarization", pico_causal, max_new_tokens=2048)


@pytest.mark.usefixtures("workplace")
def test_the_words_that_tags_repeat_count_whatever_max_new_tokens_says(pico_causal: Path) -> None:
    task, (first, *_) = load_task("ner"), examples_of("ner")
    words = ["red"] * 800
    fields: dict[str, str | list[str]] = {"words": words}
    long = first.model_copy(
        update={"fields": fields, "prompt": task.prompt(fields, "compact"), "target": task.target(fields, ["O"] * 800)}
    )
    with pytest.raises(UserError, match="example ner-0: its prompt and answer need up to"):
        answers_to([long], LocalModel(pico_causal), max_new_tokens=1)
