"""``ecomtune profile NAME``: params.yaml from a profile."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from ecomtune.cli.common import profile_file, report_left_overs
from ecomtune.core.paths import PARAMS_FILE, PROFILES, SCRATCH


def profile(name: Annotated[str, typer.Argument(help="a file of profiles/, without .yaml")] = "") -> None:
    """Write params.yaml from profiles/NAME.yaml and show what changes."""
    from ecomtune.checks.parameters import load_params
    from ecomtune.core.files import sha256_file, write_text

    source = profile_file(name)
    load_params(source)
    new = source.read_text(encoding="utf-8")
    old = PARAMS_FILE.read_text(encoding="utf-8", errors="replace") if PARAMS_FILE.is_file() else ""
    changes = list(difflib.unified_diff(old.splitlines(), new.splitlines(), str(PARAMS_FILE), str(source), lineterm="", n=0))
    if old and PARAMS_FILE.read_bytes() not in {file.read_bytes() for file in PROFILES.glob("*.yaml")}:
        kept = SCRATCH / f"params.{sha256_file(PARAMS_FILE)[:8]}.yaml"
        write_text(kept, old)
        print(f"the former params.yaml, which is not that of any profile, is kept as {kept}")
    write_text(PARAMS_FILE, new)
    print("\n".join(changes) if changes else f"params.yaml already is profile {name}")
    report_left_overs(load_params())
