// An interpreter that lives twice in one process: blocks before, between and after its lives, in them, and in their last moments.
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>

static void *volatile block;

static void ask(size_t size) {
  block = malloc(size);
  free(block);
}

int main(void) {
  for (int life = 0; life < 2; life++) {
    ask(1500000);
    Py_Initialize();
    PyRun_SimpleString("import atexit, threading\n"
                       "def last(): bytearray(1600000)\n"
                       "atexit.register(last)\n"
                       "class Ending:\n"
                       "  def __del__(self): bytearray(1700000)\n"
                       "ending = Ending()\n");
    PyRun_SimpleString("def f(): bytearray(1800000)\nf()\n");
    Py_Finalize();
    ask(1900000);
  }
  return 0;
}
