import struct
from dataclasses import replace
from math import inf, radians, tan
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from kitti_tree import DATE, shared, write_picture
from PIL import Image, ImageOps
from PIL.Image import Exif

from cvlnet.data.images import ImageCache, read_frame, read_image
from cvlnet.data.kitti_cvl import read_recording
from cvlnet.data.recording import MountedCamera
from cvlnet.errors import InputError
from cvlnet.geometry import Camera, Pose
from cvlnet.image_spec import ImageSpec, Window, horizon_px

LEVEL = Pose.level_from_cam()
SPEC = ImageSpec(62, 16)


def camera(width_px: int = 124, height_px: int = 38) -> Camera:
    focal_px, center_px = torch.tensor([[72.0, 72.0], [61.0, 18.0]], dtype=torch.float64)
    return Camera(focal_px, center_px, width_px, height_px)


MOUNTED = MountedCamera(camera(), LEVEL)


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


@pytest.mark.parametrize(("content", "what"), [(b"", "is empty"), (b"no picture", "is neither PNG nor JPEG")])
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
    mounted = replace(MOUNTED, camera=camera(122, 37), if_size_differs="do this")
    with pytest.raises(InputError, match="the picture has 124 x 38 px, its calibration 122 x 37; do this"):
        read_frame(path, mounted, SPEC.window(camera(122, 37), LEVEL))


def numbered_rows(path: Path, width_px: int = 124, height_px: int = 38) -> None:
    """A picture whose rows are as bright as their number."""
    rows = np.arange(height_px, dtype=np.uint8)[:, None, None]
    cv2.imwrite(str(path), np.broadcast_to(rows, (height_px, width_px, 3)).copy())


