"""All compiled code: serial functions on arrays, over a range of users, without Python objects.

Every kernel is decorated with `oasis_alloc.kernels._jit.jit`, which alone decides how kernels are compiled
and where the compiled code is kept. Importing a kernel compiles nothing and starts no thread.
"""
