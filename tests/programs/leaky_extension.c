//! A Python extension with the mistake of an iterator that never drops its reference: what is made in Python is freed by nobody.
//! Its three blocks of a `Pairs` come from where such memory comes from: Python's objects, Python's allocator, and C's own.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef struct {
  PyObject_HEAD
  char *table;
  char *note;
} Pairs;

static char *table_new(void) {
  char *table = PyMem_Malloc(1009); // row: growth=1009000/1000
  table[0] = 1;
  return table;
}

static PyObject *pairs_new(PyTypeObject *type, PyObject *arguments, PyObject *names) {
  (void)arguments, (void)names;
  Pairs *self = (Pairs *)type->tp_alloc(type, 0); // row: growth=32000/1000 function=pairs_new
  self->table = table_new();
  self->note = malloc(37); // row: growth=37000/1000 function=pairs_new
  self->note[0] = 2;
  return (PyObject *)self;
}

static void pairs_dealloc(Pairs *self) {
  PyMem_Free(self->table);
  free(self->note);
  Py_TYPE(self)->tp_free((PyObject *)self);
}

/* visit(leaky): one reference taken for the visit, and given back. */
static PyObject *pairs_visit(PyObject *self, PyObject *leaky) {
  Py_INCREF(self);
  if (!PyObject_IsTrue(leaky)) Py_DECREF(self);
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"visit", pairs_visit, METH_O, NULL}, {NULL, NULL, 0, NULL}};

static PyTypeObject type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "pairs.Pairs",
    .tp_basicsize = sizeof(Pairs),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = pairs_new,
    .tp_dealloc = (destructor)pairs_dealloc,
    .tp_methods = methods,
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "pairs", .m_size = -1};

PyMODINIT_FUNC PyInit_pairs(void) {
  PyObject *made = PyModule_Create(&module);
  if (made == NULL || PyType_Ready(&type) < 0) return NULL;
  PyModule_AddObject(made, "Pairs", (PyObject *)&type);
  return made;
}
