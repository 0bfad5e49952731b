"""A system's adapter as others load it: a plain PEFT folder or a plain transformers model, with a model card."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from safetensors import safe_open

from ecomtune.adapters.factors import load_adapter
from ecomtune.core.adapter_files import is_plain, read_config
from ecomtune.core.config import Model
from ecomtune.core.config.params import Params, model_folder
from ecomtune.core.files import dump_json, read_json
from ecomtune.core.metadata import base_model_folder, missing_scores
from ecomtune.core.paths import ADAPTER_CONFIG, ADAPTER_WEIGHTS, ADAPTERS, MERGED, PRETRAINED, examples_file, metrics_file
from ecomtune.core.records import Example, read_records
from ecomtune.messages.errors import UserError, reading, writing
from ecomtune.models.process import prepare
from ecomtune.runs.roles import adapters_of


def export(params: Params, system: str, task: str | None, folder: Path, merged: bool) -> None:
    """Write the adapter by which ``system`` answers ``task``, or with ``merged`` the whole model, into ``folder``.

    Without a task it is the one adapter by which the system answers all of its tasks. Raises UserError where the system has no
    such adapter, it isn't there, or the folder holds something.
    """
    answered = tasks_of(params, system, task)
    adapter = _adapter_of(params, system, answered[0])
    folder = folder.resolve()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"{there} is a file; name a folder with --out that is empty, or not there yet")
    if there == folder and any(folder.iterdir()):
        raise UserError(f"{folder} is there already and not empty; name another folder with --out")
    model = params.models[params.train.shared.model]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".ecomtune-") as work:  # beside it: a rename stays on one disk
        made = Path(work) / folder.name
        made.mkdir()
        if merged:
            with writing(folder):
                _write_merged(adapter, made, params.train.shared.threads)
        else:
            _write_adapter(adapter, made, model)
        (made / "README.md").write_text(card(params, system, answered, merged), encoding="utf-8")
        made.replace(folder)


def tasks_of(params: Params, system: str, task: str | None) -> Sequence[str]:
    """The tasks that the exported adapter answers: ``task``, or without one all of the system's, where one adapter does.

    Raises UserError where the system has no adapter for it, or several adapters and no task is named.
    """
    found = params.systems.get(system)
    if found is None or found.kind != "adapter":
        have = ", ".join(name for name, each in params.systems.items() if each.kind == "adapter") or "none"
        raise UserError(f"systems of params.yaml have no {system!r} with an adapter to export; name one of: {have}")
    if task is not None and task not in found.tasks:
        raise UserError(f"system {system} doesn't answer {task!r}; name a task of its own: {', '.join(found.tasks)}")
    if task is None and len({model_folder(found, each, params) for each in found.tasks}) > 1:
        raise UserError(f"system {system} has an adapter for each task; name one with --task: {', '.join(found.tasks)}")
    return found.tasks if task is None else (task,)


def _adapter_of(params: Params, system: str, task: str) -> Path:
    adapter = Path(model_folder(params.systems[system], task, params))
    if not (adapter / ADAPTER_CONFIG).is_file():
        raise UserError(f"{adapter} isn't there; run dvc repro, or dvc checkout where it has run before")
    return adapter


def _write_adapter(adapter: Path, folder: Path, model: Model) -> None:
    """The adapter's files; a base from the hub is named by its id there, any other by its folder in this repository.

    Raises UserError where its config or weights are cut or broken.
    """
    config = read_config(adapter)
    if is_plain(adapter):
        load_adapter(adapter)  # which checks all that can be checked without its base
    else:
        with reading(adapter), safe_open(adapter / ADAPTER_WEIGHTS, framework="np"):
            pass  # opening it compares the file's length with its header
    for file in sorted(adapter.iterdir()):
        shutil.copyfile(file, folder / file.name)
    if model.source == "hub":
        config |= {"base_model_name_or_path": model.name, "revision": model.version}
        (folder / ADAPTER_CONFIG).write_text(dump_json(config), encoding="utf-8")


def _write_merged(adapter: Path, folder: Path, threads: int) -> None:
    prepare(threads)
    from transformers import AutoTokenizer

    from ecomtune.inference.decoding.local_model import load_causal

    base = base_model_folder(adapter)
    load_causal(base, adapter).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = tokenizer.chat_template or plain_chat(tokenizer)
    tokenizer.save_pretrained(folder)


def plain_chat(tokenizer: Any) -> str:
    """A chat template by which a server, which takes only chats, asks in the plain form that the model was tuned in."""
    first = tokenizer.bos_token if tokenizer("\n")["input_ids"][0] == tokenizer.bos_token_id else ""
    return f"{first}{{% for message in messages %}}{{{{ message['content'] }}}}\n{{% endfor %}}"


def card(params: Params, system: str, answered: Sequence[str], merged: bool) -> str:
    """The model card: what it was made from and how, its licences, an example of each task that it learnt, and its metrics.

    ``answered`` are the tasks that it answers. Raises UserError where the training examples in data/examples are broken;
    without any, the card has none.
    """
    model = params.models[params.train.shared.model]
    source = f"{model.name or model.folder} {model.version}".strip()
    data = {params.tasks[each].dataset for each in params.systems[system].tasks}
    head = {"library_name": "transformers" if merged else "peft", "license": model.licence, "tags": ["ecomtune", *answered]}
    several = len(answered) > 1
    forms = "; ".join(f"task `{task}` (prompts: `{params.tasks[task].prompt}` form)" for task in answered)
    chosen = f"--system {system}{'' if several else f' --task {answered[0]}'}{' --merged' if merged else ''} --out FOLDER"
    return "\n".join(
        [
            "---",
            yaml.safe_dump(head, sort_keys=True).strip(),
            "---",
            "",
            f"# {system}: {', '.join(answered)}",
            "",
            f"Made by ecomtune: system `{system}`, {forms}.",
            "",
            f"- Base: {source} ({model.licence})",
            *(f"- Data: {_data(params, name)}" for name in sorted(data)),
            f"- Adapter: {_made(params, model_folder(params.systems[system], answered[0], params))}",
            *(["- Serve: `transformers serve .`, which takes its prompts as chat messages"] if merged else []),
            f"- Command: `dvc repro`, then `ecomtune export {chosen}`",
            "",
            "```python",
            *_asking(params, merged, max(params.tasks[task].max_new_tokens for task in answered)),
            "```",
            "",
            *_examples(params, system, answered[0]),
            "| metric | value | interval |",
            "|---|---|---|",
            *(row for task in answered for row in _metrics(system, task, params.score.confidence, several)),
            "",
        ]
    )


def _examples(params: Params, system: str, task: str) -> Iterator[str]:
    """For each task that the adapter, or those that were merged into it, learnt: its first training row, where it is there."""
    learnt = {name for adapter in adapters_of(params, system, task) for name in params.train.adapters[adapter].tasks}
    how = "the one message of the model's chat form" if _is_chat(params) else "followed by a line break"
    for name in sorted(learnt):
        file = examples_file(name, "train")
        for example in read_records(file, Example, 1) if file.is_file() else []:
            yield f"A prompt of {name}, from its training rows ({how}):"
            yield from ("", *_fenced(example.prompt), "", "The answer to it, in the form that all answers have:", "")
            yield from (*_fenced(example.target), "")


def _fenced(text: str) -> list[str]:
    """A text as a block of code in Markdown, between fences longer than any of its own."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return [f"{fence}text", text, fence]


