"""Sources that read files: once, as they grow, or as they appear in a directory."""
