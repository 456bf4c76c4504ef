"""Encoding on Ray: its own logic on a cluster of this process, and, slow, on a real one."""

import os
import pickle
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import ray
import torch
from ray import ObjectRef, cloudpickle
from ray.exceptions import RayTaskError, WorkerCrashedError

from cvlnet.checkpoint import load_model
from cvlnet.errors import InputError
from cvlnet.imagery.georef import open_overhead
from cvlnet.imagery.overhead import OverheadImage
from cvlnet.map import encode as encode_module
from cvlnet.map import on_ray as on_ray_module
from cvlnet.map.arrays import MapArrays
from cvlnet.map.build import build_map
from cvlnet.map.encode import Window, windows
from cvlnet.map.on_ray import Inputs, encode_partition, on_ray, partitions
from cvlnet.map.store import Map


class SmallInputs(Inputs):
    """Windows of 16 cells in the workers, too."""

    def open(self):
        encode_module._MARGIN_PX = 32
        return super().open()


@dataclass(frozen=True)
class DyingImage(OverheadImage):
    """Ends its process when it is read and something is written already, once."""

    mark: Path | None = None

    def read(self, rows, cols, reduction=1):
        states = self.mark.parent.glob("map/.building/map/state/c/*/*")
        if not self.mark.exists() and any(states):
            self.mark.write_text(str(os.getpid()))
            os._exit(1)
        return super().read(rows, cols, reduction)


@dataclass(frozen=True)
class DyingInputs(SmallInputs):
    mark: Path | None = None

    def open(self):
        model, image = super().open()
        return model, DyingImage(image.pixels, image.raster, image.source, image.valid, mark=self.mark)


@dataclass(frozen=True)
class DamagedImage(OverheadImage):
    def read(self, rows, cols, reduction=1):
        raise InputError("is damaged at row 7", where=self.source, remedy="copy it again")


class DamagedInputs(SmallInputs):
    def open(self):
        model, image = super().open()
        return model, DamagedImage(image.pixels, image.raster, image.source, image.valid)


class LastingDeath(SmallInputs):
    def open(self):
        os._exit(1)


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(encode_module, "WINDOW_PX", 64)
    monkeypatch.setattr(encode_module, "_MARGIN_PX", 32)
    on_ray_module._opened.cache_clear()
    yield
    torch.set_num_threads(1)  # workers are in this process, and set their own number


