"""A tracked drive as a file: for maps, for other software, for evaluation, and for going on where it ended."""

from cvlnet.track.formats.files import check_output, read_trajectory, write_trajectory
from cvlnet.track.formats.log import TrackLog

__all__ = ["TrackLog", "check_output", "read_trajectory", "write_trajectory"]
