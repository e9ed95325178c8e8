"""The embedded services: real servers on loopback, started on demand. Knows only settings, errors and files."""
