"""``ecomtune check``: whether params.yaml is valid, before anything runs."""

from __future__ import annotations

from ecomtune.cli.common import report_left_overs


def check() -> None:
    """Say whether params.yaml is valid and names files as they are, before any stage runs."""
    from ecomtune.checks import fit as checks
    from ecomtune.checks.parameters import load_params

    params = load_params()
    checks.check(params)
    print("params.yaml is valid")
    report_left_overs(params)
