"""What a trip is: columns, eras, reading, rejecting. Arrow in, Arrow out; knows nothing of Dagster."""
