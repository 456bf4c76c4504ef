"""Open overhead imagery from public servers, into a folder with a manifest. Nothing else here uses the network."""
