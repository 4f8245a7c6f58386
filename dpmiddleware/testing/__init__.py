"""Help for the tests of applications and of adapters. Nothing here is imported by the rest of the package."""
