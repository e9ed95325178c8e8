"""What starts a pipeline without a person: schedules and sensors; the check of late months."""
