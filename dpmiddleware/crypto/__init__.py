"""Bytes in, bytes out: knows no key's age, no file, no clock."""