def _is_chat(params: Params) -> bool:
    """Whether the base was asked in a chat form: where its parameters allow it, and its tokenizer has one."""
    base = params.train.shared.model
    folder = PRETRAINED / base
    return params.models[base].chat and (not folder.is_dir() or (folder / "chat_template.jinja").is_file())


def _asking(params: Params, merged: bool, tokens: int) -> list[str]:
    """How to load it, in the folder that holds it, and ask it; a base that isn't on the hub lies in this repository alone."""
    base = params.train.shared.model
    model = params.models[base]
    place = model.name if model.source == "hub" else f"REPOSITORY/models/pretrained/{base}"  # where ecomtune's clone lies
    chat = '[{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=True, return_tensors="pt"'
    loaded = "AutoModelForCausalLM.from_pretrained(base)"
    return [
        *([] if merged else ["from peft import PeftModel"]),
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'base = "{"." if merged else place}"',
        "tokenizer = AutoTokenizer.from_pretrained(base)",
        f"model = {loaded}" if merged else f'model = PeftModel.from_pretrained({loaded}, ".")',
        'prompt = "PROMPT"  # in the form of those below',
        f"inputs = tokenizer.apply_chat_template({chat})"
        if merged or _is_chat(params)
        else 'inputs = tokenizer(f"{prompt}\\n", return_tensors="pt")',
        f"answer = model.generate(**inputs, max_new_tokens={tokens}, do_sample=False)",
        'print(tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))',
    ]


def _data(params: Params, name: str) -> str:
    licences = sorted({file.licence for file in params.datasets[name].files})
    return f"{name} ({'; '.join(licences) or 'generated by this project'})"


def _made(params: Params, adapter: str) -> str:
    """How an adapter folder came about: by training, or by merging others."""
    for key, each in params.train.adapters.items():
        if adapter == str(ADAPTERS / each.out):
            settings = params.train.settings_of(key).model_dump()
            names = ("rank", "alpha", "dropout", "learning_rate", "epochs", "batch_size", "schedule")
            return f"LoRA on {', '.join(each.tasks)}: " + ", ".join(f"{name} {settings[name]}" for name in names)
    recipe = params.merge.recipes[adapter.removeprefix(f"{MERGED}/")]
    weights = ", ".join(f"{name} {weight:g}" for name, weight in recipe.weights.items())
    picked = recipe.model_dump(include={"sparsify", "density", "rescale", "consensus", "seed"}, exclude_defaults=True)
    method = ", ".join([recipe.method, *(f"{key} {value}" for key, value in picked.items())])
    return f"merged by method {method} from {recipe.reads} (weights: {weights})"


def _metrics(system: str, task: str, confidence: float, several: bool) -> list[str]:
    """The metrics' rows; none where the system hasn't been scored. Raises UserError for metrics of another shape."""
    file = metrics_file(system)
    found = read_json(file) if file.is_file() else {}
    level, before = f"{100 * confidence:g}%", f"{task}: " if several else ""
    try:
        scores = found.get(task, {})
        intervals = {name: scores[f"{name}_ci"] for name in sorted(scores) if f"{name}_ci" in scores}
        return [
            f"| {before}{name} | {scores[name]:.4f} | {level}: {low:.4f} to {high:.4f} |"
            for name, (low, high) in intervals.items()
        ]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise missing_scores(file, task, system) from error
