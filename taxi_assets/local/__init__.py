"""The embedded services: real servers on loopback, started when they are needed."""
