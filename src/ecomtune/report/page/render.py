"""The report as one self-contained HTML file: markup, style, script and data."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any, Final

_FOLDER = Path(__file__).parent
#: Joined into the one script of the page, in this order.
SCRIPTS: Final = ("page.js", "differences.js", "plots.js", "examples.js")
#: Characters that are escaped in a script element: they could end it, or a line of JavaScript.
_ESCAPED = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def render(content: Mapping[str, Any]) -> str:
    """The page of ``content``, JSON values that its script shows as text and never as markup.

    Its policy lets a browser run this one script and use this one style, by their hashes, show the pictures inside the page,
    and load nothing.
    """
    style, script = _read("page.css"), "\n".join(_read(name) for name in SCRIPTS)
    policy = [
        "default-src 'none'",
        f"script-src {hash_of(script)}",
        f"style-src {hash_of(style)}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",  # the browser refuses to parse a text as markup
        "trusted-types 'none'",
    ]
    # one pass: placeholders in the inserted texts are not replaced
    page = Template(_read("template.html"))
    return page.substitute(data=embed(content), policy="; ".join(policy), script=script, style=style)


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def hash_of(text: str) -> str:
    """The source expression with which a Content-Security-Policy admits a script or style of this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def embed(content: Mapping[str, Any]) -> str:
    """``content`` as JSON that is safe inside a script element."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_ESCAPED)
