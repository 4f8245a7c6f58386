"""The life of a request: header text in, header text out, no framework."""
