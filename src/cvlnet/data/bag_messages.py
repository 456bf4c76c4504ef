"""Messages of ROS bags: ROS 1 .bag files, and ROS 2 bags of SQLite or MCAP. ROS itself is not needed.

Needs the extra ``ros``: pip install 'cvlnet[ros]'. Messages are read by ROS's own definitions of their types, never by
those that a bag brings along.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag2 import Reader as Reader2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from cvlnet.errors import InputError

_MAGIC_1 = b"#ROSBAG V2.0\n"
_AGAIN = "copy it again, or repair it with rosbag reindex, ros2 bag reindex or mcap recover"
_TF = "geometry_msgs/TransformStamped[] transforms\n"
_MOST_NAMED = 12  # topics in a message


@dataclass(frozen=True)
class Bag:
    """A bag file or folder, and the type of the messages of each topic that has any. end_ns: of the last message."""

    path: Path
    topics: Mapping[str, str]
    end_ns: int

    def chosen(self, types: Collection[str], wanted: str | None, option: str, what: str) -> str:
        """The topic of messages of these types: the wanted one, or the only one. Raises InputError otherwise."""
        fitting = sorted(topic for topic, kind in self.topics.items() if kind in types)
        if wanted is not None and wanted in fitting:
            return wanted
        if wanted is None and len(fitting) == 1:
            return fitting[0]
        remedy = f"choose one by {option}: {_named(fitting)}" if fitting else f"its topics are {_named(self.topics)}"
        found = f"has no {what} on {wanted}" if wanted is not None else f"has {len(fitting) or 'no'} topics of {what}"
        raise InputError(found, where=self.path, remedy=remedy)

    def messages(self, topic: str, since_ns: int | None = None) -> Iterator[Any]:
        """The messages of a topic in the order in which they were received.

        since_ns: only those received from then on. Raises InputError if the bag or a message is damaged.
        """
        with told(self.path), _reader(self.path) as reader:
            kind = self.topics[topic]
            connections = [connection for connection in reader.connections if connection.topic == topic]
            for connection in connections:
                _require_type(connection, isinstance(reader, Reader1))
            for _, _, data in reader.messages(connections, start=since_ns):
                yield _decoded(data, kind, is_1=isinstance(reader, Reader1))


def open_bag(path: Path) -> Bag:
    """Open a .bag, .mcap or .db3 file, or the folder of a ROS 2 bag. Raises InputError if it is none, or damaged."""
    if not path.exists():
        raise InputError("the bag does not exist", where=path, remedy="correct its name")
    with told(path), _reader(path) as reader:
        topics = {connection.topic: connection.msgtype for connection in reader.connections if connection.msgcount}
        end_ns = reader.end_time
    if not topics:
        raise InputError("the bag holds no messages", where=path, remedy="give another one")
    return Bag(path, topics, end_ns)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Tell of whatever goes wrong with a damaged bag as InputError: its readers raise errors of many kinds."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"cannot be read as a bag ({why[:200]})", where=path, remedy=_AGAIN) from error


def _reader(path: Path) -> Reader1 | Reader2:
    if path.is_file() and path.suffix.lower() == ".bag":
        with path.open("rb") as file:  # the reader itself would look for the first line's end
            if file.read(len(_MAGIC_1)) != _MAGIC_1:
                raise InputError("is no bag of ROS 1", where=path, remedy="give a .bag file of version 2.0")
        return Reader1(path)
    return Reader2(path)


@cache
def _types(is_1: bool) -> Typestore:
    store = get_typestore(Stores.ROS1_NOETIC if is_1 else Stores.ROS2_HUMBLE)
    if is_1:
        store.register(get_types_from_msg(_TF, "tf2_msgs/msg/TFMessage"))
    return store


def _decoded(data: bytes, kind: str, *, is_1: bool) -> Any:
    store = _types(is_1)
    return store.deserialize_ros1(data, kind) if is_1 else store.deserialize_cdr(data, kind)


def _require_type(connection: Connection, is_1: bool) -> None:
    """Whether the messages are of ROS's own type of that name, as far as ROS 1 says it by a digest."""
    if not is_1 or connection.digest in ("", "*"):
        return
    if _types(is_1).generate_msgdef(connection.msgtype)[1] != connection.digest:
        what = f"its {connection.msgtype} on {connection.topic} is not ROS's own type of that name"
        raise InputError(what, where=connection.topic, remedy="record the bag with ROS's standard messages")


def _named(topics: Collection[str]) -> str:
    names = sorted(topics)
    return ", ".join(names[:_MOST_NAMED]) + (
        f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    )
