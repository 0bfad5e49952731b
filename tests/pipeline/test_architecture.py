"""The shape of the project: imports point one way, and each stage's code lies in the folders that it depends on."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecomtune.baselines.registry import MODULES
from ecomtune.checks.parameters import load_params
from ecomtune.checks.references import modules_with
from ecomtune.core.code import CODE
from tests.support.imports import PACKAGE, SOURCE, closure, direct_imports

ROOT = SOURCE.parent
#: Folders from the ground up: one imports from lower ranks and from itself, never from another of its rank or from above.
RANKS = [
    {"messages"},
    {"core"},
    {"metrics", "tasks", "datasets", "models"},
    {"examples", "training", "report"},
    {"lora", "baselines"},
    {"adapters", "checks", "inference"},
    {"stages"},
    {"plan", "runs"},
    {"cli"},
]
#: What a stage imports, but what can only stop it or speak.
WITHOUT_EFFECT = ("messages", "checks", "stages.runner", "stages.timing")
#: Modules that a stage finds by name.
READERS = [f"datasets.{name}" for name in modules_with("KINDS", "datasets")]
METRICS = [f"metrics.{name}" for name in modules_with("METRIC", "metrics")]
BASELINES = [f"baselines.{name}" for name in MODULES.values()]
FOUND_BY_NAME = {
    "download": READERS,
    "format": READERS,
    "baseline": BASELINES,
    "predict": [*(name for name in BASELINES if ".fitting." not in name)],
    "score": METRICS,
    "compare": METRICS,
}


def every_module() -> list[str]:
    return sorted(
        ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for file in SOURCE.rglob("*.py")
    )


def folder_of(module: str) -> str:
    return [*module.split("."), ""][1]


def rank(module: str) -> int:
    return next((index for index, names in enumerate(RANKS) if folder_of(module) in names), -1)


def test_the_package_holds_folders_only_and_each_has_its_rank() -> None:
    assert [file.name for file in (SOURCE / PACKAGE).glob("*.py")] == ["__init__.py"]
    assert [module for module in every_module() if module != PACKAGE and rank(module) < 0] == []


@pytest.mark.parametrize("module", every_module())
def test_imports_point_one_way(module: str) -> None:
    others = [name for name in direct_imports(module) if name != PACKAGE and folder_of(name) != folder_of(module)]
    assert [name for name in others if rank(name) >= rank(module)] == []


def test_an_init_holds_no_logic() -> None:
    """No stage depends on those of the package and of stages/, so nothing in them may change what a stage writes."""
    for file in SOURCE.rglob("__init__.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            names = isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["__all__"]
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            assert docstring or names or isinstance(node, ast.Import | ast.ImportFrom), f"{file} line {node.lineno}"


def test_modules_are_found_by_name_in_the_registries_alone() -> None:
    by_name = {file.name for file in SOURCE.rglob("*.py") if "import_module(" in file.read_text(encoding="utf-8")}
    assert by_name == {"modules.py", "registry.py"}


@pytest.mark.parametrize("stage", sorted(CODE))
def test_a_stage_takes_no_value_from_what_reruns_nothing(stage: str) -> None:
    """Of messages, checks and the runner it takes functions that stop it or print, and no constant or rule."""
    used = {name for name in direct_imports(f"{PACKAGE}.stages.{stage}") if name != PACKAGE}
    assert not {name for name in used if name.startswith((f"{PACKAGE}.checks", f"{PACKAGE}.stages.timing"))}


def test_a_module_is_under_three_hundred_lines() -> None:
    words_only = {"vocabulary.py"}
    long = {
        file.name: lines
        for file in SOURCE.rglob("*.py")
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) >= 300 and file.name not in words_only
    }
    assert long == {}


def test_the_pipeline_and_the_readme_can_be_read_at_one_sitting() -> None:
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) < 150
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_no_file_name_stands_for_two_things() -> None:
    """But for a command, which has the name of what it runs, and the registries, by which modules are found by name."""
    files = [file for file in SOURCE.rglob("*.py") if file.parent.name not in ("cli", "stages")]
    names = [file.name for file in files if file.name not in ("__init__.py", "registry.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_only_what_checks_that_weights_are_complete_loads_models() -> None:
    """transformers fills what is missing with random numbers; an adapter on a model is checked where it is loaded."""
    loads = re.compile(r"(\w+)\.(?:from_pretrained|from_encoder_decoder_pretrained)\(")
    harmless = {"AutoTokenizer", "AutoConfig", "PeftModel"}
    found = {
        (file.name, name)
        for file in SOURCE.rglob("*.py")
        for name in loads.findall(file.read_text("utf-8"))
        if name not in harmless and file.name != "model_card.py"  # which shows others how to load it
    }
    # an encoder's weights, which pretrained@M has checked, in both halves of a warm-started model
    assert found == {("loading.py", "kind"), ("seq2seq.py", "EncoderDecoderModel")}


@pytest.mark.parametrize("stage", sorted(path.stem for path in (SOURCE / PACKAGE / "stages").glob("[!_]*.py")))
def test_a_stage_imports_from_the_folders_that_it_depends_on_alone(stage: str) -> None:
    if stage in ("runner", "timing"):
        pytest.skip("not a stage, but what runs all of them")
    roots = [f"{PACKAGE}.stages.{stage}", *(f"{PACKAGE}.{name}" for name in FOUND_BY_NAME.get(stage, []))]
    stops = tuple(f"{PACKAGE}.{name}" for name in WITHOUT_EFFECT)
    found = closure(*roots, stops=stops) - {PACKAGE, f"{PACKAGE}.stages", f"{PACKAGE}.stages.{stage}"}
    assert sorted({module for module in found if folder_of(module) not in CODE[stage]}) == []


@pytest.mark.parametrize("stage", sorted(CODE))
def test_dvc_knows_the_code_that_a_stage_depends_on(stage: str) -> None:
    described = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    named = [dependency for dependency in described.get("do", described)["deps"] if dependency.startswith("src/")]
    assert named == [*(f"src/{PACKAGE}/{folder}" for folder in CODE[stage]), f"src/{PACKAGE}/stages/{stage}.py"]


def test_every_stage_of_the_pipeline_has_its_code_listed() -> None:
    assert set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]) == set(CODE)


def test_parameters_of_the_demo_have_at_most_fifty_stages() -> None:
    params = load_params(ROOT / "params.yaml")
    families = [
        params.datasets,
        params.models,
        params.tasks,
        params.train.adapters,
        params.merge.recipes,
        params.baselines,
        params.systems,
        params.systems,
    ]
    assert sum(map(len, families)) + 1 <= 50
    assert Path(ROOT / "params.yaml").read_text() == Path(ROOT / "profiles/demo.yaml").read_text()


@pytest.mark.parametrize("profile", sorted(file.stem for file in (ROOT / "profiles").glob("*.yaml")))
def test_every_parameter_that_a_stage_tracks_is_written_out(profile: str) -> None:
    """DVC knows no defaults: a tracked key that a profile leaves out stops the stage."""
    values = yaml.safe_load((ROOT / "profiles" / f"{profile}.yaml").read_text())
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in stages.values():
        section = stage.get("foreach", "").removeprefix("${").removesuffix("}")
        items = find(values, section) if section else {"": {}}
        for key, item in items.items():
            for parameter in stage.get("do", stage)["params"]:
                name = re.sub(r"\$\{item\.(\w+)\}", lambda found, item=item: item[found[1]], parameter)
                assert find(values, name.replace("${key}", key)) is not None, name


def find(values: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for part in path.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def test_every_file_of_the_package_that_is_not_a_module_is_shipped_and_a_dependency() -> None:
    package = SOURCE / PACKAGE
    others = {file for file in package.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    globs = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {file for name, own in globs.items() for glob in own for file in SOURCE.joinpath(*name.split(".")).glob(glob)}
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    folders = {dependency for stage in stages for dependency in stage.get("do", stage)["deps"]}
    assert others == shipped
    assert all(any(str(parent.relative_to(ROOT)) in folders for parent in file.parents[:4]) for file in others)
