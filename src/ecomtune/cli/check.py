"""``ecomtune check``: whether params.yaml is valid, before anything runs."""

from __future__ import annotations

from ecomtune.cli.common import report_left_overs


def check() -> None:
    """Check, before any stage runs, that params.yaml is valid and that its files are as it says."""
    from ecomtune.checks import compatibility
    from ecomtune.checks.parameters import load_params

    params = load_params()
    compatibility.check(params)
    print("params.yaml is valid")
    report_left_overs(params)
