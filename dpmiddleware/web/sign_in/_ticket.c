/* The compiled core: builds the objects of an ordinary ticket from its bytes, and its bytes from the objects.

   `dpmiddleware.web.sign_in.ticket` has the layout, and reads and writes every ticket. This file handles those that nearly
   all users have: each claim consists of a type and a value, there is no actor and no bootstrap context; for reading, all
   of it is ASCII and each length fits into one byte. For anything else, and for anything wrong, the result is ``None``:
   Python then handles the ticket and raises the error.

   The objects are built without calling their ``__init__``: their fields are set to the values that it would set. So a
   codec is made only for classes whose fields are exactly the ones that are listed here. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { SMALLEST_IDENTITY = 9, SMALLEST_CLAIM = 12, SMALLEST_PAIR = 2, VERSION = 5, PROPERTIES_VERSION = 1, ROOM = 512 };

/* A text that is the default of its field. */
static const unsigned char PLACEHOLDER[] = {1, 0};
/* What follows a claim's value: default value type, issuer and original issuer, no properties. */
static const unsigned char ALL_DEFAULTS[] = {1, 0, 1, 0, 1, 0, 0, 0, 0, 0};
/* What follows the claims: no bootstrap context, no actor. */
static const unsigned char NEITHER[] = {0, 0};

/* The arguments of the codec, and the names of the fields, in the order of each class. */
enum { CLAIM, IDENTITY, PRINCIPAL, TICKET, PROPERTIES, NAME_TYPE, ROLE_TYPE, VALUE_TYPE, ISSUER, GIVEN };
enum { CLAIM_FIELDS = 0, IDENTITY_FIELDS = 6, PRINCIPAL_FIELDS = 12, TICKET_FIELDS = 13, PROPERTIES_FIELDS = 16, NAMES };
static const char *const FIELDS[NAMES] = {
    "type", "value", "value_type", "issuer", "original_issuer", "properties",
    "claims", "authentication_type", "name_claim_type", "role_claim_type", "actor", "bootstrap_context",
    "identities",
    "scheme", "principal", "properties",
    "items",
};
static const int FIRST_FIELD[] = {CLAIM_FIELDS, IDENTITY_FIELDS, PRINCIPAL_FIELDS, TICKET_FIELDS, PROPERTIES_FIELDS, NAMES};

typedef struct {
    PyObject_HEAD
    PyObject *given[GIVEN], *names[NAMES], *no_arguments;
} Codec;

typedef struct {
    const unsigned char *at, *end;
} Cursor;

/* --- bytes -------------------------------------------------------------------------------------------------- */

static Py_ssize_t left(const Cursor *cursor)
{
    return cursor->end - cursor->at;
}

