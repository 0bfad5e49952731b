"""Stage outputs that params.yaml no longer names: a stage that depends on their parent folder would read them too."""

from __future__ import annotations

from pathlib import Path

from ecomtune.core.config.params import Params, written_folders
from ecomtune.core.paths import ADAPTERS, BASELINES


def left_overs(params: Params, root: Path) -> list[Path]:
    """Folders next to stage outputs that no stage of ``params`` writes, relative to ``root`` and sorted."""
    written = set(written_folders(params))
    parents = {parent.as_posix() for folder in written for parent in Path(folder).parents}
    collections = sorted({"/".join(folder.split("/")[:2]) for folder in written} | {str(ADAPTERS), str(BASELINES)})
    found = []
    for collection in collections:
        pending = [root / collection]
        while pending:
            for folder in sorted(each for each in pending.pop().glob("*/") if any(path.is_file() for path in each.rglob("*"))):
                name = folder.relative_to(root).as_posix()
                if name in parents:
                    pending.append(folder)
                elif name not in written:
                    found.append(Path(name))
    return sorted(found)
