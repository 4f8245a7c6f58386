/* The compiled core: AES-CBC and HMAC of one payload per call, byte for byte as in `dpmiddleware.crypto.encryptors`. The
   docstring of that module has the layouts of bodies and context headers.

       body     := key modifier (16) ‖ IV (16) ‖ ciphertext (PKCS #7, at least one block) ‖ HMAC(IV ‖ ciphertext)
       block(i) := HMAC-SHA512(master key, BE32(i) ‖ fixed ‖ key modifier ‖ BE32(bits of the subkeys))      i = 1, 2
       fixed    := label ‖ 00 ‖ context header
       subkeys  := cipher key ‖ HMAC key (as long as a digest) := the first bytes of block(1) ‖ block(2)

   All primitives are OpenSSL's, called through the documented EVP interface of version 3.0 and later. The caller passes
   the function for random bytes. The MAC is compared, in constant time, before anything is decrypted. Subkeys and
   plaintext are wiped from the memory of this file before a call returns, and hash states that depend on the master key
   when their object is freed. Python's own objects are not wiped.

   Contexts that change belong to one call (reusing them would save 5 % of its time), and the state of a key is only
   read. This makes it thread-safe, and above RELEASE_ABOVE bytes the GIL is released. The code uses the stable ABI of
   Python 3.11, so one build serves all later versions. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

enum { MODIFIER = 16, BLOCK = 16, RANDOM = MODIFIER + BLOCK, SHORTEST_MAC = 20 };
enum { SMALL = 4096, RELEASE_ABOVE = 16384, LONGEST_PAYLOAD = INT32_MAX, LONGEST_PLAINTEXT = INT32_MAX - 1024 };
enum { MAX_HEAD = 64, MAX_SUBKEYS = 32 + 64, MAX_KDF_BLOCKS = 2, KDF_DIGEST = 64, MAX_HASH_BLOCK = 128 };

typedef struct {
    EVP_CIPHER_CTX *cipher;
    EVP_MD_CTX *hash;
} Scratch;                                  /* for one call */

typedef struct {
    PyObject_HEAD
    EVP_CIPHER *cipher;
    EVP_MD *digest;
    EVP_MD_CTX *inner[MAX_KDF_BLOCKS];      /* ipad ‖ BE32(i) ‖ fixed, absorbed */
    EVP_MD_CTX *outer;                      /* opad, absorbed */
    int kdf_blocks, key_size, digest_size, hash_block;
    unsigned char bits[4];                  /* BE32(8 × subkeys) */
    unsigned char head[MAX_HEAD];
    Py_ssize_t head_size;
    PyObject *urandom, *refuse;
} CbcHmac;

/* --- contexts ----------------------------------------------------------------------------------------------- */

static void scratch_free(Scratch *scratch)
{
    EVP_CIPHER_CTX_free(scratch->cipher);   /* both free functions wipe the memory */
    EVP_MD_CTX_free(scratch->hash);
}

static int scratch_make(Scratch *scratch)
{
    scratch->cipher = EVP_CIPHER_CTX_new();
    scratch->hash = EVP_MD_CTX_new();
    return scratch->cipher != NULL && scratch->hash != NULL;
}

static PyObject *openssl_failed(void)
{
    char text[256];
    unsigned long error = ERR_peek_last_error();
    if (error == 0)
        return PyErr_NoMemory();            /* OpenSSL reports no error for a failed allocation */
    ERR_error_string_n(error, text, sizeof text);
    ERR_clear_error();
    return PyErr_Format(PyExc_RuntimeError, "libcrypto failed: %s", text);
}

/* --- HMAC and subkeys --------------------------------------------------------------------------------------- */

/* Start a hash with the key, padded to one block and XORed with `pad`: RFC 2104's ipad or opad. */
static int absorb_key(EVP_MD_CTX *hash, const EVP_MD *digest, const unsigned char *key, size_t size, int block, int pad)
{
    unsigned char padded[MAX_HASH_BLOCK];
    memset(padded, pad, block);
    for (size_t i = 0; i < size; i++)
        padded[i] ^= key[i];
    int ok = EVP_DigestInit_ex2(hash, digest, NULL) && EVP_DigestUpdate(hash, padded, block);
    OPENSSL_cleanse(padded, sizeof padded);
    return ok;
}

