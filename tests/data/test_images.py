from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from kitti_tree import write_picture

from cvlnet.data.images import ImageCache, ImageSpec, read_frame, read_image
from cvlnet.errors import InputError
from cvlnet.geometry import Camera


def camera(width_px: int = 124, height_px: int = 38) -> Camera:
    return Camera(torch.tensor([72.0, 72.0]), torch.tensor([61.0, 18.0]), width_px, height_px)


def test_pictures_are_rgb(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    cv2.imwrite(str(path), np.full((4, 5, 3), (0, 0, 255), np.uint8))
    assert read_image(path).shape == (4, 5, 3)
    assert read_image(path)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("kept", [0.5, 0.999])
def test_truncated_picture(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"cut{suffix}"
    write_picture(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(InputError, match=f"cut{suffix}: the picture file is cut short; copy or download it again"):
        read_image(path)


def test_damaged_picture(tmp_path: Path) -> None:
    path = tmp_path / "damaged.png"
    write_picture(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="is not a whole picture"):
        read_image(path)


@pytest.mark.parametrize(("content", "what"), [(b"", "is empty"), (b"no picture", "is not a whole picture")])
def test_zero_byte_file_and_no_picture(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "frame.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=what):
        read_image(path)


def test_missing_picture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"frame.png: cannot be read \(No such file"):
        read_image(tmp_path / "frame.png")


def test_a_picture_of_another_size_than_the_calibration(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    write_picture(path)
    with pytest.raises(InputError, match="the picture has 124 x 38 px, its calibration 122 x 37"):
        read_frame(path, camera(122, 37), ImageSpec(62, 16))


def test_the_sky_is_cut_and_the_camera_follows(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    rows = np.repeat(np.arange(38, dtype=np.uint8)[:, None, None], 124, axis=1).repeat(3, axis=2)
    cv2.imwrite(str(path), rows)
    spec = ImageSpec(62, 16)
    frame = read_frame(path, camera(), spec)
    fitted = spec.camera(camera())
    assert frame.shape == (16, 62, 3)
    assert frame[-1, 0, 0] in (36, 37)  # the mean of the last two rows
    assert fitted.focal_px.tolist() == [36.0, 36.0]
    assert fitted.principal_point_px.tolist() == [30.5, 18 / 2 - 3]  # 3 of 19 rows are cut
    assert (fitted.width_px, fitted.height_px) == (62, 16)


def test_the_whole_frame_may_be_squeezed(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    write_picture(path)
    spec = ImageSpec(31, 38, fit="whole")
    assert read_frame(path, camera(), spec).shape == (38, 31, 3)
    assert spec.camera(camera()).focal_px.tolist() == [18.0, 72.0]


def test_a_small_frame_is_enlarged_and_a_flat_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    write_picture(path)
    assert read_frame(path, camera(), ImageSpec(248, 64)).shape == (64, 248, 3)
    with pytest.raises(InputError, match="has 19 rows, fewer than the 20 asked for; ask for fewer rows"):
        read_frame(path, camera(), ImageSpec(62, 20))


def test_the_cache_makes_once_and_again_when_the_source_or_the_wish_changes(tmp_path: Path) -> None:
    source, cache = tmp_path / "frame.png", ImageCache(tmp_path / "cache")
    made: list[int] = []
    write_picture(source)

    def make() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        made.append(len(made))
        return read_image(source)

    first = cache.get(source, "a", make)
    assert np.array_equal(cache.get(source, "a", make, in_memory=False), first)
    assert made == [0]
    cache.get(source, "b", make)
    assert made == [0, 1]
    write_picture(source, 60, 20)
    assert cache.get(source, "a", make).shape == (20, 60, 3)
    assert made == [0, 1, 2]


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_damaged_entry_is_made_again(tmp_path: Path, in_memory: bool) -> None:
    source, cache = tmp_path / "frame.png", ImageCache(tmp_path / "cache")
    write_picture(source)
    whole = cache.get(source, "a", lambda: read_image(source))
    (entry,) = (tmp_path / "cache").rglob("*.npy")
    for damage in (b"", entry.read_bytes()[:1000]):
        entry.write_bytes(damage)
        assert np.array_equal(cache.get(source, "a", lambda: read_image(source), in_memory=in_memory), whole)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path != entry]
