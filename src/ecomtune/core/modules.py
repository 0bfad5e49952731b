"""Modules that are found by their name: readers of data sets, metrics."""

from __future__ import annotations

import importlib
from types import ModuleType

from ecomtune.messages.errors import UserError


def load_module(package: str, name: str, constant: str, unknown: str) -> ModuleType:
    """The module ``name`` of a package, which defines ``constant``.

    Raises UserError with the text ``unknown`` where there is none. A module that itself imports something missing raises its
    own ModuleNotFoundError.
    """
    path = f"{package}.{name}"
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not path.startswith(error.name):
            raise
        raise UserError(unknown) from error
    if not hasattr(module, constant):
        raise UserError(unknown)
    return module