static int derive(const CbcHmac *self, EVP_MD_CTX *hash, const unsigned char *modifier, unsigned char *subkeys)
{
    unsigned char digest[KDF_DIGEST];
    int size = self->key_size + self->digest_size, ok = 1;
    for (int i = 0; ok && i < self->kdf_blocks; i++) {
        int rest = size - i * KDF_DIGEST;
        ok = EVP_MD_CTX_copy_ex(hash, self->inner[i]) && EVP_DigestUpdate(hash, modifier, MODIFIER)
            && EVP_DigestUpdate(hash, self->bits, sizeof self->bits) && EVP_DigestFinal_ex(hash, digest, NULL)
            && EVP_MD_CTX_copy_ex(hash, self->outer) && EVP_DigestUpdate(hash, digest, sizeof digest)
            && EVP_DigestFinal_ex(hash, digest, NULL);
        if (ok)
            memcpy(subkeys + i * KDF_DIGEST, digest, rest < KDF_DIGEST ? rest : KDF_DIGEST);
    }
    OPENSSL_cleanse(digest, sizeof digest);
    return ok;
}

static int hmac(const CbcHmac *self, EVP_MD_CTX *hash, const unsigned char *subkeys, const unsigned char *message,
                size_t size, unsigned char *mac)
{
    const unsigned char *key = subkeys + self->key_size;
    return absorb_key(hash, self->digest, key, self->digest_size, self->hash_block, 0x36)
        && EVP_DigestUpdate(hash, message, size) && EVP_DigestFinal_ex(hash, mac, NULL)
        && absorb_key(hash, self->digest, key, self->digest_size, self->hash_block, 0x5C)
        && EVP_DigestUpdate(hash, mac, self->digest_size) && EVP_DigestFinal_ex(hash, mac, NULL);
}

/* --- one payload -------------------------------------------------------------------------------------------- */

/* `out` contains key modifier ‖ IV already; ciphertext and MAC are written after them. */
static int encrypt_body(const CbcHmac *self, const Scratch *scratch, const unsigned char *plain, int size,
                        unsigned char *out)
{
    unsigned char subkeys[MAX_SUBKEYS], *iv = out + MODIFIER, *ciphertext = iv + BLOCK;
    int written = 0, last = 0;
    int ok = derive(self, scratch->hash, out, subkeys)
        && EVP_EncryptInit_ex2(scratch->cipher, self->cipher, subkeys, iv, NULL)
        && EVP_EncryptUpdate(scratch->cipher, ciphertext, &written, plain, size)
        && EVP_EncryptFinal_ex(scratch->cipher, ciphertext + written, &last)
        && hmac(self, scratch->hash, subkeys, iv, BLOCK + written + last, ciphertext + written + last);
    OPENSSL_cleanse(subkeys, sizeof subkeys);
    return ok;
}

/* Returns the length of the plaintext in `out`, -1 if not authentic, -2 if OpenSSL failed. Needs at least one block. */
static int decrypt_body(const CbcHmac *self, const Scratch *scratch, const unsigned char *body, int size,
                        unsigned char *out)
{
    unsigned char subkeys[MAX_SUBKEYS], mac[EVP_MAX_MD_SIZE];
    const unsigned char *iv = body + MODIFIER;
    int length = size - MODIFIER - self->digest_size, written = 0, last = 0, result = -2;
    if (derive(self, scratch->hash, body, subkeys) && hmac(self, scratch->hash, subkeys, iv, length, mac)) {
        if (CRYPTO_memcmp(mac, iv + length, self->digest_size) != 0 || length % BLOCK != 0)
            result = -1;
        else if (EVP_DecryptInit_ex2(scratch->cipher, self->cipher, subkeys, iv, NULL)
                 && EVP_DecryptUpdate(scratch->cipher, out, &written, iv + BLOCK, length - BLOCK))
            result = EVP_DecryptFinal_ex(scratch->cipher, out + written, &last) ? written + last : -1;
    }
    OPENSSL_cleanse(subkeys, sizeof subkeys);
    return result;
}

/* --- what Python calls -------------------------------------------------------------------------------------- */

/* Key modifier ‖ IV, both random. */
static int randomize(const CbcHmac *self, unsigned char *out)
{
    char *bytes;
    Py_ssize_t size;
    PyObject *random = PyObject_CallFunction(self->urandom, "i", RANDOM);
    int ok = random != NULL && PyBytes_AsStringAndSize(random, &bytes, &size) == 0;
    if (ok && size == RANDOM)
        memcpy(out, bytes, RANDOM);
    else if (ok)
        PyErr_SetString(PyExc_ValueError, "the random bytes have an unexpected length");
    Py_XDECREF(random);
    return ok && size == RANDOM;
}

