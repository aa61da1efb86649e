"""From frame to features: face, emotion, pose, quality, per-second fusion and windows."""