def test_the_sky_is_cut_and_the_camera_follows(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    numbered_rows(path)
    window = SPEC.window(camera(), LEVEL)
    frame, fitted = read_frame(path, MOUNTED, window), window.camera(camera())
    assert frame.shape == (16, 62, 3)
    assert frame[-1, 0, 0] in (36, 37)  # the mean of the last two rows
    assert fitted.focal_px.tolist() == [36.0, 36.0]
    assert fitted.principal_point_px.tolist() == [30.5, 18 / 2 - 3]  # 3 of 19 rows are cut
    assert (fitted.width_px, fitted.height_px) == (62, 16)


def pitched(pitch_deg: float, roll_deg: float = 0.0, yaw_deg: float = 0.0) -> Pose:
    """A camera over the road that looks down."""
    angles_rad = torch.deg2rad(torch.tensor([roll_deg, pitch_deg, yaw_deg], dtype=torch.float64))
    return Pose.from_euler(*angles_rad, torch.zeros(3, dtype=torch.float64)) @ Pose.level_from_cam()


@pytest.mark.parametrize("pitch_deg", [-20.0, 0.0, 10.0])
@pytest.mark.parametrize("roll_deg", [-5.0, 0.0, 5.0])
@pytest.mark.parametrize("yaw_deg", [0.0, 130.0])
def test_the_horizon_is_where_far_points_of_the_road_are_seen(
    pitch_deg: float, roll_deg: float, yaw_deg: float
) -> None:
    """Level with the camera, a long way off, in the middle column."""
    high = camera(124, 200)
    road_from_cam = pitched(pitch_deg, roll_deg, yaw_deg)
    azimuth_rad = torch.deg2rad(torch.linspace(-20, 20, 4001, dtype=torch.float64) + yaw_deg)
    far_m = 1e6 * torch.stack([azimuth_rad.cos(), azimuth_rad.sin(), torch.zeros_like(azimuth_rad)], dim=1)
    xy_px, _ = high.project(road_from_cam.inverse().transform(far_m))
    middle = xy_px[(xy_px[:, 0] - 62).abs().argmin()]
    assert horizon_px(high, road_from_cam) == pytest.approx(float(middle[1]), abs=0.02)


@pytest.mark.parametrize(("pitch_deg", "expected"), [(90.0, -inf), (-90.0, inf), (88.0, -inf)])
def test_a_camera_that_looks_down_has_its_horizon_far_above(pitch_deg: float, expected: float) -> None:
    assert horizon_px(camera(), pitched(pitch_deg)) == expected
    top_px = SPEC.window(camera(), pitched(pitch_deg)).top_px
    assert top_px == (0 if expected < 0 else 3)


def test_the_rows_around_the_horizon_of_a_pitched_camera_are_kept(tmp_path: Path) -> None:
    """Ten degrees down: the horizon is 12.7 rows above the principal point."""
    path, high = tmp_path / "frame.png", camera(124, 200)
    high = replace(high, principal_point_px=torch.tensor([61.0, 100.0], dtype=torch.float64))
    numbered_rows(path, 124, 200)
    for pitch_deg, row in ((0.0, 100.0), (10.0, 100 - 72 * tan(radians(10))), (-15.0, 100 + 72 * tan(radians(15)))):
        window = SPEC.window(high, pitched(pitch_deg))
        frame = read_frame(path, MountedCamera(high, pitched(pitch_deg)), window)
        horizon = row / 2 - window.top_px
        assert horizon == pytest.approx(0.35 * 16, abs=0.51)
        assert frame[round(horizon), 0, 0] == pytest.approx(row, abs=2)
        assert window.camera(high).principal_point_px.tolist() == [30.5, 50.0 - window.top_px]


def test_the_rows_of_level_cameras_are_those_around_the_principal_point() -> None:
    """As the weights in the package were trained, for KITTI's own calibrations and for level cameras of any shape."""
    model_rows = ImageSpec(512, 128)
    rng = np.random.default_rng(0)
    for _ in range(200):
        width_px, height_px = int(rng.integers(300, 2000)), int(rng.integers(300, 1200))
        center_px = torch.tensor([width_px / 2, height_px * rng.uniform(0.3, 0.7)], dtype=torch.float64)
        some = Camera(torch.full((2,), width_px * 0.6, dtype=torch.float64), center_px, width_px, height_px)
        scale = max(512 / width_px, 128 / height_px)
        expected = max(0, min(round(float(center_px[1]) * scale - 0.35 * 128), round(height_px * scale) - 128))
        assert model_rows.window(some, LEVEL).top_px == expected


def test_the_real_rows_are_kept() -> None:
    recording = read_recording(shared("kitti", "raw_data", DATE, f"{DATE}_drive_0002_sync"))
    for camera_id in (2, 3):
        window = ImageSpec(512, 128).window(recording.cameras[camera_id].camera, recording.road_from_cam(camera_id))
        assert window == Window(512, 155, 0, 27, 512, 128)


def test_the_whole_frame_may_be_squeezed(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    write_picture(path)
    window = ImageSpec(31, 38, fit="whole").window(camera(), pitched(10.0))
    assert read_frame(path, MOUNTED, window).shape == (38, 31, 3)
    assert window.camera(camera()).focal_px.tolist() == [18.0, 72.0]


def test_a_small_frame_is_enlarged(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    write_picture(path)
    assert read_frame(path, MOUNTED, ImageSpec(248, 64).window(camera(), LEVEL)).shape == (64, 248, 3)


def test_of_a_wide_frame_the_columns_around_the_principal_point_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    cols = np.arange(124, dtype=np.uint8)[None, :, None]
    cv2.imwrite(str(path), np.broadcast_to(cols, (38, 124, 3)).copy())
    window = ImageSpec(62, 38).window(camera(), LEVEL)
    assert window == Window(124, 38, 30, 0, 62, 38)
    assert read_frame(path, MOUNTED, window)[0, [0, -1], 0].tolist() == [30, 91]
    assert window.camera(camera()).principal_point_px.tolist() == [31.0, 18.0]
    beside = replace(camera(), principal_point_px=torch.tensor([100.0, 18.0]))
    assert ImageSpec(62, 38).window(beside, LEVEL).left_px == 62


def oriented(path: Path, orientation: int, *, width_px: int = 124, height_px: int = 38) -> np.ndarray[Any, Any]:
    """A JPEG with EXIF's orientation; its pixels as they are stored."""
    smooth = cv2.resize(np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8), (width_px, height_px))
    exif = Exif()
    exif[0x0112] = orientation
    Image.fromarray(smooth).save(path, quality=98, exif=exif.tobytes())
    return smooth


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_as_viewers_turn_them_only_if_told(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "frame.jpg"
    stored = oriented(path, orientation)
    assert np.abs(read_image(path).astype(int) - stored).max() < 12
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    for rule, expected in (("ignore", stored), ("apply", shown)):
        height_px, width_px = expected.shape[:2]
        mounted = MountedCamera(camera(width_px, height_px), pitched(0.0), exif_orientation=rule)
        frame = read_frame(path, mounted, ImageSpec(width_px, height_px, "whole").window(mounted.camera, LEVEL))
        assert np.abs(frame.astype(int) - expected).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_of_the_calibration_tells_whether_a_picture_lies_on_its_side(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "frame.jpg"
    oriented(path, orientation)
    for size in ((124, 38), (38, 124)):
        mounted = MountedCamera(camera(*size), pitched(0.0), exif_orientation=None)
        window = ImageSpec(*size, "whole").window(mounted.camera, LEVEL)
        if orientation in (2, 3, 4) and size == (124, 38):
            told = rf"is to be turned \(orientation {orientation}\); write \"exif_orientation\" in camera.json: \"ign"
            with pytest.raises(InputError, match=told):
                read_frame(path, mounted, window)
        elif orientation < 5 and size == (38, 124):
            with pytest.raises(InputError, match="the picture has 124 x 38 px, its calibration 38 x 124"):
                read_frame(path, mounted, window)
        else:
            shown = Image.open(path) if size == (124, 38) else ImageOps.exif_transpose(Image.open(path))
            assert np.abs(read_frame(path, mounted, window).astype(int) - np.asarray(shown)).max() < 12


def test_of_a_square_picture_on_its_side_nothing_tells(tmp_path: Path) -> None:
    path = tmp_path / "frame.jpg"
    oriented(path, 6, width_px=40, height_px=40)
    mounted = MountedCamera(camera(40, 40), pitched(0.0), exif_orientation=None)
    with pytest.raises(InputError, match=r"is to be turned \(orientation 6\)"):
        read_frame(path, mounted, ImageSpec(40, 40).window(mounted.camera, LEVEL))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize(
    "behind", [bytes(3), bytes(5000), bytes(100) + b"SEFH" + bytes(52) + b"SEFT", b"\0\0\0\x18ftypmp42\xff\xd8\xff"]
)
def test_what_stands_behind_a_picture_does_not_count(tmp_path: Path, suffix: str, behind: bytes) -> None:
    path = tmp_path / f"frame{suffix}"
    write_picture(path)
    plain = read_image(path)
    path.write_bytes(path.read_bytes() + behind)
    assert np.array_equal(read_image(path), plain)


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 1}, {"subsampling": 0}])
def test_kinds_of_jpeg(tmp_path: Path, options: dict[str, int]) -> None:
    path = tmp_path / "frame.jpg"
    smooth = oriented(path, 1)
    Image.fromarray(smooth).save(path, quality=98, **options)
    assert np.abs(read_image(path).astype(int) - smooth).max() < 12
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3] + bytes(len(content)))  # a download that was broken off
    with pytest.raises(InputError, match="the picture file is cut short"):
        read_image(path)


