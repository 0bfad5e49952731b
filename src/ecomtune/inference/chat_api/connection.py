"""Where an endpoint lies and the key that opens it: from the environment alone, so that no file holds either."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from ecomtune.messages.errors import UserError

BASE_VARIABLE = "ECOMTUNE_API_BASE"
KEY_VARIABLE = "ECOMTUNE_API_KEY"


def base_url() -> str:
    """The address that chat/completions lies under, without a final slash. Raises UserError where there is none.

    A wrong one is not repeated, since it may hold a password.
    """
    base = os.environ.get(BASE_VARIABLE, "").strip().rstrip("/")
    wrong = "is no plain web address, without user, query or spaces," if base else "isn't set"
    if not _is_plain_address(base):
        raise UserError(
            f"{BASE_VARIABLE} {wrong} in the environment; set it to the address that chat/completions lies under, such as "
            "https://api.example.com/v1"
        )
    return base


def _is_plain_address(base: str) -> bool:
    try:
        parts = urlsplit(base)
        _ = parts.port  # is read, and checked, only now
    except ValueError:  # a port that is no number, half an IPv6 address
        return False
    plain = base.isascii() and base.isprintable() and not set(base) & set(" @?#")
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain


def api_key() -> str:
    """The key. Raises UserError, which doesn't repeat it, where there is none or no HTTP header can hold it."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise UserError(
            f"{KEY_VARIABLE} isn't set in the environment; set it to the endpoint's key (a server of your own that wants none "
            "takes any)"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(f"{KEY_VARIABLE} in the environment holds a space or another character that no key has; copy it anew")
    return key
