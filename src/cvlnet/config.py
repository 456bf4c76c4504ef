"""Configurations of models and trainings: frozen, checked on construction, saved with every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

Precision = Literal["float32", "bfloat16"]
TestSplit = Literal["test1", "test2"]
TileScheme = Literal["xyz", "tms"]  # rows of tiles are counted from the north, or from the south
SplitName = Literal["train"] | TestSplit

SHARE_MAPPED = 0.5  # of queries whose place is on the map, where nothing else is known
PITCH_ERROR_DEG = 3.0  # two standard deviations of a camera's pitch: calibration, slopes and braking together
MOST_PITCH_ERROR_DEG = 15.0
WAY_M = 36.0  # length of way that a clip's frames are spread over: best on the validation towns

Fusion = Literal[
    "visibility",
    "vis_Conv2D",
    "vis_Conv3D",
    "vis_LSTM",
    "fuse_Conv2D",
    "fuse_Conv3D",
    "fuse_LSTM",
    "fuse_Transformer",
    "mean",
    "max",
]


@dataclass(frozen=True)
class ModelConfig:
    """The network and the metric grids that it works on.

    Attributes:
        backbone: EfficientNet-Lite0 with a pyramid to stride 4, or the paper's VGG16 at stride 16.
        image_width_px: Width that frames are scaled to.
        image_height_px: Height of the network's input; see --image-fit.
        image_fit: How a frame is fitted to that height: "horizon" keeps the rows around the horizon, "whole" squeezes
            the frame, as in the paper.
        overhead_m_per_px: Resolution to which overhead images are resampled; a cell is as wide as the backbone's
            stride.
        clip_cells: Side of the clip's grid, in cells.
        window_cells: Largest displacement in the matching window, in cells.
        projection: From frames to the overhead grid: "features" by geometry (GVP); "images" by geometry before they are
            encoded; "unet" and "reshape" learned, without geometry; "polar" draws the map as a panorama instead.
        heights_m: Heights above the road of the planes on which features are sampled; the first one is the road, 0.
        fusion: Fusion of the frames' maps: "visibility" is this package's, "mean" and "max" have no parameters, and the
            others are the paper's variants.
        consistency: Gives the paper's fusions the photo-consistency of the frames as additional input.
        sequence: Number of pictures in a clip for which fuse_Conv3D is built; other fusions take any number.
        ground_trunk: Layers after the fusion: a "unet" with a wide receptive field, or one "convolution", as in the
            paper.
        uncertainty: Divides scores by a learned uncertainty of a vehicle being at a place.
        channels: Number of channels of the projected features.
        descriptor_channels: Number of channels of the descriptors that are compared.

    """

    backbone: Literal["efficientnet_lite0", "vgg16"] = "efficientnet_lite0"
    image_width_px: int = 512
    image_height_px: int = 128
    image_fit: Literal["horizon", "whole"] = "horizon"
    overhead_m_per_px: float = 0.4
    clip_cells: int = 52
    window_cells: int = 6
    projection: Literal["features", "images", "unet", "reshape", "polar"] = "features"
    heights_m: tuple[float, ...] = (0.0, 1.5, 4.0)
    fusion: Fusion = "visibility"
    consistency: bool = False
    sequence: int = 4
    ground_trunk: Literal["unet", "convolution"] = "unet"
    uncertainty: bool = True
    channels: int = 32
    descriptor_channels: int = 16

    def __post_init__(self) -> None:
        _check_choices(self)
        for name in ("image_width_px", "image_height_px"):
            side = getattr(self, name)
            _check(side % 16 == 0 and 16 <= side <= 8192, name, "a multiple of 16 from 16 to 8192", self)
        _check(0 < self.overhead_m_per_px <= 100, "overhead_m_per_px", "above 0 and at most 100", self)
        _check(2 <= self.clip_cells <= 1024 and self.clip_cells % 2 == 0, "clip_cells", "even, from 2 to 1024", self)
        _check(0 <= self.window_cells <= 256, "window_cells", "from 0 to 256", self)
        fits = self.backbone == "vgg16" or self.tile_cells % 4 == 0  # strides 4 to 16 on one tile
        _check(fits, "window_cells", f"such that clip_cells + 2 window_cells ({self.tile_cells}) divides by 4", self)
        planes = self.heights_m[:1] == (0.0,) and len(self.heights_m) <= 16 and all(map(isfinite, self.heights_m))
        _check(planes, "heights_m", "0 and up to 15 others", self)
        single = self.heights_m == (0.0,)
        _check(single or self.fusion == "visibility", "heights_m", "0 alone for the paper's fusions", self)
        _check(single or self.projection == "features", "heights_m", "0 alone for this projection", self)
        by_eighths = self.projection in ("features", "images") or self.clip_cells % 8 == 0
        _check(by_eighths, "clip_cells", "a multiple of 8 for this projection", self)
        polar = self.projection != "polar" or (self.window_cells == 0 and not self.uncertainty)
        _check(polar, "projection", '"polar" only without displacement (window_cells 0) and uncertainty', self)
        _check(1 <= self.sequence <= 32, "sequence", "from 1 to 32", self)
        _check(1 <= self.channels <= 1024, "channels", "from 1 to 1024", self)
        _check(1 <= self.descriptor_channels <= 1024, "descriptor_channels", "from 1 to 1024", self)

    @property
    def tile_cells(self) -> int:
        """Side of a tile's grid, in which the clip's grid fits at every displacement of the window."""
        return self.clip_cells + 2 * self.window_cells

    @staticmethod
    def paper_like() -> ModelConfig:
        """The paper's choices: VGG16, vis_LSTM, one plane, cells of 3.13 m, +-3 cells, descriptors of 4 channels.

        The published network itself, which differs in its conventions, is `cvlnet.model.published.network`;
        docs/variants.md lists the differences.
        """
        return ModelConfig(
            backbone="vgg16",
            image_width_px=1024,
            image_height_px=256,
            image_fit="whole",
            overhead_m_per_px=0.19583,
            clip_cells=32,
            window_cells=3,
            heights_m=(0.0,),
            fusion="vis_LSTM",
            ground_trunk="convolution",
            channels=16,
            descriptor_channels=4,
        )


@dataclass(frozen=True)
class TrainConfig:
    """How the network is trained.

    Attributes:
        steps: Number of optimizer steps.
        batch_size: Number of clips in a step, each with its tile.
        frames: Number of frames of a clip, 1 to 16.
        way_m: Length of the path over which the frames of a clip are spread.
        clip_step: Takes every n-th frame of the video instead (3: every third), however far the vehicle moved.
        cameras: Cameras whose frames form a clip: 2 is KITTI's left one, 3 the right one.
        learning_rate: Peak learning rate of all layers except the backbones.
        backbone_learning_rate: Peak learning rate of the backbones.
        weight_decay: Weight decay of AdamW, applied to kernels only.
        warmup_steps: Steps of linear warm-up, after which the learning rates decay to zero as half a cosine.
        freeze_early: Keeps the early layers of the backbones unchanged.
        freeze_norms: Keeps the batch normalisation statistics of the backbones unchanged.
        clip_gradient_norm: Largest norm of the gradient.
        loss: Retrieval loss: "infonce" over all placements in the batch, or "soft_margin", the paper's.
        margin_scale: Scale of the soft margin.
        right_m: Distance from the truth within which every placement counts as right.
        displacement_weight: Weight of the loss for the displacement within the correct tile.
        label_weight: Weight of the loss for the labels of cells, if the data has labels (synthetic towns do).
        neighbours: Size of the groups of clips in a batch that come from the same streets, as hard negatives.
        neighbourhood_m: Radius of such a group around its first clip.
        batch_radius_m: Radius of a batch around its first clip: the tiles of one town are hard negatives.
        min_distance_m: Least distance between two clips of a batch.
        heading_error_deg: Largest error that is added to the heading of clips, as a compass has it.
        pitch_error_deg: Largest error that is added to the cameras' pitch.
        height_error_m: Largest error that is added to the cameras' height.
        focal_error_percent: Largest error that is added to the focal length.
        rotate_world: Rotates clip and tile together by a random angle.
        mirror_world: Mirrors clip and tile in every other batch, on average.
        photometric: Strength of the photometric augmentation.
        style_noise: Largest relative noise of the early features' means and contrasts, against the style of synthetic
            pictures; 0 adds none.
        fewest_frames: Trains every batch on a random number of the newest frames of its clips, at least this many; by
            default on all.
        amp: Computes in bfloat16 where that is safe and the device supports it, otherwise in float32.
        encode_at_once: Number of samples that are encoded at a time, and again for their gradients, so that memory does
            not grow with the batch; 0 encodes all at once.
        average_decay: Decay of the running average of the weights, which is validated and saved.
        validate_every: Number of steps between validations.
        validate_queries: Number of queries of each data set to validate on, evenly spaced.
        seed: Seed of all random numbers.

    """

    steps: int = 2000
    batch_size: int = 8
    frames: int = 4
    way_m: float = WAY_M
    clip_step: int | None = None
    cameras: tuple[int, ...] = (2,)
    learning_rate: float = 1e-3
    backbone_learning_rate: float = 3e-4
    weight_decay: float = 1e-2
    warmup_steps: int = 100
    freeze_early: bool = True
    freeze_norms: bool = True
    clip_gradient_norm: float = 1.0
    loss: Literal["infonce", "soft_margin"] = "infonce"
    margin_scale: float = 10.0
    right_m: float = 5.0
    displacement_weight: float = 1.0
    label_weight: float = 1.0
    neighbours: int = 4
    neighbourhood_m: float = 150.0
    batch_radius_m: float = 1000.0
    min_distance_m: float = 30.0
    heading_error_deg: float = 2.0
    pitch_error_deg: float = 0.0
    height_error_m: float = 0.0
    focal_error_percent: float = 0.0
    rotate_world: bool = True
    mirror_world: bool = True
    photometric: float = 1.0
    style_noise: float = 0.0
    fewest_frames: int | None = None
    amp: bool = False
    encode_at_once: int = 0
    average_decay: float = 0.999
    validate_every: int = 500
    validate_queries: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        _check_choices(self)
        for name in ("steps", "batch_size", "frames", "validate_every", "validate_queries"):
            _check(getattr(self, name) >= 1, name, "at least 1", self)
        _check(self.frames <= 16, "frames", "at most 16", self)
        fewest = self.frames if self.fewest_frames is None else self.fewest_frames
        _check(1 <= fewest <= self.frames, "fewest_frames", "from 1 to frames", self)
        _check(self.clip_step is None or self.clip_step >= 1, "clip_step", "at least 1", self)
        _check_cameras(self)
        rates = ("learning_rate", "backbone_learning_rate")
        distances = ("way_m", "neighbourhood_m", "batch_radius_m", "min_distance_m")
        for name in (*rates, "clip_gradient_norm", "margin_scale", "right_m", *distances):
            _check(0 < getattr(self, name) < inf, name, "positive and finite", self)
        weights = ("weight_decay", "displacement_weight", "label_weight")
        errors = ("heading_error_deg", "pitch_error_deg", "height_error_m", "focal_error_percent")
        for name in (*weights, *errors, "warmup_steps", "photometric", "style_noise", "encode_at_once"):
            _check(0 <= getattr(self, name) < inf, name, "finite and not negative", self)
        _check(self.focal_error_percent < 100, "focal_error_percent", "below 100", self)
        parts = self.freeze_norms or not self.encode_at_once
        _check(parts, "encode_at_once", "0 unless freeze_norms is set: parts have statistics of their own", self)
        _check(0 <= self.average_decay < 1, "average_decay", "from 0 to below 1", self)
        _check(0 <= self.neighbours <= self.batch_size, "neighbours", "0 to batch_size", self)
        _check(0 <= self.seed < 2**32, "seed", "from 0 to below 2^32", self)


@dataclass(frozen=True)
class AdaptConfig:
    """How weights are adapted to your own streets.

    Attributes:
        steps: Number of optimizer steps.
        batch_size: Number of clips in a step, each with its tile.
        learning_rate: Peak learning rate; that of the backbones is a third of it.
        position_error_m: How far the positions of the drive may be off, besides a constant offset.
        hold_out: Last share of the way, held out from training to validate the result.
        seed: Seed of all random numbers.

    """

    steps: int = 300
    batch_size: int = 8
    learning_rate: float = 2e-4
    position_error_m: float = 5.0
    hold_out: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.steps >= 1, "steps", "at least 1", self)
        _check(self.batch_size >= 2, "batch_size", "at least 2", self)
        _check(0 <= self.seed < 2**32, "seed", "from 0 to below 2^32", self)
        _check(0 < self.learning_rate < inf, "learning_rate", "positive and finite", self)
        _check(1 <= self.position_error_m <= 30, "position_error_m", "1 to 30 m", self)
        _check(0.05 <= self.hold_out <= 0.5, "hold_out", "0.05 to 0.5", self)


@dataclass(frozen=True)
class ClipFiles:
    """The clip to locate: a KITTI drive, of which the true position is known, or a video folder.

    Attributes:
        drive: KITTI drive: the folder DATE/DRIVE of KITTI raw.
        folder: Folder of frames, camera.json and poses.
        frame: Number of the newest frame, counted from 0; the last one by default.
        frames: Number of frames of the clip, 1 to 16.
        way_m: Length of the path over which the frames are spread.
        camera: Camera of a KITTI drive: 2 is the left one, 3 the right one.
        step: Takes every n-th frame of the video instead (3: every third), however far the vehicle moved.

    """

    drive: Path | None = None
    folder: Path | None = None
    frame: int | None = None
    frames: int = 4
    way_m: float = WAY_M
    camera: int = 2
    step: int | None = None

    def __post_init__(self) -> None:
        _check(self.frame is None or self.frame >= 0, "frame", "0 or greater", self)
        _check_frames(self)


@dataclass(frozen=True)
class MeasuredMounting:
    """How a camera is mounted on the vehicle.

    Attributes:
        height_m: Height of the camera above the road.
        pitch_deg: Pitch of the camera, positive with its front down.
        roll_deg: Roll of the camera, positive with its left side up.
        yaw_deg: Direction of the camera, counter-clockwise from straight ahead.
        forward_m: Distance of the camera ahead of the vehicle's reference point, to which the odometry refers.
        left_m: Distance of the camera to the left of that point.

    """

    height_m: float
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    yaw_deg: float = 0.0
    forward_m: float = 0.0
    left_m: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            _check(isfinite(value), name, "finite", self)


@dataclass(frozen=True)
class JourneyFiles:
    """The drive to use: a KITTI drive, a video folder, a video file or a bag.

    Attributes:
        drive: KITTI drive: the folder DATE/DRIVE of KITTI raw, or sequences/NN of KITTI's odometry benchmark.
        folder: Folder of frames, camera.json and poses.
        video: Video file; needs --camera-file and --odometry.
        bag: ROS bag: a .bag file, the folder of a ROS 2 bag, or an .mcap or .db3 file.
        camera_file: camera.json of a video file or a bag; `cvlnet camera convert` makes it from other calibrations.
        odometry: Odometry of a video file: CSV, TUM, KITTI's poses, or the folder oxts of a KITTI drive.
        gps: Known positions of the drive: a GPX track, or a CSV file with time_s, latitude_deg and longitude_deg.
        time_offset_s: Seconds that are added to the times of a video's or a bag's pictures to get those of the
            odometry; the times of a video count from its first frame.
        gps_offset_s: Seconds that are added to the times of --gps to get those of the odometry; GPX counts from 1970
            (UTC).
        height_m: Height of a bag's camera above the road, if neither --camera-file nor the bag states it;
            calibrate-camera starts from it.
        pitch_deg: Pitch of a bag's camera, positive with its front down; by default that stated in the bag, or 0;
            calibrate-camera starts from it.
        image_topic: Topic of a bag's pictures, if there are several.
        camera_info_topic: Topic of their calibration.
        odometry_topic: Topic of the odometry.
        gps_topic: Topic of the positions.

    """

    drive: Path | None = None
    folder: Path | None = None
    video: Path | None = None
    bag: Path | None = None
    camera_file: Path | None = None
    odometry: Path | None = None
    gps: Path | None = None
    time_offset_s: float = 0.0
    gps_offset_s: float = 0.0
    height_m: float | None = None
    pitch_deg: float | None = None
    image_topic: str | None = None
    camera_info_topic: str | None = None
    odometry_topic: str | None = None
    gps_topic: str | None = None

    def __post_init__(self) -> None:
        for name in ("time_offset_s", "gps_offset_s", "height_m", "pitch_deg"):
            value = getattr(self, name)
            _check(value is None or isfinite(value), name, "finite", self)


@dataclass(frozen=True)
class DatasetConfig:
    """How a data set is made of drives and imagery; the defaults are the rules of KITTI-CVL.

    Attributes:
        gap_m: Distance between neighbouring tiles, to the north and to the east.
        moved_m: Least movement between two queries, northward or eastward.
        first_query: Number of the first frame that may be a query, so that every clip has frames before it.
        tile_m: Least width of a tile on the ground.
        most_missing: Largest share of a tile that the imagery may lack; the tile is left out otherwise.
        distractors_m: Largest distance of distractors from their drive; by default they fill the rectangle around it.
        test_drives: Names of the drives for tests; by default a share of all drives.
        test_share: Share of the drives for tests, drawn at random.
        seed: Seed of that draw.

    """

    gap_m: float = 10.0
    moved_m: float = 0.1958
    first_query: int = 48
    tile_m: float = 200.0
    most_missing: float = 0.02
    distractors_m: float | None = None
    test_drives: tuple[str, ...] = ()
    test_share: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        _check(1 <= self.gap_m <= 1000, "gap_m", "from 1 to 1000", self)
        _check(0 < self.moved_m < inf, "moved_m", "positive and finite", self)
        _check(self.first_query >= 0, "first_query", "0 or greater", self)
        _check(10 <= self.tile_m <= 2000, "tile_m", "from 10 to 2000", self)
        _check(0 <= self.most_missing < 1, "most_missing", "from 0 to below 1", self)
        far = self.distractors_m
        _check(far is None or 0 <= far < inf, "distractors_m", "finite and not negative", self)
        _check(0 < self.test_share < 1, "test_share", "between 0 and 1", self)
        _check(self.seed >= 0, "seed", "0 or greater", self)


@dataclass(frozen=True)
class RasterHints:
    """Properties of an overhead image that its file does not state.

    Raises ValueError for band numbers below 1 or other than one or three, or an empty range.

    Attributes:
        crs: Coordinate reference system, such as EPSG:25832.
        bands: Numbers of the red, green and blue bands, or of a single grey one, from 1.
        value_range: Values shown as black and as white, for bands of more than 8 bits.
        nodata: Value of missing pixels.
        tile_scheme: How a folder of tiles counts its rows: "xyz" from the north, "tms" from the south.

    """

    crs: str | None = None
    bands: tuple[int, ...] | None = None
    value_range: tuple[float, float] | None = None
    nodata: float | None = None
    tile_scheme: TileScheme | None = None

    def __post_init__(self) -> None:
        if self.bands is not None and (len(self.bands) not in (1, 3) or min(self.bands) < 1):
            raise ValueError(f"bands are one or three numbers from 1, not {' '.join(map(str, self.bands))}")
        if self.value_range is not None:
            low, high = self.value_range
            if not (isfinite(low) and isfinite(high) and low < high):
                raise ValueError(f"a range of values rises, {low:g} to {high:g} does not")


@dataclass(frozen=True)
class EvaluationConfig:
    """How a data set is evaluated.

    Attributes:
        frames: Number of frames of a clip, 1 to 16.
        way_m: Length of the path over which the frames of a clip are spread.
        step: Takes every n-th frame of the video instead (3: every third), however far the vehicle moved.
        cameras: Cameras whose frames form a clip: 2 is KITTI's left one, 3 the right one.
        pitch_error_deg: Largest error of the cameras' stated pitch to allow for (two standard deviations). As in cvlnet
            localize, pitches 2 degrees apart are tried; 0 tries only the stated pitch.
        splits: Test splits to evaluate: test1 without distractor tiles, test2 with them.
        most_queries: Largest number of queries of each split, evenly spaced; all by default.
        share_mapped: Share of queries whose place is on the map, the prior of the confidence; by default that of the
            weights.
        published_decoding: Also reports the results of the published decoding of offsets.
        controls: Also reports the chance level: with blank pictures, those of another drive, a shuffled map, and by
            guessing a place, a place on a road, or one on a road along the heading.
        cases: Number of the best and of the worst cases to draw.
        precision: Number format of the encoders. bfloat16 is faster on devices that have it; others take float32.
        device: Device to compute on: cpu or cuda.
        workers: Number of processes that read pictures.
        cache: Folder that keeps decoded pictures.

    """

    frames: int = 4
    way_m: float = WAY_M
    step: int | None = None
    cameras: tuple[int, ...] = (2,)
    pitch_error_deg: float = PITCH_ERROR_DEG
    splits: tuple[TestSplit, ...] = ("test1", "test2")
    most_queries: int | None = None
    share_mapped: float | None = None
    published_decoding: bool = False
    controls: bool = False
    cases: int = 3
    precision: Precision = "float32"
    device: str = "cpu"
    workers: int = 1
    cache: Path | None = None

    def __post_init__(self) -> None:
        _check_frames(self)
        _check_cameras(self)
        allowed = 0 <= self.pitch_error_deg <= MOST_PITCH_ERROR_DEG
        _check(allowed, "pitch_error_deg", f"from 0 to {MOST_PITCH_ERROR_DEG:g}", self)
        _check(len(self.splits) > 0, "splits", "one or more test splits", self)
        for name, least in (("most_queries", 1), ("cases", 0), ("workers", 0)):
            value = getattr(self, name)
            _check(value is None or value >= least, name, f"at least {least}", self)
        _check(self.share_mapped is None or 0 < self.share_mapped < 1, "share_mapped", "between 0 and 1", self)


def _check_frames(config: ClipFiles | EvaluationConfig) -> None:
    """Raise ValueError unless the settings can choose the frames of a clip."""
    _check(1 <= config.frames <= 16, "frames", "from 1 to 16", config)
    _check(0 < config.way_m < inf, "way_m", "positive and finite", config)
    _check(config.step is None or config.step >= 1, "step", "at least 1", config)


def _check_cameras(config: TrainConfig | EvaluationConfig) -> None:
    """Raise ValueError unless the cameras of a clip are different ones."""
    distinct = 1 <= len(config.cameras) == len(set(config.cameras))
    _check(distinct, "cameras", "one or more different cameras", config)


def _check_choices(config: object) -> None:
    """Raise ValueError if a field has none of its allowed values, or no whole number, as it may have in a file."""
    for name, hint in get_type_hints(type(config)).items():
        choices, value = get_args(hint), getattr(config, name)
        if hint is int or (hint == int | None and value is not None):
            _check(isinstance(value, int) and not isinstance(value, bool), name, "a whole number", config)
        if get_origin(hint) is Literal:
            _check(getattr(config, name) in choices, name, f"one of {', '.join(map(str, choices))}", config)


def _check(holds: bool, name: str, rule: str, config: object) -> None:
    if not holds:
        raise ValueError(f"{name} must be {rule}, not {getattr(config, name)!r}")