@pytest.mark.parametrize(
    ("mode", "suffix", "most_off"),
    [
        ("L", ".png", 0),
        ("P", ".png", 0),
        ("LA", ".png", 0),
        ("RGBA", ".png", 0),
        ("1", ".png", 0),
        ("CMYK", ".jpg", 12),
    ],
)
def test_modes_become_rgb(tmp_path: Path, mode: str, suffix: str, most_off: int) -> None:
    path = tmp_path / f"frame{suffix}"
    smooth = oriented(tmp_path / "other.jpg", 1)
    picture = Image.fromarray(smooth).convert(mode)
    picture.save(path, **({"quality": 98} if suffix == ".jpg" else {}))
    expected = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(read_image(path).astype(int) - expected).max() <= most_off


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    eight = oriented(tmp_path / "other.jpg", 1)
    cv2.imwrite(str(path), eight[..., ::-1].astype(np.uint16) * 257)
    assert np.array_equal(read_image(path), eight)
    cv2.imwrite(str(path), eight[..., 0].astype(np.uint16) * 257)
    assert np.array_equal(read_image(path), np.repeat(eight[..., :1], 3, axis=2))
    cv2.imwrite(str(path), eight[..., 0].astype(np.uint16) * 16)
    told = r"the brightest of its 16-bit values is [0-9]*: it is almost black, or uses fewer bits; convert the picture"
    with pytest.raises(InputError, match=told):
        read_image(path)


def test_a_picture_that_claims_to_be_huge_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    write_picture(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 60000, 60000)
    path.write_bytes(bytes(content))
    with pytest.raises(
        InputError, match="the picture of 60000 x 60000 px is too large; give at most 500 million pixels"
    ):
        read_image(path)
    content[16:24] = struct.pack(">II", 20000, 20000)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="the picture has 20000 x 20000 px, its calibration 124 x 38"):
        read_frame(path, MOUNTED, SPEC.window(camera(), LEVEL))


def test_of_a_jpeg_the_size_counts_that_decoders_take(tmp_path: Path) -> None:
    """A second frame header behind the picture is not theirs."""
    path = tmp_path / "frame.jpg"
    write_picture(path)
    content = path.read_bytes()
    at = content.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", content, at + 2)
    small = content[at : at + 2 + length]
    large = small[:5] + struct.pack(">HH", 30000, 30000) + small[9:]
    path.write_bytes(content[:at] + large + content[at + len(small) : -2] + small + content[-2:])
    with pytest.raises(InputError, match="the picture of 30000 x 30000 px is too large"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".tif"])
def test_other_formats_are_refused_whatever_their_name(tmp_path: Path, suffix: str) -> None:
    """OpenCV would decode them, of any size."""
    path = tmp_path / "frame.png"
    path.write_bytes(cv2.imencode(suffix, np.zeros((38, 124, 3), np.uint8))[1].tobytes())
    with pytest.raises(InputError, match=r"frame.png: is neither PNG nor JPEG; convert the picture"):
        read_image(path)
    with pytest.raises(InputError, match=r"frame.png: is neither PNG nor JPEG; convert the picture"):
        read_frame(path, MOUNTED, SPEC.window(camera(), LEVEL))


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