static PyObject *encrypt_bytes(CbcHmac *self, const unsigned char *plain, Py_ssize_t size)
{
    if (size > LONGEST_PLAINTEXT) {
        PyErr_SetString(PyExc_OverflowError, "a plaintext of 2 GiB or more cannot be encrypted");
        return NULL;
    }
    Py_ssize_t padded = (size / BLOCK + 1) * BLOCK;
    PyObject *payload = PyBytes_FromStringAndSize(NULL, self->head_size + RANDOM + padded + self->digest_size);
    if (payload == NULL)
        return NULL;
    unsigned char *out = (unsigned char *)PyBytes_AsString(payload), *body = out + self->head_size;
    memcpy(out, self->head, self->head_size);
    if (!randomize(self, body)) {
        Py_DECREF(payload);
        return NULL;
    }
    Scratch scratch;
    int ok = scratch_make(&scratch);
    PyThreadState *released = size > RELEASE_ABOVE ? PyEval_SaveThread() : NULL;
    ok = ok && encrypt_body(self, &scratch, plain, (int)size, body);
    if (released)
        PyEval_RestoreThread(released);
    scratch_free(&scratch);
    if (ok)
        return payload;
    Py_DECREF(payload);
    return openssl_failed();
}

/* Returns NULL even if the function does not raise, as it should. */
static PyObject *refuse(const CbcHmac *self)
{
    PyObject *result = PyObject_CallNoArgs(self->refuse);
    if (result != NULL)
        PyErr_SetString(PyExc_SystemError, "the refusal did not raise");
    Py_XDECREF(result);
    return NULL;
}

static PyObject *decrypt_bytes(CbcHmac *self, const unsigned char *payload, Py_ssize_t given)
{
    Py_ssize_t size = given - self->head_size;
    if (given > LONGEST_PAYLOAD || size < RANDOM + BLOCK + self->digest_size)
        return refuse(self);
    unsigned char near[SMALL], *out = size <= SMALL ? near : PyMem_Malloc(size);
    if (out == NULL)
        return PyErr_NoMemory();
    Scratch scratch;
    int length = scratch_make(&scratch) ? 0 : -2;
    PyThreadState *released = size > RELEASE_ABOVE ? PyEval_SaveThread() : NULL;
    if (length == 0)
        length = decrypt_body(self, &scratch, payload + self->head_size, (int)size, out);
    if (released)
        PyEval_RestoreThread(released);
    scratch_free(&scratch);
    PyObject *plaintext = length < 0 ? NULL : PyBytes_FromStringAndSize((char *)out, length);
    OPENSSL_cleanse(out, size);
    if (out != near)
        PyMem_Free(out);
    if (length == -2)
        return openssl_failed();
    if (length == -1) {
        ERR_clear_error();
        return refuse(self);
    }
    return plaintext;
}

typedef PyObject *(*Step)(CbcHmac *, const unsigned char *, Py_ssize_t);

/* Copies buffers other than bytes, so that they cannot change between authentication and decryption. */
static PyObject *with_bytes(PyObject *self, PyObject *data, Step step)
{
    char *bytes;
    Py_ssize_t size;
    PyObject *kept = PyObject_CheckBuffer(data) && !PyBytes_Check(data) ? PyBytes_FromObject(data) : Py_NewRef(data);
    PyObject *result = NULL;
    if (kept != NULL && PyBytes_AsStringAndSize(kept, &bytes, &size) == 0)
        result = step((CbcHmac *)self, (unsigned char *)bytes, size);
    Py_XDECREF(kept);
    return result;
}

static PyObject *encrypt(PyObject *self, PyObject *plaintext)
{
    return with_bytes(self, plaintext, encrypt_bytes);
}

static PyObject *decrypt(PyObject *self, PyObject *payload)
{
    return with_bytes(self, payload, decrypt_bytes);
}

/* --- construction ------------------------------------------------------------------------------------------- */

static void be32(unsigned char *out, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        out[i] = (unsigned char)(number >> (24 - 8 * i));
}

