"""What master keys are wrapped with at rest. Each wrapper implements `dpmiddleware.keys.interfaces.KeyWrapper`.

===================  =============================================================================
x509.py              a certificate, as .NET does it; certificates.py: certificates and their files;
                     xml_encryption.py: the ``<EncryptedData>`` element
azure_key_vault.py   a key in Azure Key Vault, as .NET does it
dpapi.py             Windows' Data Protection API, as .NET does it
secret_key.py        a secret of the application
key_blob.py          a session key in a key blob; key_blob_files.py: creating and verifying blobs,
                     and reading RSA keys; cryptoapi.py: the format of blobs
aws_kms.py           a key in AWS KMS
openbao.py           a transit key of OpenBao or HashiCorp Vault
rsa_keys.py          what is asked of an RSA private key, which may be in hardware
elements.py          what wrappers share: reading and writing elements, binding, AES-GCM
checks.py            whether a wrapper is fit for production, for ``dpm check``
===================  =============================================================================

A wrapper turns ``<masterKey>`` into the one child of ``<encryptedSecret>`` and back. .NET cannot use a key that is
wrapped by one of ours (secret_key, key_blob, aws_kms, openbao).

The table names the class of each URL scheme; `dpmiddleware.components` imports it when a URL needs it, so that client
libraries stay extras.
"""

from __future__ import annotations

from typing import Final

__all__ = ["PLAIN", "WRAPPERS"]

WRAPPERS: Final = {
    "x509": "at_rest.x509.X509KeyWrapper",
    "keyblob": "at_rest.key_blob.KeyBlobKeyWrapper",
    "secret": "at_rest.secret_key.SecretKeyWrapper",
    "azurekv": "at_rest.azure_key_vault.AzureKeyVaultKeyWrapper",
    "awskms": "at_rest.aws_kms.AwsKmsKeyWrapper",
    "openbao": "at_rest.openbao.OpenBaoKeyWrapper",
    "dpapi": "at_rest.dpapi.DpapiKeyWrapper",
}
"""URL scheme → module and class, below ``dpmiddleware``."""
PLAIN: Final = "plain:"
"""Stands for no wrapper: unencrypted keys are read, and written if it is the only entry."""
