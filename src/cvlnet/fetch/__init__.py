"""Open overhead imagery from public servers, into a folder with a manifest. Nothing else here uses the network.

Raises InputError on import if the libraries of the extra ``fetch`` are not installed.
"""

from importlib.util import find_spec

from cvlnet.errors import InputError

_missing = [name for name in ("owslib", "pystac_client", "requests") if find_spec(name) is None]
if _missing:
    raise InputError(
        f"needs {', '.join(_missing)}", where="cvlnet imagery", remedy="install the extra: pip install 'cvlnet[fetch]'"
    )
