"""The address and key of an endpoint: from the environment only, so that no file holds either."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from ecomtune.messages.errors import UserError

BASE_VARIABLE = "ECOMTUNE_API_BASE"
KEY_VARIABLE = "ECOMTUNE_API_KEY"


def base_url() -> str:
    """The base URL, without chat/completions and a trailing slash. Raises UserError where it is missing or invalid.

    An invalid address isn't repeated, since it may contain a password.
    """
    base = os.environ.get(BASE_VARIABLE, "").strip().rstrip("/")
    if not _is_plain_address(base):
        problem = "is not a plain web address, without user, query or spaces" if base else "is not set"
        raise UserError(
            f"the environment variable {BASE_VARIABLE} {problem}; set it to the base URL, without /chat/completions, such "
            "as https://api.example.com/v1"
        )
    return base


def _is_plain_address(base: str) -> bool:
    try:
        parts = urlsplit(base)
        _ = parts.port  # checked only when it is read
    except ValueError:  # the port isn't a number, or an IPv6 address is incomplete
        return False
    plain = base.isascii() and base.isprintable() and not set(base) & set(" @?#")
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain


def api_key() -> str:
    """The key. Raises UserError, which doesn't repeat it, where it is missing or where no HTTP header can hold it."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise UserError(
            f"the environment variable {KEY_VARIABLE} is not set; set it to the endpoint's key (for a server of your own that "
            "checks none, to any text)"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UserError(
            f"the environment variable {KEY_VARIABLE} contains a space or another character that no key has; copy it again"
        )
    return key
