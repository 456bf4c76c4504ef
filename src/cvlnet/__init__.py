"""CVLNet locates a vehicle on an overhead image from the last few frames of its video.

from cvlnet import Localizer, open_overhead

localizer = Localizer()
answer = localizer.locate(localizer.read_clip("my_video"), open_overhead("map.tif"))
print(answer.best.position, answer.best.confidence, answer.is_sure)

`Tracker` tracks a vehicle over a whole drive; see docs/tracking.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvlnet.imagery.georef import open_overhead
    from cvlnet.localize.localizer import Localizer
    from cvlnet.track.tracker import Tracker

__all__ = ["Localizer", "Tracker", "__version__", "open_overhead"]
__version__ = "1.6.0"


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used: the command line's help should not wait for PyTorch."""
    if name == "Localizer":
        from cvlnet.localize.localizer import Localizer

        return Localizer
    if name == "Tracker":
        from cvlnet.track.tracker import Tracker

        return Tracker
    if name == "open_overhead":
        from cvlnet.imagery.georef import open_overhead

        return open_overhead
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
