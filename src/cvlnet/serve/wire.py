"""The JSON of the API. Angles are in degrees, headings clockwise from true north; positions in WGS84."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cvlnet.serve.problems import Problem
from cvlnet.track.types import State

Source = Literal["drive", "upload", "api"]
Status = Literal["waiting", "running", "ended", "failed", "closed"]
PICTURES = ("frame", "projection", "score", "belief")

_HEADING = (
    'What is known of the heading of the first frame: "±5" around that of the odometry, "90±20" (degrees clockwise '
    'from true north, so that 90 is east), or "unknown"; by default "±5", or "unknown" if the odometry begins with a '
    "yaw of about 0"
)
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
Sigma = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False, description="Standard deviation, metres")]
LonLat = tuple[float, float]
Corners = tuple[LonLat, LonLat, LonLat, LonLat]


class Wire(BaseModel):
    """A JSON object without other keys."""

    model_config = ConfigDict(extra="forbid")


class Place(Wire):
    """A position on earth."""

    latitude_deg: Latitude
    longitude_deg: Longitude


class MeasuredPlace(Place):
    """A position with its standard deviation, east and north."""

    sigma_m: Sigma


class MapInfo(Wire):
    """The map of the server. corners: north-west, north-east, south-east, south-west."""

    name: str
    center: Place
    bounds: tuple[float, float, float, float] = Field(description="West, south, east, north")
    corners: Corners
    km2: float
    m_per_pixel: float
    credit: str | None
    weights: str
    tiles: str
    min_zoom: int
    max_zoom: int
    has_imagery: bool


class DriveInfo(Wire):
    """A drive on the server's disk."""

    name: str
    frames: int
    has_truth: bool
    example: bool


class NewSession(Wire):
    """A drive of the server, or, with ``camera`` instead of ``drive``, one whose frames will be sent."""

    drive: Annotated[str | None, Field(max_length=200)] = None
    heading: Annotated[str | None, Field(max_length=40, description=_HEADING)] = None
    start: Annotated[MeasuredPlace | None, Field(description="A place near which the drive begins")] = None
    camera: Annotated[dict[str, Any] | None, Field(max_length=40, description="The keys of camera.json")] = None


class Session(Wire):
    """A session. moments_total: the number of its moments, if it is known."""

    id: str
    name: str
    source: Source
    status: Status
    error: Problem | None = None
    fixes: int
    duration_s: float
    has_truth: bool
    heading: str | None
    created_at: str
    moments_total: int | None = None
    warnings: list[str] = []


class Ellipse(Wire):
    """Half-axes of the ellipse that contains the position with 95 % probability; bearing_deg: of the longer one."""

    major_m: float
    minor_m: float
    bearing_deg: float


class Pose(Wire):
    """A position and a heading."""

    latitude_deg: float
    longitude_deg: float
    heading_deg: float


class Hypothesis(Pose):
    """A place where the vehicle may be."""

    probability: float


class Fix(Wire):
    """The vehicle's position at a moment. moment: counted from 0. index: number of the frame."""

    moment: int
    index: int
    time_s: float
    state: State
    latitude_deg: float | None
    longitude_deg: float | None
    heading_deg: float | None
    sigma_m: float | None
    ellipse: Ellipse | None
    heading_sigma_deg: float | None
    confidence: float
    hypotheses: list[Hypothesis]
    smooth: Pose | None
    score: float | None
    error_m: float | None
    speed_mps: float | None
    pitch_offset_deg: float | None = None
    camera_yaw_offset_deg: float | None = None


class Odometry(Wire):
    """The odometry of a moment: x, y in metres and the yaw counter-clockwise from x, in a frame that stays the same."""

    time_s: float = Field(ge=-1e10, le=1e10, allow_inf_nan=False)
    x_m: float = Field(ge=-1e7, le=1e7, allow_inf_nan=False)
    y_m: float = Field(ge=-1e7, le=1e7, allow_inf_nan=False)
    yaw_rad: float = Field(ge=-1e4, le=1e4, allow_inf_nan=False)


class Moment(Wire):
    """A moment with pictures, and which of them exist."""

    moment: int
    frame: bool
    projection: bool
    score: bool
    belief: bool


class TruePlace(Wire):
    """A true position of the vehicle."""

    time_s: float
    latitude_deg: float
    longitude_deg: float
    heading_deg: float | None = None


class OdometryPlace(Wire):
    """A position by odometry alone, aligned with the first tracked fix."""

    time_s: float
    latitude_deg: float
    longitude_deg: float


class Health(Wire):
    """Whether the server works, and how busy it is."""

    status: Literal["ok"]
    version: str
    sessions: int
    tracked: int