/* A number; -1 if it is negative or missing. */
static int32_t number(Cursor *cursor)
{
    const unsigned char *at = cursor->at;
    if (left(cursor) < 4 || at[3] > 0x7F)
        return -1;
    cursor->at += 4;
    return (int32_t)(at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
}

/* A number of items of at least this size, which therefore fit into the rest; -1 if there is none. */
static int32_t count(Cursor *cursor, int smallest)
{
    int32_t found = number(cursor);
    return found > left(cursor) / smallest ? -1 : found;
}

static int skip(Cursor *cursor, const unsigned char *expected, int size)
{
    if (left(cursor) < size || memcmp(cursor->at, expected, size) != 0)
        return 0;
    cursor->at += size;
    return 1;
}

/* New reference; NULL if the bytes end early or, with an exception, if there is no memory. */
static PyObject *text(Cursor *cursor)
{
    if (left(cursor) < 1 || left(cursor) - 1 < cursor->at[0])
        return NULL;
    const unsigned char *start = cursor->at + 1;
    cursor->at = start + start[-1];
    return PyUnicode_DecodeASCII((const char *)start, start[-1], NULL);
}

static PyObject *text_or_default(Cursor *cursor, PyObject *or)
{
    return skip(cursor, PLACEHOLDER, sizeof PLACEHOLDER) ? Py_NewRef(or) : text(cursor);
}

/* The same, where an empty text means the default as well. */
static PyObject *text_said(Cursor *cursor, PyObject *or)
{
    static const unsigned char nothing[] = {0};
    return skip(cursor, nothing, 1) ? Py_NewRef(or) : text_or_default(cursor, or);
}

/* --- objects ------------------------------------------------------------------------------------------------ */

/* An object of a class with these fields, set without the ``__setattr__`` of frozen classes, as their ``__init__`` does. */
static PyObject *build(const Codec *self, int class, int first, PyObject *const *values, int size)
{
    PyTypeObject *type = (PyTypeObject *)self->given[class];
    PyObject *object = ((newfunc)PyType_GetSlot(type, Py_tp_new))(type, self->no_arguments, NULL);
    for (int i = 0; object != NULL && i < size; i++)
        if (values[i] == NULL || PyObject_GenericSetAttr(object, self->names[first + i], values[i]) < 0)
            Py_CLEAR(object);
    return object;
}

static PyObject *read_claim(const Codec *self, Cursor *cursor, PyObject *name_type)
{
    PyObject *type = text_or_default(cursor, name_type), *value = type ? text(cursor) : NULL, *claim = NULL;
    if (value != NULL && skip(cursor, ALL_DEFAULTS, sizeof ALL_DEFAULTS)) {
        PyObject *issuer = self->given[ISSUER], *properties = PyDict_New();
        PyObject *values[] = {type, value, self->given[VALUE_TYPE], issuer, issuer, properties};
        claim = build(self, CLAIM, CLAIM_FIELDS, values, 6);
        Py_XDECREF(properties);
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    return claim;
}

/* As a tuple. It is a list until it is complete, because other code (gc) can see an incomplete tuple. */
static PyObject *read_all(const Codec *self, Cursor *cursor, int smallest, PyObject *name_type,
                          PyObject *(*read)(const Codec *, Cursor *, PyObject *))
{
    int32_t size = count(cursor, smallest);
    PyObject *found = size < 0 ? NULL : PyList_New(0), *all = NULL;
    for (int32_t i = 0; found != NULL && i < size; i++) {
        PyObject *each = read(self, cursor, name_type);
        if (each == NULL || PyList_Append(found, each) < 0)
            Py_CLEAR(found);
        Py_XDECREF(each);
    }
    if (found != NULL)
        all = PyList_AsTuple(found);
    Py_XDECREF(found);
    return all;
}

static PyObject *read_identity(const Codec *self, Cursor *cursor, PyObject *Py_UNUSED(name_type))
{
    PyObject *kind = text(cursor), *identity = NULL;
    PyObject *name_type = kind ? text_said(cursor, self->given[NAME_TYPE]) : NULL;
    PyObject *role_type = name_type ? text_said(cursor, self->given[ROLE_TYPE]) : NULL;
    PyObject *claims = role_type ? read_all(self, cursor, SMALLEST_CLAIM, name_type, read_claim) : NULL;
    if (claims != NULL && skip(cursor, NEITHER, sizeof NEITHER)) {
        PyObject *values[] = {claims, kind, name_type, role_type, Py_None, Py_None};
        identity = build(self, IDENTITY, IDENTITY_FIELDS, values, 6);
    }
    Py_XDECREF(kind);
    Py_XDECREF(name_type);
    Py_XDECREF(role_type);
    Py_XDECREF(claims);
    return identity;
}

static PyObject *read_principal(const Codec *self, Cursor *cursor)
{
    PyObject *identities = read_all(self, cursor, SMALLEST_IDENTITY, NULL, read_identity);
    PyObject *principal = identities ? build(self, PRINCIPAL, PRINCIPAL_FIELDS, &identities, 1) : NULL;
    Py_XDECREF(identities);
    return principal;
}

static PyObject *read_properties(const Codec *self, Cursor *cursor)
{
    int32_t size = number(cursor) == PROPERTIES_VERSION ? count(cursor, SMALLEST_PAIR) : -1;
    PyObject *items = size < 0 ? NULL : PyDict_New();
    for (int32_t i = 0; items != NULL && i < size; i++) {
        PyObject *key = text(cursor), *value = key ? text(cursor) : NULL;
        if (value == NULL || PyDict_SetItem(items, key, value) < 0)
            Py_CLEAR(items);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    int is_whole = items != NULL && PyDict_Size(items) == size;     /* no key was given twice */
    PyObject *properties = is_whole ? build(self, PROPERTIES, PROPERTIES_FIELDS, &items, 1) : NULL;
    Py_XDECREF(items);
    return properties;
}

static PyObject *read_ticket(const Codec *self, Cursor *cursor)
{
    PyObject *scheme = number(cursor) == VERSION ? text(cursor) : NULL;
    PyObject *principal = scheme ? read_principal(self, cursor) : NULL;
    PyObject *properties = principal ? read_properties(self, cursor) : NULL;
    PyObject *values[] = {scheme, principal, properties};
    PyObject *ticket = properties ? build(self, TICKET, TICKET_FIELDS, values, 3) : NULL;
    Py_XDECREF(scheme);
    Py_XDECREF(principal);
    Py_XDECREF(properties);
    return ticket;
}

/* --- writing ------------------------------------------------------------------------------------------------ */

typedef struct {
    unsigned char *data;
    size_t size, room;
} Writer;

static int put(Writer *writer, const void *bytes, size_t size)
{
    if (size > (size_t)PY_SSIZE_T_MAX / 4 - writer->size)
        return 0;
    if (writer->room - writer->size < size) {
        size_t room = 2 * (writer->room + size);
        unsigned char *data = PyMem_Realloc(writer->data, room);
        if (data == NULL)
            return 0;
        writer->data = data;
        writer->room = room;
    }
    memcpy(writer->data + writer->size, bytes, size);
    writer->size += size;
    return 1;
}

static int put_number(Writer *writer, Py_ssize_t number)
{
    unsigned char bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(number >> 8 * i);
    return number <= INT32_MAX && put(writer, bytes, 4);
}

static int put_text(Writer *writer, PyObject *text)
{
    Py_ssize_t size;
    const char *bytes = PyUnicode_CheckExact(text) ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;
    unsigned char length[5];
    int groups = 0;
    if (bytes == NULL || size > INT32_MAX)
        return 0;
    Py_ssize_t rest = size;
    for (; rest > 0x7F; rest >>= 7)
        length[groups++] = (unsigned char)(rest | 0x80);
    length[groups++] = (unsigned char)rest;
    return put(writer, length, groups) && put(writer, bytes, size);
}

/* Compares exact strings only: a subclass may override the comparison. */
static int is_equal(PyObject *text, PyObject *other)
{
    return PyUnicode_CheckExact(text) && (text == other || PyObject_RichCompareBool(text, other, Py_EQ) == 1);
}

static int put_text_or_default(Writer *writer, PyObject *text, PyObject *or)
{
    size_t before = writer->size;
    if (is_equal(text, or))
        return put(writer, PLACEHOLDER, sizeof PLACEHOLDER);
    return put_text(writer, text) && (writer->size - before != sizeof PLACEHOLDER
        || memcmp(writer->data + before, PLACEHOLDER, sizeof PLACEHOLDER) != 0);    /* it would be read as the default */
}

/* The fields of an object, as new references; 0 if one is missing. */
static int take(const Codec *self, PyObject *object, int first, PyObject **fields, int size)
{
    int taken = 0;
    while (taken < size && (fields[taken] = PyObject_GetAttr(object, self->names[first + taken])) != NULL)
        taken++;
    return taken == size;
}

static void give_back(PyObject **fields, int size)
{
    for (int i = 0; i < size && fields[i] != NULL; i++)
        Py_DECREF(fields[i]);
}

static int write_claim(const Codec *self, Writer *writer, PyObject *claim, PyObject *name_type)
{
    PyObject *fields[6] = {NULL};
    int ok = take(self, claim, CLAIM_FIELDS, fields, 6) && is_equal(fields[2], self->given[VALUE_TYPE])
        && is_equal(fields[3], self->given[ISSUER]) && is_equal(fields[4], self->given[ISSUER])
        && PyDict_CheckExact(fields[5]) && PyDict_Size(fields[5]) == 0
        && put_text_or_default(writer, fields[0], name_type)
        && put_text(writer, fields[1]) && put(writer, ALL_DEFAULTS, sizeof ALL_DEFAULTS);
    give_back(fields, 6);
    return ok;
}

static int write_identity(const Codec *self, Writer *writer, PyObject *identity)
{
    PyObject *fields[6] = {NULL};
    int ok = take(self, identity, IDENTITY_FIELDS, fields, 6) && fields[4] == Py_None && fields[5] == Py_None
        && PyTuple_CheckExact(fields[0]) && put_text(writer, fields[1])
        && put_text_or_default(writer, fields[2], self->given[NAME_TYPE])
        && put_text_or_default(writer, fields[3], self->given[ROLE_TYPE])
        && put_number(writer, PyTuple_Size(fields[0]));
    for (Py_ssize_t i = 0; ok && i < PyTuple_Size(fields[0]); i++)
        ok = write_claim(self, writer, PyTuple_GetItem(fields[0], i), fields[2]);
    give_back(fields, 6);
    return ok && put(writer, NEITHER, sizeof NEITHER);
}

static int write_principal(const Codec *self, Writer *writer, PyObject *principal)
{
    PyObject *identities = NULL;
    int ok = take(self, principal, PRINCIPAL_FIELDS, &identities, 1) && PyTuple_CheckExact(identities)
        && put_number(writer, PyTuple_Size(identities));
    for (Py_ssize_t i = 0; ok && i < PyTuple_Size(identities); i++)
        ok = write_identity(self, writer, PyTuple_GetItem(identities, i));
    Py_XDECREF(identities);
    return ok;
}

static int write_properties(const Codec *self, Writer *writer, PyObject *properties)
{
    PyObject *items = NULL, *key, *value;
    Py_ssize_t at = 0;
    int ok = take(self, properties, PROPERTIES_FIELDS, &items, 1) && PyDict_CheckExact(items)
        && put_number(writer, PROPERTIES_VERSION) && put_number(writer, PyDict_Size(items));
    while (ok && PyDict_Next(items, &at, &key, &value))
        ok = put_text(writer, key) && put_text(writer, value);
    Py_XDECREF(items);
    return ok;
}

/* --- what Python calls -------------------------------------------------------------------------------------- */

static PyObject *read_bytes(PyObject *self, PyObject *data)
{
    char *bytes;
    Py_ssize_t size;
    unsigned char seen = 0;
    if (!PyBytes_Check(data))
        Py_RETURN_NONE;
    if (PyBytes_AsStringAndSize(data, &bytes, &size) < 0)
        return NULL;
    Cursor cursor = {(unsigned char *)bytes, (unsigned char *)bytes + size};
    for (Py_ssize_t i = 0; i < size; i++)
        seen |= cursor.at[i];
    PyObject *ticket = seen > 0x7F ? NULL : read_ticket((Codec *)self, &cursor);
    return ticket != NULL || PyErr_Occurred() ? ticket : Py_NewRef(Py_None);
}

/* For any error here the result is None: Python's writer raises a better one. */
static PyObject *write_bytes(PyObject *object, PyObject *ticket)
{
    const Codec *self = (Codec *)object;
    Writer writer = {PyMem_Malloc(ROOM), 0, ROOM};
    PyObject *fields[3] = {NULL}, *data = NULL;
    if (writer.data != NULL && take(self, ticket, TICKET_FIELDS, fields, 3) && put_number(&writer, VERSION)
        && put_text(&writer, fields[0]) && write_principal(self, &writer, fields[1])
        && write_properties(self, &writer, fields[2]))
        data = PyBytes_FromStringAndSize((char *)writer.data, (Py_ssize_t)writer.size);
    give_back(fields, 3);
    PyMem_Free(writer.data);
    if (data != NULL || (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception)))
        return data;                        /* NULL for an interrupt, which is not an error of the ticket */
    PyErr_Clear();
    Py_RETURN_NONE;
}

/* --- making one --------------------------------------------------------------------------------------------- */

/* Whether the fields of a class are exactly the ones that are listed here. */
static int has_fields(PyObject *class, int number)
{
    int first = FIRST_FIELD[number], size = FIRST_FIELD[number + 1] - first;
    PyObject *slots = PyObject_GetAttrString(class, "__slots__");
    int same = slots != NULL && PyTuple_CheckExact(slots) && PyTuple_Size(slots) == size;
    for (int i = 0; same && i < size; i++) {
        PyObject *name = PyTuple_GetItem(slots, i);
        same = PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, FIELDS[first + i]) == 0;
    }
    Py_XDECREF(slots);
    PyErr_Clear();
    return same;
}

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *positional[GIVEN + 1] = {"", "", "", "", "", "", "", "", "", NULL};
    PyObject *given[GIVEN];
    PyTypeObject *class = &PyType_Type;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!O!O!O!O!UUUU:Codec", positional, class, &given[CLAIM], class,
                                     &given[IDENTITY], class, &given[PRINCIPAL], class, &given[TICKET], class,
                                     &given[PROPERTIES], &given[NAME_TYPE], &given[ROLE_TYPE], &given[VALUE_TYPE],
                                     &given[ISSUER]))
        return NULL;
    for (int i = CLAIM; i <= PROPERTIES; i++)
        if (PyType_GetSlot((PyTypeObject *)given[i], Py_tp_new) == NULL) {
            PyErr_SetString(PyExc_TypeError, "the objects of a class cannot be created");
            return NULL;
        }
    for (int i = CLAIM; i <= PROPERTIES; i++)
        if (!has_fields(given[i], i)) {
            PyErr_SetString(PyExc_ValueError, "a class has other fields than the ones that this codec was built for");
            return NULL;
        }
    Codec *self = (Codec *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    for (int i = 0; i < GIVEN; i++)
        self->given[i] = Py_NewRef(given[i]);
    int ok = (self->no_arguments = PyTuple_New(0)) != NULL;
    for (int i = 0; ok && i < NAMES; i++)
        ok = (self->names[i] = PyUnicode_InternFromString(FIELDS[i])) != NULL;
    if (!ok)
        Py_CLEAR(self);
    return (PyObject *)self;
}

