"""The part of diskimage-builder's Python package that hooks of elements import.

Programs in an element's bin/ run with DIB_PYTHON_EXEC, which under diskimage-builder is
the interpreter that it is installed for.
"""
