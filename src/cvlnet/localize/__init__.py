"""Localization of one clip: a region is encoded once and searched for the places where the clip may have been taken."""

from cvlnet.localize.localizer import Localizer
from cvlnet.localize.search import localize
from cvlnet.map.region import Region, encode_region

__all__ = ["Localizer", "Region", "encode_region", "localize"]
