"""The shape of the project: imports point one way, and each stage depends on exactly the code that it can run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecomtune.params import load
from tests.imports import PACKAGE, SOURCE, closure, direct_imports, files

ROOT = SOURCE.parent
#: Layers from the bottom up; a module imports from its own layer or a lower one.
LAYERS = [
    {"console", "errors", "locks", "text", "runtime"},
    {"files", "fields", "tensors"},
    {"records", "sections"},
    {"params"},
    {"answer_cache", "checkpoints", "costs", "encoding", "mixing", "notes", "times", "trainer_callbacks", "weights"},
    {"tasks", "datasets", "metrics"},
    {"lora", "decoding", "baselines", "chat_api", "report", "pretrained", "freshness", "leftovers", "plan"},
    {"checks", "systems"},
    {"stages", "export", "other_parameters", "predict", "sweep"},
    {"command_errors"},
    {"cli"},
]
#: Modules that a stage finds by name: by the item's parameters, or any of a folder.
FOUND_BY_NAME = {
    "download": ["src/ecomtune/datasets"],
    "format": ["src/ecomtune/datasets", "src/ecomtune/tasks/${key}.py"],
    "baseline": ["src/ecomtune/baselines", "src/ecomtune/tasks/${item.task}.py"],
    "predict": ["src/ecomtune/baselines", "src/ecomtune/tasks"],
    "score": ["src/ecomtune/metrics", "src/ecomtune/tasks"],
    "compare": ["src/ecomtune/metrics", "src/ecomtune/tasks"],
}


def every_module() -> list[str]:
    return sorted(
        ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__") for file in SOURCE.rglob("*.py")
    )


def layer(module: str) -> int:
    part = [*module.split("."), ""][1]
    return next((index for index, names in enumerate(LAYERS) if part in names), -1)


def test_every_module_belongs_to_a_layer() -> None:
    assert [module for module in every_module() if module != PACKAGE and layer(module) < 0] == []


@pytest.mark.parametrize("module", every_module())
def test_imports_point_down(module: str) -> None:
    own = layer(module)
    upwards = [name for name in direct_imports(module) if layer(name) > own]
    sideways = [
        name for name in direct_imports(module) if layer(name) == own >= 6 and name.split(".")[1] != module.split(".")[1]
    ]
    allowed = {"ecomtune.datasets.fetch", "ecomtune.datasets"}
    assert upwards == [] and set(sideways) <= allowed


def test_a_module_is_under_three_hundred_lines() -> None:
    words_only = {"demo_words.py"}
    long = {
        file.name: lines
        for file in SOURCE.rglob("*.py")
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > 300 and file.name not in words_only
    }
    assert long == {}


def test_only_what_checks_that_weights_are_whole_loads_models() -> None:
    """transformers fills what is missing with random numbers; an adapter on a model is checked where it is loaded."""
    loads = re.compile(r"(Auto\w*Model\w*|\bkind|\bloader)\.from_pretrained\(")
    found = {str(file.relative_to(SOURCE / PACKAGE)) for file in SOURCE.rglob("*.py") if loads.search(file.read_text("utf-8"))}
    in_a_card = {"export.py"}
    assert found == {"weights.py"} | in_a_card


def expand(dependency: str) -> set[str]:
    """The Python files that a code dependency of dvc.yaml covers."""
    path = ROOT / dependency
    return {str(file.relative_to(ROOT)) for file in path.rglob("*.py")} if path.is_dir() else {dependency}


@pytest.mark.parametrize("stage", sorted(path.stem for path in (SOURCE / PACKAGE / "stages").glob("[!_]*.py")))
def test_a_stage_depends_on_exactly_its_code(stage: str) -> None:
    described = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    named = [dependency for dependency in described.get("do", described)["deps"] if dependency.startswith("src/")]
    by_name = FOUND_BY_NAME.get(stage, [])
    assert set(by_name) <= set(named)
    found = set().union(*(expand(dependency) for dependency in by_name))
    modules = {file.removesuffix(".py").removesuffix("/__init__").removeprefix("src/").replace("/", ".") for file in found}
    expected = files(closure(f"{PACKAGE}.stages.{stage}", *(module for module in modules if "$" not in module)))
    plain = set().union(*(expand(dependency) for dependency in named)) - {name for name in named if "$" in name}
    templated = {name for name in by_name if "$" in name}
    assert plain | templated == expected | templated | found


def test_parameters_of_the_demo_have_at_most_fifty_stages() -> None:
    params = load(ROOT / "params.yaml")
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


def test_every_file_of_the_package_that_is_no_module_is_shipped_and_a_dependency() -> None:
    package = SOURCE / PACKAGE
    others = {file for file in package.rglob("*") if file.is_file() and file.suffix not in (".py", ".pyc")}
    globs = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {file for name, own in globs.items() for glob in own for file in SOURCE.joinpath(*name.split(".")).glob(glob)}
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    folders = {dependency for stage in stages for dependency in stage.get("do", stage)["deps"]}
    assert others == shipped and {str(file.parent.relative_to(ROOT)) for file in others} <= folders
