"""How a command tells a mistake: one sentence, and where to run it if it runs elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from ecomtune.messages.errors import UserError

#: What lies in the repository's root, and the sentence of a command that failed where none of it is.
OF_ROOT = ("params.yaml", "dvc.yaml", "profiles")
OUTSIDE = f"this folder is not the repository's root, which has {', '.join(OF_ROOT)}; change to it and run this again"


class Commands(TyperGroup):
    """Commands that tell a user's mistake, or a file that can't be read or written, in one sentence with status 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader has gone, as in `ecomtune table | head`: typer ends in silence
        except (UserError, OSError) as error:
            from ecomtune.messages.errors import sentence

            lost = ctx.invoked_subcommand != "pin" and is_outside()
            print(f"error: {OUTSIDE if lost else sentence(error)}", file=sys.stderr)
            raise typer.Exit(1) from error


def is_outside() -> bool:
    """Whether the working folder has nothing of the repository's root."""
    return not any(Path(name).exists() for name in OF_ROOT)
