"""``ecomtune pin FILE``: the entry of a file of the user's own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer
import yaml


def pin(
    file: Annotated[Path, typer.Argument(help="a file of your own")],
    licence: Annotated[str, typer.Option(help="who may use it, and how")] = "own",
) -> None:
    """Print the entry of FILE for a data set in params.yaml."""
    from ecomtune.checks.own_files import pin_entry

    entry = pin_entry(file, licence)
    print(f"  {_key(file)}:  # goes under datasets; the name is yours")
    print("    reader: table\n    columns: {}  # field: column\n    files:")
    for number, (key, value) in enumerate(entry.model_dump().items()):
        print(f"      {'  ' if number else '- '}{key}: {json.dumps(value, ensure_ascii=False)}")


def _key(file: Path) -> str:
    """A file's name as the key of a data set: one that YAML reads as text."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", file.stem)
    return name if isinstance(yaml.safe_load(name), str) and name[0].isalpha() else f"data_{name}"
