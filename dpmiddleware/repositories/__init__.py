"""Places where key rings are kept, a module each: memory, files, Redis, SQL, Azure Blob Storage, S3, the registry."""
