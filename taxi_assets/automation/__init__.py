"""What starts by itself: schedules, sensors, alerts."""
