"""Trajectories for trainers and as files."""
