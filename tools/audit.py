"""Known vulnerabilities of the pinned packages: ``python -m tools.audit PIP_AUDIT`` runs that program and judges its report.

pip-audit itself ends well where its advisory service knew none of the packages, or could not be asked.
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
    """Why the audit has not passed, in one sentence."""


def report(program: str) -> list[dict[str, Any]]:
    """What pip-audit says of each package of constraints.txt. Raises NotPassed where it says nothing."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "audit.json"
        command = [program, "--disable-pip", "--no-deps", "--requirement", str(ROOT / "constraints.txt")]
        command += ["--progress-spinner", "off", "--format", "json", "--output", str(written)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not written.is_file() or not (text := written.read_text(encoding="utf-8").strip()):
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise NotPassed(f"pip-audit could not ask its advisory service ({last[:200]}); run this where it can be reached")
    packages: list[dict[str, Any]] = json.loads(text)["dependencies"]
    return packages


def judge(packages: list[dict[str, Any]]) -> str:
    """The sentence of an audit that has passed. Raises NotPassed where a package is vulnerable, or was not looked up."""
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
    """Print the sentence; exit with status 1 where the audit has not passed."""
    try:
        print(judge(report(sys.argv[1])))
    except NotPassed as error:
        sys.exit(f"audit: not passed: {error}")


if __name__ == "__main__":
    main()
