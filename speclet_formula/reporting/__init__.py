"""Tables, pictures and reports of results. Nothing is estimated here."""
