"""Every package that the project needs is pinned and has a licence, and an audit passes only if packages were looked up."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.scratch_clone import REPOSITORY
from tools.audit import NotPassed, judge
from tools.packages import needed, pins, requirements, table, unpinned


def test_every_package_that_the_project_needs_is_pinned_in_the_installed_version() -> None:
    assert unpinned(requirements(), pins()) == []


def test_a_new_dependency_without_a_pin_is_noticed_with_all_that_it_needs() -> None:
    without = {name: version for name, version in pins().items() if name not in ("httpx2", "httpcore2")}
    assert [each.partition("==")[0] for each in unpinned(["httpx2>=0"], without)] == ["httpcore2", "httpx2"]
    assert [each.partition("==")[0] for each in unpinned([*requirements(), "pip"], pins())] == ["pip"]
    assert unpinned(["httpx2"], {**pins(), "httpx2": "0.0.1"}) == [f"httpx2=={pins()['httpx2']}"]


def test_only_extras_that_are_asked_for_count() -> None:
    assert "aiohttp" in needed(["fsspec[http]"]) and "aiohttp" not in needed(["fsspec"])
    assert "hypothesis" in needed(requirements()) and "setuptools" in needed(requirements())
    assert set(needed(["attrs"])) == {"attrs"}
    assert needed(["httpx2 ; python_version < '3'"]) == {}


@pytest.mark.parametrize(
    "file", ["constraints.txt", "tools/requirements.txt", "benchmarks/requirements.txt", "benchmarks/requirements-fuzz.txt"]
)
def test_each_line_of_a_list_of_packages_pins_one_version(file: str) -> None:
    lines = [line.partition("#")[0].strip() for line in (REPOSITORY / file).read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if line and not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_the_package_is_built_by_a_pinned_backend() -> None:
    assert requirements()[-1] == f"setuptools=={pins()['setuptools']}"


def test_the_list_of_licences_names_every_package_with_its_version() -> None:
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in table().splitlines()}
    assert set(rows) == set(needed(requirements())) >= {"torch", "transformers", "dvc", "polars"}
    assert rows["transformers"][0] == pins()["transformers"]
    assert rows["polars"][1].startswith("MIT") and rows["numpy"][1].startswith("BSD")
    assert [name for name, (_, licence) in rows.items() if not licence.strip()] == []


KNOWN: dict[str, Any] = {"name": "httpx2", "version": "2.16.2", "vulns": []}


def test_an_audit_passes_if_every_package_was_looked_up() -> None:
    assert judge([KNOWN, {**KNOWN, "name": "h11"}]) == "audit: no known vulnerabilities in 2 pinned packages"


@pytest.mark.parametrize(
    ("packages", "message"),
    [
        ([], "the advisory service was not reached"),
        ([KNOWN, {"name": "h11", "skip_reason": "not found"}], "does not know 1 of 2 packages (h11, ...)"),
        (
            [KNOWN, {"name": "h11", "version": "0.1", "vulns": [{"id": "CVE-1", "fix_versions": ["0.2"]}]}],
            "known vulnerabilities: h11 0.1: CVE-1; raise these pins in constraints.txt",
        ),
    ],
)
def test_an_audit_that_found_something_or_looked_nothing_up_has_not_passed(
    packages: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(NotPassed) as caught:
        judge(packages)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'ERROR: could not connect' >&2; exit 1", "(ERROR: could not connect); run this where it can be reached"),
        ("exit 0", "(it printed nothing)"),
        (
            'while [ "$1" != --output ]; do shift; done; echo \'{"dependencies": [{"name": "a", "skip_reason": "x"}]}\' > "$2"',
            "the advisory service was not reached, or does not know 1 of 1 packages",
        ),
    ],
    ids=["no connection", "no report", "nothing looked up"],
)
def test_an_audit_whose_service_can_not_be_reached_fails_with_a_sentence(tmp_path: Path, script: str, message: str) -> None:
    """pip-audit itself calls it a success if the service knows none of the packages."""
    program = tmp_path / "pip-audit"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    command = [sys.executable, "-m", "tools.audit", str(program)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and done.stdout == ""
    assert line.startswith("audit: not passed: ") and message in line


def test_every_target_of_a_workflow_is_one_of_the_makefile() -> None:
    texts = [file.read_text(encoding="utf-8") for file in (REPOSITORY / ".github/workflows").glob("*.yml")]
    matrix = [yaml.safe_load(text)["jobs"].get("campaigns", {}).get("strategy", {}).get("matrix", {}) for text in texts]
    named = {target for each in matrix for target in each.get("target", [])} | set(
        re.findall(r"run: make (\w+)", "".join(texts))
    )
    made = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"audit", "coverage", "test", "weights"} <= named <= made
