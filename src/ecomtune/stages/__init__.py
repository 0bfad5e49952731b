"""One thin module a DVC stage: ``python -m ecomtune.stages.NAME ITEM``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import NoReturn, TypeVar

from ecomtune.errors import UserError
from ecomtune.params import Params, load

Item = TypeVar("Item")


def run(stage: Callable[[Params, str], None]) -> NoReturn:
    """Run a stage for the item named on the command line; a user's mistake ends it with one sentence and status 1."""
    name = sys.modules["__main__"].__spec__.name.rpartition(".")[2] if sys.modules["__main__"].__spec__ else "stage"
    try:
        params = load()
        stage(params, sys.argv[1] if len(sys.argv) > 1 else "")
    except UserError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{name}: stopped; nothing half-written is left", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)


def pick(section: Mapping[str, Item], name: str, where: str) -> Item:
    """The item ``name`` of a section of params.yaml. Raises UserError where it isn't there."""
    if name not in section:
        raise UserError(f"{where}: {name!r} is not there; name one of: {', '.join(section) or 'none, it is empty'}")
    return section[name]
