"""Formula text in, a `Formula` record and its spellings out; knows neither numpy nor data."""
