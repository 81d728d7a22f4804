/* Reads records of a KPL dataset into Python dicts: the compiled twin of decode.py.
 *
 * Like decode.py it takes what writers really produce and answers None for everything else, which
 * the caller then reads by protobuf's full rules (lenient.py). It never looks outside of the bytes
 * that it was given: every length is checked against the end of the message it stands in.
 *
 * Only the stable ABI of Python 3.11 is used, so one binary serves 3.11 and everything later.
 */

#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* Numbers of the kinds in protobuf's Feature; String shares 3 with ByteArray in the file. */
enum kind { KIND_TEXT = 2, KIND_BYTES = 3, KIND_FLOAT = 4, KIND_INT = 5, KIND_LIST = 7, KIND_MAP = 8, KIND_FILE = 9 };

/* Key bytes: field number * 8 + wire type. */
enum tag {
    TAG_ENTRY = 0x0A, TAG_KEY = 0x0A, TAG_VALUE = 0x12,
    TAG_TEXT = 0x12, TAG_BYTES = 0x1A, TAG_FLOAT = 0x21, TAG_INT = 0x28,
    TAG_LIST = 0x3A, TAG_MAP = 0x42, TAG_FILE = 0x4A,
    TAG_FILE_TYPE = 0x08, TAG_FILE_BYTES = 0x12, TAG_FILE_SIZE = 0x20
};

#define MAX_DEPTH 40

typedef struct node node;

typedef struct {
    PyObject *name;      /* str */
    PyObject *key_owner; /* bytes that `key` points into */
    const char *key;
    Py_ssize_t key_size;
    node *type; /* NULL: the field is not wanted */
} field;

struct node {
    enum kind kind;
    Py_ssize_t count; /* map: number of fields */
    field *fields;    /* map */
    Py_ssize_t *next; /* map: the field that followed this one last time; [count] is the first */
    node *item;       /* list */
    PyObject *blank;  /* map: a dict of zero values, None where they must not be shared */
    int fresh;        /* map: whether `blank` holds such a None */
};

typedef struct {
    PyObject_HEAD
    node *type;
    Py_buffer data;
    Py_buffer index;
    int open;
} source;

/* ---- the record type ---------------------------------------------------------------------- */

static void free_node(node *self)
{
    if (self == NULL)
        return;
    for (Py_ssize_t i = 0; i < self->count; i++) {
        Py_XDECREF(self->fields[i].name);
        Py_XDECREF(self->fields[i].key_owner);
        free_node(self->fields[i].type);
    }
    PyMem_Free(self->fields);
    PyMem_Free(self->next);
    free_node(self->item);
    Py_XDECREF(self->blank);
    PyMem_Free(self);
}

static node *read_node(PyObject *spec, int depth);

/* One field of a map: (name, key, spec); spec None means that the field is passed over. */
static int read_field(node *self, Py_ssize_t i, PyObject *entry, int depth)
{
    PyObject *name, *key, *spec;
    field *out = &self->fields[i];
    char *start;
    if (!PyArg_ParseTuple(entry, "USO", &name, &key, &spec))
        return -1;
    out->name = Py_NewRef(name);
    PyUnicode_InternInPlace(&out->name);
    out->key_owner = Py_NewRef(key);
    if (PyBytes_AsStringAndSize(key, &start, &out->key_size) < 0)
        return -1;
    out->key = start;
    if (spec == Py_None)
        return 0;
    out->type = read_node(spec, depth + 1);
    return out->type == NULL ? -1 : 0;
}