/* Hash the input that is the same for all payloads. The master key is at most one block of SHA-512. */
static int absorb(CbcHmac *self, const char *master_key, Py_ssize_t key_size, const char *fixed, Py_ssize_t fixed_size)
{
    EVP_MD *sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    const unsigned char *key = (const unsigned char *)master_key;
    int subkeys = self->key_size + self->digest_size, ok = sha512 != NULL;
    self->kdf_blocks = (subkeys + KDF_DIGEST - 1) / KDF_DIGEST;
    be32(self->bits, 8 * subkeys);
    ok = ok && (self->outer = EVP_MD_CTX_new()) && absorb_key(self->outer, sha512, key, key_size, MAX_HASH_BLOCK, 0x5C);
    for (int i = 0; ok && i < self->kdf_blocks; i++) {
        unsigned char counter[4];
        be32(counter, i + 1);
        ok = (self->inner[i] = EVP_MD_CTX_new()) != NULL
            && absorb_key(self->inner[i], sha512, key, key_size, MAX_HASH_BLOCK, 0x36)
            && EVP_DigestUpdate(self->inner[i], counter, sizeof counter)
            && EVP_DigestUpdate(self->inner[i], fixed, fixed_size);
    }
    EVP_MD_free(sha512);
    return ok;
}

/* Set the sizes. Returns whether the buffers of this file are large enough for them. */
static int measure(CbcHmac *self, Py_ssize_t master_key_size, Py_ssize_t head_size)
{
    self->key_size = EVP_CIPHER_get_key_length(self->cipher);
    self->digest_size = EVP_MD_get_size(self->digest);
    self->hash_block = EVP_MD_get_block_size(self->digest);
    self->head_size = head_size;
    return master_key_size <= MAX_HASH_BLOCK && head_size <= MAX_HEAD && self->hash_block <= MAX_HASH_BLOCK
        && EVP_CIPHER_get_mode(self->cipher) == EVP_CIPH_CBC_MODE && EVP_CIPHER_get_block_size(self->cipher) == BLOCK
        && self->digest_size >= SHORTEST_MAC && self->digest_size <= self->hash_block
        && EVP_CIPHER_get_iv_length(self->cipher) == BLOCK && self->key_size + self->digest_size <= MAX_SUBKEYS;
}

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    const char *cipher, *digest;
    PyObject *master_key, *fixed, *head, *urandom, *refuse;
    static char *names[] = {"", "", "", "", "", "", "", NULL};
    /* Formats with # would tie the file to the Python that built it: the headers of 3.13 call other functions for them. */
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "ssSSSOO:CbcHmac", names, &cipher, &digest, &master_key, &fixed,
                                     &head, &urandom, &refuse))
        return NULL;
    CbcHmac *self = (CbcHmac *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->urandom = Py_NewRef(urandom);
    self->refuse = Py_NewRef(refuse);
    self->cipher = EVP_CIPHER_fetch(NULL, cipher, NULL);
    self->digest = EVP_MD_fetch(NULL, digest, NULL);
    int known = self->cipher != NULL && self->digest != NULL;
    if (known && !measure(self, PyBytes_Size(master_key), PyBytes_Size(head)))
        PyErr_SetString(PyExc_ValueError, "the size of the algorithm, master key or head is not supported");
    else if (known && absorb(self, PyBytes_AsString(master_key), PyBytes_Size(master_key), PyBytes_AsString(fixed),
                             PyBytes_Size(fixed))) {
        memcpy(self->head, PyBytes_AsString(head), self->head_size);
        return (PyObject *)self;
    } else
        openssl_failed();
    Py_DECREF(self);
    return NULL;
}

static void destroy(PyObject *object)
{
    CbcHmac *self = (CbcHmac *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (int i = 0; i < MAX_KDF_BLOCKS; i++)
        EVP_MD_CTX_free(self->inner[i]);    /* wipes its state */
    EVP_MD_CTX_free(self->outer);
    EVP_CIPHER_free(self->cipher);
    EVP_MD_free(self->digest);
    Py_XDECREF(self->urandom);
    Py_XDECREF(self->refuse);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"encrypt", encrypt, METH_O, "Encrypt a plaintext to ``head ‖ body``, with new random bytes."},
    {"decrypt", decrypt, METH_O, "Decrypt ``head ‖ body``. Calls ``refuse``, which raises, for every failure."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "One key for one label. The stub file next to this one has the documentation."},
    {Py_tp_new, make},
    {Py_tp_dealloc, destroy},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "dpmiddleware.crypto._cbc_hmac.CbcHmac",
    .basicsize = sizeof(CbcHmac),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

static int fill(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, "CbcHmac", type) < 0
        || PyModule_AddStringConstant(module, "LIBRARY", OpenSSL_version(OPENSSL_VERSION)) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_cbc_hmac",
    .m_doc = "AES-CBC and HMAC of one payload per call.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__cbc_hmac(void)
{
    return PyModuleDef_Init(&module);
}
