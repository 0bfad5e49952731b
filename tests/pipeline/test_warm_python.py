"""The fast Python of tests ends, prints and dies as the real one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.warm_python import warm_python

#: Bodies of a stage, by what they show.
STAGES = {
    "success": "print('done')",
    "status": "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)",
    "message": "raise SystemExit('a sentence')",
    "error": "raise ValueError('wrong')",
    "interrupt": "raise KeyboardInterrupt",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "terminated": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "thread": "import threading, time; threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()",
    "arguments": "import sys, os; print(sys.argv[1:], os.getcwd(), os.environ['OWN'], __name__, __spec__.name)",
}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_ends_as_in_the_real_interpreter(tmp_path: Path, name: str) -> None:
    package = tmp_path / "ecomtune/stages"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "toy.py").write_text(STAGES[name])
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "OWN": "value"}
    fast, real = (
        subprocess.run(
            [python, "-m", "ecomtune.stages.toy", "item"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        for python in (str(warm_python()), sys.executable)
    )
    assert (fast.returncode, fast.stdout) == (real.returncode, real.stdout)
    assert fast.stderr.splitlines()[-1:] == real.stderr.splitlines()[-1:]


def test_anything_but_a_stage_is_run_by_the_real_interpreter() -> None:
    done = subprocess.run([str(warm_python()), "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
    assert done.stdout.strip() == sys.executable
