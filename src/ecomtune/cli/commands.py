"""How a command reports a user's mistake: in one sentence, which may say where to run the command."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from ecomtune.core.paths import PARAMS_FILE, PIPELINE_FILE, PROFILES
from ecomtune.messages.errors import UserError, sentence

#: What the repository's root has, and what a failed command says if the working folder has none of it.
IN_ROOT = (PARAMS_FILE, PIPELINE_FILE, PROFILES)
OUTSIDE = f"this folder is not the repository's root, which has {', '.join(map(str, IN_ROOT))}; change to it and run this again"


class Commands(TyperGroup):
    """Commands that report a user's mistake, or a file that can't be read or written, in one sentence, with status 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader has gone, as in `ecomtune table | head`: typer ends without a message
        except (UserError, OSError) as error:
            outside = ctx.invoked_subcommand != "pin" and is_outside()  # pin works in any folder
            print(f"error: {OUTSIDE if outside else sentence(error)}", file=sys.stderr)
            raise typer.Exit(1) from error


def is_outside() -> bool:
    """Whether the working folder has nothing of the repository's root."""
    return not any(path.exists() for path in IN_ROOT)
