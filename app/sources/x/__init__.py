"""Posts of X by its filtered stream."""
