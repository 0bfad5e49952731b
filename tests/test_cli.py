"""The commands beside dvc: one sentence and a non-zero status for what a user gets wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ecomtune.cli import app

ROOT = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the profiles and the demo's parameters."""
    (tmp_path / "profiles").mkdir()
    for profile in (ROOT / "profiles").glob("*.yaml"):
        (tmp_path / "profiles" / profile.name).write_bytes(profile.read_bytes())
    (tmp_path / "params.yaml").write_bytes((ROOT / "profiles" / "demo.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ecomtune(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def refusal(*arguments: str) -> str:
    """The one sentence that a failing command prints."""
    done = ecomtune(*arguments)
    assert done.exit_code == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_check_accepts_the_demo(project: Path) -> None:
    assert ecomtune("check").stdout == "params.yaml is valid\n"


@pytest.mark.parametrize(
    ("found", "put", "named"),
    [
        ("seed: 7\n\ndata", "seed: 7\ncolour: 1\n\ndata", "params.yaml: colour: unknown key"),
        ("{dataset: demo_shop, train_size: 160", "{dataset: demo_shopp, train_size: 160", "'demo_shopp' is not in datasets"),
    ],
)
def test_check_names_what_no_stage_would_see(project: Path, found: str, put: str, named: str) -> None:
    params = project / "params.yaml"
    text = params.read_text(encoding="utf-8")
    assert found in text
    params.write_text(text.replace(found, put), encoding="utf-8")
    assert named in refusal("check")


def test_a_profile_is_written_and_shown(project: Path) -> None:
    shown = ecomtune("profile", "real").stdout
    assert "+  queryner:" in shown
    assert (project / "params.yaml").read_bytes() == (ROOT / "profiles" / "real.yaml").read_bytes()
    assert ecomtune("profile", "real").stdout == "params.yaml is profile real already\n"


def test_an_unknown_profile_is_refused_with_the_names_there_are(project: Path) -> None:
    assert refusal("profile", "reall") == "error: there is no profile 'reall'; name one of: demo, pico, real"
    assert (project / "params.yaml").read_bytes() == (ROOT / "profiles" / "demo.yaml").read_bytes()


def test_a_broken_profile_leaves_params_as_they_are(project: Path) -> None:
    (project / "profiles" / "real.yaml").write_text("seed: x\n", encoding="utf-8")
    assert refusal("profile", "real").startswith("error: profiles/real.yaml: ")
    assert (project / "params.yaml").read_bytes() == (ROOT / "profiles" / "demo.yaml").read_bytes()
