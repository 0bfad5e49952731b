"""``ecomtune pin FILE``: the entry in params.yaml for a file of the user's own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer


def pin(
    file: Annotated[Path, typer.Argument(help="a file of your own")],
    licence: Annotated[str, typer.Option(help="who may use the file, and how")] = "own",
) -> None:
    """Print the entry in params.yaml for a data set that consists of FILE."""
    from ecomtune.checks.own_files import pin_entry

    entry = pin_entry(file, licence)
    print(f"  {_key(file)}:  # put this under datasets; choose any name")
    print("    reader: table\n    columns: {}  # field: column\n    files:")
    for number, (key, value) in enumerate(entry.model_dump().items()):
        print(f"      {'  ' if number else '- '}{key}: {json.dumps(value, ensure_ascii=False)}")


def _key(file: Path) -> str:
    """A key for the data set, made from the file's name, that YAML reads as text."""
    import yaml  # which takes longer to import than all that --help needs

    name = re.sub(r"[^A-Za-z0-9_]+", "_", file.stem)
    return name if isinstance(yaml.safe_load(name), str) and name[0].isalpha() else f"data_{name}"
