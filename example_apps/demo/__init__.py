"""What the demonstrations of `dpm demo` share: server processes, and a report of what came out."""
