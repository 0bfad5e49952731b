"""The prompts of a task, encoded once, with as many demonstrations as fit the model's context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ecomtune.core.config import TaskSettings
from ecomtune.core.records import Example
from ecomtune.inference.decoding.demonstrations import prompt_text
from ecomtune.inference.decoding.local_model import LocalModel
from ecomtune.messages.errors import UserError
from ecomtune.models.process import is_main_process
from ecomtune.models.tokenization import encode_prompt, encode_text
from ecomtune.tasks.base import Task


@dataclass(frozen=True)
class Prompt:
    """A prompt as text and as token ids, and the demonstrations that it shows."""

    text: str
    ids: tuple[int, ...]
    demonstrations: Sequence[Example] = ()


@dataclass(frozen=True)
class PromptedTask:
    """A task and its settings, and the model that is prompted with its rows."""

    task: Task
    settings: TaskSettings
    model: LocalModel

    def prompts(self, examples: Sequence[Example], demonstrations: Sequence[Sequence[Example]] = ()) -> list[Prompt]:
        """The prompt of each example behind its demonstrations; by default, no prompt has any.

        Where prompt and answer would exceed the context, the first demonstrations are left out, which are farthest from the
        question; how many prompts show fewer than intended is printed. Raises UserError naming the first example that doesn't
        fit, or not even with one demonstration; nothing is truncated.
        """
        intended = demonstrations or [()] * len(examples)
        prompts = [self._fitting(*pair) for pair in zip(examples, intended, strict=True)]
        fewer = sum(len(prompt.demonstrations) < len(each) for prompt, each in zip(prompts, intended, strict=True))
        if fewer and is_main_process():
            print(
                f"{self.task.name}: {fewer} of {len(examples)} test rows show fewer demonstrations than the system's shots: no "
                f"more fit the model's context of {self.model.context} tokens"
            )
        return prompts

    def _fitting(self, example: Example, demonstrations: Sequence[Example]) -> Prompt:
        """The prompt with as many demonstrations as fit. Raises UserError, see :meth:`prompts`."""
        answer_tokens, context = self._answer_tokens(example), self.model.context
        prompt = self._prompt(example, demonstrations)
        while len(prompt.demonstrations) > 1 and len(prompt.ids) + answer_tokens > context:
            prompt = self._prompt(example, prompt.demonstrations[1:])
        needed = len(prompt.ids) + answer_tokens
        if needed <= context:
            return prompt
        limit, remedy = f"tasks.{self.task.name}.max_new_tokens", "take the row out of the data set"
        if prompt.demonstrations:
            what, advice = "with one demonstration its prompt and answer", f"{limit}, set the system's shots to 0, or {remedy}"
        else:
            what, advice = "its prompt and answer", f"{limit}, or {remedy}"
        raise UserError(
            f"example {example.id}: {what} need up to {needed} tokens, the model's context has {context}; lower {advice}"
        )

    def _prompt(self, example: Example, demonstrations: Sequence[Example]) -> Prompt:
        text = prompt_text(self.task, self.settings.prompt, example.fields, demonstrations)
        return Prompt(text, encode_prompt(self.model.tokenizer, text), demonstrations)

    def _answer_tokens(self, example: Example) -> int:
        """The most tokens that an answer may have.

        Constrained tags repeat the words, whatever max_new_tokens says; a wrong tag may have more tokens than the right one,
        hence twice the target's.
        """
        if self.settings.decoding == "constrained" and self.task.decoder == "tags":
            return max(self.settings.max_new_tokens, 2 * len(encode_text(self.model.tokenizer, example.target)))
        return self.settings.max_new_tokens