static int read_map_node(node *self, PyObject *spec, int depth)
{
    int kind;
    PyObject *blank, *fields;
    if (!PyArg_ParseTuple(spec, "iO!O!", &kind, &PyDict_Type, &blank, &PyTuple_Type, &fields))
        return -1;
    Py_ssize_t count = PyTuple_Size(fields);
    if (count == 0)
        return -1;
    self->blank = PyDict_Copy(blank);
    self->fields = PyMem_Calloc((size_t)count + 1, sizeof(field));
    self->next = PyMem_Calloc((size_t)count + 1, sizeof(Py_ssize_t));
    if (self->blank == NULL || self->fields == NULL || self->next == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->count = count;
    for (Py_ssize_t i = 0; i < count; i++) {
        self->next[i] = i + 1 < count ? i + 1 : 0;
        if (read_field(self, i, PyTuple_GetItem(fields, i), depth) < 0)
            return -1;
        node *type = self->fields[i].type;
        if (type != NULL && (type->kind == KIND_LIST || type->kind == KIND_MAP || type->kind == KIND_FILE))
            self->fresh = 1;
    }
    self->next[count] = 0;
    return 0;
}

/* A spec is (kind,), (KIND_LIST, spec) or (KIND_MAP, blank, ((name, key, spec or None), ...)). */
static node *read_node(PyObject *spec, int depth)
{
    if (depth > MAX_DEPTH || !PyTuple_Check(spec) || PyTuple_Size(spec) < 1) {
        PyErr_SetString(PyExc_ValueError, "not a record type");
        return NULL;
    }
    long kind = PyLong_AsLong(PyTuple_GetItem(spec, 0));
    if (kind == -1 && PyErr_Occurred())
        return NULL;
    node *self = PyMem_Calloc(1, sizeof(node));
    if (self == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    self->kind = (enum kind)kind;
    int failed = 0;
    switch (self->kind) {
    case KIND_LIST:
        self->item = PyTuple_Size(spec) == 2 ? read_node(PyTuple_GetItem(spec, 1), depth + 1) : NULL;
        failed = self->item == NULL;
        break;
    case KIND_MAP:
        failed = read_map_node(self, spec, depth) < 0;
        break;
    case KIND_TEXT: case KIND_BYTES: case KIND_FLOAT: case KIND_INT: case KIND_FILE:
        break;
    default:
        failed = 1;
    }
    if (!failed)
        return self;
    if (!PyErr_Occurred())
        PyErr_SetString(PyExc_ValueError, "not a record type");
    free_node(self);
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------------
 * Every function returns NULL without an exception where the bytes are not what writers produce.
 */

typedef const unsigned char *cursor;

/* Read a varint of at most 64 bits; NULL where it is cut off or longer than ten bytes. */
static inline cursor read_varint(cursor p, cursor end, uint64_t *out)
{
    if (p < end && *p < 128) {
        *out = *p;
        return p + 1;
    }
    uint64_t value = 0;
    for (int shift = 0; shift < 70 && p < end; shift += 7) {
        uint64_t byte = *p++;
        value |= (byte & 127) << shift;
        if (byte < 128) {
            *out = value;
            return p;
        }
    }
    return NULL;
}

/* Read a length that the rest of the message can hold. */
static inline cursor read_length(cursor p, cursor end, Py_ssize_t *out)
{
    uint64_t value;
    p = read_varint(p, end, &value);
    if (p == NULL || value > (uint64_t)(end - p))
        return NULL;
    *out = (Py_ssize_t)value;
    return p;
}

/* Step into a message that must reach exactly to `end`. */
static inline cursor enter(cursor p, cursor end, int tag)
{
    Py_ssize_t size;
    if (p == end || *p != tag)
        return NULL;
    p = read_length(p + 1, end, &size);
    return p != NULL && p + size == end ? p : NULL;
}

static PyObject *zero_value(const node *type);
static PyObject *read_feature(const node *type, cursor p, cursor end);

static int fill_blanks(const node *type, PyObject *out)
{
    for (Py_ssize_t i = 0; i < type->count; i++) {
        const field *it = &type->fields[i];
        if (it->type == NULL || PyDict_GetItemWithError(out, it->name) != Py_None)
            continue;
        PyObject *zero = zero_value(it->type);
        int failed = zero == NULL || PyDict_SetItem(out, it->name, zero) < 0;
        Py_XDECREF(zero);
        if (failed)
            return -1;
    }
    return 0;
}

static PyObject *zero_map(const node *type)
{
    PyObject *out = PyDict_Copy(type->blank);
    if (out != NULL && type->fresh && fill_blanks(type, out) < 0)
        Py_CLEAR(out);
    return out;
}

static PyObject *zero_value(const node *type)
{
    switch (type->kind) {
    case KIND_TEXT: return PyUnicode_FromStringAndSize("", 0);
    case KIND_BYTES: return PyBytes_FromStringAndSize("", 0);
    case KIND_FLOAT: return PyFloat_FromDouble(0.0);
    case KIND_INT: return PyLong_FromLong(0);
    case KIND_LIST: return PyList_New(0);
    case KIND_MAP: return zero_map(type);
    case KIND_FILE:
        return Py_BuildValue("{s:i,s:y#,s:s,s:i}", "type", 0, "content", "", (Py_ssize_t)0, "file_path", "", "size", 0);
    }
    Py_UNREACHABLE();
}

/* A feature is never empty here: its field is then missing, and the caller takes the zero value. */
static PyObject *read_text(cursor p, cursor end)
{
    p = *p == TAG_TEXT ? enter(p, end, TAG_TEXT) : enter(p, end, TAG_BYTES);
    if (p == NULL)
        return NULL;
    PyObject *out = PyUnicode_DecodeUTF8((const char *)p, end - p, NULL);
    /* Texts that are not UTF-8 are for the caller, which tries GBK. */
    if (out == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError))
        PyErr_Clear();
    return out;
}

static PyObject *read_double(cursor p, cursor end)
{
    if (end - p != 9 || *p != TAG_FLOAT)
        return NULL;
    uint64_t bits = 0;
    for (int i = 8; i > 0; i--)
        bits = bits << 8 | p[i];
    double value;
    memcpy(&value, &bits, sizeof value);
    return PyFloat_FromDouble(value);
}

static PyObject *read_int(cursor p, cursor end)
{
    uint64_t value;
    if (p == end || *p != TAG_INT || read_varint(p + 1, end, &value) != end)
        return NULL;
    int64_t number;
    memcpy(&number, &value, sizeof number);
    return PyLong_FromLongLong(number);
}

static PyObject *read_list(const node *type, cursor p, cursor end)
{
    PyObject *out = PyList_New(0);
    while (out != NULL && p < end) {
        Py_ssize_t size;
        PyObject *item = NULL;
        cursor start = *p == TAG_ENTRY ? read_length(p + 1, end, &size) : NULL;
        if (start != NULL) {
            p = start + size;
            item = size ? read_feature(type->item, start, p) : zero_value(type->item);
        }
        if (item == NULL || PyList_Append(out, item) < 0)
            Py_CLEAR(out);
        Py_XDECREF(item);
    }
    return out;
}

/* A small file; what has a path is for the caller, which checks where it leads. */
static PyObject *read_file(cursor p, cursor end)
{
    uint64_t type = 0, size = 0;
    Py_ssize_t length = 0;
    cursor content = p;
    while (p < end) {
        int tag = *p++;
        if (tag == TAG_FILE_TYPE)
            p = read_varint(p, end, &type);
        else if (tag == TAG_FILE_SIZE)
            p = read_varint(p, end, &size);
        else if (tag == TAG_FILE_BYTES) {
            content = read_length(p, end, &length);
            p = content == NULL ? NULL : content + length;
        } else
            return NULL;
        if (p == NULL)
            return NULL;
    }
    if (type > 1 || size > INT64_MAX)
        return NULL;
    return Py_BuildValue("{s:i,s:y#,s:s,s:L}", "type", (int)type, "content", (const char *)content, length,
                         "file_path", "", "size", (long long)size);
}

/* Find a field by its key, trying first the one that came here in the last message. */
static inline Py_ssize_t find_field(const node *type, cursor key, Py_ssize_t size, Py_ssize_t before)
{
    Py_ssize_t guess = type->next[before];
    const field *it = &type->fields[guess];
    if (it->key_size == size && memcmp(it->key, key, (size_t)size) == 0)
        return guess;
    for (Py_ssize_t i = 0; i < type->count; i++) {
        it = &type->fields[i];
        if (it->key_size == size && memcmp(it->key, key, (size_t)size) == 0) {
            type->next[before] = i;
            return i;
        }
    }
    return -1;
}

/* Read one entry of a map into `out`; return the position behind it, or NULL. */
static cursor read_entry(const node *type, cursor p, cursor end, PyObject *out, Py_ssize_t *before)
{
    Py_ssize_t size, key_size;
    if (*p != TAG_ENTRY || (p = read_length(p + 1, end, &size)) == NULL)
        return NULL;
    end = p + size;
    if (p == end || *p != TAG_KEY)
        return NULL;
    cursor key = read_length(p + 1, end, &key_size);
    if (key == NULL || (p = enter(key + key_size, end, TAG_VALUE)) == NULL)
        return NULL;
    Py_ssize_t found = find_field(type, key, key_size, *before);
    if (found < 0)
        return end;
    *before = found;
    const field *it = &type->fields[found];
    if (it->type == NULL)
        return end;
    PyObject *value = p < end ? read_feature(it->type, p, end) : zero_value(it->type);
    int failed = value == NULL || PyDict_SetItem(out, it->name, value) < 0;
    Py_XDECREF(value);
    return failed ? NULL : end;
}

static PyObject *read_map(const node *type, cursor p, cursor end)
{
    PyObject *out = PyDict_Copy(type->blank);
    if (out == NULL)
        return NULL;
    Py_ssize_t before = type->count;
    while (p != NULL && p < end)
        p = read_entry(type, p, end, out, &before);
    if (p == NULL || (type->fresh && fill_blanks(type, out) < 0))
        Py_CLEAR(out);
    return out;
}

static PyObject *read_feature(const node *type, cursor p, cursor end)
{
    switch (type->kind) {
    case KIND_TEXT: return read_text(p, end);
    case KIND_FLOAT: return read_double(p, end);
    case KIND_INT: return read_int(p, end);
    case KIND_BYTES:
        p = enter(p, end, TAG_BYTES);
        return p == NULL ? NULL : PyBytes_FromStringAndSize((const char *)p, end - p);
    case KIND_LIST:
        p = enter(p, end, TAG_LIST);
        return p == NULL ? NULL : read_list(type, p, end);
    case KIND_MAP:
        p = enter(p, end, TAG_MAP);
        return p == NULL ? NULL : read_map(type, p, end);
    case KIND_FILE:
        p = enter(p, end, TAG_FILE);
        return p == NULL ? NULL : read_file(p, end);
    }
    Py_UNREACHABLE();
}

/* ---- the Python side ---------------------------------------------------------------------- */

static void source_release(source *self)
{
    if (self->open) {
        self->open = 0;
        PyBuffer_Release(&self->data);
        PyBuffer_Release(&self->index);
    }
}

static void source_dealloc(source *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    source_release(self);
    free_node(self->type);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyObject *source_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *spec, *data, *index;
    if (kwargs != NULL && PyDict_Size(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Source takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "OOO", &spec, &data, &index))
        return NULL;
    allocfunc allocate = PyType_GetSlot(type, Py_tp_alloc);
    source *self = (source *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->type = read_node(spec, 0);
    if (self->type == NULL || self->type->kind != KIND_MAP) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "a record is a map");
        Py_DECREF(self);
        return NULL;
    }
    if (PyObject_GetBuffer(data, &self->data, PyBUF_SIMPLE) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (PyObject_GetBuffer(index, &self->index, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&self->data);
        Py_DECREF(self);
        return NULL;
    }
    self->open = 1;
    return (PyObject *)self;
}

PyDoc_STRVAR(read_doc, "read(number)\n--\n\nReturn a record, or None where it needs the full rules.");

static PyObject *source_read(source *self, PyObject *arg)
{
    Py_ssize_t number = PyLong_AsSsize_t(arg);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    if (!self->open) {
        PyErr_SetString(PyExc_ValueError, "the dataset is closed");
        return NULL;
    }
    Py_ssize_t count = self->index.len / (Py_ssize_t)sizeof(int64_t) - 1;
    if (number < 0 || number >= count) {
        PyErr_SetString(PyExc_IndexError, "no such record");
        return NULL;
    }
    const int64_t *offsets = self->index.buf;
    int64_t start = offsets[number], end = offsets[number + 1];
    if (start < 0 || start > end || end > self->data.len)
        Py_RETURN_NONE;
    PyObject *out = read_map(self->type, (cursor)self->data.buf + start, (cursor)self->data.buf + end);
    if (out == NULL && !PyErr_Occurred())
        Py_RETURN_NONE;
    return out;
}

PyDoc_STRVAR(close_doc, "close()\n--\n\nLet go of the buffers.");

static PyObject *source_close(source *self, PyObject *Py_UNUSED(ignored))
{
    source_release(self);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(unpack_doc, "unpack_varints(body)\n--\n\n"
             "Return consecutive varints as the bytes of native 64-bit numbers; None where they are broken.");

static PyObject *unpack_varints(PyObject *Py_UNUSED(module), PyObject *arg)
{
    char *start;
    Py_ssize_t size, count = 0;
    if (PyBytes_AsStringAndSize(arg, &start, &size) < 0)
        return NULL;
    cursor p = (cursor)start, end = p + size;
    for (cursor q = p; q < end; q++)
        count += *q < 128;
    PyObject *out = PyBytes_FromStringAndSize(NULL, count * (Py_ssize_t)sizeof(uint64_t));
    if (out == NULL)
        return NULL;
    char *target = PyBytes_AsString(out);
    for (; p < end; target += sizeof(uint64_t)) {
        uint64_t value;
        p = read_varint(p, end, &value);
        if (p == NULL) {
            Py_DECREF(out);
            Py_RETURN_NONE;
        }
        memcpy(target, &value, sizeof value);
    }
    return out;
}

PyDoc_STRVAR(pack_doc, "pack_varints(numbers)\n--\n\nEncode native 64-bit numbers as consecutive varints.");

static PyObject *pack_varints(PyObject *Py_UNUSED(module), PyObject *arg)
{
    Py_buffer view;
    if (PyObject_GetBuffer(arg, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    Py_ssize_t count = view.len / (Py_ssize_t)sizeof(uint64_t);
    /* Ten bytes hold any of them; an array in memory is far from PY_SSIZE_T_MAX / 10 numbers. */
    unsigned char *start = PyMem_Malloc((size_t)count * 10 + 1), *p = start;
    PyObject *out = NULL;
    if (start == NULL)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; start != NULL && i < count; i++) {
        uint64_t value;
        memcpy(&value, (char *)view.buf + i * (Py_ssize_t)sizeof value, sizeof value);
        for (; value > 127; value >>= 7)
            *p++ = (unsigned char)(value | 128);
        *p++ = (unsigned char)value;
    }
    if (start != NULL)
        out = PyBytes_FromStringAndSize((char *)start, p - start);
    PyMem_Free(start);
    PyBuffer_Release(&view);
    return out;
}

static PyMethodDef source_methods[] = {
    {"read", (PyCFunction)source_read, METH_O, read_doc},
    {"close", (PyCFunction)source_close, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(source_doc, "Source(spec, data, index)\n--\n\n"
             "The records in a buffer; `index` holds their offsets as native 64-bit numbers.");

static PyType_Slot source_slots[] = {
    {Py_tp_doc, (void *)source_doc},
    {Py_tp_new, source_new},
    {Py_tp_dealloc, source_dealloc},
    {Py_tp_methods, source_methods},
    {0, NULL},
};

static PyType_Spec source_spec = {
    .name = "kpl_dataset._decoder.Source",
    .basicsize = sizeof(source),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = source_slots,
};

static int module_exec(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &source_spec, NULL);
    if (type == NULL)
        return -1;
    int failed = PyModule_AddObjectRef(module, "Source", type);
    Py_DECREF(type);
    return failed;
}

static PyMethodDef module_methods[] = {
    {"pack_varints", pack_varints, METH_O, pack_doc},
    {"unpack_varints", unpack_varints, METH_O, unpack_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_decoder",
    .m_doc = "Reads records of KPL datasets.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__decoder(void)
{
    return PyModuleDef_Init(&module_def);
}
