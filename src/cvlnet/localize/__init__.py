"""Localization of one clip: a region is encoded once and searched for the places where the clip may have been taken."""

from cvlnet.localize.localizer import Localizer
from cvlnet.localize.region import Region, encode_region
from cvlnet.localize.search import localize

__all__ = ["Localizer", "Region", "encode_region", "localize"]
