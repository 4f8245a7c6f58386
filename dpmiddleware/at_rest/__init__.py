"""What keys are wrapped with in their store: certificates, secrets, session keys, key services, Windows.

Each wrapper turns ``<masterKey>`` into the one child of ``<encryptedSecret>`` and back
(`dpmiddleware.keys.interfaces.KeyWrapper`). ``x509``, ``azure_key_vault`` and ``dpapi`` write what .NET writes;
the others are ours, and .NET cannot use a key under one of them.
"""