/* The classes refer to their module, and the module refers to this object. */
static int traverse(PyObject *object, visitproc visit, void *arg)
{
    Codec *self = (Codec *)object;
    Py_VISIT(Py_TYPE(object));
    for (int i = 0; i < GIVEN; i++)
        Py_VISIT(self->given[i]);
    return 0;
}

static void destroy(PyObject *object)
{
    Codec *self = (Codec *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    for (int i = 0; i < GIVEN; i++)
        Py_XDECREF(self->given[i]);
    for (int i = 0; i < NAMES; i++)
        Py_XDECREF(self->names[i]);
    Py_XDECREF(self->no_arguments);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"read", read_bytes, METH_O, "The ticket, or None if it is not an ordinary one."},
    {"write", write_bytes, METH_O, "The bytes of a ticket, or None if it is not an ordinary one."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Reads and writes tickets of these classes; see the stub beside this file."},
    {Py_tp_new, make},
    {Py_tp_dealloc, destroy},
    {Py_tp_traverse, traverse},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "dpmiddleware.web.sign_in._ticket.Codec",
    .basicsize = sizeof(Codec),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = slots,
};

static int fill(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, "Codec", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, fill}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_ticket",
    .m_doc = "Reads and writes ordinary tickets.",
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__ticket(void)
{
    return PyModuleDef_Init(&module);
}