@pytest.fixture
def paths(weights, map_file):
    """Weights and a picture of 100 m, of 16 windows."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    cv2.imwrite(str(map_file), cv2.resize(pixels, (200, 200), interpolation=cv2.INTER_CUBIC))
    return weights, map_file


@pytest.fixture
def local(paths, tmp_path):
    """The map of that picture, encoded in this process."""
    return build(paths, tmp_path / "local")


def build(paths, out, engine=None):
    weights, picture = paths
    model, _ = load_model(weights)
    return build_map(model, open_overhead(picture), out, engine=engine)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class ClusterHere:
    """The part of Ray that the engine uses, in this process: a task is computed when it is waited for, newest first.

    What goes to a task and comes back is pickled, as Ray does. fails: errors of the first tasks, in place of results.
    """

    def __init__(self, nodes=({"CPU": 2.0},), fails=()):
        self._nodes, self._fails, self._calls, self._results = nodes, list(fails), {}, {}
        self.options, self.most_at_once, self.canceled, self.connected = {}, 0, [], []

    def is_initialized(self):
        return False

    def init(self, address, **named):
        self.connected.append((address, named))

    def shutdown(self):
        self.connected.append("ended")

    def nodes(self):
        dead = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
        return [dead, *({"Alive": True, "Resources": node} for node in self._nodes)]

    def remote(self, function):
        def start(*given):
            task = ObjectRef.from_random()
            self._calls[task] = (function, pickle.dumps(given))
            return task

        def options(**named):
            self.options = named
            return SimpleNamespace(remote=start)

        return SimpleNamespace(options=options)

    def wait(self, tasks):
        self.most_at_once = max(self.most_at_once, len(tasks))
        function, given = self._calls.pop(tasks[-1])
        if not self._fails:
            self._results[tasks[-1]] = pickle.dumps(function(*pickle.loads(given)))
        return tasks[-1:], tasks[:-1]

    def get(self, task):
        if self._fails:
            raise self._fails.pop(0)
        return pickle.loads(self._results.pop(task))

    def cancel(self, task, force):
        self.canceled.append(task)


@pytest.fixture
def cluster(monkeypatch):
    def use(**named):
        here = ClusterHere(**named)
        for name in ("is_initialized", "init", "shutdown", "nodes", "remote", "wait", "get", "cancel"):
            monkeypatch.setattr(on_ray_module.ray, name, getattr(here, name))
        return here

    return use


@pytest.mark.parametrize(
    ("count", "workers", "sides"), [(25, 2, {3, 1}), (7, 4, {1}), (1000, 2, {16, 8}), (0, 3, set())]
)
def test_partitions_are_the_windows_in_their_order(count, workers, sides):
    parts = [Window(slice(i, i + 1), slice(0, 1)) for i in range(count)]
    found = partitions(parts, workers)
    assert [part for partition in found for part in partition] == parts
    assert {len(partition) for partition in found} == sides


def test_a_map_from_a_cluster_is_the_local_one(paths, local, cluster, tmp_path):
    here = cluster(nodes=({"CPU": 3.0}, {"CPU": 1.0}))
    found = build(paths, tmp_path / "map", on_ray(SmallInputs(*paths), address="10.0.0.1:6379"))
    assert files_of(tmp_path / "map" / "v1") == files_of(local.path / "v1")
    found.verify()
    assert here.most_at_once == 4
    assert here.connected[0][0] == "10.0.0.1:6379"
    assert "num_cpus" not in here.connected[0][1]  # Ray refuses it of a running cluster
    assert here.connected[1:] == ["ended"]
    assert here.canceled == []
    assert here.options["num_cpus"] == 1
    assert here.options["num_gpus"] == 0


def test_workers_are_as_many_as_asked_for_and_have_their_cores(paths, local, cluster, tmp_path):
    here = cluster(nodes=({"CPU": 6.0},))
    build(paths, tmp_path / "map", on_ray(SmallInputs(*paths), workers=3, cores=2))
    assert here.most_at_once == 3
    address, settings = here.connected[0]
    assert (address, settings["num_cpus"], settings["include_dashboard"]) == ("local", 6, False)
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert here.options["num_cpus"] == 2
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("nodes", "device", "cores", "wanted"),
    [
        (({"CPU": 4.0}, {"CPU": 4.0}), "cpu", 5, "5 CPU"),
        (({"CPU": 4.0},), "cuda", 1, "1 CPU and 1 GPU"),
        (({"CPU": 4.0}, {"GPU": 1.0}), "cuda:0", 1, "1 CPU and 1 GPU"),
    ],
)
def test_a_cluster_without_room_is_refused_at_once(paths, cluster, tmp_path, nodes, device, cores, wanted):
    here = cluster(nodes=nodes)
    with pytest.raises(InputError, match=f"^Ray: no machine of the cluster has {wanted}; choose fewer cores"):
        build(paths, tmp_path / "map", on_ray(SmallInputs(*paths, device=device), cores=cores))
    assert here.connected[-1] == "ended"


def test_no_cluster_at_an_address_is_one_line(paths, cluster, monkeypatch, tmp_path):
    cluster()

    def init(address, **named):
        raise ConnectionError("ray cluster\n not found")

    monkeypatch.setattr(on_ray_module.ray, "init", init)
    expected = r"^Ray at nowhere:1: cannot be reached \(ray cluster not found\); give the address of a running cluster"
    with pytest.raises(InputError, match=expected):
        build(paths, tmp_path / "map", on_ray(SmallInputs(*paths), address="nowhere:1"))


def test_an_error_ends_the_build_and_cancels_what_runs(paths, local, cluster, tmp_path):
    here = cluster(
        fails=[RayTaskError("encode_partition", "Traceback ...", InputError("is bad", where="x", remedy="y"))]
    )
    with pytest.raises(InputError, match=r"^x: is bad; y$"):
        build(paths, tmp_path / "map", on_ray(SmallInputs(*paths)))
    assert len(here.canceled) == 2
    here = cluster(fails=[RayTaskError("encode_partition", "Traceback ...", KeyError("name"))])
    with pytest.raises(RayTaskError):
        build(paths, tmp_path / "map", on_ray(SmallInputs(*paths)))
    here = cluster(fails=[WorkerCrashedError()])
    with pytest.raises(
        InputError, match=r"workers that encode the map died 6 times \(.*\); check their memory, .*resumes"
    ):
        build(paths, tmp_path / "map", on_ray(SmallInputs(*paths)))
    cluster()
    build(paths, tmp_path / "map", on_ray(SmallInputs(*paths)))
    assert files_of(tmp_path / "map" / "v1") == files_of(local.path / "v1")


def test_a_repeated_partition_goes_on_behind_what_is_there(paths, local, tmp_path, monkeypatch):
    header = local.header
    arrays = MapArrays.create(tmp_path / "map", header)
    parts = windows(header.cells, header.window)[6:9]
    inputs = SmallInputs(*paths)
    assert encode_partition(inputs, arrays.folder, header, parts[:1], 1) == parts[:1]
    encoded = []
    engine = on_ray_module.in_this_process

    def counting(*of):
        def encode(folder, header, parts, progress):
            encoded.extend(parts)
            engine(*of)(folder, header, parts, progress)

        return encode

    monkeypatch.setattr(on_ray_module, "in_this_process", counting)
    assert encode_partition(inputs, arrays.folder, header, parts, 1) == parts
    assert encoded == parts[1:]


def test_workers_with_other_weights_imagery_or_folders_are_refused(paths, local, tmp_path):
    inputs, header = SmallInputs(*paths), local.header
    folder = MapArrays.create(tmp_path / "map", header).folder
    parts = windows(header.cells, header.window)[:1]
    for changed, expected in (
        (replace(header, weights="0" * 64), "a worker has other weights; install the same version of cvlnet"),
        (replace(header, sources=(replace(header.sources[0], state=""),)), "a worker has other imagery, or files of"),
    ):
        other = MapArrays.create(tmp_path / expected[:20], changed).folder
        with pytest.raises(InputError, match=expected):
            encode_partition(inputs, other, changed, parts, 1)
        with pytest.raises(InputError, match="a worker does not find the map's folder; write the map to storage that"):
            encode_partition(inputs, folder, changed, parts, 1)
    with pytest.raises(InputError, match="a worker does not find the map's folder"):
        encode_partition(inputs, tmp_path / "none", header, parts, 1)


def test_a_folder_that_is_not_shared_is_found_before_the_map_is_published(paths, cluster, tmp_path, monkeypatch):
    cluster()
    monkeypatch.setattr(on_ray_module, "encode_partition", lambda inputs, folder, header, partition, cores: partition)
    monkeypatch.setattr(pickle, "dumps", lambda given: given)
    monkeypatch.setattr(pickle, "loads", lambda given: given)
    with pytest.raises(InputError, match="16 windows that workers have written are not visible here; check that all"):
        build(paths, tmp_path / "map", on_ray(SmallInputs(*paths)))
    with pytest.raises(InputError, match="there is no map"):
        Map.open(tmp_path / "map")


@pytest.fixture(scope="module")
def two_workers():
    """A real cluster of two processes on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=40)
    yield
    ray.shutdown()
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.mark.slow
def test_a_worker_that_dies_changes_nothing(two_workers, paths, local, tmp_path):
    mark = tmp_path / "died"
    build(paths, tmp_path / "map", on_ray(DyingInputs(*paths, mark=mark), workers=2))
    assert int(mark.read_text()) != os.getpid()
    assert files_of(tmp_path / "map" / "v1") == files_of(local.path / "v1")
    Map.open(tmp_path / "map").verify()


@pytest.mark.slow
def test_damage_that_a_worker_finds_is_one_line(two_workers, paths, tmp_path):
    with pytest.raises(InputError) as caught:
        build(paths, tmp_path / "map", on_ray(DamagedInputs(*paths)))
    assert str(caught.value) == f"{paths[1]}: is damaged at row 7; copy it again"


@pytest.mark.slow
def test_workers_that_die_again_and_again_are_one_line(two_workers, paths, tmp_path):
    with pytest.raises(InputError, match="workers that encode the map died 6 times") as caught:
        build(paths, tmp_path / "map", on_ray(LastingDeath(*paths), workers=1))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
def test_the_engine_starts_a_cluster_of_its_own_and_ends_it(paths, local, tmp_path):
    ray.shutdown()
    build(paths, tmp_path / "map", on_ray(SmallInputs(*paths), workers=1))
    assert not ray.is_initialized()
    found, expected = Map.open(tmp_path / "map").region(), local.region()
    torch.testing.assert_close(found.descriptor, expected.descriptor, atol=1e-3, rtol=0)
