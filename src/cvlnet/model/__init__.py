"""The network: GVP (project), PCSF (fuse), SSM (match)."""
