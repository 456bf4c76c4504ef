"""Which data set a folder holds, whatever its name."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

from cvlnet.data.label_maps import has_labels


def fingerprint(root: Path) -> dict[str, Any]:
    """Identity of a data set: its name, a digest of its description and training list, and whether it has labels."""
    digest = sha256()
    for name in ("dataset.json", "train_files_with_sat_GPS.txt"):
        if (root / name).is_file():
            digest.update((root / name).read_bytes())
    return {"name": root.resolve().name, "sha256": digest.hexdigest(), "labels": has_labels(root)}
