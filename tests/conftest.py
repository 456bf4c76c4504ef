"""Shapes in signatures are checked at run time while testing."""

from jaxtyping import install_import_hook

install_import_hook("cvlnet", "beartype.beartype")
