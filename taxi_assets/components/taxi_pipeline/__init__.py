"""The component of a pipeline: one service's files, month by month, into the stores."""
