"""The long-running process on a lab machine."""
