"""The map of a server, in memory once for all sessions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cvlnet.errors import InputError
from cvlnet.localize.area import MapArea
from cvlnet.localize.localizer import Localizer
from cvlnet.map.store import is_map
from cvlnet.serve.pictures import corners_of
from cvlnet.serve.tiles import Tiles
from cvlnet.serve.wire import MapInfo, Place
from cvlnet.track.tracker import TrackSpec


@dataclass(frozen=True)
class ServedMap:
    """A map, the network that made it, its tiles, and how drives are tracked on it."""

    localizer: Localizer
    area: MapArea
    tiles: Tiles
    spec: TrackSpec = TrackSpec()

    @staticmethod
    def opened(
        path: Path, localizer: Localizer, imagery: Path | None, folder: Path, spec: TrackSpec = TrackSpec()
    ) -> ServedMap:
        """The map of a folder. imagery: what tiles are made from, instead of the map's own small picture, which is
        written into ``folder``. Raises InputError if there is no map, it is damaged, or was made with other weights.
        """
        if not is_map(path):
            raise InputError("there is no map", where=path, remedy="make one by cvlnet map build")
        area = localizer.area(path)
        for region in area.regions():
            region.matcher(localizer.model.device)  # takes seconds, which the first session need not wait for
        tiles = Tiles.of_map(area.map, folder / "map.tif") if imagery is None else Tiles.of_file(imagery)
        return ServedMap(localizer, area, tiles, spec)

    @property
    def fingerprint(self) -> str:
        """Stands for the map: sessions that were tracked on another one cannot be resumed."""
        return self.area.map.fingerprint

    @property
    def credit(self) -> str | None:
        """Of the imagery."""
        return "; ".join(self.area.map.header.credits) or None

    def info(self) -> MapInfo:
        """As the API gives it."""
        source, header = self.area.map, self.area.map.header
        places = header.layout.places(header.cells)
        (south, west), (north, east) = source.bounds
        latitude_deg, longitude_deg = source.center.degrees
        return MapInfo(
            name=source.path.resolve().name,
            center=Place(latitude_deg=latitude_deg, longitude_deg=longitude_deg),
            bounds=(west, south, east, north),
            corners=corners_of(places, source.frame),
            km2=source.known_km2,
            m_per_pixel=self.tiles.m_per_pixel,
            credit=self.credit,
            weights=header.weights,
            tiles=f"/api/map/tiles/{{z}}/{{x}}/{{y}}.webp?map={self.fingerprint}",  # browsers keep tiles
            min_zoom=self.tiles.min_zoom,
            max_zoom=self.tiles.max_zoom,
            has_imagery=self.tiles.is_imagery,
        )
