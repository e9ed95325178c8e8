"""Where trip files come from: the HTTP client, the public layouts, the sample source."""
