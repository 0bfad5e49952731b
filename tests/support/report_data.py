"""A report of made-up answers, some of them hostile, written by the real stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecomtune.adapters.factors import Adapter, Factors, save_adapter
from ecomtune.checks.parameters import load_params
from ecomtune.core.config.params import Params
from ecomtune.core.files import dump_json, write_text
from ecomtune.core.records import Example, Prediction, Reference, write_records
from ecomtune.examples.splits import SPLITS
from ecomtune.report.page.content import ROWS
from ecomtune.stages.compare import main as compare
from ecomtune.stages.score import main as score
from ecomtune.tasks.row_text import Fields
from tests.support.scratch_clone import REPOSITORY
from tests.support.tasks import define_tasks, load_task, mark_answered

#: Text that would run, load something or break out of its element if it were read as markup, script or template.
HOSTILE = (
    "</script><script>window.hacked = 1</script></style><img src=x onerror='window.hacked = 1'><b>bold</b> \"quoted\" &lt; & "
    "${data} $data {{ 7 * 7 }} {% raw %} <!-- --> \u2028 \u2029 \u202e javascript:alert(1)"
)
RELEVANCE = ROWS + 3
LABELS = ("Exact", "Substitute", "Complement", "Irrelevant")
GOLD_TAGS = ["B-creator", "B-modifier", "B-core_product_type", "I-core_product_type", "O"]

#: The losses of a training.
RECORD = {"loss": [[1, 2.0], [2, 1.0]], "steps": 2, "validation": [{"step": 2, "ner": 1.25}]}

#: A row's fields, its gold, and the raw answers of systems single and mixed.
Case = tuple[Fields, Reference, str, str]


def relevance() -> list[Case]:
    """Every fourth answer of single is wrong, the second one malformed; mixed says Exact throughout."""
    cases: list[Case] = []
    for row in range(RELEVANCE):
        gold = LABELS[row % 4]
        answer = HOSTILE if row == 1 else "Exact" if row % 4 == 3 else gold
        title = HOSTILE if row == 1 else f"Blue Mug {row}"
        cases.append(({"query": f"mug {row // 4}", "title": title, "brand": "Acme"}, gold, answer, "Exact"))
    return cases


def ner() -> list[Case]:
    """Single tags the last query's brand as a color; mixed finds no entity, and its first answer is malformed."""
    words = ["acme", "trail", "running", "shoes", "now"]
    fields: Fields = {"words": words}
    right = load_task("ner").target(fields, GOLD_TAGS)
    nothing = "\n".join(f"{word} none" for word in words)
    brand = [right] * 5 + [right.replace("acme brand", "acme color")]
    return [(fields, GOLD_TAGS, answer, HOSTILE if row == 0 else nothing) for row, answer in enumerate(brand)]


def summarization() -> list[Case]:
    fields: Fields = {"reviews": [HOSTILE, "Warm, but the zip broke."]}
    gold = ["Warm, with a weak zip.", "Warm but weak."]
    return [(fields, gold, answer, "A zip.") for answer in ("Warm but weak.", HOSTILE, "", "Warm, I think.")]


CASES = {"relevance": relevance, "ner": ner, "summarization": summarization}


def params() -> Params:
    """The demo's, with two systems for three tasks."""
    demo = load_params(REPOSITORY / "profiles/demo.yaml")
    systems = {name: demo.systems[name].model_copy(update={"tasks": tuple(CASES)}) for name in ("single", "mixed")}
    own = {name: demo.tasks[name] for name in CASES}
    quick = demo.score.model_copy(update={"bootstrap": 100})
    return demo.model_copy(update={"systems": systems, "tasks": own, "score": quick})


def write_answers(task: str, cases: Sequence[Case]) -> None:
    """Test rows and both systems' predictions, in the current folder."""
    examples = [
        Example(
            id=f"{task}-test-{number:06d}",
            task=task,
            prompt="p",
            target="t",
            reference=gold,
            fields=dict(fields),
            group=f"g{number // 4}",
            source="shop",
        )
        for number, (fields, gold, *_) in enumerate(cases)
    ]
    write_records(Path("data/examples") / task / "test.jsonl", examples)
    sizes = dict(zip(SPLITS, (160, 40, len(examples)), strict=True))
    report = {"splits": {name: {"rows": rows} for name, rows in sizes.items()}}
    write_text(Path("data/examples") / task / "report.json", dump_json(report))
    for place, system in enumerate(("single", "mixed"), start=2):
        found = []
        for example, case in zip(examples, cases, strict=True):
            answer = str(case[place])
            parsed = load_task(task).parse(answer, example.fields)
            given = example.model_dump(include={"id", "task", "reference", "group"})
            found.append(Prediction(system=system, answer=answer, parsed=parsed, valid=parsed is not None, **given))
        write_records(Path("data/predictions") / system / f"{task}.jsonl", found)


def adapter_of(seed: int) -> Adapter:
    """An adapter of one layer with random factors."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, 8), dtype=np.float32), rng.standard_normal((8, 2), dtype=np.float32)
    return Adapter({"base_model.model.up_proj": Factors(a=a, b=b)}, {"r": 2, "lora_alpha": 2, "peft_type": "LORA"})


def write_report() -> Path:
    """The page of CASES, in the current folder."""
    define_tasks()
    for task, cases in CASES.items():
        write_answers(task, cases())
    for system, weights in (("single", 100), ("mixed", 200)):
        costs = {"parameters": weights, "input_tokens": 9.5, "output_tokens": 2.0}
        write_text(Path("data/predictions") / system / "costs.json", dump_json(dict.fromkeys(CASES, costs)))
        mark_answered(system, *CASES)
        score(params(), system)
    for adapter in ("single/ner", "mixed"):
        write_text(Path(f"models/adapters/{adapter}/training.json"), dump_json(RECORD))
        save_adapter(adapter_of(len(adapter)), Path("models/adapters") / adapter)
    compare(params(), "")
    return Path("reports/index.html").absolute()
