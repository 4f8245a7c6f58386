/* The compiled core: payloads as text, in base64url (RFC 4648, section 5) without padding, for
   `dpmiddleware.protection.base64url`. `decode` returns None for text in any other form, or whose unused bits are not
   zero; that module then decides in Python whether to accept it.

       text  := four characters for each three bytes; three for two remaining bytes, two for one */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { NEAR = 4096, FOREIGN = 0xC0 };

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static unsigned char VALUES[256];           /* by character; FOREIGN: not in the alphabet */

static void encode_into(const unsigned char *in, Py_ssize_t size, char *out)
{
    for (; size >= 3; size -= 3, in += 3, out += 4) {
        uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        out[0] = ALPHABET[bits >> 18];
        out[1] = ALPHABET[bits >> 12 & 63];
        out[2] = ALPHABET[bits >> 6 & 63];
        out[3] = ALPHABET[bits & 63];
    }
    if (size > 0) {
        uint32_t bits = (uint32_t)in[0] << 16 | (size > 1 ? (uint32_t)in[1] << 8 : 0);
        out[0] = ALPHABET[bits >> 18];
        out[1] = ALPHABET[bits >> 12 & 63];
        if (size > 1)
            out[2] = ALPHABET[bits >> 6 & 63];
    }
}

/* Returns whether the text is in the form that `encode` writes. */
static int decode_into(const unsigned char *in, Py_ssize_t size, unsigned char *out)
{
    unsigned char foreign = 0;
    for (; size >= 4; size -= 4, in += 4, out += 3) {
        unsigned char a = VALUES[in[0]], b = VALUES[in[1]], c = VALUES[in[2]], d = VALUES[in[3]];
        foreign |= a | b | c | d;
        out[0] = (unsigned char)(a << 2 | b >> 4);
        out[1] = (unsigned char)(b << 4 | c >> 2);
        out[2] = (unsigned char)(c << 6 | d);
    }
    if (size > 0) {
        unsigned char a = VALUES[in[0]], b = VALUES[in[1]], c = size > 2 ? VALUES[in[2]] : 0;
        foreign |= a | b | c;
        out[0] = (unsigned char)(a << 2 | b >> 4);
        if (size > 2)
            out[1] = (unsigned char)(b << 4 | c >> 2);
        if ((size > 2 ? c & 3 : b & 15) != 0)
            return 0;
    }
    return foreign < FOREIGN;
}

static PyObject *encode_bytes(const unsigned char *bytes, Py_ssize_t size)
{
    char near[NEAR];
    if (size > PY_SSIZE_T_MAX / 2)
        return PyErr_NoMemory();
    Py_ssize_t length = size / 3 * 4 + (size % 3 > 0 ? size % 3 + 1 : 0);
    char *out = length <= NEAR ? near : PyMem_Malloc(length);
    if (out == NULL)
        return PyErr_NoMemory();
    encode_into(bytes, size, out);
    PyObject *text = PyUnicode_DecodeASCII(out, length, NULL);
    if (out != near)
        PyMem_Free(out);
    return text;
}

static PyObject *decode_bytes(const unsigned char *bytes, Py_ssize_t size)
{
    if (size % 4 == 1)
        Py_RETURN_NONE;
    PyObject *payload = PyBytes_FromStringAndSize(NULL, size / 4 * 3 + (size % 4 > 0 ? size % 4 - 1 : 0));
    if (payload != NULL && !decode_into(bytes, size, (unsigned char *)PyBytes_AsString(payload))) {
        Py_DECREF(payload);
        Py_RETURN_NONE;
    }
    return payload;
}

/* Copies buffers other than bytes. */
static PyObject *with_bytes(PyObject *data, PyObject *(*step)(const unsigned char *, Py_ssize_t))
{
    char *bytes;
    Py_ssize_t size;
    PyObject *kept = PyObject_CheckBuffer(data) && !PyBytes_Check(data) ? PyBytes_FromObject(data) : Py_NewRef(data);
    PyObject *result = NULL;
    if (kept != NULL && PyBytes_AsStringAndSize(kept, &bytes, &size) == 0)
        result = step((unsigned char *)bytes, size);
    Py_XDECREF(kept);
    return result;
}

static PyObject *encode(PyObject *Py_UNUSED(module), PyObject *payload)
{
    return with_bytes(payload, encode_bytes);
}

static PyObject *decode(PyObject *Py_UNUSED(module), PyObject *text)
{
    return with_bytes(text, decode_bytes);
}

static int fill(PyObject *Py_UNUSED(module))
{
    memset(VALUES, FOREIGN, sizeof VALUES);
    for (unsigned char i = 0; i < 64; i++)
        VALUES[(unsigned char)ALPHABET[i]] = i;
    return 0;
}

static PyMethodDef methods[] = {
    {"encode", encode, METH_O, "Encode a payload as text."},
    {"decode", decode, METH_O, "Decode text in the form that encode writes; None for other text."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_base64url",
    .m_doc = "Payloads as text.",
    .m_methods = methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__base64url(void)
{
    return PyModuleDef_Init(&module);
}
