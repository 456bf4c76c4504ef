"""Odd and hostile inputs of a clip: each is read rightly, or refused in one line that says where, what, and what to do.

A table: what is done to a good input, and what comes of it. `Clip` means the same clip as of the good input, with these
warnings; `Line` means that the input is refused with this line. ROOT stands for the input's folder.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from math import radians
from pathlib import Path

import pytest
import torch
from changes import (
    Change,
    all_of,
    bytes_of,
    camera,
    cells,
    column,
    compass,
    deep,
    each,
    exif,
    hidden_beside,
    oxts,
    renamed,
    resaved,
    row,
    same,
    text,
    tum,
    visual_odometry,
)
from kitti_tree import DATE, DRIVE, NAME, write_kitti_cvl
from video_tree import bend, write_video

from cvlnet.data.clips import ClipSpec, assemble_clip
from cvlnet.data.folder import read_folder
from cvlnet.data.kitti_cvl import read_recording, read_recordings, read_split
from cvlnet.data.recording import Recording
from cvlnet.errors import InputError
from cvlnet.image_spec import ImageSpec
from cvlnet.types import Clip as ClipOfFrames

SPEC = ClipSpec(ImageSpec(62, 16), way_m=9.0)
SEE = "see the file formats in docs/conventions.md"
LEFT_OUT = "correct their positions, or delete them"
RIGHT = 'if the headings are right, write "heading_convention": "east_ccw"'


@dataclass(frozen=True)
class Clip:
    """The clip of the good input; ``pixels`` False where the format of the pictures loses some."""

    warnings: tuple[str, ...] = ()
    pixels: bool = True


@dataclass(frozen=True)
class Line:
    """What is told, as it stands there."""

    text: str


@dataclass(frozen=True)
class Case:
    name: str
    change: Change
    comes: Clip | Line


FOLDERS = (
    # which frames there are, and in which order
    Case("names without leading zeros", renamed(lambda name: f"{int(name[:4])}.png"), Clip()),
    Case("names with a prefix", renamed(lambda name: f"IMG_{int(name[:4])}.PNG"), Clip()),
    Case("hidden files of macOS", hidden_beside("frames/*.png"), Clip()),
    Case(
        "a mask that nothing names",
        lambda folder: shutil.copy(folder / "frames/0000.png", folder / "frames/z.png"),
        Clip(),
    ),
    Case("rows in another order", cells(lambda table: table.__setitem__(slice(1, None), table[:0:-1])), Clip()),
    Case(
        "times that fall along the names",
        row(18, c1="0.1"),
        Line(
            "ROOT/poses.csv, line 20: time_s 0.1 comes before that of line 19, 1.7, but the frame's name comes after "
            "it; correct the times, or name the frames in the order in which they were taken"
        ),
    ),
    Case(
        "a frame twice",
        row(18, c0="0003.png"),
        Line("ROOT/poses.csv, line 20: 0003.png has a line already (line 5); keep the one that is right"),
    ),
    Case(
        "a path for a name",
        row(0, c0="frames/0000.png"),
        Line(
            "ROOT/poses.csv, line 2: frames holds no frames/0000.png (did you mean 0000.png?); "
            "correct the line, or add the frame"
        ),
    ),
    Case(
        "the newest frame without a pose",
        cells(lambda table: table.pop()),
        Line(
            "ROOT: frame 19 cannot be used: poses.csv has no pose of 0019.png; "
            "correct its position, or choose among 0 to 18"
        ),
    ),
    # how the table is written
    Case("a byte order mark", text("poses.csv", lambda t: "\ufeff" + t), Clip()),
    Case("UTF-16 of Windows", text("poses.csv", lambda t: t, "utf-16"), Clip()),
    Case("blanks behind commas", text("poses.csv", lambda t: t.replace(",", " , ")), Clip()),
    Case("line ends of Windows, empty lines", text("poses.csv", lambda t: t.replace("\n", "\r\n\r\n")), Clip()),
    Case(
        "cells in quotes",
        text("poses.csv", lambda t: "\n".join('"' + '","'.join(x.split(",")) + '"' for x in t.split())),
        Clip(),
    ),
    Case(
        "more columns",
        cells(lambda table: [r.append("12") for r in table[1:]] and table[0].append("satellites")),
        Clip(),
    ),
    Case("no times", cells(lambda table: [r.pop(1) for r in table]), Clip()),
    Case("times that stand still", column(1, lambda _: 0.0), Clip()),
    Case(
        "semicolons",
        text("poses.csv", lambda t: t.replace(",", ";")),
        Line(
            "ROOT/poses.csv, line 1: semicolons separate the columns; "
            "separate them by commas, and write decimals with a point"
        ),
    ),
    Case(
        "decimal commas",
        text("poses.csv", lambda t: t.replace("0.100", "0,100")),
        Line("ROOT/poses.csv, line 3: 6 values for 5 columns (decimals are written with a point); correct the line"),
    ),
    Case(
        "decimal commas in quotes",
        row(4, c2='"1,5"'),
        Line(f"ROOT/poses.csv, line 6: x_m '1,5' is not a number (decimals are written with a point); {SEE}"),
    ),
    Case(
        "no header",
        cells(lambda table: table.pop(0)),
        Line(
            "ROOT/poses.csv, line 1: begins with numbers instead of the columns' names; "
            f"begin with a line such as file,time_s,x_m,y_m,yaw_deg; {SEE}"
        ),
    ),
    # positions
    Case(
        "the coordinates of a grid", all_of(column(2, lambda x: x + 3456000), column(3, lambda y: y + 5428000)), Clip()
    ),
    Case(
        "a row without a number",
        row(17, c2="nan"),
        Clip((f"ROOT/poses.csv: 1 of 20 lines are left out: no position or heading (line 19); {LEFT_OUT}",)),
    ),
    Case(
        "a row 30 m beside",
        row(17, c2="-20.0"),
        Clip((f"ROOT/poses.csv: 1 of 20 lines are left out: no vehicle can have driven there (line 19); {LEFT_OUT}",)),
    ),
    Case(
        "the newest row far away",
        row(19, c2="0", c3="0"),
        Line(
            "ROOT: frame 19 cannot be used: no vehicle can have driven from the frames around it to its position "
            "(ROOT/poses.csv, line 21); correct its position, or choose among 0 to 18"
        ),
    ),
    Case(
        "odometry that was reset",
        cells(lambda table: [r.__setitem__(2, str(float(r[2]) + 500)) for r in table[19:]]),
        Line(
            "ROOT: a clip needs 4 frames with pictures, and there are 2 up to frame 19 since the position jumps "
            "by 500 m at frame 18; choose a later frame, or a clip of fewer frames"
        ),
    ),
    Case(
        "kilometres that were meant as metres",
        all_of(column(2, lambda x: x * 1000), column(3, lambda y: y * 1000)),
        Line(
            "ROOT/poses.csv: the positions are not those of a vehicle: they move at 10000 m/s, more than 70 m/s, or "
            "jump to and fro; give positions in metres or degrees, and times in seconds"
        ),
    ),
    Case(
        "times in nanoseconds",
        column(1, lambda time_s: 1.4e18 + time_s * 1e9),
        Line(
            "ROOT/poses.csv: the times rise by 1e+08 s from frame to frame, in which the vehicle hardly moves; "
            "give times in seconds"
        ),
    ),
    # headings
    Case("headings from 0 to 360 degrees", column(4, lambda yaw: (yaw + 720) % 360), Clip()),
    Case("a column in radians", column(4, radians, "yaw_rad"), Clip()),
    Case("a compass, as it is declared", all_of(column(4, compass), camera(heading_convention="compass")), Clip()),
    Case(
        "a compass",
        column(4, compass),
        Line(
            "ROOT/poses.csv: the headings are 33 degrees away from the direction of travel; if yaw_deg is a "
            'compass bearing, write "heading_convention": "compass" in camera.json; if x_m and y_m are exchanged, '
            "exchange them; " + RIGHT
        ),
    ),
    Case(
        "radians",
        column(4, radians),
        Line(
            "ROOT/poses.csv: the headings are 52 degrees away from the direction of travel; if yaw_deg is in "
            "radians, name the column yaw_rad; " + RIGHT
        ),
    ),
    Case(
        "degrees in a column of radians",
        column(4, lambda yaw: yaw, "yaw_rad"),
        Line(
            "ROOT/poses.csv: the headings are 82 degrees away from the direction of travel; if yaw_rad is in "
            "degrees, name the column yaw_deg; " + RIGHT
        ),
    ),
    Case(
        "zero is north",
        column(4, lambda yaw: yaw - 90),
        Line(
            "ROOT/poses.csv: the headings are 90 degrees away from the direction of travel; if they do not count "
            'from the x axis, write "heading_offset_deg": 90 in camera.json; ' + RIGHT
        ),
    ),
    Case(
        "a vehicle that drives sideways, as it is declared",
        all_of(
            column(4, lambda yaw: yaw - 90), camera(heading_convention="east_ccw", yaw_deg=90, forward_m=0, left_m=0.8)
        ),
        Clip(
            (
                "ROOT/poses.csv: the headings are 90 degrees away from the direction of travel; "
                "check yaw and the axes of the positions, unless it does drive sideways",
            )
        ),
    ),
    Case(
        "a heading that drops out",
        row(17, c4="0.0"),
        Clip(
            (
                "ROOT/poses.csv: 1 of 20 lines are left out: a heading that stands out from those around it (line 19); "
                + LEFT_OUT,
            )
        ),
    ),
    # TUM
    Case("TUM", tum(same), Clip()),
    Case("TUM with w first, as it is declared", all_of(tum(same, wxyz=True), camera(quaternion_order="wxyz")), Clip()),
    Case(
        "visual odometry, as it is declared",
        all_of(tum(visual_odometry), camera(poses_of="camera", world_axes="y_down", yaw_offset_deg=20)),
        Clip(),
    ),
    Case(
        "TUM with w first",
        tum(same, wxyz=True),
        Line(
            "ROOT/poses.txt: the vehicle would stand, or its way climb, at 125 degrees; "
            'write "quaternion_order": "wxyz" in camera.json'
        ),
    ),
    Case(
        "visual odometry",
        tum(visual_odometry),
        Line(
            "ROOT/poses.txt: the vehicle would stand, or its way climb, at 54 degrees; "
            'write "poses_of": "camera", "world_axes": "y_down" in camera.json'
        ),
    ),
    Case(
        "a pose too few",
        all_of(tum(same), text("poses.txt", lambda t: t[: t[:-1].rindex("\n") + 1])),
        Line("ROOT/poses.txt: holds 19 poses for 20 frames; give one line a frame, or poses.csv"),
    ),
    Case(
        "two files of poses",
        lambda folder: (folder / "poses.txt").write_text("0 0 0 0 0 0 0 1\n"),
        Line("ROOT: holds both poses.csv and poses.txt; keep the one that is right"),
    ),
    # camera.json
    Case("camera.json with a byte order mark", text("camera.json", lambda t: "\ufeff" + t), Clip()),
    Case(
        "a misspelt key",
        camera(pitch=5),
        Line(
            "ROOT/camera.json: unknown key pitch (did you mean pitch_deg?); the keys are width, height, fx, fy, cx, "
            "cy, height_m, forward_m, left_m, roll_deg, pitch_deg, yaw_deg, yaw_offset_deg, heading_offset_deg, "
            "pixel_origin, poses_of, world_axes, quaternion_order, heading_convention, exif_orientation, "
            "distortion_model, distortion_coefficients"
        ),
    ),
    Case(
        "a key twice",
        text("camera.json", lambda t: t.replace("{", '{"fx": 70, ', 1)),
        Line("ROOT/camera.json: fx is there twice; delete one of the two"),
    ),
    Case(
        "a focal length in millimetres",
        camera(fx=4.2, fy=4.2),
        Line(
            "ROOT/camera.json: fx 4.2 in a picture of 124 px would see 172.2 degrees; give fx and fy in pixels: a "
            "focal length in mm times the picture's width over the sensor's in mm"
        ),
    ),
    Case(
        "a principal point in fractions",
        camera(cx=0.49, cy=0.46),
        Line(
            "ROOT/camera.json: cx 0.49 and cy 0.46 are fractions, not pixels; "
            "multiply cx by the width and cy by the height"
        ),
    ),
    Case(
        "a height in centimetres",
        camera(height_m=150),
        Line(
            "ROOT/camera.json: height_m 150 is not within 0.05 to 10; give the camera's height above the road in metres"
        ),
    ),
    Case(
        "a height that is true", camera(height_m=True), Line(f"ROOT/camera.json: height_m True is not a number; {SEE}")
    ),
    Case(
        "an angle in radians",
        camera(yaw_offset_deg=1.5708),
        Line("ROOT/camera.json: yaw_offset_deg 1.5708 is a right angle in radians; write 90"),
    ),
    Case("no distortion, in coefficients", camera(distortion_coefficients=[0, 0, 0, 0, 0]), Clip()),
    Case(
        "four coefficients of some model",
        camera(distortion_coefficients=[0.1, 0, 0, 0]),
        Line(
            "ROOT/camera.json: distortion_coefficients are 4, of distortion_model None; write distortion_model: "
            '"opencv" has 4 or 5 or 8 or 12 or 14; "fisheye" has 4 of them'
        ),
    ),
    Case(
        "frames of another size",
        camera(width=120),
        Line(
            "ROOT/frames/0019.png: the picture has 124 x 38 px, its calibration 120 x 38; "
            "give the frames that camera.json describes, or write their size and calibration there"
        ),
    ),
    # pictures
    Case("bytes behind a PNG", each("frames/*.png", bytes_of(lambda b: b + bytes(200))), Clip()),
    Case("16 bits", each("frames/*.png", deep(257)), Clip()),
    Case("an alpha channel", resaved(".PNG", "RGBA"), Clip()),
    Case("JPEG", resaved(".JPG"), Clip(pixels=False)),
    Case("progressive JPEG in CMYK", resaved(".jpeg", "CMYK", progressive=True), Clip(pixels=False)),
    Case(
        "a photo's video behind a JPEG",
        all_of(resaved(".jpg"), each("frames/*", bytes_of(lambda b: b + b"ftypmp42"))),
        Clip(pixels=False),
    ),
    Case("EXIF on its side, pixels of camera.json's size", resaved(".jpg", **exif(6)), Clip(pixels=False)),
    Case(
        "EXIF upside down, as it is declared",
        all_of(resaved(".jpg", **exif(3)), camera(exif_orientation="ignore")),
        Clip(pixels=False),
    ),
    Case(
        "EXIF upside down",
        resaved(".jpg", **exif(3)),
        Line(
            "ROOT/frames/0019.jpg: EXIF says that the picture is to be turned (orientation 3); write "
            '"exif_orientation" in camera.json: "ignore" if the calibration is of the pixels as they are stored, '
            '"apply" if it is of the picture as viewers show it'
        ),
    ),
    Case(
        "a cut picture",
        each("frames/0019.png", bytes_of(lambda b: b[: len(b) // 2])),
        Line("ROOT/frames/0019.png: the picture file is cut short; copy or download it again"),
    ),
    Case(
        "an empty picture",
        each("frames/0019.png", bytes_of(lambda _: b"")),
        Line("ROOT/frames/0019.png: the picture file is empty (0 bytes); copy or download it again"),
    ),
    Case(
        "12 bits in 16",
        each("frames/0019.png", deep(16)),
        Line(
            "ROOT/frames/0019.png: the brightest of its 16-bit values is 4080: it is almost black, or uses fewer bits; "
            "convert the picture to 8 bits"
        ),
    ),
)

STAMPS = "oxts/timestamps.txt"
CAM_TO_CAM, IMU_TO_VELO = "../calib_cam_to_cam.txt", "../calib_imu_to_velo.txt"
GET_KITTI = "download the date's calibration from KITTI's raw data page and unpack it there"

DRIVES = (
    Case("JPEG", each("image_0*/data/*.png", lambda path: path.rename(path.with_suffix(".jpg"))), Clip()),
    Case("upper case", each("image_0*/data/*.png", lambda path: path.rename(path.with_suffix(".PNG"))), Clip()),
    Case(
        "numbers without zeros", each("*/data/*", lambda p: p.rename(p.with_name(f"{int(p.stem)}{p.suffix}"))), Clip()
    ),
    Case("hidden files of macOS", all_of(hidden_beside("image_02/data/*"), hidden_beside("oxts/data/*")), Clip()),
    Case(
        "byte order marks",
        all_of(*(text(f, lambda t: "\ufeff" + t) for f in (STAMPS, CAM_TO_CAM, IMU_TO_VELO))),
        Clip(),
    ),
    Case(
        "line ends of Windows",
        all_of(*(text(f, lambda t: t.replace("\n", "\r\n")) for f in (STAMPS, CAM_TO_CAM))),
        Clip(),
    ),
    Case("an empty line for a time", text(STAMPS, lambda t: "\n".join(["", *t.split("\n")[1:]])), Clip()),
    Case("empty lines between times", text(STAMPS, lambda t: t.replace("\n", "\n\n")), Clip()),
    Case("times that stand still", text(STAMPS, lambda t: "2011-09-26 13:02:44.0\n" * 13), Clip()),
    Case(
        "a frame without a fix",
        oxts(8, v0=0.0, v1=0.0),
        Clip((f"ROOT/oxts/data: 1 of 13 frames are left out: no position or heading (frame 8); {LEFT_OUT}",)),
    ),
    Case(
        "a frame far away",
        oxts(8, v0=49.002),
        Clip((f"ROOT/oxts/data: 1 of 13 frames are left out: no vehicle can have driven there (frame 8); {LEFT_OUT}",)),
    ),
    Case(
        "the newest frame without a heading",
        oxts(12, v5=float("nan")),
        Line(
            f"{NAME}: frame 12 cannot be used: it has no position (0, 0 or no number), or no heading "
            "(ROOT/oxts/data/0000000012.txt); correct its position, or choose among 0 to 11"
        ),
    ),
    Case(
        "the newest frame without oxts",
        lambda drive: (drive / "oxts/data/0000000012.txt").unlink(),
        Line(
            f"{NAME}: frame 12 cannot be used: it has no file in ROOT/oxts/data; "
            "correct its position, or choose among 0 to 11"
        ),
    ),
    Case(
        "no picture of the newest frame",
        lambda drive: (drive / "image_02/data/0000000012.png").unlink(),
        Line(f"{NAME}: there is no picture of frame 12 by camera 2; choose among 0 to 11"),
    ),
    Case(
        "no newest frame",
        lambda drive: [path.unlink() for path in drive.glob("*/data/0000000012.*")],
        Line(f"{NAME}: there is no frame 12; choose among 0 to 11"),
    ),
    Case(
        "pictures before rectification",
        text(CAM_TO_CAM, lambda t: t.replace("S_rect_02: 124 38", "S_rect_02: 122 37")),
        Line(
            "ROOT/image_02/data/0000000012.png: the picture has 124 x 38 px, its calibration 122 x 37; "
            "put the date's own calibration beside its drives, or the rectified (synced) pictures"
        ),
    ),
    Case(
        "a calibration in millimetres",
        text(IMU_TO_VELO, lambda t: t.replace("T: -0.5 0.25 -0.7", "T: -500 250 -700")),
        Line(
            "DATE: calib_imu_to_velo.txt and calib_velo_to_cam.txt do not lead from the unit to a camera that looks "
            f"ahead; {GET_KITTI}"
        ),
    ),
    Case(
        "a calibration with decimal commas",
        text(IMU_TO_VELO, lambda t: t.replace("0.25", "0,25")),
        Line(f"DATE/calib_imu_to_velo.txt: '0,25' is not a number (decimals are written with a point); {GET_KITTI}"),
    ),
    Case(
        "a rotation that is none",
        text(IMU_TO_VELO, lambda t: t.replace("R: 1 0 0 0 1 0 0 0 1", "R: 1 0 0 0 1 0 0 0 0")),
        Line(f"DATE/calib_imu_to_velo.txt: R is no rotation; {GET_KITTI}"),
    ),
    Case(
        "a folder that is no drive",
        lambda drive: shutil.rmtree(drive / "oxts"),
        Line(
            "ROOT: the folder is no drive: it has no oxts; "
            "name the folder of one drive, DATE/DATE_drive_NUMBER_sync, or unpack its oxts folder"
        ),
    ),
)

TEST1 = "test2_files_with_sat_GPS.txt"
A_LINE = "write the line as `date/drive/frame.png lat lon`"


def no_frame(path: str) -> str:
    return f"ROOT/{TEST1}, line 1: '{path}/0000000009.png' names no frame; {A_LINE}"


SPLITS = (
    Case("a byte order mark", text(TEST1, lambda t: "\ufeff" + t), Clip()),
    Case("UTF-16 of Windows", text(TEST1, lambda t: t, "utf-16"), Clip()),
    Case("line ends of Windows, empty lines", text(TEST1, lambda t: t.replace("\n", "\r\n\r\n")), Clip()),
    Case("backslashes", text(TEST1, lambda t: t.replace("/", "\\")), Clip()),
    Case("names as JPEG", text(TEST1, lambda t: t.replace(".png", ".jpg")), Clip()),
    Case("hidden files beside the tiles", hidden_beside("satmap/test/*/*.png"), Clip()),
    Case(
        "a query twice",
        text(TEST1, lambda t: t + t.splitlines()[0] + "\n"),
        Line(f"ROOT/{TEST1}, line 4: frame 9 of {NAME} is in line 1, too; keep the line that is right"),
    ),
    Case("blank lines", text(TEST1, lambda t: "\n \n" + t.replace("\n", "\n\t\n")), Clip()),
    Case("a tab between columns", text(TEST1, lambda t: t.replace(" ", "\t")), Clip()),
    Case(
        "a missing column",
        text(TEST1, lambda t: t.replace(" 8.4", "", 1)),
        Line(f"ROOT/{TEST1}, line 1: 2 of 3 fields; {A_LINE}"),
    ),
    *(
        Case(name, text(TEST1, lambda t, path=path: t.replace(NAME, path, 1)), Line(no_frame(path)))
        for name, path in (
            ("a path out of the data set", "../.."),
            ("a drive beside the data set", f"../{DRIVE}"),
            ("the folder of all dates", f"./{DRIVE}"),
            ("an absolute path", "/etc"),
            ("a longer absolute path", "/etc/ssh"),
            ("a drive of Windows", f"C:/{DRIVE}"),
            ("no date", DRIVE),
        )
    ),
    Case(
        "a frame number of 5000 digits",
        text(TEST1, lambda t: t.replace("0000000009", "9" * 5000, 1)),
        Line(f"ROOT/{TEST1}, line 1: '{NAME}/{'9' * 5000}.png' names no frame; {A_LINE}"),
    ),
    *(
        Case(
            f"a longitude of {wrong}",
            text(TEST1, lambda t, wrong=wrong: t.replace(" 8.4", f" {wrong}", 1)),
            Line(f"ROOT/{TEST1}, line 1: '{wrong}' is not a number{hint}; {A_LINE}"),
        )
        for wrong, hint in (
            ("nan", ""),
            ("inf", ""),
            ("east", ""),
            ("8_4", ""),
            ("8,4", " (decimals are written with a point)"),
        )
    ),
    Case(
        "a longitude beyond 180",
        text(TEST1, lambda t: t.replace(" 8.4", " 188.4", 1)),
        Line(f"ROOT/{TEST1}, line 1: longitude 188.4 is not within -180 to 180 degrees; {A_LINE}"),
    ),
    Case(
        "no tiles",
        lambda root: shutil.rmtree(root / "satmap"),
        Line(
            f"ROOT: no query can be used (ROOT/{TEST1}: 3 queries have no tile on disk); "
            "unpack the data set's satmap folder"
        ),
    ),
    Case(
        "nothing",
        text(TEST1, lambda _: "\n\n"),
        Line(
            f"ROOT/{TEST1}: the file is empty; copy the split list there: a line `date/drive/frame.png lat lon` a query"
        ),
    ),
    Case(
        "commas",
        text(TEST1, lambda t: t.replace(" ", ",")),
        Line(f"ROOT/{TEST1}, line 1: 1 of 3 fields; write the line as `date/drive/frame.png lat lon`"),
    ),
)


def prepared(tmp_path: Path, good: Path, case: Case, within: str = ".") -> Path:
    """A changed copy of a good input."""
    root = shutil.copytree(good, tmp_path / "input") / within
    case.change(root)
    return root


def check(
    case: Case, read: Callable[[], ClipOfFrames], good: ClipOfFrames, root: Path, log: pytest.LogCaptureFixture
) -> None:
    """Whether what is read is what the case says."""

    def told(line: str) -> str:
        return (
            line.replace("ROOT", str(root))
            .replace("DATE:", f"{root.parent}:")
            .replace("DATE/calib", f"{root.parent}/calib")
        )

    if isinstance(case.comes, Line):
        with pytest.raises(InputError) as caught:
            read()
        assert str(caught.value) == told(case.comes.text)
        return
    clip = read()
    assert log.messages == [told(line) for line in case.comes.warnings]
    torch.testing.assert_close(
        clip.ground_from_cam.translation_m, good.ground_from_cam.translation_m, atol=1e-4, rtol=0
    )
    torch.testing.assert_close(clip.ground_from_cam.rotation, good.ground_from_cam.rotation, atol=1e-6, rtol=0)
    torch.testing.assert_close(clip.camera.focal_px, good.camera.focal_px)
    off = (clip.images.int() - good.images.int()).abs().float()
    assert off.max() == 0 if case.comes.pixels else off.mean() < MOST_LOST


MOST_LOST = 3.0  # mean of what JPEG takes from a picture of noise; another picture differs by 40


def newest_clip(recording: Recording, newest: int) -> ClipOfFrames:
    return assemble_clip(recording, newest, SPEC)


@pytest.fixture(scope="module")
def good_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("good") / "video", bend())


@pytest.fixture(scope="module")
def good_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("good") / "data"
    write_kitti_cvl(root)
    return root


@pytest.mark.parametrize("case", FOLDERS, ids=lambda case: case.name)
def test_folder(case: Case, good_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root, good = prepared(tmp_path, good_folder, case), newest_clip(read_folder(good_folder), 19)
    check(case, lambda: newest_clip(read_folder(root), 19), good, root, caplog)


@pytest.mark.parametrize("case", DRIVES, ids=lambda case: case.name)
def test_drive(case: Case, good_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    within = f"raw_data/{DATE}/{DRIVE}"
    root, good = prepared(tmp_path, good_data, case, within), newest_clip(read_recording(good_data / within), 12)
    check(case, lambda: newest_clip(read_recording(root), 12), good, root, caplog)


@pytest.mark.parametrize("case", SPLITS, ids=lambda case: case.name)
def test_split(case: Case, good_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def last(root: Path) -> ClipOfFrames:
        split = read_split(root, "test1")
        assert len(split.tiles) == 1
        assert [query.frame for query in split.queries] == [9, 10, 12]
        return newest_clip(read_recordings(split)[NAME], split.queries[-1].frame)

    root = prepared(tmp_path, good_data, case)
    check(case, lambda: last(root), last(good_data), root, caplog)


def test_the_table_is_as_long_as_it_says() -> None:
    assert len(FOLDERS) + len(DRIVES) + len(SPLITS) >= 45
