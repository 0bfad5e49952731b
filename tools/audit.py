"""Known vulnerabilities of the pinned packages: ``python -m tools.audit PIP_AUDIT`` runs that program and judges its report.

pip-audit itself exits with status 0 even if its advisory service knows none of the packages or can't be reached.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tools.packages import ROOT


class NotPassed(Exception):
    """The audit has not passed; the message is one sentence."""


def report(program: str) -> list[dict[str, Any]]:
    """pip-audit's report on each package of constraints.txt. Raises NotPassed if it writes none."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "audit.json"
        command = [program, "--disable-pip", "--no-deps", "--requirement", str(ROOT / "constraints.txt")]
        command += ["--progress-spinner", "off", "--format", "json", "--output", str(written)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not written.is_file() or not (text := written.read_text(encoding="utf-8").strip()):
            last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
            raise NotPassed(f"pip-audit could not reach its advisory service ({last[:200]}); run this where it can be reached")
    packages: list[dict[str, Any]] = json.loads(text)["dependencies"]
    return packages


def judge(packages: list[dict[str, Any]]) -> str:
    """The sentence for an audit that has passed. Raises NotPassed if a package is vulnerable or was not looked up."""
    faults = [f"{each['name']} {each['version']}: {fault['id']}" for each in packages for fault in each.get("vulns", ())]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if faults:
        raise NotPassed(f"known vulnerabilities: {'; '.join(faults)}; raise these pins in constraints.txt")
    if skipped or not packages:
        raise NotPassed(
            f"the advisory service was not reached, or does not know {len(skipped)} of {len(packages)} packages "
            f"({', '.join(skipped[:3])}, ...); run this where it can be reached"
        )
    return f"audit: no known vulnerabilities in {len(packages)} pinned packages"


def main() -> None:
    """Print the sentence; exit with status 1 if the audit has not passed."""
    try:
        print(judge(report(sys.argv[1])))
    except NotPassed as error:
        sys.exit(f"audit: not passed: {error}")


if __name__ == "__main__":
    main()
