"""From files to samples: KITTI, overhead imagery, clips."""
