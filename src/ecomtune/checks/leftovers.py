"""Stage outputs that params.yaml no longer names: a stage that reads a whole folder would read them too."""

from __future__ import annotations

from pathlib import Path

from ecomtune.core.config.params import Params, written_folders
from ecomtune.core.paths import ADAPTERS, BASELINES


def left_overs(params: Params, root: Path) -> list[Path]:
    """Folders among the stage outputs that no stage of ``params`` writes, relative to ``root``, sorted."""
    written = set(written_folders(params))
    parents = {parent.as_posix() for folder in written for parent in Path(folder).parents}
    collections = sorted({"/".join(folder.split("/")[:2]) for folder in written} | {str(ADAPTERS), str(BASELINES)})
    found = []
    for collection in collections:
        waiting = [root / collection]
        while waiting:
            for folder in sorted(each for each in waiting.pop().glob("*/") if any(path.is_file() for path in each.rglob("*"))):
                name = folder.relative_to(root).as_posix()
                if name in parents:
                    waiting.append(folder)
                elif name not in written:
                    found.append(Path(name))
    return sorted(found)
